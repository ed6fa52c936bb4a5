"""The grid: which variants, cells and files a configuration asks for. No Snakemake in here.

Paths are relative to the project folder and mirror the wildcards, so a look at ``results/`` tells what has run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from frontalbench.catalogue import networks
from frontalbench.catalogue.config import Config
from frontalbench.errors import BadInput
from frontalbench.plan.variant import ORIGINAL, STAYS, TURNED, Variant, made, parse

RESULTS = "results"

_FRONTALIZER = rf"[a-z0-9][a-z0-9_]*({STAYS})?"
_VARIANT = rf"original|{_FRONTALIZER}\.[a-z0-9_]+(\+[a-z0-9_]+)*"

WILDCARDS = {
    "dataset": r"[a-z0-9][a-z0-9_.-]*",
    "shard": r"[0-9]{4}",
    "frontalizer": _FRONTALIZER,
    "enhancement": r"[a-z0-9_]+(\+[a-z0-9_]+)*",
    "network": networks.PATTERN,
    "variant": _VARIANT,
    "judged": rf"([a-z_]+(@[0-9.]+)?:)?({_VARIANT})",
    "detector": r"[a-z0-9][a-z0-9_.-]*",
    "backbone": r"[a-z0-9][a-z0-9_.-]*",
}


@dataclass(frozen=True, order=True)
class Cell:
    """One (dataset, variant, detector, backbone) and its files; the variant may be a derived one (``fuse_mean:mesh.none``).

    ``scores`` may be None: error rates are then left out. Where the files lie makes no other cell.
    """

    dataset: str
    variant: str
    detector: str
    backbone: str
    similarity: Path = field(compare=False)
    scores: Path | None = field(compare=False, default=None)

    @property
    def of(self) -> Variant:
        """What the variant's name says."""
        return parse(self.variant)

    @property
    def judge(self) -> tuple[str, str]:
        return self.detector, self.backbone


def cell(dataset: str, variant: str, detector: str, backbone: str) -> Cell:
    """A cell with its files where the workflow puts them."""
    folder = Path(RESULTS, "similarity", dataset, variant, detector)
    return Cell(dataset, variant, detector, backbone, folder / f"{backbone}.parquet", folder / f"{backbone}.scores.parquet")


def cell_of(path: str | os.PathLike[str]) -> Cell:
    """The cell of ``.../<dataset>/<variant>/<detector>/<backbone>.parquet``; its scores lie beside it where there are any."""
    file = Path(path)
    backbone = file.name.removesuffix(".parquet")
    scores = file.with_name(f"{backbone}.scores.parquet")
    dataset, variant, detector = file.parts[-4:-1]
    return Cell(dataset, variant, detector, backbone, file, scores if scores.is_file() else None)


def variants(config: Config) -> list[str]:
    """All variants: ``original`` first, then every frontalizer with its enhancements."""
    return [ORIGINAL, *(made(f.name, e) for f in config.frontalizers for e in f.enhancements)]


def cells(config: Config) -> Iterator[Cell]:
    """Every cell of the grid, in a fixed order: the variants with pixels of their own, then the derived ones."""
    for dataset in config.datasets:
        for variant in [*variants(config), *config.derived]:
            for detector in config.detectors:
                for backbone in config.backbones:
                    yield cell(dataset.name, variant, detector, backbone)


def images_path(dataset: str, variant: str, shard: str) -> str:
    """The table that holds the pixels of a variant: images, frontals (``*.none``), turned references or variants."""
    of = parse(variant)
    if of.is_original:
        return f"{RESULTS}/images/{dataset}/{shard}.parquet"
    if of.is_plain or of.enhancement == TURNED:
        return f"{RESULTS}/{'frontals' if of.is_plain else TURNED}/{dataset}/{of.frontalizer}/{shard}.parquet"
    return f"{RESULTS}/variants/{dataset}/{variant}/{shard}.parquet"


def drawn_path(dataset: str, variant: str, network: str, shard: str) -> str:
    """What a network that several enhancements share drew of the images of ``variant``."""
    return f"{RESULTS}/drawn/{dataset}/{variant}/{network}/{shard}.parquet"


def crops_path(dataset: str, variant: str, detector: str, shard: str) -> str:
    return f"{RESULTS}/crops/{dataset}/{variant}/{detector}/{shard}.parquet"


def embeddings_path(dataset: str, variant: str, detector: str, backbone: str, shard: str) -> str:
    return f"{RESULTS}/embeddings/{dataset}/{variant}/{detector}/{backbone}/{shard}.parquet"


def pose_path(dataset: str, variant: str, shard: str) -> str:
    return f"{RESULTS}/pose/{dataset}/{variant}/{shard}.parquet"


def benchmark_path(dataset: str, variant: str, shard: str) -> str:
    """Snakemake's benchmark file of the job that made the images of a variant other than ``original``."""
    of = parse(variant)
    job = f"frontalize/{dataset}/{of.frontalizer}" if of.is_plain else f"enhance/{dataset}/{variant}"
    return f"logs/benchmarks/{job}/{shard}.tsv"


def quality_path(dataset: str, variant: str, detector: str) -> str:
    return f"{RESULTS}/quality/{dataset}/{variant}/{detector}.parquet"


def distribution_path(dataset: str, variant: str, detector: str) -> str:
    return f"{RESULTS}/distribution/{dataset}/{variant}/{detector}.parquet"


@dataclass(frozen=True)
class Selection:
    """What a summary is made of, small enough for a command line: names, from which every path follows.

    ``datasets``: name -> shards; ``variants``: with pixels of their own; ``derived``: made of embeddings; ``yaw_bins``: dataset -> edges in
    degrees, where the configuration lays its own over the card's.
    """

    datasets: dict[str, list[str]]
    variants: list[str]
    derived: list[str]
    detectors: list[str]
    backbones: list[str]
    yaw_bins: dict[str, list[float]] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> Selection:
        """Raises :class:`BadInput` for anything but what :meth:`to_json` wrote."""
        try:
            return Selection(**json.loads(text))
        except (json.JSONDecodeError, TypeError) as error:
            raise BadInput(f"--grid: expected the JSON that a rule passes ({error})") from None

    def cells(self) -> Iterator[Cell]:
        """Every cell, in the order of :func:`cells`."""
        for dataset in self.datasets:
            for variant in [*self.variants, *self.derived]:
                for detector in self.detectors:
                    for backbone in self.backbones:
                        yield cell(dataset, variant, detector, backbone)

    def judges(self) -> list[tuple[str, str]]:
        """(detector, backbone) pairs, those of the configuration's first detector first."""
        return [(detector, backbone) for detector in self.detectors for backbone in self.backbones]

    def similarity(self) -> list[str]:
        return [str(one.similarity) for one in self.cells()]

    def images(self) -> list[str]:
        """Tables with pixels: images, frontals, variants."""
        return [images_path(d, v, s) for d, shards in self.datasets.items() for v in self.variants for s in shards]

    def crops(self) -> list[str]:
        return [
            crops_path(d, v, n, s) for d, shards in self.datasets.items() for v in self.variants for n in self.detectors for s in shards
        ]

    def embeddings(self) -> list[str]:
        """Those of the first detector and backbone, by which figures choose images."""
        judge = (self.detectors[0], self.backbones[0])
        return [embeddings_path(d, v, *judge, s) for d, shards in self.datasets.items() for v in self.variants for s in shards]

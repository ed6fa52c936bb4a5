"""The grid: which variants, cells and files a configuration asks for. No Snakemake in here.

Paths are relative to the project folder and mirror the wildcards, so a look at ``results/`` tells what has run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from frontalbench.catalogue.config import Config
from frontalbench.errors import BadInput

ORIGINAL = "original"
RESULTS = "results"

WILDCARDS = {
    "dataset": r"[a-z0-9][a-z0-9_.-]*",
    "shard": r"[0-9]{4}",
    "frontalizer": r"[a-z0-9][a-z0-9_]*",
    "enhancement": r"[a-z0-9_]+(\+[a-z0-9_]+)*",
    "variant": r"original|[a-z0-9][a-z0-9_]*\.[a-z0-9_]+(\+[a-z0-9_]+)*",
    "judged": r"([a-z_]+(@[0-9.]+)?:)?(original|[a-z0-9][a-z0-9_]*\.[a-z0-9_]+(\+[a-z0-9_]+)*)",
    "detector": r"[a-z0-9][a-z0-9_.-]*",
    "backbone": r"[a-z0-9][a-z0-9_.-]*",
}


@dataclass(frozen=True, order=True)
class Cell:
    """One (dataset, variant, detector, backbone); the variant may be a derived one (``fuse_mean:mesh.none``)."""

    dataset: str
    variant: str
    detector: str
    backbone: str

    @property
    def similarity(self) -> str:
        return f"{RESULTS}/similarity/{self.dataset}/{self.variant}/{self.detector}/{self.backbone}.parquet"

    @property
    def scores(self) -> str:
        return f"{RESULTS}/similarity/{self.dataset}/{self.variant}/{self.detector}/{self.backbone}.scores.parquet"


def variant_name(frontalizer: str, enhancement: str) -> str:
    """``<frontalizer>.<enhancement>``."""
    return f"{frontalizer}.{enhancement}"


def split_variant(variant: str) -> tuple[str, str]:
    """(frontalizer, enhancement) of a variant other than ``original``."""
    frontalizer, _, enhancement = variant.partition(".")
    return frontalizer, enhancement


def variants(config: Config) -> list[str]:
    """All variants: ``original`` first, then every frontalizer with its enhancements."""
    return [ORIGINAL, *(variant_name(f.name, e) for f in config.frontalizers for e in f.enhancements)]


def pixels_of(variant: str) -> str:
    """The variant whose pixels are judged: of a derived one the part behind the colon."""
    return variant.rpartition(":")[2]


MATCHED = "pose_matched:"
TURNED = "turned"
"""In place of an enhancement: the references of a dataset, turned to the probes' angles. It has crops and embeddings, but is judged in no cell."""


def probes_of(variant: str) -> str:
    """The variant whose embeddings stand for the probes of a cell."""
    return ORIGINAL if variant.startswith(MATCHED) else pixels_of(variant)


def turned_of(variant: str) -> str:
    """The turned references that a cell needs, "" for none."""
    return variant_name(split_variant(pixels_of(variant))[0], TURNED) if variant.startswith(MATCHED) else ""


def cells(config: Config) -> Iterator[Cell]:
    """Every cell of the grid, in a fixed order: the variants with pixels of their own, then the derived ones."""
    for dataset in config.datasets:
        for variant in [*variants(config), *config.derived]:
            for detector in config.detectors:
                for backbone in config.backbones:
                    yield Cell(dataset.name, variant, detector, backbone)


def pictures_path(dataset: str, variant: str, shard: str) -> str:
    """The table that holds the pixels of a variant: images, frontals (``*.none``), turned references or variants."""
    if variant == ORIGINAL:
        return f"{RESULTS}/images/{dataset}/{shard}.parquet"
    frontalizer, enhancement = split_variant(variant)
    if enhancement in ("none", TURNED):
        return f"{RESULTS}/{'frontals' if enhancement == 'none' else TURNED}/{dataset}/{frontalizer}/{shard}.parquet"
    return f"{RESULTS}/variants/{dataset}/{variant}/{shard}.parquet"


def crops_path(dataset: str, variant: str, detector: str, shard: str) -> str:
    return f"{RESULTS}/crops/{dataset}/{variant}/{detector}/{shard}.parquet"


def embeddings_path(dataset: str, variant: str, detector: str, backbone: str, shard: str) -> str:
    return f"{RESULTS}/embeddings/{dataset}/{variant}/{detector}/{backbone}/{shard}.parquet"


def pose_path(dataset: str, variant: str, shard: str) -> str:
    return f"{RESULTS}/pose/{dataset}/{variant}/{shard}.parquet"


def benchmark_path(dataset: str, variant: str, shard: str) -> str:
    """Snakemake's benchmark file of the job that made the pictures of a variant other than ``original``."""
    frontalizer, enhancement = split_variant(variant)
    made = f"frontalize/{dataset}/{frontalizer}" if enhancement == "none" else f"enhance/{dataset}/{variant}"
    return f"logs/benchmarks/{made}/{shard}.tsv"


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
                        yield Cell(dataset, variant, detector, backbone)

    def judges(self) -> list[tuple[str, str]]:
        """(detector, backbone) pairs, those of the configuration's first detector first."""
        return [(detector, backbone) for detector in self.detectors for backbone in self.backbones]

    def similarity(self) -> list[str]:
        return [cell.similarity for cell in self.cells()]

    def pictures(self) -> list[str]:
        """Tables with pixels: images, frontals, variants."""
        return [pictures_path(d, v, s) for d, shards in self.datasets.items() for v in self.variants for s in shards]

    def crops(self) -> list[str]:
        return [
            crops_path(d, v, n, s) for d, shards in self.datasets.items() for v in self.variants for n in self.detectors for s in shards
        ]

    def embeddings(self) -> list[str]:
        """Those of the first detector and backbone, by which figures choose pictures."""
        judge = (self.detectors[0], self.backbones[0])
        return [embeddings_path(d, v, *judge, s) for d, shards in self.datasets.items() for v in self.variants for s in shards]

"""The files of a run, told apart by their paths, so that a rule or a person just lists them.

Paths mirror the wildcards (:mod:`frontalbench.plan.grid`): ``images/DATASET/SHARD.parquet``, ``frontals/DATASET/FRONTALIZER/SHARD.parquet``,
``variants/DATASET/VARIANT/SHARD.parquet``, ``crops/DATASET/VARIANT/DETECTOR/SHARD.parquet``,
``embeddings/DATASET/VARIANT/DETECTOR/BACKBONE/SHARD.parquet``, ``similarity/DATASET/VARIANT/DETECTOR/BACKBONE.parquet``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from frontalbench.errors import BadInput
from frontalbench.plan.grid import Cell, cell, cell_of
from frontalbench.plan.variant import ORIGINAL, made

# Parts between the stage's folder and the file itself.
_DEPTH = {"images": 1, "frontals": 2, "variants": 2, "crops": 3, "embeddings": 4, "similarity": 3}


@dataclass(frozen=True)
class Inputs:
    """The files of one dataset. Shards are sorted by name; variants keep the order in which they were first seen, ``original`` first."""

    dataset: str
    images: Mapping[str, tuple[Path, ...]]  # variant -> shards with pixels (images, frontals, variants)
    crops: Mapping[tuple[str, str], tuple[Path, ...]]  # (variant, detector) -> shards
    embeddings: Mapping[Cell, tuple[Path, ...]]
    similarity: Mapping[Cell, Path]

    @property
    def judges(self) -> list[tuple[str, str]]:
        """(detector, backbone) pairs that have similarity tables, in the order seen."""
        return list(dict.fromkeys((c.detector, c.backbone) for c in self.similarity))

    @property
    def variants(self) -> list[str]:
        """Variants other than ``original``, in the order seen."""
        names = [*(c.variant for c in self.similarity), *self.images]
        return [name for name in dict.fromkeys(names) if name != ORIGINAL]

    def similarity_of(self, variant: str, judge: tuple[str, str]) -> Path:
        """The similarity table of a cell; raises :class:`BadInput` naming what is missing."""
        wanted = cell(self.dataset, variant, *judge)
        if wanted not in self.similarity:
            raise BadInput(f"figure: the similarity table {wanted.similarity} is needed too; add it to the inputs")
        return self.similarity[wanted]


def sort_out(paths: Iterable[str | Path]) -> Inputs:
    """Sort ``paths`` by stage; raises :class:`BadInput` for a path of no known stage, and for files of several datasets."""
    images: dict[str, list[Path]] = {}
    crops: dict[tuple[str, str], list[Path]] = {}
    embeddings: dict[Cell, list[Path]] = {}
    similarity: dict[Cell, Path] = {}
    datasets: dict[str, Path] = {}
    for path in map(Path, paths):
        stage, names = _stage(path)
        datasets.setdefault(names[0], path)
        if stage == "images":
            images.setdefault(ORIGINAL, []).append(path)
        elif stage == "frontals":
            images.setdefault(made(names[1]), []).append(path)
        elif stage == "variants":
            images.setdefault(names[1], []).append(path)
        elif stage == "crops":
            crops.setdefault((names[1], names[2]), []).append(path)
        elif stage == "embeddings":
            embeddings.setdefault(cell(names[0], names[1], names[2], names[3]), []).append(path)
        elif not path.name.endswith(".scores.parquet"):
            similarity[cell_of(path)] = path
    if len(datasets) != 1:
        seen = ", ".join(f"'{name}' ({path})" for name, path in sorted(datasets.items())) or "none"
        raise BadInput(f"figure: the inputs should belong to one dataset, found: {seen}")
    return Inputs(
        dataset=next(iter(datasets)),
        images={name: tuple(sorted(shards)) for name, shards in images.items()},
        crops={key: tuple(sorted(shards)) for key, shards in crops.items()},
        embeddings={cell: tuple(sorted(shards)) for cell, shards in embeddings.items()},
        similarity=similarity,
    )


def by_dataset(paths: Iterable[str | Path]) -> dict[str, Inputs]:
    """:func:`sort_out` for the files of several datasets, in the order in which these were first seen."""
    parts: dict[str, list[Path]] = {}
    for path in map(Path, paths):
        parts.setdefault(_stage(path)[1][0], []).append(path)
    return {name: sort_out(files) for name, files in parts.items()}


def _stage(path: Path) -> tuple[str, list[str]]:
    parts = path.parts
    for stage, depth in _DEPTH.items():
        if len(parts) >= depth + 2 and parts[-depth - 2] == stage and path.suffix == ".parquet":
            return stage, [*parts[-depth - 1 : -1], path.name]
    raise BadInput(
        f"{path}: not a file of a known stage; expected .../STAGE/DATASET/... with STAGE one of {', '.join(_DEPTH)} (see docs/figures.md)"
    )

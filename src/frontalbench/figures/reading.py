"""The tables of one dataset as figures ask for them: each is read once, and kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from frontalbench.errors import BadInput
from frontalbench.figures import examples, series
from frontalbench.figures.inputs import Inputs
from frontalbench.plan import grid
from frontalbench.plan.variant import ORIGINAL

if TYPE_CHECKING:
    from frontalbench.images import RGB


@dataclass
class Reading:
    """``notice``: ``""``, ``synthetic``, ``research`` or ``own`` (:func:`frontalbench.datasets.licence.notice`). ``synthetic`` stands on
    every figure, the others where faces are seen, as does ``credit``, the line that the licence asks for; ``examples``: rows per kind in
    the image grids."""

    inputs: Inputs
    notice: str = ""
    edges: Sequence[float] = series.YAW_EDGES
    examples: int = 3
    credit: str = ""
    _similarity: dict[Path, pa.Table] = field(default_factory=dict, init=False, repr=False)

    def _table(self, variant: str, judge: tuple[str, str]) -> pa.Table:
        path = self.inputs.similarity_of(variant, judge)
        if path not in self._similarity:
            self._similarity[path] = series.read_similarity(path)
        return self._similarity[path]

    def _judged(self, judge: tuple[str, str]) -> dict[str, pa.Table]:
        return {
            v: self._table(v, judge) for v in self.inputs.variants if grid.cell(self.inputs.dataset, v, *judge) in self.inputs.similarity
        }

    def _gains(self, variant: str, judge: tuple[str, str]) -> series.Gains:
        return series.gains(variant, self._table(ORIGINAL, judge), self._table(variant, judge))

    @cached_property
    def _original_images(self) -> tuple[Path, ...]:
        if ORIGINAL not in self.inputs.images:
            raise BadInput("figure: the image shards results/images/DATASET/*.parquet are needed too; add them to the inputs")
        return self.inputs.images[ORIGINAL]

    def _images(self, variant: str, ids: Sequence[str]) -> dict[str, RGB | None]:
        return examples.pixels_of(self.inputs.images.get(variant, ()), ids)

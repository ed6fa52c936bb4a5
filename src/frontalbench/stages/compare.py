"""embeddings of a variant and of `original` -> similarity table and pair scores of one cell."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from frontalbench import tables
from frontalbench.compare.cell import compare_cell
from frontalbench.compare.feature import FeatureMap
from frontalbench.stages.common import provenance


def compare(
    images: Sequence[str | os.PathLike[str]],
    embeddings: Sequence[str | os.PathLike[str]],
    references: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    scores_out: str | os.PathLike[str],
    *,
    pose: Sequence[str | os.PathLike[str]] = (),
    roles: Mapping[str, Any] | None = None,
    variant: str = "",
    feature: FeatureMap | None = None,
    turned: Sequence[str | os.PathLike[str]] = (),
    edges: Sequence[float] = (),
    quality: str | os.PathLike[str] | None = None,
    mirrored: Sequence[str | os.PathLike[str]] = (),
    threads: int = 0,
) -> dict[str, int]:
    """Write the two tables of a cell (see :func:`frontalbench.compare.cell.compare_cell`); returns the counts of the cell."""
    result = compare_cell(
        images,
        embeddings,
        references,
        pose=pose,
        roles=roles,
        variant=variant,
        feature=feature,
        turned=turned,
        edges=edges,
        quality=quality,
        mirrored=mirrored,
    )
    inputs = dict.fromkeys(
        str(path) for path in (*pose, *embeddings, *references, *turned, *mirrored, *([quality] if quality else []))
    )  # images are known by the sha256 of each image
    record = provenance("compare", inputs, threads=threads, device="cpu", counts=result.report, variant=variant)
    tables.write(scores_out, result.scores, record, row_group_size=65536)
    tables.write(out, result.similarity, record, row_group_size=65536)
    return result.report

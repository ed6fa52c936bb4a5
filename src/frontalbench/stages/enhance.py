"""frontals -> variants."""

from __future__ import annotations

import os
from collections.abc import Callable

from frontalbench import tables
from frontalbench.enhance.base import Enhancement
from frontalbench.images import RGB
from frontalbench.stages.common import Row, each_picture, provenance, run_shard
from frontalbench.stages.outcomes import picture_row

BATCH = 8


def enhance_shard(
    pictures: str | os.PathLike[str],
    out: str | os.PathLike[str],
    chain: str,
    digest: str,
    make: Callable[[], Enhancement],
    *,
    threads: int = 1,
    device: str = "cpu",
) -> dict[str, int]:
    """Run an enhancement (or chain) over every picture of a shard; returns rows by status."""
    record = provenance("enhance", [pictures], card=chain, card_digest=digest, threads=threads, device=device)

    def work(enhancement: Enhancement, rows: list[Row]) -> list[Row]:
        def run(places: list[int], decoded: list[RGB]) -> list[Row]:
            return [picture_row(rows[i], outcome) for i, outcome in zip(places, enhancement.enhance(decoded), strict=True)]

        return each_picture(rows, run)

    return run_shard(pictures, out, tables.FRONTALS, record, make, work, batch=BATCH)

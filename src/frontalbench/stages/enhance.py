"""frontals -> variants."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from frontalbench import images, status, tables
from frontalbench.enhance.base import Enhancement, apply, looks_at_photographs
from frontalbench.errors import BadInput, Unreadable
from frontalbench.images import RGB
from frontalbench.stages.common import PICTURES, Row, each_picture, provenance, run_shard
from frontalbench.stages.outcomes import picture_row

BATCH = 8


def enhance_shard(
    pictures: str | os.PathLike[str],
    out: str | os.PathLike[str],
    chain: str,
    digest: str,
    make: Callable[[], Enhancement],
    *,
    photographs: str | os.PathLike[str] | None = None,
    threads: int = 1,
    device: str = "cpu",
) -> dict[str, int]:
    """Run an enhancement (or chain) over every picture of a shard; returns rows by status.

    ``photographs``: the images that the pictures were made of, a table with the same ``image_id``s, for enhancements that look at them; their file is
    read only then. Raises :class:`BadInput` where it is needed and was not given, and where a picture's photograph is not in it.
    """
    inputs = [pictures] if photographs is None else [pictures, photographs]
    record = provenance("enhance", inputs, card=chain, card_digest=digest, threads=threads, device=device)
    beside = _Photographs(photographs)

    def work(enhancement: Enhancement, rows: list[Row]) -> list[Row]:
        wanted = looks_at_photographs(enhancement)
        if wanted and photographs is None:
            raise BadInput(f"enhancement '{chain}' looks at the photographs that the pictures were made of; give --photographs")

        def run(places: list[int], decoded: list[RGB]) -> list[Row]:
            seen = beside.of([rows[i]["image_id"] for i in places]) if wanted else [None] * len(places)
            return [picture_row(rows[i], outcome) for i, outcome in zip(places, apply(enhancement, decoded, seen), strict=True)]

        return each_picture(rows, run)

    return run_shard(pictures, out, tables.FRONTALS, record, make, work, batch=BATCH)


class _Photographs:
    """Photographs by the names of their pictures, asked for in the order of the shard: the file is read once, a few rows at a time."""

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._path = path
        self._rows: Iterator[Row] = iter(()) if path is None else self._all(path)

    @staticmethod
    def _all(path: str | os.PathLike[str]) -> Iterator[Row]:
        for rows in tables.iterate(path, PICTURES, batch=BATCH):
            yield from rows

    def of(self, names: Sequence[str]) -> list[RGB | None]:
        """The photograph of each name, None where it cannot be read."""
        found: list[RGB | None] = []
        for name in names:
            row = next((row for row in self._rows if row["image_id"] >= name), None)
            if row is None or row["image_id"] != name:
                raise BadInput(f"{self._path}: no row for image '{name}'; it belongs to another version of this shard, make it anew")
            try:
                found.append(images.decode(row["image"]) if row["status"] == status.OK else None)
            except Unreadable:
                found.append(None)
        return found

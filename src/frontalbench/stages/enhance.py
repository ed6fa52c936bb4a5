"""frontals -> variants, step by step: a longer chain is made of the shorter one's table, and cards that share a network of what it drew."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from frontalbench import images, status, tables
from frontalbench.enhance.base import Enhancement, Refused, apply, looks_at_photographs
from frontalbench.enhance.drawn import Drawer, Drawn, Finisher, packed, unpacked
from frontalbench.errors import BadInput, Unreadable, one_line, raise_if_memory_ran_out
from frontalbench.frontalize.base import Outcome
from frontalbench.images import RGB
from frontalbench.stages import overlap
from frontalbench.stages.common import IMAGES, Row, each_image, failed, head, of_another_shard, provenance, run_shard
from frontalbench.stages.outcomes import image_row
from frontalbench.types import Float32
from frontalbench.upkeep import environment

BATCH = 8
_WITH_SECONDS = tables.image_schema([*IMAGES.names, "seconds"])


def enhance_shard(
    shard: str | os.PathLike[str],
    out: str | os.PathLike[str],
    chain: str,
    digest: str,
    make: Callable[[], Enhancement],
    *,
    after: str = "",
    photographs: str | os.PathLike[str] | None = None,
    threads: int = 1,
    device: str = "cpu",
) -> dict[str, int]:
    """Run an enhancement (or chain) over every image of a shard; returns rows by status.

    ``after``: the steps of ``chain`` that have already been done to ``shard``; ``make`` gives the others. Their seconds are added.
    ``photographs``: what the images were made of, a table with the same ``image_id``s, for enhancements that look at them; their file is
    read only then. Raises :class:`BadInput` where it is needed and was not given, and where an image's photograph is not in it.
    """
    about = _about(chain, digest, threads, device, [shard] if after else [])
    record = provenance("enhance", [shard] if photographs is None else [shard, photographs], **about)
    beside = _Photographs(photographs)

    def work(enhancement: Enhancement, rows: list[Row]) -> list[Row]:
        wanted = looks_at_photographs(enhancement)
        if wanted and photographs is None:
            raise BadInput(f"enhancement '{chain}' looks at the photographs that the images were made of; give --photographs")

        def run(places: list[int], decoded: list[RGB]) -> list[Row]:
            seen = beside.of([rows[i]["image_id"] for i in places]) if wanted else [None] * len(places)
            outcomes = zip(places, apply(enhancement, decoded, seen), strict=True)
            return [_after(image_row(rows[i], outcome, pool), rows[i] if after else {}) for i, outcome in outcomes]

        return each_image(rows, run, pool=pool)

    with overlap.helpers(device) as pool:
        return run_shard(shard, out, tables.FRONTALS, record, make, work, batch=BATCH, columns=_WITH_SECONDS if after else IMAGES)


def draw_shard(
    shard: str | os.PathLike[str],
    out: str | os.PathLike[str],
    card: str,
    digest: str,
    make: Callable[[], Drawer],
    *,
    threads: int = 1,
    device: str = "cpu",
) -> dict[str, int]:
    """The first step of cards that work in two: what their network draws of every image of a shard, as a table of :data:`tables.DRAWN`."""
    record = provenance("draw", [shard], **_about(card, digest, threads, device, []))

    def work(drawer: Drawer, rows: list[Row]) -> list[Row]:
        def one(row: Row, image: RGB) -> Row:
            drawn, word, detail, seconds = _tried(lambda: drawer.draw(image))
            if drawn is None:
                return failed(row, word, detail)
            stored = _packed(drawn.pixels) if pool is None else pool.submit(_packed, drawn.pixels)
            return {**head(row), "status": status.OK, "seconds": seconds, "matrix": drawn.matrix.reshape(-1).tolist(), "image": stored}

        return each_image(rows, lambda places, decoded: [one(rows[i], image) for i, image in zip(places, decoded, strict=True)], pool=pool)

    with overlap.helpers(device) as pool:
        return run_shard(shard, out, tables.DRAWN, record, make, work, batch=BATCH)


def _packed(pixels: Float32) -> bytes:
    return images.encode_png(packed(pixels))


def finish_shard(
    shard: str | os.PathLike[str],
    drawn: str | os.PathLike[str],
    out: str | os.PathLike[str],
    chain: str,
    digest: str,
    make: Callable[[], Finisher],
    *,
    after: str = "",
    threads: int = 1,
) -> dict[str, int]:
    """The second step: ``drawn`` is what :func:`draw_shard` made of the same ``shard``. The rest as in :func:`enhance_shard`; the network's
    seconds are part of each row's. It runs on the processor alone, wherever the network ran, so nothing lies beside a GPU here.

    Raises BadInput when the two tables do not belong together.
    """
    device = str(tables.provenance(drawn).get("device") or "cpu")
    about = _about(chain, digest, threads, device, [drawn, *([shard] if after else [])])
    record = provenance("enhance", [shard], **about)
    record["software"] = environment.union([environment.of_record(record), environment.of_record(tables.provenance(drawn), drawn)])
    faces = (row for group in tables.iterate(drawn, tables.DRAWN, batch=BATCH) for row in group)

    def work(finisher: Finisher, rows: list[Row]) -> list[Row]:
        none: Row = {"image_id": None}
        of_row = [next(faces, none) for _ in rows]
        for row, face in zip(rows, of_row, strict=True):
            if row["image_id"] != face["image_id"]:
                raise of_another_shard(drawn, row["image_id"])
        skip = {
            i: failed(row, str(face["status"]), str(face["detail"]))
            for i, (row, face) in enumerate(zip(rows, of_row, strict=True))
            if row["status"] == status.OK and face["status"] != status.OK
        }

        def one(row: Row, face: Row, image: RGB) -> Row:
            pixels = unpacked(images.decode(face["image"]))
            matrix = np.asarray(face["matrix"], np.float64).reshape(2, 3)
            finished, word, detail, seconds = _tried(lambda: finisher.finish(image, Drawn(pixels, matrix)))
            outcome = Outcome(finished, word, detail, seconds + float(face["seconds"]))
            return _after(image_row(row, outcome), row if after else {})

        return each_image(
            rows, lambda places, decoded: [one(rows[i], of_row[i], d) for i, d in zip(places, decoded, strict=True)], skip=skip
        )

    return run_shard(shard, out, tables.FRONTALS, record, make, work, batch=BATCH, columns=_WITH_SECONDS if after else IMAGES)


def _about(chain: str, digest: str, threads: int, device: str, steps: Iterable[str | os.PathLike[str]]) -> dict[str, Any]:
    about: dict[str, Any] = {"card": chain, "card_digest": digest, "threads": threads, "device": device}
    spent = [run for path in steps for run in (tables.run_record(path), *tables.provenance(path).get("earlier_steps", []))]
    return {**about, "earlier_steps": spent} if spent else about


def _after(row: Row, before: Mapping[str, Any]) -> Row:
    """``row`` with the seconds of the steps before it."""
    return {**row, "seconds": row["seconds"] + float(before.get("seconds") or 0.0)} if row.get("seconds") is not None else row


def _tried(step: Callable[[], Any]) -> tuple[Any, str, str, float]:
    """What a step gives (None where it failed), its status, why, and its seconds: one bad image is a row and not the end of a shard."""
    started = time.perf_counter()
    try:
        made = step()
    except Refused as refused:
        return None, refused.word, one_line(refused), 0.0
    except Exception as error:  # noqa: BLE001 - OpenCV, ONNX Runtime and torch share no base class
        raise_if_memory_ran_out(error)
        return None, status.MODEL_ERROR, f"{type(error).__name__}: {one_line(error)}", 0.0
    return made, status.OK, "", time.perf_counter() - started


class _Photographs:
    """Photographs by the names of their images, asked for in the order of the shard: the file is read once, a few rows at a time."""

    def __init__(self, path: str | os.PathLike[str] | None) -> None:
        self._path = path
        self._rows: Iterator[Row] = iter(()) if path is None else self._all(path)

    @staticmethod
    def _all(path: str | os.PathLike[str]) -> Iterator[Row]:
        for rows in tables.iterate(path, IMAGES, batch=BATCH):
            yield from rows

    def of(self, names: Sequence[str]) -> list[RGB | None]:
        """The photograph of each name, None where it cannot be read."""
        found: list[RGB | None] = []
        for name in names:
            row = next((row for row in self._rows if row["image_id"] >= name), None)
            if row is None or row["image_id"] != name:
                raise of_another_shard(self._path, name)
            try:
                found.append(images.decode(row["image"]) if row["status"] == status.OK else None)
            except Unreadable:
                found.append(None)
        return found

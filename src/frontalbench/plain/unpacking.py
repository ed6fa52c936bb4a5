"""A shard as a folder again: a PNG per image under the same relative name, and ``rows.csv`` with a row for every image of the shard.

The way in is :mod:`.folders`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from frontalbench import images, status, tables
from frontalbench.enhance.chain import JOIN
from frontalbench.errors import BadInput
from frontalbench.files import atomic
from frontalbench.plain.folders import HEADER, ROWS, enhancements_of, frontalizers_of, photos_of, read_list

_LONGEST = 255
"""Bytes of the longest file name that file systems take."""


def unpack_before_after(before: Path, after: Path, out: Path, *, source: Path | None = None, enhancement: str = "") -> None:
    """Write the images of two shards with the same names into ``out/before`` and ``out/after``, each with its ``rows.csv``.

    ``source``: as in :func:`unpack_rows`, of both; ``enhancement``: the chain that lies between them.
    """
    for name, table, chain in (("before", before, ""), ("after", after, enhancement)):
        unpack_rows(table, out / name, source=source, enhancement=chain)


def unpack(
    table: Path, out: Path, *, source: Path | None = None, frontalizer: str = "", enhancement: str = "", beside: Path | None = None
) -> dict[str, int]:
    """Write the images of a shard into ``out`` as PNG under their relative names, and a ``rows.csv``; returns rows by status.

    As :func:`unpack_rows`.
    """
    rows = unpack_rows(table, out, source=source, frontalizer=frontalizer, enhancement=enhancement, beside=beside)
    return dict(Counter(row["status"] for row in rows.values()))


def unpack_rows(
    table: Path, out: Path, *, source: Path | None = None, frontalizer: str = "", enhancement: str = "", beside: Path | None = None
) -> dict[str, dict[str, str]]:
    """Write the images of a shard into ``out`` as PNG under their relative names, and a ``rows.csv``; returns its rows (:data:`HEADER`) by name.

    ``source``: the shard of :func:`.folders.write_shard` at the beginning, for the photographs' names, the frontalizer and the
    enhancements behind each image; ``frontalizer``: the card that made all of them now, ``enhancement``: the chain that was done to them now.
    ``beside``: another shard of the same images; each is written to the left of its image,
    scaled to the same height. Images that an earlier run listed in ``out`` and this one does not make are removed.

    Names come from the file system that :func:`.folders.write_shard` read, and are checked again: nothing is written outside ``out``.
    """
    out.mkdir(parents=True, exist_ok=True)
    photos, turned, earlier = (
        (photos_of(source), frontalizers_of(source), {} if frontalizer else enhancements_of(source)) if source is not None else ({}, {}, {})
    )
    before = {entry.file for entry in read_list(out / ROWS, out) or []} - {""} if (out / ROWS).is_file() else set()
    rows = []
    taken: set[str] = set()
    schema = tables.image_schema(["image_id", "identity", "status", "detail", "image"])
    others = itertools.chain.from_iterable(tables.iterate(beside, schema)) if beside is not None else itertools.repeat(None)
    for batch in tables.iterate(table, schema):
        for row, other in zip(batch, others, strict=False):  # `others` may be endless
            name = ""
            if row["status"] == status.OK:
                target = _inside(out, _png_name(row["image_id"], taken))
                if target is None:
                    raise BadInput(f"{table}: image '{row['image_id']}' would be written outside {out}")
                atomic.write_bytes(target, _side_by_side(other["image"], row["image"]) if other is not None else row["image"])
                name = target.relative_to(out).as_posix()
            image_id = row["image_id"]
            made_by = frontalizer or turned.get(image_id, "")
            chain = JOIN.join(filter(None, (earlier.get(image_id, ""), enhancement)))
            rows.append([image_id, row["identity"], row["status"], row["detail"], name, photos.get(image_id, image_id), made_by, chain])
    write_rows(out / ROWS, list(HEADER), rows)
    for name in sorted(before - {row[4] for row in rows}):
        left = _inside(out, name)
        if left is not None and left.is_file():
            left.unlink()
    return {row[0]: dict(zip(HEADER, row, strict=True)) for row in rows}


def _inside(out: Path, name: str) -> Path | None:
    """The path of ``name`` in ``out``; None where it would lie outside."""
    target = out / name
    return target if target.resolve().is_relative_to(out.resolve()) else None


def _side_by_side(left: bytes, right: bytes) -> bytes:
    """PNG of two images next to each other, both as high as the right one."""
    first, second = images.decode(left), images.decode(right)
    height = second.shape[0]
    width = max(1, round(first.shape[1] * height / first.shape[0]))
    return images.encode_png(np.hstack([cv2.resize(first, (width, height), interpolation=cv2.INTER_AREA), second]))


def _png_name(image_id: str, taken: set[str]) -> str:
    """``a/b.jpg`` -> ``a/b.png``, or ``a/b.jpg.png`` where ``a/b.png`` is another image's already; cut and with a hash where that is too long."""
    name = _short(Path(image_id).with_suffix(".png").as_posix(), image_id)
    if name in taken:
        name = _short(f"{image_id}.png", image_id)
    for number in itertools.count(2):
        if name not in taken:
            break
        name = _short(f"{image_id}.{number}.png", image_id)
    taken.add(name)
    return name


def _short(name: str, image_id: str) -> str:
    """``name`` where a file system takes it; else each part that is too long cut, with a hash of ``image_id``."""
    digest = hashlib.sha256(f"{image_id}\n{name}".encode()).hexdigest()[:8]

    def fitting(part: str) -> str:
        data = part.encode()
        if len(data) <= _LONGEST:
            return part
        ending = f"-{digest}{Path(part).suffix}" if part == last else f"-{hashlib.sha256(data).hexdigest()[:8]}"
        return data[: _LONGEST - len(ending.encode())].decode("utf-8", "ignore") + ending

    *folders, last = name.split("/")
    return "/".join(fitting(part) for part in [*folders, last])


EMBEDDED = ("image_id", "identity", "status", "detail", "photo", "frontalizer")
"""Columns of the ``rows.csv`` beside embeddings."""


def write_embedded(out: Path, shard: Path, name: str = "embeddings.parquet") -> None:
    """The ``rows.csv`` beside the embeddings ``out/name`` of a shard that :func:`.folders.write_shard` wrote."""
    photos, turned = photos_of(shard), frontalizers_of(shard)
    rows = tables.read(out / name, columns=list(EMBEDDED[:4])).to_pylist()
    write_rows(
        out / ROWS,
        list(EMBEDDED),
        ([*(row[key] for key in EMBEDDED[:4]), photos[row["image_id"]], turned.get(row["image_id"], "")] for row in rows),
    )


def write_rows(path: Path, header: list[str], rows: Iterable[Sequence[Any]]) -> None:
    """A CSV file, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    atomic.write_text(path, text.getvalue())

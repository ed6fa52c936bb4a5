"""Plain folders of pictures through the same stages that the workflow runs.

A folder becomes one shard (a temporary Parquet table), a stage runs on it, and what comes out becomes a folder again: one PNG per picture under the
same relative name, and ``rows.csv`` with a row for every input picture, failures included.
"""

from __future__ import annotations

import contextlib
import csv
import fnmatch
import hashlib
import io
import itertools
import tempfile
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from frontalbench import atomic, cards, images, status, tables
from frontalbench.detect.select import DEFAULT_POLICY
from frontalbench.detect.upright import upright
from frontalbench.errors import BadInput, Unreadable
from frontalbench.frontalize.base import View
from frontalbench.runtime import limit_threads
from frontalbench.stages.common import provenance
from frontalbench.stages.detect import detect_shard
from frontalbench.stages.faces import beside, read_faces

ROWS = "rows.csv"


def pictures_in(folder: Path, pattern: str = "*") -> list[Path]:
    """Picture files under ``folder``, sorted; names match ``pattern`` (``*.png``; matched against the file name, or against the relative path when
    the pattern holds a slash). Hidden files are left out and links to folders are not followed. Raises BadInput when there are none.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: not a folder")
    found = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if any(part.startswith(".") for part in relative.parts) or not path.is_file():
            continue
        target = relative.as_posix() if "/" in pattern else path.name
        if path.suffix.lower() in images.EXTENSIONS and fnmatch.fnmatch(target, pattern):
            found.append(path)
    if not found:
        raise BadInput(f"{folder}: no pictures that match '{pattern}' (looked for {', '.join(sorted(images.EXTENSIONS))})")
    return found


def write_shard(folder: Path, out: Path, pattern: str = "*") -> int:
    """Write the pictures of ``folder`` as one images shard; identity = the folder a picture lies in (its own name when it lies on top)."""
    rows = []
    for path in pictures_in(folder, pattern):
        relative = path.relative_to(folder)
        data = path.read_bytes()
        name = unicodedata.normalize("NFC", relative.as_posix())
        row: dict[str, Any] = {
            "image_id": name,
            "identity": relative.parts[0] if len(relative.parts) > 1 else relative.stem,
            "role": "probe",
            "sequence": "",
            "source": name,
            "sha256": hashlib.sha256(data).hexdigest(),
            "pose_source": "",
            "status": status.OK,
            "detail": "",
            "image": data,
        }
        row["subject"] = row["identity"]
        try:
            row["width"], row["height"] = images.size_of(data)
        except Unreadable as error:
            row.update(status=status.UNREADABLE, detail=str(error), image=None)
        rows.append(row)
    rows.sort(key=lambda row: row["image_id"])
    with tables.Writer(out, tables.IMAGES, provenance("folder", [], source=str(folder))) as writer:
        writer.add(rows)
    return len(rows)


@contextlib.contextmanager
def as_shard(source: Path, pattern: str = "*") -> Iterator[tuple[Path, Path]]:
    """``source`` as a shard: (Parquet table of its pictures, a temporary folder for what comes in between)."""
    with tempfile.TemporaryDirectory(prefix="frontalbench-") as temporary:
        shard = Path(temporary, "images.parquet")
        write_shard(source, shard, pattern)
        yield shard, Path(temporary)


@contextlib.contextmanager
def with_faces(
    source: Path, pattern: str, detector: str, *, policy: str = DEFAULT_POLICY, threads: int = 1, device: str = "cpu"
) -> Iterator[tuple[Path, Path, Path]]:
    """``source`` as a shard with its faces: (table of its pictures, crops table of the card ``detector``, the temporary folder they lie in)."""
    from frontalbench.detect import load_detector

    card = cards.find("detector", detector)
    with as_shard(source, pattern) as (shard, temporary):
        crops = temporary / "crops.parquet"
        detect_shard(shard, crops, card, lambda: load_detector(card, device=device), policy=policy, threads=threads, device=device)
        limit_threads(threads)  # detection works on several pictures at once with one thread each, what follows need not
        yield shard, crops, temporary


def read_views(pictures: Path, faces: Path) -> list[View]:
    """The pictures of a shard in which a face was found, with that face: what a frontalizer takes."""
    rows = tables.read(pictures, tables.IMAGES, ["image_id", "image"]).to_pylist()
    found, _ = beside(rows, read_faces(faces), faces, needed=False)
    return [View(*upright(images.decode(row["image"]), face)) for row, face in zip(rows, found, strict=True) if face is not None]


def is_shard(path: Path) -> bool:
    """Whether a ``--in`` argument names a Parquet shard rather than a folder."""
    return path.suffix == ".parquet"


def faces_of_shard(source: Path, faces: Path | None) -> Path:
    """The ``--faces`` argument that a shard needs; raises BadInput where it was not given."""
    if faces is None:
        raise BadInput(f"{source}: a shard needs --faces, the crops table that preprocess.py wrote for it")
    return faces


def unpack(table: Path, out: Path, *, beside: Path | None = None) -> dict[str, int]:
    """Write the pictures of a shard into ``out`` as PNG under their relative names, and a ``rows.csv``; returns rows by status.

    ``beside``: another shard of the same pictures; each is written to the left of its picture, scaled to the same height.

    Names come from the file system that :func:`write_shard` read, and are checked again: nothing is written outside ``out``.
    """
    out.mkdir(parents=True, exist_ok=True)
    counts: dict[str, int] = {}
    rows = []
    taken: set[str] = set()
    schema = tables.picture_schema(["image_id", "identity", "status", "detail", "image"])
    others = itertools.chain.from_iterable(tables.iterate(beside, schema)) if beside is not None else itertools.repeat(None)
    for batch in tables.iterate(table, schema):
        for row, other in zip(batch, others, strict=False):  # `others` may be endless
            counts[row["status"]] = counts.get(row["status"], 0) + 1
            name = ""
            if row["status"] == status.OK:
                target = out / _png_name(row["image_id"], taken)
                if not target.resolve().is_relative_to(out.resolve()):
                    raise BadInput(f"{table}: image '{row['image_id']}' would be written outside {out}")
                atomic.write_bytes(target, _side_by_side(other["image"], row["image"]) if other is not None else row["image"])
                name = target.relative_to(out).as_posix()
            rows.append([row["image_id"], row["identity"], row["status"], row["detail"], name])
    write_rows(out / ROWS, ["image_id", "identity", "status", "detail", "file"], rows)
    return counts


def _side_by_side(left: bytes, right: bytes) -> bytes:
    """PNG of two pictures next to each other, both as high as the right one."""
    first, second = images.decode(left), images.decode(right)
    height = second.shape[0]
    width = max(1, round(first.shape[1] * height / first.shape[0]))
    return images.encode_png(np.hstack([cv2.resize(first, (width, height), interpolation=cv2.INTER_AREA), second]))


def _png_name(image_id: str, taken: set[str]) -> str:
    """``a/b.jpg`` -> ``a/b.png``, or ``a/b.jpg.png`` where ``a/b.png`` is another picture's already."""
    name = Path(image_id).with_suffix(".png").as_posix()
    if name in taken:
        name = f"{image_id}.png"
    taken.add(name)
    return name


def write_rows(path: Path, header: list[str], rows: list[list[Any]]) -> None:
    """A CSV file, whole or not at all."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    atomic.write_text(path, text.getvalue())

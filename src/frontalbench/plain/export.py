"""Tables with images as folders for people: one file per image under a safe name, and ``index.csv`` that says which is which.

Names in tables come from other people's file systems: quotes, slashes, newlines, ``..``, leading dashes, any script. A file name made here holds
letters, digits, ``.``, ``_`` and ``-`` only, starts with a letter or digit, and ends in a short hash of the true name, so that different names
never meet, not even where the file system ignores case. Nothing is written outside the target folder.
"""

from __future__ import annotations

import csv
import hashlib
import itertools
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from frontalbench import images, status, tables
from frontalbench.files import folderswap
from frontalbench.plain import unpacking

INDEX = "index.csv"
HEADER = ["file", "image_id", "identity", "role", "status", "detail", "table"]
_SUFFIXES = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"GIF8": ".gif", b"BM": ".bmp", b"II*\x00": ".tif", b"MM\x00*": ".tif"}
_DEVICE = re.compile(r"^(con|prn|aux|nul|com[0-9]|lpt[0-9])\.", re.IGNORECASE)
_HEAD = ["image_id", "identity", "role", "status", "detail"]


def safe_name(name: str, *, most: int = 60) -> str:
    """A file name for ``name``: readable where it can be, unique by 8 hexadecimal digits of its sha256, the same every time."""
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    plain = unicodedata.normalize("NFC", name)
    kept = re.sub(r"[^\w.-]+", "_", re.sub(r"[\ud800-\udfff]", "_", plain))
    kept = kept[: -len(suffix)] if (suffix := Path(kept).suffix).lower() in images.EXTENSIONS else kept
    kept = re.sub(r"\.{2,}", "_", kept)[:most].strip("._-")
    # Windows keeps some names for devices whatever follows their first dot, so a dot that follows one goes.
    kept = _DEVICE.sub(r"\1_", kept)
    return f"{kept}-{digest}" if kept else digest


def choose(
    shards: Sequence[str | Path],
    *,
    roles: Collection[str] = (),
    statuses: Collection[str] = (status.OK,),
    limit: int = 0,
    resolved: str | Path | None = None,
) -> list[tuple[str, dict[str, Any]]]:
    """(table, row without image) of the rows to export, in ``image_id`` order per table.

    ``roles`` and ``statuses``: keep these only (empty: all). ``resolved``: a similarity table that says the role of every image, for datasets whose
    roles are decided by measured pose. ``limit``: at most so many images, one per identity and turn, so that few images show many people.
    """
    decided: Mapping[str, str] = {}
    if resolved is not None:
        table = tables.read(resolved, tables.SIMILARITY, columns=["image_id", "role"])
        decided = dict(zip(table.column("image_id").to_pylist(), table.column("role").to_pylist(), strict=True))
    kept = []
    for shard in shards:
        for row in tables.read(shard, columns=_HEAD).to_pylist():
            row["role"] = decided.get(row["image_id"], row["role"])
            if (not roles or row["role"] in roles) and (not statuses or row["status"] in statuses):
                kept.append((str(shard), row))
    if limit and len(kept) > limit:
        people: dict[str, list[int]] = {}
        for i in sorted(range(len(kept)), key=lambda i: (kept[i][1]["identity"], kept[i][1]["image_id"])):
            people.setdefault(kept[i][1]["identity"], []).append(i)
        # Everybody once before anybody twice; each person starts one image later than the one before, so that the angles differ too.
        turn = [(number, i) for j, ids in enumerate(people.values()) for number, i in enumerate(ids[j % len(ids) :] + ids[: j % len(ids)])]
        chosen = {i for _, i in sorted(turn, key=lambda entry: entry[0])[:limit]}
        kept = [entry for i, entry in enumerate(kept) if i in chosen]
    return kept


def export(rows: Sequence[tuple[str, dict[str, Any]]], out: str | Path, *, png: bool = False) -> int:
    """Write the images of ``rows`` (:func:`choose`) into ``out``, a folder per identity, and the index; returns the number of images.

    Bytes are written as they are (``png``: decoded and written as upright PNG). Rows without an image are in the index with an empty ``file``. A
    second export into the same folder replaces the first. Raises :class:`BadInput` when ``out`` holds other people's files.
    """
    written = 0
    with folderswap.replacing(Path(out), INDEX, _listed) as target:
        index: list[list[Any]] = []
        for shard, group in itertools.groupby(rows, key=lambda entry: entry[0]):
            wanted = [row for _, row in group]
            data = _images(shard, {row["image_id"] for row in wanted if row["status"] == status.OK})
            for row in wanted:
                name = ""
                content = data.pop(row["image_id"], None)
                if content is not None:
                    content = images.encode_png(images.decode(content)) if png else content
                    path = target / safe_name(row["identity"]) / f"{safe_name(row['image_id'])}{_suffix(content)}"
                    path.parent.mkdir(exist_ok=True)
                    path.write_bytes(content)
                    name = path.relative_to(target).as_posix()
                    written += 1
                index.append([name, row["image_id"], row["identity"], row["role"], row["status"], row["detail"], shard])
        unpacking.write_rows(target / INDEX, HEADER, index)
    return written


def _images(shard: str, wanted: set[str]) -> dict[str, bytes]:
    schema = tables.image_schema(["image_id", "image"])
    return {
        row["image_id"]: row["image"]
        for batch in tables.iterate(shard, schema)
        for row in batch
        if row["image_id"] in wanted and row["image"] is not None
    }


def _suffix(content: bytes) -> str:
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return ".webp"
    return next((suffix for start, suffix in _SUFFIXES.items() if content.startswith(start)), ".bin")


def _listed(index: Path) -> set[str]:
    with index.open(newline="", encoding="utf-8") as handle:
        return {row["file"] for row in csv.DictReader(handle) if row.get("file")}

"""images + a folder of results made elsewhere -> frontals."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from frontalbench import images, status, tables
from frontalbench.catalogue.cards import ModelCard
from frontalbench.compare import derived
from frontalbench.compare.metadata import read_metadata
from frontalbench.elsewhere.delivery import Photo, all_datasets, join, turned_photo
from frontalbench.errors import Unreadable
from frontalbench.frontalize import made_elsewhere
from frontalbench.stages.common import Row, failed, head, passed_through, provenance

MAX_BYTES = 256 << 20
"""A file larger than this is no image that anybody meant."""
_COLUMNS = pa.schema(
    [tables.IMAGES.field(name) for name in ("image_id", "identity", "role", "source", "sha256", "width", "height", "status", "detail")]
)


def take_delivery(
    images: str | os.PathLike[str],
    listed: str | os.PathLike[str],
    out: str | os.PathLike[str],
    card: ModelCard,
    dataset: str,
) -> tuple[dict[str, int], list[str]]:
    """Write the delivered results of one shard (``tables.FRONTALS``); ``listed``: the images of all shards, by whose names files are joined.

    A photograph without a file is ``not_delivered``, a file that cannot be decoded ``unreadable``. ``seconds`` is empty: nobody measured it. Returns
    rows by status, and what a person should know, a line each. Raises as :func:`frontalbench.elsewhere.delivery.join`.
    """
    size = made_elsewhere.load(card).size
    joined = join(card, dataset, photos_of(listed), all_datasets())
    about = {key: str(value) for key, value in card.data["delivered"].items() if key != "folder"}
    record = provenance("delivery", [images], card=card.name, card_digest=card.digest(), delivered=about)
    seen: Counter[str] = Counter()
    with tables.Writer(out, tables.FRONTALS, record) as writer:
        for rows in tables.iterate(images, _COLUMNS):
            writer.add([_row(row, joined.files.get(row["image_id"]), joined.absent.get(row["image_id"], ""), size, seen) for row in rows])
    return writer.counts, [f"{number:,} {what}" for what, number in sorted(seen.items()) if number]


def take_turned(
    images: str | os.PathLike[str],
    listed: str | os.PathLike[str],
    pose: str | os.PathLike[str],
    out: str | os.PathLike[str],
    card: ModelCard,
    dataset: str,
    *,
    roles: Mapping[str, Any] | None = None,
    edges: Sequence[float],
) -> tuple[dict[str, int], list[str]]:
    """Write the references of one shard as somebody turned them to the probes' yaw (``tables.FRONTALS``, named by :func:`derived.turned_id`).

    ``listed``, ``pose``: images and measured pose of all shards; ``roles``, ``edges`` as for a comparison. A reference that was not turned to one of
    the angles is ``not_delivered`` there. Returns and raises as :func:`take_delivery`.
    """
    size = made_elsewhere.load(card).size
    angles, references = derived.turned_references(read_metadata([listed], [pose], roles), edges)
    wanted = {name: place for place, name in enumerate(references)}
    photos = [photo for photo in photos_of(listed) if photo.image_id in wanted]
    joined = join(card, dataset, [turned_photo(photo, yaw) for photo in photos for yaw in angles], all_datasets())
    about = {key: str(value) for key, value in card.data["delivered"].items() if key != "folder"}
    record = provenance("delivery", [images, pose], card=card.name, card_digest=card.digest(), delivered=about, angles=angles)
    seen: Counter[str] = Counter()
    made: list[Row] = []
    for rows in tables.iterate(images, _COLUMNS):
        for row in (row for row in rows if row["image_id"] in wanted):
            for yaw in angles:
                name = derived.turned_id(row["image_id"], yaw)
                absent = joined.absent.get(name) or f"{row['source']} was not delivered turned to a yaw of {yaw:+d} degrees"
                made.append(_row({**row, "image_id": name}, joined.files.get(name), absent, size, seen))
    with tables.Writer(out, tables.FRONTALS, record) as writer:
        writer.add(sorted(made, key=lambda row: str(row["image_id"])))
    return writer.counts, [f"{number:,} {what}" for what, number in sorted(seen.items()) if number]


def photos_of(listed: str | os.PathLike[str]) -> Sequence[Photo]:
    """The photographs of a table of images, also those that the dataset's card leaves out."""
    return [Photo(row["image_id"], row["source"]) for row in tables.read(listed, columns=["image_id", "source"]).to_pylist()]


def _row(row: Row, file: str | None, absent: str, size: str, seen: Counter[str]) -> Row:
    if row["status"] != status.OK:
        return passed_through(row)
    if file is None:
        return failed(row, status.NOT_DELIVERED, absent or f"no result of {row['source']} was delivered")
    name = Path(file).name
    try:
        content = _content(file)
        image = images.decode(content)
    except Unreadable as error:
        return failed(row, status.UNREADABLE, f"{name}: {error}")
    except OSError as error:
        return failed(row, status.UNREADABLE, f"{name}: {error.strerror or type(error).__name__}")
    made, own = (image.shape[1], image.shape[0]), (row["width"], row["height"])
    other = made not in (own, own[::-1])
    detail = f"{made[0]} x {made[1]}, its photograph is {own[0]} x {own[1]}" if other else ""
    if other and size == "same":
        return failed(row, status.MODEL_ERROR, f"{name}: {detail}")
    seen["of another size than their photograph"] += int(other and size == "noted")
    seen["the photograph itself, byte for byte"] += int(hashlib.sha256(content).hexdigest() == row["sha256"])
    return {
        **head(row),
        "status": status.OK,
        "detail": detail if size == "noted" else "",
        "seconds": None,
        "image": images.encode_png(image),
    }


def _content(file: str) -> bytes:
    path = Path(file)
    if not path.is_file():
        raise Unreadable("not a regular file")
    if path.stat().st_size > MAX_BYTES:
        raise Unreadable(f"more than {MAX_BYTES:,} bytes")
    return path.read_bytes()

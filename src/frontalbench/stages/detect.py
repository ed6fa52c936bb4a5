"""images of any variant -> aligned crops."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from frontalbench import images, status, tables
from frontalbench.catalogue import families
from frontalbench.catalogue.cards import ModelCard
from frontalbench.detect.base import Detector
from frontalbench.detect.select import DEFAULT_POLICY
from frontalbench.detect.stream import FaceRow, detect_stream
from frontalbench.runtime.sessions import limit_threads
from frontalbench.stages.common import Row, failed, head, passed_through, provenance, run_shard


def detect_shard(
    images: str | os.PathLike[str],
    out: str | os.PathLike[str],
    card: ModelCard,
    make: Callable[[], Detector],
    *,
    policy: str = DEFAULT_POLICY,
    threads: int = 1,
    device: str = "cpu",
    upright: bool = False,
) -> dict[str, int]:
    """Find and align the face of every image of a shard; returns rows by status.

    ``upright``: the images are known to stand upright, so none is looked at upside down (:func:`frontalbench.detect.upright.find_face`).
    ``threads`` images are worked on at once; ``make`` should build a detector that itself uses one thread.
    """
    about = {"card": card.name, "card_digest": card.digest(), "precision": families.precision(card, device)}
    record = provenance("detect", [images], threads=threads, device=device, policy=policy, upright=upright, **about)
    limit_threads(1)

    def work(detector: Detector, rows: list[Row]) -> list[Row]:
        usable = [row for row in rows if row["status"] == status.OK]
        stream: Iterator[FaceRow] = detect_stream(
            ((row["image_id"], row["image"]) for row in usable), detector, policy=policy, decode_threads=threads, upright=upright
        )
        return [_row(row, next(stream)) if row["status"] == status.OK else passed_through(row) for row in rows]

    return run_shard(images, out, tables.CROPS, record, make, work, batch=16 * max(1, threads))


def _row(row: Row, face: FaceRow) -> Row:
    if face.status != status.OK or face.crop is None or face.box is None or face.points is None:
        return {**failed(row, face.status, face.detail), "n_faces": face.n_faces}
    return {
        **head(row),
        "status": status.OK,
        "detail": face.detail,
        "score": face.score,
        "n_faces": face.n_faces,
        "box": face.box.tolist(),
        "points": face.points.reshape(-1).tolist(),
        "image": images.encode_png(face.crop),
    }

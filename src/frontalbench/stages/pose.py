"""images + faces -> measured pose."""

from __future__ import annotations

import os
from collections.abc import Callable

from frontalbench import status, tables
from frontalbench.catalogue.cards import ModelCard
from frontalbench.detect.select import Face
from frontalbench.detect.upright import on_its_head, upright
from frontalbench.images import RGB
from frontalbench.pose.base import PoseEstimator
from frontalbench.stages.common import Row, each_image, failed, head, provenance, run_shard
from frontalbench.stages.faces import beside, read_faces


def pose_shard(
    images: str | os.PathLike[str],
    faces: str | os.PathLike[str],
    out: str | os.PathLike[str],
    card: ModelCard,
    make: Callable[[], PoseEstimator],
    *,
    threads: int = 1,
    device: str = "cpu",
) -> dict[str, int]:
    """Measure yaw, pitch and roll (degrees, convention of ``docs/architecture.md``) of every image of a shard; returns rows by status."""
    record = provenance("pose", [images, faces], card=card.name, card_digest=card.digest(), threads=threads, device=device)
    found = read_faces(faces)

    def work(estimator: PoseEstimator, rows: list[Row]) -> list[Row]:
        of_row, faceless = beside(rows, found, faces)

        def run(places: list[int], decoded: list[RGB]) -> list[Row]:
            return [_measure(rows[i], image, face, estimator) for i, image in zip(places, decoded, strict=True) if (face := of_row[i])]

        return each_image(rows, run, skip=faceless)

    return run_shard(images, out, tables.POSE, record, make, work)


def _measure(row: Row, image: RGB, face: Face, estimator: PoseEstimator) -> Row:
    """The pose in the image as it is; a face that stands on its head is measured upright, and its roll is half a turn more."""
    try:
        yaw, pitch, roll, confidence = estimator.estimate(*upright(image, face))
    except ValueError as error:  # an estimator's documented answer to a degenerate face
        return failed(row, status.MODEL_ERROR, str(error))
    if on_its_head(face):
        roll += -180.0 if roll > 0 else 180.0
    return {**head(row), "status": status.OK, "detail": "", "yaw": yaw, "pitch": pitch, "roll": roll, "confidence": confidence}

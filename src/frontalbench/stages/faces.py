"""The faces of a shard beside its images, for the stages that are given the locator's crops table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from frontalbench import status, tables
from frontalbench.detect.select import Face
from frontalbench.stages.common import Row, failed, of_another_shard


def face_of(row: Mapping[str, Any]) -> Face:
    """The face of a crops row whose status is ``ok``."""
    return Face(
        box=np.asarray(row["box"], np.float32),
        score=float(row["score"]),
        points=np.asarray(row["points"], np.float32).reshape(5, 2),
        n_faces=int(row["n_faces"]),
    )


def read_faces(path: str | os.PathLike[str]) -> dict[str, Row]:
    """Rows of a crops table by ``image_id``, without the images."""
    columns = [name for name in tables.CROPS.names if name != "image"]
    return {row["image_id"]: row for row in tables.read(path, tables.CROPS, columns).to_pylist()}


def beside(
    images: Sequence[Row], faces: Mapping[str, Row], faces_path: str | os.PathLike[str], *, needed: bool = True
) -> tuple[list[Face | None], dict[int, Row]]:
    """For rows of an image table: the face of each (None where none was found), and by its place each ``ok`` row that fails for want of one.

    No row fails unless a face is ``needed``. Raises BadInput when the two tables are not of the same shard.
    """
    found: list[Face | None] = []
    faceless: dict[int, Row] = {}
    for i, row in enumerate(images):
        face = faces.get(row["image_id"])
        if face is None:
            raise of_another_shard(faces_path, row["image_id"])
        there = face["status"] == status.OK
        found.append(face_of(face) if there else None)
        if needed and not there and row["status"] == status.OK:
            faceless[i] = failed(row, face["status"], face["detail"] or "no face was found")
    return found, faceless

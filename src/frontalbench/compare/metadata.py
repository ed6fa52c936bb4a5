"""What is known of every image of a dataset when its cells are compared: who it is, its role, its yaw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from frontalbench import status, tables
from frontalbench.errors import BadInput
from frontalbench.types import Float, Float32, Int, StrPath, Words

_COLUMNS = [name for name in tables.IMAGES.names if name != "image"]


@dataclass(frozen=True)
class Metadata:
    """What is known of every image of a dataset, in ``image_id`` order (all arrays (N,)); see :func:`read_metadata`."""

    image_id: Words
    identity: Words
    subject: Words
    sequence: Words
    role: Words
    status: Words
    detail: Words
    photo: Int  # equal where the file's bytes are equal
    subject_code: Int
    yaw: Float32
    pitch: Float32
    roll: Float32
    yaw_source: Words
    nominal_yaw: Float32

    def __len__(self) -> int:
        return len(self.image_id)

    @property
    def n_subjects(self) -> int:
        """So many subject codes there are, from 0 on."""
        return int(self.subject_code.max(initial=-1)) + 1


def words_of(table: pa.Table, name: str) -> Words:
    """A column of text (n,); null becomes ""."""
    return np.array([value or "" for value in table.column(name).to_pylist()], dtype=np.str_)


def _floats(table: pa.Table, name: str) -> Float32:
    return np.array([np.nan if value is None else value for value in table.column(name).to_pylist()], dtype=np.float32)


def read_metadata(images: Sequence[StrPath], pose: Sequence[StrPath] = (), roles: Mapping[str, Any] | None = None) -> Metadata:
    """Metadata of a dataset from its images tables, the measured pose and the dataset's role rule.

    The yaw (pitch, roll) used for bins is the ground truth where there is one, else the measured pose, else the nominal one; ``yaw_source`` says
    which. Roles that are ``auto`` are decided by :func:`frontalbench.datasets.roles.resolve` with the rule ``roles``. Raises :class:`BadInput`
    when the shards repeat an image.
    """
    if not images:
        raise BadInput("images: no table given; expected the images tables of the dataset")
    table = tables.concatenate(images, tables.IMAGES, _COLUMNS)
    image_id = words_of(table, "image_id")
    order = np.argsort(image_id, kind="stable")
    table, image_id = table.take(order), image_id[order]
    twice = np.flatnonzero(image_id[1:] == image_id[:-1])
    if len(twice):
        raise BadInput(f"{images[0]}: image_id '{image_id[twice[0]]}' occurs twice in the images tables; every image needs its own name")
    given = {name: _floats(table, name) for name in ("yaw", "pitch", "roll")}
    source = words_of(table, "pose_source")
    truth, nominal = source == "ground_truth", source == "nominal"
    angles = {name: np.where(truth | nominal, values, np.nan).astype(np.float32) for name, values in given.items()}
    yaw_source = np.where(np.isfinite(angles["yaw"]), source, "").astype("<U16")
    nominal_yaw = np.where(nominal, given["yaw"], np.nan).astype(np.float32)
    measured = tables.concatenate(pose, tables.POSE) if pose else None
    if measured is not None:
        ids = words_of(measured, "image_id")
        usable = (words_of(measured, "status") == status.OK) & np.isfinite(_floats(measured, "yaw"))
        places = np.minimum(np.searchsorted(image_id, ids), len(image_id) - 1)
        usable &= image_id[places] == ids
        usable &= ~(truth & np.isfinite(given["yaw"]))[places]
        for name in angles:
            angles[name][places[usable]] = _floats(measured, name)[usable]
        yaw_source[places[usable]] = "measured"
    subject = words_of(table, "subject")
    identity = words_of(table, "identity")
    subject = np.where(subject == "", identity, subject)
    digest = words_of(table, "sha256")
    _, photo = np.unique(np.where(digest == "", np.char.add("id:", image_id), digest), return_inverse=True)
    _, subject_code = np.unique(subject, return_inverse=True)
    words = words_of(table, "status")
    role = words_of(table, "role")
    if (role == "auto").any():
        from frontalbench.datasets.roles import resolve

        role = np.array(resolve(table, measured, roles), dtype=np.str_)
    return Metadata(
        image_id=image_id,
        identity=identity,
        subject=subject,
        sequence=words_of(table, "sequence"),
        role=role,
        status=words,
        detail=words_of(table, "detail"),
        photo=photo.astype(np.int64),
        subject_code=subject_code.astype(np.int64),
        yaw=angles["yaw"],
        pitch=angles["pitch"],
        roll=angles["roll"],
        yaw_source=yaw_source,
        nominal_yaw=nominal_yaw,
    )


def read_measured(meta: Metadata, path: StrPath, names: Sequence[str]) -> dict[str, Float]:
    """The columns ``names`` of the quality table ``path``, each (N,) in the order of ``meta``: NaN where nothing was measured.

    Raises :class:`BadInput` when it is no quality table, or one of other images.
    """
    table = tables.read(path, tables.QUALITY, ["image_id", *names])
    places = places_of(meta, words_of(table, "image_id"), path, "the quality table belongs")
    found = {name: np.full(len(meta), np.nan) for name in names}
    for name, column in found.items():
        column[places] = _floats(table, name)
    return found


def places_of(meta: Metadata, ids: Words, path: StrPath, what: str = "the embeddings belong") -> Int:
    """Where the images ``ids`` of the table ``path`` stand in ``meta``. Raises :class:`BadInput` for one that is not there (``what``: of whom)."""
    places = np.minimum(np.searchsorted(meta.image_id, ids), len(meta) - 1)
    unknown = np.flatnonzero(meta.image_id[places] != ids)
    if len(unknown):
        raise BadInput(f"{path}: image '{ids[unknown[0]]}' is not in the images tables; {what} to another version of the dataset")
    return places

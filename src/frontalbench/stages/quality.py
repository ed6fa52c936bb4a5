"""aligned crops of a variant and of `original` (and its measured pose, its images) -> image quality, one row per image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from frontalbench import images, status, tables
from frontalbench.compare.metadata import Metadata, read_metadata
from frontalbench.detect.select import Face
from frontalbench.detect.upright import upright
from frontalbench.errors import Unreadable, WeightsMissing
from frontalbench.geometry.rotation import matrix_from_angles
from frontalbench.images import RGB
from frontalbench.quality import expression, pixels
from frontalbench.stages.common import IMAGES, Row, failed, head, passed_through, provenance
from frontalbench.stages.faces import beside, read_faces
from frontalbench.types import StrPath

Taken = tuple[Any, str, Sequence[str]]
"""(model, its method, its columns), see :class:`Learned`."""


class Reader(Protocol):
    """Reads the expression of a face in a photograph."""

    def read(self, image: RGB, face: Face) -> expression.Look:
        """Raises ValueError when the face is degenerate."""
        ...


@dataclass(frozen=True)
class Learned:
    """A measure that a model takes: what builds the model, the name of its method (``score`` of a crop, ``distance`` of a crop and its reference,
    ``image`` of a whole image; empty for the :class:`Reader` of ``expression``), and the columns that its numbers fill, in order."""

    make: Callable[[], Any]
    method: str = ""
    columns: Sequence[str] = ()


@dataclass(frozen=True)
class Shards:
    """Tables of one variant, shard by shard: ``crops`` of the judging detector, ``pose`` where it was measured, ``images`` where they
    are looked at whole, and ``faces`` (the locator's crops) beside them where expressions are to be read."""

    crops: Sequence[StrPath]
    pose: Sequence[StrPath] = ()
    images: Sequence[StrPath] = ()
    faces: Sequence[StrPath] = ()


def measure_quality(
    images_tables: Sequence[StrPath],
    variant: Shards,
    original: Shards,
    out: StrPath,
    *,
    roles: Mapping[str, Any] | None = None,
    models: Mapping[str, Learned] | None = None,
    variant_name: str = "",
) -> dict[str, int]:
    """Write schema ``tables.QUALITY``, a row per image of the dataset; returns rows by status.

    An image is compared with the first other usable reference of its person (by name, always an original). Images that are neither probe nor
    reference are ``not_used``; of references, only the photographs themselves (`original`) get learned measures. The table's record holds under
    ``asked`` what was asked for (the words of ``models``) and under ``missing`` why some of it could not be had.
    """
    meta = read_metadata(images_tables, original.pose, roles)
    place = {name: i for i, name in enumerate(meta.image_id.tolist())}
    references = _references(meta, place, original.crops)
    turned = _poses(variant.pose)
    models = models or {}
    made, missing = _build(models)
    read = models.get("expression")
    faces = _expressions(variant, original, made.get("expression"), read.columns if read is not None else ())
    inputs = dict.fromkeys(str(path) for path in (*variant.crops, *original.crops, *variant.pose, *variant.images))
    record = provenance("quality", inputs, device="cpu", variant=variant_name, asked=sorted({*made, *missing}), missing=missing)
    with tables.Writer(out, tables.QUALITY, record) as writer:
        rows = (row for path in variant.crops for chunk in tables.iterate(path, IMAGES) for row in chunk)
        taken = [(made[word], model.method, model.columns) for word, model in models.items() if word in made]
        learned = {"probe": taken, "reference": taken if list(variant.crops) == list(original.crops) else []}
        wanted = {str(name) for name, role in zip(meta.image_id, meta.role, strict=True) if learned.get(str(role))}
        whole = _whole(variant.images, [one for one in taken if one[1] == "image"], wanted)
        measured = [_row(row, meta, place[row["image_id"]], references, turned, faces, learned, whole) for row in rows]
        writer.add(sorted(measured, key=lambda row: str(row["image_id"])))
    return writer.counts


def _references(meta: Metadata, place: Mapping[str, int], crops: Sequence[StrPath]) -> dict[int, list[tuple[int, bytes]]]:
    """Person -> (place, crop) of the first references that gave one: two different photographs, so that a reference finds another."""
    found: dict[int, list[tuple[int, bytes]]] = {}
    for row in (row for path in crops for chunk in tables.iterate(path, IMAGES) for row in chunk):
        at = place[row["image_id"]]
        if row["status"] == status.OK and meta.role[at] == "reference":
            kept = found.setdefault(int(meta.subject_code[at]), [])
            if len(kept) < 2 and all(meta.photo[other] != meta.photo[at] for other, _ in kept):
                kept.append((at, row["image"]))
    return found


def _poses(paths: Sequence[StrPath]) -> dict[str, tuple[float, float, float]]:
    rows = (row for path in paths for row in tables.read(path, tables.POSE).to_pylist())
    return {row["image_id"]: (row["yaw"], row["pitch"], row["roll"]) for row in rows if row["status"] == status.OK}


def _build(models: Mapping[str, Learned]) -> tuple[dict[str, Any], dict[str, str]]:
    """What was asked for and could be built, by its word; why the rest could not."""
    made, missing = {}, {}
    for word, model in models.items():
        try:
            made[word] = model.make()
        except WeightsMissing as error:
            missing[word] = str(error)
    return made, missing


def _expressions(variant: Shards, original: Shards, reader: Reader | None, columns: Sequence[str]) -> dict[str, Row]:
    """image_id -> ``columns``: how far the expression of the image is from that of the photograph, where both could be read."""
    if reader is None or not variant.images:
        return {}
    before = dict(_read(original, reader))
    of_both = ((name, expression.apart(look, before[name])) for name, look in _read(variant, reader) if name in before)
    return {name: {column: _known(value) for column, value in zip(columns, values, strict=True)} for name, values in of_both}


def _whole(shards: Sequence[StrPath], models: Sequence[Taken], wanted: set[str]) -> dict[str, Row]:
    """image_id -> the columns of the models that look at whole images, of the images ``wanted`` that can be read."""
    found: dict[str, Row] = {}
    for path in shards if models else ():
        for row in (row for chunk in tables.iterate(path, IMAGES) for row in chunk):
            if row["status"] == status.OK and row["image_id"] in wanted:
                try:
                    found[row["image_id"]] = _measured(models, "image", images.decode(row["image"]))
                except Unreadable:
                    continue  # no value: the row's columns stay empty and their count says so
    return found


def _read(shards: Shards, reader: Reader) -> Iterator[tuple[str, expression.Look]]:
    for path, faces_path in zip(shards.images, shards.faces, strict=True):
        found = read_faces(faces_path)
        for rows in tables.iterate(path, IMAGES):
            of_row, _ = beside(rows, found, faces_path, needed=False)
            for row, face in zip(rows, of_row, strict=True):
                if row["status"] != status.OK or face is None:
                    continue
                try:
                    yield row["image_id"], reader.read(*upright(images.decode(row["image"]), face))
                except (Unreadable, ValueError):
                    continue  # no expression: the row's column stays empty and its count says so


def _row(
    row: Row,
    meta: Metadata,
    at: int,
    references: Mapping[int, Sequence[tuple[int, bytes]]],
    turned: Mapping[str, tuple[float, float, float]],
    faces: Mapping[str, Row],
    learned: Mapping[str, Sequence[Taken]],
    whole: Mapping[str, Row],
) -> Row:
    """``learned``: role -> the models that measure it; ``whole``: what was measured of whole images."""
    name = str(row["image_id"])
    more = {"role": str(meta.role[at]), "subject": str(meta.subject[at])}
    if row["status"] != status.OK:
        return {**passed_through(row), **more}
    if more["role"] not in ("probe", "reference"):
        return {**failed(row, status.NOT_USED, f"role {more['role']}"), **more}
    crop, made = images.decode(row["image"]), learned[more["role"]]
    out: Row = {**head(row), **more, "status": status.OK, "detail": "", "sharpness": pixels.sharpness(crop)}
    out |= _measured(made, "score", crop) | whole.get(name, {})
    other = next(((i, data) for i, data in references.get(int(meta.subject_code[at]), ()) if meta.photo[i] != meta.photo[at]), None)
    if other is None:
        out["detail"] = "no other usable reference of this person"
    else:
        reference = images.decode(other[1])
        alike = pixels.likeness(crop, reference)
        out |= _measured(made, "distance", crop, reference)
        out |= {"reference_id": str(meta.image_id[other[0]]), **{key: _known(value) for key, value in vars(alike).items()}}
    if name in turned:
        yaw, pitch, roll = turned[name]
        out |= {"yaw": yaw, "pitch": pitch, "roll": roll, "pose_error": angle_from_front(yaw, pitch, roll)}
    return out | faces.get(name, {})


def _measured(made: Sequence[Taken], method: str, *crops: RGB) -> Row:
    """The columns of the models in ``made`` that are asked by ``method`` about these images: a number per column, or one for the only one."""
    out: Row = {}
    for model, its, columns in made:
        if its == method:
            values = np.atleast_1d(getattr(model, method)(*crops)).tolist()
            out |= {name: _known(value) for name, value in zip(columns, values, strict=True)}
    return out


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


def angle_from_front(yaw: float, pitch: float, roll: float) -> float:
    """The angle in degrees, 0 .. 180, by which a head of this pose is turned away from the frontal one (about whatever axis)."""
    trace = float(np.trace(matrix_from_angles(yaw, pitch, roll)))
    return math.degrees(math.acos(min(1.0, max(-1.0, (trace - 1.0) / 2.0))))

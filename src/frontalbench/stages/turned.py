"""references + faces -> the same references turned to the angles of the dataset's probes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from frontalbench import images, status, tables
from frontalbench.catalogue import families
from frontalbench.catalogue.cards import ModelCard
from frontalbench.compare import derived
from frontalbench.compare.metadata import read_metadata
from frontalbench.detect.upright import upright
from frontalbench.errors import BadConfig, Unreadable, WeightsMissing
from frontalbench.frontalize.base import Frontalizer, Outcome, View, each
from frontalbench.stages.common import IMAGES, Row, failed, provenance
from frontalbench.stages.faces import beside, read_faces
from frontalbench.stages.outcomes import image_row
from frontalbench.types import StrPath


def turn_references(
    images: StrPath,
    faces: StrPath,
    out: StrPath,
    card: ModelCard,
    make: Callable[[], Frontalizer],
    *,
    images_tables: Sequence[StrPath],
    pose: Sequence[StrPath] = (),
    roles: Mapping[str, Any] | None = None,
    edges: Sequence[float],
    threads: int = 1,
    device: str = "cpu",
) -> dict[str, int]:
    """Write schema ``tables.FRONTALS``: a row per chosen reference of the shard and angle, named by :func:`derived.turned_id`.

    Which references and which angles: :func:`derived.turned_references`; pitch and roll are 0. ``images_tables``, ``pose``,
    ``roles``: as for a comparison. Returns rows by status.
    Raises :class:`BadConfig` when the frontalizer takes no target pose.
    """
    meta = read_metadata(images_tables, pose, roles)
    angles, references = derived.turned_references(meta, edges)
    chosen = frozenset(references)
    about = {"card": card.name, "card_digest": card.digest(), "precision": families.precision(card, device)}
    record = provenance("turned", [images, faces, *pose], threads=threads, device=device, angles=angles, **about)
    model: Frontalizer | None = None
    why, word = "", ""
    try:
        model = make()
    except WeightsMissing as error:
        why, word = str(error), error.word
    if model is not None and not model.takes_target_pose:
        raise BadConfig(
            f"frontalizer '{card.name}' takes no target pose, so it cannot turn references: leave pose_matched:{card.name}.none out"
        )
    found = read_faces(faces)
    made: list[Row] = []
    handed: deque[Row] = deque()

    def asked() -> Iterator[tuple[View, tuple[float, float, float]]]:
        """What the model is to turn; its rows wait in ``handed``, those of everything else are made at once."""
        for rows in tables.iterate(images, IMAGES):
            wanted = [row for row in rows if row["image_id"] in chosen]
            of_row, faceless = beside(wanted, found, faces, needed=model is not None and model.needs_face)
            for i, row in enumerate(wanted):
                view = None if model is None or i in faceless or row["status"] != status.OK else _view(row, of_row[i])
                for yaw in angles:
                    named = {**row, "image_id": derived.turned_id(row["image_id"], yaw)}
                    if isinstance(view, View):
                        handed.append(named)
                        yield view, (float(yaw), 0.0, 0.0)
                        continue
                    cause = faceless.get(i, row)
                    made.append(failed(named, word, why) if model is None else failed(named, *(view or (cause["status"], cause["detail"]))))

    for outcome in each(model, asked()) if model is not None else _none_of(asked()):
        made.append(image_row(handed.popleft(), outcome))
    with tables.Writer(out, tables.FRONTALS, record) as writer:
        writer.add(sorted(made, key=lambda row: str(row["image_id"])))
    return writer.counts


def _none_of(asked: Iterator[tuple[View, tuple[float, float, float]]]) -> Iterator[Outcome]:
    """No outcome where there is no model: the rows are made while ``asked`` is read."""
    for _ in asked:
        raise AssertionError("nothing can be asked without a model")
    yield from ()


def _view(row: Row, face: Any) -> View | tuple[str, str]:
    """What a frontalizer is given; (status, detail) for an image that cannot be decoded."""
    try:
        return View(*upright(images.decode(row["image"]), face))
    except Unreadable as error:
        return status.UNREADABLE, str(error)

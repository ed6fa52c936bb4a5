"""images + faces + pose -> frontals, one for all photographs of a person's session (cards of family ``multiview``)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from frontalbench import images, status, tables
from frontalbench.catalogue import families
from frontalbench.catalogue.cards import ModelCard
from frontalbench.compare.metadata import read_metadata
from frontalbench.detect.upright import upright
from frontalbench.errors import Unreadable
from frontalbench.frontalize.base import View
from frontalbench.frontalize.multiview import MultiviewFrontalizer
from frontalbench.stages.common import Row, failed, passed_through, provenance, run_shard
from frontalbench.stages.faces import beside, read_faces
from frontalbench.stages.outcomes import image_row

COLUMNS = tables.image_schema(["image_id", "identity", "role", "status", "detail", "image"])


def groups_of(
    images: str | os.PathLike[str], pose: Sequence[str | os.PathLike[str]] = (), roles: Mapping[str, Any] | None = None
) -> dict[str, tuple[str, str]]:
    """``image_id`` of every photograph that is no reference -> (subject, sequence): those with the same belong together.

    ``pose``, ``roles``: as for a comparison; needed where a role is ``auto``. People never lie in two shards, so a shard has all it needs.
    """
    meta = read_metadata([Path(images)], [Path(path) for path in pose], roles)
    roles_of = dict(zip(meta.image_id.tolist(), meta.role.tolist(), strict=True))
    listed = tables.read(images, columns=["image_id", "identity", "subject", "sequence"]).to_pylist()
    return {
        row["image_id"]: (row["subject"] or row["identity"], row["sequence"] or "")
        for row in listed
        if roles_of[row["image_id"]] != "reference"
    }


def frontalize_views(
    shard: str | os.PathLike[str],
    faces: str | os.PathLike[str],
    out: str | os.PathLike[str],
    card: ModelCard,
    make: Callable[[], MultiviewFrontalizer],
    *,
    pose: Sequence[str | os.PathLike[str]] = (),
    roles: Mapping[str, Any] | None = None,
    threads: int = 1,
    device: str = "cpu",
) -> dict[str, int]:
    """Write schema ``tables.FRONTALS``, a row per row of the shard: references are ``not_used`` (a view of them would give the answer away), every
    other photograph gets its group's frontal (:func:`groups_of`) or its own failure. Returns rows by status.

    The encoded images of the whole shard are held in memory, decoded ones of one group alone.
    """
    about = {"card": card.name, "card_digest": card.digest(), "precision": families.precision(card, device)}
    record = provenance("views", [shard, faces, *pose], threads=threads, device=device, **about)
    found, group = read_faces(faces), groups_of(shard, pose, roles)
    total = len(tables.read(shard, columns=["image_id"]))

    held: list[Row] = []

    def work(model: MultiviewFrontalizer, rows: list[Row]) -> list[Row]:
        # A group's photographs lie anywhere in the shard.
        held.extend(rows)
        return turned(model, held) if len(held) == total else []

    def turned(model: MultiviewFrontalizer, rows: list[Row]) -> list[Row]:
        of_row, faceless = beside(rows, found, faces)
        done: dict[int, Row] = dict(faceless)
        waiting: dict[tuple[str, str], list[int]] = {}
        for i, row in enumerate(rows):
            if i in done:
                continue
            if row["status"] != status.OK:
                done[i] = passed_through(row)
            elif row["image_id"] not in group:
                done[i] = failed(row, status.NOT_USED, f"{card.name} does not look at references")
            else:
                waiting.setdefault(group[row["image_id"]], []).append(i)
        for places in waiting.values():
            views: dict[int, View] = {}
            for i in places:
                try:
                    views[i] = View(*upright(images.decode(rows[i]["image"]), of_row[i]))
                except Unreadable as error:
                    done[i] = failed(rows[i], status.UNREADABLE, str(error))
            for i, outcome in zip(views, model.together(list(views.values())), strict=True):
                done[i] = image_row(rows[i], outcome)
        return [done[i] for i in range(len(rows))]

    return run_shard(shard, out, tables.FRONTALS, record, make, work, columns=COLUMNS)

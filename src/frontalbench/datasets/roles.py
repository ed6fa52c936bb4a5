"""References and probes where the dataset does not say which is which: the image nearest frontal becomes the reference."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from frontalbench import status
from frontalbench.datasets.members import AUTO, GROUND_TRUTH, PROBE, REFERENCE, UNUSED
from frontalbench.errors import BadInput

NEEDED = ("image_id", "identity", "role", "status", "yaw", "pitch")


UPSIDE_DOWN = 90.0
"""Degrees of roll beyond which an image is no portrait of anybody."""


def away_from_frontal(yaw: float, pitch: float) -> float:
    """Degrees between where a face looks and the camera's axis. Roll does not count: alignment takes it out."""
    return math.degrees(math.acos(max(-1.0, min(1.0, math.cos(math.radians(yaw)) * math.cos(math.radians(pitch))))))


def resolve(images_table: pa.Table, pose_table: pa.Table | None = None, rule: Mapping[str, Any] | None = None) -> list[str]:
    """Role of every row of an images table, in its order: ``reference``, ``probe`` or ``unused``.

    Rows with a role of their own keep it. Rows with role ``auto`` are decided per identity (whole identities must be in the table, so give
    all shards): the ``references`` (default 1) images whose face is turned least away from the camera become references, the others probes.
    Pose is the ground truth of the images table, else the measured one of ``pose_table`` (any row order; rows whose status is not ok do not
    count), else the nominal one of the images table. An image that cannot be read, has no pose, shows the face upside down (a roll beyond 90
    degrees), or is turned further than ``max_angle`` degrees never becomes a reference; images that are ``not_used`` are ``unused``. An identity
    of one image has a reference and no probe; one without any usable pose has probes only. Equal angles: the first ``image_id``.

    Raises :class:`BadInput` when the table lacks a column.
    """
    rule = rule or {}
    missing = [name for name in NEEDED if name not in images_table.column_names]
    if missing:
        raise BadInput(f"the images table lacks the column '{missing[0]}'; prepare the dataset again")
    has_source = "pose_source" in images_table.column_names
    has_roll = "roll" in images_table.column_names
    rows = images_table.select([*NEEDED, *(["pose_source"] if has_source else []), *(["roll"] if has_roll else [])]).to_pylist()
    measured: dict[str, tuple[float, float, float]] = {}
    if pose_table is not None:
        rolls = ["roll"] if "roll" in pose_table.column_names else []
        for row in pose_table.select(["image_id", "status", "yaw", "pitch", *rolls]).to_pylist():
            if row["status"] == status.OK and row["yaw"] is not None and row["pitch"] is not None:
                measured[row["image_id"]] = (row["yaw"], row["pitch"], row.get("roll") or 0.0)
    number = int(rule.get("references", 1))
    limit = rule.get("max_angle")
    candidates: dict[str, list[tuple[float, str]]] = defaultdict(list)
    for row in rows:
        if row["role"] != AUTO or row["status"] != status.OK:
            continue
        pose = measured.get(row["image_id"])
        if row["yaw"] is not None and (pose is None or row.get("pose_source") == GROUND_TRUTH):
            pose = (row["yaw"], row["pitch"] or 0.0, row.get("roll") or 0.0)
        if pose is None or not all(math.isfinite(angle) for angle in pose):
            continue
        yaw, pitch, roll = pose
        angle = away_from_frontal(yaw, pitch)
        if (limit is None or angle <= limit) and abs(roll) <= UPSIDE_DOWN:
            candidates[row["identity"]].append((angle, row["image_id"]))
    chosen = {image_id for found in candidates.values() for _, image_id in sorted(found)[:number]}
    return [_role(row, chosen) for row in rows]


def _role(row: Mapping[str, Any], chosen: set[str]) -> str:
    if row["status"] == status.NOT_USED:
        return UNUSED
    if row["role"] != AUTO:
        return str(row["role"])
    return REFERENCE if row["image_id"] in chosen else PROBE

"""How much of everything there is in prepared tables, and which images are there twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pyarrow as pa

from frontalbench import status
from frontalbench.datasets.card import DEFAULT_YAW_BINS
from frontalbench.datasets.choose import yaw_bin
from frontalbench.datasets.members import AUTO, PROBE, REFERENCE, UNUSED

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Counts:
    """N at the first step: the numbers behind a report's table. ``probes_by_yaw`` goes by |yaw| in degrees (``15-30``, and ``unknown``)."""

    images: int = 0
    identities: int = 0
    subjects: int = 0
    references: int = 0
    probes: int = 0
    undecided: int = 0
    """Images whose role measured pose will decide."""
    unused: int = 0
    statuses: dict[str, int] = field(default_factory=dict)
    probes_by_yaw: dict[str, int] = field(default_factory=dict)
    without_reference: int = 0
    """Identities in use that have neither a reference nor an image that could become one."""
    without_probe: int = 0
    """Identities in use that have no probe, nor a second image that could become one."""
    of_one_image: int = 0


@dataclass(frozen=True)
class Duplicate:
    """Images with the same bytes. ``across``: they belong to different people, so one of the labels is wrong."""

    sha256: str
    image_ids: tuple[str, ...]
    identities: tuple[str, ...]
    across: bool


def counts(
    images_tables: pa.Table | Iterable[pa.Table], yaw_bins: Sequence[float] = DEFAULT_YAW_BINS, roles: Sequence[str] | None = None
) -> Counts:
    """Count images tables (one, or all shards of a dataset). ``roles``: resolved roles in row order (see :func:`roles.resolve`), else the
    tables' own."""
    listed = [images_tables] if isinstance(images_tables, pa.Table) else list(images_tables)
    columns = ["identity", "subject", "role", "status", "yaw"]
    rows = [row for table in listed for row in table.select(columns).to_pylist()]
    if roles is not None:
        rows = [{**row, "role": role} for row, role in zip(rows, roles, strict=True)]
    return counts_of_rows(rows, yaw_bins)


def counts_of_rows(rows: Sequence[dict[str, Any]], yaw_bins: Sequence[float] = DEFAULT_YAW_BINS) -> Counts:
    """The same from row dictionaries with identity, subject, role, status and yaw."""
    by_role = Counter(row["role"] for row in rows)
    labels = [f"{low:g}-{high:g}" for low, high in pairwise(yaw_bins)]
    bins = dict.fromkeys([*labels, UNKNOWN], 0)
    groups: dict[str, list[str]] = defaultdict(list)
    for row in rows:
        if row["status"] != status.NOT_USED:
            groups[row["identity"]].append(row["role"])
        if row["role"] == PROBE:
            index = -1 if row["yaw"] is None else yaw_bin(row["yaw"], yaw_bins)
            bins[labels[index] if index >= 0 else UNKNOWN] += 1
    used = [roles for roles in groups.values() if any(role != UNUSED for role in roles)]
    return Counts(
        images=len(rows),
        identities=len({row["identity"] for row in rows}),
        subjects=len({row["subject"] for row in rows}),
        references=by_role[REFERENCE],
        probes=by_role[PROBE],
        undecided=by_role[AUTO],
        unused=by_role[UNUSED],
        statuses=dict(sorted(Counter(row["status"] for row in rows).items())),
        probes_by_yaw=bins,
        without_reference=sum(REFERENCE not in roles and AUTO not in roles for roles in used),
        without_probe=sum(not _has_probe(roles) for roles in used),
        of_one_image=sum(len(roles) == 1 for roles in groups.values()),
    )


def _has_probe(roles: Sequence[str]) -> bool:
    if PROBE in roles:
        return True
    undecided = roles.count(AUTO)
    return undecided >= 2 or (undecided == 1 and REFERENCE in roles)


def duplicates(images_tables: pa.Table | Iterable[pa.Table]) -> list[Duplicate]:
    """Groups of images whose files hold the same bytes, in order of their first ``image_id``."""
    listed = [images_tables] if isinstance(images_tables, pa.Table) else list(images_tables)
    columns = ["image_id", "subject", "identity", "sha256"]
    return duplicates_of_rows(row for table in listed for row in table.select(columns).to_pylist())


def duplicates_of_rows(rows: Iterable[dict[str, Any]]) -> list[Duplicate]:
    """The same from row dictionaries with image_id, identity, subject and sha256 (empty or null: not compared)."""
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["sha256"]:
            groups[row["sha256"]].append(row)
    found = []
    for digest, same in groups.items():
        if len(same) > 1:
            same.sort(key=lambda row: row["image_id"])
            people = {row["subject"] or row["identity"] for row in same}
            identities = tuple(sorted({row["identity"] for row in same}))
            found.append(Duplicate(digest, tuple(row["image_id"] for row in same), identities, len(people) > 1))
    return sorted(found, key=lambda duplicate: duplicate.image_ids)

"""Results of several folders: which cells differ between two, and all of them as one run's.

Cells meet by name (dataset, variant, detector, backbone), images by ``image_id``. Two cells are the same when every row says the same and no
similarity differs by more than a tolerance; differences are means over the probes that both have, paired, with intervals over people.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from frontalbench import status, tables
from frontalbench.compare import jackknife, significance
from frontalbench.compare.jackknife import LeftOut
from frontalbench.compare.rows import read_rows
from frontalbench.errors import BadInput
from frontalbench.plan.grid import Cell, cell_of
from frontalbench.types import Float
from frontalbench.upkeep import environment

TOLERANCE = 1e-4
"""Similarities that differ by no more than this are the same: another processor's rounding is smaller."""
COLUMNS = (
    *("dataset", "variant", "detector", "backbone", "where", "same", "n_a", "n_b", "n_common", "n_identities", "n_only_a", "n_only_b"),
    *("n_other_status", "n_other_role", "largest_difference", "mean_a", "mean_b", "difference", "difference_low", "difference_high"),
    *("identity_difference", "identity_difference_low", "identity_difference_high", "p", "p_holm", "software_a", "software_b"),
)
"""Columns of the table of differences; docs/several_runs.md says what they mean."""
BOTH, ONLY_A, ONLY_B = "both", "only A", "only B"
MACHINE = (environment.CPU, "python")
"""Words of records that may differ between machines: they move the last digits, and are said."""


def cells_in(folder: str | os.PathLike[str]) -> list[Cell]:
    """The cells below a results folder (or its ``similarity``), sorted. Raises :class:`BadInput` when there are none."""
    top = Path(folder)
    if not top.is_dir():
        raise BadInput(f"{top}: not a folder; give the folder that a run wrote, usually results")
    base = top / "similarity" if (top / "similarity").is_dir() else top
    found = [
        cell_of(path)
        for path in sorted(base.glob("*/*/*/*.parquet"))
        if not path.name.endswith(".scores.parquet") and not path.name.startswith(".")
    ]
    if not found:
        raise BadInput(f"{base}: holds no cells (expected DATASET/VARIANT/DETECTOR/BACKBONE.parquet); give the folder that a run wrote")
    return sorted(found)


def _key(cell: Cell) -> tuple[str, str, str, str]:
    return cell.dataset, cell.variant, cell.detector, cell.backbone


def differences(first: str | os.PathLike[str], second: str | os.PathLike[str], *, tolerance: float = TOLERANCE) -> list[dict[str, Any]]:
    """A row of :data:`COLUMNS` for every cell of either folder; Holm's correction is over the cells that both have and that differ.

    Raises :class:`BadInput` when the folders have no cell in common, or a table is damaged.
    """
    one = {_key(cell): cell for cell in cells_in(first)}
    two = {_key(cell): cell for cell in cells_in(second)}
    if not set(one) & set(two):
        raise BadInput(
            f"{first} and {second} have no cell in common: the first has {', '.join(next(iter(one)))}, the second {', '.join(next(iter(two)))}"
        )
    rows = []
    for key in sorted({*one, *two}):
        head = dict(zip(COLUMNS[:4], key, strict=True))
        if key in one and key in two:
            rows.append({**head, "where": BOTH, **_difference(one[key], two[key], tolerance)})
        else:
            there = one.get(key) or two[key]
            count = "n_a" if key in one else "n_b"
            rows.append(
                {**head, "where": ONLY_A if key in one else ONLY_B, "same": False, count: len(read_rows(there.similarity).image_id)}
            )
    changed = [row for row in rows if row["where"] == BOTH and not row["same"]]
    for row, p in zip(changed, significance.holm([row["p"] for row in changed]), strict=True):
        row["p_holm"] = float(p)
    return rows


def _difference(one: Cell, two: Cell, tolerance: float) -> dict[str, Any]:
    a, b = read_rows(one.similarity), read_rows(two.similarity)
    places = {str(name): i for i, name in enumerate(a.image_id)}
    pairs = np.array([(places[str(name)], j) for j, name in enumerate(b.image_id) if str(name) in places], np.int64).reshape(-1, 2)
    i, j = pairs[:, 0], pairs[:, 1]
    other_status = int((a.status[i] != b.status[j]).sum())
    other_role = int((a.role[i] != b.role[j]).sum())
    moved = np.abs(a.genuine[i] - b.genuine[j]), np.abs(a.impostor[i] - b.impostor[j])
    one_sided = sum(int((np.isfinite(x[i]) != np.isfinite(y[j])).sum()) for x, y in ((a.genuine, b.genuine), (a.impostor, b.impostor)))
    largest = max((float(np.nanmax(values)) for values in moved if np.isfinite(values).any()), default=0.0)
    common = (a.status[i] == status.OK) & (b.status[j] == status.OK) & (a.role[i] == "probe") & (b.role[j] == "probe")
    common &= np.isfinite(a.genuine[i]) & np.isfinite(b.genuine[j])
    i, j = i[common], j[common]
    _, person = np.unique(a.subject[i].astype(np.str_), return_inverse=True)
    gain, drift = b.genuine[j] - a.genuine[i], b.impostor[j] - a.impostor[i]
    of_own, of_identity = _left_out(gain, person), _left_out(gain - drift, person)
    n_a, n_b = len(a.image_id), len(b.image_id)
    only_a, only_b = n_a - len(pairs), n_b - len(pairs)
    same = not (other_status or other_role or only_a or only_b or one_sided) and largest <= tolerance
    versions = [environment.of_record(tables.provenance(cell.similarity), cell.similarity) for cell in (one, two)]
    told = [_told(versions[side], versions[1 - side]) for side in (0, 1)]
    own, identity = of_own.estimate(), of_identity.estimate()
    return {
        **{"same": same, "n_a": n_a, "n_b": n_b, "n_common": len(i), "n_identities": len(np.unique(person)), "n_only_a": only_a},
        **{"n_only_b": only_b, "n_other_status": other_status, "n_other_role": other_role, "largest_difference": largest},
        **{"mean_a": _mean(a.genuine[i]), "mean_b": _mean(b.genuine[j])},
        **{"difference": own.value, "difference_low": own.low, "difference_high": own.high},
        **{"identity_difference": identity.value, "identity_difference_low": identity.low, "identity_difference_high": identity.high},
        **{"p": of_identity.p_value(), "p_holm": math.nan, "software_a": told[0], "software_b": told[1]},
    }


def _mean(values: Float) -> float:
    return float(values.mean()) if len(values) else math.nan


def _left_out(values: Float, person: Any) -> LeftOut:
    known = np.isfinite(values)
    if not known.any():
        return LeftOut(math.nan, np.zeros(0), np.zeros(0))
    _, code = np.unique(person[known], return_inverse=True)
    sums = np.bincount(code, values[known]).astype(np.float64)[:, None]
    numbers = np.bincount(code).astype(np.float64)[:, None]
    value, without, share = jackknife.mean_left_out(sums, numbers)
    return LeftOut(float(value[0]), without[:, 0], share[:, 0])


def _told(mine: environment.Software, other: environment.Software) -> str:
    return environment.told({word: versions for word, versions in mine.items() if other.get(word) != versions})


@dataclass(frozen=True)
class Joined:
    """The cells of several folders as one run's; ``notes``: what a person should know, one line each."""

    cells: list[Cell]
    notes: list[str] = field(default_factory=list)


def joined(folders: Sequence[str | os.PathLike[str]], *, mixed: bool = False) -> Joined:
    """All cells of ``folders``, each once.

    Raises :class:`BadInput`, in words: a cell that two folders have and that is not the same in both; a dataset that has other images in one of
    them; and, unless ``mixed``, libraries of different versions behind the cells (another processor is only noted).
    """
    if len(folders) < 2:
        raise BadInput("one folder of results; give at least two to join")
    found: dict[tuple[str, str, str, str], tuple[Cell, Path]] = {}
    twice = 0
    for folder in map(Path, folders):
        for cell in cells_in(folder):
            before = found.get(_key(cell))
            if before is None:
                found[_key(cell)] = cell, folder
                continue
            if not _difference(before[0], cell, TOLERANCE)["same"]:
                raise BadInput(
                    f"{before[0].similarity} and {cell.similarity}: one cell, and two results; see how they differ (frontalbench diff "
                    f"{before[1]} {folder}), and take one of them away"
                )
            twice += 1
    notes = [f"{twice} cells are in more than one folder and the same: the first was taken"] if twice else []
    _check_images([cell for cell, _ in found.values()])
    notes += _check_versions(found.values(), mixed)
    return Joined(sorted(cell for cell, _ in found.values()), notes)


def _check_images(cells: Iterable[Cell]) -> None:
    first: dict[str, tuple[Path, list[str]]] = {}
    for cell in sorted(cells):
        names = tables.read(cell.similarity, tables.SIMILARITY, ["image_id"]).column("image_id").to_pylist()
        path, known = first.setdefault(cell.dataset, (cell.similarity, names))
        if names != known:
            apart = sorted(set(names) ^ set(known))
            example = f", such as {apart[0]}" if apart else ""
            raise BadInput(
                f"{path} and {cell.similarity}: the dataset {cell.dataset} has {len(known):,} images in one, {len(names):,} in the other{example}; "
                "only results of the same images can stand in one table"
            )


def _check_versions(found: Iterable[tuple[Cell, Path]], mixed: bool) -> Iterator[str]:
    by_word: dict[str, dict[str, set[str]]] = {}
    for cell, folder in found:
        for word, versions in environment.of_record(tables.provenance(cell.similarity), cell.similarity).items():
            for version in versions:
                by_word.setdefault(word, {}).setdefault(version, set()).add(str(folder))
    for word, where_of in sorted(by_word.items()):
        if len(where_of) < 2:
            continue
        said = f"{word} differs: " + "; ".join(f"{version} in {', '.join(sorted(where))}" for version, where in sorted(where_of.items()))
        if word in MACHINE:
            yield f"{said}: the last digits of similarities may differ"
        elif mixed:
            yield f"{said}: similarities computed with different versions stand in one table (--mixed-versions)"
        else:
            raise BadInput(
                f"{said}. A difference between cells could be one between versions; make one of them anew with the other's versions, or join all "
                "the same with --mixed-versions"
            )


def lines(rows: Sequence[Mapping[str, Any]], *, most: int = 40) -> list[str]:
    """What to say of :func:`differences`, a line each."""
    same = sum(bool(row["same"]) for row in rows)
    counts = {word: sum(row["where"] == word for row in rows) for word in (BOTH, ONLY_A, ONLY_B)}
    said = [
        f"{counts[BOTH]} cells in both: {same} the same, {counts[BOTH] - same} differ; {counts[ONLY_A]} only in A, {counts[ONLY_B]} only in B"
    ]
    changed = sorted((row for row in rows if row["where"] == BOTH and not row["same"]), key=lambda row: -abs(_known(row["difference"])))
    for row in changed[:most]:
        said.append(f"{_name(row)}: {_words(row)}")
    if len(changed) > most:
        said.append(f"... and {len(changed) - most} more that differ")
    for word in (ONLY_A, ONLY_B):
        names = [_name(row) for row in rows if row["where"] == word]
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            said.append(f"{word}: {'; '.join(names[:3])}{more}")
    return said


def _known(value: Any) -> float:
    return float(value) if isinstance(value, float) and math.isfinite(value) else 0.0


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['dataset']}/{row['variant']}/{row['detector']}/{row['backbone']}"


def _words(row: Mapping[str, Any]) -> str:
    from frontalbench.tabulate.write import interval

    parts = []
    if row["n_common"]:
        shown = interval(row["difference"], row["difference_low"], row["difference_high"], digits=4, sign=True)
        parts.append(f"mean {row['mean_a']:.4f} -> {row['mean_b']:.4f}, difference {shown} over {row['n_common']} common probes")
    for key, what in (("n_other_status", "with another status"), ("n_other_role", "with another role")):
        if row[key]:
            parts.append(f"{row[key]} images {what}")
    if row["n_only_a"] or row["n_only_b"]:
        parts.append(f"{row['n_only_a']} images only in A, {row['n_only_b']} only in B")
    if row["software_a"] or row["software_b"]:
        parts.append(f"{row['software_a'] or 'nothing said'} against {row['software_b'] or 'nothing said'}")
    parts.append(f"largest difference {row['largest_difference']:.4f}")
    return ", ".join(parts)

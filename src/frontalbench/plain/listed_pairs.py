"""A ``pairs.csv`` in, scores, thresholds and errors out: one-to-one comparison as in an identity check ("KYC": a selfie against a document).

The file names two images per line and, where it is known, whether both show one person. Statistics: :mod:`frontalbench.compare.listed`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from frontalbench import status
from frontalbench.compare import listed, rates
from frontalbench.compare.listed import Listed
from frontalbench.errors import BadInput
from frontalbench.files import atomic, sheet

NEEDED = ("first", "second")
COLUMNS = (*NEEDED, "same", "first_subject", "second_subject")
"""Columns of a pairs.csv; the first two are needed."""
SCORES = ("first", "second", "same", "score", "accepted", "status", "detail")
RATES = (
    *("fmr_target", "supported", "threshold", "threshold_low", "threshold_high", "fmr", "fnmr", "fnmr_low", "fnmr_high"),
    *("fnmr_with_failures", "n_same", "n_different", "n_failed_same", "n_failed_different", "n_people"),
)
WORDS = {"1": True, "true": True, "yes": True, "same": True, "0": False, "-1": False, "false": False, "no": False, "different": False}

Vector = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """A line of the file: images as written, whether one person (None: not said), the people's names ("": not said)."""

    first: str
    second: str
    same: bool | None
    first_subject: str = ""
    second_subject: str = ""


def read(path: str | os.PathLike[str]) -> list[Line]:
    """The lines of a pairs.csv. Raises :class:`BadInput` naming the line that is wrong."""
    file = Path(path)
    found = []
    try:
        for line, row in sheet.read(file, NEEDED, expected=f"{', '.join(COLUMNS)} (the last three may be left out)"):
            first, second = (row[name] for name in NEEDED)
            if not first or not second:
                raise BadInput(f"{file}: line {line}: an image is missing; expected two names")
            word = row.get("same", "").lower()
            if word and word not in WORDS:
                raise BadInput(f"{file}: line {line}: same: expected 1 or 0 (or nothing), got '{word[:40]}'")
            one, two = (row.get(name, "") for name in COLUMNS[3:])
            same = WORDS[word] if word else None
            if one and two and same is not None and (one == two) != same:
                said = "two people" if one != two else "one person"
                raise BadInput(f"{file}: line {line}: same says {int(same)}, but the subjects are {said} ('{one}', '{two}')")
            found.append(Line(first, second, (one == two) if one and two else same, one, two))
    except FileNotFoundError:
        raise BadInput(f"{file}: not found; expected a CSV file with the columns {', '.join(COLUMNS)}") from None
    if not found:
        raise BadInput(f"{file}: holds no pairs")
    return found


@dataclass
class Found:
    """Rows of :data:`SCORES` and :data:`RATES`, and what a person should know."""

    scores: list[dict[str, Any]] = field(default_factory=list)
    rates: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def judge(
    lines: Sequence[Line],
    embed: Callable[[str], Vector],
    where: str,
    *,
    threshold: float | None = None,
    targets: Sequence[float] = rates.FMR_TARGETS,
) -> Found:
    """Score every pair and count errors.

    ``embed`` gives the unit embedding of an image by its name, and raises :class:`BadInput` where there is none. ``threshold``: the caller's; then
    ``accepted`` and one row of rates more are for it. Raises :class:`BadInput` for labels that contradict each other.
    """
    vectors: dict[str, Vector] = {}
    failures: dict[str, str] = {}
    for name in dict.fromkeys(name for line in lines for name in (line.first, line.second)):
        try:
            vectors[name] = embed(name)
        except BadInput as error:
            failures[name] = str(error)
    found = Found()
    for line in lines:
        bad = [failures[name] for name in (line.first, line.second) if name in failures]
        row: dict[str, Any] = {
            "first": line.first,
            "second": line.second,
            "same": line.same,
            "status": status.NO_FACE if bad else status.OK,
        }
        row["detail"] = "; ".join(bad)
        if not bad:
            row["score"] = float(vectors[line.first].astype(np.float64) @ vectors[line.second].astype(np.float64))
            if threshold is not None:
                row["accepted"] = row["score"] >= threshold
        found.scores.append(row)
    labelled = [(line, row) for line, row in zip(lines, found.scores, strict=True) if line.same is not None]
    unlabelled = len(lines) - len(labelled)
    if unlabelled:
        found.notes.append(
            f"{unlabelled} of {len(lines)} pairs do not say whether they show one person: scored, not counted in the error rates"
        )
    good = [(line, row) for line, row in labelled if row["status"] == status.OK]
    kinds = {bool(line.same) for line, _ in good}
    if len(kinds) < 2:
        found.notes.append("error rates need pairs of one person and of two; there are none")
        return found
    first, second, people = _people([line for line, _ in good], where)
    scores, same = np.array([row["score"] for _, row in good]), np.array([bool(line.same) for line, _ in good])
    pairs = Listed(scores, same, first, second, people)
    lost = {kind: sum(row["status"] != status.OK and line.same is kind for line, row in labelled) for kind in (True, False)}
    about = {"n_same": int(same.sum()), "n_different": int((~same).sum()), "n_failed_same": lost[True], "n_failed_different": lost[False]}
    for rate in listed.error_rates(pairs, targets):
        misses = float((scores[same] < rate.threshold).sum()) + lost[True]
        found.rates.append(
            {
                **{"fmr_target": rate.target, "supported": rate.supported, "threshold": rate.threshold, "fmr": rate.fmr},
                **{"threshold_low": rate.threshold_low, "threshold_high": rate.threshold_high},
                **{"fnmr": rate.fnmr.value, "fnmr_low": rate.fnmr.low, "fnmr_high": rate.fnmr.high},
                **{"fnmr_with_failures": misses / (about["n_same"] + lost[True]), "n_people": people, **about},
            }
        )
    if threshold is not None:
        fnmr = rates.fnmr_estimate(scores[same], threshold, first[same])
        misses = float((scores[same] < threshold).sum()) + lost[True]
        found.rates.append(
            {
                **{"fmr_target": math.nan, "supported": True, "threshold": threshold, "fmr": float((scores[~same] >= threshold).mean())},
                **{"threshold_low": math.nan, "threshold_high": math.nan},
                **{"fnmr": fnmr.value, "fnmr_low": fnmr.low, "fnmr_high": fnmr.high},
                **{"fnmr_with_failures": misses / (about["n_same"] + lost[True]), "n_people": people, **about},
            }
        )
    return found


def _people(lines: Sequence[Line], where: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], int]:
    """Who is on either side: the subjects where every line names them, else what the pairs call one person."""
    if all(line.first_subject and line.second_subject for line in lines):
        names, code = np.unique([*(line.first_subject for line in lines), *(line.second_subject for line in lines)], return_inverse=True)
        sides = code.reshape(2, -1).astype(np.int64)
        return sides[0], sides[1], len(names)
    return listed.people_of([line.first for line in lines], [line.second for line in lines], [bool(line.same) for line in lines], where)


def write(found: Found, out: Path) -> list[Path]:
    """Write ``scores.csv`` and, where there are rates, ``error_rates.csv`` into the folder ``out``."""
    from frontalbench.tabulate.write import csv_rows

    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: not a folder; give another name")
    written = []
    for name, columns, rows in (("scores.csv", SCORES, found.scores), ("error_rates.csv", RATES, found.rates)):
        if rows:
            atomic.write_text(out / name, csv_rows(columns, rows))
            written.append(out / name)
    return written

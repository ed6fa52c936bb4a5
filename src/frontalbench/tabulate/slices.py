"""Slices: does a result hold for people with glasses, for every camera, for faces that look down?

Any column of a dataset's table (``index.csv``), bins of pitch or of yaw. Of the photographs (`original`) the *margin* is taken (similarity to the own
references less that to strangers'), of every other variant the identity gain over the photographs; both per slice, with intervals over people on
both sides, and the differences between slices, paired by people where they are in both.
"""

from __future__ import annotations

import itertools
import math
import os
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from frontalbench import status
from frontalbench.compare import groups, jackknife, significance
from frontalbench.compare.jackknife import LeftOut
from frontalbench.compare.kernel import group_of
from frontalbench.compare.rows import Rows, read_rows
from frontalbench.errors import BadInput
from frontalbench.files import sheet
from frontalbench.plan.grid import Cell, Selection
from frontalbench.plan.variant import ORIGINAL
from frontalbench.tabulate import beside
from frontalbench.types import Bool, Float, Int

HEAD = ("dataset", "variant", "detector", "backbone", "by", "measure")
SLICES = (*HEAD, "slice", "n_images", "n_identities", "n_fta", "mean", "low", "high", "note")
PAIRS = (*HEAD, "slice", "other", "n_identities", "n_in_both", "difference", "low", "high", "p", "p_holm", "note")
MARGIN, GAIN = "margin", "identity_gain"
EDGES: Mapping[str, tuple[float, ...]] = {
    "pitch": (-90.0, -30.0, -10.0, 10.0, 30.0, 90.0),
    "yaw": (0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0),
}
"""Edges in degrees of the bins of pitch (positive: looking down) and of \\|yaw\\|."""
NOT_SAID = "(not said)"
MOST = 60
"""A column with more different values than this is no slice (a name, a number)."""


def read_column(path: str | os.PathLike[str], name: str) -> dict[str, str]:
    """``image_id`` -> value of the column ``name`` of an index table. Raises :class:`BadInput`: a column is missing, an image stands there twice."""
    file = Path(path)
    wanted = " ".join(name.split()).lower()
    try:
        table = sheet.read(file, ["image", wanted])
    except FileNotFoundError:
        raise BadInput(f"{file}: not there; expected the dataset's table (index.csv)") from None
    found: dict[str, str] = {}
    for line, row in table:
        image = unicodedata.normalize("NFC", row["image"].replace("\\", "/"))
        if image in found:
            raise BadInput(f"{file}: line {line}: image '{image}' stands there twice")
        found[image] = row[wanted] or NOT_SAID
    return found


def binned(angles: Float, edges: Sequence[float], *, unsigned: bool) -> list[str]:
    """The bin of every angle (n,) in degrees as a word, such as ``-10..10``; :data:`NOT_SAID` where it is not known."""
    values = np.abs(angles) if unsigned else angles
    place = np.clip(np.searchsorted(edges, values, "right") - 1, 0, len(edges) - 2)
    return [f"{edges[k]:g}..{edges[k + 1]:g}" if np.isfinite(v) else NOT_SAID for k, v in zip(place.tolist(), values.tolist(), strict=True)]


def slices(cells: Sequence[Cell], by: str, values: Mapping[str, str] | None = None) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(rows of :data:`SLICES`, rows of :data:`PAIRS`) of finished cells, those of ``original`` among them; Holm's correction is within a cell.

    ``values``: ``image_id`` -> slice; without it ``by`` is a key of :data:`EDGES`. Raises :class:`BadInput` when no image has a value, when there is
    one slice alone, or far too many.
    """
    base = {(cell.dataset, *cell.judge): cell for cell in cells if cell.variant == ORIGINAL}
    out: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for cell in sorted(cells):
        original = base.get((cell.dataset, *cell.judge))
        if original is None:
            raise BadInput(f"{cell.similarity}: the cell of variant '{ORIGINAL}' with the same detector and backbone is needed beside it")
        before, after = read_rows(original.similarity), read_rows(cell.similarity)
        if before.image_id.tolist() != after.image_id.tolist():
            raise BadInput(f"{cell.similarity} and {original.similarity}: other images in one than in the other; run the workflow again")
        words = _words(before, by, values, cell)
        of_original = cell.variant == ORIGINAL
        head = {**dict(zip(HEAD, (cell.dataset, cell.variant, cell.detector, cell.backbone, by), strict=False))}
        head["measure"] = MARGIN if of_original else GAIN
        margin = after.genuine - after.impostor
        value = margin if of_original else margin - (before.genuine - before.impostor)
        moves = -groups.moves_between(after, before) if not of_original else _own_moves(after)
        usable = (after.role == "probe") & np.isfinite(value) & after.ok & before.ok
        failed = (after.role == "probe") & before.ok & np.isin(after.status.astype(np.str_), sorted(status.FAILURE_TO_ACQUIRE))
        _add(out, head, words, value, usable, failed, after.subject_code, moves)
    return out


def _own_moves(rows: Rows) -> Float:
    if rows.moves is None:
        return np.full((len(rows), 1), np.nan)
    return -rows.moves.astype(np.float64)


def _words(rows: Rows, by: str, values: Mapping[str, str] | None, cell: Cell) -> np.ndarray[Any, Any]:
    if values is None:
        return np.array(binned(getattr(rows, by), EDGES[by], unsigned=by == "yaw"), dtype=object)
    words = np.array([values.get(str(name), NOT_SAID) for name in rows.image_id], dtype=object)
    if (words == NOT_SAID).all():
        raise BadInput(f"{cell.similarity}: the table names none of its images, such as '{rows.image_id[0]}'; give the dataset's own table")
    return words


def _add(
    out: tuple[list[dict[str, Any]], list[dict[str, Any]]],
    head: Mapping[str, Any],
    words: np.ndarray[Any, Any],
    value: Float,
    usable: Bool,
    failed: Bool,
    person: Int,
    moves: Any,
) -> None:
    names = sorted({str(word) for word in words[usable | failed]})
    if len(names) < 2:
        raise BadInput(f"{head['by']}: every image is in one slice ('{names[0] if names else NOT_SAID}'); there is nothing to compare")
    if len(names) > MOST:
        raise BadInput(f"{head['by']}: {len(names)} different values; a slice is one of few (at most {MOST}), such as glasses or camera")
    left = {}
    for name in names:
        here = usable & (words == name)
        people = len(np.unique(person[here]))
        left[name] = _left_out(value[here], person[here], moves[here])
        estimate = left[name].estimate()
        out[0].append(
            {
                **{
                    **head,
                    "slice": name,
                    "n_images": int(here.sum()),
                    "n_identities": people,
                    "n_fta": int((failed & (words == name)).sum()),
                },
                **{"mean": estimate.value, "low": estimate.low, "high": estimate.high, "note": _note(people)},
            }
        )
    pairs = []
    for one, two in itertools.combinations(names, 2):
        sides = [set(np.unique(person[usable & (words == name)]).tolist()) for name in (one, two)]
        change = left[two] - left[one] if all(sides) else None
        few = change is None or min(map(len, sides)) < jackknife.MIN_PEOPLE
        estimate = jackknife.Estimate(math.nan, math.nan, math.nan) if change is None else change.estimate()
        pairs.append(
            {
                **{**head, "slice": two, "other": one, "n_identities": len(sides[0] | sides[1]), "n_in_both": len(sides[0] & sides[1])},
                **{"difference": estimate.value, "low": math.nan if few else estimate.low, "high": math.nan if few else estimate.high},
                **{"p": math.nan if few or change is None else change.p_value(), "p_holm": math.nan},
                "note": _note(min(map(len, sides))) if few else "",
            }
        )
    for row, p in zip(pairs, significance.holm([row["p"] for row in pairs]), strict=True):
        row["p_holm"] = float(p)
    out[1].extend(pairs)


def _note(people: int) -> str:
    if people == 0:
        return "no image with a value"
    return "" if people >= jackknife.MIN_PEOPLE else f"{people} {'person' if people == 1 else 'people'}: too few for an interval"


def _left_out(values: Float, person: Int, moves: Any) -> LeftOut:
    """Mean of ``values`` (n,) without each (group of) people, as probes and as strangers' references; ``moves`` (n, groups)."""
    groups_of = moves.shape[1]
    code = group_of(person, groups_of)
    sums = np.bincount(code, values, minlength=groups_of).astype(np.float64)[:, None]
    numbers = np.bincount(code, minlength=groups_of).astype(np.float64)[:, None]
    moved = np.asarray(moves, np.float64).sum(axis=0)[:, None]
    if not len(values):
        return LeftOut(math.nan, np.full(groups_of, math.nan), np.zeros(groups_of))
    value, without, share = jackknife.mean_left_out(sums, numbers, moved)
    return LeftOut(float(value[0]), without[:, 0], share[:, 0])


@dataclass
class Found:
    """Rows of the two tables, and what was left out, a line each."""

    slices: list[dict[str, Any]] = field(default_factory=list)
    pairs: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def of_results(
    results: str | os.PathLike[str],
    by: str | Sequence[str],
    *,
    indexes: Sequence[str | os.PathLike[str]] = (),
    datasets: Sequence[str] = (),
    grid: Selection | None = None,
) -> Found:
    """:func:`slices` of the finished cells below a folder of results, for every word of ``by``.

    ``indexes``: tables of the datasets, a path or ``DATASET=path``; without one ``by`` is a key of :data:`EDGES`. ``grid``: the cells of a run and no
    others that lie there; then a dataset that cannot be sliced by a word is left out with a note. Raises :class:`BadInput`, without a ``grid`` for
    whatever cannot be done.
    """
    cells = [cell for cell in (beside.cells_in(results) if grid is None else grid.cells()) if not datasets or cell.dataset in datasets]
    names = sorted({cell.dataset for cell in cells})
    if not cells:
        of = f" of dataset {', '.join(datasets)}" if datasets else ""
        raise BadInput(f"{results}: no finished cell{of}; run the workflow for it first")
    tables = _indexes(indexes, names, results)
    found = Found()
    for word in [by] if isinstance(by, str) else by:
        for name in names:
            table = None if word in EDGES else tables.get(name)
            mine = [cell for cell in cells if cell.dataset == name]
            try:
                if word not in EDGES and table is None:
                    raise BadInput(f"--by {word}: give the dataset's table with --index, or one of {', '.join(EDGES)}")
                rows, pairs = slices(mine, word, None if table is None else read_column(table, word))
            except BadInput as error:
                if grid is None:
                    raise
                found.notes.append(f"{name} by {word}: left out; {error}")
                continue
            found.slices += rows
            found.pairs += pairs
    return found


def _indexes(given: Sequence[str | os.PathLike[str]], names: Sequence[str], results: str | os.PathLike[str]) -> dict[str, Path]:
    """Dataset -> its table."""
    found: dict[str, Path] = {}
    for one in given:
        name, sign, path = os.fspath(one).partition("=")
        if sign and name in names:
            found[name] = Path(path)
        elif len(names) > 1:
            raise BadInput(f"{results}: has the datasets {', '.join(names)}; say whose table {one} is: --index DATASET={one}, or --dataset")
        else:
            found[names[0]] = Path(one)
    return found

"""Which judge is the most robust to pose: detectors x backbones on the original images, their differences, and which of these are chance.

All judges are compared over the same images: the probes that every one of them gave, with a known yaw. Similarities of two backbones are not on
one scale, so the measures named ``z_`` count them in standard deviations of the judge's own impostor similarities, above their mean. Every judge is
measured again without each person, as probe and as reference, so that its own mean, standard deviation and threshold move too: two judges that are
equally good have different ones by chance.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from frontalbench.compare import curves, groups, jackknife, kernel, rates, scores, separation, significance, verdict
from frontalbench.compare.jackknife import LeftOut
from frontalbench.compare.rows import Rows
from frontalbench.tabulate.dataset import SYNTHETIC_NOTE, Dataset, TableSettings, is_missing, join_notes
from frontalbench.tabulate.facts import Facts
from frontalbench.tabulate.verification import YAW_GRID, Scored, moments, read_scores
from frontalbench.types import Bool, Float, Int

Row = dict[str, Any]

MEASURES: Mapping[str, str] = {
    "fnmr": "lower",
    "z_area": "higher",
    "z_slope": "higher",
    "area": "higher",
    "slope": "higher",
    "stability": "higher",
}
"""Measure -> which way is better."""
MEANING: Mapping[str, str] = {
    "slope": "change of similarity to GT per 10 degrees of |yaw|",
    "area": "mean height of the smooth curve of similarity to GT over |yaw|",
    "z_slope": "slope in standard deviations of the impostor similarities",
    "z_area": "area in standard deviations of the impostor similarities",
    "stability": "mean Angled vs Angled",
    "fnmr": "false non-match rate at the judge's own threshold for FMR {target:g}",
}
COMPARED_ON_SCALE = ("z_slope", "z_area", "fnmr")
"""Measures that may be compared between backbones; of the others only detectors with the same backbone are ranked and tested."""
SLOPES = ("slope", "z_slope")
"""Measures that say how steeply something falls: a judge that tells nobody apart has nothing to fall from, and is last in them."""
USUAL = 1e-2
"""Judges are compared at this false match rate: the largest one in use, so the one that the fewest people support. Where n does not support it, at a
larger one (:data:`.rates.FMR_TARGETS`), which stands in the note."""
TELLS_APART = 1.0
"""A judge whose similarities to the own references lie less than this many standard deviations above those to strangers tells nobody apart."""
NOT_APART = "tells people hardly apart, so that its slope means nothing: placed last"


@dataclass(frozen=True)
class _Measured:
    """A judge with its measures; ``apart``: whether it tells people apart."""

    judge: tuple[str, str]
    of: Mapping[str, LeftOut]
    apart: bool


def judge_rows(dataset: Dataset, facts: Facts, settings: TableSettings) -> tuple[list[Row], list[Row]]:
    """Rows of ``judges`` and of ``judge_pairs`` of one dataset; none when no probe with a known yaw was given by every judge."""
    found = {
        cell.judge: (cell, rows)
        for judge in dataset.judges
        if (base := dataset.original(judge))
        for cell, rows in [base]
        if not is_missing(rows)
    }
    if not found:
        return [], []
    eligible = [groups.eligible_probes(rows, rows) & rows.ok for _, rows in found.values()]
    first = next(iter(found.values()))[1]
    common = np.all(eligible, axis=0) & np.isfinite(first.yaw)
    if not common.any():
        return [], []
    scored = {judge: read_scores(cell, rows) for judge, (cell, rows) in found.items()}
    supported = [
        target
        for target in rates.FMR_TARGETS
        if all(s is not None and rates.operating_point(s.impostors, target).supported for s in scored.values())
    ]
    target = USUAL if USUAL in supported else min(supported, default=None)
    measured = [_measure(judge, rows, common, scored[judge], target) for judge, (_, rows) in found.items()]
    note = SYNTHETIC_NOTE if dataset.name in facts.synthetic else ""
    head = {"dataset": dataset.name, "synthetic": dataset.name in facts.synthetic}
    counts = {"n_images": int(common.sum()), "n_subjects": len(set(first.subject[common]))}
    rows_out: list[Row] = []
    pairs: list[Row] = []
    for measure, better in MEASURES.items():
        able = [one for one in measured if measure in one.of and math.isfinite(one.of[measure].value)]
        if not able:
            continue
        tested = _pairs(able, measure, counts["n_subjects"])
        pairs += [{**head, "measure": measure, **counts, **row, "note": join_notes(row["note"], note)} for row in tested]
        meaning = MEANING[measure].format(target=target or 0.0)
        for one in able:
            estimate = one.of[measure].estimate()
            last = NOT_APART if measure in SLOPES and not one.apart else ""
            row = {**head, "detector": one.judge[0], "backbone": one.judge[1], "measure": measure, "better": better, **counts}
            row |= {"value": estimate.value, "low": estimate.low, "high": estimate.high, "note": join_notes(meaning, last, note)}
            rows_out.append({**row, **_places(one, able, tested, measure)})
    return rows_out, pairs


def _measure(judge: tuple[str, str], rows: Rows, common: Bool, scored: Scored | None, target: float | None) -> _Measured:
    cell = moments(rows, common, rows)
    n_groups = cell.moves.shape[1] if cell.moves is not None else int(rows.subject_code.max()) + 1
    who = kernel.group_of(rows.subject_code, n_groups)
    yaw = np.where(common, np.abs(rows.yaw), np.nan)
    genuine = np.where(common, rows.genuine, np.nan)
    mean, sd = separation.impostor_moments_left_out(cell, rows.subject_code)
    out = {
        "slope": curves.slope_left_out(yaw, genuine, who, n_groups),
        "area": curves.smooth(yaw, genuine, who, YAW_GRID, people=n_groups).area,
        "stability": _mean(np.where(common, rows.within, np.nan), who, n_groups),
    }
    collapsed = bool(sd.value <= scores.TIE)
    out |= {"z_slope": _in_sds(out["slope"], None, sd, collapsed), "z_area": _in_sds(out["area"], mean, sd, collapsed)}
    if target is not None and scored is not None and scored.impostors.people is not None:
        inside = common[scored.image]
        point = rates.operating_point(scored.impostors, target)
        out["fnmr"] = rates.miss_rates(scored.genuine[inside], scored.subject[inside], scored.impostors, [point.threshold]).left_out()
    return _Measured(judge, out, not out["z_area"].value < TELLS_APART)


def _in_sds(value: LeftOut, mean: LeftOut | None, sd: LeftOut, collapsed: bool) -> LeftOut:
    """``value`` (minus ``mean``) in impostor standard deviations, all without each person too; 0 for a judge whose similarities are all the same."""
    if collapsed:
        return LeftOut(0.0, np.zeros_like(value.without), value.share)
    above, without = (value.value, value.without) if mean is None else (value.value - mean.value, value.without - mean.without)
    with np.errstate(invalid="ignore", divide="ignore"):
        return LeftOut(above / sd.value, without / sd.without, value.share)


def _mean(values: Float, who: Int, n: int) -> LeftOut:
    known = np.isfinite(values)
    sums, numbers = np.bincount(who[known], values[known], minlength=n), np.bincount(who[known], minlength=n)
    value, without, share = jackknife.mean_left_out(sums[:, None].astype(np.float64), numbers[:, None].astype(np.float64))
    return LeftOut(float(value[0]), without[:, 0], share[:, 0])


def _may_be_compared(a: _Measured, b: _Measured, measure: str) -> bool:
    return measure in COMPARED_ON_SCALE or a.judge[1] == b.judge[1]


def _pairs(able: list[_Measured], measure: str, n_people: int) -> list[Row]:
    """Every two judges that may be compared: difference paired by person, interval and p by Student's t, Holm over the measure."""
    out: list[Row] = []
    for a, b in itertools.combinations([one for one in able if one.apart or measure not in SLOPES], 2):
        if not _may_be_compared(a, b, measure):
            continue
        difference = a.of[measure] - b.of[measure]
        estimate, p = difference.estimate(), difference.p_value()
        out.append(
            {
                **{"detector_a": a.judge[0], "backbone_a": a.judge[1], "detector_b": b.judge[0], "backbone_b": b.judge[1]},
                **{"difference": estimate.value, "low": estimate.low, "high": estimate.high, "p_value": p},
                **{"decidable": math.isfinite(p), "note": "" if math.isfinite(p) else f"not decidable with {n_people} people"},
            }
        )
    for row, p in zip(out, significance.holm([row["p_value"] for row in out]), strict=True):
        row["p_holm"], row["significant"] = float(p), bool(p < verdict.SIGNIFICANT)
    return out


def _places(one: _Measured, able: list[_Measured], tested: list[Row], measure: str) -> Row:
    """``place`` by the value among the judges that may be compared, and the places (``first`` to ``last``) that significance leaves open.

    A judge that tells nobody apart stands behind all others in the measures of :data:`SLOPES`.
    """
    sign = 1.0 if MEASURES[measure] == "higher" else -1.0
    rivals = [o for o in able if _may_be_compared(o, one, measure)]

    def merit(judge: _Measured) -> tuple[bool, float]:
        return judge.apart or measure not in SLOPES, sign * judge.of[measure].value

    place = 1 + sum(merit(o) > merit(one) for o in rivals)
    ahead = behind = 0
    for other in rivals:
        if merit(other)[0] != merit(one)[0]:
            ahead, behind = ahead + merit(other)[0], behind + merit(one)[0]
    for row in tested:
        sides = ((row["detector_a"], row["backbone_a"]), (row["detector_b"], row["backbone_b"]))
        if row["significant"] and one.judge in sides:
            better = sign * row["difference"] * (1 if sides[0] == one.judge else -1) > 0
            behind, ahead = behind + better, ahead + (not better)
    return {"place": place, "first": 1 + ahead, "last": len(rivals) - behind, "n_ranked": len(rivals)}

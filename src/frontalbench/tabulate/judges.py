"""Which judge is the most robust to pose: detectors x backbones on the original pictures, their differences, and which of these are chance.

All judges are compared over the same images: the probes that every one of them gave, with a known yaw. Similarities of two backbones are not on one
scale, so the measures named ``z_`` count them in standard deviations of the judge's own impostor similarities, above their mean.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from frontalbench.compare import bootstrap, curves, groups, stats
from frontalbench.compare.curves import Draws
from frontalbench.compare.groups import FloatArray, Rows
from frontalbench.tabulate.dataset import SYNTHETIC_NOTE, Dataset, Settings, is_missing, join_notes
from frontalbench.tabulate.facts import Facts
from frontalbench.tabulate.verification import YAW_GRID, read_scores

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
UNCERTAIN = 0.05
COMPARED_ON_SCALE = ("z_slope", "z_area", "fnmr")
"""Measures that may be compared between backbones; of the others only detectors with the same backbone are ranked and tested."""


@dataclass(frozen=True)
class _Measured:
    judge: tuple[str, str]
    draws: Mapping[str, Draws]


def judge_rows(dataset: Dataset, facts: Facts, settings: Settings) -> tuple[list[Row], list[Row]]:
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
        for target in stats.FMR_TARGETS
        if all(s is not None and stats.operating_point(s.impostors, target).supported for s in scored.values())
    ]
    target = min(supported, default=None)
    measured = []
    for judge, (_, rows) in found.items():
        draws = _measures(rows, common, settings)
        pair_scores = scored[judge]
        if target is not None and pair_scores is not None:
            draws["fnmr"] = _fnmr(pair_scores, common, first, target, settings)
        measured.append(_Measured(judge, draws))
    note = SYNTHETIC_NOTE if dataset.name in facts.synthetic else ""
    head = {"dataset": dataset.name, "synthetic": dataset.name in facts.synthetic}
    counts = {"n_images": int(common.sum()), "n_subjects": len(set(first.subject[common]))}
    rows_out: list[Row] = []
    pairs: list[Row] = []
    for measure, better in MEASURES.items():
        able = [one for one in measured if measure in one.draws and math.isfinite(one.draws[measure].value)]
        if not able:
            continue
        tested = _pairs(able, measure)
        pairs += [{**head, "measure": measure, **counts, **row, "note": note} for row in tested]
        meaning = MEANING[measure].format(target=target or 0.0)
        for one in able:
            estimate = one.draws[measure].estimate()
            row = {**head, "detector": one.judge[0], "backbone": one.judge[1], "measure": measure, "better": better, **counts}
            row |= {"value": estimate.value, "low": estimate.low, "high": estimate.high, "note": join_notes(meaning, note)}
            rows_out.append({**row, **_places(one, able, tested, measure)})
    return rows_out, pairs


def _measures(rows: Rows, common: groups.BoolArray, settings: Settings) -> dict[str, Draws]:
    more = {"resamples": settings.resamples, "seed": settings.seed}
    subject = rows.subject.astype(np.str_)
    yaw = np.where(common, np.abs(rows.yaw), np.nan)
    genuine = np.where(common, rows.genuine, np.nan)
    mean, sd = _impostors(rows, common)
    z = (genuine - mean) / sd if sd > 0 else np.full(len(genuine), np.nan)
    out = {}
    for prefix, values in (("", genuine), ("z_", z)):
        out[f"{prefix}slope"] = curves.slope_draws(yaw, values, subject, **more)
        out[f"{prefix}area"] = curves.area_draws(yaw, values, subject, YAW_GRID, **more)
    out["stability"] = _ratio(*_per_subject(np.where(common, rows.within, np.nan), rows, common), settings)
    return out


def _impostors(rows: Rows, common: groups.BoolArray) -> tuple[float, float]:
    """(mean, standard deviation) of all impostor pairs of the common probes, from the moments per image. Held fixed when people are resampled."""
    n = np.where(common, rows.n_impostors, 0.0)
    if not n.sum():
        return math.nan, 0.0
    mean = float((n * np.nan_to_num(rows.impostor)).sum() / n.sum())
    square = float((n * (np.nan_to_num(rows.impostor_sd) ** 2 + np.nan_to_num(rows.impostor) ** 2)).sum() / n.sum())
    return mean, math.sqrt(max(square - mean**2, 0.0))


def _per_subject(values: FloatArray, rows: Rows, common: groups.BoolArray) -> tuple[FloatArray, FloatArray]:
    """(sums, numbers) per person of the common images, people in sorted order; NaN adds nothing."""
    _, code = np.unique(rows.subject[common].astype(np.str_), return_inverse=True)
    chosen = values[common]
    known = np.isfinite(chosen)
    n = int(code.max()) + 1
    return np.bincount(code[known], chosen[known], minlength=n).astype(np.float64), np.bincount(code[known], minlength=n).astype(np.float64)


def _ratio(sums: FloatArray, numbers: FloatArray, settings: Settings) -> Draws:
    if not numbers.sum():
        return Draws(math.nan, np.zeros(0))
    if len(sums) < 2:
        return Draws(float(sums.sum() / numbers.sum()), np.zeros(0))
    draws = bootstrap.ratio_draws(sums[:, None], numbers[:, None], resamples=settings.resamples, seed=settings.seed)[:, 0]
    return Draws(float(sums.sum() / numbers.sum()), draws)


def _fnmr(scored: Any, common: groups.BoolArray, rows: Rows, target: float, settings: Settings) -> Draws:
    point = stats.operating_point(scored.impostors, target)
    inside = common[scored.image]
    names = np.unique(rows.subject[common].astype(np.str_))
    place = np.searchsorted(names, rows.subject[scored.image[inside]].astype(np.str_))
    missed = (scored.genuine[inside] < np.float32(point.threshold)).astype(np.float64)
    sums = np.bincount(place, missed, minlength=len(names)).astype(np.float64)
    return _ratio(sums, np.bincount(place, minlength=len(names)).astype(np.float64), settings)


def _pairs(able: list[_Measured], measure: str) -> list[Row]:
    """Every two judges that may be compared: difference, interval, p by the draws on the other side of zero, Holm over the measure."""
    out: list[Row] = []
    for a, b in itertools.combinations(able, 2):
        if measure not in COMPARED_ON_SCALE and a.judge[1] != b.judge[1]:
            continue
        one, two = a.draws[measure], b.draws[measure]
        if not len(one.draws) or not len(two.draws):
            continue
        difference = Draws(one.value - two.value, one.draws - two.draws)
        estimate = difference.estimate()
        out.append(
            {
                **{"detector_a": a.judge[0], "backbone_a": a.judge[1], "detector_b": b.judge[0], "backbone_b": b.judge[1]},
                **{"difference": estimate.value, "low": estimate.low, "high": estimate.high, "p_value": _bootstrap_p(difference.draws)},
            }
        )
    for row, p in zip(out, stats.holm([row["p_value"] for row in out]), strict=True):
        row["p_holm"], row["significant"] = float(p), bool(p < UNCERTAIN)
    return out


def _bootstrap_p(draws: FloatArray) -> float:
    """Two-sided: twice the smaller share of draws at or beyond zero (Efron and Tibshirani 1993, section 15.4), never below 2 / (draws + 1)."""
    known = draws[np.isfinite(draws)]
    if not len(known):
        return math.nan
    beyond = min(int((known <= 0).sum()), int((known >= 0).sum()))
    return min(1.0, 2.0 * (beyond + 1) / (len(known) + 1))


def _places(one: _Measured, able: list[_Measured], tested: list[Row], measure: str) -> Row:
    """``place`` by the value among the judges that may be compared, and the places (``first`` to ``last``) that significance leaves open."""
    sign = 1.0 if MEASURES[measure] == "higher" else -1.0
    rivals = [o for o in able if measure in COMPARED_ON_SCALE or o.judge[1] == one.judge[1]]
    place = 1 + sum(sign * o.draws[measure].value > sign * one.draws[measure].value for o in rivals)
    ahead = behind = 0
    for row in tested:
        sides = ((row["detector_a"], row["backbone_a"]), (row["detector_b"], row["backbone_b"]))
        if row["significant"] and one.judge in sides:
            better = sign * row["difference"] * (1 if sides[0] == one.judge else -1) > 0
            behind, ahead = behind + better, ahead + (not better)
    return {"place": place, "first": 1 + ahead, "last": len(rivals) - behind, "n_ranked": len(rivals)}

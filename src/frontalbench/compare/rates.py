"""Error rates of genuine and impostor pairs: thresholds, FNMR at an FMR, EER, DET curves, identification by rank. Pure functions.

A pair is accepted when its score is at least the threshold: FMR(t) = share of impostor pairs >= t, FNMR(t) = share of genuine pairs < t
(ISO/IEC 19795-1); scores within :data:`~frontalbench.compare.scores.TIE` of the threshold count against the genuine pair. Intervals are over people,
who are left out one by one (:mod:`.jackknife`): as probes, and as references where impostor pairs are part of the value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.compare import jackknife
from frontalbench.compare.jackknife import Estimate, LeftOut
from frontalbench.compare.kernel import group_of
from frontalbench.compare.scores import PERSON_BINS, TIE, Impostors, bin_edges
from frontalbench.compare.subjects import codes_of
from frontalbench.types import Float, Int

FMR_TARGETS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
MIN_FALSE_MATCHES = 30
"""An FMR is supported when at least this many false matches stand behind it, among the impostor pairs and among the ordered pairs of different people
behind them (the rule of 30, Doddington et al. 2000; 100 frames of one person are one person)."""
NOT_SUPPORTED = "not supported by n"
_WINDOW = (0.3, 1.5)
"""The slope of FNMR over log FMR is taken over one standard error of log FMR to either side, at least and at most so wide."""


@dataclass(frozen=True)
class OperatingPoint:
    """``threshold`` whose false match rate ``fmr`` is the largest that does not exceed ``target``; ``supported``: enough impostor pairs for it."""

    target: float
    threshold: float
    fmr: float
    supported: bool


def evidence(impostors: Impostors) -> int:
    """How many independent impostor pairs there are at most: pairs of people, where it is known whose the pairs are."""
    return impostors.n if impostors.people is None else min(impostors.n, impostors.people.pairs)


def operating_point(impostors: Impostors, target: float) -> OperatingPoint:
    """The threshold for a false match rate of at most ``target``: exact in the tail, else a bin edge (then ``fmr`` is a little below)."""
    n = impostors.n
    supported = evidence(impostors) * target >= MIN_FALSE_MATCHES - 1e-9
    if n == 0:
        return OperatingPoint(target, math.nan, math.nan, False)
    allowed = math.floor(n * target + 1e-9)
    if allowed < len(impostors.tail):
        # one step above the highest impostor score that is refused, and a tie's width, so that rounding does not tell equal scores apart
        threshold = float(np.float32(impostors.tail[allowed] + np.float32(TIE)))
        return OperatingPoint(target, threshold, float((impostors.tail >= np.float32(threshold)).sum()) / n, supported)
    above = np.append(np.cumsum(impostors.counts[::-1])[::-1], 0)  # pairs in bin k and all higher ones
    k = int(np.argmax(above <= allowed))
    if len(impostors.tail) == n:  # everything is exact and everything is allowed
        return OperatingPoint(target, -1.0, 1.0, supported)
    return OperatingPoint(target, float(bin_edges()[k]), float(above[k]) / n, supported)


def fnmr(genuine: npt.ArrayLike, threshold: float) -> float:
    """Share of genuine scores below ``threshold``; NaN when there are none."""
    scores = np.asarray(genuine, np.float32).ravel()
    return float((scores < np.float32(threshold)).mean()) if scores.size else math.nan


def eer(genuine: npt.ArrayLike, impostors: Impostors) -> float:
    """Equal error rate: where FMR and FNMR cross, interpolated between bin edges. NaN when a side is empty."""
    return _crossing(genuine, impostors)[0]


def _crossing(genuine: npt.ArrayLike, impostors: Impostors) -> tuple[float, float]:
    """(equal error rate, its threshold)."""
    scores = np.sort(np.asarray(genuine, np.float64).ravel()) - TIE
    if not scores.size or not impostors.n:
        return math.nan, math.nan
    edges = bin_edges()
    misses = np.searchsorted(scores, edges, "left") / len(scores)
    misses[-1] = 1.0  # above the last edge nothing is accepted, on either side
    matches = np.append(np.cumsum(impostors.counts[::-1])[::-1], 0) / impostors.n
    k = int(np.argmax(misses >= matches))
    if k == 0:
        return float((misses[0] + matches[0]) / 2), float(edges[0])
    before, after = matches[k - 1] - misses[k - 1], matches[k] - misses[k]
    share = before / (before - after)
    return float(misses[k - 1] + share * (misses[k] - misses[k - 1])), float(edges[k - 1] + share * (edges[k] - edges[k - 1]))


def _fmr_left_out(impostors: Impostors, thresholds: Float) -> tuple[Float, Float]:
    """(false match rates (K,), the same without each group of people (groups, K)) at given thresholds."""
    people = impostors.people
    assert people is not None
    groups, n, k = people.groups, impostors.n, len(thresholds)
    pairs = people.counts.sum(axis=1)
    accepted = _accepted(impostors, thresholds)
    taken = np.zeros((groups, k))
    floor = float(impostors.tail[-1]) if len(impostors.tail) else 2.0
    exact = (thresholds > floor) | (len(impostors.tail) == n)
    if exact.any():
        # scores of the tail come highest first: those above a threshold are the first ones
        number = np.searchsorted(-impostors.tail.astype(np.float64), -thresholds[exact], "right")
        for column, stop in zip(np.flatnonzero(exact), number, strict=True):
            taken[:, column] = np.bincount(people.tail[:stop].reshape(-1).astype(np.int64), minlength=groups)
            own = people.tail[:stop, 0] == people.tail[:stop, 1]  # merged groups: a pair within one is that group's once
            if own.any():
                taken[:, column] -= np.bincount(people.tail[:stop][own, 0].astype(np.int64), minlength=groups)
    if not exact.all():
        place = np.clip((thresholds[~exact] + 1.0) * (PERSON_BINS / 2), 0.0, PERSON_BINS)
        above = np.concatenate([np.cumsum(people.counts[:, ::-1], axis=1)[:, ::-1], np.zeros((groups, 1))], axis=1)
        low = np.minimum(np.floor(place).astype(np.int64), PERSON_BINS - 1)
        found = above[:, low] + (place - low) * (above[:, low + 1] - above[:, low])
        total = found.sum(axis=0)
        taken[:, ~exact] = found * np.where(total > 0, 2.0 * accepted[~exact] / np.where(total > 0, total, 1.0), 0.0)
    rest = n - pairs
    with np.errstate(invalid="ignore", divide="ignore"):
        without = np.where(rest[:, None] > 0, (accepted - taken) / rest[:, None], np.nan)
    return accepted / n, without


def _accepted(impostors: Impostors, thresholds: Float) -> Float:
    """Impostor pairs at or above each threshold (K,): exact in the tail, interpolated in the bins."""
    edges = bin_edges()
    above = np.append(np.cumsum(impostors.counts[::-1])[::-1], 0).astype(np.float64)
    accepted = np.interp(thresholds, edges, above)
    if len(impostors.tail):
        exact = (thresholds > impostors.tail[-1]) | (len(impostors.tail) == impostors.n)
        accepted[exact] = np.searchsorted(-impostors.tail.astype(np.float64), -thresholds[exact], "right")
    return accepted


@dataclass(frozen=True)
class GenuinePairs:
    """Genuine scores (n,) with the group of people (n,) that each belongs to, sorted by score, so that many thresholds are looked at in one go."""

    score: Float
    group: Int
    groups: int

    @staticmethod
    def of(genuine: npt.ArrayLike, subject: npt.ArrayLike, groups: int = 0) -> GenuinePairs:
        """``groups``: that of the impostors' people (``subject`` holds codes then); 0: every subject is its own group."""
        scores = np.asarray(genuine, np.float32).ravel().astype(np.float64)
        who = np.asarray(subject)
        code = group_of(who.astype(np.int64), groups) if groups else np.unique(who, return_inverse=True)[1].astype(np.int64)
        order = np.argsort(scores, kind="stable")
        return GenuinePairs(scores[order], code[order], groups or int(code.max(initial=-1)) + 1)

    @property
    def numbers(self) -> Float:
        """(groups,): pairs of each group."""
        return np.bincount(self.group, minlength=self.groups).astype(np.float64)

    def misses(self, thresholds: Float) -> Float:
        """(groups, K): pairs of each group below each threshold."""
        t = np.asarray(thresholds, np.float32).astype(np.float64)
        order = np.argsort(t, kind="stable")
        step = np.searchsorted(t[order], self.score, "right")  # a score is a miss at every threshold above it
        between = np.zeros((self.groups, len(t) + 1))
        np.add.at(between, (self.group, step), 1.0)
        found = np.empty((self.groups, len(t)))
        found[:, order] = np.cumsum(between, axis=1)[:, : len(t)]
        return found


def _threshold_of(impostors: Impostors, rate: Float) -> Float:
    """Thresholds (K,) whose false match rate is ``rate``."""
    return np.array([operating_point(impostors, float(r)).threshold for r in np.clip(rate, 0.0, 1.0)])


@dataclass(frozen=True)
class MissRates:
    """False non-match rates (K,) at thresholds that were found from impostor pairs.

    ``error``: their standard error, threshold and people's pairs together; ``moves`` (groups, K): what each group of people does to the rate;
    ``misses`` and ``numbers`` (groups, K): their pairs.
    """

    rate: Float
    error: Float
    moves: Float
    misses: Float
    numbers: Float

    def intervals(self) -> tuple[Float, Float]:
        """(low, high), each (K,)."""
        return jackknife.rate_intervals(self.misses, self.numbers, self.error)

    def estimates(self) -> list[Estimate]:
        """One per threshold."""
        return [Estimate(float(v), float(a), float(b)) for v, a, b in zip(self.rate, *self.intervals(), strict=True)]

    def left_out(self, k: int = 0) -> LeftOut:
        """Rate ``k`` without each group of people."""
        return LeftOut(float(self.rate[k]), self.rate[k] - self.moves[:, k], jackknife.shares(self.numbers[:, k : k + 1])[:, 0])


def miss_rates(
    genuine: npt.ArrayLike, subject: npt.ArrayLike, impostors: Impostors, thresholds: npt.ArrayLike, *, slope_of: GenuinePairs | None = None
) -> MissRates:
    """FNMR at ``thresholds`` (K,) of :func:`operating_point`, with what people do to it by their genuine pairs and, by their impostor pairs on
    either side, to the threshold.

    Without a group of people the false match rate at the old threshold is another; to bring it back the threshold moves, and FNMR with it, by its
    slope over log FMR (the delta method for a rate at an estimated quantile). Where it is not recorded whose the impostor pairs are, the threshold
    is taken as known. ``slope_of``: the pairs whose FNMR gives the slope, if others (a bin's own pairs may be few).
    """
    t = np.asarray(thresholds, np.float64)
    people = impostors.people
    pairs = GenuinePairs.of(genuine, subject, 0 if people is None else people.groups)
    numbers = np.repeat(pairs.numbers[:, None], len(t), axis=1)
    misses = pairs.misses(t)
    rate, without, share = jackknife.mean_left_out(misses, numbers)
    moves = rate - without
    if people is not None and impostors.n:
        fmr, fmr_without = _fmr_left_out(impostors, t)
        with np.errstate(invalid="ignore", divide="ignore"):
            relative = (fmr - fmr_without) / fmr
        log_error = np.sqrt(np.nansum(relative**2, axis=0) * (1.0 - 1.0 / max(people.groups, 2)))
        window = np.clip(np.nan_to_num(log_error, nan=_WINDOW[0]), *_WINDOW)
        strict, loose = _threshold_of(impostors, fmr * np.exp(-window)), _threshold_of(impostors, fmr * np.exp(window))
        of = slope_of or pairs
        total = max(float(of.numbers.sum()), 1.0)
        slope = (of.misses(strict).sum(axis=0) - of.misses(loose).sum(axis=0)) / total / (2.0 * window)
        moves = moves - np.nan_to_num(slope * relative)
    _, factor = jackknife.freedom(share)
    with np.errstate(invalid="ignore"):
        error = np.sqrt(factor * (moves**2).sum(axis=0))
    return MissRates(rate, error, moves, misses, numbers)


def fnmr_estimate(
    genuine: npt.ArrayLike, threshold: float, subject: npt.ArrayLike, impostors: Impostors | None = None, **_: int
) -> Estimate:
    """FNMR at the threshold of :func:`operating_point` with its interval over people (:func:`miss_rates`).

    Without ``impostors`` the threshold is taken as known. ``subject``: codes as in the impostors' people, else names.
    """
    if not np.size(genuine) or not math.isfinite(threshold):
        return Estimate(math.nan, math.nan, math.nan)
    known = impostors if impostors is not None else Impostors(np.zeros(len(bin_edges()) - 1, np.int64), np.zeros(0, np.float32))
    return miss_rates(genuine, subject, known, [threshold]).estimates()[0]


def fnmr_change(
    after: npt.ArrayLike,
    after_threshold: float,
    after_subject: npt.ArrayLike,
    before: npt.ArrayLike,
    before_threshold: float,
    before_subject: npt.ArrayLike,
    *,
    impostors: tuple[Impostors, Impostors] | None = None,
) -> Estimate:
    """FNMR of ``after`` minus FNMR of ``before``, each at its own threshold (for the same FMR), paired by person.

    ``impostors``: those of ``after`` and of ``before``, whose people move the thresholds; without them the thresholds are taken as known. No interval
    where fewer than :data:`.jackknife.MIN_PEOPLE` people have more or fewer misses than before: a change of nobody is no proof of none.
    """
    if not np.size(after) or not np.size(before) or not (math.isfinite(after_threshold) and math.isfinite(before_threshold)):
        return Estimate(math.nan, math.nan, math.nan)
    nobody = Impostors(np.zeros(len(bin_edges()) - 1, np.int64), np.zeros(0, np.float32))
    one, two = impostors or (nobody, nobody)
    groups = {i.people.groups for i in (one, two) if i.people is not None}
    names = np.unique(np.concatenate([np.unique(np.asarray(after_subject)), np.unique(np.asarray(before_subject))]))
    n, places = len(names), [np.searchsorted(names, who) for who in (after_subject, before_subject)]
    missed = [
        np.bincount(who, np.asarray(scores, np.float32) < np.float32(threshold), minlength=n)
        for who, scores, threshold in zip(places, (after, before), (after_threshold, before_threshold), strict=True)
    ]
    if int((missed[0] != missed[1]).sum()) < jackknife.MIN_PEOPLE:
        rates = [float(one_side.sum()) / np.size(scores) for one_side, scores in zip(missed, (after, before), strict=True)]
        return Estimate(rates[0] - rates[1], math.nan, math.nan)
    if len(groups) != 1 or one.people is None or two.people is None:
        one, two = nobody, nobody
        after_subject, before_subject = places
        parts = [
            _left_out_of(scores, who, threshold, n)
            for scores, who, threshold in ((after, after_subject, after_threshold), (before, before_subject, before_threshold))
        ]
        return (parts[0] - parts[1]).estimate()
    first = miss_rates(after, after_subject, one, [after_threshold]).left_out()
    return (first - miss_rates(before, before_subject, two, [before_threshold]).left_out()).estimate()


def _left_out_of(scores: npt.ArrayLike, code: npt.ArrayLike, threshold: float, n: int) -> LeftOut:
    who = np.asarray(code)
    missed = (np.asarray(scores, np.float32) < np.float32(threshold)).astype(np.float64)
    sums = np.bincount(who, missed, minlength=n).astype(np.float64)[:, None]
    numbers = np.bincount(who, minlength=n).astype(np.float64)[:, None]
    value, without, share = jackknife.mean_left_out(sums, numbers)
    return LeftOut(float(value[0]), without[:, 0], share[:, 0])


def eer_estimate(genuine: npt.ArrayLike, subject: npt.ArrayLike, impostors: Impostors) -> Estimate:
    """:func:`eer` with its interval over people, left out on both sides.

    Without a group of people both rates at the old threshold are others; where they cross then follows from their slopes there. No interval
    where it is not recorded whose the impostor pairs are.
    """
    value, threshold = _crossing(genuine, impostors)
    people = impostors.people
    if people is None or not math.isfinite(value):
        return Estimate(value, math.nan, math.nan)
    pairs = GenuinePairs.of(genuine, subject, people.groups)
    total = pairs.numbers.sum()
    at = np.array([threshold])
    numbers, misses = pairs.numbers[:, None], pairs.misses(at)
    rate, without, share = jackknife.mean_left_out(misses, numbers)
    fmr, fmr_without = _fmr_left_out(impostors, at)
    strict, loose = (float(t) for t in _threshold_of(impostors, max(value, 1.0 / impostors.n) * np.exp([-_WINDOW[0], _WINDOW[0]])))
    rise = float(np.diff(pairs.misses(np.array([loose, strict])).sum(axis=0))[0]) / total
    fall = float(-np.diff(_accepted(impostors, np.array([loose, strict])))[0]) / impostors.n
    if rise + fall <= 0:
        return Estimate(value, math.nan, math.nan)
    moves = (fall * (rate - without) + rise * (fmr - fmr_without)) / (rise + fall)
    _, factor = jackknife.freedom(share)
    error = np.sqrt(factor * np.nansum(moves**2, axis=0))
    part = fall / (rise + fall)  # of a change of FNMR at the old threshold, so much arrives in the crossing
    own = part * np.sqrt(factor * np.nansum((rate - without) ** 2, axis=0))
    low, high = jackknife.worth_intervals(np.array([value]), error, numbers, jackknife.carriers_of(misses), own=own, part=part**2)
    return Estimate(value, float(low[0]), float(high[0]))


@dataclass(frozen=True)
class Det:
    """Points of a detection error trade-off curve, each array (K,); ``low``, ``high``: interval of ``fnmr`` over people (:func:`miss_rates`)."""

    fmr: Float
    threshold: Float
    fnmr: Float
    low: Float
    high: Float


def det(genuine: npt.ArrayLike, subject: npt.ArrayLike, impostors: Impostors, *, points: int = 41) -> Det:
    """DET points between FMR 0.5 and the smallest FMR that the impostor pairs support (``genuine`` and its ``subject`` (n,))."""
    scores = np.asarray(genuine, np.float32).ravel()
    empty = np.zeros(0)
    known = evidence(impostors)
    if not scores.size or known * 0.5 < MIN_FALSE_MATCHES:
        return Det(empty, empty, empty, empty, empty)
    targets = np.geomspace(0.5, max(1e-7, MIN_FALSE_MATCHES / known), points)
    chosen = [operating_point(impostors, float(t)) for t in targets]
    threshold = np.array([p.threshold for p in chosen])
    ordered = np.argsort(threshold, kind="stable")
    threshold = threshold[ordered]
    found = miss_rates(scores, subject, impostors, threshold)
    low, high = found.intervals()
    return Det(np.array([p.fmr for p in chosen])[ordered], threshold, found.rate, low, high)


def cmc_estimates(ranks: npt.ArrayLike, subject: npt.ArrayLike, highest: int = 20) -> list[Estimate]:
    """Cumulative match characteristic: share of ranks (n,) <= 1, 2, ... ``highest`` with a 95 % interval over people; ``subject`` (n,).

    Closed-set identification as in ISO/IEC 19795-1, in a gallery of this size: people are drawn as probes. NaN when there is no rank.
    """
    values = np.asarray(ranks, np.int64).ravel()
    if not values.size:
        return [Estimate(math.nan, math.nan, math.nan)] * highest
    code = codes_of(subject)
    counts = np.zeros((int(code.max()) + 1, highest + 1))
    np.add.at(counts, (code, np.minimum(values, highest + 1) - 1), 1.0)
    hits = np.cumsum(counts[:, :highest], axis=1)
    numbers = np.repeat(counts.sum(axis=1, keepdims=True), highest, axis=1)
    low, high = jackknife.rate_intervals(hits, numbers)
    return [Estimate(float(v), float(a), float(b)) for v, a, b in zip(hits.sum(axis=0) / len(values), low, high, strict=True)]

"""Statistics of similarities: separation, error rates, identification, tests, effect sizes. Pure functions.

A pair is accepted when its score is at least the threshold: FMR(t) = share of impostor pairs >= t, FNMR(t) = share of genuine pairs < t
(ISO/IEC 19795-1); scores within :data:`TIE` of the threshold count against the genuine pair. Intervals are over people, who are left out one by one
(:mod:`.jackknife`): as probes, and as references where impostor pairs are part of the value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.compare import jackknife
from frontalbench.compare.jackknife import Estimate, LeftOut
from frontalbench.compare.kernel import group_of
from frontalbench.compare.scores import PERSON_BINS, Impostors, bin_edges
from frontalbench.types import Float, Int

FMR_TARGETS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
MIN_FALSE_MATCHES = 30
"""An FMR is supported when at least this many false matches stand behind it, among the impostor pairs and among the ordered pairs of different people
behind them (the rule of 30, Doddington et al. 2000; 100 frames of one person are one person)."""
TIE = 1e-6
"""Two similarities closer than this are a tie."""
NOT_SUPPORTED = "not supported by n"
EXACT_FLIPS = 14
"""Up to this many subjects all sign flips are tried, above it random ones."""


def dprime(genuine: npt.ArrayLike, impostor: npt.ArrayLike) -> float:
    """d' = (mean genuine - mean impostor) / sqrt((variance genuine + variance impostor) / 2). NaN when a side is empty or nothing varies."""
    g, i = np.asarray(genuine, np.float64).ravel(), np.asarray(impostor, np.float64).ravel()
    if not g.size or not i.size:
        return math.nan
    return float(dprime_of_moments(g.mean(), g.var(), i.mean(), i.var()))


def dprime_of_moments(
    genuine_mean: npt.ArrayLike, genuine_variance: npt.ArrayLike, impostor_mean: npt.ArrayLike, impostor_variance: npt.ArrayLike
) -> Float:
    """d' from means and variances (arrays of one shape); NaN where nothing varies by more than rounding."""
    spread = np.sqrt((np.asarray(genuine_variance, np.float64) + np.asarray(impostor_variance, np.float64)) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (np.asarray(genuine_mean, np.float64) - np.asarray(impostor_mean, np.float64)) / spread
    return np.where(spread > TIE, value, np.nan)


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


# Error rates over people ----------------------------------------------------------------------------------------------------

_WINDOW = (0.3, 1.5)
"""The slope of FNMR over log FMR is taken over one standard error of log FMR to either side, at least and at most so wide."""


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
    code = _codes(subject)
    counts = np.zeros((int(code.max()) + 1, highest + 1))
    np.add.at(counts, (code, np.minimum(values, highest + 1) - 1), 1.0)
    hits = np.cumsum(counts[:, :highest], axis=1)
    numbers = np.repeat(counts.sum(axis=1, keepdims=True), highest, axis=1)
    low, high = jackknife.rate_intervals(hits, numbers)
    return [Estimate(float(v), float(a), float(b)) for v, a, b in zip(hits.sum(axis=0) / len(values), low, high, strict=True)]


def subject_means(values: npt.ArrayLike, subject: npt.ArrayLike) -> Float:
    """Mean of ``values`` per subject (S,), subjects in sorted order, NaN values left out."""
    array = np.asarray(values, np.float64)
    known = np.isfinite(array)
    if not known.any():
        return np.zeros(0)
    _, code = np.unique(np.asarray(subject)[known], return_inverse=True)
    means: Float = np.bincount(code, array[known]) / np.bincount(code)
    return means


def sign_flip_p(differences: npt.ArrayLike, *, flips: int = 9999, seed: int = 0) -> float:
    """Two-sided p value of a paired permutation test: under no effect every subject's mean difference may as well carry the other sign.

    All 2^n sign patterns up to :data:`EXACT_FLIPS` subjects, else ``flips`` random ones (Phipson and Smyth 2010: (b + 1) / (m + 1)).
    NaN without subjects; 1 when all differences are 0.
    """
    d = np.asarray(differences, np.float64).ravel()
    n = len(d)
    if n == 0:
        return math.nan
    observed = abs(d.sum()) * (1 - 1e-12)
    if n <= EXACT_FLIPS:
        signs = 1.0 - 2.0 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
        return float((np.abs(signs @ d) >= observed).mean())
    rng = np.random.default_rng(seed)
    beyond = 0
    for start in range(0, flips, 1000):
        signs = rng.integers(0, 2, (min(1000, flips - start), n), dtype=np.int8) * 2.0 - 1.0
        beyond += int((np.abs(signs @ d) >= observed).sum())
    return (beyond + 1) / (flips + 1)


def cohen_dz(differences: npt.ArrayLike) -> float:
    """Effect size of paired differences: mean / standard deviation (n - 1) of the subjects' mean differences. NaN below two subjects."""
    d = np.asarray(differences, np.float64).ravel()
    if len(d) < 2:
        return math.nan
    spread = d.std(ddof=1)
    return float(d.mean() / spread) if spread > 1e-12 else math.nan


def holm(p_values: npt.ArrayLike) -> Float:
    """Holm's step-down adjusted p values, in the given order; NaN stays NaN and does not count."""
    p = np.asarray(p_values, np.float64)
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def sign_test_p(wins: int, losses: int) -> float:
    """Two-sided exact sign test; ties are left out. NaN when there are no decisions."""
    if wins + losses == 0:
        return math.nan
    from scipy.stats import binomtest

    return float(binomtest(wins, wins + losses, 0.5).pvalue)


def share_gaining(differences: npt.ArrayLike) -> float:
    """Share of differences above zero (by more than a tie); NaN when there are none."""
    d = np.asarray(differences, np.float64)
    d = d[np.isfinite(d)]
    return float((d > TIE).mean()) if d.size else math.nan


@dataclass(frozen=True)
class PairMoments:
    """Per image of one cell: mean, standard deviation, number of its genuine and impostor pairs (all (n,)).

    ``moves`` (n, groups): how the impostor mean changes without a group's references, as in :class:`.rows.Rows`; ``references`` (groups,): how many
    references each group has. None: strangers' references are not left out, so there is no interval.
    """

    genuine: Float
    genuine_sd: Float
    n_genuine: Float
    impostor: Float
    impostor_sd: Float
    n_impostor: Float
    moves: npt.NDArray[np.float16] | None = None
    references: Float | None = None

    def sums(self, code: Int, n_subjects: int) -> Float:
        """(n_subjects, 6): number, sum, sum of squares of genuine and of impostor pairs per subject; images without pairs add nothing."""
        columns = []
        for mean, sd, number in ((self.genuine, self.genuine_sd, self.n_genuine), (self.impostor, self.impostor_sd, self.n_impostor)):
            known = np.isfinite(mean) & (number > 0)
            weight = np.where(known, number, 0.0)
            value, spread = np.where(known, mean, 0.0), np.where(known, sd, 0.0)
            columns += [np.bincount(code, part, minlength=n_subjects) for part in (weight, weight * value, weight * (spread**2 + value**2))]
        return np.stack(columns, axis=1)

    def taken(self, group: Int) -> Float:
        """(groups, 3): number, sum, sum of squares of everybody else's pairs with the references of each group.

        The squares within a group of references are taken to be as far apart as those of the image's other groups.
        """
        assert self.moves is not None and self.references is not None
        groups = self.moves.shape[1]
        out = np.zeros((groups, 3))
        known = np.flatnonzero(np.isfinite(self.impostor) & (self.n_impostor > 0))
        for start in range(0, len(known), 4096):  # bounds the arrays
            rows = known[start : start + 4096]
            number, mean, sd = self.n_impostor[rows, None], self.impostor[rows, None], self.impostor_sd[rows, None]
            share = np.repeat(self.references[None, :], len(rows), axis=0)
            share[np.arange(len(rows)), group[rows]] = 0.0
            share /= np.maximum(share.sum(axis=1, keepdims=True), 1.0)
            away = np.zeros_like(share)  # how far the mean over a group's references lies from the image's mean
            np.divide(-self.moves[rows].astype(np.float64) * (1.0 - share), share, out=away, where=share > 0)
            within = np.maximum(sd**2 - (share * away**2).sum(axis=1, keepdims=True), 0.0)
            weight = number * share
            value = mean + away
            out += np.stack([weight.sum(axis=0), (weight * value).sum(axis=0), (weight * (value**2 + within)).sum(axis=0)], axis=1)
        return out

    def left_out(self, code: Int) -> tuple[Float, Float, Float] | None:
        """(sums of everybody (6,), without each group (groups, 6), share of the genuine pairs (groups,)); None where references are not known."""
        if self.moves is None or self.references is None:
            return None
        groups = self.moves.shape[1]
        group = group_of(code, groups)
        own = self.sums(group, groups)
        total = own.sum(axis=0)
        without = total - own
        without[:, 3:] -= self.taken(group)
        return total, without, jackknife.shares(own[:, :1])[:, 0]


def _dprime_of_sums(sums: Float) -> Float:
    with np.errstate(invalid="ignore", divide="ignore"):
        g_mean, i_mean = sums[..., 1] / sums[..., 0], sums[..., 4] / sums[..., 3]
        g_var, i_var = sums[..., 2] / sums[..., 0] - g_mean**2, sums[..., 5] / sums[..., 3] - i_mean**2
    return dprime_of_moments(g_mean, np.maximum(g_var, 0), i_mean, np.maximum(i_var, 0))


def dprime_left_out(cell: PairMoments, code: Int) -> LeftOut:
    """d' over all pairs of the images, and without each group of people on both sides; ``code`` (n,): each image's person (a place in the sorted
    names).

    Its ``without`` is NaN where the references are not known (:class:`PairMoments`).
    """
    found = cell.left_out(code)
    if found is None:
        n = int(code.max(initial=-1)) + 1
        total = cell.sums(code, n).sum(axis=0)
        return LeftOut(float(_dprime_of_sums(total)), np.full(n, np.nan), np.full(n, 1.0 / max(n, 1)))
    total, without, share = found
    return LeftOut.of_squares(float(_dprime_of_sums(total)), _dprime_of_sums(without), share)


def dprime_estimate(cell: PairMoments, subject: npt.ArrayLike) -> Estimate:
    """d' over all pairs of the images, its interval from leaving people out on both sides; ``subject`` (n,): of *all* images of the dataset.

    With few people d' is too high on average, as few of them are hard to match; the interval, not the value, is put right
    (:meth:`.jackknife.LeftOut.of_squares`).
    """
    return dprime_left_out(cell, _codes(subject)).estimate()


def dprime_change(after: PairMoments, before: PairMoments, subject: npt.ArrayLike) -> Estimate:
    """d' of ``after`` minus d' of ``before`` over the same images (rows correspond), paired by person."""
    code = _codes(subject)
    return (dprime_left_out(after, code) - dprime_left_out(before, code)).estimate()


def impostor_moments_left_out(cell: PairMoments, code: Int) -> tuple[LeftOut, LeftOut]:
    """(mean, standard deviation) of the impostor similarities over all pairs, each without every group of people on both sides."""
    found = cell.left_out(code)
    if found is None:
        n = int(code.max(initial=-1)) + 1
        total, without, share = cell.sums(code, n).sum(axis=0), np.full((n, 6), np.nan), np.full(n, 1.0 / max(n, 1))
    else:
        total, without, share = found

    def moments(sums: Float) -> tuple[Float, Float]:
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = sums[..., 4] / sums[..., 3]
            return mean, np.sqrt(np.maximum(sums[..., 5] / sums[..., 3] - mean**2, 0.0))

    (mean, sd), (means, sds) = moments(total), moments(without)
    return LeftOut(float(mean), means, share), LeftOut(float(sd), sds, share)


def _codes(subject: npt.ArrayLike) -> Int:
    code: Int = np.unique(np.asarray(subject), return_inverse=True)[1].astype(np.int64)
    return code

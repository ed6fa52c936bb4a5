"""Statistics of similarities: separation, error rates, identification, tests, effect sizes. Pure functions.

A pair is accepted when its score is at least the threshold: FMR(t) = share of impostor pairs >= t, FNMR(t) = share of genuine pairs < t
(ISO/IEC 19795-1). Everything that is resampled is resampled over subjects (:mod:`.bootstrap`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.compare import bootstrap
from frontalbench.compare.scores import Impostors, bin_edges

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

FMR_TARGETS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
MIN_FALSE_MATCHES = 30
"""An FMR is supported by n impostor pairs when at least this many false matches stand behind it (the rule of 30; Doddington et al. 2000)."""
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
) -> FloatArray:
    """d' from means and variances (arrays of one shape); NaN where nothing varies."""
    spread = np.sqrt((np.asarray(genuine_variance, np.float64) + np.asarray(impostor_variance, np.float64)) / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (np.asarray(genuine_mean, np.float64) - np.asarray(impostor_mean, np.float64)) / spread
    return np.where(spread > 1e-12, value, np.nan)


@dataclass(frozen=True)
class OperatingPoint:
    """``threshold`` whose false match rate ``fmr`` is the largest that does not exceed ``target``; ``supported``: enough impostor pairs for it."""

    target: float
    threshold: float
    fmr: float
    supported: bool


def operating_point(impostors: Impostors, target: float) -> OperatingPoint:
    """The threshold for a false match rate of at most ``target``: exact in the tail, else a bin edge (then ``fmr`` is a little below)."""
    n = impostors.n
    supported = n * target >= MIN_FALSE_MATCHES - 1e-9
    if n == 0:
        return OperatingPoint(target, math.nan, math.nan, False)
    allowed = math.floor(n * target + 1e-9)
    if allowed < len(impostors.tail):
        threshold = float(np.nextafter(impostors.tail[allowed], np.float32(2.0)))
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


def fnmr_at_fmr(genuine: npt.ArrayLike, impostors: Impostors, target: float) -> float:
    """FNMR at a false match rate of at most ``target``; NaN where ``target`` is not supported by the number of impostor pairs."""
    point = operating_point(impostors, target)
    return fnmr(genuine, point.threshold) if point.supported else math.nan


def eer(genuine: npt.ArrayLike, impostors: Impostors) -> float:
    """Equal error rate: where FMR and FNMR cross, interpolated between bin edges. NaN when a side is empty."""
    scores = np.sort(np.asarray(genuine, np.float64).ravel())
    if not scores.size or not impostors.n:
        return math.nan
    edges = bin_edges()
    misses = np.searchsorted(scores, edges, "left") / len(scores)
    matches = np.append(np.cumsum(impostors.counts[::-1])[::-1], 0) / impostors.n
    k = int(np.argmax(misses >= matches))
    if k == 0:
        return float((misses[0] + matches[0]) / 2)
    before, after = matches[k - 1] - misses[k - 1], matches[k] - misses[k]
    share = before / (before - after)
    return float(misses[k - 1] + share * (misses[k] - misses[k - 1]))


@dataclass(frozen=True)
class Det:
    """Points of a detection error trade-off curve, each array (K,); ``low``, ``high``: interval of ``fnmr`` over subjects, thresholds held fixed."""

    fmr: FloatArray
    threshold: FloatArray
    fnmr: FloatArray
    low: FloatArray
    high: FloatArray


def det(
    genuine: npt.ArrayLike, subject: npt.ArrayLike, impostors: Impostors, *, points: int = 41, resamples: int = 2000, seed: int = 0
) -> Det:
    """DET points between FMR 0.5 and the smallest FMR that the impostor pairs support (``genuine`` and its ``subject`` (n,))."""
    scores = np.asarray(genuine, np.float32).ravel()
    empty = np.zeros(0)
    if not scores.size or impostors.n * 0.5 < MIN_FALSE_MATCHES:
        return Det(empty, empty, empty, empty, empty)
    targets = np.geomspace(0.5, max(1e-7, MIN_FALSE_MATCHES / impostors.n), points)
    chosen = [operating_point(impostors, float(t)) for t in targets]
    threshold = np.array([p.threshold for p in chosen])
    ordered = np.argsort(threshold, kind="stable")
    threshold = threshold[ordered]
    _, code = np.unique(np.asarray(subject), return_inverse=True)
    n_subjects = int(code.max()) + 1
    # a score is a miss for every threshold above it: count scores between consecutive thresholds, then add up
    step = np.searchsorted(threshold.astype(np.float32), scores, "right")
    between = np.zeros((n_subjects, points + 1))
    np.add.at(between, (code, step), 1.0)
    misses = np.cumsum(between, axis=1)[:, :points]
    numbers = np.repeat(np.bincount(code, minlength=n_subjects)[:, None].astype(np.float64), points, axis=1)
    low, high = bootstrap.mean_intervals(misses, numbers, resamples=resamples, seed=seed)
    return Det(np.array([p.fmr for p in chosen])[ordered], threshold, misses.sum(axis=0) / len(scores), low, high)


def cmc_estimates(
    ranks: npt.ArrayLike, subject: npt.ArrayLike, highest: int = 20, *, resamples: int = bootstrap.RESAMPLES, seed: int = 0
) -> list[Estimate]:
    """Cumulative match characteristic: share of ranks (n,) <= 1, 2, ... ``highest`` with a 95 % interval over people; ``subject`` (n,).

    Closed-set identification as in ISO/IEC 19795-1. NaN when there is no rank.
    """
    values = np.asarray(ranks, np.int64).ravel()
    if not values.size:
        return [Estimate(math.nan, math.nan, math.nan)] * highest
    _, code = np.unique(np.asarray(subject), return_inverse=True)
    counts = np.zeros((int(code.max()) + 1, highest + 1))
    np.add.at(counts, (code, np.minimum(values, highest + 1) - 1), 1.0)
    hits = np.cumsum(counts[:, :highest], axis=1)
    numbers = np.repeat(counts.sum(axis=1, keepdims=True), highest, axis=1)
    low, high = bootstrap.mean_intervals(hits, numbers, resamples=resamples, seed=seed)
    return [Estimate(float(v), float(a), float(b)) for v, a, b in zip(hits.sum(axis=0) / len(values), low, high, strict=True)]


def subject_means(values: npt.ArrayLike, subject: npt.ArrayLike) -> FloatArray:
    """Mean of ``values`` per subject (S,), subjects in sorted order, NaN values left out."""
    array = np.asarray(values, np.float64)
    known = np.isfinite(array)
    if not known.any():
        return np.zeros(0)
    _, code = np.unique(np.asarray(subject)[known], return_inverse=True)
    means: FloatArray = np.bincount(code, array[known]) / np.bincount(code)
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


def holm(p_values: npt.ArrayLike) -> FloatArray:
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


TIE = 1e-6
"""Two similarities closer than this are a tie."""


def share_gaining(differences: npt.ArrayLike) -> float:
    """Share of differences above zero (by more than a tie); NaN when there are none."""
    d = np.asarray(differences, np.float64)
    d = d[np.isfinite(d)]
    return float((d > TIE).mean()) if d.size else math.nan


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval over subjects."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class PairMoments:
    """Per image of one cell: mean, standard deviation, number of its genuine and impostor pairs, and its subject (all (n,))."""

    genuine: FloatArray
    genuine_sd: FloatArray
    n_genuine: FloatArray
    impostor: FloatArray
    impostor_sd: FloatArray
    n_impostor: FloatArray

    def sums(self, code: IntArray, n_subjects: int) -> FloatArray:
        """(n_subjects, 6): number, sum, sum of squares of genuine and of impostor pairs per subject; images without pairs add nothing."""
        columns = []
        for mean, sd, number in ((self.genuine, self.genuine_sd, self.n_genuine), (self.impostor, self.impostor_sd, self.n_impostor)):
            known = np.isfinite(mean) & (number > 0)
            weight = np.where(known, number, 0.0)
            value, spread = np.where(known, mean, 0.0), np.where(known, sd, 0.0)
            columns += [np.bincount(code, part, minlength=n_subjects) for part in (weight, weight * value, weight * (spread**2 + value**2))]
        return np.stack(columns, axis=1)


def _dprime_of_sums(sums: FloatArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        g_mean, i_mean = sums[..., 1] / sums[..., 0], sums[..., 4] / sums[..., 3]
        g_var, i_var = sums[..., 2] / sums[..., 0] - g_mean**2, sums[..., 5] / sums[..., 3] - i_mean**2
    return dprime_of_moments(g_mean, np.maximum(g_var, 0), i_mean, np.maximum(i_var, 0))


def dprime_estimate(cell: PairMoments, subject: npt.ArrayLike, *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """d' over all pairs of the images, interval by bootstrap over subjects."""
    _, code = np.unique(np.asarray(subject), return_inverse=True)
    return _from_sums(cell.sums(code, int(code.max(initial=-1)) + 1), None, resamples, seed)


def dprime_change(after: PairMoments, before: PairMoments, subject: npt.ArrayLike, *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """d' of ``after`` minus d' of ``before`` over the same images (rows correspond), interval by bootstrap over subjects (paired draws)."""
    _, code = np.unique(np.asarray(subject), return_inverse=True)
    n = int(code.max(initial=-1)) + 1
    return _from_sums(after.sums(code, n), before.sums(code, n), resamples, seed)


def _from_sums(after: FloatArray, before: FloatArray | None, resamples: int, seed: int) -> Estimate:
    n = len(after)
    if n == 0:
        return Estimate(math.nan, math.nan, math.nan)
    value = float(_dprime_of_sums(after.sum(axis=0)))
    counts = bootstrap.draw_counts(n, resamples, seed)
    draws = _dprime_of_sums(counts @ after)
    if before is not None:
        value -= float(_dprime_of_sums(before.sum(axis=0)))
        draws = draws - _dprime_of_sums(counts @ before)
    if n < 2:
        return Estimate(value, math.nan, math.nan)
    low, high = bootstrap.percentile_interval(draws[:, None])
    return Estimate(value, float(low[0]), float(high[0]))


def fnmr_estimate(genuine: npt.ArrayLike, threshold: float, subject: npt.ArrayLike, *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """FNMR at a given threshold, interval by bootstrap over subjects."""
    return _miss_estimate([(genuine, threshold, subject, 1.0)], resamples, seed)


def fnmr_change(
    after: npt.ArrayLike,
    after_threshold: float,
    after_subject: npt.ArrayLike,
    before: npt.ArrayLike,
    before_threshold: float,
    before_subject: npt.ArrayLike,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Estimate:
    """FNMR of ``after`` minus FNMR of ``before``, each at its own threshold (for the same FMR); paired draws of subjects.

    The thresholds are held fixed: there are far more impostor pairs than subjects, so the subjects dominate the uncertainty.
    """
    return _miss_estimate([(after, after_threshold, after_subject, 1.0), (before, before_threshold, before_subject, -1.0)], resamples, seed)


def _miss_estimate(parts: list[tuple[npt.ArrayLike, float, npt.ArrayLike, float]], resamples: int, seed: int) -> Estimate:
    names = np.unique(np.concatenate([np.unique(np.asarray(subject)) for _, _, subject, _ in parts]))
    n = len(names)
    value, draws = 0.0, np.zeros(resamples)
    for scores, threshold, subject, sign in parts:
        values = np.asarray(scores, np.float32)
        if not values.size or not math.isfinite(threshold):
            return Estimate(math.nan, math.nan, math.nan)
        code = np.searchsorted(names, np.asarray(subject))
        misses = np.bincount(code, values < np.float32(threshold), minlength=n).astype(np.float64)
        numbers = np.bincount(code, minlength=n).astype(np.float64)
        value += sign * float(misses.sum() / numbers.sum())
        draws = draws + sign * bootstrap.ratio_draws(misses[:, None], numbers[:, None], resamples=resamples, seed=seed)[:, 0]
    if n < 2:
        return Estimate(value, math.nan, math.nan)
    low, high = bootstrap.percentile_interval(draws[:, None])
    return Estimate(value, float(low[0]), float(high[0]))

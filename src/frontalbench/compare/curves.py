"""Similarity over yaw: slope, smooth curve with a band, area under it. Resampled over subjects throughout."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.compare import bootstrap
from frontalbench.compare.stats import Estimate

FloatArray = npt.NDArray[np.float64]

BANDWIDTH = 7.5
"""Standard deviation in degrees of the Gaussian kernel of :func:`smooth`."""


def _known(yaw: npt.ArrayLike, value: npt.ArrayLike, subject: npt.ArrayLike) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64], int]:
    x, y = np.asarray(yaw, np.float64), np.asarray(value, np.float64)
    keep = np.isfinite(x) & np.isfinite(y)
    _, code = np.unique(np.asarray(subject)[keep], return_inverse=True)
    return x[keep], y[keep], code.astype(np.int64), int(code.max(initial=-1)) + 1


def _per_subject(code: npt.NDArray[np.int64], n: int, columns: FloatArray) -> FloatArray:
    """Sums per subject (n, K) of ``columns`` (images, K)."""
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(n))
    sums: FloatArray = np.add.reduceat(columns[order], starts, axis=0)
    return sums


@dataclass(frozen=True)
class Draws:
    """A value and its bootstrap draws (B,), for differences between cells that share their draws (the same subjects in the same order)."""

    value: float
    draws: FloatArray

    def estimate(self) -> Estimate:
        """With the central 95 % of the draws; no interval where there are none."""
        if not len(self.draws):
            return Estimate(self.value, math.nan, math.nan)
        low, high = bootstrap.percentile_interval(self.draws[:, None])
        return Estimate(self.value, float(low[0]), float(high[0]))


_NONE = np.zeros(0)


def slope_draws(yaw: npt.ArrayLike, value: npt.ArrayLike, subject: npt.ArrayLike, *, resamples: int = 2000, seed: int = 0) -> Draws:
    """As :func:`slope`, with the draws."""
    x, y, code, n = _known(np.abs(np.asarray(yaw, np.float64)) / 10.0, value, subject)
    if n == 0:
        return Draws(math.nan, _NONE)

    def fit(sums: FloatArray) -> FloatArray:
        number, sx, sy, sxx, sxy = (sums[..., i] for i in range(5))
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = sxx - sx**2 / number
            return np.where(spread > 1e-9, (sxy - sx * sy / number) / spread, np.nan)

    sums = _per_subject(code, n, np.stack([np.ones_like(x), x, y, x * x, x * y], axis=1))
    return Draws(float(fit(sums.sum(axis=0))), fit(bootstrap.draw_counts(n, resamples, seed) @ sums) if n > 1 else _NONE)


def slope(yaw: npt.ArrayLike, value: npt.ArrayLike, subject: npt.ArrayLike, *, resamples: int = 2000, seed: int = 0) -> Estimate:
    """Least-squares slope of ``value`` over \\|yaw\\|, **per 10 degrees**; NaN when the yaw does not vary. Arrays (n,), NaN left out."""
    return slope_draws(yaw, value, subject, resamples=resamples, seed=seed).estimate()


@dataclass(frozen=True)
class Curve:
    """A smooth curve over ``yaw`` (K,) in degrees: ``mean``, pointwise 95 % band ``low`` and ``high``, ``weight``: images' worth of data behind
    each point; ``area``: mean height of the curve over its range (a similarity again), with its draws. NaN where fewer than five images' worth."""

    yaw: FloatArray
    mean: FloatArray
    low: FloatArray
    high: FloatArray
    weight: FloatArray
    area: Draws


def smooth(
    yaw: npt.ArrayLike,
    value: npt.ArrayLike,
    subject: npt.ArrayLike,
    grid: npt.ArrayLike,
    *,
    bandwidth: float = BANDWIDTH,
    resamples: int = 2000,
    seed: int = 0,
) -> Curve:
    """Local-linear regression with a Gaussian kernel (Fan and Gijbels 1996, section 2.3) of ``value`` over ``yaw`` at the points ``grid``.

    The band is a bootstrap over subjects: the kernel sums are linear in the subjects, so all resamples are one matrix product.
    """
    x, y, code, n = _known(yaw, value, subject)
    points = np.asarray(grid, np.float64)
    nothing = np.full(len(points), np.nan)
    if n == 0:
        return Curve(points, nothing, nothing, nothing, np.zeros(len(points)), Draws(math.nan, _NONE))
    k = len(points)
    sums = np.zeros((n, 5 * k))
    for start in range(0, len(x), 4096):  # bounds the kernel matrix
        part = slice(start, start + 4096)
        offset = (x[part, None] - points) / bandwidth
        weight = np.exp(-0.5 * offset**2)
        present, local = np.unique(code[part], return_inverse=True)
        columns = np.concatenate(
            [weight, weight * offset, weight * offset**2, weight * y[part, None], weight * offset * y[part, None]], axis=1
        )
        sums[present] += _per_subject(local.astype(np.int64), len(present), columns)

    def fit(total: FloatArray) -> FloatArray:
        s0, s1, s2, t0, t1 = (total[..., i * k : (i + 1) * k] for i in range(5))
        with np.errstate(invalid="ignore", divide="ignore"):
            determinant = s0 * s2 - s1**2
            line = (s2 * t0 - s1 * t1) / determinant
            # with all the data in one place there is no line to fit; the mean is what is left
            return np.where(determinant > 1e-6 * s0**2, line, np.where(s0 > 0, t0 / s0, np.nan))

    weight = sums[:, :k].sum(axis=0)
    enough = weight >= 5.0
    mean = np.where(enough, fit(sums.sum(axis=0)), np.nan)
    if n < 2:
        return Curve(points, mean, nothing, nothing, weight, Draws(_height(points, mean), _NONE))
    draws = np.where(enough, fit(bootstrap.draw_counts(n, resamples, seed) @ sums), np.nan)
    low, high = bootstrap.percentile_interval(draws)
    heights = _heights(points[enough], draws[:, enough])
    return Curve(points, mean, low, high, weight, Draws(_height(points, mean), heights))


def near(yaw: npt.ArrayLike, grid: npt.ArrayLike, within: float = BANDWIDTH) -> npt.NDArray[np.bool_]:
    """(K,): which points of ``grid`` have a value of ``yaw`` (n,) at most ``within`` degrees away: elsewhere a curve is only carried over a gap."""
    known = np.sort(np.asarray(yaw, np.float64)[np.isfinite(yaw)])
    points = np.asarray(grid, np.float64)
    first = np.searchsorted(known, points - within, "left")
    return np.asarray(first < np.searchsorted(known, points + within, "right"), np.bool_)


def _height(points: FloatArray, curve: FloatArray) -> float:
    known = np.isfinite(curve)
    return float(_heights(points[known], curve[None, known])[0]) if known.any() else math.nan


def _heights(points: FloatArray, curves: FloatArray) -> FloatArray:
    """Area under each curve (B, K) divided by the width of its range (B,)."""
    if len(points) == 0:
        return np.full(len(curves), np.nan)
    if len(points) == 1:
        return curves[:, 0]
    areas: FloatArray = np.trapezoid(curves, points, axis=1) / (points[-1] - points[0])
    return areas

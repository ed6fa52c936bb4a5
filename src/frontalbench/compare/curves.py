"""Similarity over yaw: slope, smooth curve with a band, area under it. Intervals leave people out throughout (:mod:`.jackknife`)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.compare import jackknife
from frontalbench.compare.jackknife import Estimate, LeftOut
from frontalbench.types import Bool, Float, Int

BANDWIDTH = 7.5
"""Standard deviation in degrees of the Gaussian kernel of :func:`smooth`."""


def _known(yaw: npt.ArrayLike, value: npt.ArrayLike, subject: npt.ArrayLike, people: int = 0) -> tuple[Float, Float, Int, int]:
    """(x, y, person, number of people) of the images with both; ``people``: ``subject`` holds so many codes already."""
    x, y = np.asarray(yaw, np.float64), np.asarray(value, np.float64)
    keep = np.isfinite(x) & np.isfinite(y)
    if people:
        return x[keep], y[keep], np.asarray(subject, np.int64)[keep], people
    _, code = np.unique(np.asarray(subject)[keep], return_inverse=True)
    return x[keep], y[keep], code.astype(np.int64), int(code.max(initial=-1)) + 1


def _per_subject(code: Int, n: int, columns: Float) -> Float:
    """Sums per subject (n, K) of ``columns`` (images, K)."""
    order = np.argsort(code, kind="stable")
    present, starts = np.unique(code[order], return_index=True)
    sums: Float = np.zeros((n, columns.shape[1]))
    if len(present):
        sums[present] = np.add.reduceat(columns[order], starts, axis=0)
    return sums


_NONE = np.zeros(0)


def _slope_of(sums: Float) -> Float:
    """From number, sums of x, y, xx, xy (..., 5)."""
    number, sx, sy, sxx, sxy = (sums[..., i] for i in range(5))
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = sxx - sx**2 / number
        return np.where(spread > 1e-9, (sxy - sx * sy / number) / spread, np.nan)


def slope_left_out(yaw: npt.ArrayLike, value: npt.ArrayLike, subject: npt.ArrayLike, people: int = 0) -> LeftOut:
    """As :func:`slope`, and without each person; ``people``: ``subject`` holds so many codes, else names (the people are then those with a value)."""
    x, y, code, n = _known(np.abs(np.asarray(yaw, np.float64)) / 10.0, value, subject, people)
    if not n:
        return LeftOut(math.nan, _NONE, _NONE)
    sums = _per_subject(code, n, np.stack([np.ones_like(x), x, y, x * x, x * y], axis=1))
    total = sums.sum(axis=0)
    found = float(_slope_of(total))
    # a person's slope is as well known as the own yaw is spread (its weight); images differ from the line, wherever they are
    offset = x - (total[1] / total[0] if total[0] else 0.0)
    height = y - (total[2] / total[0] if total[0] else 0.0)
    weight = np.bincount(code, offset**2, minlength=n).astype(np.float64)
    squares = float(((offset * (height - found * offset)) ** 2).sum()) if math.isfinite(found) else 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        noise = np.where(weight > 0, squares / weight.sum() / weight, 0.0)
    share = jackknife.shares(weight[:, None])[:, 0]
    return LeftOut(found, _slope_of(total - sums), share, kurtosis=jackknife.KURTOSIS_OF_CHANGES, noise=noise)


def slope(yaw: npt.ArrayLike, value: npt.ArrayLike, subject: npt.ArrayLike) -> Estimate:
    r"""Least-squares slope of ``value`` over \|yaw\|, **per 10 degrees**; NaN when the yaw does not vary. Arrays (n,), NaN left out."""
    return slope_left_out(yaw, value, subject).estimate()


@dataclass(frozen=True)
class Curve:
    """A smooth curve over ``yaw`` (K,) in degrees: ``mean``, pointwise 95 % band ``low`` and ``high``, ``weight``: images' worth of data behind
    each point; ``area``: mean height of the curve over its range (a similarity again). NaN where fewer than five images' worth."""

    yaw: Float
    mean: Float
    low: Float
    high: Float
    weight: Float
    area: LeftOut


@dataclass(frozen=True)
class _Kernel:
    """Kernel sums (people, 5 K) of a local-linear regression at K points: everything it needs is linear in the people. ``moved``: how the sums of
    everybody else's images change when a person's references are gone."""

    points: Float
    sums: Float
    moved: Float

    @property
    def without(self) -> Float:
        """(people, 5 K): the sums without each person."""
        rest: Float = self.sums.sum(axis=0) - self.sums + self.moved
        return rest

    @staticmethod
    def of(
        yaw: npt.ArrayLike,
        value: npt.ArrayLike,
        subject: npt.ArrayLike,
        grid: npt.ArrayLike,
        bandwidth: float,
        people: int = 0,
        moves: Float | None = None,
    ) -> _Kernel:
        x, y, code, n = _known(yaw, value, subject, people)
        points = np.asarray(grid, np.float64)
        sums, moved = np.zeros((2, n, 5 * len(points)))
        shift = None if moves is None else moves[np.isfinite(np.asarray(yaw, np.float64)) & np.isfinite(np.asarray(value, np.float64))]
        for start in range(0, len(x), 4096):  # bounds the kernel matrix
            part = slice(start, start + 4096)
            offset = (x[part, None] - points) / bandwidth
            weight = np.exp(-0.5 * offset**2)
            height = y[part, None]
            columns = np.concatenate([weight, weight * offset, weight * offset**2, weight * height, weight * offset * height], axis=1)
            sums += _per_subject(code[part], n, columns)
            if shift is not None:
                moved[:, 3 * len(points) :] += shift[part].T @ np.concatenate([weight, weight * offset], axis=1)
        return _Kernel(points, sums, moved)

    @property
    def weights(self) -> Float:
        """(people, K): images' worth of data of each person at each point."""
        return self.sums[:, : len(self.points)]

    @property
    def enough(self) -> Bool:
        """(K,): points with at least five images' worth of data."""
        there: Bool = self.weights.sum(axis=0) >= 5.0
        return there

    def fit(self, total: Float) -> Float:
        """Heights (..., K) from sums (..., 5 K); NaN where there is not enough data."""
        k = len(self.points)
        s0, s1, s2, t0, t1 = (total[..., i * k : (i + 1) * k] for i in range(5))
        with np.errstate(invalid="ignore", divide="ignore"):
            determinant = s0 * s2 - s1**2
            line = (s2 * t0 - s1 * t1) / determinant
            # with all the data in one place there is no line to fit; the mean is what is left
            fitted = np.where(determinant > 1e-6 * s0**2, line, np.where(s0 > 0, t0 / s0, np.nan))
        return np.where(self.enough, fitted, np.nan)


def smooth(
    yaw: npt.ArrayLike,
    value: npt.ArrayLike,
    subject: npt.ArrayLike,
    grid: npt.ArrayLike,
    *,
    bandwidth: float = BANDWIDTH,
    people: int = 0,
    moves: Float | None = None,
) -> Curve:
    """Local-linear regression with a Gaussian kernel (Fan and Gijbels 1996, section 2.3) of ``value`` over ``yaw`` at the points ``grid``.

    ``people``: ``subject`` holds so many codes, else names; ``moves`` (n, people): how each value changes without a person's references, where
    strangers are part of it. The band is pointwise, Student's, from leaving people out.
    """
    kernel = _Kernel.of(yaw, value, subject, grid, bandwidth, people, moves)
    points, k = kernel.points, len(kernel.points)
    nothing = np.full(k, np.nan)
    if not len(kernel.sums):
        return Curve(points, nothing, nothing, nothing, np.zeros(k), LeftOut(math.nan, _NONE, _NONE))
    total = kernel.sums.sum(axis=0)
    mean, without, share = kernel.fit(total), kernel.fit(kernel.without), jackknife.shares(kernel.weights)
    low, high = jackknife.t_intervals(mean, without, share)
    enough = kernel.enough
    of_area = _heights(points[enough], share[:, enough]) if enough.any() else np.zeros(len(share))
    area = LeftOut(_height(points, mean), _heights(points[enough], without[:, enough]), jackknife.shares(of_area[:, None])[:, 0])
    return Curve(points, mean, low, high, kernel.weights.sum(axis=0), area)


def near(yaw: npt.ArrayLike, grid: npt.ArrayLike, within: float = BANDWIDTH) -> Bool:
    """(K,): which points of ``grid`` have a value of ``yaw`` (n,) at most ``within`` degrees away: elsewhere a curve is only carried over a gap."""
    known = np.sort(np.asarray(yaw, np.float64)[np.isfinite(yaw)])
    points = np.asarray(grid, np.float64)
    first = np.searchsorted(known, points - within, "left")
    return np.asarray(first < np.searchsorted(known, points + within, "right"), np.bool_)


def _height(points: Float, curve: Float) -> float:
    known = np.isfinite(curve)
    return float(_heights(points[known], curve[None, known])[0]) if known.any() else math.nan


def _heights(points: Float, curves: Float) -> Float:
    """Area under each curve (B, K) divided by the width of its range (B,)."""
    if len(points) == 0:
        return np.full(len(curves), np.nan)
    if len(points) == 1:
        return curves[:, 0]
    areas: Float = np.trapezoid(curves, points, axis=1) / (points[-1] - points[0])
    return areas

"""Intervals from leaving people out, one after the other.

Pictures of one person are not independent of each other; people are. So a statistic is computed again without each person (from the probes and,
where strangers' references are part of it, from the references too), and the spread of these values is the spread of the statistic
(Efron and Tibshirani 1993, chapter 11; with unequal people it is the CR3 estimator of Bell and McCaffrey 2002). Student's t has as many degrees
of freedom as the people's shares of the data leave (Satterthwaite's rule with the working model of equal people; Bell and McCaffrey 2002, section 4):
people - 1 when all bring the same, fewer when a few bring most. Below :data:`MIN_FREEDOM` nothing is said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

LEVEL = 0.95
MIN_PEOPLE = 6
"""Below so many people, or unequal ones that are worth fewer, there is no interval."""
MIN_FREEDOM = MIN_PEOPLE - 1


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval over people; the ends are NaN where too few people stand behind it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LeftOut:
    """A value, what it is ``without`` each person (n,), and each person's ``share`` (n,) of the data behind it.

    The people of two of them stand in the same order when they are compared; a person without data leaves the value as it is.
    """

    value: float
    without: FloatArray
    share: FloatArray

    def __sub__(self, other: LeftOut) -> LeftOut:
        """The difference, paired by person; the share is the larger one, made to add up to 1 again."""
        share = np.maximum(self.share, other.share)
        total = share.sum()
        return LeftOut(self.value - other.value, self.without - other.without, share / total if total > 0 else share)

    def __truediv__(self, factor: float) -> LeftOut:
        return LeftOut(self.value / factor, self.without / factor, self.share)

    def spread(self) -> tuple[float, float]:
        """(standard error, degrees of freedom); NaN where a person cannot be left out."""
        error, freedom = spread(np.array([self.value]), self.without[:, None], self.share[:, None])
        return float(error[0]), float(freedom[0])

    def estimate(self, level: float = LEVEL, least: int = MIN_PEOPLE) -> Estimate:
        """With Student's interval; none below ``least`` people's worth."""
        low, high = t_intervals(np.array([self.value]), self.without[:, None], self.share[:, None], level)
        if not self.spread()[1] >= least - 1 - 1e-9:
            return Estimate(self.value, math.nan, math.nan)
        return Estimate(self.value, float(low[0]), float(high[0]))

    def p_value(self) -> float:
        """Two-sided p of no difference from zero, by Student's t; NaN where there is no interval, 1 where nothing varies and the value is 0."""
        from scipy.special import stdtr

        error, freedom = self.spread()
        if not (math.isfinite(self.value) and math.isfinite(error) and freedom >= MIN_FREEDOM - 1e-9):
            return math.nan
        if error == 0:
            return 1.0 if self.value == 0 else 0.0
        return float(2.0 * stdtr(freedom, -abs(self.value) / error))


def shares(numbers: FloatArray) -> FloatArray:
    """``numbers`` of data per person (n, M), made to add up to 1 in every column (0 where there are none)."""
    total = numbers.sum(axis=0)
    return numbers / np.where(total > 0, total, 1.0)


def carriers_of(counts: FloatArray) -> FloatArray:
    """(M,): the effective number of people among whom ``counts`` (n, M) are spread (Kish 1965); 0 where there are none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        effective: FloatArray = np.nan_to_num(counts.sum(axis=0) ** 2 / (counts**2).sum(axis=0))
    return effective


def freedom(share: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(degrees of freedom, factor of the variance), each (M,), of a mean with the people's ``share`` (n, M).

    With people of one spread and the weights w, leaving p out moves the mean by u_p (x_p - mean), u = w / (1 - w), and the products of these moves
    have the expectations u_p u_q ([p = q] + Q - w_p - w_q), Q = sum w^2. Their sum of squares is scaled to be unbiased, and has the degrees of
    freedom 2 mean^2 / variance of such a quadratic form.
    """
    w = share
    with np.errstate(invalid="ignore", divide="ignore"):
        u2 = (w / (1.0 - w)) ** 2
        q = (w**2).sum(axis=0)
        trace = (u2 * (1.0 - 2.0 * w + q)).sum(axis=0)
        u0, u1, v2 = u2.sum(axis=0), (u2 * w).sum(axis=0), (u2 * w**2).sum(axis=0)
        square = q**2 * u0**2 - 4.0 * q * u0 * u1 + 2.0 * u0 * v2 + 2.0 * u1**2
        square += (u2**2 * (1.0 + 2.0 * (q - 2.0 * w))).sum(axis=0)
        return trace**2 / square, q / trace


def spread(value: FloatArray, without: FloatArray, share: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(standard errors, degrees of freedom), each (M,), of values (M,) from what they are without each person (n, M)."""
    degrees, factor = freedom(share)
    with np.errstate(invalid="ignore"):
        error = np.sqrt(factor * ((value - without) ** 2).sum(axis=0))
    return error, degrees


def t_intervals(value: FloatArray, without: FloatArray, share: FloatArray, level: float = LEVEL) -> tuple[FloatArray, FloatArray]:
    """(low, high), each (M,): Student's intervals; NaN below :data:`MIN_FREEDOM` degrees of freedom."""
    from scipy.special import stdtrit

    error, degrees = spread(value, without, share)
    enough = np.isfinite(error) & (degrees >= MIN_FREEDOM - 1e-9)
    half = np.where(enough, stdtrit(np.where(enough, degrees, 1.0), (1.0 + level) / 2) * error, np.nan)
    return value - half, value + half


def logit_intervals(
    rate: FloatArray, error: FloatArray, share: FloatArray, carriers: FloatArray, level: float = LEVEL
) -> tuple[FloatArray, FloatArray]:
    """(low, high), each (M,), of rates (M,) with their standard errors: Student's on the scale of log odds.

    A rate near 0 or 1 hangs on few people, and their spread is badly known when few have shown it. So there are no more degrees of freedom than
    ``carriers`` (M,), the effective number of people who bring the rarer outcome (:func:`carriers_of`), and one more. Where the rate is 0 or 1
    the spread is not known at all: exact ends over people (Clopper and Pearson 1934).
    """
    from scipy.special import stdtrit

    degrees, _ = freedom(share)
    with np.errstate(divide="ignore"):
        people = 1.0 / (share**2).sum(axis=0)
    enough = np.isfinite(error) & np.isfinite(rate) & (degrees >= MIN_FREEDOM - 1e-9)
    tail = (1.0 - level) / 2
    inside = enough & (rate > 0) & (rate < 1)
    p = np.where(inside, rate, 0.5)
    degrees = np.where(inside, np.minimum(degrees, np.maximum(carriers, 1.0) + 1.0), degrees)
    half = stdtrit(np.where(enough, degrees, 1.0), 1.0 - tail) * np.where(inside, error, 0.0) / (p * (1.0 - p))
    odds = np.log(p / (1.0 - p))
    low, high = 1.0 / (1.0 + np.exp(half - odds)), 1.0 / (1.0 + np.exp(-half - odds))
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(inside, low, np.where(rate >= 1, tail ** (1.0 / people), 0.0))
        high = np.where(inside, high, np.where(rate <= 0, 1.0 - tail ** (1.0 / people), 1.0))
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def mean_left_out(sums: FloatArray, numbers: FloatArray, moved: FloatArray | None = None) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(values (M,), without (n, M), share (n, M)) of means from sums and numbers per person, each (n, M).

    ``moved`` (n, M): by how much the sum over everybody else's images changes when this person's references are gone.
    """
    total, number = sums.sum(axis=0), numbers.sum(axis=0)
    rest = number - numbers
    left = total - sums if moved is None else total - sums + moved
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(number > 0, total / number, np.nan)
        without = np.where(rest > 0, left / rest, np.nan)
    return value, without, shares(numbers)


def mean_intervals(
    sums: FloatArray, numbers: FloatArray, moved: FloatArray | None = None, level: float = LEVEL
) -> tuple[FloatArray, FloatArray]:
    """(low, high), each (M,), of means; see :func:`mean_left_out`. A person may matter as a reference only: then ``numbers`` is 0, ``moved`` not."""
    if not len(sums):
        return np.full(sums.shape[1], np.nan), np.full(sums.shape[1], np.nan)
    return t_intervals(*mean_left_out(sums, numbers, moved), level)


def rate_intervals(
    hits: FloatArray, numbers: FloatArray, error: FloatArray | None = None, level: float = LEVEL
) -> tuple[FloatArray, FloatArray]:
    """(low, high), each (M,), of rates ``sum(hits) / sum(numbers)`` from counts per person (n, M); see :func:`logit_intervals`.

    ``error`` (M,): standard errors, if not the jackknife's.
    """
    if not len(hits):
        return np.full(hits.shape[1], np.nan), np.full(hits.shape[1], np.nan)
    rate, without, share = mean_left_out(hits, numbers)
    if error is None:
        error = spread(rate, without, share)[0]
    return logit_intervals(rate, error, share, carriers_of(np.where(rate > 0.5, numbers - hits, hits)), level)

"""Intervals from leaving people out, one after the other.

Images of one person are not independent of each other; people are. So a statistic is computed again without each person (from the probes and,
where strangers' references are part of it, from the references too), and the spread of these values is the spread of the statistic
(Efron and Tibshirani 1993, chapter 11; with unequal people it is the CR3 estimator of Bell and McCaffrey 2002). Student's t has as many degrees
of freedom as the people's shares of the data leave (Satterthwaite's rule with the working model of equal people; Bell and McCaffrey 2002, section 4):
people - 1 when all bring the same, fewer when a few bring most, and fewer again because people are not normal: by the tail that they show, or
:data:`KURTOSIS` where they show less. Below :data:`MIN_FREEDOM` nothing is said.

A person's mean differs from another's by who they are and by which images there happen to be. The second part gets smaller with the number of
images, so people with many of them bring less of the spread than their share is. Where ``noise``, the variance of each person's mean by
its images alone, is known, the degrees of freedom are those of people whose means vary by both (Imbens and Kolesar 2016, who estimate the
correlation within a cluster for this; :func:`by_images`).

Where strangers' references are part of a value, leaving people out on both sides counts what is particular to a *pair* of people twice, once for each
of them; :func:`counted_twice` is taken off again (the bias of Efron and Stein 1981; for sums over pairs it is the correction of Aronow, Samii and
Assenova 2015).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from frontalbench.types import Float, Int

LEVEL = 0.95
MIN_PEOPLE = 6
"""Below so many people, or unequal ones that are worth fewer, there is no interval."""
MIN_FREEDOM = MIN_PEOPLE - 1
KURTOSIS = 2.0
"""Excess kurtosis that people are taken to have at least. Some are hard to recognise, so their values have a long tail, and a spread from few of them
is known less well than that of normal people. Few people do not show it."""
KURTOSIS_OF_CHANGES = 0.0
"""The same for what an image is better by than another of the same person, and for slopes over the yaw: what makes people hard to recognise is in
both and goes away. The sign-flip test beside such an interval takes them to be symmetric, and a long tail on both sides makes Student's interval miss
no more often."""
KURTOSIS_OF_RATES = 1.0
"""The same for rates, whose intervals are wide already where few people bring the errors."""
INTRACLASS = 0.05
"""Correlation of right and wrong answers of one person that is taken to be there at least. Some people are hard to match; a sample that happens to
hold none of them shows hardly any spread between people, and with many images of each looks far better known than it is."""
KURTOSIS_OF_SQUARES = 3.0
"""The same for d', about half of whose spread over people comes from squares: those of normal values have an excess kurtosis of 12, half of the
variance of a sum brings a quarter of that."""
FEW_CARRIERS = 2.0
"""A rate whose rarer outcome fewer people than this bring has an end over people (:func:`worth_intervals`)."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval over people; the ends are NaN where too few people stand behind it."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class LeftOut:
    """A value, what it is ``without`` each person (n,), and each person's ``share`` (n,) of the data behind it.

    The people of two of them stand in the same order when they are compared; a person without data leaves the value as it is. ``excess``: what
    the variance counts twice (:func:`counted_twice`); ``bias``: by how much the value is too high on average, and ``kurtosis``: what people's moves
    of it are taken to have at least, where it is no mean (:meth:`of_squares`); ``noise`` (n,): what their images alone make (:func:`by_images`).
    """

    value: float
    without: Float
    share: Float
    excess: float = 0.0
    bias: float = 0.0
    kurtosis: float = KURTOSIS
    noise: Float | None = None

    @staticmethod
    def of_squares(value: float, without: Float, share: Float) -> LeftOut:
        """Of a value with a spread in it, like d': with few people it is off on average, by the jackknife's estimate (Quenouille 1956)."""
        there = share > 0
        bias = (int(there.sum()) - 1) * float(without[there].mean() - value) if there.any() else 0.0
        return LeftOut(value, without, share, bias=bias, kurtosis=KURTOSIS_OF_SQUARES)

    def __sub__(self, other: LeftOut) -> LeftOut:
        """The difference, paired by person; the share is the larger one, made to add up to 1 again."""
        share = np.maximum(self.share, other.share)
        total = share.sum()
        share = share / total if total > 0 else share
        kurtosis = max(self.kurtosis, other.kurtosis)  # its noise is not known: it may be shared
        return LeftOut(self.value - other.value, self.without - other.without, share, bias=self.bias - other.bias, kurtosis=kurtosis)

    def __truediv__(self, factor: float) -> LeftOut:
        noise = None if self.noise is None else self.noise / factor**2
        return LeftOut(
            self.value / factor, self.without / factor, self.share, self.excess / factor**2, self.bias / factor, self.kurtosis, noise
        )

    @property
    def _noise(self) -> Float | None:
        return None if self.noise is None else self.noise[:, None]

    def spread(self) -> tuple[float, float]:
        """(standard error, degrees of freedom of people of one spread); NaN where a person cannot be left out."""
        error, freedom = spread(np.array([self.value]), self.without[:, None], self.share[:, None], np.array([self.excess]), self._noise)
        return float(error[0]), float(freedom[0])

    def estimate(self, level: float = LEVEL) -> Estimate:
        """With Student's interval, around the value less its bias."""
        ends = t_intervals(
            *(np.array([self.value]), self.without[:, None], self.share[:, None], np.array([self.excess]), level),
            kurtosis=self.kurtosis,
            noise=self._noise,
        )
        low, high = (float(end[0]) - self.bias for end in ends)
        return Estimate(self.value, low, high)

    def p_value(self) -> float:
        """Two-sided p of no difference from zero, by Student's t; NaN where there is no interval, 1 where nothing varies and the value is 0."""
        from scipy.special import stdtr

        error, freedom = self.spread()
        if not (math.isfinite(self.value) and math.isfinite(error) and freedom >= MIN_FREEDOM - 1e-9):
            return math.nan
        if error == 0:
            return 1.0 if self.value == 0 else 0.0
        moves = (self.value - self.without)[:, None]
        degrees = float(student_freedom(self.share[:, None], moves, self.kurtosis, self._noise)[0])
        return float(2.0 * stdtr(degrees, -abs(self.value - self.bias) / error))


def shares(numbers: Float) -> Float:
    """``numbers`` of data per person (n, M), made to add up to 1 in every column (0 where there are none)."""
    total = numbers.sum(axis=0)
    return numbers / np.where(total > 0, total, 1.0)


def carriers_of(counts: Float) -> Float:
    """(M,): the effective number of people among whom ``counts`` (n, M) are spread (Kish 1965); 0 where there are none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        effective: Float = np.nan_to_num(counts.sum(axis=0) ** 2 / (counts**2).sum(axis=0))
    return effective


def freedom(share: Float, variance: Float | None = None) -> tuple[Float, Float]:
    """(degrees of freedom, factor of the variance), each (M,), of a mean with the people's ``share`` (n, M).

    With people of one spread and the weights w, leaving p out moves the mean by u_p (x_p - mean), u = w / (1 - w), and the products of these moves
    have the expectations u_p u_q ([p = q] + Q - w_p - w_q), Q = sum w^2. Their sum of squares is scaled to be unbiased, and has the degrees of
    freedom 2 mean^2 / variance of such a quadratic form. ``variance`` (n, M), in any unit: where people have spreads v of their own; then
    u_p u_q (v_p [p = q] + Q - w_p v_p - w_q v_q), Q = sum w^2 v.
    """
    w = share
    with np.errstate(invalid="ignore", divide="ignore"):
        v = np.ones_like(w) if variance is None else variance
        u2, a = (w / (1.0 - w)) ** 2, w * v
        q = (w * a).sum(axis=0)
        trace = (u2 * (v - 2.0 * a + q)).sum(axis=0)
        u0, u1, a2 = u2.sum(axis=0), (u2 * a).sum(axis=0), (u2 * a**2).sum(axis=0)
        square = q**2 * u0**2 - 4.0 * q * u0 * u1 + 2.0 * u0 * a2 + 2.0 * u1**2
        square += (u2**2 * v * (v + 2.0 * (q - 2.0 * a))).sum(axis=0)
        return trace**2 / square, q / trace


def by_images(share: Float, moves: Float, noise: Float) -> Float:
    """Variance (n, M) of people's means: ``noise`` (n, M), that by which images there are, and what people's ``moves`` (n, M) of the value show
    beyond it, the same for all (the estimator of moments)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        u2, q = (share / (1.0 - share)) ** 2, (share**2).sum(axis=0)
        noise = np.where((share > 0) & np.isfinite(noise), noise, 0.0)
        of_noise = (u2 * (noise * (1.0 - 2.0 * share) + (share**2 * noise).sum(axis=0))).sum(axis=0)
        between = np.maximum((moves**2).sum(axis=0) - of_noise, 0.0) / (u2 * (1.0 - 2.0 * share + q)).sum(axis=0)
        variance = between + noise
        return np.where(np.isfinite(variance) & (variance > 0), variance, 1.0)


def noise_of_means(sums: Float, squares: Float, numbers: Float) -> Float:
    """(n, M): the variance of each person's mean by which images there are: that of images of one person, over their number. 0 where nobody has
    two. From sums, sums of squares and numbers per person, each (n, M)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        some = numbers > 0
        within = np.where(some, np.maximum(squares - sums**2 / np.where(some, numbers, 1.0), 0.0), 0.0).sum(axis=0)
        rest = (numbers - some).sum(axis=0)
        variance = np.where(rest > 0, within / np.where(rest > 0, rest, 1.0), 0.0)
        return np.where(some, variance / np.where(some, numbers, 1.0), 0.0)


def of_people(
    degrees: Float,
    share: Float,
    moves: Float | None = None,
    kurtosis: Float | float = KURTOSIS,
    variance: Float | None = None,
) -> Float:
    """Degrees of freedom (M,) of :func:`freedom` for people whose values have a long tail: the excess kurtosis that people's ``moves`` (n, M) of the
    value show, and ``kurtosis`` at least. ``variance``: as there.

    The spread is a sum of squares with the expected parts b (sum 1); its relative variance 2 / degrees grows by kurtosis x sum b^2. The fourth
    powers of the moves are expected to add up to (3 + kurtosis) sum b^2 times the square of the sum of their squares.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        v = np.ones_like(share) if variance is None else variance
        part = (share / (1.0 - share)) ** 2 * (v * (1.0 - 2.0 * share) + (share**2 * v).sum(axis=0))
        unequal = (part**2).sum(axis=0) / part.sum(axis=0) ** 2
        longer = kurtosis * unequal
        if moves is not None:
            squares = moves**2
            longer = np.fmax(longer, (squares**2).sum(axis=0) / squares.sum(axis=0) ** 2 - 3.0 * unequal)
        fewer: Float = 2.0 / (2.0 / degrees + longer)
    return fewer


def student_freedom(share: Float, moves: Float, kurtosis: Float | float, noise: Float | None = None) -> Float:
    """Degrees of freedom (M,) of Student's t for people's ``moves`` (n, M) of a value."""
    if noise is None:
        return of_people(freedom(share)[0], share, moves, kurtosis)
    variance = by_images(share, moves, noise)
    return of_people(freedom(share, variance)[0], share, moves, kurtosis, variance)


def spread(value: Float, without: Float, share: Float, excess: Float | float = 0.0, noise: Float | None = None) -> tuple[Float, Float]:
    """(standard errors, degrees of freedom of normal people of one spread), each (M,), of values (M,) from what they are without each person (n, M).

    ``excess`` (M,) is taken off the variances, never more than half of them: more cannot have been counted twice. ``noise``: :func:`by_images`.
    """
    degrees, factor = freedom(share)
    if noise is not None:
        factor = freedom(share, by_images(share, value - without, noise))[1]
    with np.errstate(invalid="ignore"):
        variance = factor * ((value - without) ** 2).sum(axis=0)
        error = np.sqrt(np.maximum(variance - excess, variance / 2))
    return error, degrees


def counted_twice(moves: Float, numbers: Float) -> float:
    """What the variance of a mean over images counts twice: the sum of squares of what is particular to each pair of people.

    ``moves`` (n, n): by how much the sum over the images of each person (row) changes when the references of another one (column) are gone;
    ``numbers`` (n,) of images. What a person's references do to everybody alike is no matter of a pair and is taken out first, which takes a little
    of the rest along: (n - 2) / (n - 1) of it stays, on either side.
    """
    total, people = numbers.sum(), int((numbers > 0).sum())
    if people < 3:
        return 0.0
    share = numbers / total
    part = moves / total
    others = 1.0 - share
    alike = (part.sum(axis=0) - np.diagonal(part)) / np.where(others > 0, others, 1.0)
    part = part - share[:, None] * alike
    np.fill_diagonal(part, 0.0)
    return float(((part + part.T) ** 2).sum() / 2.0 * ((people - 1.0) / (people - 2.0)) ** 2)


def t_intervals(
    value: Float,
    without: Float,
    share: Float,
    excess: Float | float = 0.0,
    level: float = LEVEL,
    kurtosis: Float | float = KURTOSIS,
    noise: Float | None = None,
) -> tuple[Float, Float]:
    """(low, high), each (M,): Student's intervals; NaN below :data:`MIN_FREEDOM` degrees of freedom (of normal people of one spread)."""
    from scipy.special import stdtrit

    error, degrees = spread(value, without, share, excess, noise)
    enough = np.isfinite(error) & (degrees >= MIN_FREEDOM - 1e-9)
    student = student_freedom(share, value - without, kurtosis, noise)
    half = np.where(enough, stdtrit(np.where(enough, student, 1.0), (1.0 + level) / 2) * error, np.nan)
    return value - half, value + half


def worth_intervals(
    rate: Float, error: Float, numbers: Float, carriers: Float, level: float = LEVEL, *, own: Float | None = None, part: Float | float = 1.0
) -> tuple[Float, Float]:
    """(low, high), each (M,), of rates (M,) with their standard errors, over ``numbers`` (n, M) of data per person: the exact interval of as many
    independent data as those of these people are worth (Korn and Graubard 1998).

    They are worth rate (1 - rate) / error^2, and less by the squared ratio of Student's quantiles, as the error comes from few people. What these
    data have in it (``own`` (M,), a standard error; None: all of it) is at least that of people whose answers are correlated by :data:`INTRACLASS`;
    ``part`` (M,): how much of the variance of such answers goes into the rate. When few have shown the rarer outcome their spread is badly known, so
    there are no more degrees of freedom than ``carriers`` (M,), the effective number of people who bring it (:func:`carriers_of`), and
    :data:`MIN_FREEDOM` more. Where the rate is 0 or 1 the spread is not known at all: exact ends over people (Clopper and Pearson 1934). Where fewer
    than :data:`FEW_CARRIERS` people bring the rarer outcome, the end towards it is not nearer than that of so large a share of people: a rate of .998
    is not known better than one of 1.
    """
    from scipy.special import betaincinv, stdtrit

    share = shares(numbers)
    normal, _ = freedom(share)
    squares = (share**2).sum(axis=0)
    people = 1.0 / np.where(squares > 0, squares, 1.0)
    enough = np.isfinite(error) & np.isfinite(rate) & (normal >= MIN_FREEDOM - 1e-9)
    tail = (1.0 - level) / 2
    inside = enough & (rate > 0) & (rate < 1)
    p, number, people = np.where(inside, rate, 0.5), np.where(inside, numbers.sum(axis=0), 2.0), np.where(enough, people, 2.0)
    together = np.maximum(number / people, 1.0)  # data of one person, on average over the data
    least = part * p * (1.0 - p) / number * (1.0 + (together - 1.0) * INTRACLASS)
    known = np.where(inside, error if own is None else own, 0.0) ** 2
    variance = np.where(inside, error, 0.0) ** 2 + np.maximum(least - known, 0.0)
    degrees = np.minimum(of_people(normal, share, kurtosis=KURTOSIS_OF_RATES), np.maximum(carriers, 1.0) + MIN_FREEDOM)
    fewer = stdtrit(np.maximum(people - 1.0, 1.0), 1.0 - tail) / stdtrit(np.where(enough, degrees, 1.0), 1.0 - tail)
    worth = np.maximum(p * (1.0 - p) / variance * fewer**2, 1.0)
    low = betaincinv(worth * p, worth * (1.0 - p) + 1.0, tail)
    high = betaincinv(worth * p + 1.0, worth * (1.0 - p), 1.0 - tail)
    few = inside & (carriers < FEW_CARRIERS)
    rarer = np.minimum(p, 1.0 - p) * people
    far = betaincinv(rarer + 1.0, people - rarer, 1.0 - tail)
    low = np.where(few & (p > 0.5), np.minimum(low, 1.0 - far), low)
    high = np.where(few & (p <= 0.5), np.maximum(high, far), high)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.where(inside, low, np.where(rate >= 1, tail ** (1.0 / people), 0.0))
        high = np.where(inside, high, np.where(rate <= 0, 1.0 - tail ** (1.0 / people), 1.0))
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


def mean_left_out(sums: Float, numbers: Float, moved: Float | None = None) -> tuple[Float, Float, Float]:
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
    sums: Float,
    numbers: Float,
    moved: Float | None = None,
    excess: Float | float = 0.0,
    level: float = LEVEL,
    squares: Float | None = None,
    kurtosis: Float | float = KURTOSIS,
) -> tuple[Float, Float]:
    """(low, high), each (M,), of means; see :func:`mean_left_out` and :func:`counted_twice`. ``squares`` (n, M): sums of the squares of each person's
    values, where they are known (:func:`noise_of_means`); ``kurtosis`` (M,) or one for all.

    A person may matter as a reference only: then ``numbers`` is 0, ``moved`` not.
    """
    if not len(sums):
        return np.full(sums.shape[1], np.nan), np.full(sums.shape[1], np.nan)
    noise = None if squares is None else noise_of_means(sums, squares, numbers)
    return t_intervals(*mean_left_out(sums, numbers, moved), excess, level, kurtosis, noise)


def mean_estimate(values: Float, person: Int, kurtosis: float = KURTOSIS) -> Estimate:
    """The mean of ``values`` (n,) of images of ``person`` (n,; 0, 1, ...), and its interval."""
    if not len(values):
        return Estimate(math.nan, math.nan, math.nan)
    sums, squares, numbers = (np.bincount(person, x).astype(np.float64)[:, None] for x in (values, values**2, np.ones(len(values))))
    low, high = mean_intervals(sums, numbers, squares=squares, kurtosis=kurtosis)
    return Estimate(float(values.mean()), float(low[0]), float(high[0]))


def rate_intervals(hits: Float, numbers: Float, error: Float | None = None, level: float = LEVEL) -> tuple[Float, Float]:
    """(low, high), each (M,), of rates ``sum(hits) / sum(numbers)`` from counts per person (n, M); see :func:`worth_intervals`.

    ``error`` (M,): standard errors, if not the jackknife's.
    """
    if not len(hits):
        return np.full(hits.shape[1], np.nan), np.full(hits.shape[1], np.nan)
    rate, without, share = mean_left_out(hits, numbers)
    own = spread(rate, without, share)[0]
    carriers = carriers_of(np.where(rate > 0.5, numbers - hits, hits))
    return worth_intervals(rate, own if error is None else error, numbers, carriers, level, own=own)

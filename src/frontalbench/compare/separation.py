"""d': how far genuine and impostor similarities lie apart, of scores at hand and of what a cell keeps of them, with intervals over people."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.compare import jackknife
from frontalbench.compare.jackknife import Estimate, LeftOut
from frontalbench.compare.kernel import group_of
from frontalbench.compare.scores import TIE
from frontalbench.compare.subjects import codes_of
from frontalbench.types import Float, Int


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
    return dprime_left_out(cell, codes_of(subject)).estimate()


def dprime_change(after: PairMoments, before: PairMoments, subject: npt.ArrayLike) -> Estimate:
    """d' of ``after`` minus d' of ``before`` over the same images (rows correspond), paired by person."""
    code = codes_of(subject)
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

"""Tests and effect sizes of paired differences, a value for each person. Pure functions."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from frontalbench.compare.scores import TIE
from frontalbench.types import Float

EXACT_FLIPS = 14
"""Up to this many subjects all sign flips are tried, above it random ones."""


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

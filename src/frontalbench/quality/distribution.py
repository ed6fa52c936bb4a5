"""FID and KID of two sets of features, each float (n, D).

The features decide what the numbers mean: FID and KID proper are those of :mod:`.inception`. These functions compute the distances of any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from frontalbench.compare.bootstrap import draw_counts, percentile_interval
from frontalbench.errors import BadInput
from frontalbench.types import Float, Int

_CHUNK: Final = 512


@dataclass(frozen=True)
class Kid:
    """Kernel distance, its 95 % interval over people (NaN below two people on either side)."""

    value: float
    low: float
    high: float


def _features(values: npt.ArrayLike, name: str) -> Float:
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or len(array) < 2 or not np.isfinite(array).all():
        raise BadInput(f"{name}: expected at least two rows of finite features, got shape {array.shape}")
    return array


def _pair(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Float, Float]:
    a, b = _features(first, "first"), _features(second, "second")
    if a.shape[1] != b.shape[1]:
        raise BadInput(f"features of different length: {a.shape[1]} and {b.shape[1]}")
    return a, b


def fid(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Squared Frechet distance of the two Gaussians with the features' means and covariances (Heusel et al. 2017, equation 6); >= 0, 0 is best.

    The trace of the root of ``S1 S2`` is the sum of the roots of the eigenvalues of ``R S2 R`` with ``R`` the root of ``S1``: symmetric, so no
    complex parts. Biased upwards for few rows: give the counts beside the number. Raises :class:`BadInput` for features that do not fit.
    """
    a, b = _pair(first, second)
    s1, s2 = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    values, vectors = np.linalg.eigh(s1)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ s2 @ root), 0.0)).sum()
    shift = a.mean(axis=0) - b.mean(axis=0)
    return max(0.0, float(shift @ shift + np.trace(s1) + np.trace(s2) - 2.0 * cross))


def kid(first: npt.ArrayLike, second: npt.ArrayLike, people_first: Int, people_second: Int, *, resamples: int = 2000, seed: int = 0) -> Kid:
    """Kernel Inception distance: the unbiased squared maximum mean discrepancy under ``(x.y / D + 1)^3`` (Binkowski et al. 2018, equation 4) of all
    rows (which is what the mean over all random subsets would be). Unbiased for any count, and may be below 0.

    ``people_*``: a code per row. The interval draws people with replacement; a person who is drawn twice is not compared with the own copy, which
    would pull the draws upwards. Raises :class:`BadInput` for features that do not fit.
    """
    a, b = _pair(first, second)
    _, codes = np.unique(np.concatenate([people_first, people_second]), return_inverse=True)
    p, q = codes[: len(a)], codes[len(a) :]
    n = int(codes.max()) + 1
    within = [_within(x, code, n) for x, code in ((a, p), (b, q))]
    across, pairs = _sums(a, b, p, q, n), np.outer(np.bincount(p, minlength=n), np.bincount(q, minlength=n)).astype(np.float64)
    once = np.ones((1, n))
    value = _mmd(once, within, (across, pairs))[0]
    if min(len(np.unique(p)), len(np.unique(q))) < 2:
        return Kid(float(value), np.nan, np.nan)
    low, high = percentile_interval(_mmd(draw_counts(n, resamples, seed), within, (across, pairs))[:, None])
    return Kid(float(value), float(low[0]), float(high[0]))


def _within(x: Float, people: Int, n: int) -> tuple[Float, Float]:
    """Kernel sums (n, n) and numbers of pairs of different rows, by person and person."""
    own = np.bincount(people, (np.square(x).sum(1) / x.shape[1] + 1.0) ** 3, minlength=n)  # a row with itself
    counts = np.bincount(people, minlength=n).astype(np.float64)
    return _sums(x, x, people, people, n) - np.diag(own), np.outer(counts, counts) - np.diag(counts)


def _sums(a: Float, b: Float, p: Int, q: Int, n: int) -> Float:
    """float64 (n, n): sum of the kernel over the rows of ``a`` of one person and the rows of ``b`` of another; never all pairs at once."""
    out = np.zeros((n, n))
    order = np.argsort(q, kind="stable")
    present, starts = np.unique(q[order], return_index=True)
    columns = b[order].T / a.shape[1]
    for i in range(0, len(a), _CHUNK):
        by_person = np.add.reduceat((a[i : i + _CHUNK] @ columns + 1.0) ** 3, starts, axis=1)
        np.add.at(out, (p[i : i + _CHUNK, None], present[None]), by_person)
    return out


def _mmd(counts: Float, within: list[tuple[Float, Float]], across: tuple[Float, Float]) -> Float:
    """float64 (B,): the discrepancy when person s is there ``counts[:, s]`` times; NaN where a draw leaves nothing to compare."""

    def mean(sums: Float, pairs: Float) -> Float:
        return _weighted(counts, sums) / _weighted(counts, pairs)

    with np.errstate(invalid="ignore", divide="ignore"):
        value: Float = mean(*within[0]) + mean(*within[1]) - 2.0 * mean(*across)
    return np.where(np.isfinite(value), value, np.nan)


def _weighted(counts: Float, table: Float) -> Float:
    """Pairs of different people count as often as both were drawn together, a person's own pairs as often as the person was drawn."""
    own = np.diag(table)
    result: Float = ((counts @ (table - np.diag(own))) * counts).sum(1) + counts @ own
    return result

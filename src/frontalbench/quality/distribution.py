"""FID and KID of two sets of features, each float (n, D).

The features decide what the numbers mean. A published FID is one of the pool3 features of the Inception network of 2015 on pictures resized in one
certain way; a number from other features, or from an Inception that was not compared with a published value, must not be called FID. This module
computes the distances; no run shows them until such a network has been validated (docs/statistics.md says why none is).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.errors import BadInput

Float = npt.NDArray[np.float64]

SUBSET = 100
SUBSETS = 50


@dataclass(frozen=True)
class Kid:
    """Mean and standard deviation over the subsets, and how many features stood on either side."""

    value: float
    sd: float
    n_first: int
    n_second: int


def _features(values: npt.ArrayLike, name: str) -> Float:
    array = np.asarray(values, np.float64)
    if array.ndim != 2 or len(array) < 2 or not np.isfinite(array).all():
        raise BadInput(f"{name}: expected at least two rows of finite features, got shape {array.shape}")
    return array


def fid(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Squared Frechet distance of the two Gaussians with the features' means and covariances (Heusel et al. 2017, equation 6); >= 0, 0 is best.

    The trace of the root of ``S1 S2`` is the sum of the roots of the eigenvalues of ``R S2 R`` with ``R`` the root of ``S1``: symmetric, so no
    complex parts. Biased for few rows: give the counts beside the number. Raises :class:`BadInput` for features that do not fit.
    """
    a, b = _features(first, "first"), _features(second, "second")
    if a.shape[1] != b.shape[1]:
        raise BadInput(f"features of different length: {a.shape[1]} and {b.shape[1]}")
    s1, s2 = np.atleast_2d(np.cov(a, rowvar=False)), np.atleast_2d(np.cov(b, rowvar=False))
    values, vectors = np.linalg.eigh(s1)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ s2 @ root), 0.0)).sum()
    shift = a.mean(axis=0) - b.mean(axis=0)
    return max(0.0, float(shift @ shift + np.trace(s1) + np.trace(s2) - 2.0 * cross))


def squared_mmd(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Unbiased squared maximum mean discrepancy under the kernel ``(x.y / D + 1)^3`` (Binkowski et al. 2018, equation 4); may be below 0."""
    a, b = _features(first, "first"), _features(second, "second")
    if a.shape[1] != b.shape[1]:
        raise BadInput(f"features of different length: {a.shape[1]} and {b.shape[1]}")
    d, m, n = a.shape[1], len(a), len(b)
    aa, bb, ab = ((x @ y.T / d + 1.0) ** 3 for x, y in ((a, a), (b, b), (a, b)))
    return float((aa.sum() - np.trace(aa)) / (m * (m - 1)) + (bb.sum() - np.trace(bb)) / (n * (n - 1)) - 2.0 * ab.mean())


def kid(first: npt.ArrayLike, second: npt.ArrayLike, *, subset: int = SUBSET, subsets: int = SUBSETS, seed: int = 0) -> Kid:
    """Kernel Inception distance: the mean of :func:`squared_mmd` over random subsets of (at most) ``subset`` rows of both. Unbiased for any count."""
    a, b = _features(first, "first"), _features(second, "second")
    size = min(subset, len(a), len(b))
    rng = np.random.default_rng(seed)
    values = [squared_mmd(a[rng.choice(len(a), size, replace=False)], b[rng.choice(len(b), size, replace=False)]) for _ in range(subsets)]
    return Kid(float(np.mean(values)), float(np.std(values)), len(a), len(b))

"""Bootstrap over people: draws that several cells share. The printed intervals are those of :mod:`.jackknife`.

Pictures of one person are not independent of each other; persons are. So whole subjects are drawn with replacement, and a statistic is
recomputed from sums per subject: one matrix product of draw counts with sums gives all resamples of many statistics at once
(Efron and Tibshirani 1993, chapters 8 and 13).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from frontalbench.compare import jackknife
from frontalbench.types import Float

RESAMPLES = 2000


@lru_cache(maxsize=8)
def draw_counts(n: int, resamples: int = RESAMPLES, seed: int = 0) -> Float:
    """float64 (resamples, n): how often each of ``n`` subjects is drawn. The same for the same arguments, so that cells share their draws."""
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1.0 / n), size=resamples).astype(np.float64)
    counts.setflags(write=False)
    return counts


def percentile_interval(draws: Float, level: float = 0.95) -> tuple[Float, Float]:
    """(low, high), each (M,): the central ``level`` of the draws (B, M). NaN draws are left out; all NaN gives NaN."""
    ordered = np.sort(draws, axis=0)  # NaN last
    ends = (np.full(draws.shape[1], (1 - level) / 2), np.full(draws.shape[1], (1 + level) / 2))
    return _quantiles(ordered, ends[0]), _quantiles(ordered, ends[1])


def _quantiles(ordered: Float, share: Float) -> Float:
    """Linear-interpolated quantile of each sorted column (NaN last), its own ``share`` (M,) each; np.nanpercentile is a loop, this is not."""
    n = np.isfinite(ordered).sum(axis=0)
    place = np.where(np.isfinite(share), share, 0.0) * np.maximum(n - 1, 0)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, np.maximum(n - 1, 0))
    columns = np.arange(ordered.shape[1])
    value = ordered[low, columns] + (place - low) * (ordered[high, columns] - ordered[low, columns])
    return np.where((n > 0) & np.isfinite(share), value, np.nan)


def ratio_draws(sums: Float, numbers: Float, *, resamples: int = RESAMPLES, seed: int = 0) -> Float:
    """float64 (B, M): bootstrap draws of the ratios ``sum(sums) / sum(numbers)`` from sums per subject (n, M); a mean is such a ratio."""
    counts = draw_counts(len(sums), resamples, seed)
    # many statistics are taken over the same images: their denominators are made once
    different, which = np.unique(numbers, axis=1, return_inverse=True)
    below = (counts @ different)[:, which.reshape(-1)]
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(below > 0, (counts @ sums) / below, np.nan)


def mean_intervals(
    sums: Float, numbers: Float, *, resamples: int = RESAMPLES, seed: int = 0, level: float = 0.95, method: str = "t"
) -> tuple[Float, Float]:
    """Confidence intervals of M means from sums and numbers per subject, each (n, M).

    ``method``: "t" (Student's, from leaving people out: :mod:`.jackknife`; NaN below six people's worth) or "percentile" (the bootstrap's, too narrow
    with few people; NaN below two).
    """
    n, m = sums.shape
    if n == 0:
        return np.full(m, np.nan), np.full(m, np.nan)
    if method == "t":
        return jackknife.mean_intervals(sums, numbers, level=level)
    if method != "percentile":
        raise ValueError(f"method: expected t or percentile, got {method!r}")
    low, high = percentile_interval(ratio_draws(sums, numbers, resamples=resamples, seed=seed), level)
    enough = (numbers > 0).sum(axis=0) >= 2
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)

"""Bootstrap over people, for what is no sum over them: KID, and thresholds of listed pairs. The other intervals are those of :mod:`.jackknife`.

Images of one person are not independent of each other; persons are. So whole subjects are drawn with replacement, and a statistic is
computed again from how often each was drawn (Efron and Tibshirani 1993, chapters 8 and 13).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

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

"""How well a threshold is known: people are drawn anew, and with them the strangers' pairs that the threshold is a quantile of.

A threshold for a false match rate is an estimate, and with few people a bad one. Here whole people are drawn with replacement; a pair of two people
counts as often as both were drawn (the product), pairs of a person with himself never come in, and the weighted quantile is taken anew
(Conti and Clemencon 2022, "Assessing uncertainty in similarity scoring: performance and fairness in face recognition", arXiv 2211.07245, draw
people in the same way). Only the highest scores are needed, so many draws cost little.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.compare import bootstrap
from frontalbench.compare.scores import TIE, Impostors
from frontalbench.types import Float, Int

LEAST = 6
"""Below so many people nothing is said, as everywhere."""
_AT_ONCE = 25
"""Draws at once: 40 MB with the longest tail."""


@dataclass(frozen=True)
class Band:
    """A threshold and the ends of its 95 % interval (NaN where people or scores are too few)."""

    value: float
    low: float
    high: float


def pair_weights(impostors: Impostors) -> Float:
    """(groups, groups): strangers' pairs between two groups of people, as far as the counts of each group tell: in proportion to both."""
    assert impostors.people is not None
    number = impostors.people.counts.sum(axis=1).astype(np.float64)
    outer = np.outer(number, number)
    np.fill_diagonal(outer, 0.0)
    total = outer.sum()
    return np.asarray(outer * (impostors.n / total) if total > 0 else outer, np.float64)


def draws(
    score: npt.ArrayLike,
    people: Int,
    between: Float,
    targets: Sequence[float],
    *,
    n: int,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
) -> Float:
    """(resamples, T) thresholds at the false match rates ``targets`` (T,) with people drawn anew, the same people for every target.

    ``score`` (k,) the highest strangers' scores in descending order, of ``n`` in all; ``people`` (k, 2) the codes of both sides; ``between``
    (people, people) pairs between two people, ``between[i, j] + between[j, i]`` where the sides differ. NaN where a draw's threshold lies
    below the scores given.
    """
    scores, rates = np.asarray(score, np.float64), np.asarray(targets, np.float64)
    groups = len(between)
    counts = bootstrap.draw_counts(groups, resamples, seed)
    # No draw needs more than some times the scores that the whole sample accepts.
    keep = min(len(scores), math.ceil(8.0 * float(rates.max(initial=0.0)) * n) + 1000)
    first, second = (np.ascontiguousarray(people[:keep, side], np.intp) for side in (0, 1))
    same = first == second  # people in one group: the pair counts as often as the group was drawn
    cuts = np.append(
        scores[:keep] + TIE, -1.0 if keep == n else np.nan
    )  # with all pairs at hand, a draw that allows all has the lowest threshold
    found = np.full((resamples, len(rates)), np.nan)
    for start in range(0, resamples, _AT_ONCE):
        drawn = counts[start : start + _AT_ONCE]
        total = np.einsum("bi,ij,bj->b", drawn, between, drawn, optimize=True)
        weight, other = np.take(drawn, first, axis=1), np.take(drawn, second, axis=1)
        other[:, same] = 1.0
        weight *= other
        np.cumsum(weight, axis=1, out=weight)
        for k in np.flatnonzero(total > 0):
            found[start + k] = cuts[np.searchsorted(weight[k], rates * total[k] + 1e-9, "right")]
    return found


def interval(value: float, drawn: Float, people: int, level: float = 0.95) -> Band:
    """The interval of a threshold ``value`` from its draws: Student's quantile times their spread, as few people need; NaN below :data:`LEAST` people
    and where more than one draw in twenty had no threshold."""
    from scipy.special import stdtrit

    known = drawn[np.isfinite(drawn)]
    if people < LEAST or not math.isfinite(value) or len(known) < 0.95 * len(drawn) or len(known) < 2:
        return Band(value, math.nan, math.nan)
    half = float(stdtrit(people - 1, (1.0 + level) / 2) * known.std(ddof=1) * math.sqrt(people / (people - 1.0)))
    return Band(value, value - half, value + half)


def of_impostors(
    impostors: Impostors, values: Sequence[float], targets: Sequence[float], *, resamples: int = bootstrap.RESAMPLES, seed: int = 0
) -> list[Band]:
    """The thresholds ``values`` at ``targets`` of a cell's impostor distribution with their intervals.

    NaN ends where it is not recorded whose the pairs are, or where a threshold lies below the scores that are kept one by one.
    """
    bands = [Band(value, math.nan, math.nan) for value in values]
    people = impostors.people
    known = [k for k, value in enumerate(values) if math.isfinite(value) and targets[k] * impostors.n <= len(impostors.tail)]
    if people is None or not known:
        return bands
    asked, between = [targets[k] for k in known], pair_weights(impostors)
    drawn = draws(impostors.tail, people.tail.astype(np.int64), between, asked, n=impostors.n, resamples=resamples, seed=seed)
    for k, column in zip(known, drawn.T, strict=True):
        bands[k] = interval(values[k], column, people.groups)
    return bands

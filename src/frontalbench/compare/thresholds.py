"""How well a threshold is known: people are drawn anew, and with them the strangers' pairs that the threshold is a quantile of.

A threshold for a false match rate is an estimate, and with few people a bad one. Here whole people are drawn with replacement; a pair of two people
counts as often as both were drawn (the product), pairs of a person with himself never come in, and the weighted quantile is taken anew
(Conti and Clemencon 2022, "Assessing uncertainty in similarity scoring: performance and fairness in face recognition", arXiv 2211.07245, draw
people in the same way). Only the highest scores are needed, so many draws cost little.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.compare import bootstrap
from frontalbench.compare.scores import Impostors
from frontalbench.compare.stats import TIE
from frontalbench.types import Float, Int

LEAST = 6
"""Below so many people nothing is said, as everywhere."""
_AT_ONCE = 100


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
    target: float,
    *,
    n: int,
    resamples: int = bootstrap.RESAMPLES,
    seed: int = 0,
) -> Float:
    """(resamples,) thresholds at the false match rate ``target`` with people drawn anew.

    ``score`` (k,) the highest strangers' scores in descending order, of ``n`` in all; ``people`` (k, 2) the codes of both sides; ``between``
    (people, people) pairs between two people, ``between[i, j] + between[j, i]`` where the sides differ. NaN where a draw's threshold lies
    below the scores given.
    """
    scores = np.asarray(score, np.float64)
    groups = len(between)
    counts = bootstrap.draw_counts(groups, resamples, seed)
    # No draw needs more than some times the scores that the whole sample accepts.
    keep = min(len(scores), math.ceil(8.0 * target * n) + 1000)
    scores, first, second = scores[:keep], people[:keep, 0], people[:keep, 1]
    same = first == second  # people in one group: the pair counts as often as the group was drawn
    found = np.full(resamples, np.nan)
    for start in range(0, resamples, _AT_ONCE):
        drawn = counts[start : start + _AT_ONCE]
        total = np.einsum("bi,ij,bj->b", drawn, between, drawn, optimize=True)
        weight = np.where(same, drawn[:, first], drawn[:, first] * drawn[:, second])
        passed = np.cumsum(weight, axis=1)
        allowed = target * total
        beyond = passed > allowed[:, None] + 1e-9
        there = beyond.any(axis=1) & (total > 0)
        place = beyond.argmax(axis=1)
        found[start : start + _AT_ONCE] = np.where(there, scores[place] + TIE if len(scores) else np.nan, np.nan)
        if keep == n:  # everything is known, so a draw that allows all of it has the lowest threshold there is
            found[start : start + _AT_ONCE] = np.where(~there & (total > 0), -1.0, found[start : start + _AT_ONCE])
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


def of_impostors(impostors: Impostors, value: float, target: float, *, resamples: int = bootstrap.RESAMPLES, seed: int = 0) -> Band:
    """The threshold ``value`` at ``target`` of a cell's impostor distribution with its interval.

    NaN ends where it is not recorded whose the pairs are, or where the threshold lies below the scores that are kept one by one.
    """
    people = impostors.people
    if people is None or not math.isfinite(value) or target * impostors.n > len(impostors.tail):
        return Band(value, math.nan, math.nan)
    drawn = draws(
        impostors.tail, people.tail.astype(np.int64), pair_weights(impostors), target, n=impostors.n, resamples=resamples, seed=seed
    )
    return interval(value, drawn, people.groups)

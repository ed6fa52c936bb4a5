"""Error rates of listed pairs: a protocol's template pairs, or anybody's ``pairs.csv``.

In a grid everybody is compared with everybody; a list says which pairs there are. The statistics are the same (:mod:`.rates`): people are left out
one by one on both sides, and the threshold moves with them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frontalbench.compare import bootstrap, rates, thresholds
from frontalbench.compare.jackknife import Estimate
from frontalbench.compare.kernel import group_of, n_groups
from frontalbench.compare.scores import BINS, PERSON_BINS, TAIL, Impostors, People
from frontalbench.errors import BadInput
from frontalbench.types import Bool, Float, Int


@dataclass(frozen=True)
class Listed:
    """Pairs that have a score: ``score`` float (n,), ``same`` bool (n,), and the codes of the people on both sides (n,), below ``people``."""

    score: Float
    same: Bool
    first: Int
    second: Int
    people: int


@dataclass(frozen=True)
class ErrorRate:
    """At false match rate ``target``: the threshold with its interval, the rate ``fmr`` that it has, the false non-match rate with its interval, and
    whether the strangers' pairs support it (:data:`~frontalbench.compare.rates.MIN_FALSE_MATCHES`)."""

    target: float
    threshold: float
    threshold_low: float
    threshold_high: float
    fmr: float
    fnmr: Estimate
    supported: bool


def people_of(first: Sequence[str], second: Sequence[str], same: Sequence[bool], where: str) -> tuple[Int, Int, int]:
    """(codes of the person on either side (n,), (n,), number of people) of pairs of things that are known by name: what pairs call one person is one.

    Raises :class:`BadInput` when a pair is called two people whose other pairs make them one.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    names, code = np.unique(np.array([*first, *second], dtype=np.str_), return_inverse=True)
    a, b = code[: len(first)], code[len(first) :]
    joined = np.asarray(same, np.bool_)
    n = len(names)
    _, person = connected_components(coo_matrix((np.ones(int(joined.sum())), (a[joined], b[joined])), shape=(n, n)), directed=False)
    one, two = person[a].astype(np.int64), person[b].astype(np.int64)
    wrong = np.flatnonzero(~joined & (one == two))
    if len(wrong):
        i = int(wrong[0])
        raise BadInput(
            f"{where}: '{first[i]}' and '{second[i]}' are called two people, other pairs make them one ({len(wrong)} such pairs); correct the labels"
        )
    return one, two, int(person.max(initial=-1)) + 1


def impostors_of(listed: Listed) -> Impostors:
    """The distribution of the pairs of two people, with whose they are."""
    other = ~listed.same
    score = listed.score[other].astype(np.float32)
    groups = n_groups(listed.people)
    first, second = (group_of(side[other], groups) for side in (listed.first, listed.second))
    counts = np.bincount(np.clip(((score + 1.0) * (BINS / 2)).astype(np.int64), 0, BINS - 1), minlength=BINS).astype(np.int64)
    coarse = np.clip(((score + 1.0) * (PERSON_BINS / 2)).astype(np.int64), 0, PERSON_BINS - 1)
    of_people = np.bincount(first * PERSON_BINS + coarse, minlength=groups * PERSON_BINS)
    apart = first != second
    of_people = of_people + np.bincount(second[apart] * PERSON_BINS + coarse[apart], minlength=groups * PERSON_BINS)
    order = np.argsort(-score, kind="stable")[:TAIL]
    whose = np.stack([first[order], second[order]], axis=1).astype(np.int16)
    pairs = len(np.unique(listed.first[other] * listed.people + listed.second[other]))
    return Impostors(counts, score[order], People(of_people.reshape(groups, PERSON_BINS).astype(np.int64), whose, pairs))


def error_rates(
    listed: Listed, targets: Sequence[float] = rates.FMR_TARGETS, *, resamples: int = bootstrap.RESAMPLES, seed: int = 0
) -> list[ErrorRate]:
    """One row per false match rate. Raises :class:`BadInput` when there are no pairs of one kind."""
    n_same = int(listed.same.sum())
    if not n_same or n_same == len(listed.same):
        raise BadInput(f"{n_same:,} pairs of one person and {len(listed.same) - n_same:,} of two have a score; error rates need both kinds")
    impostors = impostors_of(listed)
    groups = n_groups(listed.people)
    points = [rates.operating_point(impostors, target) for target in targets]
    misses = rates.miss_rates(
        listed.score[listed.same], listed.first[listed.same], impostors, [point.threshold for point in points]
    ).estimates()
    between = _between(listed, groups)
    assert impostors.people is not None
    whose = impostors.people.tail.astype(np.int64)
    known = [k for k, point in enumerate(points) if point.supported and targets[k] * impostors.n <= len(impostors.tail)]
    bands = [thresholds.Band(point.threshold, math.nan, math.nan) for point in points]
    if known:
        asked = [targets[k] for k in known]
        drawn = thresholds.draws(impostors.tail, whose, between, asked, n=impostors.n, resamples=resamples, seed=seed)
        for k, column in zip(known, drawn.T, strict=True):
            bands[k] = thresholds.interval(points[k].threshold, column, groups)
    return [
        ErrorRate(target, point.threshold, band.low, band.high, point.fmr, fnmr, point.supported)
        for target, point, band, fnmr in zip(targets, points, bands, misses, strict=True)
    ]


def _between(listed: Listed, groups: int) -> Float:
    other = ~listed.same
    first, second = (group_of(side[other], groups) for side in (listed.first, listed.second))
    return np.bincount(first * groups + second, minlength=groups * groups).reshape(groups, groups).astype(np.float64)

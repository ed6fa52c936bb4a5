"""Open-set identification (ISO/IEC 19795-1): a probe is searched in a gallery that may not hold its person.

*Non-mated* probes show people who are not enrolled. FPIR(T) is the share of them whose highest score reaches the threshold T. *Mated* probes show
people who are; FNIR(T) is the share of them whose person is not found: not at rank 1, or below T. Who is enrolled is drawn: in every draw one half of
the people (:data:`ENROLLED`) make the gallery, everybody else's probes are non-mated; figures are over all draws, each at its own threshold.

Intervals leave people out as probes, mated and non-mated alike, so that the threshold moves with them; the galleries are averaged over by the draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.compare import jackknife
from frontalbench.compare.jackknife import Estimate
from frontalbench.compare.kernel import group_of, n_groups
from frontalbench.compare.rates import MIN_FALSE_MATCHES
from frontalbench.compare.scores import TIE
from frontalbench.compare.two_sets import Faces
from frontalbench.types import Bool, Float, Float32, Int

FPIR_TARGETS = (0.1, 0.01, 0.001)
DRAWS = 20
ENROLLED = 0.5
_BLOCK = 2048


@dataclass(frozen=True)
class Search:
    """Highest scores of every probe in every draw.

    ``best`` float32 (draws, n) among the enrolled people other than its own (-inf: nobody else is, or the probe has no face), ``own`` float32 (n,)
    its own person's, ``mated`` bool (draws, n) whether its person is enrolled; ``person`` (n,) codes below ``people``.
    """

    best: Float32
    own: Float32
    mated: Bool
    person: Int
    people: int


@dataclass(frozen=True)
class OpenSet:
    """At ``target``: mean over draws of the threshold and of FPIR there; FNIR over all draws' mated probes with its interval; ``n_mated``,
    ``n_nonmated``: mean numbers of probes;
    ``gallery``: mean number of enrolled people; ``supported``: whether at least :data:`MIN_FALSE_MATCHES` false positives stand behind a draw."""

    target: float
    threshold: float
    fpir: float
    fnir: Estimate
    n_mated: float
    n_nonmated: float
    gallery: float
    supported: bool


def galleries(with_reference: Int, people: int, draws: int = DRAWS, enrolled: float = ENROLLED, seed: int = 0) -> Bool:
    """(draws, people): who is enrolled, the share ``enrolled`` (rounded up) of the people ``with_reference`` (codes, each once)."""
    generator = np.random.default_rng(seed)
    chosen = np.zeros((draws, people), np.bool_)
    number = math.ceil(enrolled * len(with_reference))
    for row in chosen:
        row[generator.permutation(with_reference)[:number]] = True
    return chosen


def search(references: Faces, probes: Faces, enrolled: Bool, usable: Bool | None = None) -> Search:
    """Search every probe in every gallery of ``enrolled`` (draws, people). A person's score is that of the best reference.

    ``usable`` (n,): probes that have a face; one without is found by nobody: missed where its person is enrolled, no false positive elsewhere.
    """
    people = enrolled.shape[1]
    order = np.argsort(references.person, kind="stable")
    vectors, person = references.vectors[order], references.person[order]
    present, first = np.unique(person, return_index=True)
    n = len(probes)
    best = np.full((len(enrolled), n), -np.inf, np.float32)
    own = np.full(n, -np.inf, np.float32)
    place = np.full(people, -1, np.int64)
    place[present] = np.arange(len(present))
    columns = [np.flatnonzero(row[present]) for row in enrolled]
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        each = np.maximum.reduceat(probes.vectors[start:stop] @ vectors.T, first, axis=1)  # (rows, people who have references)
        rows = np.arange(stop - start)
        at = place[probes.person[start:stop]]
        some = at >= 0
        own[start:stop][some] = each[rows[some], at[some]]
        each[rows[some], at[some]] = -np.inf
        turned = np.ascontiguousarray(each.T)
        for k, chosen in enumerate(columns):
            if len(chosen):
                best[k, start:stop] = turned[chosen].max(axis=0)
    if usable is not None:
        own[~usable], best[:, ~usable] = -np.inf, -np.inf
    has = np.zeros(people, np.bool_)
    has[present] = True
    return Search(best, own, (enrolled & has)[:, probes.person], probes.person, people)


def threshold_at(scores: npt.ArrayLike, target: float) -> float:
    """The lowest threshold that at most the share ``target`` of ``scores`` (highest scores of non-mated probes) reach; NaN without scores."""
    ordered = np.sort(np.asarray(scores, np.float64))[::-1]
    if not len(ordered):
        return math.nan
    allowed = math.floor(len(ordered) * target + 1e-9)
    return float(ordered[allowed] + TIE) if allowed < len(ordered) else -1.0


def _missed(found: Search, k: int, threshold: float) -> Bool:
    """(n,): mated probes of draw ``k`` that are not found: below the threshold, or a stranger scores as high."""
    lost: Bool = found.mated[k] & ((found.own < threshold) | (found.best[k] >= found.own - TIE))
    return lost


def rates(found: Search, targets: Sequence[float] = FPIR_TARGETS) -> list[OpenSet]:
    """FNIR at every FPIR of ``targets``."""
    groups = n_groups(found.people)
    code = group_of(found.person, groups)
    usable = [k for k in range(len(found.mated)) if found.mated[k].any() and (~found.mated[k]).any()]
    numbers_of = {k: np.bincount(code[found.mated[k]], minlength=groups).astype(np.float64) for k in usable}
    out = []
    for target in targets:
        if not usable:
            nothing = Estimate(math.nan, math.nan, math.nan)
            out.append(OpenSet(target, math.nan, math.nan, nothing, 0.0, 0.0, 0.0, False))
            continue
        misses, numbers, moves = np.zeros(groups), np.zeros(groups), np.zeros(groups)
        cut, reached, others = [], [], []
        for k in usable:
            away = np.where(np.isfinite(found.best[k]), found.best[k], -1.0)[~found.mated[k]].astype(np.float64)
            threshold = threshold_at(away, target)
            missed = np.bincount(code[_missed(found, k, threshold)], minlength=groups).astype(np.float64)
            moves += _moves(found, k, code, groups, target, threshold, away, missed, numbers_of[k])
            misses += missed
            numbers += numbers_of[k]
            cut.append(threshold)
            reached.append(float((away >= threshold).mean()))
            others.append(len(away))
        n = len(usable)
        rate = misses.sum() / numbers.sum()
        share = jackknife.shares(numbers[:, None])
        _, factor = jackknife.freedom(share)
        error = np.sqrt(factor * ((moves / n) ** 2).sum())
        low, high = jackknife.rate_intervals(misses[:, None] / n, numbers[:, None] / n, error)
        out.append(
            OpenSet(
                target,
                float(np.mean(cut)),
                float(np.mean(reached)),
                Estimate(float(rate), float(low[0]), float(high[0])),
                float(numbers.sum() / n),
                float(np.mean(others)),
                float(np.mean([np.unique(found.person[found.mated[k]]).size for k in usable])),
                min(others) * target >= MIN_FALSE_MATCHES - 1e-9,
            )
        )
    return out


def _moves(
    found: Search,
    k: int,
    code: Int,
    groups: int,
    target: float,
    threshold: float,
    away: Float,
    missed: Float,
    numbers: Float,
) -> Float:
    """(groups,): what FNIR of draw ``k`` loses when a group of people is left out, as mated probes and as non-mated ones."""
    total, number = missed.sum(), numbers.sum()
    rate = total / number
    mated, whose = found.mated[k], code[~found.mated[k]]
    order = np.argsort(-away, kind="stable")
    ordered, owner = away[order], whose[order]
    own, best = found.own[mated].astype(np.float64), found.best[k][mated]
    beaten = best >= own - TIE
    alone = np.sort(own[~beaten])  # found at rank 1, so that the threshold alone decides
    n_away = np.bincount(whose, minlength=groups)
    moves = np.zeros(groups)
    for g in range(groups):
        left = number - numbers[g]
        if left <= 0:
            continue
        changed = threshold
        if n_away[g]:
            allowed = math.floor((len(away) - n_away[g]) * target + 1e-9)
            rest = ordered[: allowed + n_away[g] + 1][owner[: allowed + n_away[g] + 1] != g]
            changed = float(rest[allowed] + TIE) if allowed < len(rest) else -1.0
        more = float(np.searchsorted(alone, changed, "left") - np.searchsorted(alone, threshold, "left"))
        moves[g] = rate - (total - missed[g] + more) / left
    return moves

"""Two sets of images, references and probes: how alike are those that belong together, how alike are strangers, and who is nearest.

Known in papers as CSIM, identity similarity or IDS (the mean), and as ID retrieval (the share of probes whose nearest reference shows their own
person). Similarity is the dot product of unit embeddings. Intervals leave people out (:mod:`.jackknife`), as probes and as references.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.compare import jackknife, rates
from frontalbench.compare.jackknife import Estimate, LeftOut
from frontalbench.compare.scores import MASKED, TIE, ImpostorSink
from frontalbench.types import Bool, Float, Float32, Int

_BLOCK = 1024


@dataclass(frozen=True)
class Faces:
    """Embeddings ``vectors`` float32 (n, D) of length 1 and the code of the person (n,) in each, counted from 0 in all sets alike."""

    vectors: Float32
    person: Int

    def __len__(self) -> int:
        return len(self.person)


@dataclass(frozen=True)
class Scores:
    """Per probe (n,): ``own`` the mean similarity to the references that it belongs to and their number ``n_own`` (NaN, 0: none); ``strangers`` the
    mean similarity to everybody else's references, ``n_strangers``; ``nearest`` the place of the most similar reference (-1: there are none);
    ``found`` whether the nearest shows the probe's person (ties count against it; meaningless where ``asked`` is False: no reference of that
    person, or no stranger's).

    ``pair``, ``other`` (k,): probe and reference of each pair that belongs together; ``score`` (k,) its similarity. ``moved`` (people,): sum and
    number of the strangers' pairs in which a person is the reference, so that people can be left out on that side too.
    """

    own: Float
    n_own: Int
    strangers: Float
    n_strangers: Int
    nearest: Int
    found: Bool
    asked: Bool
    pair: Int
    other: Int
    score: Float
    person: Int
    moved: Float


def compare(references: Faces, probes: Faces, pair: Int, other: Int, people: int) -> Scores:
    """Scores of ``probes`` against ``references``; ``pair`` and ``other`` (k,) are the places of the probe and reference of every pair that belongs
    together (both of one person), ``people`` the number of person codes."""
    n = len(probes)
    wide = probes.vectors.astype(np.float64)
    score = np.einsum("ij,ij->i", wide[pair], references.vectors[other].astype(np.float64)) if len(pair) else np.zeros(0)
    n_own = np.bincount(pair, minlength=n).astype(np.int64)
    with np.errstate(invalid="ignore", divide="ignore"):
        own = np.bincount(pair, score, minlength=n) / n_own
    by_reference, n_reference = _sums(references, people)
    by_probe, n_probe = _sums(probes, people)
    number = len(references) - n_reference[probes.person]
    total = np.einsum("ij,ij->i", wide, by_reference.sum(axis=0) - by_reference[probes.person]) if n else np.zeros(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        strangers = np.where(number > 0, total / number, np.nan)
    moved = np.stack(
        [np.einsum("ij,ij->i", by_reference, by_probe.sum(axis=0) - by_probe), n_reference * (len(probes) - n_probe).astype(np.float64)],
        axis=1,
    )
    nearest, found = np.full(n, -1, np.int64), np.zeros(n, np.bool_)
    if len(references):
        for start in range(0, n, _BLOCK):
            part = slice(start, start + _BLOCK)
            block = probes.vectors[part] @ references.vectors.T
            nearest[part] = block.argmax(axis=1)
            same = probes.person[part, None] == references.person
            best = np.where(same, block, -np.inf).max(axis=1)
            found[part] = best > np.where(same, -np.inf, block).max(axis=1) + TIE
    asked = (n_reference[probes.person] > 0) & (number > 0)
    return Scores(own, n_own, strangers, number, nearest, found & asked, asked, pair, other, score, probes.person, moved)


def _sums(faces: Faces, people: int) -> tuple[Float, Int]:
    """(sums of the embeddings per person (people, D), images per person (people,))."""
    sums = np.zeros((people, faces.vectors.shape[1]))
    np.add.at(sums, faces.person, faces.vectors.astype(np.float64))
    return sums, np.bincount(faces.person, minlength=people).astype(np.int64)


def _by_person(code: Int, values: npt.NDArray[np.generic], people: int) -> tuple[Float, Float]:
    """(sums, numbers), each (people, 1), of ``values`` (n,)."""
    sums = np.bincount(code, np.asarray(values, np.float64), minlength=people).astype(np.float64)
    return sums[:, None], np.bincount(code, minlength=people).astype(np.float64)[:, None]


def _present(*arrays: Float) -> Bool:
    """(people,): who brings anything."""
    some: Bool = np.any([array.reshape(len(array), -1).any(axis=1) for array in arrays], axis=0)
    return some


def _mean(scores: Scores, people: int) -> LeftOut:
    """Mean over probes of ``own``, without each person."""
    some = scores.n_own > 0
    value, without, share = jackknife.mean_left_out(*_by_person(scores.person[some], scores.own[some], people))
    return LeftOut(float(value[0]), np.where(np.isfinite(without[:, 0]), without[:, 0], math.nan), share[:, 0])


def _strangers_mean(scores: Scores, people: int) -> LeftOut:
    """Mean over pairs of strangers, without each person on either side."""
    some = scores.n_strangers > 0
    code, number = scores.person[some], scores.n_strangers[some].astype(np.float64)
    as_probe = np.bincount(code, scores.strangers[some] * number, minlength=people)
    n_probe = np.bincount(code, number, minlength=people)
    total, count = float(as_probe.sum()), float(n_probe.sum())
    with np.errstate(invalid="ignore", divide="ignore"):
        without = (total - as_probe - scores.moved[:, 0]) / (count - n_probe - scores.moved[:, 1])
        value = total / count if count else math.nan
    return LeftOut(value, without, jackknife.shares((n_probe + scores.moved[:, 1])[:, None])[:, 0])


def _kept(value: LeftOut, present: Bool) -> LeftOut:
    return LeftOut(value.value, value.without[present], value.share[present])


@dataclass(frozen=True)
class Summary:
    """What two sets say together. ``mean``: of the probes' similarity to their own references; ``strangers``: of all pairs of strangers; ``above``:
    mean minus strangers; ``passed``: share of the pairs that belong together at or above the threshold (NaN without one); ``retrieved``: share of
    the probes whose nearest reference is of their person; counts of probes, pairs and people behind the mean."""

    mean: Estimate
    strangers: Estimate
    above: Estimate
    passed: Estimate
    retrieved: Estimate
    n_probes: int
    n_pairs: int
    n_people: int


def summarize(scores: Scores, people: int, threshold: float = math.nan) -> Summary:
    """The summary of :func:`compare`'s scores. A pair is accepted when its score is at least ``threshold``."""
    mean, strangers = _mean(scores, people), _strangers_mean(scores, people)
    present = _present(mean.share, strangers.share)
    own = mean.share > 0
    passed = Estimate(math.nan, math.nan, math.nan)
    if math.isfinite(threshold):
        passed = _rate(scores.person[scores.pair], scores.score >= threshold, people)
    some = scores.n_own > 0
    return Summary(
        _kept(mean, own).estimate(),
        _kept(strangers, strangers.share > 0).estimate(),
        (_kept(mean, present) - _kept(strangers, present)).estimate(),
        passed,
        _rate(scores.person[scores.asked], scores.found[scores.asked], people),
        int(some.sum()),
        len(scores.pair),
        int(own.sum()),
    )


def _rate(code: Int, hit: Bool, people: int) -> Estimate:
    hits, numbers = _by_person(code, hit, people)
    some = numbers[:, 0] > 0
    if not some.any():
        return Estimate(math.nan, math.nan, math.nan)
    low, high = jackknife.rate_intervals(hits[some], numbers[some])
    return Estimate(float(hits.sum() / numbers.sum()), float(low[0]), float(high[0]))


@dataclass(frozen=True)
class Threshold:
    """A threshold among strangers of one set: ``value`` (NaN: not supported), the false match rate ``fmr`` that it has there, the number of ``pairs``
    of images and of different people behind it, and how many of the latter ``target`` needs."""

    value: float
    fmr: float
    pairs: int
    pairs_of_people: int
    needed: int


def threshold_among(faces: Faces, target: float) -> Threshold:
    """The threshold at false match rate ``target`` over all pairs of different people of one set, each pair once.

    Not supported (NaN) below :data:`~frontalbench.compare.rates.MIN_FALSE_MATCHES` false matches' worth of pairs of people.
    """
    order = np.argsort(faces.person, kind="stable")
    vectors, person = faces.vectors[order], faces.person[order]
    sink = ImpostorSink()
    for start in range(0, len(person), _BLOCK):
        stop = min(start + _BLOCK, len(person))
        block = vectors[start:stop] @ vectors[start:].T
        # sorted by person: an image meets everybody after the last of its own person
        block[person[start:] <= person[start:stop, None]] = MASKED
        sink.add(np.ascontiguousarray(block))
    impostors = sink.result()
    several = len(np.unique(person))
    pairs_of_people = several * (several - 1) // 2
    needed = math.ceil(rates.MIN_FALSE_MATCHES / target - 1e-9)
    point = rates.operating_point(impostors, target)
    if pairs_of_people < needed:
        return Threshold(math.nan, math.nan, impostors.n, pairs_of_people, needed)
    return Threshold(point.threshold, point.fmr, impostors.n, pairs_of_people, needed)

"""Two sets of faces: every number against the plainest loop over pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from frontalbench.compare import two_sets
from frontalbench.compare.two_sets import Faces

PEOPLE = 9


def faces(rng: np.random.Generator, centres: np.ndarray, person: list[int], spread: float) -> Faces:
    vectors = centres[person] + spread * rng.normal(size=(len(person), centres.shape[1]))
    return Faces((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), np.array(person, np.int64))


@pytest.fixture
def sets() -> tuple[Faces, Faces, np.ndarray, np.ndarray]:
    """References (some people twice, person 8 never) and probes (some people often, person 7 never), all pairs of one person."""
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(PEOPLE, 12))
    references = faces(rng, centres, [0, 0, 1, 2, 3, 4, 5, 5, 5, 6, 7], 0.7)
    probes = faces(rng, centres, [0, 1, 1, 2, 2, 2, 3, 4, 5, 6, 6, 8], 0.7)
    pairs = [(i, j) for i, a in enumerate(probes.person) for j, b in enumerate(references.person) if a == b]
    return references, probes, *np.array(pairs).T


def by_hand(references: Faces, probes: Faces, without: int = -1) -> tuple[float, float]:
    """(mean over probes of the mean over own references, mean over all pairs of strangers), a person left out of both sides."""
    own, strangers = [], []
    for a, v in zip(probes.person, probes.vectors.astype(np.float64), strict=True):
        mine = []
        for b, w in zip(references.person, references.vectors.astype(np.float64), strict=True):
            if without in (a, b):
                continue
            (mine if a == b else strangers).append(float(v @ w))
        own += [float(np.mean(mine))] if mine else []
    return float(np.mean(own)), float(np.mean(strangers))


def test_means_are_those_of_a_loop_over_all_pairs(sets: tuple[Faces, Faces, np.ndarray, np.ndarray]) -> None:
    references, probes, pair, other = sets
    found = two_sets.summarize(two_sets.compare(references, probes, pair, other, PEOPLE), PEOPLE)
    mean, strangers = by_hand(references, probes)
    assert found.mean.value == pytest.approx(mean, abs=1e-6)
    assert found.strangers.value == pytest.approx(strangers, abs=1e-6)
    assert found.above.value == pytest.approx(mean - strangers, abs=1e-6)
    assert (found.n_probes, found.n_pairs, found.n_people) == (11, 14, 7)
    assert math.isnan(found.passed.value)


def test_people_are_left_out_as_probes_and_as_references(sets: tuple[Faces, Faces, np.ndarray, np.ndarray]) -> None:
    references, probes, pair, other = sets
    scores = two_sets.compare(references, probes, pair, other, PEOPLE)
    strangers = two_sets._strangers_mean(scores, PEOPLE)
    assert strangers.without == pytest.approx([by_hand(references, probes, p)[1] for p in range(PEOPLE)], abs=1e-6)
    mean = two_sets._mean(scores, PEOPLE)
    assert mean.without == pytest.approx([by_hand(references, probes, p)[0] for p in range(PEOPLE)], abs=1e-6)


def test_with_one_image_of_everybody_the_interval_of_the_mean_is_students() -> None:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(20, 8))
    everybody = list(range(20))
    references, probes = faces(rng, centres, everybody, 0.3), faces(rng, centres, everybody, 0.3)
    at = np.arange(20)
    scores = two_sets.compare(references, probes, at, at, 20)
    found = two_sets.summarize(scores, 20).mean
    low, high = scipy_stats.t.interval(0.95, 19, scores.own.mean(), scipy_stats.sem(scores.own))
    assert found.low + found.high == pytest.approx(low + high, abs=1e-9)
    # a little wider, as people are not normal (jackknife.KURTOSIS)
    assert 1.0 <= (found.high - found.low) / (high - low) < 1.08


def test_the_nearest_reference_decides_retrieval_and_a_tie_counts_against_it(sets: tuple[Faces, Faces, np.ndarray, np.ndarray]) -> None:
    references, probes, pair, other = sets
    scores = two_sets.compare(references, probes, pair, other, PEOPLE)
    matrix = probes.vectors @ references.vectors.T
    assert (scores.nearest == matrix.argmax(axis=1)).all()
    right = references.person[matrix.argmax(axis=1)] == probes.person
    assert (scores.found == right).all() and not scores.asked[-1], "nobody can find a person who has no reference"
    assert two_sets.summarize(scores, PEOPLE).retrieved.value == pytest.approx(right[:-1].mean())
    twin = Faces(np.repeat(references.vectors[:1], 2, axis=0), np.array([0, 1]))
    tied = two_sets.compare(twin, Faces(probes.vectors[:1], np.array([0])), np.array([0]), np.array([0]), PEOPLE)
    assert not tied.found[0]


def test_the_share_at_or_above_the_threshold_is_counted_over_pairs(sets: tuple[Faces, Faces, np.ndarray, np.ndarray]) -> None:
    references, probes, pair, other = sets
    scores = two_sets.compare(references, probes, pair, other, PEOPLE)
    threshold = float(np.sort(scores.score)[5])
    assert two_sets.summarize(scores, PEOPLE, threshold).passed.value == pytest.approx(9 / 14)


def test_a_threshold_needs_enough_people_and_passes_no_more_strangers_than_asked() -> None:
    rng = np.random.default_rng(1)
    few = faces(rng, rng.normal(size=(24, 8)), [i // 2 for i in range(48)], 0.5)
    not_enough = two_sets.threshold_among(few, 1e-1)
    assert math.isnan(not_enough.value) and (not_enough.pairs_of_people, not_enough.needed) == (276, 300)
    many = faces(rng, rng.normal(size=(30, 8)), [i // 2 for i in range(60)] + list(range(30)), 0.5)
    found = two_sets.threshold_among(many, 1e-1)
    matrix = many.vectors @ many.vectors.T
    strangers = matrix[np.triu(many.person[:, None] != many.person, 1)]
    assert found.pairs == len(strangers) and found.pairs_of_people == 435
    assert (strangers >= found.value).mean() == pytest.approx(found.fmr) and 0.099 < found.fmr <= 0.1


def test_nobody_in_common_gives_nothing_and_no_error() -> None:
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(4, 8))
    nothing = np.zeros(0, np.int64)
    scores = two_sets.compare(faces(rng, centres, [0, 1], 0.1), faces(rng, centres, [2, 3], 0.1), nothing, nothing, 4)
    found = two_sets.summarize(scores, 4, 0.3)
    assert math.isnan(found.mean.value) and math.isnan(found.passed.value) and math.isnan(found.retrieved.value)
    assert found.n_probes == 0
    empty = two_sets.compare(Faces(np.zeros((0, 8), np.float32), nothing), faces(rng, centres, [2], 0.1), nothing, nothing, 4)
    assert empty.nearest.tolist() == [-1] and math.isnan(empty.strangers[0])

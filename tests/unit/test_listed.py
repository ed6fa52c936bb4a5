"""Error rates of listed pairs, the uncertainty of a threshold, open-set identification: against plain loops and scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from frontalbench.compare import listed, open_set, rates, scores, thresholds
from frontalbench.compare.listed import Listed
from frontalbench.compare.scores import PERSON_BINS
from frontalbench.compare.two_sets import Faces
from frontalbench.errors import BadInput


def crowd(seed: int, people: int, each: int, spread: float = 0.9, d: int = 16) -> Faces:
    rng = np.random.default_rng(seed)
    person = np.repeat(np.arange(people), each)
    vectors = rng.normal(size=(people, d))[person] + spread * rng.normal(size=(people * each, d))
    return Faces((vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), person.astype(np.int64))


def all_pairs(faces: Faces, people: int) -> Listed:
    i, j = np.triu_indices(len(faces), 1)
    score = np.einsum("ij,ij->i", faces.vectors[i].astype(np.float64), faces.vectors[j].astype(np.float64))
    return Listed(score, faces.person[i] == faces.person[j], faces.person[i], faces.person[j], people)


def test_rates_of_listed_pairs_are_points_of_the_roc() -> None:
    pairs = all_pairs(crowd(0, 80, 3), 80)
    fpr, tpr, cut = roc_curve(pairs.same, pairs.score, drop_intermediate=False)
    for row in listed.error_rates(pairs, [0.1, 0.01], resamples=200):
        at = int(np.searchsorted(fpr, row.target + 1e-12, "right")) - 1
        assert row.fmr == pytest.approx(fpr[at], abs=1e-9) and row.fnmr.value == pytest.approx(1 - tpr[at], abs=1e-9)
        assert cut[at + 1] < row.threshold <= cut[at] + 1e-6
        assert row.fnmr.low < row.fnmr.value < row.fnmr.high
        assert row.threshold_low < row.threshold < row.threshold_high
        assert row.supported


def test_what_n_does_not_support_is_said() -> None:
    rows = listed.error_rates(all_pairs(crowd(0, 10, 4), 10), [0.1, 0.01], resamples=100)
    assert [row.supported for row in rows] == [False, False] and math.isnan(rows[0].threshold_low), "45 pairs of people"


def test_one_kind_of_pairs_has_no_error_rates() -> None:
    pairs = all_pairs(crowd(0, 3, 1), 3)
    with pytest.raises(BadInput, match="0 pairs of one person and 3 of two have a score"):
        listed.error_rates(pairs)


def test_what_pairs_call_one_person_is_one() -> None:
    first, second, people = listed.people_of(["a", "b", "c", "a"], ["b", "x", "d", "c"], [True, True, True, False], "pairs.csv")
    assert people == 2 and first.tolist() == [first[0], first[0], first[2], first[0]] and second[3] == first[2]
    with pytest.raises(BadInput, match=r"pairs.csv: 'a' and 'x' are called two people, other pairs make them one \(1 such"):
        listed.people_of(["a", "b", "a"], ["b", "x", "x"], [True, True, False], "pairs.csv")


def test_a_draw_weighs_a_pair_by_both_people_and_takes_the_weighted_quantile() -> None:
    faces = crowd(3, 12, 2)
    pairs = all_pairs(faces, 12)
    impostors = listed.impostors_of(pairs)
    between = listed._between(pairs, 12)
    assert impostors.people is not None
    targets, whose = [0.05, 0.3, 0.01, 1.0], impostors.people.tail.astype(np.int64)
    drawn = thresholds.draws(impostors.tail, whose, between, targets, n=impostors.n, resamples=30, seed=4)
    from frontalbench.compare import bootstrap

    counts = bootstrap.draw_counts(12, 30, 4)
    other = ~pairs.same
    for k in range(30):
        weight = (counts[k][pairs.first] * counts[k][pairs.second])[other]
        score = pairs.score[other].astype(np.float32)
        order = np.argsort(-score, kind="stable")
        passed = np.cumsum(weight[order])
        for target, found in zip(targets[:3], drawn[k], strict=False):
            at = int(np.argmax(passed > target * weight.sum() + 1e-9))
            assert found == pytest.approx(score[order][at] + scores.TIE, abs=1e-6)
        assert drawn[k][3] == -1.0, "all pairs are at hand, and all are allowed"


def test_thresholds_asked_together_are_those_asked_one_by_one() -> None:
    pairs = all_pairs(crowd(3, 30, 2), 30)
    impostors = listed.impostors_of(pairs)
    targets = [0.1, 0.03, 0.01]
    values = [rates.operating_point(impostors, target).threshold for target in targets]
    together = thresholds.of_impostors(impostors, [*values, float("nan")], [*targets, 0.5], resamples=60)
    assert math.isnan(together.pop().low)
    assert together == [thresholds.of_impostors(impostors, [v], [t], resamples=60)[0] for v, t in zip(values, targets, strict=True)]
    assert all(band.low < band.value < band.high for band in together)


def test_the_interval_of_a_threshold_holds_the_threshold_of_the_population() -> None:
    """Everybody of a large population gives the true threshold; samples of 60 people hold it about as often as they say."""
    target = 0.02
    crowd_of_all = crowd(100, 1500, 1)
    i, j = np.triu_indices(1500, 1)
    truth = float(np.quantile(np.einsum("ij,ij->i", crowd_of_all.vectors[i], crowd_of_all.vectors[j]), 1 - target))
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(80):
        some = rng.choice(1500, 60, replace=False)
        sample = Faces(crowd_of_all.vectors[some], np.arange(60))
        pairs = all_pairs(sample, 60)
        impostors = listed.impostors_of(pairs)
        point = rates.operating_point(impostors, target)
        (band,) = thresholds.of_impostors(impostors, [point.threshold], [target], resamples=300)
        held += band.low <= truth <= band.high
    assert 70 <= held <= 80


def test_a_cell_s_distribution_gives_the_band_that_the_pairs_give() -> None:
    pairs = all_pairs(crowd(7, 80, 2), 80)
    impostors = listed.impostors_of(pairs)
    (row,) = listed.error_rates(pairs, [0.01], resamples=500)
    (band,) = thresholds.of_impostors(impostors, [row.threshold], [0.01], resamples=500)
    assert (band.low, band.high) == pytest.approx((row.threshold_low, row.threshold_high), abs=2e-3)


# Open set -------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def setup() -> tuple[Faces, Faces, np.ndarray]:
    everybody = crowd(11, 40, 5, spread=1.0)
    first = np.arange(200) % 5 == 0
    references = Faces(everybody.vectors[first], everybody.person[first])
    probes = Faces(everybody.vectors[~first], everybody.person[~first])
    return references, probes, open_set.galleries(np.arange(40), 40, draws=6, seed=1)


def by_hand(references: Faces, probes: Faces, enrolled: np.ndarray, target: float, without: int = -1) -> tuple[int, int, float]:
    """(missed, mated, FPIR) of one draw, probes of one person left out."""
    own, away, wrong = [], [], []
    for person, vector in zip(probes.person.tolist(), probes.vectors, strict=True):
        if person == without:
            continue
        scores = {p: float(v @ vector) for p, v in zip(references.person.tolist(), references.vectors, strict=True) if enrolled[p]}
        if enrolled[person]:
            own.append(scores[person])
            wrong.append(max(s for p, s in scores.items() if p != person) >= scores[person] - 1e-6)
        else:
            away.append(max(scores.values()))
    ordered = sorted(away, reverse=True)
    threshold = ordered[math.floor(len(away) * target + 1e-9)] + 1e-6
    missed = sum(s < threshold or w for s, w in zip(own, wrong, strict=True))
    return missed, len(own), float(np.mean(np.array(away) >= threshold))


@pytest.mark.parametrize("target", [0.1, 0.01])
def test_fnir_at_fpir_is_that_of_a_loop_over_probes_and_draws(setup: tuple[Faces, Faces, np.ndarray], target: float) -> None:
    references, probes, enrolled = setup
    found = open_set.rates(open_set.search(references, probes, enrolled), [target])[0]
    each = [by_hand(references, probes, row, target) for row in enrolled]
    assert found.fnir.value == pytest.approx(sum(m for m, _, _ in each) / sum(n for _, n, _ in each), abs=1e-9)
    assert found.fpir == pytest.approx(np.mean([f for _, _, f in each]), abs=1e-9) and found.fpir <= target
    assert (found.n_mated, found.n_nonmated, found.gallery) == (80, 80, 20)
    assert found.fnir.low < found.fnir.value < found.fnir.high and not found.supported


def test_leaving_a_person_out_moves_the_threshold_too(setup: tuple[Faces, Faces, np.ndarray]) -> None:
    references, probes, enrolled = setup
    found = open_set.search(references, probes, enrolled[:1])
    away = found.best[0][~found.mated[0]].astype(np.float64)
    threshold = open_set.threshold_at(away, 0.1)
    missed = np.bincount(found.person[open_set._missed(found, 0, threshold)], minlength=40).astype(float)
    numbers = np.bincount(found.person[found.mated[0]], minlength=40).astype(float)
    moves = open_set._moves(found, 0, found.person, 40, 0.1, threshold, away, missed, numbers)
    whole = missed.sum() / numbers.sum()
    for person in range(40):
        m, n, _ = by_hand(references, probes, enrolled[0], 0.1, person)
        assert whole - moves[person] == pytest.approx(m / n, abs=1e-9)


def test_a_probe_without_a_face_is_missed_and_raises_no_alarm(setup: tuple[Faces, Faces, np.ndarray]) -> None:
    references, probes, enrolled = setup
    usable = np.ones(len(probes), np.bool_)
    usable[::7] = False
    found = open_set.search(references, probes, enrolled, usable)
    assert all(open_set._missed(found, k, -1.0)[found.mated[k] & ~usable].all() for k in range(len(enrolled)))
    worse = open_set.rates(found, [0.1])[0].fnir.value
    assert worse > open_set.rates(open_set.search(references, probes, enrolled), [0.1])[0].fnir.value


def test_galleries_are_halves_drawn_anew_and_the_same_for_the_same_seed() -> None:
    with_reference = np.array([1, 3, 4, 6, 7, 9, 11])
    drawn = open_set.galleries(with_reference, 12, draws=30, seed=2)
    assert (drawn.sum(axis=1) == 4).all() and not drawn[:, [0, 2, 5]].any() and len(np.unique(drawn, axis=0)) > 10
    assert (drawn == open_set.galleries(with_reference, 12, draws=30, seed=2)).all()


def test_a_gallery_of_everybody_leaves_nothing_to_say() -> None:
    faces = crowd(0, 4, 2)
    everybody = np.ones((1, 4), np.bool_)
    (row,) = open_set.rates(open_set.search(faces, faces, everybody), [0.1])
    assert math.isnan(row.fnir.value) and not row.supported


def test_every_pair_of_two_people_counts_once_for_each_of_the_two_and_lies_in_the_bin_of_its_score() -> None:
    score = np.array([-1.0, 0.25, 1.0, 0.5, -0.999])
    pairs = Listed(score, np.array([False, False, False, True, False]), np.array([0, 0, 1, 2, 2]), np.array([1, 2, 2, 2, 2]), 3)
    found = listed.impostors_of(pairs)
    assert found.n == 4 and found.counts[[0, 4, -1]].tolist() == [1, 1, 1]
    whose = found.people
    assert whose is not None and whose.groups == 3
    bins = np.linspace(-1.0, 1.0, PERSON_BINS + 1)
    by_hand = np.zeros((3, PERSON_BINS), np.int64)
    for value, one, other, same in zip(pairs.score, pairs.first, pairs.second, pairs.same, strict=True):
        place = min(int(np.searchsorted(bins, value, "right")) - 1, PERSON_BINS - 1)
        for person in {int(one), int(other)} if not same else set():
            by_hand[person, place] += 1
    assert np.array_equal(whose.counts, by_hand)
    assert found.tail.tolist() == pytest.approx([1.0, 0.25, -0.999, -1.0])
    assert whose.tail.tolist() == [[1, 2], [0, 2], [2, 2], [0, 1]] and whose.pairs == 4


@pytest.mark.parametrize("seed", range(6))
def test_a_tail_that_is_cut_again_and_again_is_that_of_all_scores_with_whose_they_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = [rng.uniform(-1, 1, (6, 7)).astype(np.float32) for _ in range(9)]
    rows, columns = np.arange(6) % 4, np.arange(7) % 4
    sink = scores.ImpostorSink(keep=5)
    for block in blocks:
        sink.add(block, row_group=rows, column_group=columns)
        sink.add_people(block, rows, columns, 4)
    found = sink.result(12)
    every = np.stack(blocks)
    highest = np.argsort(-every.reshape(-1))[:5]
    _, row, column = np.unravel_index(highest, every.shape)
    assert found.tail.tolist() == every.reshape(-1)[highest].tolist() and found.n == every.size
    assert found.people is not None and found.people.tail.tolist() == np.stack([rows[row], columns[column]], axis=1).tolist()


def test_of_equal_scores_that_of_the_same_two_people_is_taken_out() -> None:
    nothing = np.zeros((2, PERSON_BINS), np.int64)

    def of(tail: list[float], whose: list[list[int]]) -> scores.Impostors:
        counts = np.zeros(scores.BINS, np.int64)
        counts[-1] = len(tail)
        return scores.Impostors(counts, np.array(tail, np.float32), scores.People(nothing, np.array(whose, np.int16), 2))

    whole = of([0.9, 0.9, 0.9, 0.8], [[0, 1], [1, 0], [1, 1], [0, 0]])
    for person, left in (([1, 0], [[0, 1], [1, 1], [0, 0]]), ([0, 1], [[1, 0], [1, 1], [0, 0]]), ([1, 1], [[0, 1], [1, 0], [0, 0]])):
        rest = whole.without(of([0.9], [person]))
        assert rest.people is not None and rest.people.tail.tolist() == left and rest.n == 3

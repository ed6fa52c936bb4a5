"""Leaving people out: against brute force, against known distributions, and where nothing may be said."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as reference

from frontalbench import tables
from frontalbench.compare import curves, jackknife, rates, separation
from frontalbench.compare.groups import summarize_cell
from frontalbench.compare.jackknife import LeftOut
from frontalbench.compare.rows import Rows, YawBins, read_rows
from frontalbench.compare.scores import Impostors, from_table
from frontalbench.compare.subjects import PersonMeans

from .test_compare_cell import World, crowd, unit


def degrees_of(people: int, moves: np.ndarray | None = None, kurtosis: float = jackknife.KURTOSIS) -> float:
    """Degrees of freedom of equal people, whose values have the excess kurtosis that people are taken to have, or that their ``moves`` show."""
    shown = -3.0 if moves is None else people * (moves**4).sum() / (moves**2).sum() ** 2 - 3.0
    return 2 / (2 / (people - 1) + max(kurtosis, shown) / people)


def test_equal_people_give_the_t_interval_of_their_means() -> None:
    values = np.random.default_rng(0).normal(size=12)
    low, high = jackknife.mean_intervals(3 * values[:, None], np.full((12, 1), 3.0))
    error = values.std(ddof=1) / math.sqrt(12)
    assert reference.kurtosis(values) < jackknife.KURTOSIS
    half = reference.t.ppf(0.975, degrees_of(12)) * error
    assert (low[0], high[0]) == pytest.approx((values.mean() - half, values.mean() + half))
    left_out = LeftOut(values.mean(), (values.sum() - values) / 11, np.full(12, 1 / 12))
    assert left_out.p_value() == pytest.approx(2 * reference.t.sf(abs(values.mean()) / error, degrees_of(12)))


def test_the_degrees_of_freedom_are_those_of_a_variance_of_people_with_that_kurtosis() -> None:
    rng = np.random.default_rng(0)
    b = 3.0  # mixture of two normals with the excess kurtosis KURTOSIS
    share = jackknife.KURTOSIS / 3 / ((b - 1) ** 2)  # of the wide ones, to first order
    wide = rng.random((200_000, 20)) < share
    values = rng.normal(size=wide.shape) * np.where(wide, math.sqrt(b), 1.0)
    kurtosis = float(reference.kurtosis(values, axis=None))
    spread = values.var(axis=1, ddof=1)
    degrees = 2 * spread.mean() ** 2 / spread.var()
    assert degrees == pytest.approx(2 / (2 / 19 + kurtosis / 20), rel=0.03)
    assert float(jackknife.of_people(np.array([19.0]), np.full((20, 1), 1 / 20))[0]) == pytest.approx(degrees_of(20))


def test_a_tail_that_people_show_leaves_fewer_degrees_of_freedom() -> None:
    values = np.r_[np.random.default_rng(0).normal(size=19), 6.0]
    moves, share = ((values - values.mean()) / 19)[:, None], np.full((20, 1), 1 / 20)
    shown = float(reference.kurtosis(values))
    assert shown > 3
    assert float(jackknife.of_people(np.array([19.0]), share, moves)[0]) == pytest.approx(2 / (2 / 19 + shown / 20))
    low, high = jackknife.mean_intervals(values[:, None], np.ones((20, 1)))
    assert (high - low)[0] / 2 == pytest.approx(reference.t.ppf(0.975, degrees_of(20, moves)) * values.std(ddof=1) / math.sqrt(20))


@pytest.mark.parametrize("people", [12, 35])
def test_a_value_with_a_spread_in_it_is_put_right_by_its_bias_and_covered(people: int) -> None:
    """As d': a mean in standard deviations, of people of whom each is hard to match with a chance of .1."""
    rng = np.random.default_rng(people)

    def ratio(total: np.ndarray, squares: np.ndarray, n: int) -> np.ndarray:
        return total / n / np.sqrt(squares / n - (total / n) ** 2)

    truth = 0.97 / math.sqrt(0.1**2 + 0.09 * 0.3**2)
    covered, plain, off = [], [], []
    for _ in range(1500):
        x = rng.normal(np.where(rng.random(people) < 0.1, 0.7, 1.0), 0.1)
        value, without = ratio(x.sum(), (x**2).sum(), people), ratio(x.sum() - x, (x**2).sum() - x**2, people - 1)
        found = LeftOut.of_squares(float(value), without, np.full(people, 1 / people))
        estimate, uncorrected = found.estimate(), LeftOut(float(value), without, found.share).estimate()
        covered.append(estimate.low <= truth <= estimate.high)
        plain.append(uncorrected.low <= truth <= uncorrected.high)
        off.append((found.value - truth, found.value - found.bias - truth))
        assert (found.p_value() < 0.05) == (not estimate.low <= 0 <= estimate.high)
    assert 0.925 < np.mean(covered) < 0.98 and np.mean(plain) <= np.mean(covered)
    bias, left = np.mean(off, axis=0)
    assert abs(left) < 0.5 * abs(bias)


def test_the_difference_of_two_values_with_a_bias_has_the_difference_of_their_biases() -> None:
    rng = np.random.default_rng(0)
    share, without = np.full(8, 1 / 8), rng.normal(3.0, 0.1, (2, 8))
    a, b = (LeftOut.of_squares(3.1, row, share) for row in without)
    assert (a - b).bias == pytest.approx(a.bias - b.bias) and (a - b).kurtosis == jackknife.KURTOSIS_OF_SQUARES
    assert (a / 2.0).bias == pytest.approx(a.bias / 2)
    middle = a.estimate()
    assert (middle.low + middle.high) / 2 == pytest.approx(a.value - a.bias) and middle.value == 3.1


@pytest.mark.parametrize("share", [[1 / 7] * 7, [0.6, 0.1, 0.1, 0.1, 0.05, 0.05], [0.3, 0.3, 0.2, 0.1, 0.1]])
def test_degrees_of_freedom_are_those_of_the_quadratic_form(share: list[float]) -> None:
    w = np.array(share)
    moves = -np.outer(w, w) / (1 - w)[:, None]
    np.fill_diagonal(moves, w)
    form = moves.T @ moves
    degrees, factor = jackknife.freedom(w[:, None])
    assert degrees[0] == pytest.approx(np.trace(form) ** 2 / np.trace(form @ form))
    assert factor[0] == pytest.approx((w**2).sum() / np.trace(form))


@pytest.mark.parametrize("numbers", [[4] * 7, [30, 5, 5, 4, 3, 2, 1, 1], [60, 9, 9, 8, 8, 2]])
def test_people_whose_images_make_the_spread_have_the_degrees_of_freedom_of_that_spread(numbers: list[int]) -> None:
    n = np.array(numbers, dtype=np.float64)
    w, spread = n / n.sum(), 0.5 + 2.0 / n
    moves = -np.outer(w, w) / (1 - w)[:, None]
    np.fill_diagonal(moves, w)
    form = np.sqrt(spread)[:, None] * (moves.T @ moves) * np.sqrt(spread)
    degrees, factor = jackknife.freedom(w[:, None], spread[:, None])
    assert degrees[0] == pytest.approx(np.trace(form) ** 2 / np.trace(form @ form))
    assert factor[0] == pytest.approx((w**2 * spread).sum() / np.trace(form))
    assert degrees[0] >= jackknife.freedom(w[:, None])[0][0] - 1e-9, "people with many images bring less than their share"
    # what people show beyond their images is found again: the sum of squares is expected to be the trace
    expected = np.full(len(n), math.sqrt(np.trace(form) / len(n)))[:, None]
    assert jackknife.by_images(w[:, None], expected, (2.0 / n)[:, None])[:, 0] == pytest.approx(spread)


def test_the_noise_of_a_mean_is_the_spread_within_people_over_their_images() -> None:
    values, person = np.array([1.0, 3.0, 5.0, 5.0, 8.0, 2.0]), np.array([0, 0, 1, 1, 1, 2])
    sums, squares, numbers = (np.bincount(person, x)[:, None] for x in (values, values**2, np.ones(6)))
    assert jackknife.noise_of_means(sums, squares, numbers)[:, 0] == pytest.approx((2.0 + 6.0) / 3 / np.array([2.0, 3.0, 1.0]))
    assert not jackknife.noise_of_means(values[:, None], values[:, None] ** 2, np.ones((6, 1))).any(), "one image each shows none"


def test_unequal_numbers_of_images_of_people_who_are_alike_are_covered_and_known_better() -> None:
    """Where images make the spread, a person with five times as many has not five times the say in it."""
    rng = np.random.default_rng(3)
    numbers = np.repeat([25, 5], [6, 18])
    person = np.repeat(np.arange(24), numbers)
    covered, widths = [], []
    for _ in range(600):
        values = 0.05 * rng.normal(size=24)[person] + rng.normal(size=len(person))
        found = jackknife.mean_estimate(values, person, jackknife.KURTOSIS_OF_CHANGES)
        sums, many = (np.bincount(person, x)[:, None] for x in (values, np.ones(len(values))))
        (low,), (high,) = jackknife.mean_intervals(sums, many, kurtosis=jackknife.KURTOSIS_OF_CHANGES)
        covered.append(found.low <= 0.0 <= found.high)
        widths.append((found.high - found.low) / (high - low))
    assert 0.925 < np.mean(covered) < 0.975
    assert np.mean(widths) < 0.97


def test_few_people_and_one_who_brings_most_images_have_no_interval() -> None:
    rng = np.random.default_rng(1)
    for numbers, printed in ((np.full(5, 9.0), False), (np.full(6, 9.0), True), (np.r_[180.0, np.full(30, 4.0)], False)):
        sums = numbers * rng.normal(size=len(numbers))
        low, high = jackknife.mean_intervals(sums[:, None], numbers[:, None])
        rate_low, _ = jackknife.rate_intervals(np.round(numbers / 2)[:, None], numbers[:, None])
        assert math.isfinite(low[0]) == math.isfinite(high[0]) == math.isfinite(rate_low[0]) == printed
    assert np.isnan(jackknife.mean_intervals(np.zeros((0, 2)), np.zeros((0, 2)))[0]).all()


def test_rates_of_nought_and_one_have_exact_ends_over_people() -> None:
    numbers = np.full((10, 1), 50.0)
    low, high = jackknife.rate_intervals(numbers, numbers)
    assert (low[0], high[0]) == pytest.approx((reference.binomtest(10, 10).proportion_ci().low, 1.0))
    low, high = jackknife.rate_intervals(0 * numbers, numbers)
    assert (low[0], high[0]) == pytest.approx((0.0, reference.binomtest(0, 10).proportion_ci().high))


def test_a_rate_just_below_one_is_not_known_better_than_one() -> None:
    numbers = np.full((10, 1), 100.0)
    hits = numbers.copy()
    hits[0] = 98.0
    (low,), (high,) = jackknife.rate_intervals(hits, numbers)
    (all_of_them,), _ = jackknife.rate_intervals(numbers, numbers)
    assert low <= all_of_them < 0.998 < high < 1.0
    (low_missed,), (high_missed,) = jackknife.rate_intervals(numbers - hits, numbers)
    assert (low_missed, high_missed) == pytest.approx((1 - high, 1 - low)), "misses are the mirror of hits"


@pytest.mark.parametrize("people", [10, 35])
def test_rates_that_few_people_bring_are_covered(people: int) -> None:
    rng = np.random.default_rng(people)
    hard = rng.random((1500, people)) < 0.1
    hits = rng.binomial(20, np.where(hard, 0.4, 0.03)).astype(np.float64).T
    low, high = jackknife.rate_intervals(hits, np.full(hits.shape, 20.0))
    assert 0.9 < ((low <= 0.067) & (high >= 0.067)).mean() < 0.99


@pytest.mark.parametrize("people", [10, 35])
def test_rates_of_many_images_of_few_people_are_covered(people: int) -> None:
    """With a hundred images each, a sample without a person who is hard to match shows hardly any spread."""
    rng = np.random.default_rng(people)
    missing = np.where(rng.random((1500, people)) < 0.1, 0.15, 0.005) * rng.lognormal(-0.125, 0.5, (1500, people))
    hits = rng.binomial(100, 1.0 - missing).astype(np.float64).T
    truth = 1.0 - (0.1 * 0.15 + 0.9 * 0.005)
    low, high = jackknife.rate_intervals(hits, np.full(hits.shape, 100.0))
    assert 0.91 < ((low <= truth) & (high >= truth)).mean() < 0.998


def test_a_rate_has_the_exact_interval_of_as_many_independent_images_as_it_is_worth() -> None:
    """Korn and Graubard 1998: images of one person count less, by the spread over people, and by what few people leave unknown."""
    hits = np.array([20.0, 18.0, 19.0, 20.0, 12.0, 20.0, 16.0, 20.0, 19.0, 20.0, 17.0, 20.0])
    rate, n = hits.sum() / 240, len(hits)
    error = (hits / 20).std(ddof=1) / math.sqrt(n)
    degrees = 2 / (2 / (n - 1) + jackknife.KURTOSIS_OF_RATES / n)
    worth = rate * (1 - rate) / error**2 * (reference.t.ppf(0.975, n - 1) / reference.t.ppf(0.975, degrees)) ** 2
    assert 12 < worth < 240
    low, high = jackknife.rate_intervals(hits[:, None], np.full((n, 1), 20.0))
    assert low[0] == pytest.approx(reference.beta.ppf(0.025, worth * rate, worth * (1 - rate) + 1))
    assert high[0] == pytest.approx(reference.beta.ppf(0.975, worth * rate + 1, worth * (1 - rate)))


def test_people_who_happen_to_be_alike_are_taken_to_differ_a_little() -> None:
    hits = np.full((10, 1), 99.0)
    (low,), (high,) = jackknife.rate_intervals(hits, np.full((10, 1), 100.0))
    worth = 1000 / (1 + 99 * jackknife.INTRACLASS)
    assert low <= reference.beta.ppf(0.025, worth * 0.99, worth * 0.01 + 1) < 0.99 < high, "not as sure as of a thousand people"
    (close,), _ = jackknife.rate_intervals(np.full((10, 1), 9.9), np.full((10, 1), 10.0))
    assert close < low, "fewer images tell less"


def test_moves_equal_comparing_again_without_a_person(tmp_path: Path) -> None:
    world = World(tmp_path / "all", crowd(7, 3, 4), seed=4)
    for variant in ("original", "fuse_max:turned.none", "turned.none"):
        full = {r["image_id"]: r for r in world.cell(variant).similarity.to_pylist()}
        for place in (0, 3):
            part = World(tmp_path / f"{variant[:4]}{place}", [r for r in world.rows if r["subject"] != f"s{place:02d}"])
            part.original, part.turned = world.original, world.turned
            for row in part.cell(variant).similarity.to_pylist():
                before = full[row["image_id"]]
                assert before["impostor"] + before["impostor_moves"][place] == pytest.approx(row["impostor"], abs=6e-5)  # half precision


def test_more_people_than_groups_are_left_out_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from frontalbench.compare import kernel

    monkeypatch.setattr(kernel, "GROUPS", 3)
    world = World(tmp_path / "all", crowd(7, 2, 3), seed=4)
    full = {r["image_id"]: r for r in world.cell().similarity.to_pylist()}
    gone = {f"s{i:02d}" for i in (1, 4)}  # the second of three groups
    part = World(tmp_path / "part", [r for r in world.rows if r["subject"] not in gone])
    part.original = world.original
    for row in part.cell().similarity.to_pylist():
        before = full[row["image_id"]]
        assert len(before["impostor_moves"]) == 3
        assert before["impostor"] + before["impostor_moves"][1] == pytest.approx(row["impostor"], abs=6e-5)  # half precision


def rows_of(world: World, variant: str, path: Path) -> Rows:
    tables.write(path, world.cell(variant).similarity)
    return read_rows(path)


def test_impostor_intervals_equal_a_jackknife_by_brute_force(tmp_path: Path) -> None:
    world = World(tmp_path / "all", crowd(8, 2, 3), seed=2)
    world.failed["turned.none"] = {"s03_p1": "no_face"}

    def means(of: World, folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
        frontal, angled = rows_of(of, "turned.none", folder / "t.parquet"), rows_of(of, "original", folder / "o.parquet")
        found = summarize_cell(frontal, angled, is_original=False, bins=YawBins())
        return {(r["group"], r["subset"]): r for r in found if r["yaw_axis"] == "all"}

    full = means(world, tmp_path)
    left: dict[tuple[str, str], list[float]] = {}
    for place in range(8):
        part = World(tmp_path / f"without{place}", [r for r in world.rows if r["subject"] != f"s{place:02d}"])
        part.original, part.turned, part.failed = world.original, world.turned, world.failed
        for key, row in means(part, part.folder).items():
            left.setdefault(key, []).append(row["mean"])
    for key, row in full.items():
        d = row["mean"] - np.array(left[key])
        variance = 7 / 8 * (d**2).sum()  # eight people of three images each, one image lost
        width = (row["ci_high"] - row["ci_low"]) / 2
        strangers = (
            "other" in key[0] or key[0] in ("impostor gain", "identity gain") or (key[1] == "penalised" and key[0] != "Angled vs GT")
        )
        low = variance / 2 if strangers else variance  # what pairs of people share is counted twice, and taken off once
        gain = key[0] in ("Net Gain", "identity gain")
        student = reference.t.ppf(0.975, degrees_of(8, d, jackknife.KURTOSIS_OF_CHANGES if gain else jackknife.KURTOSIS))
        assert student * math.sqrt(low) * 0.97 < width < student * math.sqrt(variance) * 1.03, key


@pytest.mark.parametrize(("of_pairs", "of_people"), [(1.0, 0.0), (1.0, 0.3), (0.05, 0.3)])
def test_what_belongs_to_pairs_of_people_is_counted_once(of_pairs: float, of_people: float) -> None:
    rng = np.random.default_rng(3)
    n, runs = 12, 500
    means, variances, uncorrected = [], [], []
    for _ in range(runs):
        score = of_pairs * rng.normal(size=(n, n)) + of_people * (rng.normal(size=n)[:, None] + rng.normal(size=n)[None, :])
        np.fill_diagonal(score, 0.0)
        image = score.sum(axis=1) / (n - 1)  # one image and one reference a person
        moves = (score.sum(axis=1, keepdims=True) - score) / (n - 2) - image[:, None]
        np.fill_diagonal(moves, 0.0)
        ones, left_out = np.ones(n), PersonMeans.of(image, np.arange(n), moves).left_out()
        value, without, share = jackknife.mean_left_out(image[:, None], ones[:, None], moves.sum(axis=0)[:, None])
        means.append(left_out.value)
        variances.append(left_out.spread()[0] ** 2)
        uncorrected.append(jackknife.spread(value, without, share)[0][0] ** 2)
    truth = np.var(means)
    assert 0.85 * truth < np.mean(variances) < 1.4 * truth
    assert np.mean(uncorrected) > (1.9 if of_people == 0 else 0.85) * truth


def test_dprime_without_a_person_equals_comparing_again(tmp_path: Path) -> None:
    from frontalbench.tabulate.verification import moments

    world = World(tmp_path / "all", crowd(8, 1, 4), seed=3)
    rows = rows_of(world, "original", tmp_path / "o.parquet")
    probe = rows.role == "probe"
    found = separation.dprime_left_out(moments(rows, probe, rows), rows.subject_code)
    for place in (1, 6):
        part = World(tmp_path / f"without{place}", [r for r in world.rows if r["subject"] != f"s{place:02d}"])
        part.original = world.original
        genuine, impostors = from_table(part.cell().scores)
        scores = [float(a @ b) for a, b in _strangers(part)]
        assert len(scores) == impostors.n
        assert found.without[place] == pytest.approx(separation.dprime(genuine.scores, scores), rel=2e-3)


def _strangers(world: World) -> list[tuple[np.ndarray, np.ndarray]]:
    probes = [r for r in world.rows if r["role"] == "probe"]
    references = [r for r in world.rows if r["role"] == "reference"]
    vector = world.original
    return [(vector[p["image_id"]], vector[r["image_id"]]) for p in probes for r in references if p["subject"] != r["subject"]]


def test_a_backbone_that_maps_everything_to_one_vector_comes_out_last(tmp_path: Path) -> None:
    world = World(tmp_path / "world", crowd(12, 2, 4))
    rng = np.random.default_rng(0)
    for seed in range(6):
        one = unit(np.random.default_rng(seed).normal(size=32))
        world.original = {name: unit(one + 1e-7 * rng.normal(size=32)) for name in world.original}
        result = world.cell()
        rows = [r for r in result.similarity.to_pylist() if r["role"] == "probe"]
        assert {r["rank"] for r in rows} == {12}
        genuine, impostors = from_table(result.scores)
        assert rates.eer(genuine.scores, impostors) == pytest.approx(0.5, abs=1e-6)
        assert rates.fnmr(genuine.scores, rates.operating_point(impostors, 0.1).threshold) == 1.0
        moments = separation.PairMoments(*(np.array([r[k] for r in rows], float) for k in _COLUMNS))
        value = separation.dprime_estimate(moments, [r["subject"] for r in rows]).value
        assert math.isnan(value) or abs(value) < 0.1


_COLUMNS = ("genuine", "genuine_sd", "n_references", "impostor", "impostor_sd", "n_impostors")


def test_frames_of_few_people_do_not_support_a_small_false_match_rate(tmp_path: Path) -> None:
    world = World(tmp_path, crowd(9, 4, 30))
    _, impostors = from_table(world.cell().scores)
    assert impostors.n == 9 * 30 * 8 * 4 and impostors.people is not None and impostors.people.pairs == 72
    assert not rates.operating_point(impostors, 1e-1).supported
    assert rates.operating_point(Impostors(impostors.counts, impostors.tail), 1e-1).supported


def test_every_pair_belongs_to_two_people_and_false_match_rates_without_one_are_counted(tmp_path: Path) -> None:
    world = World(tmp_path / "all", crowd(8, 2, 5), seed=5)
    _, impostors = from_table(world.cell().scores)
    assert impostors.people is not None and impostors.people.counts.sum() == 2 * impostors.n
    thresholds = np.array([0.0, 0.2, float(impostors.tail[20]) - 1e-4])
    fmr, without = rates._fmr_left_out(impostors, thresholds)
    part = World(tmp_path / "part", [r for r in world.rows if r["subject"] != "s02"])
    part.original = world.original
    _, fewer = from_table(part.cell().scores)
    for k, t in enumerate(thresholds):
        assert fmr[k] == pytest.approx((impostors.tail >= t).mean())
        assert without[2, k] == pytest.approx((fewer.tail >= t).mean(), abs=1e-9)
    # outside the exact tail: within what the coarser bins can tell
    _, short = from_table(world.cell(tail=30).scores)
    _, coarse = rates._fmr_left_out(short, thresholds[:2])
    assert np.abs(coarse - without[:, :2]).max() < 0.02


def test_taking_lost_probes_out_equals_comparing_only_the_common_ones(tmp_path: Path) -> None:
    world = World(tmp_path / "all", crowd(8, 2, 5), seed=6)
    world.failed["turned.none"] = {"s01_p0": "no_face", "s04_p2": "no_face"}
    world.failed["original"] = {"s05_p1": "no_face"}
    full, variant = world.cell("original"), world.cell("turned.none")
    roles = {role: from_table(variant.scores, role)[1] for role in ("probe", "lost", "gained")}
    assert roles["lost"].n == 2 * 14 and roles["gained"].n == 14
    common = [r for r in world.rows if r["image_id"] not in ("s01_p0", "s04_p2", "s05_p1")]
    part = World(tmp_path / "part", common)
    part.original, part.turned = world.original, world.turned
    for name, got in (
        ("original", from_table(full.scores)[1].without(roles["lost"])),
        ("turned.none", roles["probe"].without(roles["gained"])),
    ):
        _, expected = from_table(part.cell(name).scores)
        np.testing.assert_allclose(got.tail, expected.tail, atol=1e-6)
        assert got.people is not None and got.n == expected.n == len(got.people.tail)


def test_slopes_and_areas_without_a_person_equal_fitting_again() -> None:
    rng = np.random.default_rng(0)
    yaw, subject = rng.uniform(-80, 80, 90), np.arange(90) % 9
    value = 0.8 - 0.004 * np.abs(yaw) + 0.02 * rng.normal(size=90)
    grid = np.arange(0.0, 75.0, 5.0)
    slope, area = curves.slope_left_out(yaw, value, subject), curves.smooth(np.abs(yaw), value, subject, grid).area
    keep = subject != 4
    assert slope.without[4] == pytest.approx(curves.slope(yaw[keep], value[keep], subject[keep]).value)
    assert area.without[4] == pytest.approx(curves.smooth(np.abs(yaw[keep]), value[keep], subject[keep], grid).area.value)
    assert slope.share.sum() == pytest.approx(1.0) and area.share.sum() == pytest.approx(1.0)


def test_a_curve_of_values_with_strangers_in_them_leaves_references_out_too() -> None:
    rng = np.random.default_rng(2)
    yaw, person = rng.uniform(0, 80, 90), np.arange(90) % 9
    value, moves = 0.1 * rng.normal(size=90), 0.02 * rng.normal(size=(90, 9))
    moves[np.arange(90), person] = 0.0
    grid = np.arange(0.0, 75.0, 5.0)
    found = curves._Kernel.of(yaw, value, person, grid, curves.BANDWIDTH, 9, moves)
    keep = person != 4
    again = curves.smooth(yaw[keep], value[keep] + moves[keep, 4], person[keep], grid)
    np.testing.assert_allclose(found.fit(found.without)[4], again.mean)
    one_side = curves.smooth(yaw, value, person, grid, people=9)
    both = curves.smooth(yaw, value, person, grid, people=9, moves=moves)
    np.testing.assert_allclose(one_side.mean, both.mean)
    assert np.nanmax(np.abs(one_side.low - both.low)) > 1e-3

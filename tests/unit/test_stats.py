"""Statistics against independent implementations (scikit-learn, SciPy, closed forms) and against their own promises."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference
from sklearn.metrics import top_k_accuracy_score

from frontalbench.compare import bootstrap, curves, jackknife, rates, separation, significance
from frontalbench.compare.scores import BINS, Impostors


def two_sides(seed: int = 0, n: int = 2000, m: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return (
        np.clip(rng.normal(0.55, 0.15, n), -1, 1).astype(np.float32),
        np.clip(rng.normal(0.1, 0.12, m), -1, 1).astype(np.float32),
    )


def roc(genuine: np.ndarray, impostor: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.metrics import roc_curve

    fmr, tmr, _ = roc_curve(np.r_[np.ones(len(genuine)), np.zeros(len(impostor))], np.r_[genuine, impostor], drop_intermediate=False)
    return fmr, 1 - tmr


@pytest.mark.parametrize("tail", [40_000, 500])
@pytest.mark.parametrize("target", [1e-1, 1e-2, 1e-3])
def test_fnmr_at_a_false_match_rate_equals_the_roc_of_scikit_learn(target: float, tail: int) -> None:
    genuine, impostor = two_sides()
    fmr, misses = roc(genuine, impostor)
    expected = misses[fmr <= target + 1e-12].min()
    impostors = Impostors.of(impostor, tail=tail)
    point = rates.operating_point(impostors, target)
    got = rates.fnmr(genuine, point.threshold)
    if target * len(impostor) < tail:
        assert got == pytest.approx(expected, abs=1e-12)
    else:  # outside the exact tail: within one bin of threshold, and never on the generous side
        assert (
            expected - 1e-12 <= got <= expected + (np.abs(genuine[:, None] - np.quantile(impostor, 1 - target)) < 3.0 / BINS).mean() + 1e-3
        )
    assert (impostor >= np.float32(point.threshold)).mean() == pytest.approx(point.fmr, abs=1e-12)
    assert point.fmr <= target


def test_small_fmr_is_refused_where_too_few_pairs_support_it() -> None:
    _, impostor = two_sides(m=40_000)
    impostors = Impostors.of(impostor)
    assert not rates.operating_point(impostors, 1e-4).supported  # four false matches
    assert rates.operating_point(impostors, 1e-3).supported  # forty


def test_ties_at_the_threshold_do_not_exceed_the_fmr() -> None:
    impostor = np.r_[np.full(100, 0.5), np.full(900, 0.1)].astype(np.float32)
    point = rates.operating_point(Impostors.of(impostor), 0.05)
    assert point.fmr == 0.0 and point.threshold > 0.5


def test_eer_equals_the_crossing_of_the_roc() -> None:
    genuine, impostor = two_sides(3)
    fmr, misses = roc(genuine, impostor)
    k = np.argmin(np.abs(fmr - misses))
    assert rates.eer(genuine, Impostors.of(impostor)) == pytest.approx((fmr[k] + misses[k]) / 2, abs=2e-3)
    assert rates.eer([0.9, 0.8], Impostors.of([0.1, 0.2])) == pytest.approx(0.0, abs=1e-9)
    assert math.isnan(rates.eer([], Impostors.of([0.1])))


def test_dprime_of_two_normals_and_of_moments() -> None:
    genuine, impostor = two_sides(1, 100_000, 100_000)
    assert separation.dprime(genuine, impostor) == pytest.approx((0.55 - 0.1) / math.sqrt((0.15**2 + 0.12**2) / 2), rel=0.02)
    assert math.isnan(separation.dprime([0.5, 0.5], [0.5]))
    assert math.isnan(separation.dprime([], [0.5]))


def test_det_points_lie_on_the_roc_and_their_interval_encloses_them() -> None:
    genuine, impostor = two_sides()
    subject = np.arange(len(genuine)) % 40
    curve = rates.det(genuine, subject, Impostors.of(impostor), points=15)
    for threshold, fmr, miss, low, high in zip(curve.threshold, curve.fmr, curve.fnmr, curve.low, curve.high, strict=True):
        assert (impostor >= np.float32(threshold)).mean() == pytest.approx(fmr, abs=1e-12)
        assert (genuine < np.float32(threshold)).mean() == pytest.approx(miss, abs=1e-12)
        assert low - 1e-12 <= miss <= high + 1e-12
    assert curve.fmr.min() * len(impostor) >= rates.MIN_FALSE_MATCHES - 1
    assert (np.diff(curve.fnmr) >= 0).all()


def test_cmc_counts_ranks() -> None:
    found = rates.cmc_estimates([1, 1, 2, 7], ["a", "b", "b", "c"], 5)
    np.testing.assert_allclose([e.value for e in found], [0.5, 0.75, 0.75, 0.75, 0.75])
    assert all(math.isnan(e.low) and math.isnan(e.high) for e in found), "three people say nothing about people"
    many = rates.cmc_estimates([1, 1, 2, 7] * 4, [f"{i}{j}" for i in range(4) for j in "abbc"], 8)
    assert all(e.low < e.value < e.high for e in many[:6])
    assert many[7].value == many[7].high == 1.0 and 0.5 < many[7].low < 1.0, "nobody failed: exact ends over people, not [1, 1]"
    assert all(np.isnan(e.value) for e in rates.cmc_estimates([], [], 3))


def test_cmc_equals_the_top_k_accuracy_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    scores, truth = rng.normal(size=(300, 40)), rng.integers(0, 40, 300)
    scores[np.arange(300), truth] += 1.0
    ranks = 1 + (scores > scores[np.arange(300), truth][:, None]).sum(axis=1)
    found = rates.cmc_estimates(ranks, truth)
    for k in (1, 5, 20):
        assert found[k - 1].value == pytest.approx(top_k_accuracy_score(truth, scores, k=k, labels=np.arange(40)))


@pytest.mark.parametrize("n", [5, 9])
def test_sign_flip_equals_the_permutation_test_of_scipy(n: int) -> None:
    d = np.random.default_rng(n).normal(0.3, 1.0, n)
    expected = reference.permutation_test((d,), np.mean, permutation_type="samples", n_resamples=np.inf).pvalue
    assert significance.sign_flip_p(d) == pytest.approx(expected, abs=1e-12)


def test_random_sign_flips_agree_with_the_t_test_and_have_the_right_level() -> None:
    d = np.random.default_rng(0).normal(0.25, 1.0, 80)
    assert significance.sign_flip_p(d) == pytest.approx(reference.ttest_1samp(d, 0.0).pvalue, abs=0.01)
    rng = np.random.default_rng(1)
    rejected = np.mean([significance.sign_flip_p(rng.normal(size=20), flips=499, seed=i) <= 0.05 for i in range(300)])
    assert 0.02 <= rejected <= 0.085
    assert significance.sign_flip_p(np.zeros(30)) == 1.0
    assert math.isnan(significance.sign_flip_p([]))


def test_holm_equals_a_written_out_example_and_keeps_unknown_out() -> None:
    got = significance.holm([0.01, 0.04, math.nan, 0.03, 0.005])
    np.testing.assert_allclose(got, [0.03, 0.06, np.nan, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
@settings(max_examples=50, deadline=None)
def test_holm_is_between_the_raw_and_the_bonferroni_p(p: list[float]) -> None:
    adjusted = significance.holm(p)
    assert (adjusted >= np.array(p) - 1e-15).all() and (adjusted <= np.minimum(1.0, np.array(p) * len(p)) + 1e-12).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(adjusted[order]) >= 0).all()


def test_sign_test_and_share_and_effect_size() -> None:
    assert significance.sign_test_p(9, 1) == pytest.approx(2 * (1 + 10) / 2**10)
    assert math.isnan(significance.sign_test_p(0, 0))
    assert significance.share_gaining([0.2, -0.1, 0.0, np.nan]) == pytest.approx(1 / 3)
    d = np.array([0.1, 0.3, 0.2, 0.4])
    assert significance.cohen_dz(d) == pytest.approx(d.mean() / d.std(ddof=1))
    assert math.isnan(significance.cohen_dz([0.1]))


# --- bootstrap ------------------------------------------------------------------------------------------------------------------------------


def sums_of(values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([[v.sum()] for v in values]), np.array([[float(len(v))] for v in values])


def test_interval_over_persons_covers_the_truth_while_one_over_images_would_not() -> None:
    rng = np.random.default_rng(5)
    hit = naive_hit = 0
    trials = 200
    for _ in range(trials):
        people = [rng.normal(0.2, 0.1) + 0.05 * rng.normal(size=20) for _ in range(30)]
        low, high = jackknife.mean_intervals(*sums_of(people))
        hit += bool(low[0] <= 0.2 <= high[0])
        pooled = np.concatenate(people)
        margin = 1.96 * pooled.std() / math.sqrt(len(pooled))
        naive_hit += bool(abs(pooled.mean() - 0.2) <= margin)
    assert 0.89 <= hit / trials <= 0.985
    assert naive_hit / trials < 0.6


def test_one_person_gives_no_interval_and_empty_columns_stay_unknown() -> None:
    low, high = jackknife.mean_intervals(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[2.0, 0.0], [0.0, 0.0]]))
    assert np.isnan(low).all() and np.isnan(high).all()
    assert np.isnan(jackknife.mean_intervals(np.zeros((0, 2)), np.zeros((0, 2)))[0]).all()


def test_quantiles_equal_numpy() -> None:
    draws = np.random.default_rng(0).normal(size=(101, 4))
    draws[5, 1] = np.nan
    low, high = bootstrap.percentile_interval(draws)
    np.testing.assert_allclose(low, np.nanquantile(draws, 0.025, axis=0))
    np.testing.assert_allclose(high, np.nanquantile(draws, 0.975, axis=0))


def moments(genuine: list[np.ndarray], impostor: list[np.ndarray]) -> separation.PairMoments:
    """Without what each image's mean is without each person's references."""

    def three(parts: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return np.array([p.mean() for p in parts]), np.array([p.std() for p in parts]), np.array([float(len(p)) for p in parts])

    return separation.PairMoments(*three(genuine), *three(impostor))


def test_dprime_from_per_image_moments_equals_dprime_over_all_pairs() -> None:
    rng = np.random.default_rng(0)
    genuine = [rng.normal(0.5, 0.1, rng.integers(1, 5)) for _ in range(60)]
    impostor = [rng.normal(0.1, 0.1, 40) for _ in range(60)]
    subject = np.repeat([f"s{i}" for i in range(12)], 5)
    got = separation.dprime_estimate(moments(genuine, impostor), subject)
    assert got.value == pytest.approx(separation.dprime(np.concatenate(genuine), np.concatenate(impostor)))
    assert math.isnan(got.low), "where strangers' references cannot be left out, there is no interval"


def test_dprime_and_fnmr_changes_are_zero_against_themselves_and_find_a_real_change() -> None:
    rng = np.random.default_rng(1)
    n = 200
    subject = np.array([f"s{i // 10:02d}" for i in range(n)])
    before = moments([rng.normal(0.4, 0.1, 2) for _ in range(n)], [rng.normal(0.1, 0.1, 50) for _ in range(n)])
    assert separation.dprime_change(before, before, subject).value == 0.0
    after = moments([rng.normal(0.7, 0.1, 2) for _ in range(n)], [rng.normal(0.1, 0.1, 50) for _ in range(n)])
    assert separation.dprime_change(after, before, subject).value > 0
    low_scores, high_scores = rng.normal(0.4, 0.1, n), rng.normal(0.6, 0.1, n)
    change = rates.fnmr_change(high_scores, 0.45, subject, low_scores, 0.45, subject)
    assert change.value == pytest.approx((high_scores < 0.45).mean() - (low_scores < 0.45).mean())
    assert change.low < change.value < change.high < 0


def test_a_change_of_fnmr_that_hardly_anybody_brings_is_a_value_without_an_interval() -> None:
    """Nobody who changed does not mean that nobody ever would: [0, 0] would be a claim."""
    subject = np.repeat(np.arange(20), 10)
    scores = np.full(200, 0.6)
    for people, printed in ((0, False), (5, False), (6, True)):
        worse = scores.copy()
        worse[: 10 * people : 10] = 0.4
        change = rates.fnmr_change(worse, 0.5, subject, scores, 0.5, subject)
        assert change.value == pytest.approx(people / 200)
        assert math.isfinite(change.low) == math.isfinite(change.high) == printed


# --- curves ---------------------------------------------------------------------------------------------------------------------------------


def turned_heads(seed: int = 0, n_subjects: int = 25) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    yaw = rng.uniform(-80, 80, n_subjects * 30)
    subject = np.repeat(np.arange(n_subjects), 30)
    return yaw, 0.8 - 0.004 * np.abs(yaw) + rng.normal(0, 0.05, n_subjects)[subject] + rng.normal(0, 0.03, len(yaw)), subject


def test_slope_equals_least_squares_of_scipy() -> None:
    yaw, value, subject = turned_heads()
    got = curves.slope(yaw, value, subject)
    assert got.value == pytest.approx(10 * reference.linregress(np.abs(yaw), value).slope)
    assert got.low < -0.04 < got.high
    assert math.isnan(curves.slope([10.0, 10.0], [0.5, 0.6], [0, 1]).value)


def test_smooth_curve_follows_a_line_exactly_and_its_band_covers_the_truth() -> None:
    yaw = np.linspace(0, 80, 200)
    line = curves.smooth(yaw, 0.9 - 0.005 * yaw, np.arange(200) % 10, np.arange(0, 81, 10.0))
    np.testing.assert_allclose(line.mean, 0.9 - 0.005 * np.arange(0, 81, 10.0), atol=1e-9)
    assert line.area.value == pytest.approx(0.7)
    yaw, value, subject = turned_heads(3)
    grid = np.arange(-60, 61, 5.0)
    curve = curves.smooth(yaw, value, subject, grid)
    truth = 0.8 - 0.004 * np.abs(grid)
    away = np.abs(grid) > 12  # the kernel rounds the tip off
    assert ((curve.low <= truth) & (truth <= curve.high))[away].mean() > 0.8
    assert (curve.low <= curve.mean).all() and (curve.mean <= curve.high).all()


def test_smooth_curve_equals_weighted_least_squares_point_by_point() -> None:
    yaw, value, subject = turned_heads(1, 4)
    grid = np.array([-30.0, 5.0, 50.0])
    got = curves.smooth(yaw, value, subject, grid, bandwidth=10.0).mean
    for point, mean in zip(grid, got, strict=True):
        weight = np.exp(-0.5 * ((yaw - point) / 10.0) ** 2)
        expected = np.polyfit(yaw - point, value, 1, w=np.sqrt(weight))[1]
        assert mean == pytest.approx(expected)


def test_curve_without_data_is_unknown_not_zero() -> None:
    curve = curves.smooth([10.0] * 3, [0.5] * 3, [0, 1, 2], [10.0, 80.0])
    assert np.isnan(curve.mean).all()  # three images are too few
    empty = curves.smooth([np.nan], [0.5], [0], [10.0])
    assert np.isnan(empty.mean).all() and math.isnan(empty.area.value)


def test_exact_flips_try_every_sign() -> None:
    d = [0.1, 0.2, -0.05]
    totals = [abs(sum(s * x for s, x in zip(signs, d, strict=True))) for signs in itertools.product((1, -1), repeat=3)]
    assert significance.sign_flip_p(d) == pytest.approx(np.mean([t >= abs(sum(d)) - 1e-12 for t in totals]))

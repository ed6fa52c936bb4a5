"""Measures of a sequence, on sequences whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from frontalbench.sequences.overtime import over_time, residual_pose, template, unit, warp_error


def test_a_template_is_the_mean_direction_and_a_view_from_the_side_counts_less() -> None:
    a, b = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    np.testing.assert_allclose(template(np.stack([a, 3.0 * b])), [np.sqrt(0.5)] * 2)
    np.testing.assert_allclose(template(np.stack([a, b]), np.array([0.0, 90.0])), a, atol=1e-12)
    np.testing.assert_allclose(template(np.stack([a, [np.nan, np.nan]])), a)
    assert np.isfinite(template(np.stack([a, b]), np.array([90.0, 120.0]))).all()
    with pytest.raises(ValueError, match="no embedding"):
        template(np.full((2, 2), np.nan))


def test_identity_over_time_has_a_mean_a_worst_frame_and_a_spread() -> None:
    frames = np.array([[1.0, 0.0], [0.6, 0.8], [np.nan, np.nan], [1.0, 0.0]])
    found = over_time(frames, np.array([2.0, 0.0]))
    assert found.frames == 3
    assert (found.identity_mean, found.identity_worst) == (pytest.approx(2.6 / 3), pytest.approx(0.6))
    assert found.identity_spread == pytest.approx(np.std([1.0, 0.6, 1.0]))
    assert found.embedding_jitter == pytest.approx(0.4)  # the one pair of neighbours of which both have a face
    assert over_time(np.full((3, 2), np.nan), np.ones(2)).frames == 0


def test_a_still_clip_has_no_warp_error_and_a_moving_one_none_either_but_a_trembling_result_has() -> None:
    rng = np.random.default_rng(0)
    wide = np.kron(rng.integers(0, 255, (40, 60, 3)).astype(np.uint8), np.ones((4, 4, 1), np.uint8))
    before, now = wide[:, 4:-8], wide[:, 2:-10]
    assert warp_error(before, before, before, before) < 0.5
    moved = warp_error(before, now, before, now)
    flicker = np.clip(now.astype(int) + rng.integers(-40, 40, now.shape), 0, 255).astype(np.uint8)
    assert moved < 8 < warp_error(before, now, before, flicker)


def test_residual_pose_is_the_largest_angle_of_each_frame() -> None:
    mean, worst = residual_pose(np.array([3.0, -8.0, np.nan]), np.array([1.0, 0.0, 0.0]), np.array([-5.0, 0.0, 0.0]))
    assert (mean, worst) == (6.5, 8.0)
    assert np.isnan(residual_pose(np.array([np.nan]), np.zeros(1), np.zeros(1))[0])


def test_unit_leaves_a_zero_vector() -> None:
    np.testing.assert_array_equal(unit(np.zeros((1, 3))), np.zeros((1, 3)))

"""Steady tracks, on motions whose truth is known: less trembling, and no lag where something moves."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from frontalbench.sequences.smoothing import averaged, jitter, lag, one_euro, smooth_boxes, smooth_points

Array = npt.NDArray[np.float64]


def boxes_of(centre: Array, noise: float) -> Array:
    rng = np.random.default_rng(3)
    place = np.column_stack([centre, np.full_like(centre, 200.0)]) + noise * rng.standard_normal((len(centre), 2))
    return np.concatenate([place - 60.0, place + 60.0], axis=1)


def test_boxes_of_a_face_that_stands_still_tremble_far_less() -> None:
    raw = boxes_of(np.full(200, 150.0), 0.5)
    smooth = smooth_boxes(raw)
    assert jitter(smooth) < jitter(raw) / 5
    assert np.abs(smooth - boxes_of(np.full(200, 150.0), 0.0)).mean() < np.abs(raw - boxes_of(np.full(200, 150.0), 0.0)).mean() / 2


def test_boxes_of_a_face_that_moves_do_not_lag() -> None:
    path = 150.0 + 3.0 * np.arange(200.0)
    raw, truth = boxes_of(path, 0.5), boxes_of(path, 0.0)
    smooth = smooth_boxes(raw)
    assert lag(smooth[30:-30], truth[30:-30]) == 0
    np.testing.assert_allclose(smooth[30:-30].mean(axis=0), truth[30:-30].mean(axis=0), atol=0.3)


def test_a_filter_that_sees_the_past_alone_lags_when_it_averages_all_the_same() -> None:
    path = np.column_stack([np.sin(np.arange(100) / 8.0)] * 2)
    slow, _ = one_euro(path, min_cutoff=0.0004, beta=0.0)
    quick, _ = one_euro(path, min_cutoff=0.0004, beta=4.0)
    assert lag(slow, path) > lag(quick, path) >= 0


def test_a_mouth_that_talks_is_left_while_the_rest_is_made_steady() -> None:
    rng = np.random.default_rng(1)
    track = 0.5 + 0.001 * rng.standard_normal((60, 98, 2))
    mouth = [76, *range(82, 89), *range(92, 96)]
    path = 0.02 * np.arange(60.0)[:, None, None]
    track[:, mouth] += path
    smooth = smooth_points(track)
    still = list(range(33))
    assert jitter(smooth[:, still]) < jitter(track[:, still]) / 3
    np.testing.assert_allclose(smooth[2:-2, mouth], track[2:-2, mouth], atol=1e-9)


def test_points_in_no_part_are_left_as_they_are() -> None:
    track = np.random.default_rng(0).random((10, 4, 2))
    smooth = smooth_points(track, [(0, 1)])
    np.testing.assert_array_equal(smooth[:, 2:], track[:, 2:])


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_short_tracks_are_smoothed_too(length: int) -> None:
    track = np.tile(np.array([10.0, 10.0, 50.0, 60.0]), (length, 1))
    np.testing.assert_allclose(smooth_boxes(track), track)
    np.testing.assert_allclose(averaged(track, 5), track)


def test_lag_is_found_with_its_sign() -> None:
    truth = np.sin(np.arange(80) / 5.0)[:, None]
    assert lag(np.roll(truth, 3, axis=0)[5:-5], truth[5:-5]) == 3
    assert lag(np.roll(truth, -2, axis=0)[5:-5], truth[5:-5]) == -2


def test_steady_motion_does_not_tremble() -> None:
    assert jitter(np.arange(20.0)[:, None]) == 0.0
    assert np.isnan(jitter(np.zeros((2, 4))))

"""Images from gradients: closed forms of the solve, and what it minimises."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontalbench.enhance.blend import cloned, levelled
from frontalbench.geometry import gradients


def box(height: int, width: int, margin: int) -> np.ndarray:
    region = np.zeros((height, width), bool)
    region[margin:-margin, margin:-margin] = True
    return region


@given(st.integers(5, 24), st.integers(5, 24), st.floats(-80, 80), st.integers(0, 2**16))
@settings(max_examples=25, deadline=None)
def test_a_source_that_is_brighter_by_a_constant_gives_the_target_itself(height: int, width: int, shift: float, seed: int) -> None:
    target = np.random.default_rng(seed).uniform(0, 255, (height, width, 3))
    result = gradients.solve(target, gradients.steps(target + shift), box(height, width, 1))
    assert np.abs(result - target).max() < 1e-8


def test_without_gradients_a_plane_around_the_region_is_continued_into_it() -> None:
    y, x = np.mgrid[:20, :30].astype(float)
    plane = (3.0 * x - 2.0 * y + 10.0)[..., None]
    hole = plane.copy()
    region = box(20, 30, 3)
    hole[region] = 255.0
    still = tuple(np.zeros_like(one) for one in gradients.steps(plane))
    assert np.abs(gradients.solve(hole, (still[0], still[1]), region) - plane).max() < 1e-8  # planes are harmonic


def test_along_a_line_the_difference_at_the_ends_is_spread_evenly() -> None:
    """In one dimension the solution is the source plus a straight line between the differences at both ends."""
    source = np.array([[0.0, 5, 1, 7, 2, 9, 4]])[..., None]
    target = np.zeros_like(source)
    target[0, 0], target[0, -1] = 10.0, -8.0
    region = np.zeros((1, 7), bool)
    region[0, 1:-1] = True
    expected = source[0, :, 0] + np.linspace(10.0 - 0.0, -8.0 - 4.0, 7)
    assert np.allclose(gradients.solve(target, gradients.steps(source), region)[0, :, 0], expected)


def test_at_the_image_s_own_edge_nothing_is_asked() -> None:
    """With a border on one side only, the source is shifted as a whole."""
    source = np.array([[3.0, 1, 4, 1, 5]])[..., None]
    target = np.full_like(source, 20.0)
    region = np.array([[True, True, True, True, False]])
    assert np.allclose(gradients.solve(target, gradients.steps(source), region), source + 15.0)


@given(st.integers(0, 2**16))
@settings(max_examples=15, deadline=None)
def test_no_other_image_has_a_smaller_blending_loss(seed: int) -> None:
    random = np.random.default_rng(seed)
    source, target = random.uniform(0, 255, (2, 14, 17, 3))
    region = random.random((14, 17)) < 0.6
    region[0, 0] = False
    wanted = gradients.steps(source)
    best = gradients.solve(target, wanted, region)
    least = gradients.energy(best, wanted, region)
    for _ in range(5):
        other = best + region[..., None] * random.normal(0, 2, best.shape)
        assert gradients.energy(other, wanted, region) > least
    assert gradients.energy(np.where(region[..., None], source, target), wanted, region) >= least
    assert np.array_equal(best[~region], target[~region])


def test_the_loss_of_the_source_itself_is_zero_and_an_empty_region_changes_nothing() -> None:
    image = np.random.default_rng(1).uniform(0, 255, (9, 9, 3))
    assert gradients.energy(image, gradients.steps(image), box(9, 9, 2)) == 0.0
    none = np.zeros((9, 9), bool)
    assert gradients.energy(image, gradients.steps(image * 2), none) == 0.0
    assert np.array_equal(gradients.solve(image, gradients.steps(image * 2), none), image)


def test_a_region_without_anything_around_it_is_refused() -> None:
    image = np.zeros((4, 4, 1))
    with pytest.raises(ValueError, match="whole image"):
        gradients.solve(image, gradients.steps(image), np.ones((4, 4), bool))


# A face in its surroundings ------------------------------------------------------------------------------------------------------------------


def scene() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A smooth image, the same with a face pasted 30 grey levels too bright, the face that keeps its gradients, and the region with the band."""
    y, x = np.mgrid[:80, :70].astype(np.float32)
    smooth = np.stack([100 + 20 * np.sin(x / 9), 110 + 20 * np.cos(y / 11), 120 + 10 * np.sin((x + y) / 13)], axis=-1)
    away = np.hypot((x - 35) / 22, (y - 40) / 28)
    pasted = np.clip(smooth + 30.0 * (away < 0.9)[..., None], 0, 255).astype(np.uint8)
    return smooth, pasted, away < 0.8, away < 1.0


def test_a_face_that_was_pasted_too_bright_gets_the_level_of_its_surroundings() -> None:
    smooth, pasted, face, both = scene()
    result = levelled(pasted, face, both, step=8.0)
    assert np.abs(result - smooth).max() < 6
    assert np.abs(result - smooth).mean() < 1.5
    assert np.array_equal(result[~both], pasted[~both])


def test_the_own_solve_has_a_smaller_loss_than_opencv_s_clone_and_both_take_the_step_away() -> None:
    smooth, pasted, face, both = scene()
    still = tuple(np.zeros_like(one) for one in gradients.steps(pasted))
    filled = gradients.solve(pasted, (still[0], still[1]), both)
    wanted = gradients.steps(pasted)
    own, theirs = gradients.solve(filled, wanted, face), cloned(pasted, face, both)
    assert gradients.energy(own, wanted, face) <= gradients.energy(theirs, wanted, face) + 1e-6
    assert np.abs(own - theirs)[face].mean() < 3.0  # OpenCV leaves a rim of its mask out
    assert np.abs(theirs - smooth).mean() < 4.0
    assert np.abs(pasted - smooth)[face].mean() > 25.0


def test_a_solve_of_a_face_of_300_pixels_takes_less_than_five_seconds() -> None:
    import time

    random = np.random.default_rng(0)
    image = cv2.GaussianBlur(random.uniform(0, 255, (320, 300, 3)).astype(np.float32), (0, 0), 3)
    began = time.process_time()
    gradients.solve(image, gradients.steps(image), box(320, 300, 8))
    assert time.process_time() - began < 5.0

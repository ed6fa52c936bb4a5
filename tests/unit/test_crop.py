"""Head crops, the way back, and soft masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontalbench.geometry import crop, masks
from frontalbench.images import RGB


def smooth_image(height: int = 240, width: int = 320) -> RGB:
    noise = np.random.default_rng(0).random((height, width, 3))
    return np.asarray(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 6), None, 0, 255, cv2.NORM_MINMAX), np.uint8)


@given(x=st.floats(-50, 400), y=st.floats(-50, 300), size=st.floats(20, 400), roll=st.floats(-180, 180))
@settings(max_examples=20, deadline=None)
def test_points_go_into_the_crop_and_back(x: float, y: float, size: float, roll: float) -> None:
    cut = crop.square_crop(smooth_image(), (x, y), size, roll=roll)
    points = np.array([[10.0, 20.0], [300.0, 5.0], [x, y]])
    assert np.allclose(cut.to_photograph(cut.to_crop(points)), points, atol=1e-6)
    assert np.allclose(cut.to_crop([x, y]), (cut.side - 1) / 2), "the centre of the square is the middle of the crop"


def test_a_crop_of_whole_pixels_is_the_pixels_themselves() -> None:
    image = smooth_image()
    cut = crop.square_crop(image, (100.5, 80.5), 60)
    assert np.array_equal(cut.image, image[51:111, 71:131])


def test_roll_stands_a_tilted_head_upright() -> None:
    cut = crop.square_crop(smooth_image(), (160, 120), 100, roll=30)
    up = np.array([160 + 40 * np.sin(np.radians(30)), 120 - 40 * np.cos(np.radians(30))])  # the top of a head tilted 30 degrees clockwise
    middle, top = cut.to_crop([[160, 120], up])
    assert np.allclose(top - middle, [0, -40], atol=1e-9)


@pytest.mark.parametrize("angle", [-120, -30, 0, 15, 90])
@pytest.mark.parametrize("spread", [1.0, 0.05])
def test_the_tilt_of_a_face_is_found_even_when_the_eyes_coincide(angle: float, spread: float) -> None:
    face = np.array([[-30 * spread, -20], [30 * spread, -20], [0, 5], [-20 * spread, 30], [20 * spread, 30]], float)
    turn = np.radians(angle)
    turned = face @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]) + 200
    assert crop.roll_of_face(turned) == pytest.approx(angle, abs=1e-6)


@pytest.mark.parametrize("size", [0.0, -3.0, float("nan"), float("inf")])
def test_a_square_without_size_is_refused(size: float) -> None:
    with pytest.raises(ValueError, match="no square"):
        crop.square_crop(smooth_image(), (10, 10), size)


@pytest.mark.parametrize("roll", [0.0, 25.0, -170.0])
def test_an_unchanged_crop_pastes_back_invisibly(roll: float) -> None:
    image = smooth_image()
    cut = crop.square_crop(image, (150, 110), 140, roll=roll)
    back = crop.paste_back(image, cut.image, cut.matrix, masks.border_mask(cut.side))
    assert np.abs(back.astype(int) - image).max() <= 3


def test_pasting_back_changes_nothing_where_the_mask_is_zero() -> None:
    image = smooth_image()
    cut = crop.square_crop(image, (20, 110), 140, roll=10)  # reaches beyond the left edge
    back = crop.paste_back(image, 255 - cut.image, cut.matrix, masks.border_mask(cut.side))
    x, y = np.meshgrid(np.arange(320), np.arange(240))
    place = cut.to_crop(np.stack([x, y], axis=-1))
    outside = ((place < -1) | (place > cut.side)).any(axis=-1)
    assert outside.any() and np.array_equal(back[outside], image[outside])
    assert np.abs(back.astype(int) - image)[110, 20].max() > 20, "the middle did change"


def test_a_mask_of_another_size_is_refused() -> None:
    cut = crop.square_crop(smooth_image(), (100, 100), 50)
    with pytest.raises(ValueError, match="mask"):
        crop.paste_back(smooth_image(), cut.image, cut.matrix, masks.border_mask(49))


def test_shrinking_does_not_alias() -> None:
    stripes = np.zeros((800, 800, 3), np.uint8)
    stripes[:, ::2] = 255
    small = crop.square_crop(stripes, (400, 400), 700, side=64).image
    assert np.abs(small.astype(int) - 127).max() <= 12


@given(st.floats(-5, 5), st.floats(-5, 5))
@settings(max_examples=40, deadline=None)
def test_smoothstep_is_monotonic_between_its_ends(a: float, b: float) -> None:
    low, high = sorted((a, b))
    up = masks.smoothstep([low, high], -1.0, 2.0)
    down = masks.smoothstep([low, high], 2.0, -1.0)
    assert up[0] <= up[1] + 1e-12 and np.allclose(up + down, 1.0)

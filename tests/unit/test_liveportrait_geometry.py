"""LivePortrait's crop, landmarks and pose mathematics."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontalbench.errors import BadInput
from frontalbench.geometry.rotation import matrix_from_angles
from frontalbench.geometry.similarity import apply
from frontalbench.liveportrait import crop, landmarks

torch = pytest.importorskip("torch")

from frontalbench.liveportrait import motion  # noqa: E402

FIVE = np.array([[200.0, 200.0], [280.0, 204.0], [238.0, 245.0], [208.0, 290.0], [272.0, 293.0]])


@given(
    angle=st.floats(-180, 180),
    factor=st.floats(0.2, 4),
    x=st.floats(-300, 300),
    y=st.floats(-300, 300),
    count=st.sampled_from([5, 68, 106, 203]),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_crop_follows_the_face_through_any_similarity(angle: float, factor: float, x: float, y: float, count: int, seed: int) -> None:
    points = FIVE if count == 5 else np.random.default_rng(seed).uniform(100, 300, (count, 2))
    c, s = factor * math.cos(math.radians(angle)), factor * math.sin(math.radians(angle))
    similarity = np.array([[c, -s, x], [s, c, y]])
    before = apply(crop.crop_matrix(points), points)
    moved = apply(similarity, points)
    np.testing.assert_allclose(apply(crop.crop_matrix(moved), moved), before, atol=1e-5)


def test_crop_is_level_of_the_stated_size_and_shifted_up() -> None:
    matrix = crop.crop_matrix(FIVE)
    inside = apply(matrix, FIVE)
    eyes, mouth = inside[:2].mean(axis=0), inside[3:].mean(axis=0)
    assert mouth[0] - eyes[0] == pytest.approx(0, abs=1e-9)
    box = inside.max(axis=0) - inside.min(axis=0)
    assert box.max() == pytest.approx(512 / 2.3)
    middle = (inside.max(axis=0) + inside.min(axis=0)) / 2
    assert middle == pytest.approx([256, 256 + 0.125 * 512])


def test_crop_matrix_equals_the_published_formula() -> None:
    """Written with the angle and its sine and cosine, as the released cropper is described."""
    mean_eyes, mouth = FIVE[:2].mean(axis=0), FIVE[3:].mean(axis=0)
    uy = (mouth - mean_eyes) / np.linalg.norm(mouth - mean_eyes)
    ux = np.array([uy[1], -uy[0]])
    theta = math.acos(ux[0]) * (1 if ux[1] >= 0 else -1)
    local = (FIVE - FIVE.mean(axis=0)) @ np.stack([ux, uy]).T
    low, high = local.min(axis=0), local.max(axis=0)
    side = 2.3 * (high - low).max()
    c = FIVE.mean(axis=0) + ux * (low + high)[0] / 2 + uy * (low + high)[1] / 2 + uy * (-0.125 * side)
    s, cos, sin = 512 / side, math.cos(theta), math.sin(theta)
    expected = [
        [s * cos, s * sin, 256 - s * (cos * c[0] + sin * c[1])],
        [-s * sin, s * cos, 256 - s * (-sin * c[0] + cos * c[1])],
    ]
    np.testing.assert_allclose(crop.crop_matrix(FIVE), expected, atol=1e-9)


def test_crop_left_unlevelled_keeps_the_image_upright() -> None:
    matrix = crop.crop_matrix(FIVE, level=False)
    assert matrix[0, 1] == matrix[1, 0] == 0.0


@pytest.mark.parametrize(
    ("points", "words"),
    [
        (np.zeros((7, 2)), "5, 68, 106 or 203"),
        (np.full((5, 2), np.nan), "not finite"),
        (np.full((5, 2), 3.0), "fall on one another"),
        (FIVE * 5e-3, "too small"),
    ],
)
def test_unusable_points_are_refused_in_one_line(points: np.ndarray, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        crop.crop_matrix(points)


def test_paste_mask_equals_its_definition_pixel_by_pixel() -> None:
    mask = crop.paste_mask()
    for y, x in ((0, 0), (0, 256), (5, 9), (15, 15), (16, 16), (300, 511), (496, 496), (500, 503), (511, 40)):
        distance = math.hypot(max(16 - x, x - 496, 0), max(16 - y, y - 496, 0))
        assert round(float(mask[y, x]) * 255) == math.floor(255 * min(1.0, max(0.0, 1 - distance / 16)))
    assert mask[16:497, 16:497].min() == 1.0


def test_large_photographs_are_shrunk_and_small_ones_kept() -> None:
    small, factor = crop.shrink(np.zeros((2560, 1000, 3), np.uint8))
    assert small.shape == (1280, 500, 3) and factor == 0.5
    image = np.zeros((300, 400, 3), np.uint8)
    assert crop.shrink(image)[0] is image


def test_opening_ratios_are_height_over_width() -> None:
    points = np.zeros((203, 2))
    points[[0, 12]], points[[6, 18]] = [[0, 0], [10, 0]], [[5, -2], [5, 2]]
    points[[24, 36]], points[[30, 42]] = [[0, 0], [10, 0]], [[5, -1], [5, 1]]
    points[[48, 66]], points[[90, 102]] = [[0, 0], [20, 0]], [[10, 0], [10, 3]]
    assert landmarks.eye_ratios(points) == pytest.approx((0.4, 0.2), abs=1e-6)
    assert landmarks.lip_ratio(points) == pytest.approx(0.15, abs=1e-6)


def test_uniform_logits_mean_zero_degrees_and_the_ends_97_and_a_half() -> None:
    logits = torch.zeros(3, 66)
    logits[1, 0], logits[2, 65] = 100.0, 100.0
    assert motion.degrees(logits).tolist() == pytest.approx([0.0, -97.5, 97.5], abs=1e-3)


@given(st.floats(-90, 90), st.floats(-60, 60), st.floats(-90, 90))
@settings(max_examples=40, deadline=None)
def test_turning_keypoints_is_the_projects_head_to_camera_rotation(yaw: float, pitch: float, roll: float) -> None:
    point = torch.tensor([[0.1, -0.2, -0.4]])
    turned = point @ motion.rotation(*(torch.tensor([angle]) for angle in (yaw, pitch, roll)))[0]
    np.testing.assert_allclose(turned[0].numpy(), matrix_from_angles(yaw, pitch, roll) @ point[0].numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("angles", "axis", "sign"),
    [((30, 0, 0), 0, -1), ((-30, 0, 0), 0, 1), ((0, 30, 0), 1, 1), ((0, -30, 0), 1, -1)],
)
def test_signs_are_those_of_the_architecture_page(angles: tuple[float, float, float], axis: int, sign: int) -> None:
    """A nose (towards the camera) goes to the image's left for yaw > 0 and down for pitch > 0."""
    nose = torch.tensor([[0.0, 0.0, -1.0]]) @ motion.rotation(*(torch.tensor([float(angle)]) for angle in angles))[0]
    assert float(nose[0, axis]) * sign > 0.4


def test_roll_above_zero_turns_the_head_clockwise_in_the_image() -> None:
    left_eye = torch.tensor([[1.0, 0.0, 0.0]]) @ motion.rotation(torch.zeros(1), torch.zeros(1), torch.tensor([30.0]))[0]
    assert float(left_eye[0, 1]) == pytest.approx(0.5)


def some_motion() -> motion.Motion:
    generator = torch.Generator().manual_seed(3)
    kp, exp, t = (torch.randn(shape, generator=generator) * 0.3 for shape in ((2, 21, 3), (2, 21, 3), (2, 3)))
    return motion.Motion(kp, exp, torch.tensor([[1.2], [1.5]]), t, torch.tensor([20.0, -5.0]), torch.tensor([3.0, 4.0]), torch.zeros(2))


def test_scale_multiplies_the_expression_too_and_depth_shift_is_left_out() -> None:
    m = some_motion()
    points = motion.keypoints(m, torch.eye(3).expand(2, 3, 3))
    expected = m.scale[:, :, None] * (m.kp + m.exp)
    expected[..., :2] += m.t[:, None, :2]
    torch.testing.assert_close(points, expected)


def test_facepoke_leaves_the_expression_out_and_keeps_the_depth_shift() -> None:
    m = some_motion()
    points = motion.keypoints(m, torch.eye(3).expand(2, 3, 3), expression=False, depth_shift=True)
    torch.testing.assert_close(points, m.scale[:, :, None] * m.kp + m.t[:, None, :])


def test_stitching_adds_offsets_and_one_shift_in_the_plane() -> None:
    offsets = torch.arange(65.0)[None]
    moved = motion.stitched(torch.zeros(1, 21, 3), offsets)
    assert moved[0, 0].tolist() == [0 + 63, 1 + 64, 2]
    assert moved[0, 20].tolist() == [60 + 63, 61 + 64, 62]

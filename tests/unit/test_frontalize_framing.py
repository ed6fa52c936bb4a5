"""The crops of published networks: where the points come to lie, that a turned and scaled photograph gives the same crop, that results go back."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontalbench.errors import BadInput
from frontalbench.frontalize import framing
from frontalbench.geometry.crop import paste_back
from frontalbench.geometry.similarity import apply
from frontalbench.landmarks.base import Landmarks

Recipe = Callable[[Landmarks], np.ndarray]


def face68(centre: tuple[float, float] = (200.0, 180.0), size: float = 100.0, roll: float = 0.0) -> Landmarks:
    """A made face: outline on an ellipse, eyes, nose, mouth where faces have them; ``size``: half its width in pixels; clockwise ``roll`` in
    degrees."""
    outline = [(-np.cos(t), 0.1 + 1.2 * np.sin(t)) for t in np.linspace(0, np.pi, 17)]
    brows = [(x, -0.5) for x in (*np.linspace(-0.8, -0.2, 5), *np.linspace(0.2, 0.8, 5))]
    nose = [(0.0, y) for y in (-0.25, -0.05, 0.15, 0.3)] + [(x, 0.4) for x in np.linspace(-0.2, 0.2, 5)]

    def ring(x: float, y: float, a: float, b: float, n: int) -> list[tuple[float, float]]:
        return [(x - a * np.cos(t), y - b * np.sin(t)) for t in np.linspace(0, 2 * np.pi, n, endpoint=False)]

    points = np.array(
        [*outline, *brows, *nose, *ring(-0.45, -0.25, 0.18, 0.06, 6), *ring(0.45, -0.25, 0.18, 0.06, 6), *ring(0, 0.75, 0.35, 0.12, 12)]
    )
    points = np.concatenate([points, ring(0, 0.75, 0.25, 0.05, 8)])
    angle = np.radians(roll)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return Landmarks(points @ turn.T * size + centre, "ibug68")


LEVEL: dict[str, Recipe] = {
    "ffhq": lambda marks: framing.ffhq(marks, 256),
    "nose_bridge": lambda marks: framing.nose_bridge(marks),
    "inner_eyes": lambda marks: framing.inner_eyes(marks),
    "five_point": lambda marks: framing.five_point(marks.to("five").flat),
}


@pytest.mark.parametrize("recipe", LEVEL)
@given(st.floats(-60, 60), st.floats(20, 300), st.floats(-500, 500), st.floats(-500, 500))
def test_a_levelled_crop_shows_the_same_face_the_same_however_it_lay(recipe: str, roll: float, size: float, x: float, y: float) -> None:
    straight, moved = face68(), face68((x, y), size, roll)
    wanted = apply(LEVEL[recipe](straight), straight.flat)
    np.testing.assert_allclose(apply(LEVEL[recipe](moved), moved.flat), wanted, atol=1e-6)


def test_ffhq_puts_the_face_where_the_published_formula_does() -> None:
    """The corners of the published quad, computed as it is written down, go to the corners of the crop."""
    marks = face68(roll=17.0)
    p = marks.flat
    eye_left, eye_right = p[36:42].mean(0), p[42:48].mean(0)
    eye_avg, eye_to_eye = (eye_left + eye_right) * 0.5, eye_right - eye_left
    eye_to_mouth = (p[48] + p[54]) * 0.5 - eye_avg
    x = eye_to_eye - np.flipud(eye_to_mouth) * [-1, 1]
    x = x / np.hypot(*x) * max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*eye_to_mouth) * 1.8)
    y = np.flipud(x) * [-1, 1]
    c = eye_avg + eye_to_mouth * 0.1
    corners = np.stack([c - x - y, c - x + y, c + x + y, c + x - y])
    got = apply(framing.ffhq(marks, 256), corners)
    np.testing.assert_allclose(got, np.array([[0, 0], [0, 256], [256, 256], [256, 0]]) - 0.5, atol=1e-9)


def test_the_bridge_of_the_nose_is_in_the_middle_and_the_chin_on_the_lower_edge() -> None:
    marks = face68(roll=-20.0)
    matrix = framing.nose_bridge(marks)
    np.testing.assert_allclose(apply(matrix, marks.part("nose_bridge")), [63.5, 63.5], atol=1e-9)
    assert apply(matrix, marks.part("chin"))[1] == pytest.approx(127.5)
    eyes = apply(matrix, np.stack([marks.part("right_eye"), marks.part("left_eye")]))
    assert eyes[0, 1] == pytest.approx(eyes[1, 1]) and eyes[0, 0] < eyes[1, 0]


def test_the_inner_corners_of_the_eyes_are_at_a_fifth_and_the_chin_on_the_lower_edge() -> None:
    marks = face68(roll=12.0)
    matrix = framing.inner_eyes(marks)
    np.testing.assert_allclose(apply(matrix, marks.flat[[39, 42]]).mean(axis=0), [63.5, 0.2 * 128 - 0.5], atol=1e-9)
    assert apply(matrix, marks.flat[8])[1] == pytest.approx(127.5)


@pytest.mark.parametrize("recipe", ["ffhq", "nose_bridge", "inner_eyes"])
@pytest.mark.parametrize("apart", [(4.0, -6.0), (4.0, 6.0), (-4.0, 6.0), (0.0, 0.0)])
def test_a_profile_whose_eyes_nearly_fall_on_one_another_stays_upright(recipe: str, apart: tuple[float, float]) -> None:
    """The line of the eyes says nothing there: it may point anywhere."""
    points = face68(size=100.0).flat.copy()
    middle = points[36:48].mean(axis=0)
    points[36:42] = middle - np.array(apart) / 2.0
    points[42:48] = middle + np.array(apart) / 2.0
    matrix = LEVEL[recipe](Landmarks(points, "ibug68"))
    assert abs(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0]))) < 6.0


def test_voxceleb_keeps_the_lean_of_the_head_and_leaves_a_margin() -> None:
    marks = face68(roll=25.0)
    matrix = framing.voxceleb(marks)
    assert matrix[0, 1] == pytest.approx(0.0) and matrix[0, 0] == pytest.approx(matrix[1, 1])
    inside = apply(matrix, marks.flat)
    longest = (inside.max(axis=0) - inside.min(axis=0)).max()
    assert longest < 256 / 1.2 and ((inside > 0) & (inside < 256)).all()
    high = inside[:, 1].max() - inside[:, 1].min()
    assert high * (1.0 + framing.FOREHEAD) == pytest.approx(256 / 1.2), "from the hairline to the chin, and a tenth on both sides"
    assert 256 - inside[:, 1].max() == pytest.approx(0.1 / 1.2 * 256, abs=1.0), "the chin a tenth of the face above the lower edge"


def test_voxceleb_takes_a_tilt_out_about_the_same_face() -> None:
    upright, leaning = framing.voxceleb(face68()), framing.voxceleb(face68(roll=25.0), tilt=25.0)
    np.testing.assert_allclose(apply(upright, face68().flat), apply(leaning, face68(roll=25.0).flat), atol=1e-6)


def test_five_points_meet_the_released_template_at_any_side() -> None:
    rng = np.random.default_rng(0)
    points = framing.FIVE_512 * 0.3 + rng.uniform(0, 50, 2)
    for side in (256, 512, 1024):
        got = apply(framing.five_point(points, side), points)
        np.testing.assert_allclose(got, framing.resized_points(framing.FIVE_512, 512, side), atol=1e-6)


@given(st.integers(32, 600), st.integers(32, 600))
def test_a_resized_crop_shows_the_same_square(side: int, new: int) -> None:
    matrix = framing.ffhq(face68(), side)
    edges = np.array([[-0.5, -0.5], [side - 0.5, side - 0.5]])
    photograph = (edges - matrix[:, 2]) @ np.linalg.inv(matrix[:, :2]).T
    np.testing.assert_allclose(apply(framing.resized(matrix, side, new), photograph), [[-0.5] * 2, [new - 0.5] * 2], atol=1e-6)


def test_what_was_cut_out_goes_back_to_where_it_was() -> None:
    rng = np.random.default_rng(1)
    small = rng.integers(0, 256, (12, 12, 3)).astype(np.uint8)
    image = np.kron(small, np.ones((32, 32, 1))).astype(np.uint8)
    framed = framing.cut(image, framing.ffhq(face68(), 256), 256)
    place = framed.place()
    back = paste_back(image, framed.pixels, place.matrix, place.mask)
    assert np.abs(back.astype(float) - image).mean() < 4.0
    half = framed.place(128)
    assert half.mask.shape == (128, 128) and half.matrix[0, 0] == pytest.approx(framed.matrix[0, 0] / 2)


def test_ffhq_keeps_the_photograph_and_fades_what_is_beyond_its_border() -> None:
    rng = np.random.default_rng(3)
    image = cv2.GaussianBlur(rng.integers(0, 256, (600, 600, 3)).astype(np.uint8), (0, 0), 1.0)
    inside = framing.cut_ffhq(image, face68((300.0, 300.0), 100.0), 512)
    plain = framing.cut(image, framing.ffhq(face68((300.0, 300.0), 100.0), 512), 512)
    np.testing.assert_array_equal(inside.pixels, plain.pixels)
    tight = image[200:400, 200:400]
    marks = face68((100.0, 90.0), 100.0)
    faded = framing.cut_ffhq(tight, marks, 512)
    full = framing.cut(image, framing.ffhq(face68((300.0, 290.0), 100.0), 512), 512)
    np.testing.assert_array_equal(faded.pixels[220:300, 220:300], full.pixels[220:300, 220:300])
    mirrored = framing.cut(tight, framing.ffhq(marks, 512), 512, border=cv2.BORDER_REFLECT_101).pixels
    assert faded.pixels[:16].std() < 0.35 * mirrored[:16].std(), "the upper edge is far beyond the border"


def test_faces_that_give_no_crop_are_refused_with_a_reason() -> None:
    with pytest.raises(ValueError, match="too small"):
        framing.nose_bridge(face68(size=2.0))
    one = Landmarks(np.zeros((68, 2)), "ibug68")
    for recipe in (
        lambda: framing.ffhq(one, 256),
        lambda: framing.nose_bridge(one),
        lambda: framing.inner_eyes(one),
        lambda: framing.voxceleb(one),
    ):
        with pytest.raises(ValueError, match=r"no crop|too small"):
            recipe()
    with pytest.raises(BadInput):
        framing.five_point(np.zeros((5, 2)))
    with pytest.raises(ValueError, match="too small"):
        framing.cut(np.zeros((50, 50, 3), np.uint8), np.array([[100.0, 0, 0], [0, 100.0, 0]]), 64)

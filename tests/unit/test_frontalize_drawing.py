"""How a drawn head lies in its image: in the middle, moved as the framing says, and where it came from."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from frontalbench.frontalize.drawing import Drawing, draw, placement_of
from frontalbench.frontalize.render import Filling
from frontalbench.geometry.rotation import angles_from_matrix, matrix_from_angles
from frontalbench.geometry.similarity import apply
from frontalbench.landmarks.face_landmarker import HeadPose
from tests.unit.test_frontalize_head import head_in

SCALE = 5.0
"""Photograph pixels per cm of the head."""


def drawn(cm: float, tilt: float = 0.0, roll: float = 0.0) -> tuple[Drawing, np.ndarray]:
    """A head drawn from a square photograph of ``cm`` centimetres, and its middle there (x, y)."""
    side = round(cm * SCALE)
    noise = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    pose = HeadPose(matrix_from_angles(0.0, 0.0, tilt), SCALE, np.array([side / 2, side / 2, 0.0]))
    placement = placement_of(pose)
    return draw(noise, head_in(placement.rotation), placement, (0.0, 0.0, roll), Filling()), placement.middle[:2]


@pytest.mark.parametrize(("cm", "below"), [(20.0, 0.5), (26.0, 0.5), (31.0, 1.25), (36.0, 2.0), (60.0, 2.0)])
def test_the_head_lies_below_the_middle_so_that_hair_fits_in_and_more_so_in_a_wider_image(cm: float, below: float) -> None:
    made, middle = drawn(cm)
    frame, side = made.frame, made.image.shape[0]
    assert side == round(min(max(cm, 26.0), 36.0) * SCALE)
    assert frame.middle == pytest.approx(((side - 1) / 2, (side - 1) / 2 + below * frame.pixels_per_cm), abs=0.01)
    assert apply(made.place.matrix, middle[None])[0] == pytest.approx(frame.middle, abs=0.6), "the photograph is cut accordingly"


@pytest.mark.parametrize(("tilt", "roll"), [(30.0, 0.0), (-20.0, 0.0), (0.0, 20.0), (15.0, -25.0)])
def test_below_is_down_in_the_image_however_the_head_leans_in_the_photograph_or_shall_lean(tilt: float, roll: float) -> None:
    made, middle = drawn(36.0, tilt, roll)
    side = made.image.shape[0]
    expected = ((side - 1) / 2, (side - 1) / 2 + 2.0 * made.frame.pixels_per_cm)
    assert apply(made.place.matrix, middle[None])[0] == pytest.approx(expected, abs=0.6)
    assert made.frame.middle == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize("pose", [(30.0, 5.0, 0.0), (82.0, 12.0, 20.0), (-87.0, -15.0, 5.0), (88.0, 60.0, -40.0)])
def test_a_head_that_is_turned_to_the_pose_it_has_is_drawn_as_it_was(pose: tuple[float, float, float]) -> None:
    """Near a profile the roll angle says nothing about how the head leans, so it must not turn the image (docs/gain.md, the zero turn)."""
    side = round(36.0 * SCALE)
    smooth = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8), (0, 0), 4)
    placement = placement_of(HeadPose(matrix_from_angles(*pose), SCALE, np.array([side / 2, side / 2, 0.0])))
    target = tuple(float(angle) for angle in angles_from_matrix(placement.rotation))
    made = draw(smooth, head_in(placement.rotation), placement, target, Filling(strength=0.0, inpaint=0.0))
    assert made.frame.lean == pytest.approx(0.0, abs=1e-6)
    middle = slice(made.image.shape[0] // 3, -(made.image.shape[0] // 3))
    apart = np.abs(made.image[middle, middle].astype(float) - made.texture[middle, middle])
    assert np.median(apart) <= 2.0, "what was in the photograph lies where it was"

"""Expression by landmarks: closed forms of the distance as FSGAN (2019) has it, and of the one that takes the pose out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from frontalbench.geometry.rotation import matrix_from_angles
from frontalbench.quality import expression, measures
from frontalbench.quality.expression import Look, apart, moved
from frontalbench.types import Float

MOUTH = list(range(48, 68))


def face(seed: int = 0) -> Float:
    """68 points (x, y, depth) in pixels, the outer corners of the eyes 100 apart."""
    points = np.random.default_rng(seed).normal(0.0, 40.0, (68, 3))
    points[36], points[45] = (-50.0, 0.0, 0.0), (50.0, 0.0, 0.0)
    return points


def placed(points: Float, angles: tuple[float, float, float], scale: float = 1.0) -> Float:
    made: Float = scale * points @ matrix_from_angles(*angles).T + np.array([200.0, 130.0, -7.0])
    return made


def test_shift_size_and_tilt_are_no_expression() -> None:
    assert moved(face(), placed(face(), (0.0, 0.0, 25.0), 0.4)) == pytest.approx((0.0, 0.0), abs=1e-9)


@pytest.mark.parametrize("yaw", [-70.0, 30.0, 52.0])
def test_a_turned_head_counts_in_the_plane_and_not_in_space(yaw: float) -> None:
    flat, turned = moved(face(), placed(face(), (yaw, 8.0, -5.0), 2.0))
    assert flat > 0.05 and turned == pytest.approx(0.0, abs=1e-9)
    further = moved(face(), placed(face(), (yaw * 1.2, 8.0, -5.0), 2.0))[0]
    assert further > flat


def test_an_opened_mouth_is_the_mean_way_of_its_points_in_distances_of_the_eyes() -> None:
    """20 of 68 points moved by 17 pixels of a face whose eyes are 100 apart: .05, however large the photograph is and, in space, how it is turned."""
    opened = face()
    opened[MOUTH, 1] += 17.0
    assert moved(opened, face()) == pytest.approx((0.05, 0.05))
    assert moved(opened, placed(face(), (40.0, 0.0, 10.0), 3.0))[1] == pytest.approx(0.05)
    assert not set(expression.STILL) & set(MOUTH)


def test_what_moves_in_depth_alone_is_not_seen_in_the_plane_of_the_image() -> None:
    pouted = face()
    pouted[MOUTH, 2] -= 30.0
    assert moved(pouted, face()) == pytest.approx((0.0, 0.0), abs=1e-9)


def test_the_columns_of_the_measure_are_filled_in_their_order_and_points_in_one_place_leave_theirs_empty() -> None:
    opened = face()
    opened[MOUTH, 1] += 17.0
    shapes = np.full(52, 0.5)
    assert apart(Look(shapes + 0.1, opened), Look(shapes, face())) == pytest.approx((0.1, 0.05, 0.05))
    none = apart(Look(shapes, face()), Look(shapes, np.zeros((68, 3))))
    assert none[0] == 0.0 and math.isnan(none[1]) and math.isnan(none[2])
    assert measures.BY_WORD["expression"].stored() == ["expression", "expression_landmarks", "expression_landmarks_turned"]

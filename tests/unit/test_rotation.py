"""Rotations and pose angles: the convention of docs/architecture.md, held by numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from frontalbench.geometry import rotation

ANGLE = st.floats(-179.0, 179.0)
YAW = st.floats(-89.9, 89.9)


@settings(max_examples=40, deadline=None)
@given(yaw=YAW, pitch=ANGLE, roll=ANGLE)
def test_angles_come_back_from_their_matrix(yaw: float, pitch: float, roll: float) -> None:
    found = rotation.angles_from_matrix(rotation.matrix_from_angles(yaw, pitch, roll))
    assert np.allclose(found, (yaw, pitch, roll), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(yaw=ANGLE, pitch=ANGLE, roll=ANGLE)
def test_the_matrix_is_what_scipy_makes_of_the_same_turns(yaw: float, pitch: float, roll: float) -> None:
    reference = Rotation.from_euler("ZYX", [roll, yaw, pitch], degrees=True).as_matrix()
    assert np.allclose(rotation.matrix_from_angles(yaw, pitch, roll), reference, atol=1e-12)


def test_signs_are_those_of_the_convention() -> None:
    nose, up = np.array([0.0, 0.0, -1.0]), np.array([0.0, -1.0, 0.0])
    assert (rotation.matrix_from_angles(30, 0, 0) @ nose)[0] < 0, "yaw > 0 looks towards the left edge"
    assert (rotation.matrix_from_angles(0, 30, 0) @ nose)[1] > 0, "pitch > 0 looks down"
    assert (rotation.matrix_from_angles(0, 0, 30) @ up)[0] > 0, "roll > 0 tilts clockwise"


@settings(max_examples=40, deadline=None)
@given(yaw=YAW, pitch=st.floats(-80, 80), roll=st.floats(-80, 80))
def test_mirroring_the_camera_frame_flips_yaw_and_roll(yaw: float, pitch: float, roll: float) -> None:
    flip = np.diag([-1.0, 1.0, 1.0])
    found = rotation.angles_from_matrix(flip @ rotation.matrix_from_angles(yaw, pitch, roll) @ flip)
    assert np.allclose(found, rotation.mirrored(yaw, pitch, roll), atol=1e-6)


@pytest.mark.parametrize("yaw", [90.0, -90.0])
def test_gimbal_lock_gives_a_finite_pose_of_the_same_rotation(yaw: float) -> None:
    matrix = rotation.matrix_from_angles(yaw, 20.0, 30.0)
    angles = rotation.angles_from_matrix(matrix)
    assert angles[2] == 0.0
    assert np.allclose(rotation.matrix_from_angles(*angles), matrix, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.tuples(YAW, ANGLE, ANGLE), st.tuples(YAW, ANGLE, ANGLE))
def test_geodesic_is_the_magnitude_of_the_relative_rotation(first: tuple[float, float, float], second: tuple[float, float, float]) -> None:
    a, b = rotation.matrix_from_angles(*first), rotation.matrix_from_angles(*second)
    reference = np.degrees(Rotation.from_matrix(a.T @ b).magnitude())
    assert rotation.geodesic_degrees(a, b) == pytest.approx(reference, abs=1e-4)


def test_many_matrices_at_once_are_the_single_ones() -> None:
    yaws = np.array([[10.0, -20.0], [30.0, 0.0]])
    many = rotation.matrix_from_angles(yaws, 5.0, [1.0, 2.0])
    assert many.shape == (2, 2, 3, 3)
    assert np.array_equal(many[1, 1], rotation.matrix_from_angles(0.0, 5.0, 2.0))


@settings(max_examples=40, deadline=None)
@given(yaw=YAW, pitch=ANGLE, roll=ANGLE, scale=st.floats(0.1, 10))
def test_the_nearest_rotation_of_a_scaled_one_is_itself(yaw: float, pitch: float, roll: float, scale: float) -> None:
    matrix = rotation.matrix_from_angles(yaw, pitch, roll)
    assert np.allclose(rotation.nearest_rotation(scale * matrix), matrix, atol=1e-9)


def test_the_nearest_rotation_is_never_a_reflection() -> None:
    assert np.linalg.det(rotation.nearest_rotation(np.diag([1.0, 1.0, -0.2]))) == pytest.approx(1.0)

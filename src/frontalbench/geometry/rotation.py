"""Rotation matrices and pose angles, in the convention of docs/architecture.md.

Camera frame: x right, y down, z away from the camera; a frontal face looks along -z. ``R = Rz(roll) @ Ry(yaw) @ Rx(pitch)`` takes head
coordinates to camera coordinates. yaw > 0: the face is turned towards the left edge of the image; pitch > 0: looking down; roll > 0: tilted
clockwise in the image. All angles are degrees.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from frontalbench.types import Float

GIMBAL_COSINE = 1e-7
"""Below this cosine of the yaw, pitch and roll turn about the same axis; roll is then called 0."""

FLIP_YZ: Float = np.diag([1.0, -1.0, -1.0])
"""Between the camera frame here and frames with y up and z towards the viewer (3DDFA, OpenGL, MediaPipe): ``R' = FLIP_YZ @ R @ FLIP_YZ``."""


def matrix_from_angles(yaw: npt.ArrayLike, pitch: npt.ArrayLike = 0.0, roll: npt.ArrayLike = 0.0) -> Float:
    """Rotation matrices ``(..., 3, 3)`` of angles in degrees; the arguments broadcast."""
    y, p, r = np.broadcast_arrays(*(np.radians(np.asarray(angle, dtype=np.float64)) for angle in (yaw, pitch, roll)))
    cy, sy, cp, sp, cr, sr = np.cos(y), np.sin(y), np.cos(p), np.sin(p), np.cos(r), np.sin(r)
    rows = [
        [cr * cy, cr * sy * sp - sr * cp, cr * sy * cp + sr * sp],
        [sr * cy, sr * sy * sp + cr * cp, sr * sy * cp - cr * sp],
        [-sy, cy * sp, cy * cp],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def angles_from_matrix(matrix: npt.ArrayLike) -> tuple[Float, Float, Float]:
    """(yaw, pitch, roll) in degrees of rotation matrices ``(..., 3, 3)``; yaw in [-90, 90], pitch and roll in (-180, 180].

    Where the yaw is +-90 degrees only a combination of pitch and roll is determined: roll is then 0.
    """
    m = np.asarray(matrix, dtype=np.float64)
    cosine = np.hypot(m[..., 2, 1], m[..., 2, 2])
    locked = cosine < GIMBAL_COSINE
    yaw = np.arctan2(-m[..., 2, 0], cosine)
    pitch = np.where(locked, np.arctan2(-m[..., 1, 2], m[..., 1, 1]), np.arctan2(m[..., 2, 1], m[..., 2, 2]))
    roll = np.where(locked, 0.0, np.arctan2(m[..., 1, 0], m[..., 0, 0]))
    return np.degrees(yaw), np.degrees(pitch), np.degrees(roll)


def geodesic_degrees(first: npt.ArrayLike, second: npt.ArrayLike) -> Float:
    """Angle in degrees, 0..180, of the one rotation that takes ``first`` to ``second`` (both ``(..., 3, 3)``)."""
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    # |A - B|_F = 2 sqrt(2) sin(angle / 2): well conditioned near 0, where the arc cosine of the trace is not.
    half = np.linalg.norm(a - b, axis=(-2, -1)) / (2.0 * np.sqrt(2.0))
    degrees: Float = 2.0 * np.degrees(np.arcsin(np.clip(half, 0.0, 1.0)))
    return degrees


def nearest_rotation(matrix: npt.ArrayLike) -> Float:
    """The rotation (determinant +1) nearest to ``matrix (3, 3)`` in the Frobenius norm (orthogonal Procrustes)."""
    u, _, vt = np.linalg.svd(np.asarray(matrix, dtype=np.float64))
    sign = np.sign(np.linalg.det(u @ vt))
    rotation: Float = u @ np.diag([1.0, 1.0, sign]) @ vt
    return rotation


def tilt(rotation: Float) -> float:
    """How far the upright axis of a head leans clockwise in the image, degrees; ``rotation`` (3, 3): head -> camera. Defined in profiles too, where
    roll and pitch exchange their roles."""
    return float(np.degrees(np.arctan2(-rotation[0, 1], rotation[1, 1])))


def untilted(rotation: Float) -> tuple[Float, float]:
    """(``rotation`` (3, 3), head -> camera, with its :func:`tilt` taken out in the image; that tilt in degrees)."""
    lean = tilt(rotation)
    return matrix_from_angles(0.0, 0.0, -lean) @ rotation, lean


def mirrored(yaw: float, pitch: float, roll: float) -> tuple[float, float, float]:
    """The pose in the horizontally mirrored image."""
    return -yaw, pitch, -roll

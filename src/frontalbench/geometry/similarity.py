"""Similarity transforms between point sets, and the alignment of a face to the ArcFace template.

A similarity of the plane (rotation, one scale, translation) is one complex multiplication and addition, ``w = a z + b``. The
least-squares ``a`` and ``b`` have a closed form, which is the planar case of Umeyama (1991, "Least-squares estimation of
transformation parameters between two point patterns", eqs. 40-42) with reflections excluded: no singular value decomposition and no
sign cases are needed.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench.errors import BadInput
from frontalbench.images import RGB
from frontalbench.types import Float

ARCFACE_SIZE: Final = 112
"""Side of the crop that :data:`ARCFACE_TEMPLATE` belongs to, in pixels."""

ARCFACE_TEMPLATE: Final[Float] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], dtype=np.float64
)
"""Where the five points lie in a 112 x 112 ArcFace crop: ``float64 (5, 2)``, x, y in pixels (Deng et al. 2019, released template)."""
ARCFACE_TEMPLATE.flags.writeable = False

_RELATIVE_FLOOR: Final = 1e-9
_SMALLEST_SPREAD: Final = 0.5  # pixels, root mean square about the centroid: below it no face can be aligned


class DegeneratePoints(BadInput):
    """Points that determine no similarity: not finite, all in one place, or without any common orientation with the target."""


def estimate_similarity(source: npt.ArrayLike, target: npt.ArrayLike) -> Float:
    """The similarity that takes ``source`` nearest to ``target`` in the least-squares sense, never a reflection.

    Both are ``(N, 2)`` with N >= 2, any unit. Returns ``float64 (2, 3)``: ``target ~ matrix[:, :2] @ source + matrix[:, 2]``; the
    left part is ``scale * rotation`` with a positive determinant. Raises :class:`DegeneratePoints` when the points do not determine one.
    """
    a, b = _points(source, "source"), _points(target, "target")
    if a.shape != b.shape:
        raise BadInput(f"source has {len(a)} points, target {len(b)}: they must be pairs")
    z, w = a @ np.array([1, 1j]), b @ np.array([1, 1j])
    z_mean, w_mean = z.mean(), w.mean()
    z0, w0 = z - z_mean, w - w_mean
    # Scaling by the largest deviation first keeps squares of very small or very large coordinates inside the range of floats.
    z_reach, w_reach = float(np.abs(z0).max()), float(np.abs(w0).max())
    if z_reach <= _RELATIVE_FLOOR * float(np.abs(z).max()) or z_reach == 0.0:
        raise DegeneratePoints("all source points lie in one place: no similarity can be estimated from them")
    if w_reach <= _RELATIVE_FLOOR * float(np.abs(w).max()) or w_reach == 0.0:
        raise DegeneratePoints("all target points lie in one place: the similarity would shrink everything to a point")
    z1, w1 = z0 / z_reach, w0 / w_reach
    factor = complex(np.vdot(z1, w1) / np.vdot(z1, z1).real)
    if abs(factor) <= _RELATIVE_FLOOR:
        raise DegeneratePoints("source and target have no common orientation: the best similarity would shrink everything to a point")
    factor *= w_reach / z_reach
    shift = w_mean - factor * z_mean
    return np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]], dtype=np.float64)


def apply(matrix: npt.ArrayLike, points: npt.ArrayLike) -> Float:
    """Points ``(..., 2)`` through an affine ``matrix (2, 3)``."""
    m = np.asarray(matrix, np.float64)
    moved: Float = np.asarray(points, np.float64) @ m[:, :2].T + m[:, 2]
    return moved


def invert(matrix: npt.ArrayLike) -> Float:
    """The inverse ``(2, 3)`` of an affine ``matrix (2, 3)``. Raises numpy.linalg.LinAlgError when it is singular."""
    m = np.asarray(matrix, np.float64)
    left = np.linalg.inv(m[:, :2])
    return np.hstack([left, -(left @ m[:, 2:])])


def alignment_matrix(points: npt.ArrayLike, size: int = ARCFACE_SIZE) -> Float:
    """The similarity from image pixels to a ``size`` x ``size`` ArcFace crop, ``float64 (2, 3)``.

    ``points`` are the five points ``(5, 2)`` of the face. Raises :class:`DegeneratePoints` when they determine no alignment.
    """
    values = _points(points, "points")
    if len(values) != len(ARCFACE_TEMPLATE):
        raise BadInput(f"five points are needed to align a face, got {len(values)}")
    spread = float(np.sqrt(((values - values.mean(axis=0)) ** 2).sum(axis=1).mean()))
    if spread < _SMALLEST_SPREAD:
        raise DegeneratePoints(f"the five points lie within {spread:.2g} pixels of each other: too close to align a face by")
    return estimate_similarity(values, ARCFACE_TEMPLATE * (size / ARCFACE_SIZE))


def align(image: RGB, points: npt.ArrayLike, size: int = ARCFACE_SIZE) -> RGB:
    """The face cut out and aligned to the ArcFace template: ``uint8 (size, size, 3)`` RGB, bilinear, black (0) outside of the image.

    ``image`` is ``uint8 (H, W, 3)`` RGB, ``points (5, 2)`` its five points in pixels. Raises :class:`DegeneratePoints`.
    """
    matrix = alignment_matrix(points, size)
    crop: RGB = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0))
    return crop


def _points(values: npt.ArrayLike, name: str) -> Float:
    array: npt.NDArray[Any] = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != 2 or len(array) < 2:
        raise BadInput(f"{name} should be (N, 2) with N >= 2, is {array.shape}")
    if not np.isfinite(array).all():
        raise DegeneratePoints(f"{name} holds a value that is not finite")
    return array

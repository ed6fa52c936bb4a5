"""LivePortrait's crop: a levelled square around the landmarks (released cropper; vector form as in the documentation of this module).

The direction from the eyes to the mouth is down; the landmarks' box in that frame gives centre and size. Any of 5, 68, 106 or 203 points will do,
but the points decide the size: five points span a smaller box, see :data:`FIVE_POINT_SCALE`.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench.errors import BadInput
from frontalbench.images import RGB
from frontalbench.types import Float, Float32

SIDE = 512
SCALE = 2.3
SHIFT = -0.125
"""Up, in sides of the square."""
NETWORK_SIDE = 256
MAX_SIDE = 1280
FIVE_POINT_SCALE = 2.0
FIVE_POINT_SHIFT = 0.035
"""What to multiply the scale by and add to the shift when only five points are known: they span about half of the 106 points' box. Medians over
120 photographs of FRLL (all five views, two expressions): factor 1.82 (profile) to 2.14 (front), shift 0.03 to 0.04."""
FEATHER = 16
"""Pixels over which the pasted square fades out."""

_EYES_AND_MOUTH: dict[int, tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = {
    5: ((0,), (1,), (3, 4)),
    68: ((36, 39), (42, 45), (48, 54)),
    106: ((33, 35, 40, 39), (87, 89, 94, 93), (52, 61)),
    203: ((0, 6, 12, 18), (24, 30, 36, 42), (48, 66)),
}
"""Number of points -> those of the right eye, the left eye and the mouth."""


def frame(points: npt.ArrayLike) -> tuple[Float, Float]:
    """Unit vectors (right, down) of the face in the image. Raises :class:`BadInput` for another number of points or without direction."""
    p = np.asarray(points, dtype=np.float64)
    if p.ndim != 2 or p.shape[1:] != (2,) or len(p) not in _EYES_AND_MOUTH:
        raise BadInput(f"landmarks of shape {p.shape}: the crop needs 5, 68, 106 or 203 points (x, y)")
    if not np.isfinite(p).all():
        raise BadInput("landmarks that are not finite: no crop")
    right_eye, left_eye, mouth = (p[list(indices)].mean(axis=0) for indices in _EYES_AND_MOUTH[len(p)])
    down = mouth - (right_eye + left_eye) / 2.0
    length = float(np.hypot(*down))
    if length < 1e-3:
        raise BadInput("eyes and mouth fall on one another: no crop")
    down = down / length
    return np.array([down[1], -down[0]]), down


def crop_matrix(points: npt.ArrayLike, *, scale: float = SCALE, shift: float = SHIFT, side: int = SIDE, level: bool = True) -> Float:
    """(2, 3): photograph pixels -> crop pixels. ``level``: turn the crop so that the face stands upright in it."""
    across, down = frame(points)
    p = np.asarray(points, dtype=np.float64)
    mean = p.mean(axis=0)
    local = (p - mean) @ np.stack([across, down], axis=1)
    low, high = local.min(axis=0), local.max(axis=0)
    size = float(scale * (high - low).max())
    if size < 2.0:
        raise BadInput(f"landmarks within {size / scale:.2g} pixels: the face is too small to crop")
    middle = (low + high) / 2.0
    centre = mean + middle[0] * across + middle[1] * down + shift * size * down
    s = side / size
    linear = s * (np.stack([across, down]) if level else np.eye(2))
    return np.hstack([linear, (side / 2.0 - linear @ centre)[:, None]])


def cut(image: RGB, matrix: npt.ArrayLike, side: int = SIDE) -> RGB:
    """``uint8 (side, side, 3)``: bilinear, black outside the photograph, as LivePortrait was trained on."""
    crop: RGB = cv2.warpAffine(image, np.asarray(matrix, dtype=np.float64), (side, side), flags=cv2.INTER_LINEAR, borderValue=(0, 0, 0))
    return crop


def shrink(image: RGB, limit: int = MAX_SIDE) -> tuple[RGB, float]:
    """The photograph with its longer side at most ``limit``, and the factor it was scaled by (1 where nothing was done)."""
    height, width = image.shape[:2]
    factor = limit / max(height, width)
    if factor >= 1.0:
        return image, 1.0
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    small: RGB = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return small, factor


def network_input(crop: RGB) -> Float32:
    """512 crop -> float32 (256, 256, 3) RGB in 0..1."""
    small = cv2.resize(crop, (NETWORK_SIDE, NETWORK_SIDE), interpolation=cv2.INTER_AREA)
    return np.asarray(small, dtype=np.float32) / np.float32(255.0)


@functools.cache
def paste_mask(side: int = SIDE) -> Float32:
    """(side, side) in 0..1: 1 inside, fading to 0 over :data:`FEATHER` pixels at the border (the released mask image, to the last bit)."""
    ramp = np.arange(side, dtype=np.float64)
    outside = np.maximum(np.maximum(FEATHER - ramp, ramp - (side - FEATHER)), 0.0)
    distance = np.hypot(outside[None, :], outside[:, None])
    mask: Float32 = (np.floor(255.0 * np.clip(1.0 - distance / FEATHER, 0.0, 1.0)) / 255.0).astype(np.float32)
    mask.flags.writeable = False
    return mask

"""Square crops around a head, and the way back into the whole photograph.

A :class:`Crop` remembers the similarity transform from the photograph to its own pixels, so that whatever is done to it can be put back with
:func:`paste_back`. Points are (x, y) pixels with centres at integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench.geometry.similarity import apply, invert
from frontalbench.images import RGB
from frontalbench.types import Float

MAX_SIDE = 512
"""Crops are at most this large where nothing else is said."""


@dataclass(frozen=True)
class Crop:
    """``image``: RGB (side, side, 3); ``matrix``: float64 (2, 3), photograph pixels -> crop pixels (rotation, uniform scale, shift)."""

    image: RGB
    matrix: Float

    @property
    def side(self) -> int:
        return int(self.image.shape[0])

    @property
    def scale(self) -> float:
        """Crop pixels per photograph pixel."""
        return float(np.hypot(self.matrix[0, 0], self.matrix[1, 0]))

    def to_crop(self, points: npt.ArrayLike) -> Float:
        """Photograph points (..., 2) -> crop points."""
        return apply(self.matrix, points)

    def to_photograph(self, points: npt.ArrayLike) -> Float:
        """Crop points (..., 2) -> photograph points."""
        return apply(invert(self.matrix), points)


def square_matrix(centre: npt.ArrayLike, size: float, side: int, roll: float = 0.0) -> Float:
    """The map (2, 3) that brings a square of the photograph to ``side`` x ``side`` pixels.

    ``centre``: (x, y) of its middle; ``size``: its side in photograph pixels; ``roll``: its clockwise turn in the image in degrees, so that a head
    tilted by ``roll`` stands upright in the crop.
    """
    angle = math.radians(roll)
    scale = side / size
    linear = scale * np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    middle = np.full(2, (side - 1) / 2.0)
    return np.concatenate([linear, (middle - linear @ np.asarray(centre, dtype=np.float64))[:, None]], axis=1)


def warp(image: RGB, matrix: npt.ArrayLike, side: int, *, border: int = cv2.BORDER_REPLICATE) -> RGB:
    """``image`` through ``matrix`` (2, 3) to ``side`` x ``side``, cubic; what is shrunk is smoothed first, so that it does not alias.

    ``border``: what lies outside the photograph, as OpenCV names it (replicate: the edge pixels go on; constant: black).
    """
    m = np.asarray(matrix, dtype=np.float64)
    scale = float(np.hypot(m[0, 0], m[1, 0]))
    if scale < 0.8:
        # Shrink by area averaging to about the wanted size, then do the exact map on that.
        height, width = image.shape[:2]
        small_width, small_height = max(1, round(width * scale)), max(1, round(height * scale))
        image = np.asarray(cv2.resize(image, (small_width, small_height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
        fx, fy = small_width / width, small_height / height
        # Pixel centres at integers: x' = (x + 0.5) f - 0.5.
        shrink = np.array([[fx, 0.0, 0.5 * fx - 0.5], [0.0, fy, 0.5 * fy - 0.5], [0.0, 0.0, 1.0]])
        m = (np.vstack([m, [0.0, 0.0, 1.0]]) @ np.linalg.inv(shrink))[:2]
    warped = cv2.warpAffine(image, m, (side, side), flags=cv2.INTER_CUBIC, borderMode=border)
    return np.asarray(warped, dtype=np.uint8)


def square_crop(
    image: RGB, centre: npt.ArrayLike, size: float, *, roll: float = 0.0, side: int | None = None, border: int = cv2.BORDER_REPLICATE
) -> Crop:
    """A square of ``size`` photograph pixels around ``centre``, turned by ``roll`` degrees.

    ``side``: pixels of the crop; by default ``size`` itself, at most :data:`MAX_SIDE`. Raises ValueError when the square is not finite or smaller
    than one pixel.
    """
    if not (math.isfinite(size) and size >= 1.0 and np.isfinite(np.asarray(centre)).all() and math.isfinite(roll)):
        raise ValueError(f"no square of size {size} around {np.asarray(centre)}")
    pixels = side if side is not None else max(1, min(MAX_SIDE, round(size)))
    matrix = square_matrix(centre, size, pixels, roll)
    return Crop(warp(image, matrix, pixels, border=border), matrix)


def roll_of_face(points: npt.ArrayLike) -> float:
    """In-plane tilt in degrees (clockwise > 0) of five points (5, 2).

    The line of the eyes and the line from the eyes to the mouth vote with their lengths: in a profile the eyes fall on one another and their line
    says nothing, while the second keeps its length.
    """
    p = np.asarray(points, dtype=np.float64)
    across = p[1] - p[0]
    down = (p[3] + p[4] - p[0] - p[1]) / 2.0
    return math.degrees(math.atan2(across[1] - down[0], across[0] + down[1]))


def paste_back(photograph: RGB, crop: RGB, matrix: npt.ArrayLike, mask: npt.NDArray[np.floating]) -> RGB:
    """Put a (changed) crop back into its photograph.

    ``matrix``: photograph -> crop pixels, as in :class:`Crop`; ``mask``: (side, side) in 0..1, 1 where the crop replaces the photograph (see
    :mod:`frontalbench.geometry.masks`). The crop may have another side than the one that ``matrix`` was made for only when ``matrix`` says so too.
    Returns a new photograph of the same shape; pixels where the mask is 0 are exactly the old ones.
    """
    if crop.shape[:2] != mask.shape:
        raise ValueError(f"the mask is {mask.shape}, the crop {crop.shape[:2]}")
    height, width = photograph.shape[:2]
    back = invert(matrix)
    corners = apply(back, [[-1, -1], [crop.shape[1], -1], [-1, crop.shape[0]], [crop.shape[1], crop.shape[0]]])
    x0, y0 = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, (width, height))
    result = photograph.copy()
    if x1 <= x0 or y1 <= y0:
        return result
    local = back.copy()
    local[:, 2] -= (x0, y0)
    size = (int(x1 - x0), int(y1 - y0))
    pixels = cv2.warpAffine(crop, local, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    weight = cv2.warpAffine(mask.astype(np.float32), local, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)[
        ..., None
    ]
    old = photograph[y0:y1, x0:x1]
    mixed = old + weight * (pixels.astype(np.float32) - old)
    result[y0:y1, x0:x1] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return result

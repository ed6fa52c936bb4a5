"""Where the face is in an aligned 112 x 112 crop, as an ellipse about the template's five points; no hair, no background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from frontalbench.types import Float, Float32

FACE_CENTRE: Final = (56.0, 72.0)
FACE_AXES: Final = (36.0, 44.0)
"""x and y in pixels of the 112 x 112 crop."""


def outline(grown: float = 1.0, count: int = 72) -> Float:
    """``count`` points (x, y) of the ellipse, its axes ``grown`` times as long; float64 (count, 2), pixels of the 112 x 112 crop."""
    angle = np.linspace(0.0, 2.0 * np.pi, count, endpoint=False)
    points: Float = np.asarray(FACE_CENTRE) + grown * np.asarray(FACE_AXES) * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return points


def reach_through(matrix: npt.ArrayLike, columns: Sequence[int], rows: Sequence[int]) -> Float32:
    """How far out each pixel of an image lies, in radii of the ellipse: 0 in its centre, 1 on it; float32 (rows, columns).

    ``matrix`` (2, 3): from the image to the 112 x 112 crop.
    """
    m = np.asarray(matrix, np.float64)
    total = np.zeros((len(rows), len(columns)), np.float32)
    for axis in (0, 1):
        a, b, shift = m[axis] / FACE_AXES[axis]
        along = (a * np.asarray(columns, np.float64) + shift - FACE_CENTRE[axis] / FACE_AXES[axis]).astype(np.float32)
        down = (b * np.asarray(rows, np.float64)).astype(np.float32)
        total += (along[None, :] + down[:, None]) ** 2
    distance: Float32 = np.sqrt(total, out=total)
    return distance


def reach_map(side: int) -> Float32:
    """:func:`reach_through` of every pixel of a crop of ``side`` pixels; float32 (side, side)."""
    factor = 112.0 / side
    return reach_through([[factor, 0, 0], [0, factor, 0]], range(side), range(side))

"""Reading planes of features at points, as a compiled loop: all channels of a pixel lie side by side, and the planes are added up on the way.
PyTorch's own sampling reads a map for each channel and writes one for each plane."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from frontalbench.networks.machine_code import Array, compiled

Floats = npt.NDArray[np.float32]

AXES: Final = np.array([[0, 1], [0, 2], [2, 0]], np.int64)
"""Which coordinates of a point run across and down each plane."""


@compiled(Array(3), Array(2), Array(2, "int64"), Array(2))
def mean_of_planes(planes: Floats, places: Floats, axes: npt.NDArray[np.int64], out: Floats) -> None:
    """``out`` (M, C): means over the planes of an image, ``planes`` (H, W, P C), plane by plane, at ``places`` (M, 3) in -1..1 from border to border
    (not from centre to centre); bilinear, 0 outside. ``axes`` (P, 2): the coordinate across and the one down each plane."""
    height, width, _ = planes.shape
    channels = out.shape[1]
    share = np.float32(1.0 / axes.shape[0])
    half = np.float32(0.5)
    for point in range(places.shape[0]):
        sums = out[point]
        sums[:] = 0
        for plane in range(axes.shape[0]):
            x = (places[point, axes[plane, 0]] + np.float32(1)) * (half * np.float32(width)) - half
            y = (places[point, axes[plane, 1]] + np.float32(1)) * (half * np.float32(height)) - half
            # Also false for what is not a number.
            if not (x > -1 and x < width and y > -1 and y < height):
                continue
            left, top = int(np.floor(x)), int(np.floor(y))
            right, low = x - np.float32(left), y - np.float32(top)
            first = plane * channels
            for down in range(2):
                row = top + down
                if row < 0 or row >= height:
                    continue
                much = (low if down else np.float32(1) - low) * share
                for across in range(2):
                    column = left + across
                    if column < 0 or column >= width:
                        continue
                    weight = much * (right if across else np.float32(1) - right)
                    pixel = planes[row, column, first : first + channels]
                    for k in range(channels):
                        sums[k] += weight * pixel[k]

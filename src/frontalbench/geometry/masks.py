"""Soft masks."""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench.types import Bool

Mask = npt.NDArray[np.float32]
"""``float32 (H, W)`` in 0..1."""


def smoothstep(values: npt.ArrayLike, low: float, high: float) -> npt.NDArray[Any]:
    """0 below ``low``, 1 above ``high`` (or the other way round when ``low > high``), a smooth S between; float32 in, float32 out, else float64."""
    array = np.asarray(values)
    if array.dtype != np.float32:
        array = array.astype(np.float64)
    t = np.atleast_1d(np.clip((array - low) * (1.0 / (high - low)), 0.0, 1.0))
    smooth: npt.NDArray[Any] = -2.0 * t
    smooth += 3.0
    smooth *= t
    smooth *= t
    return smooth.reshape(array.shape)


@functools.lru_cache(maxsize=4)
def border_mask(side: int, feather: float = 0.12) -> Mask:
    """A square mask that is 1 inside and falls smoothly to 0 at the border over ``feather`` of the side, corners rounded."""
    ramp = (np.arange(side) + 0.5) / side
    inset = feather * np.ones(2)
    dx = np.maximum(inset[0] - np.minimum(ramp, 1.0 - ramp), 0.0) / feather
    distance = np.hypot(dx[None, :], dx[:, None])
    mask: Mask = smoothstep(distance, 1.0, 0.0).astype(np.float32)
    mask.flags.writeable = False  # one array for everybody
    return mask


def feather(mask: Bool | Mask, sigma: float) -> Mask:
    """A Gaussian-softened copy of a mask."""
    soft: Mask = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma)
    return np.clip(soft, 0.0, 1.0)

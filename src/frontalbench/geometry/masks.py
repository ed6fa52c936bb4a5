"""Soft masks and seamless blending of pictures on one grid."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench.images import RGB

Mask = npt.NDArray[np.float32]
"""``float32 (H, W)`` in 0..1."""
Picture = RGB | npt.NDArray[np.float32]
"""``(H, W, 3)`` on a 0..255 scale."""


def smoothstep(values: npt.ArrayLike, low: float, high: float) -> npt.NDArray[Any]:
    """0 below ``low``, 1 above ``high`` (or the other way round when ``low > high``), a smooth S between; float32 in, float32 out, else float64."""
    array = np.asarray(values)
    if array.dtype != np.float32:
        array = array.astype(np.float64)
    t = np.clip((array - low) * (1.0 / (high - low)), 0.0, 1.0)
    smooth: npt.NDArray[Any] = t * t * (3.0 - 2.0 * t)
    return smooth


def border_mask(side: int, feather: float = 0.12) -> Mask:
    """A square mask that is 1 inside and falls smoothly to 0 at the border over ``feather`` of the side, corners rounded."""
    ramp = (np.arange(side) + 0.5) / side
    inset = feather * np.ones(2)
    dx = np.maximum(inset[0] - np.minimum(ramp, 1.0 - ramp), 0.0) / feather
    distance = np.hypot(dx[None, :], dx[:, None])
    return smoothstep(distance, 1.0, 0.0).astype(np.float32)


def feather(mask: npt.NDArray[np.bool_] | Mask, sigma: float) -> Mask:
    """A Gaussian-softened copy of a mask."""
    soft: Mask = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma)
    return np.clip(soft, 0.0, 1.0)


def pyramid_blend(first: Picture, second: Picture, weight: Mask, levels: int = 5) -> npt.NDArray[np.float32]:
    """Multi-band blend (Burt and Adelson 1983): ``weight`` 1 takes ``first``, 0 takes ``second``.

    Low frequencies are mixed over wide bands, high ones over narrow bands, so that neither a seam nor a ghost shows. Pictures are (H, W, 3) on a
    0..255 scale; the result is float32 and may overshoot that range by a little.
    """
    levels = max(0, min(levels, int(np.log2(max(2, min(weight.shape)))) - 2))
    a, b, w = first.astype(np.float32), second.astype(np.float32), weight.astype(np.float32)
    bands: list[npt.NDArray[np.float32]] = []
    for _ in range(levels):
        size = (a.shape[1], a.shape[0])
        a_low, b_low, w_low = cv2.pyrDown(a), cv2.pyrDown(b), cv2.pyrDown(w)
        detail_a = a - cv2.pyrUp(a_low, dstsize=size)
        detail_b = b - cv2.pyrUp(b_low, dstsize=size)
        bands.append(detail_b + w[..., None] * (detail_a - detail_b))
        a, b, w = a_low, b_low, w_low
    result = b + w[..., None] * (a - b)
    for band in reversed(bands):
        result = cv2.pyrUp(result, dstsize=(band.shape[1], band.shape[0])) + band
    return np.asarray(result, dtype=np.float32)

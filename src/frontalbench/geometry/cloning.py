"""A part of one image set into another so that no seam shows (Poisson image editing; Perez, Gangnet, Blake 2003), by OpenCV's ``seamlessClone``."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench.images import RGB

LEAST = 10
"""A mask that is not wider and higher than this, in pixels, changes nothing (FSGANv2's rule)."""
_FRAME = 2


def cloned(image: RGB, target: RGB, mask: npt.NDArray[np.bool_]) -> RGB:
    """``target`` with the gradients of ``image`` within ``mask`` and its own colours at the mask's border; all of one size (H, W).

    The same as the image that FSGANv2's blending network is trained towards. Where the mask reaches the edge of the image, the target goes on
    beyond it as it ends there.
    """
    y, x = np.nonzero(mask)
    if not len(x) or np.ptp(x) + 1 <= LEAST or np.ptp(y) + 1 <= LEAST:
        return target.copy()
    edges = (_FRAME,) * 4
    wide = [cv2.copyMakeBorder(np.ascontiguousarray(one), *edges, cv2.BORDER_REPLICATE) for one in (image, target)]
    where = cv2.copyMakeBorder((255 * mask).astype(np.uint8), *edges, cv2.BORDER_CONSTANT, value=0)
    # OpenCV puts the middle of the mask's box at the given point.
    centre = (int(x.min() + (np.ptp(x) + 1) // 2) + _FRAME, int(y.min() + (np.ptp(y) + 1) // 2) + _FRAME)
    made = cv2.seamlessClone(wide[0], wide[1], where, centre, cv2.NORMAL_CLONE)
    return np.ascontiguousarray(made[_FRAME:-_FRAME, _FRAME:-_FRAME], np.uint8)

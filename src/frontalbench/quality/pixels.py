"""Full-reference and no-reference measures of aligned crops.

All crops are the 112 x 112 crops of :mod:`frontalbench.geometry.similarity`, so the eyes, the nose and the mouth of output and reference lie in the
same places whatever the size of the images was. A difference in light, expression or hair counts here as much as a wrong face does: these measures
say how alike two *images* are, not how alike two people.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from skimage.metrics import structural_similarity  # not its PSNR: that imports scipy.stats, most of a short job's start

from frontalbench.errors import BadInput
from frontalbench.geometry.oval import FACE_AXES, FACE_CENTRE
from frontalbench.images import RGB
from frontalbench.types import Bool, UInt8


@dataclass(frozen=True)
class Likeness:
    """``ssim`` -1 .. 1 and ``psnr`` in dB (NaN for equal images), higher is better, over the whole crop and over the face mask."""

    ssim: float
    psnr: float
    ssim_face: float
    psnr_face: float


@lru_cache(maxsize=4)
def face_mask(side: int) -> Bool:
    """bool (side, side): the pixels of an aligned crop that belong to the face of the template."""
    y, x = np.mgrid[:side, :side] * (112.0 / side)
    mask: Bool = ((x - FACE_CENTRE[0]) / FACE_AXES[0]) ** 2 + ((y - FACE_CENTRE[1]) / FACE_AXES[1]) ** 2 <= 1.0
    mask.setflags(write=False)
    return mask


def likeness(image: RGB, reference: RGB) -> Likeness:
    """SSIM of the luminance (Wang et al. 2004: Gaussian window of 1.5 pixels) and PSNR of the colours of two aligned crops of one size.

    Raises :class:`BadInput` for crops of different sizes.
    """
    if image.shape != reference.shape:
        raise BadInput(f"crops of different sizes: {image.shape[:2]} and {reference.shape[:2]}; align both to the same template")
    _, scores = structural_similarity(
        *(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY) for crop in (reference, image)),
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    border = 5  # half of the 11 x 11 window: outside it a window would reach beyond the crop
    inside = scores[border:-border, border:-border]
    mask = face_mask(image.shape[0])
    return Likeness(
        ssim=float(inside.mean()),
        psnr=_psnr(reference, image),
        ssim_face=float(scores[mask].mean()),
        psnr_face=_psnr(reference[mask], image[mask]),
    )


def _psnr(reference: UInt8, image: UInt8) -> float:
    if np.array_equal(reference, image):
        return float("nan")
    apart = np.mean(np.square(reference.astype(np.float64) - image))
    return float(10.0 * np.log10(255.0**2 / apart))


def sharpness(crop: RGB) -> float:
    """Variance of the Laplacian of the grey crop's face (Pech-Pacheco et al. 2000); higher is sharper. Noise counts as sharpness too."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F)[face_mask(crop.shape[0])].var())

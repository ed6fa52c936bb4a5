"""The seam around a drawn face taken away: the face keeps its gradients and gets the level of its surroundings (Poisson image editing).

The face is the ellipse of the template, and around it lies a band in which the seam is taken to be. ``gradient`` solves for face and band at
once: in the face the gradients are its own, in the band too but for steps larger than ``step``, which are what a seam is made of. ``opencv``
fills face and band smoothly from the surroundings and clones the face into that with OpenCV's ``seamlessClone``: the band then holds no texture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from frontalbench import status
from frontalbench.catalogue.params import Params
from frontalbench.enhance import faces
from frontalbench.enhance.base import Refused, each, to_bytes
from frontalbench.frontalize.base import Outcome
from frontalbench.geometry import gradients
from frontalbench.images import RGB
from frontalbench.types import Bool, Float

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.detect.base import Detector

METHODS: Final = ("gradient", "opencv")
_MOST: Final = 320
"""Longer side in pixels of the part that is solved for; of a larger one only the correction, which is smooth, is enlarged."""


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Blend:
    """The enhancement of a card of family ``blend``; its ``uses`` names one detector card.

    Params: ``method`` gradient or opencv; ``face``: size of the ellipse that keeps its gradients, ``band``: width of the band around it, both in
    radii of the template's face; ``step`` in grey levels: larger ones in the band belong to the seam (gradient only).
    """
    from frontalbench.catalogue import families

    params = Params(card)
    method = params.choice("method", METHODS)
    face, band = params.number("face", low=0.3, high=2), params.number("band", low=0.02, high=1)
    step = params.number("step", low=0, high=255) if method == "gradient" else 0.0
    params.finish()
    detector: Detector = families.load(card.the("detector"), threads=threads, device=device)
    return Blend(card.name, detector, method=method, face=face, band=band, step=step)


class Blend:
    """See the module. Outside of the band nothing changes; an image without a face has status ``no_face``."""

    def __init__(self, name: str, detector: Detector, *, method: str, face: float = 1.0, band: float = 0.2, step: float = 8.0) -> None:
        self.name = name
        self._detector, self._method, self._face, self._band, self._step = detector, method, face, band, step

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        return each(images, self._blend)

    def _blend(self, image: RGB) -> RGB:
        points = faces.found(self._detector, image)
        region = faces.face_region(image.shape, points, grown=self._face, feather=self._band)
        face, both = region.weight >= 1.0, region.weight > 0.0
        if not face.any() or both.all():
            raise Refused("the face has no surroundings in the image to be blended into", status.MODEL_ERROR)
        own = image[region.where]
        small, face, both = _reduced(own, face, both)
        if both.all():
            raise Refused("the face has no surroundings in the image to be blended into", status.MODEL_ERROR)
        new = levelled(small, face, both, self._step) if self._method == "gradient" else cloned(small, face, both)
        change = new - small
        if small is not own:
            change = cv2.resize(change, own.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            change = change * (region.weight > 0.0)[..., None]
        result = image.copy()
        result[region.where] = to_bytes(own + change)
        return result


def _reduced(pixels: RGB, *masks: Bool) -> tuple[RGB, Bool, Bool]:
    longer = max(pixels.shape[:2])
    if longer <= _MOST:
        return pixels, masks[0], masks[1]
    size = (max(2, round(pixels.shape[1] * _MOST / longer)), max(2, round(pixels.shape[0] * _MOST / longer)))
    small = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    first, second = (cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) for mask in masks)
    return small, first > 0.5, second > 0.0


def levelled(pixels: RGB, face: Bool, both: Bool, step: float) -> Float:
    """Pixels (h, w, 3) with the region ``both`` solved for: gradients of the image, but in the band (``both`` without ``face``) and where it meets
    others none larger than ``step`` grey levels. Float64 on the scale 0..255."""
    wanted = []
    for own, within in zip(gradients.steps(pixels), (face[:, 1:] & face[:, :-1], face[1:] & face[:-1]), strict=True):
        wanted.append(np.where(within[..., None] | (np.abs(own).max(axis=-1, keepdims=True) <= step), own, 0.0))
    return gradients.solve(pixels, (wanted[0], wanted[1]), both)


def cloned(pixels: RGB, face: Bool, both: Bool) -> Float:
    """The same by OpenCV: the ``face`` cloned into ``both`` filled from its surroundings without any gradient. Float64 on the scale 0..255."""
    still = tuple(np.zeros_like(one) for one in gradients.steps(pixels))
    filled = to_bytes(gradients.solve(pixels, (still[0], still[1]), both))
    # OpenCV puts the middle of the mask's box at the given point, and wants a pixel of the target around it.
    y, x = np.nonzero(face)
    frame = 2
    wide = cv2.copyMakeBorder(filled, frame, frame, frame, frame, cv2.BORDER_REPLICATE)
    mask = (255 * face).astype(np.uint8)
    centre = (int(x.min() + (x.max() - x.min() + 1) // 2) + frame, int(y.min() + (y.max() - y.min() + 1) // 2) + frame)
    made = cv2.seamlessClone(np.ascontiguousarray(pixels), wide, mask, centre, cv2.NORMAL_CLONE)
    result: Float = made[frame:-frame, frame:-frame].astype(np.float64)
    return result

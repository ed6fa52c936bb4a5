"""The colours of the face as they are in the photograph (Reinhard et al. 2001, "Color Transfer between Images", eqs. 10-11, in CIE Lab)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.enhance import faces
from frontalbench.enhance.base import each_beside
from frontalbench.frontalize.base import Outcome
from frontalbench.images import RGB
from frontalbench.types import Float, Float32

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.detect.base import Detector


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Colour:
    """The enhancement of a card of family ``colour``; its ``uses`` names one detector card.

    Params: ``strength`` 0..1: how much of the way to the photograph's colours; ``most``: the largest factor by which a spread may change (and one
    over it the smallest).
    """
    from frontalbench.catalogue import families

    params = Params(card)
    strength, most = params.number("strength", low=0, high=1), params.number("most", low=1, high=10)
    params.finish()
    return Colour(card.name, families.load(card.the("detector"), threads=threads, device=device), strength=strength, most=most)


class Colour:
    """Mean and spread of the face's L, a and b as on the skin of the photograph; outside of the face nothing changes."""

    looks_at_photographs = True

    def __init__(self, name: str, detector: Detector, *, strength: float = 1.0, most: float = 2.0) -> None:
        self.name = name
        self._detector, self._strength, self._most = detector, strength, most

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        return self.enhance_beside(images, [None] * len(images))

    def enhance_beside(self, images: Sequence[RGB], photographs: Sequence[RGB | None]) -> list[Outcome]:
        return each_beside(images, photographs, self._match)

    def _match(self, image: RGB, photograph: RGB) -> RGB:
        upright, there = faces.in_photograph(self._detector, photograph, rough=True)
        here = faces.glanced(self._detector, image)
        wanted = statistics(upright, there)
        region = faces.face_region(image.shape, here)
        own = image[region.where]
        change = matched(own, statistics(image, here), wanted, most=self._most)
        change -= own
        change *= cv2.merge([np.float32(self._strength) * region.weight] * 3)
        change += own
        result = image.copy()
        result[region.where] = np.rint(change, out=change)  # between the two, so within 0..255
        return result


def statistics(image: RGB, points: Float) -> tuple[Float, Float]:
    """Mean (3,) and standard deviation (3,) of L (0..100), a and b on the skin around five points."""
    where, mask = faces.skin(image.shape, points)
    mean, spread = cv2.meanStdDev(lab(image[where]), mask=mask.astype(np.uint8))
    return mean[:, 0], spread[:, 0]


def matched(pixels: RGB, own: tuple[Float, Float], wanted: tuple[Float, Float], *, most: float) -> Float32:
    """Pixels (h, w, 3) moved and stretched in Lab so that colours of mean and spread ``own`` get those ``wanted``; float32 RGB on the scale 0..255.

    No spread changes by a larger factor than ``most``; one that is 0 stays.
    """
    factor = np.divide(wanted[1], own[1], out=np.ones(3), where=own[1] > 0)
    factor = np.clip(factor, 1.0 / most, most)
    values = lab(pixels)
    moved: Float32 = cv2.transform(values, np.column_stack([np.diag(factor), wanted[0] - factor * own[0]]).astype(np.float32), dst=values)
    np.clip(moved[..., 0], 0.0, 100.0, out=moved[..., 0])
    result: Float32 = cv2.cvtColor(moved, cv2.COLOR_Lab2RGB)
    np.clip(result, 0.0, 1.0, out=result)
    result *= np.float32(255.0)
    return result


def lab(pixels: RGB) -> Float32:
    """sRGB (h, w, 3) as CIE Lab, white D65: L 0..100, a and b about -127..127; float32."""
    values = pixels.astype(np.float32)
    values *= np.float32(1.0 / 255.0)
    result: Float32 = cv2.cvtColor(values, cv2.COLOR_RGB2Lab)
    return result

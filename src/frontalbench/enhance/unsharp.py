"""Unsharp masking of the luminance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.enhance.base import each, to_bytes
from frontalbench.frontalize.base import Outcome
from frontalbench.images import RGB

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

_LUMA: Final = np.array([[0.299, 0.587, 0.114]], np.float32)  # ITU-R BT.601
_SMALLEST_SIGMA: Final = 0.5  # pixels; a narrower Gaussian is no blur at all


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Unsharp:
    """The enhancement of a card of family ``unsharp``.

    Params: ``sigma`` in pixels of an image whose longer side is ``side``; ``side``; ``amount``; ``threshold`` in grey levels.
    """
    params = Params(card)
    result = Unsharp(
        card.name,
        sigma=params.number("sigma", low=0.1, high=50),
        side=params.integer("side"),
        amount=params.number("amount", low=0, high=10),
        threshold=params.number("threshold", low=0, high=255),
    )
    params.finish()
    return result


class Unsharp:
    """Adds what a Gaussian blur takes from the luminance. Colour differences stay as they were (until a channel clips)."""

    def __init__(self, name: str, *, sigma: float, side: int, amount: float, threshold: float) -> None:
        self.name = name
        self._sigma, self._side, self._amount, self._threshold = sigma, side, amount, threshold

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        return each(images, self._sharpen)

    def _sharpen(self, image: RGB) -> RGB:
        pixels = image.astype(np.float32)
        luma = cv2.transform(pixels, _LUMA)
        # The same sharpening for the same face, however many pixels it has.
        sigma = max(_SMALLEST_SIGMA, self._sigma * max(image.shape[:2]) / self._side)
        detail = luma - cv2.GaussianBlur(luma, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        # A soft threshold: a hard one would leave a step of its own height around every edge.
        detail = np.sign(detail) * np.maximum(np.abs(detail) - self._threshold, 0.0)
        return to_bytes(pixels + self._amount * detail.reshape(*image.shape[:2], 1))

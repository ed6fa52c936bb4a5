"""The person before another background: one colour, the background's own mean, or the background out of focus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, Protocol

import cv2
import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.enhance.base import Refused, each, to_bytes
from frontalbench.frontalize.base import Outcome
from frontalbench.images import RGB
from frontalbench.types import Float32

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.enhance.matting import Matte


FILLS: Final = ("constant", "mean", "blurred")
_SURE: Final = 0.05
"""What the matte gives less of than this is background without a doubt: its colours are the background's."""


class Matting(Protocol):
    """Anything that tells the person from the background."""

    def matte(self, image: RGB) -> Matte: ...


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> OmitBackground:
    """The enhancement of a card of family ``background``; its ``uses`` names one matting card.

    Params: ``fill`` constant, mean (of the image's own background) or blurred; ``colour`` R, G, B (0..255; constant only); ``sigma`` of the blur in
    longer sides of the image (blurred only); ``smallest``: a matte that covers less than this share is empty.
    """
    from frontalbench.catalogue import families

    params = Params(card)
    fill, smallest = params.choice("fill", FILLS, FILLS[0]), params.number("smallest", low=0, high=1)
    colour = params.numbers("colour", 3) if fill == "constant" else (0.0,) * 3
    sigma = params.number("sigma", low=0.001, high=1) if fill == "blurred" else 0.0
    params.finish()
    model: Matting = families.load(card.the("matting"), threads=threads, device=device)
    return OmitBackground(card.name, model, fill=fill, colour=colour, sigma=sigma, smallest=smallest)


class OmitBackground:
    """Lays the person over another background; hair and other half-covered pixels are mixed by the matte."""

    def __init__(
        self,
        name: str,
        matting: Matting,
        *,
        colour: Sequence[float] = (0, 0, 0),
        smallest: float,
        fill: str = "constant",
        sigma: float = 0.0,
    ) -> None:
        self.name = name
        self._matting, self._smallest, self._fill, self._sigma = matting, smallest, fill, sigma
        self._colour = np.asarray(colour, np.float32)

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        return each(images, self._omit)

    def _omit(self, image: RGB) -> RGB:
        matte = self._matting.matte(image)
        cover = float(matte.mean())
        if not cover >= self._smallest:  # also true for NaN
            raise Refused(f"no person found: the matte covers {cover:.1%} of the image")
        pixels = image.astype(np.float32)
        behind = self._behind(pixels, matte)
        return to_bytes(behind + matte[..., None] * (pixels - behind))

    def _behind(self, pixels: Float32, matte: Matte) -> Float32:
        """What is laid behind the person: (3,) or (H, W, 3)."""
        if self._fill == "constant":
            return self._colour
        sure = matte < _SURE
        if not sure.any():
            raise Refused("no background found: the matte covers the whole image")
        if self._fill == "mean":
            mean: Float32 = pixels[sure].mean(axis=0, dtype=np.float64).astype(np.float32)
            return mean
        # Averaged over the background alone, so that no colour of the person bleeds into it.
        sigma = max(0.5, self._sigma * max(matte.shape))
        small = max(1, int(sigma / 4))  # a wide blur needs few pixels
        size = (max(1, round(matte.shape[1] / small)), max(1, round(matte.shape[0] / small)))
        weight = sure.astype(np.float32)[..., None]
        parts = [cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in (pixels * weight, weight)]
        total, share = (cv2.GaussianBlur(one, (0, 0), sigma / small, borderType=cv2.BORDER_REPLICATE) for one in parts)
        mean = pixels[sure].mean(axis=0, dtype=np.float64).astype(np.float32)
        few = np.float32(1e-3)  # where no background is near, its mean
        mixed = (total + few * mean) / (share[..., None] + few)
        blurred: Float32 = cv2.resize(mixed, matte.shape[1::-1], interpolation=cv2.INTER_LINEAR).reshape(pixels.shape)
        return blurred

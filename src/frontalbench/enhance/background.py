"""The person on a plain background."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.enhance.base import Refused, each, to_bytes
from frontalbench.frontalize.base import Outcome
from frontalbench.images import RGB

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.enhance.matting import Matte


class Matting(Protocol):
    """Anything that tells the person from the background."""

    def matte(self, image: RGB) -> Matte: ...


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> OmitBackground:
    """The enhancement of a card of family ``background``; its ``uses`` names one matting card.

    Params: ``colour`` R, G, B (0..255); ``smallest``: a matte that covers less than this share is empty.
    """
    from frontalbench.catalogue import families

    params = Params(card)
    colour, smallest = params.numbers("colour", 3), params.number("smallest", low=0, high=1)
    params.finish()
    model: Matting = families.load(card.the("matting"), threads=threads, device=device)
    return OmitBackground(card.name, model, colour=colour, smallest=smallest)


class OmitBackground:
    """Lays the person over one colour; hair and other half-covered pixels are mixed by the matte."""

    def __init__(self, name: str, matting: Matting, *, colour: Sequence[float], smallest: float) -> None:
        self.name = name
        self._matting, self._smallest = matting, smallest
        self._colour = np.asarray(colour, np.float32)

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        return each(images, self._omit)

    def _omit(self, image: RGB) -> RGB:
        matte = self._matting.matte(image)
        cover = float(matte.mean())
        if not cover >= self._smallest:  # also true for NaN
            raise Refused(f"no person found: the matte covers {cover:.1%} of the picture")
        return to_bytes(self._colour + matte[..., None] * (image.astype(np.float32) - self._colour))

"""Less noise, edges kept: non-local means (Buades et al. 2005) or a bilateral filter (Tomasi and Manduchi 1998)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.enhance.base import each
from frontalbench.frontalize.base import Outcome
from frontalbench.images import RGB

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

METHODS: Final = ("nlmeans", "bilateral")


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Denoise:
    """The enhancement of a card of family ``denoise``.

    Params: ``method`` nlmeans or bilateral; ``strength`` in grey levels: noise of about this standard deviation goes; ``colour``: the same for the
    colours (nlmeans only); ``reach`` in pixels: how far around a pixel others like it are looked for.
    """
    params = Params(card)
    method = params.choice("method", METHODS)
    result = Denoise(
        card.name,
        method=method,
        strength=params.number("strength", low=0, high=100),
        colour=params.number("colour", low=0, high=100) if method == "nlmeans" else 0.0,
        reach=params.integer("reach", low=1),
    )
    params.finish()
    return result


class Denoise:
    """See the module; strength 0 changes nothing."""

    def __init__(self, name: str, *, method: str, strength: float, colour: float, reach: int) -> None:
        self.name = name
        self._method, self._strength, self._colour, self._reach = method, strength, colour, reach

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        return each(images, self._clean)

    def _clean(self, image: RGB) -> RGB:
        if self._strength == 0 and self._colour == 0:
            return image
        # OpenCV's filters mirror at the border and want more pixels than they reach.
        reach = min(self._reach, max(1, min(image.shape[:2]) - 1))
        frame = reach + 4
        wide = cv2.copyMakeBorder(image, frame, frame, frame, frame, cv2.BORDER_REPLICATE)
        if self._method == "nlmeans":
            clean = cv2.fastNlMeansDenoisingColored(
                np.ascontiguousarray(wide[..., ::-1]), None, self._strength, self._colour, 7, 2 * reach + 1
            )
            clean = clean[..., ::-1]
        else:
            clean = cv2.bilateralFilter(wide, 2 * reach + 1, 3.0 * self._strength, reach / 2.0)
        return np.ascontiguousarray(clean[frame : frame + image.shape[0], frame : frame + image.shape[1]])

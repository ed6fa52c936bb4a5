"""Borders that warping left, found and painted over: one flat colour (what lay beyond the photograph), or its edge pixels drawn out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.enhance.base import each
from frontalbench.errors import BadConfig
from frontalbench.frontalize.base import Outcome
from frontalbench.images import RGB
from frontalbench.types import Bool

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

_WIDE: Final = 3
"""A flat part less wide than this many pixels anywhere is the edge of a shadow, not a border."""
_COARSE: Final = 256
"""Longer side in pixels of the image in which a large border is painted first: the colours of a wide band need no more."""


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Border:
    """The enhancement of a card of family ``border``.

    Params: ``colours``: list of R, G, B that a warp fills with; ``smallest``, ``largest``: share of the image that such a border covers; ``smear``:
    pixels over which the edge must be drawn out to count, 0: such borders are left; ``radius``: pixels around a place that it is painted from.
    """
    params = Params(card).elsewhere("colours")
    result = Border(
        card.name,
        colours=_colours(card),
        smallest=params.number("smallest", low=0, high=1),
        largest=params.number("largest", low=0, high=1),
        smear=params.integer("smear", low=0),
        radius=params.number("radius", low=1, high=50),
    )
    params.finish()
    return result


def _colours(card: ModelCard) -> list[tuple[int, int, int]]:
    listed = card.params.get("colours")
    found = []
    for value in listed if isinstance(listed, Sequence) and not isinstance(listed, str) else [None]:
        numbers = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
        if len(numbers) != 3 or not all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 255 for v in numbers):
            raise BadConfig(f"{card.path}: params.colours should be a list of R, G, B from 0 to 255, is {listed!r}")
        found.append((numbers[0], numbers[1], numbers[2]))
    return found


class Border:
    """Paints borders over (Telea 2004, "An image inpainting technique based on the fast marching method"); an image without any stays as it is."""

    def __init__(
        self, name: str, *, colours: Sequence[tuple[int, int, int]], smallest: float, largest: float, smear: int, radius: float
    ) -> None:
        self.name = name
        self._colours, self._smallest, self._largest = tuple(colours), smallest, largest
        self._smear, self._radius = smear, radius

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        return each(images, self._paint)

    def _paint(self, image: RGB) -> RGB:
        border = flat(image, self._colours, smallest=self._smallest, largest=self._largest)
        if self._smear:
            drawn = smeared(image, self._smear)
            if self._smallest <= drawn.mean() <= self._largest:
                border |= drawn
        return painted(image, border, self._radius) if border.any() and not border.all() else image


def flat(image: RGB, colours: Sequence[tuple[int, int, int]], *, smallest: float, largest: float) -> Bool:
    """bool (H, W): parts of exactly one of ``colours`` that touch the image's edge; each covers ``smallest`` to ``largest`` of the image."""
    height, width = image.shape[:2]
    found = np.zeros((height, width), bool)
    for colour in colours:
        same = (image == np.asarray(colour, np.uint8)).all(axis=-1)
        if not (same[0].any() or same[-1].any() or same[:, 0].any() or same[:, -1].any()):
            continue
        count, labels, stats, _ = cv2.connectedComponentsWithStats(same.astype(np.uint8), connectivity=4)
        for part in range(1, count):
            x, y, w, h, area = stats[part]
            touches = x == 0 or y == 0 or x + w == width or y + h == height
            if touches and min(w, h) >= min(_WIDE, width, height) and smallest <= area / (height * width) <= largest:
                found |= labels == part
    return found


def smeared(image: RGB, least: int) -> Bool:
    """bool (H, W): the image's edge pixels drawn inwards unchanged over at least ``least`` pixels, along most of a side.

    A plain wall looks the same; painting it over gives the wall again.
    """
    found = np.zeros(image.shape[:2], bool)
    # Each side as the left one of a view of the image; what is marked in the view of the mask is marked in the mask.
    for view, mask in (
        (image, found),
        (image[:, ::-1], found[:, ::-1]),
        (image.swapaxes(0, 1), found.T),
        (image[::-1].swapaxes(0, 1), found[::-1].T),
    ):
        if min(view.shape[:2]) < 2:
            continue
        same = (view[:, 1:] == view[:, :1]).all(axis=-1)
        length = np.where(same.all(axis=1), same.shape[1], np.argmin(same, axis=1))
        long = length >= least
        varied = np.abs(np.diff(view[:, 0].astype(int), axis=0)).sum() > len(view)  # the edge itself is no flat colour
        if not varied or long.mean() < 0.5:
            continue
        mask |= (np.arange(view.shape[1]) <= length[:, None]) & long[:, None]
    return found


def painted(image: RGB, border: Bool, radius: float) -> RGB:
    """``image`` with ``border``, and the pixel around it that was mixed with it, painted from its surroundings."""
    mask = cv2.dilate(border.astype(np.uint8), np.ones((3, 3), np.uint8))
    if mask.all():
        return image
    height, width = mask.shape
    longer = max(height, width)
    if longer > _COARSE:
        size = (max(1, round(width * _COARSE / longer)), max(1, round(height * _COARSE / longer)))
        small_mask = (cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0).astype(np.uint8)
        if not small_mask.all():
            small = cv2.inpaint(
                cv2.resize(image, size, interpolation=cv2.INTER_AREA), small_mask, max(1.0, radius * _COARSE / longer), cv2.INPAINT_TELEA
            )
            coarse = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
            # Next to what is there, in all pixels; further out, the coarse one will do.
            near = cv2.dilate(1 - mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(radius) + 1,) * 2)) * mask
            result = np.where(mask[..., None] > 0, coarse, image)
            return np.asarray(cv2.inpaint(result, near, radius, cv2.INPAINT_TELEA), np.uint8)
    return np.asarray(cv2.inpaint(image, mask, radius, cv2.INPAINT_TELEA), np.uint8)

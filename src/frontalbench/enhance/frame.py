"""Every face in the same place: eyes, nose and mouth where the crop that judges see has them (the ArcFace template)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.enhance import faces
from frontalbench.enhance.base import each
from frontalbench.frontalize.base import Outcome
from frontalbench.geometry.similarity import ARCFACE_SIZE, ARCFACE_TEMPLATE, apply, estimate_similarity
from frontalbench.images import RGB
from frontalbench.types import Float

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.detect.base import Detector


_LOOK: Final = 256
"""Network pixels of the longer side. The face fills these images: its points change no more from here to 320 than from there to any other size, at
seven tenths of the time."""


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Frame:
    """The enhancement of a card of family ``frame``; its ``uses`` names one detector card.

    Params: ``share``: side of the template's square in shorter sides of the image, which it lies in the middle of; ``near``: pixels of the
    112-pixel crop that a point of its border may be off before anything is moved.
    """
    from frontalbench.catalogue import families

    params = Params(card)
    share, near = params.number("share", low=0.1, high=1), params.number("near", low=0, high=10)
    params.finish()
    return Frame(card.name, families.load(card.the("detector"), threads=threads, device=device), share=share, near=near)


class Frame:
    """Moves, turns in the plane and scales the whole image; what comes in from beyond its border is mirrored."""

    def __init__(self, name: str, detector: Detector, *, share: float = 0.55, near: float = 0.5) -> None:
        self.name = name
        self._detector, self._share, self._near = detector, share, near

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        return each(images, self._move)

    def _move(self, image: RGB) -> RGB:
        points = faces.glanced(self._detector, image, _LOOK)
        faces.to_crop(points)  # refuses points that determine no alignment
        height, width = image.shape[:2]
        place = template((width, height), self._share)
        matrix = estimate_similarity(points, place)
        corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], np.float64)
        pixel = self._share * min(width, height) / ARCFACE_SIZE  # of the crop, in pixels of the image
        if np.abs(apply(matrix, corners) - corners).max() <= self._near * pixel:
            return image
        return moved(image, matrix)


def template(size: tuple[int, int], share: float) -> Float:
    """Where the five points (5, 2) belong in an image of ``size`` (width, height)."""
    side = share * min(size)
    corner = (np.asarray(size, np.float64) - side) / 2.0
    # Pixel centres at integers: pixel x of the crop goes to (x + 0.5) f - 0.5.
    points: Float = (ARCFACE_TEMPLATE + 0.5) * (side / ARCFACE_SIZE) - 0.5 + corner
    return points


def moved(image: RGB, matrix: Float) -> RGB:
    """``image`` through the similarity ``matrix`` (2, 3) into an image of the same size; smoothed before it is shrunk."""
    height, width = image.shape[:2]
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if scale < 0.8:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.5 * np.sqrt(1.0 / scale**2 - 1.0)), np.uint8)
    # What lies beyond the border is laid out once: OpenCV asks for it pixel by pixel, at three times the cost of one inside.
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], np.float64)
    reached = cv2.transform(corners[None], cv2.invertAffineTransform(matrix))[0]
    left, top = np.maximum(0, np.ceil(2 - reached.min(axis=0))).astype(int)
    right, bottom = np.maximum(0, np.ceil(reached.max(axis=0) + 3 - (width, height))).astype(int)
    if max(left, right) < width and max(top, bottom) < height:
        image = np.asarray(cv2.copyMakeBorder(image, top, bottom, left, right, cv2.BORDER_REFLECT_101), np.uint8)
        matrix = np.column_stack([matrix[:, :2], matrix[:, 2] - matrix[:, :2] @ (left, top)])
    return np.asarray(cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101), np.uint8)

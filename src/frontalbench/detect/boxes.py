"""Box arithmetic that detectors share: suppression of overlaps, putting an image into the network's canvas, and the order of attempts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench.catalogue.params import Params
from frontalbench.detect.base import Detections
from frontalbench.images import RGB
from frontalbench.types import Float32

MOST_CANDIDATES: Final = 5000
"""Boxes above the threshold that enter the suppression of overlaps, best first (a crowd of 1,000 faces stays below it)."""


def suppress_overlaps(boxes: npt.NDArray[Any], scores: npt.NDArray[Any], overlap: float) -> npt.NDArray[np.intp]:
    """Greedy non-maximum suppression: indices of the boxes that stay, by falling score (stable on ties).

    ``boxes (N, 4)`` x1, y1, x2, y2 and ``scores (N,)``. A box goes when its intersection over union with a better one that stays is
    above ``overlap``. Both corner pixels count as inside of a box (width ``x2 - x1 + 1``), as in the reference detectors, so that
    results agree with theirs.
    """
    order = np.argsort(-scores, kind="stable")[:MOST_CANDIDATES]
    x1, y1, x2, y2 = boxes[order].T
    areas = (x2 - x1 + 1) * (y2 - y1 + 1)
    alive = np.ones(len(order), bool)
    kept: list[int] = []
    for i in range(len(order)):
        if not alive[i]:
            continue
        kept.append(i)
        width = np.minimum(x2[i], x2[i + 1 :]) - np.maximum(x1[i], x1[i + 1 :]) + 1
        height = np.minimum(y2[i], y2[i + 1 :]) - np.maximum(y1[i], y1[i + 1 :]) + 1
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        alive[i + 1 :] &= shared <= overlap * (areas[i] + areas[i + 1 :] - shared)
    return order[kept]


@dataclass(frozen=True)
class Canvas:
    """An image as the network gets it: ``pixels`` uint8 (H, W, 3) RGB, and the way back: image = (canvas - offset) / scale."""

    pixels: RGB
    scale: float
    offset: float

    def to_image(self, faces: Detections) -> Detections:
        """Detections in canvas pixels as detections in pixels of the image."""
        shift, factor = np.float32(self.offset), np.float32(self.scale)
        return Detections((faces.boxes - shift) / factor, faces.scores, (faces.points - shift) / factor)


def place(
    image: RGB, longest: int, *, border: float = 0.0, multiple: int = 32, side: int | None = None, fill: tuple[int, int, int] = (0, 0, 0)
) -> Canvas:
    """``image`` scaled so that its longer side, with a border of ``border`` times that side all around, is ``longest`` pixels.

    The scaled image lies at the top left of the canvas (after the border); the canvas is ``fill`` elsewhere. It is ``side`` pixels square where the
    network wants that, else as small as multiples of ``multiple`` allow.
    """
    height, width = image.shape[:2]
    inner = max(1, int(longest / (1 + 2 * border)))
    offset = (longest - inner) // 2
    # Truncation to whole pixels and one common scale (that of the height) follow insightface, with which results are compared.
    aspect = height / width
    new_height, new_width = (inner, max(1, int(inner / aspect))) if aspect > 1 else (max(1, int(inner * aspect)), inner)
    scale = new_height / height
    scaled = (
        image if (new_height, new_width) == (height, width) else cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR)
    )
    rows, columns = (side, side) if side else (_up(new_height + 2 * offset, multiple), _up(new_width + 2 * offset, multiple))
    if (rows, columns) == (new_height, new_width):
        return Canvas(np.ascontiguousarray(scaled), scale, 0.0)
    pixels = np.empty((rows, columns, 3), np.uint8)
    pixels[:] = fill
    pixels[offset : offset + new_height, offset : offset + new_width] = scaled
    return Canvas(pixels, scale, float(offset))


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


@dataclass(frozen=True)
class Sizing:
    """At which sizes a detector looks at an image, from the card's params. Results depend on it, so it is part of the card's digest.

    1. The image is scaled to ``sizes[0]`` pixels on its longer side (not enlarged beyond its own size unless ``enlarge``, or to reach
       ``sizes[0]``) and searched.
    2. While no face found is at least ``refine_below`` network pixels long, the next size is tried, if the image has more pixels to give. The last
       search that found a face counts.
    3. When no size shows a face, every size is tried with a border of ``border`` times the longer side around the image (0: never): a face that
       fills the image is larger than anything the detector was trained on, and the border makes it smaller and gives it surroundings.
    """

    sizes: tuple[int, ...] = (640,)
    refine_below: float = 0.0
    border: float = 0.5
    enlarge: bool = True

    @staticmethod
    def of(params: Params) -> Sizing:
        """From ``sizes``, ``refine_below``, ``border``, ``enlarge`` of a card. Raises :class:`~frontalbench.errors.BadConfig`."""
        return Sizing(
            params.integers("sizes", [640], low=32),
            params.number("refine_below", 0.0, low=0),
            params.number("border", 0.5, low=0, high=4),
            params.flag("enlarge", True),
        )

    def attempts(self, longest: int) -> Iterator[int]:
        """The sizes to try for an image whose longer side is ``longest`` pixels."""
        before = 0
        for size in self.sizes:
            now = size if self.enlarge else min(size, max(longest, self.sizes[0]))
            if now > before:
                yield now
            before = max(before, now)


Search = Callable[[RGB, int, float], tuple[Detections, float]]
"""(image, longest side in network pixels, border) -> detections in image pixels, network pixels per image pixel."""


def search(image: RGB, sizing: Sizing, look: Search) -> Detections:
    """Run ``look`` by the rules of ``sizing``."""
    found = Detections.none()
    sizes = list(sizing.attempts(max(image.shape[:2])))
    for size in sizes:
        faces, scale = look(image, size, 0.0)
        if len(faces):
            found = faces
            if _longest_side(faces.boxes) * scale >= sizing.refine_below:
                return found
    if not len(found) and sizing.border > 0:
        for size in sizes:
            found, _ = look(image, size, sizing.border)
            if len(found):
                break
    return found


def _longest_side(boxes: Float32) -> float:
    return float((boxes[:, 2:] - boxes[:, :2]).max())

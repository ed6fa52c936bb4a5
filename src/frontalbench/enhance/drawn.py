"""Enhancements in two steps: a network draws a face, then the drawn face is put into the image.

The network is nearly all of the cost, and cards that differ in the second step alone share what it drew (:mod:`frontalbench.catalogue.networks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from frontalbench.images import RGB
from frontalbench.types import Float, Float32

_STEPS = 4.0
"""What is kept of a value beside its nearest whole number: one of so many steps (2 bits a value, half of what the whole number takes as PNG)."""


@dataclass(frozen=True)
class Drawn:
    """A face that a network drew: ``pixels`` float32 (S, S, 3) RGB on the scale 0..255, ``matrix`` (2, 3) from the image's pixels to its own."""

    pixels: Float32
    matrix: Float


class Drawer(Protocol):
    """The first step."""

    def draw(self, image: RGB) -> Drawn:
        """Raises :class:`~frontalbench.enhance.base.Refused` for an image in which there is nothing to draw."""
        ...


class Finisher(Protocol):
    """The second step: it needs no weights."""

    def finish(self, image: RGB, drawn: Drawn) -> RGB:
        """``image`` with the drawn face in it."""
        ...


def packed(pixels: Float32) -> RGB:
    """Values 0..255 as an image twice as wide: rounded on the left, what rounding took away on the right. See :func:`unpacked`."""
    whole = np.clip(np.rint(pixels), 0, 255)
    rest = np.clip(np.floor((pixels - whole + np.float32(0.5)) * np.float32(_STEPS)), 0, _STEPS - 1)
    return np.ascontiguousarray(np.concatenate([whole, rest], axis=1).astype(np.uint8))


def unpacked(image: RGB) -> Float32:
    """The values of :func:`packed`, to an eighth of a grey level; rounded they are the same."""
    whole, rest = np.split(image.astype(np.float32), 2, axis=1)
    values: Float32 = whole + (rest + np.float32(0.5)) / np.float32(_STEPS) - np.float32(0.5)
    return values

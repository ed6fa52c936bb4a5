"""What every enhancement looks like from outside, and the frame that keeps one bad image from spoiling a batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from frontalbench import status
from frontalbench.errors import FrontalbenchError, raise_if_memory_ran_out
from frontalbench.frontalize.base import Outcome
from frontalbench.images import RGB


class Enhancement(Protocol):
    """Post-processing of an image: RGB in, RGB of the same height and width out."""

    @property
    def name(self) -> str:
        """The card's name, or the chain (``sharp+omit_bg``)."""
        ...

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        """One outcome per image (``uint8 (H, W, 3)`` RGB, any sizes), in order; an image that fails is a status, never an exception."""
        ...


@runtime_checkable
class Beside(Protocol):
    """An enhancement that looks at the photograph that the image was made of (never at a reference).

    ``looks_at_photographs``: of a chain, whether one of its steps does.
    """

    @property
    def looks_at_photographs(self) -> bool: ...

    def enhance_beside(self, images: Sequence[RGB], photographs: Sequence[RGB | None]) -> list[Outcome]:
        """As :meth:`Enhancement.enhance`; ``photographs``: one per image, of any size, None where it cannot be read."""
        ...


def looks_at_photographs(enhancement: Enhancement) -> bool:
    """Whether ``enhancement`` wants the photographs beside the images."""
    return isinstance(enhancement, Beside) and enhancement.looks_at_photographs


def apply(enhancement: Enhancement, images: Sequence[RGB], photographs: Sequence[RGB | None]) -> list[Outcome]:
    """One outcome per image, in order; ``photographs`` reach those enhancements that look at them."""
    return enhancement.enhance_beside(images, photographs) if isinstance(enhancement, Beside) else enhancement.enhance(images)


class Refused(FrontalbenchError):
    """This image cannot be enhanced; the message becomes the ``detail`` of its row, ``word`` (of :mod:`frontalbench.status`) its status."""

    def __init__(self, message: str, word: str = status.MODEL_ERROR) -> None:
        super().__init__(message)
        self.word = word


def each(images: Sequence[RGB], change: Callable[[RGB], RGB]) -> list[Outcome]:
    """``change`` on every image, timed; whatever it raises becomes ``model_error`` (or what :class:`Refused` says) for that image alone.

    A result of another shape or type than its image is an error of the enhancement, and counted the same way.
    """
    return [_one(image, change) for image in images]


def each_beside(images: Sequence[RGB], photographs: Sequence[RGB | None], change: Callable[[RGB, RGB], RGB]) -> list[Outcome]:
    """:func:`each` for a ``change`` of an image and its photograph; an image without a photograph is a ``model_error``."""

    def of(photograph: RGB | None) -> Callable[[RGB], RGB]:
        def changed(image: RGB) -> RGB:
            if photograph is None:
                raise Refused("the photograph that this image was made of is not at hand")
            return change(image, photograph)

        return changed

    return [_one(image, of(photograph)) for image, photograph in zip(images, photographs, strict=True)]


def _one(image: RGB, change: Callable[[RGB], RGB]) -> Outcome:
    start = time.perf_counter()
    try:
        result = change(image)
    except Refused as refused:
        return Outcome(None, refused.word, " ".join(str(refused).split())[:300])
    except Exception as error:  # noqa: BLE001 - OpenCV, ONNX Runtime and torch share no base class; a failed image is a row, not the end of a shard
        raise_if_memory_ran_out(error)
        return Outcome(None, status.MODEL_ERROR, " ".join(f"{type(error).__name__}: {error}".split())[:300])
    seconds = time.perf_counter() - start
    if result.shape != image.shape or result.dtype != np.uint8:
        return Outcome(None, status.MODEL_ERROR, f"the result is {result.dtype} {result.shape}, the image uint8 {image.shape}")
    return Outcome(result, status.OK, seconds=seconds)


def to_bytes(values: np.ndarray) -> RGB:
    """Real values on the scale 0..255, rounded and clipped to uint8."""
    pixels: RGB = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels

"""MODNet (Ke et al. 2022, "MODNet: Real-Time Trimap-Free Portrait Matting via Objective Decomposition"): how much of each pixel is the person."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench.catalogue.params import Params
from frontalbench.images import RGB
from frontalbench.runtime import sessions as runtime

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

STRIDE: Final = 32
"""Both sides of the network's input must be multiples of this."""
_LONGEST: Final = 4 * 512  # a panorama scaled by its short side alone would not fit into memory

Matte = npt.NDArray[np.float32]
"""``float32 (H, W)``, 0 background to 1 person."""


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Modnet:
    """The matting model of a card of family ``modnet``.

    Params: ``side``: shorter side that an image is scaled to.
    """
    from frontalbench.weights import store

    params = Params(card)
    side = params.integer("side", low=STRIDE)
    params.finish()
    return Modnet(store.fetch(card), side=side, threads=threads, device=device)


def input_size(width: int, height: int, side: int) -> tuple[int, int]:
    """(width, height) that an image of ``width`` x ``height`` is scaled to: shorter side about ``side``, longer at most 2,048, multiples of 32."""
    factor = min(side / min(width, height), max(_LONGEST, side) / max(width, height))
    return tuple(max(STRIDE, round(length * factor / STRIDE) * STRIDE) for length in (width, height))  # type: ignore[return-value]


class Modnet:
    """Portrait matting without hints."""

    def __init__(self, model: str | os.PathLike[str], *, side: int = 512, threads: int = 1, device: str = "cpu") -> None:
        self._side = side
        self._session = runtime.onnx_session(model, threads=threads, device=device)
        self._input = self._session.get_inputs()[0].name

    def matte(self, image: RGB) -> Matte:
        """The matte of ``image`` (``uint8 (H, W, 3)`` RGB), in its own size."""
        height, width = image.shape[:2]
        size = input_size(width, height, self._side)
        shrinks = size[0] < width
        scaled = cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        blob = scaled.astype(np.float32).transpose(2, 0, 1)[None] / np.float32(127.5) - np.float32(1.0)
        matte = runtime.run(self._session, None, {self._input: np.ascontiguousarray(blob)})[0].reshape(size[1], size[0])
        back = cv2.resize(matte, (width, height), interpolation=cv2.INTER_LINEAR if shrinks else cv2.INTER_AREA)
        result: Matte = np.clip(back, 0.0, 1.0).astype(np.float32)
        return result

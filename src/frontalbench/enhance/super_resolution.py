"""Super-resolution by a network, and back to the image's own size: cleaner edges and skin in as many pixels as before."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench.catalogue.params import Params
from frontalbench.enhance.base import each, to_bytes
from frontalbench.errors import BadInput
from frontalbench.frontalize.base import Outcome
from frontalbench.images import RGB
from frontalbench.runtime import sessions as runtime
from frontalbench.types import Float32

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

ENGINES: Final = ("onnxruntime", "openvino")
Network = Callable[[Float32], npt.NDArray[Any]]
"""Images (1, 3, H, W) in 0..1 -> images (1, 3, scale H, scale W)."""


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> SuperResolution:
    """The enhancement of a card of family ``super_resolution``.

    Params: ``scale`` of the network; ``longest``: images with a longer side are first reduced to it; ``tile``: what is larger than this many
    pixels a side goes through in tiles; ``overlap``: pixels of surroundings that every tile sees besides its own; ``engine``: onnxruntime, or
    openvino (needs the extra ``synth``; CPU only): the same image to a level, faster on many processors (docs/speed.md).
    """
    from frontalbench.weights import store

    params = Params(card)
    scale, longest = params.integer("scale", low=2), params.integer("longest", low=16)
    tile, overlap = params.integer("tile", low=16), params.integer("overlap", low=0)
    engine = params.choice("engine", ENGINES, ENGINES[0])
    params.finish()
    options: dict[str, Any] = {"scale": scale, "longest": longest, "tile": tile, "overlap": overlap, "engine": engine}
    return SuperResolution(card.name, store.fetch(card), **options, threads=threads, device=device)


class SuperResolution:
    """An image-to-image ONNX network: one RGB input (1, 3, H, W) in 0..1, one output (1, 3, scale H, scale W) in 0..1."""

    def __init__(
        self,
        name: str,
        model: str | os.PathLike[str],
        *,
        scale: int = 4,
        longest: int = 256,
        tile: int = 256,
        overlap: int = 16,
        engine: str = "onnxruntime",
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        self.name = name
        self._scale, self._longest, self._tile, self._overlap = scale, longest, tile, overlap
        self._network = _by_openvino(model, threads, device) if engine == "openvino" else _by_onnxruntime(model, threads, device)
        made = self._run(np.zeros((16, 24, 3), np.float32)).shape
        if made != (16 * scale, 24 * scale, 3):
            raise BadInput(f"{model}: makes {made[1]} x {made[0]} of 24 x 16 pixels; the card says scale {scale}")

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        return each(images, self._renew)

    def _renew(self, image: RGB) -> RGB:
        height, width = image.shape[:2]
        factor = max(1.0, max(height, width) / self._longest)
        small = (max(1, round(width / factor)), max(1, round(height / factor)))
        pixels = image if factor == 1.0 else cv2.resize(image, small, interpolation=cv2.INTER_AREA)
        # Only as many pixels as are wanted in the end: every tile comes back reduced, and the large image never exists as a whole.
        kept = min(self._scale, int(np.ceil(factor)))

        def change(part: Float32) -> Float32:
            made = np.clip(self._run(part), 0.0, 1.0)
            size = (part.shape[1] * kept, part.shape[0] * kept)
            reduced: Float32 = made if kept == self._scale else cv2.resize(made, size, interpolation=cv2.INTER_AREA)
            return reduced

        made = in_tiles(pixels.astype(np.float32) / np.float32(255.0), change, self._tile, self._overlap, kept)
        if made.shape[:2] != (height, width):
            shrinks = made.shape[1] >= width
            made = cv2.resize(made, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4)
        return to_bytes(255.0 * made)

    def _run(self, pixels: Float32) -> npt.NDArray[Any]:
        output = self._network(np.ascontiguousarray(pixels.transpose(2, 0, 1)[None]))
        image: npt.NDArray[Any] = output[0].transpose(1, 2, 0)
        return image


def _by_onnxruntime(model: str | os.PathLike[str], threads: int, device: str) -> Network:
    session = runtime.onnx_session(model, threads=threads, device=device)
    given = session.get_inputs()[0].name
    return lambda pixels: runtime.run(session, None, {given: pixels})[0]


def _by_openvino(model: str | os.PathLike[str], threads: int, device: str) -> Network:
    """Raises :class:`BadInput` when OpenVINO is not installed, cannot read the file, or a GPU is asked for."""
    if runtime.parse_device(device)[0] == "cuda":
        raise BadInput(f"engine: openvino computes on the CPU only, device '{device}' was asked for; leave the card's engine out")
    session = runtime.openvino_session(model, threads=threads)
    given = session.get_inputs()[0].name
    return lambda pixels: session.run(None, {given: pixels})[0]


def in_tiles(pixels: Float32, change: Callable[[Float32], Float32], tile: int, overlap: int, grown: int = 1) -> Float32:
    """``change`` on ``pixels`` (H, W, C), whole when no side is above ``tile``, else in tiles of about that size; (grown H, grown W, C).

    ``change`` makes both sides of what it is given ``grown`` times as long. Every tile is changed with up to ``overlap`` pixels of its
    surroundings, which are cut off again.
    """
    height, width, channels = pixels.shape
    if max(height, width) <= tile:
        return change(pixels)
    result = np.empty((height * grown, width * grown, channels), np.float32)
    for top, bottom in _spans(height, tile):
        for left, right in _spans(width, tile):
            y, x = max(0, top - overlap), max(0, left - overlap)
            made = change(pixels[y : min(height, bottom + overlap), x : min(width, right + overlap)])
            inner = made[(top - y) * grown : (bottom - y) * grown, (left - x) * grown : (right - x) * grown]
            result[top * grown : bottom * grown, left * grown : right * grown] = inner
    return result


def _spans(length: int, tile: int) -> Iterator[tuple[int, int]]:
    """Spans that cover 0..length in order, as few as possible, none longer than ``tile``, all about equally long."""
    count = -(-length // tile)
    edges = [round(i * length / count) for i in range(count + 1)]
    yield from pairwise(edges)

"""Face parsing: which part of a face or head each pixel belongs to, by BiSeNet; as a matte, what is not background."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import torch

from frontalbench.catalogue.params import Params
from frontalbench.enhance.matting import STRIDE, Matte
from frontalbench.errors import BadConfig
from frontalbench.images import RGB
from frontalbench.networks import checkpoints, precision
from frontalbench.networks.bisenet import CLASSES, BiSeNet
from frontalbench.runtime import sessions as runtime
from frontalbench.types import Float32

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

_MEAN: Final = np.array([0.485, 0.456, 0.406], np.float32)
_STD: Final = np.array([0.229, 0.224, 0.225], np.float32)
_SURE: Final = 1.0
"""Lead in the network's scores (natural logarithms of odds) from which a pixel is the person's, or the background's, without a doubt: what is in
doubt is then the 1 to 4 % of pixels along the outline, about as many as in MODNet's matte."""


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Parsing:
    """The matting model of a card of family ``bisenet``.

    Params: ``side``: pixels of the square that an image is scaled to (multiples of 32); ``parts``: numbers of the classes that belong to the person.
    """
    from frontalbench.weights import store

    params = Params(card)
    side, parts = params.integer("side", low=STRIDE), params.integers("parts", low=1)
    params.finish()
    if side % STRIDE or max(parts) >= CLASSES:
        raise BadConfig(f"{card.path}: params.side should be a multiple of {STRIDE}, params.parts numbers from 1 to {CLASSES - 1}")
    return Parsing(load_network(store.fetch(card), threads=threads), side=side, parts=parts, device=device)


def load_network(path: str | os.PathLike[str], *, threads: int = 1) -> BiSeNet:
    """The network filled from the public checkpoint, read as data only. Raises :class:`~frontalbench.errors.BadInput`."""
    torch.set_num_threads(max(1, threads))
    network = checkpoints.unfilled(BiSeNet)
    checkpoints.fill(network, checkpoints.load(path), path)
    return precision.lowered(network.eval().requires_grad_(False))


class Parsing:
    """See the module."""

    def __init__(self, network: torch.nn.Module, *, side: int = 512, parts: tuple[int, ...], device: str = "cpu") -> None:
        self._device = runtime.torch_device(device)
        self._network, self._side, self._parts = network.to(self._device), side, parts

    def probabilities(self, image: RGB) -> Float32:
        """float32 (side, side, 19): how likely each pixel of the image, scaled to a square, belongs to each class."""
        shrinks = min(image.shape[:2]) > self._side
        square = cv2.resize(image, (self._side, self._side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        blob = ((square.astype(np.float32) / 255.0 - _MEAN) / _STD).transpose(2, 0, 1)[None]
        with torch.inference_mode():
            scores = self._network(torch.from_numpy(np.ascontiguousarray(blob)).to(self._device))
            found: Float32 = scores.softmax(dim=1)[0].permute(1, 2, 0).float().cpu().numpy()
        return found

    def matte(self, image: RGB) -> Matte:
        """Where ``image`` (``uint8 (H, W, 3)`` RGB) shows the person, in its own size: 1 or 0 where the best part of the person beats the background
        by :data:`_SURE`, or loses by as much; in a line between.

        The probabilities themselves are no matte: this network gives .2 for parts of a person on a plain wall.
        """
        scores = np.log(np.maximum(self.probabilities(image), np.float32(1e-12)))
        person = list(self._parts)
        lead = scores[..., person].max(axis=-1) - np.delete(scores, person, axis=-1).max(axis=-1)
        back = cv2.resize(0.5 + lead / (2.0 * _SURE), image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        result: Matte = np.clip(back, 0.0, 1.0).astype(np.float32)
        return result

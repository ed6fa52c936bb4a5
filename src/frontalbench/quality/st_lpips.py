"""Shift-tolerant LPIPS (Ghildyal and Liu 2022, ECCV): a perceptual distance by a network of its own. Its numbers are *not* those of LPIPS.

An AlexNet whose strides are 1 with a blur before every step down, retrained together with its five weightings, so that a shift of a pixel costs
little. The distance of two crops is, layer by layer, the weighted squared difference of the channel-normalised features, averaged over the image
and summed over the layers; 0 for the same crop, lower is more alike.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from frontalbench.catalogue import families
from frontalbench.catalogue.params import Params
from frontalbench.errors import BadInput
from frontalbench.images import RGB
from frontalbench.networks import checkpoints, precision
from frontalbench.networks.st_lpips import Network
from frontalbench.quality.pixels import face_mask

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

_KEPT: Final = 16
"""Images whose features are kept: the crops of one person share a reference."""


class ShiftTolerant:
    """The distance, on the CPU."""

    def __init__(self, network: Network) -> None:
        self._network = network.eval().requires_grad_(False)
        self._features = functools.lru_cache(maxsize=_KEPT)(self._compute)

    def distance(self, crop: RGB, reference: RGB) -> tuple[float, float]:
        """(over the whole crop, inside the face mask) of two aligned crops of one size. The second is the mean of the stages' maps, brought to the
        crop's size with bilinear interpolation, over :func:`~frontalbench.quality.pixels.face_mask`. Raises :class:`BadInput` for other sizes."""
        if crop.shape != reference.shape or crop.shape[0] != crop.shape[1]:
            raise BadInput(f"crops of different sizes: {crop.shape[:2]} and {reference.shape[:2]}; align both to the same square template")
        side = crop.shape[0]
        first, second = (self._features(image.tobytes(), side) for image in (crop, reference))
        with torch.inference_mode():
            maps = self._network.maps(first, second)
            spread = sum(functional.interpolate(m, size=(side, side), mode="bilinear", align_corners=False) for m in maps)
            assert isinstance(spread, Tensor)
            return float(sum(m.mean() for m in maps)), float(spread[0, 0][torch.from_numpy(face_mask(side).copy())].mean())

    def _compute(self, data: bytes, side: int) -> list[Tensor]:
        image = torch.from_numpy(np.frombuffer(data, np.uint8).reshape(1, side, side, 3).transpose(0, 3, 1, 2).astype(np.float32))
        with torch.inference_mode():
            return self._network.features(image / 127.5 - 1.0)


def load(card: ModelCard, *, threads: int = 1) -> ShiftTolerant:
    """The measure of a card of family ``st_lpips`` (AlexNet trunk; no params). Raises :class:`~frontalbench.errors.WeightsMissing`."""
    torch.set_num_threads(max(1, threads))
    return ShiftTolerant(_network(card))


def distance_to(card: ModelCard, device: torch.device, *, reduced: int = 1) -> Callable[[Tensor], Callable[[Tensor], Tensor]]:
    """The distance over the whole crop with a gradient: crop (1, 3, S, S) in 0..255 -> (another of that size -> distance).

    ``reduced``: both are averaged over squares of so many pixels first, which saves its square of the time.
    """
    with families.computing(card, str(device)):
        network = _network(card).eval().requires_grad_(False).to(device)

    def seen(crop: Tensor) -> list[Tensor]:
        return network.features((functional.avg_pool2d(crop, reduced) if reduced > 1 else crop) / 127.5 - 1.0)

    def to(first: Tensor) -> Callable[[Tensor], Tensor]:
        with torch.no_grad():
            there = seen(first)
        return lambda second: torch.stack([one.mean() for one in network.maps(there, seen(second))]).sum()

    return to


def _network(card: ModelCard) -> Network:
    from frontalbench.weights import store

    Params(card).finish()
    path = store.fetch(card)
    network = checkpoints.unfilled(Network)
    checkpoints.fill(network, checkpoints.load(path), path)
    precision.lowered(network.net)
    return network

"""The features that FID and KID stand on, of crops: :mod:`frontalbench.networks.inception` with the weights of a TorchScript archive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from frontalbench.catalogue.params import Params
from frontalbench.networks import checkpoints
from frontalbench.networks.inception import LENGTH, Inception, ready
from frontalbench.networks.torchscript import read_torchscript
from frontalbench.runtime import sessions as runtime
from frontalbench.types import Float32, UInt8

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

_CHUNK: Final = 16


class Features:
    """The network on a device."""

    def __init__(self, network: Inception, *, device: str = "cpu") -> None:
        self._device = runtime.torch_device(device)
        self._network = ready(network) if self._device.type == "cpu" else network.eval().requires_grad_(False).to(self._device)

    def of(self, crops: UInt8) -> Float32:
        """float32 (N, 2048) of crops uint8 (N, H, W, 3) RGB; N may be 0."""
        found = [np.zeros((0, LENGTH), np.float32)]
        # no TF32: a GPU gives the CPU's features
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            for i in range(0, len(crops), _CHUNK):
                images = torch.from_numpy(np.ascontiguousarray(crops[i : i + _CHUNK].transpose(0, 3, 1, 2))).to(self._device).float()
                found.append(self._network(images).cpu().numpy())
        return np.concatenate(found)


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Features:
    """The network of a card of family ``inception`` (no params). Raises :class:`~frontalbench.errors.WeightsMissing`."""
    from frontalbench.weights import store

    Params(card).finish()
    path = store.fetch(card)
    torch.set_num_threads(max(1, threads))
    network = checkpoints.unfilled(Inception)
    checkpoints.fill(network, read_torchscript(path), path)
    return Features(network, device=device)

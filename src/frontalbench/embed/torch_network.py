"""What the recognition networks of our own share: crops in, embeddings out, by a torch module; the five points may be a second input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import nn

from frontalbench.errors import BadInput
from frontalbench.geometry.similarity import ARCFACE_SIZE, ARCFACE_TEMPLATE
from frontalbench.networks.inference import folded
from frontalbench.runtime import sessions as runtime
from frontalbench.types import Float32, UInt8

if TYPE_CHECKING:
    from frontalbench.catalogue.params import Params

CHUNK_CPU: Final = 8
CHUNK_GPU: Final = 128


def read_input(params: Params, *, mean: float = 127.5, std: float = 127.5, colour: str = "rgb") -> dict[str, Any]:
    """The params that all of these families have: ``dimension``; ``mean``, ``std`` (a number, or three in the network's colour order); ``colour`` rgb
    or bgr. Raises BadConfig."""
    params.choice("precision", ("float32",), "float32")
    return {
        "dimension": params.integer("dimension"),
        "mean": params.numbers("mean", 3, mean),
        "std": params.numbers("std", 3, std),
        "colour": params.choice("colour", ("rgb", "bgr"), colour),
    }


class TorchBackbone:
    """A backbone over a filled torch module, which is changed (:func:`~frontalbench.networks.inference.folded`) and float32 on every device.

    ``takes_points``: the module is called with the crops and with the points float32 (N, 5, 2), from 0 to 1 over the crop.
    """

    def __init__(
        self,
        name: str,
        network: nn.Module,
        *,
        dimension: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        colour: str = "rgb",
        takes_points: bool = False,
        device: str = "cpu",
    ) -> None:
        self.name, self.dimension, self.takes_points = name, dimension, takes_points
        if any(value == 0 for value in std):
            raise BadInput(f"{name}: std must not be 0; correct the card's params")
        self._mean, self._std, self._bgr = np.asarray(mean, np.float32), np.asarray(std, np.float32), colour == "bgr"
        self._device = runtime.torch_device(device)
        self._chunk = CHUNK_CPU if self._device.type == "cpu" else CHUNK_GPU
        self._network = folded(network.to(self._device))
        # Once before anybody calls from several threads: the first run lays the weights out for the processor.
        found = self.embed(np.random.default_rng(0).integers(0, 256, (1, ARCFACE_SIZE, ARCFACE_SIZE, 3), np.uint8))
        if not np.isfinite(found).all():
            raise BadInput(f"{name}: gives values that are not finite; fetch its weights again")

    def embed(self, crops: UInt8, points: Float32 | None = None) -> Float32:
        """See :meth:`frontalbench.embed.base.Backbone.embed`."""
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (ARCFACE_SIZE, ARCFACE_SIZE, 3):
            raise BadInput(f"{self.name}: crops should be uint8 (N, {ARCFACE_SIZE}, {ARCFACE_SIZE}, 3), are {crops.dtype} {crops.shape}")
        where = np.broadcast_to(ARCFACE_TEMPLATE, (len(crops), 5, 2)) if points is None else points
        if where.shape != (len(crops), 5, 2):
            raise BadInput(f"{self.name}: points should be ({len(crops)}, 5, 2), are {where.shape}")
        result = np.empty((len(crops), self.dimension), np.float32)
        for start in range(0, len(crops), self._chunk):
            rows = slice(start, start + self._chunk)
            given = [self._tensor(self._scaled(crops[rows]))]
            if self.takes_points:
                given.append(self._tensor((where[rows] / ARCFACE_SIZE).astype(np.float32)))
            with torch.inference_mode():
                found = self._network(*given).float().cpu().numpy()
            if found.shape[1:] != (self.dimension,):
                raise BadInput(
                    f"{self.name}: the card says dimension {self.dimension}, the network gives {found.shape[1]}; correct the card"
                )
            result[rows] = found
        return result

    def _scaled(self, crops: UInt8) -> Float32:
        ordered = crops[..., ::-1] if self._bgr else crops
        scaled: Float32 = np.ascontiguousarray(((ordered - self._mean) / self._std).transpose(0, 3, 1, 2), np.float32)
        return scaled

    def _tensor(self, values: Float32) -> torch.Tensor:
        return torch.from_numpy(values).to(self._device)

"""MobileStyleGAN in torch: the pair factory's source on a GPU.

The same network as :class:`~frontalbench.synth.mobilestylegan.Generator` (equal within 1e-3, ``tests/golden/test_mobilestylegan.py``), in batches, on
any device, in float32 or bfloat16.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from frontalbench.enhance.base import to_bytes
from frontalbench.images import RGB
from frontalbench.networks.mobilestylegan import Mapping, Synthesis
from frontalbench.networks.openvino_ir import Graph
from frontalbench.synth.mobilestylegan import CARD, COARSE_LAYERS, LATENT
from frontalbench.types import Float32


class TorchGenerator(nn.Module):
    """Both networks. Weights are not for training: no gradients are kept for them."""

    def __init__(self) -> None:
        """Fetches the weights if need be; OpenVINO is not needed. Raises :class:`~frontalbench.errors.WeightsMissing`."""
        super().__init__()
        from frontalbench.weights import store

        paths: dict[str, Path] = store.fetch_card(CARD)
        self.mapping = Mapping(Graph(paths["mapping_graph"], paths["mapping_weights"]))
        self.synthesis = Synthesis(Graph(paths["synthesis_graph"], paths["synthesis_weights"]))
        self.requires_grad_(False).eval()

    def styles(self, noise: Tensor) -> Tensor:
        """Styles (N, 512) of normal noise (N, 512)."""
        if noise.ndim != 2 or noise.shape[1] != LATENT:
            raise ValueError(f"noise: expected (N, {LATENT}), got {tuple(noise.shape)}")
        return cast(Tensor, self.mapping(noise))

    def forward(self, coarse: Tensor, fine: Tensor | None = None, size: int = 256) -> Tensor:
        """See :meth:`Synthesis.forward`."""
        return cast(Tensor, self.synthesis(coarse, fine, coarse_layers=COARSE_LAYERS, size=size))


class TorchDraws:
    """A :class:`TorchGenerator` that takes and gives NumPy arrays, as :class:`~frontalbench.synth.mobilestylegan.Generator` does."""

    def __init__(self, *, device: str = "cpu") -> None:
        """See :class:`TorchGenerator`; ``device``: cpu or cuda."""
        self._device = torch.device(device)
        self._generator = TorchGenerator().to(self._device)

    def style(self, noise: npt.NDArray[Any]) -> Float32:
        """The style (512,) of a noise vector (512,)."""
        with torch.inference_mode():
            return np.asarray(self._generator.styles(self._tensor(noise))[0].cpu().numpy(), np.float32)

    def render(self, coarse: npt.NDArray[Any], fine: npt.NDArray[Any], size: int = 256) -> RGB:
        """The image (``size``, ``size``, 3) of a style for the coarse layers and one for the fine layers."""
        with torch.inference_mode():
            image = self._generator(self._tensor(coarse), self._tensor(fine), size)[0]
        return to_bytes((image.clamp(-1.0, 1.0).permute(1, 2, 0).cpu().numpy() + 1.0) * 127.5)

    def _tensor(self, values: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.float32)[None]).to(self._device)

"""MobileStyleGAN (Belousov 2021) as a torch module, with the weights of the packaged OpenVINO files.

A constant of 4 x 4 pixels passes one convolution; seven layers double the size by an inverse Haar wavelet transform and pass two depth-wise
separable convolutions each; a last 1 x 1 convolution gives the wavelet coefficients of the image. Every convolution's input channels, and every
doubling's, are scaled by a linear function of the style. That is not :mod:`.stylegan2`'s convolution: nothing is demodulated here, and a depth-wise
convolution stands between scale and sum.
"""

from __future__ import annotations

from collections.abc import Mapping as Tensors
from collections.abc import Sequence
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks.openvino_ir import Graph

Module = TypeVar("Module", bound=nn.Module)

LAYERS = 7
STYLES = 2 + 3 * LAYERS
"""How often the synthesis network reads a style."""
SLOPE = 0.2


class Modulation(nn.Module):
    """Style (N, 512) -> factors (N, C, 1, 1)."""

    def __init__(self, graph: Graph, name: str, scale: float = 1.0) -> None:
        super().__init__()
        self.weight = _parameter(graph.constant(f"{name}.modulation.weight") * scale)
        self.bias = _parameter(graph.constant(f"{name}.modulation.bias").reshape(-1) * scale)

    def forward(self, style: Tensor) -> Tensor:
        return functional.linear(style, self.weight, self.bias)[:, :, None, None]


class Convolution(nn.Module):
    """Modulated convolution with bias; ``depthwise`` before it, fixed noise and leaky ReLU after it, where the network has them."""

    def __init__(self, graph: Graph, name: str) -> None:
        super().__init__()
        # Walk back from the bias: bias <- [noise] <- convolution <- [depth-wise convolution] <- factors * input, factors = scale * linear(style).
        place = graph.reader(graph.named(f"{name}.bias"))
        self.bias = _parameter(graph.constant(f"{name}.bias"))
        place = graph.other_input(place)
        noise = graph.constant_input(place) if graph.nodes[place].kind == "Add" else None
        if noise is not None:
            place = graph.other_input(place)
        self.noise = None if noise is None else _parameter(noise)
        self.weight = _parameter(_weights(graph, place))
        place = graph.nodes[place].inputs[0]
        depthwise = _weights(graph, place)[:, 0] if graph.nodes[place].kind == "GroupConvolution" else None
        self.depthwise = None if depthwise is None else _parameter(depthwise)
        if depthwise is not None:
            place = graph.nodes[place].inputs[0]
        scale = _weights(graph, graph.nodes[place].inputs[0])
        self.modulation = Modulation(graph, f"{name}.conv", float(scale.reshape(-1)[0]))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        x = x * self.modulation(style)
        if self.depthwise is not None:
            x = functional.conv2d(x, self.depthwise, padding=1, groups=x.shape[1])
        x = functional.conv2d(x, self.weight, padding=self.weight.shape[-1] // 2)
        if self.noise is None:
            return x + self.bias
        return functional.leaky_relu(x + self.noise.to(x.dtype) + self.bias.to(x.dtype), SLOPE)


class Layer(nn.Module):
    """Doubles the size, then two convolutions."""

    def __init__(self, graph: Graph, name: str) -> None:
        super().__init__()
        self.up = Modulation(graph, f"{name}.up")
        self.conv1, self.conv2 = Convolution(graph, f"{name}.conv1"), Convolution(graph, f"{name}.conv2")

    def forward(self, x: Tensor, styles: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        x = inverse_haar(x * self.up(styles[0]))
        return cast(Tensor, self.conv2(self.conv1(x, styles[1]), styles[2]))


class Synthesis(nn.Module):
    """Style -> image."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        self.start = _parameter(graph.constant("m.input.input"))
        self.conv1 = Convolution(graph, "m.conv1")
        self.layers = nn.ModuleList([Layer(graph, f"m.layers.{i}") for i in range(LAYERS)])
        self.to_image = Convolution(graph, f"m.layers.{LAYERS - 1}.to_img")

    def forward(self, coarse: Tensor, fine: Tensor | None = None, *, coarse_layers: int, size: int = 1024) -> Tensor:
        """Images (N, 3, ``size``, ``size``) RGB, about -1..1, of styles (N, 512); ``fine``: another style for the inputs after the
        first ``coarse_layers``, of all 23.

        ``size`` below 1024 leaves the last doubling out (its low band is the image at 512 pixels) and averages areas.
        """
        fine = coarse if fine is None else fine
        return self.drawn([*[coarse] * coarse_layers, *[fine] * (STYLES - coarse_layers)], size=size)

    def drawn(self, styles: Sequence[Tensor], *, size: int = 1024) -> Tensor:
        """As :meth:`forward`, of a style (N, 512) for each of the :data:`STYLES` inputs."""
        given = iter(styles)
        first = next(given)
        x = self.conv1(self.start.expand(len(first), -1, -1, -1), first)
        for layer in self.layers:
            x = layer(x, (next(given), next(given), next(given)))
        bands = self.to_image(x, next(given))
        if size == 1024:
            return inverse_haar(bands)
        return functional.adaptive_avg_pool2d(bands[:, :3] / 2.0, size)


class Mapping(nn.Module):
    """Normal noise (N, 512) -> style (N, 512): eight layers."""

    def __init__(self, graph: Graph) -> None:
        super().__init__()
        products = [place for place, node in graph.nodes.items() if node.kind == "MatMul"]
        self.weights = nn.ParameterList([_parameter(_weights(graph, place)) for place in products])
        self.biases = nn.ParameterList([_parameter(_weights(graph, graph.reader(place))) for place in products])

    def forward(self, noise: Tensor) -> Tensor:
        x = noise * torch.rsqrt(noise.square().mean(dim=1, keepdim=True) + 1e-8)
        for weight, bias in zip(self.weights, self.biases, strict=True):
            x = functional.leaky_relu(functional.linear(x, weight, bias.reshape(-1)), SLOPE) * 2.0**0.5
        return x


def inverse_haar(bands: Tensor) -> Tensor:
    """(N, 4C, H, W) -> (N, C, 2H, 2W): the first C channels are the low band, then three details for each channel."""
    n, channels, height, width = bands.shape
    low, details = bands[:, : channels // 4], bands[:, channels // 4 :].reshape(n, channels // 4, 3, height, width)
    first, second, third = details.unbind(2)
    above, below = low + first, low - first
    right_above, right_below = second + third, second - third
    rows = [
        torch.stack([above + right_above, above - right_above], -1),
        torch.stack([below + right_below, below - right_below], -1),
    ]
    return torch.stack(rows, -3).reshape(n, channels // 4, 2 * height, 2 * width) / 2.0


def _weights(graph: Graph, place: str) -> np.ndarray:
    found = graph.constant_input(place)
    assert found is not None, f"{graph.nodes[place].name} has no constant"
    return found


def _parameter(values: np.ndarray) -> nn.Parameter:
    return nn.Parameter(torch.from_numpy(np.array(values, np.float32)), requires_grad=False)


def synthesis_of(tensors: Tensors[str, Tensor]) -> Synthesis:
    """The synthesis network out of its own state dict (any float type), where the packaged files are not at hand. Raises KeyError for a tensor that
    is missing."""
    made = _bare(Synthesis)
    made.start = _kept(tensors["start"])
    made.conv1, made.to_image = _convolution_of(tensors, "conv1"), _convolution_of(tensors, "to_image")
    made.layers = nn.ModuleList()
    for number in range(LAYERS):
        layer = _bare(Layer)
        layer.up = _modulation_of(tensors, f"layers.{number}.up")
        layer.conv1, layer.conv2 = (_convolution_of(tensors, f"layers.{number}.{name}") for name in ("conv1", "conv2"))
        made.layers.append(layer)
    return made


def _convolution_of(tensors: Tensors[str, Tensor], place: str) -> Convolution:
    made = _bare(Convolution)
    made.bias, made.weight = _kept(tensors[f"{place}.bias"]), _kept(tensors[f"{place}.weight"])
    for name in ("noise", "depthwise"):
        value = tensors.get(f"{place}.{name}")
        setattr(made, name, None if value is None else _kept(value))
    made.modulation = _modulation_of(tensors, f"{place}.modulation")
    return made


def _modulation_of(tensors: Tensors[str, Tensor], place: str) -> Modulation:
    made = _bare(Modulation)
    made.weight, made.bias = _kept(tensors[f"{place}.weight"]), _kept(tensors[f"{place}.bias"])
    return made


def _bare(kind: type[Module]) -> Module:
    """A module of ``kind`` without anything in it."""
    made = kind.__new__(kind)
    nn.Module.__init__(made)
    return made


def _kept(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values.float(), requires_grad=False)

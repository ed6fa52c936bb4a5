"""The Inception network of 2015 (Szegedy et al. 2016) whose pool features FID and KID stand on.

Input as in the TensorFlow graph that the published FIDs were computed with: 0 .. 255, resized to 299 x 299 by that graph's bilinear rule (no
half-pixel shift, no blur before reduction), then (x - 128) / 128.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks import packed, precision

SIDE: Final = 299
LENGTH: Final = 2048


class Conv(nn.Module):
    """Convolution, batch normalisation without a factor (epsilon 0.001), ReLU; keys weight, beta, mean, var."""

    def __init__(
        self, wide_in: int, wide_out: int, size: int | tuple[int, int], stride: int = 1, padding: int | tuple[int, int] = 0
    ) -> None:
        super().__init__()
        high, broad = (size, size) if isinstance(size, int) else size
        self.weight = nn.Parameter(torch.zeros(wide_out, wide_in, high, broad))
        for name in ("beta", "mean", "var"):
            self.register_parameter(name, nn.Parameter(torch.zeros(wide_out)))
        self.stride, self.padding = stride, padding

    def forward(self, x: Tensor) -> Tensor:
        x = functional.conv2d(x, self.weight, stride=self.stride, padding=self.padding)
        mean, var, beta = (self.get_parameter(name) for name in ("mean", "var", "beta"))
        return functional.relu(functional.batch_norm(x, mean, var, None, beta, eps=1e-3))

    def packed(self) -> nn.Module:
        """The same in one step (:mod:`.packed`)."""
        mean, var, beta = (self.get_parameter(name).detach().double() for name in ("mean", "var", "beta"))
        factor = torch.rsqrt(var + 1e-3)
        weight, bias = (self.weight.detach().double() * factor.view(-1, 1, 1, 1)).float(), (beta - mean * factor).float()
        padding = (self.padding, self.padding) if isinstance(self.padding, int) else self.padding
        return packed.conv(weight, bias, stride=self.stride, padding=padding, activation="relu", lasting=True)


def _pooled(channels: int, wide_out: int) -> nn.Sequential:
    """A mean over 3 x 3 (the border is not counted), then a 1 x 1 convolution."""
    tower = nn.Sequential()
    tower.add_module("pool", nn.AvgPool2d(3, 1, 1, count_include_pad=False))
    tower.add_module("conv", Conv(channels, wide_out, 1))
    return tower


def _tower(*layers: Conv) -> nn.Sequential:
    tower = nn.Sequential()
    for i, layer in enumerate(layers):
        tower.add_module(f"conv_{i}" if i else "conv", layer)
    return tower


class Branches(nn.Module):
    """Several ways through the same input, side by side in the output, in the order in which they were given."""

    def __init__(self, **ways: nn.Module) -> None:
        super().__init__()
        for name, way in ways.items():
            self.add_module(name, way)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([way(x) for way in self.children()], 1)


def _block_a(wide: int, pooled: int) -> Branches:
    return Branches(
        conv=Conv(wide, 64, 1),
        tower=_tower(Conv(wide, 48, 1), Conv(48, 64, 5, padding=2)),
        tower_1=_tower(Conv(wide, 64, 1), Conv(64, 96, 3, padding=1), Conv(96, 96, 3, padding=1)),
        tower_2=_pooled(wide, pooled),
    )


def _block_b(wide: int) -> Branches:
    tower = _tower(Conv(wide, 64, 1), Conv(64, 96, 3, padding=1), Conv(96, 96, 3, 2))
    return Branches(conv=Conv(wide, 384, 3, 2), tower=tower, pool=nn.MaxPool2d(3, 2))


def _across(wide_in: int, wide_out: int) -> Conv:
    return Conv(wide_in, wide_out, (1, 7), padding=(0, 3))


def _down(wide_in: int, wide_out: int) -> Conv:
    return Conv(wide_in, wide_out, (7, 1), padding=(3, 0))


def _block_c(wide: int, inner: int) -> Branches:
    return Branches(
        conv=Conv(wide, 192, 1),
        tower=_tower(Conv(wide, inner, 1), _across(inner, inner), _down(inner, 192)),
        tower_1=_tower(Conv(wide, inner, 1), _down(inner, inner), _across(inner, inner), _down(inner, inner), _across(inner, 192)),
        tower_2=_pooled(wide, 192),
    )


def _block_d(wide: int) -> Branches:
    return Branches(
        tower=_tower(Conv(wide, 192, 1), Conv(192, 320, 3, 2)),
        tower_1=_tower(Conv(wide, 192, 1), _across(192, 192), _down(192, 192), Conv(192, 192, 3, 2)),
        pool=nn.MaxPool2d(3, 2),
    )


class BlockE(nn.Module):
    """The last two blocks; ``highest``: the pooling takes the largest instead of the mean (only the very last one does, in this network)."""

    def __init__(self, wide: int, *, highest: bool) -> None:
        super().__init__()
        self.conv = Conv(wide, 320, 1)
        self.tower_conv = Conv(wide, 384, 1)
        self.tower_mixed_conv, self.tower_mixed_conv_1 = _split()
        self.tower_1_conv, self.tower_1_conv_1 = Conv(wide, 448, 1), Conv(448, 384, 3, padding=1)
        self.tower_1_mixed_conv, self.tower_1_mixed_conv_1 = _split()
        self.tower_2_pool = nn.MaxPool2d(3, 1, 1) if highest else nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.tower_2_conv = Conv(wide, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.tower_conv(x), self.tower_1_conv_1(self.tower_1_conv(x))
        ways = [
            self.conv(x),
            self.tower_mixed_conv(a),
            self.tower_mixed_conv_1(a),
            self.tower_1_mixed_conv(b),
            self.tower_1_mixed_conv_1(b),
        ]
        return torch.cat([*ways, self.tower_2_conv(self.tower_2_pool(x))], 1)


def _split() -> tuple[Conv, Conv]:
    return Conv(384, 384, (1, 3), padding=(0, 1)), Conv(384, 384, (3, 1), padding=(1, 0))


class Inception(nn.Module):
    """Images (N, 3, H, W), 0 .. 255 -> features (N, 2048). Keys as in the file."""

    def __init__(self) -> None:
        super().__init__()
        mixed: list[nn.Module] = [_block_a(192, 32), _block_a(256, 64), _block_a(288, 64), _block_b(288)]
        mixed += [_block_c(768, 128), _block_c(768, 160), _block_c(768, 160), _block_c(768, 192)]
        mixed += [_block_d(768), BlockE(1280, highest=False), BlockE(2048, highest=True)]
        self.layers = nn.Sequential()
        for name, layer in (
            *(
                ("conv", Conv(3, 32, 3, 2)),
                ("conv_1", Conv(32, 32, 3)),
                ("conv_2", Conv(32, 64, 3, padding=1)),
                ("pool0", nn.MaxPool2d(3, 2)),
            ),
            *(("conv_3", Conv(64, 80, 1)), ("conv_4", Conv(80, 192, 3)), ("pool1", nn.MaxPool2d(3, 2))),
            *((f"mixed_{i}" if i else "mixed", block) for i, block in enumerate(mixed)),
            ("pool2", nn.AvgPool2d(8)),
        ):
            self.layers.add_module(name, layer)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.layers((resized(images) - 128.0) / 128.0)
        return features.reshape(len(images), LENGTH)


def resized(images: Tensor, side: int = SIDE) -> Tensor:
    """(N, C, H, W) -> (N, C, side, side): bilinear, output pixel i lies at i * H / side of the input, the last pixel is repeated beyond the end."""

    def along(x: Tensor, axis: int) -> Tensor:
        at = torch.arange(side, device=x.device, dtype=torch.float32) * (x.shape[axis] / side)
        low = at.floor().long()
        shape = [1, 1, 1, 1]
        shape[axis] = side
        weight = (at - low).reshape(shape)
        high = (low + 1).clamp(max=x.shape[axis] - 1)
        return x.index_select(axis, low) * (1.0 - weight) + x.index_select(axis, high) * weight

    return along(along(images, 3), 2)


def ready(network: Inception) -> Inception:
    """``network``, filled and changed by this, made for use on a CPU: norms and activations inside of convolutions, the same within rounding."""
    _pack(network)
    return precision.lowered(network.eval().requires_grad_(False))


def _pack(module: nn.Module) -> None:
    for name, child in [*module.named_children()]:
        if isinstance(child, Conv):
            setattr(module, name, child.packed())
        else:
            _pack(child)

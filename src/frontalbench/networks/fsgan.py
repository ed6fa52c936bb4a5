"""FSGANv2's generators and its segmentation network (Nirkin, Keller, Hassner 2022, PAMI), under the official parameter names.

Reenactment (Gr), completion (Gc) and blending (Gb) are one network with 101, 4 and 7 input channels: a U-Net on the small image whose ways around
are added, and one enhancer on the large one. Sizes may be any multiple of 16 (released: 256).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks.blocks import added_, enlarged

LANDMARKS = 98
"""Heat maps of the wanted view that the reenactment network sees (WFLW's points)."""
REENACTMENT, COMPLETION, BLENDING = 3 + LANDMARKS, 3 + 1, 3 + 3 + 1
"""Input channels: RGB and heat maps; RGB and mask; turned RGB, target RGB and mask."""
WIDTHS = (256, 512, 1024)
"""Channels of the base at its three levels; the enhancer has half of the first."""
BACKGROUND, FACE, HAIR = 0, 1, 2
"""Classes of the segmentation network."""


def _padded(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    """Reflection, a convolution without bias, batch norm."""
    return [
        nn.ReflectionPad2d(kernel // 2),
        nn.Conv2d(inputs, outputs, kernel, stride, bias=False),
        nn.BatchNorm2d(outputs),
    ]


def _active(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    return [*_padded(inputs, outputs, kernel, stride), nn.ReLU(inplace=True)]


class _Down(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.model = nn.Sequential(*_active(inputs, outputs, 3, 2), *_active(outputs, outputs, 3))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x)
        return out


class _Up(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.model = nn.Sequential(*_active(inputs, outputs, 3))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(enlarged(x, 2.0))
        return out


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.model = nn.Sequential(*_active(width, width, 3), *_padded(width, width, 3))

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(added_(self.model(x), x), inplace=True)


class _Flat(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.model = nn.Sequential(_Residual(width), _Residual(width))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(x)
        return out


class _Innermost(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.flat_block = _Flat(width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.flat_block(x)
        return out


class _Level(nn.Module):
    """``flat(x + up(inner(down(x))))``."""

    def __init__(self, width: int, below: int, inner: nn.Module) -> None:
        super().__init__()
        self.submodule = inner
        self.down_block, self.up_block, self.flat_block = _Down(width, below), _Up(below, width), _Flat(width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.flat_block(added_(self.up_block(self.submodule(self.down_block(x))), x))
        return out


def _drawing(width: int) -> nn.Sequential:
    return nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7, bias=False), nn.Tanh())


class _Base(nn.Module):
    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.in_conv = nn.Sequential(*_active(inputs, WIDTHS[0], 7))
        inner: nn.Module = _Innermost(WIDTHS[-1])
        for width, below in reversed(list(pairwise(WIDTHS))):
            inner = _Level(width, below, inner)
        self.inner = inner
        self.out_conv = _drawing(WIDTHS[0])

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(self.in_conv(x))
        return out


class _Enhancer(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.in_conv = nn.Sequential(*_active(inputs, width, 7))
        self.up_block, self.flat_block = _Up(2 * width, width), _Flat(width)
        self.out_conv = _drawing(width)

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        y: Tensor = added_(self.up_block(features), self.in_conv(x))
        for residual in self.flat_block.model:  # one by one: a call of several holds what it was given until its end
            y = residual(y)
        out: Tensor = self.out_conv(y)
        return out


class Generator(nn.Module):
    """Two sizes of one input, finest first, (N, ``inputs``, S, S) and (N, ``inputs``, S / 2, S / 2) -> images (N, 3, S, S) RGB in -1..1.

    ``inputs``: :data:`REENACTMENT`, :data:`COMPLETION` or :data:`BLENDING`; images in -1..1, heat maps and masks in 0..1. A list of one is drawn by
    the base alone. 76 million parameters.
    """

    frugal = True

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.base = _Base(inputs)
        self.enhancer1 = _Enhancer(inputs, WIDTHS[0] // 2)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        features = self.base(levels[-1])
        drawn: Tensor = self.base.out_conv(features) if len(levels) == 1 else self.enhancer1(levels[0], features)
        return drawn


def pyramid(x: Tensor) -> list[Tensor]:
    """``x`` (N, C, S, S) and the same at half its size (mean of 3 x 3, padding not counted): what completion and blending are given."""
    return [x, functional.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)]


def _stage(inputs: int, outputs: int, *, normed: bool) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 3, padding=1)]
    if normed:
        layers.append(nn.BatchNorm2d(outputs))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


class _Double(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, normed: bool) -> None:
        super().__init__()
        self.conv1, self.conv2 = _stage(inputs, outputs, normed=normed), _stage(outputs, outputs, normed=normed)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.conv1(x))
        return out


class _Joined(nn.Module):
    def __init__(self, below: int, width: int) -> None:
        super().__init__()
        self.conv = _Double(below, width, normed=False)
        self.conv1d = nn.Conv2d(below, width, 1)

    def forward(self, beside: Tensor, below: Tensor) -> Tensor:
        out: Tensor = self.conv(torch.cat([beside, self.conv1d(enlarged(below, 2.0, corners=True))], dim=1))
        return out


class Segmenter(nn.Module):
    """Images (N, 3, S, S) RGB in -1..1 -> logits (N, 3, S, S) of :data:`BACKGROUND`, :data:`FACE`, :data:`HAIR`; S a multiple of 16."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = _Double(3, 64, normed=True), _Double(64, 128, normed=True)
        self.conv3, self.conv4 = _Double(128, 256, normed=True), _Double(256, 512, normed=True)
        self.center = _Double(512, 1024, normed=True)
        self.up_concat4, self.up_concat3 = _Joined(1024, 512), _Joined(512, 256)
        self.up_concat2, self.up_concat1 = _Joined(256, 128), _Joined(128, 64)
        self.final = nn.Conv2d(64, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        first = self.conv1(images)
        second = self.conv2(functional.max_pool2d(first, 2))
        third = self.conv3(functional.max_pool2d(second, 2))
        fourth = self.conv4(functional.max_pool2d(third, 2))
        x = self.up_concat4(fourth, self.center(functional.max_pool2d(fourth, 2)))
        x = self.up_concat1(first, self.up_concat2(second, self.up_concat3(third, x)))
        logits: Tensor = self.final(x)
        return logits

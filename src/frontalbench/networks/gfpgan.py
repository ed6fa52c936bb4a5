"""GFPGAN's clean network, versions 1.2 to 1.4, as a torch module.

Wang et al. 2021, "Towards Real-World Blind Face Restoration with Generative Facial Prior".

A U-Net looks at the damaged face; its lowest level gives 16 styles, its way up gives a scale and a shift per resolution. A StyleGAN2 generator
draws a face from the styles, and in half of its channels that scale and shift say where things are. The names of parameters are the official
ones, so that the official checkpoints load strictly. Noise is the stored one: the same image gives the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks import memory, packed, precision
from frontalbench.networks.blocks import enlarged
from frontalbench.networks.minimal import MinimalConv2d
from frontalbench.networks.stylegan2 import LEAST, modulated_conv2d

SIDE: Final = 512
STYLES: Final = 16
STYLE: Final = 512
LEVELS: Final = 7
"""Resolutions above 4 x 4: 8, 16, ... 512."""
_UNET: Final = {4: 256, 8: 256, 16: 256, 32: 256, 64: 256, 128: 128, 256: 64, 512: 32}
_DRAWN: Final = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128, 512: 64}
_SLOPE: Final = 0.2


def _activate(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, _SLOPE)


class Residual(nn.Module):
    """Two convolutions with a resize by ``factor`` between them, and a skip around them."""

    def __init__(self, inside: int, outside: int, factor: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inside, inside, 3, 1, 1)
        self.conv2 = nn.Conv2d(inside, outside, 3, 1, 1)
        self.skip = nn.Conv2d(inside, outside, 1, bias=False)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        main = _activate(self.conv2(enlarged(_activate(self.conv1(x)), self.factor)))
        skipped: Tensor = self.skip(enlarged(x, self.factor))
        return main + skipped


class Modulated(nn.Module):
    """A convolution without bias whose input channels a style weighs; ``demodulate``: output channels back to unit variance."""

    def __init__(self, inside: int, outside: int, kernel: int, *, demodulate: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, outside, inside, kernel, kernel))
        self.modulation = nn.Linear(STYLE, inside)
        self.demodulate = demodulate

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        return modulated_conv2d(x, self.weight[0], self.modulation(style), demodulate=self.demodulate)


class Styled(nn.Module):
    """A modulated 3 x 3 convolution, noise, bias, activation; ``enlarge`` doubles the size first."""

    def __init__(self, inside: int, outside: int, *, enlarge: bool = False) -> None:
        super().__init__()
        self.modulated_conv = Modulated(inside, outside, 3, demodulate=True)
        self.weight = nn.Parameter(torch.zeros(1))
        self.bias = nn.Parameter(torch.zeros(1, outside, 1, 1))
        self.enlarge = enlarge

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        if self.enlarge:
            x = enlarged(x, 2)
        return _activate(self.modulated_conv(x, style) * 2**0.5 + self.weight * noise + self.bias)


class ToRgb(nn.Module):
    """Features to colours, added to the enlarged image of the level below."""

    def __init__(self, inside: int) -> None:
        super().__init__()
        self.modulated_conv = Modulated(inside, 3, 1, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, style: Tensor, below: Tensor | None) -> Tensor:
        image: Tensor = self.modulated_conv(x, style) + self.bias
        return image if below is None else image + enlarged(below, 2)


class _Constant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, _DRAWN[4], 4, 4))


class _Noises(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for place in range(2 * LEVELS + 1):
            side = 4 * 2 ** ((place + 1) // 2)
            self.register_buffer(f"noise{place}", torch.zeros(1, 1, side, side))

    def __getitem__(self, place: int) -> Tensor:
        noise: Tensor = getattr(self, f"noise{place}")
        return noise


class Decoder(nn.Module):
    """The StyleGAN2 generator with spatial feature transforms in the second half of the channels."""

    def __init__(self) -> None:
        super().__init__()
        # Never used here (the styles come from the U-Net), but part of the checkpoints. Module 0 of the original has no parameters.
        mapping: list[nn.Module] = [nn.Identity()]
        for _ in range(8):
            mapping += [nn.Linear(STYLE, STYLE), nn.LeakyReLU(_SLOPE)]
        self.style_mlp = nn.Sequential(*mapping)
        self.constant_input = _Constant()
        self.style_conv1 = Styled(_DRAWN[4], _DRAWN[4])
        self.to_rgb1 = ToRgb(_DRAWN[4])
        self.style_convs = nn.ModuleList()
        self.to_rgbs = nn.ModuleList()
        for level in range(LEVELS):
            below, here = _DRAWN[4 << level], _DRAWN[8 << level]
            self.style_convs.append(Styled(below, here, enlarge=True))
            self.style_convs.append(Styled(here, here))
            self.to_rgbs.append(ToRgb(here))
        self.noises = _Noises()

    def forward(self, styles: Tensor, scales: Sequence[Tensor], shifts: Sequence[Tensor]) -> Tensor:
        x = self.constant_input.weight.expand(len(styles), -1, -1, -1)
        x = self.style_conv1(x, styles[:, 0], self.noises[0])
        image = self.to_rgb1(x, styles[:, 1], None)
        for level in range(LEVELS):
            i = 1 + 2 * level
            x = self.style_convs[2 * level](x, styles[:, i], self.noises[i])
            kept, moved = x.chunk(2, dim=1)
            x = torch.cat([kept, moved * scales[level] + shifts[level]], dim=1)
            x = self.style_convs[2 * level + 1](x, styles[:, i + 1], self.noises[i + 1])
            image = self.to_rgbs[level](x, styles[:, i + 2], image)
        result: Tensor = image
        return result


class Gfpgan(nn.Module):
    """Damaged face in, restored face out: (N, 3, 512, 512) RGB in -1..1 (the result may overshoot a little).

    Faces are aligned as in ``frontalbench.enhance.restoration``.
    """

    def __init__(self) -> None:
        super().__init__()
        sides = [SIDE >> level for level in range(LEVELS + 1)]  # 512 ... 4
        self.conv_body_first = nn.Conv2d(3, _UNET[SIDE], 1)
        self.conv_body_down = nn.ModuleList(Residual(_UNET[a], _UNET[b], 0.5) for a, b in pairwise(sides))
        self.final_conv = nn.Conv2d(_UNET[4], _UNET[4], 3, 1, 1)
        sides.reverse()
        self.conv_body_up = nn.ModuleList(Residual(_UNET[a], _UNET[b], 2.0) for a, b in pairwise(sides))
        self.toRGB = nn.ModuleList(nn.Conv2d(_UNET[side], 3, 1) for side in sides[1:])
        self.final_linear = nn.Linear(_UNET[4] * 16, STYLES * STYLE)
        self.stylegan_decoder = Decoder()
        self.condition_scale = nn.ModuleList(self._condition(side) for side in sides[1:])
        self.condition_shift = nn.ModuleList(self._condition(side) for side in sides[1:])

    @staticmethod
    def _condition(side: int) -> nn.Sequential:
        inside, outside = _UNET[side], _DRAWN[side] // 2
        return nn.Sequential(nn.Conv2d(inside, inside, 3, 1, 1), nn.LeakyReLU(_SLOPE), nn.Conv2d(inside, outside, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.with_side_images(x, wanted=False)[0]

    def with_side_images(self, x: Tensor, *, wanted: bool = True) -> tuple[Tensor, list[Tensor]]:
        """The result, and the U-Net's own images of 8 to 512 pixels (used in training, and to check this module)."""
        features = _activate(self.conv_body_first(x))
        kept: list[Tensor] = []
        for down in self.conv_body_down:
            features = down(features)
            kept.append(features)
        features = _activate(self.final_conv(features))
        styles = self.final_linear(features.flatten(1)).view(-1, STYLES, STYLE)
        scales, shifts, side_images = [], [], []
        for level, up in enumerate(self.conv_body_up):
            features = up(features + kept[-1 - level])
            scales.append(self.condition_scale[level](features))
            shifts.append(self.condition_shift[level](features))
            if wanted:
                side_images.append(self.toRGB[level](features))
        return self.stylegan_decoder(styles, scales, shifts), side_images


# For use on a CPU --------------------------------------------------------------------------------------------------------------------------


class _ReadyResidual(nn.Module):
    """:class:`Residual` with packed convolutions. The skip is a sum over channels and a resize one over pixels, so it goes where the map is small."""

    def __init__(self, block: nn.Module, *, small: bool) -> None:
        super().__init__()
        assert isinstance(block, Residual)
        both = (block.conv1, block.conv2)
        self.conv1, self.conv2 = (packed.of(each, activation="leaky", slope=_SLOPE, small=small) for each in both)
        self.skip, self.factor = packed.of(block.skip), block.factor

    def forward(self, x: Tensor) -> Tensor:
        if self.factor < 1:
            # Bilinear at half the size is the mean of four.
            main: Tensor = self.conv2(functional.avg_pool2d(self.conv1(x), 2))
            return main.add_(self.skip(functional.avg_pool2d(x, 2)))
        main = self.conv2(enlarged(self.conv1(x), self.factor))
        return main.add_(enlarged(self.skip(x), self.factor))


class _ReadyStyled(nn.Module):
    """:class:`Styled` with one set of weights for all styles: they weigh the input's channels, and demodulation the output's."""

    def __init__(self, block: Styled, *, small: bool) -> None:
        super().__init__()
        weight = block.modulated_conv.weight[0].detach()
        self.modulation, self.enlarge = block.modulated_conv.modulation, block.enlarge
        self.squares = nn.Buffer(weight.square().sum((2, 3)))
        self.strength, self.bias = nn.Buffer(block.weight.detach()), nn.Buffer(block.bias.detach())
        self.conv = packed.conv(weight, small=small)
        if isinstance(self.conv, MinimalConv2d):
            self.conv = packed.conv(weight, self.bias.flatten(), activation="leaky", slope=_SLOPE)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        factors = self.modulation(style)
        # Weighed while it is small, and in its place: nobody needs it afterwards.
        x = x.mul_(factors[:, :, None, None].to(x.dtype))
        if self.enlarge:
            x = enlarged(x, 2)
        gain = 2**0.5 * torch.rsqrt(functional.linear(factors.square(), self.squares) + LEAST)
        if isinstance(self.conv, MinimalConv2d):
            y: Tensor = self.conv(x, gain=gain, noise=(self.strength * noise)[0, 0])
            return y
        y = self.conv(x)
        # In one number type: a sum of two takes as long as the convolution.
        y.mul_(gain[:, :, None, None].to(y.dtype)).add_(self.bias.to(y.dtype)).add_((self.strength * noise).to(y.dtype))
        return functional.leaky_relu_(y, _SLOPE)


class _ReadyToRgb(nn.Module):
    """:class:`ToRgb` as one matrix product."""

    def __init__(self, block: ToRgb) -> None:
        super().__init__()
        self.modulation = block.modulated_conv.modulation
        self.weight, self.bias = nn.Buffer(block.modulated_conv.weight[0, :, :, 0, 0].detach()), nn.Buffer(block.bias.detach())

    def forward(self, x: Tensor, style: Tensor, below: Tensor | None) -> Tensor:
        weight = self.weight[None] * self.modulation(style)[:, None]
        n, channels, height, width = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(n, height * width, channels)
        image = torch.bmm(rows, weight.transpose(1, 2)).view(n, height, width, 3).permute(0, 3, 1, 2) + self.bias
        return image if below is None else image.add_(enlarged(below, 2))


def _ready_condition(part: nn.Module, *, small: bool) -> nn.Sequential:
    first, _, second = part.children()
    assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)
    return nn.Sequential(packed.of(first, activation="leaky", slope=_SLOPE, small=small), packed.of(second, small=small))


_SMALL: Final = 2
"""Levels (8 and 16 pixels) whose maps are too small for minimal filtering."""


class ReadyGfpgan(nn.Module):
    """What :func:`ready` makes; input and output of :class:`Gfpgan`."""

    def __init__(self, network: Gfpgan) -> None:
        super().__init__()
        decoder, coarse = network.stylegan_decoder, LEVELS - _SMALL
        self.first = packed.of(network.conv_body_first, activation="leaky", slope=_SLOPE)
        # What has been taken is let go at once, so that there are never two whole networks.
        self.down = nn.ModuleList(_ReadyResidual(block, small=i >= coarse) for i, block in enumerate(network.conv_body_down))
        del network.conv_body_down
        self.last = packed.of(network.final_conv, activation="leaky", slope=_SLOPE, small=True)
        self.styles = network.final_linear
        self.up = nn.ModuleList(_ReadyResidual(block, small=i < _SMALL) for i, block in enumerate(network.conv_body_up))
        del network.conv_body_up
        self.scales, self.shifts = (
            nn.ModuleList(_ready_condition(part, small=i < _SMALL) for i, part in enumerate(parts))
            for parts in (network.condition_scale, network.condition_shift)
        )
        del network.condition_scale, network.condition_shift
        self.constant, self.noises = decoder.constant_input, decoder.noises
        blocks = (decoder.style_conv1, *decoder.style_convs)
        self.drawing = nn.ModuleList(_ReadyStyled(block, small=i <= 2 * _SMALL) for i, block in enumerate(blocks))
        self.to_rgb = nn.ModuleList(_ReadyToRgb(block) for block in (decoder.to_rgb1, *decoder.to_rgbs))
        del network.stylegan_decoder

    def forward(self, x: Tensor) -> Tensor:
        features = self.first(x)
        kept: list[Tensor] = []
        for down in self.down:
            features = down(features)
            kept.append(features)
        features = self.last(features)
        styles = self.styles(features.flatten(1)).view(-1, STYLES, STYLE)
        y = self.constant.weight.repeat(len(styles), 1, 1, 1)
        y = self.drawing[0](y, styles[:, 0], self.noises[0])
        image: Tensor = self.to_rgb[0](y, styles[:, 1], None)
        # Both ways up side by side: what a level needs of the U-Net is gone when the next begins.
        for level, up in enumerate(self.up):
            features = up(features.add_(kept.pop()) if level else features + kept.pop())
            i = 1 + 2 * level
            y = self.drawing[i](y, styles[:, i], self.noises[i])
            moved = y[:, y.shape[1] // 2 :]
            moved.mul_(self.scales[level](features)).add_(self.shifts[level](features))
            y = self.drawing[i + 1](y, styles[:, i + 1], self.noises[i + 1])
            image = self.to_rgb[level + 1](y, styles[:, i + 2], image)
        return image


def ready(network: Gfpgan) -> ReadyGfpgan:
    """``network``, filled, made for use on a CPU: the same numbers within rounding. ``network`` itself is used up."""
    memory.kept()
    with torch.no_grad():
        return precision.lowered(ReadyGfpgan(network).eval().requires_grad_(False))

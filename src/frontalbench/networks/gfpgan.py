"""GFPGAN's clean network, versions 1.2 to 1.4, as a torch module.

Wang et al. 2021, "Towards Real-World Blind Face Restoration with Generative Facial Prior".

A U-Net looks at the damaged face; its lowest level gives 16 styles, its way up gives a scale and a shift per resolution. A StyleGAN2 generator
draws a face from the styles, and in half of its channels that scale and shift say where things are. The names of parameters are the official
ones, so that the official checkpoints load strictly. Noise is the stored one: the same picture gives the same result.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks.blocks import enlarged
from frontalbench.networks.stylegan2 import modulated_conv2d

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
    """Features to colours, added to the enlarged picture of the level below."""

    def __init__(self, inside: int) -> None:
        super().__init__()
        self.modulated_conv = Modulated(inside, 3, 1, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, style: Tensor, below: Tensor | None) -> Tensor:
        picture: Tensor = self.modulated_conv(x, style) + self.bias
        return picture if below is None else picture + enlarged(below, 2)


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
        picture = self.to_rgb1(x, styles[:, 1], None)
        for level in range(LEVELS):
            i = 1 + 2 * level
            x = self.style_convs[2 * level](x, styles[:, i], self.noises[i])
            kept, moved = x.chunk(2, dim=1)
            x = torch.cat([kept, moved * scales[level] + shifts[level]], dim=1)
            x = self.style_convs[2 * level + 1](x, styles[:, i + 1], self.noises[i + 1])
            picture = self.to_rgbs[level](x, styles[:, i + 2], picture)
        result: Tensor = picture
        return result


class Gfpgan(nn.Module):
    """Damaged face in, restored face out: (N, 3, 512, 512) RGB in -1..1 (the result may overshoot a little).

    Faces are aligned as in ``frontalbench.enhance.gfpgan``.
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
        return self.with_side_pictures(x, wanted=False)[0]

    def with_side_pictures(self, x: Tensor, *, wanted: bool = True) -> tuple[Tensor, list[Tensor]]:
        """The result, and the U-Net's own pictures of 8 to 512 pixels (used in training, and to check this module)."""
        features = _activate(self.conv_body_first(x))
        kept: list[Tensor] = []
        for down in self.conv_body_down:
            features = down(features)
            kept.append(features)
        features = _activate(self.final_conv(features))
        styles = self.final_linear(features.flatten(1)).view(-1, STYLES, STYLE)
        scales, shifts, side_pictures = [], [], []
        for level, up in enumerate(self.conv_body_up):
            features = up(features + kept[-1 - level])
            scales.append(self.condition_scale[level](features))
            shifts.append(self.condition_shift[level](features))
            if wanted:
                side_pictures.append(self.toRGB[level](features))
        return self.stylegan_decoder(styles, scales, shifts), side_pictures

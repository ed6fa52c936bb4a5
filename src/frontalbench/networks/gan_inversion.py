"""Face frontalization by inverting a GAN (github.com/mhahmadi258, 2024): an encoder that looks at the turned face gives the 18 styles of a StyleGAN2
generator, trained so that the face which they draw looks ahead.

The encoder is an IR-SE-50 (Deng et al. 2019, with the squeeze and excitation of Hu et al. 2018) read out at three depths, as in E2Style (Wei et al.
2022); the generator that of Karras et al. 2020 at 1024 pixels with stored noise. Parameter names are those of the published file.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks.blocks import normed_conv
from frontalbench.networks.ir_resnet import CHANNELS, UNITS, Block
from frontalbench.networks.stylegan2 import filtered, modulated_conv2d, styled

SIDE: Final = 256
"""Side in pixels of what the encoder sees."""
DRAWN: Final = 1024
"""Side in pixels of what the generator draws."""
STYLE: Final = 512
STYLES: Final = 18
_LEVELS: Final = 8
"""Resolutions above 4 x 4: 8, 16, ... 1024."""
_CHANNELS: Final = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128, 512: 64, 1024: 32}
_POOLED: Final = 7
_READ: Final = ((20, 3, 256, 9), (6, 4, 128, 5), (2, 5, 64, 4))
"""After which block, number of the head in the file, channels there, styles read (coarse first)."""


class SqueezeExcite(nn.Module):
    """Channels weighed by what is in all of the map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        weight: Tensor = self.fc2(functional.relu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * torch.sigmoid(weight)


def _head(channels: int, styles: int) -> nn.Sequential:
    return nn.Sequential(
        nn.BatchNorm2d(channels), nn.AdaptiveAvgPool2d(_POOLED), nn.Flatten(), nn.Linear(channels * _POOLED**2, STYLE * styles)
    )


class Adapter(nn.Module):
    """What was learned for frontal faces, beside a head that was learned for inversion."""

    def __init__(self, channels: int, styles: int) -> None:
        super().__init__()
        within, size = 2 * channels, channels * _POOLED**2
        self.adapter = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.AdaptiveAvgPool2d(_POOLED),
            nn.Flatten(),
            nn.Linear(size, within),
            nn.GELU(),
            nn.Linear(within, STYLE * styles),
        )

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.adapter(x)
        return result


class Encoder(nn.Module):
    """Images (N, 3, 256, 256) RGB in -1..1 -> styles (N, 18, 512), coarse first, without the average style. 123 million parameters, of which the
    last three blocks are in the files and not used."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(*normed_conv(3, 64, 3), nn.PReLU(64))
        for _, number, channels, styles in _READ:
            self.add_module(f"output_layer_{number}", _head(channels, styles))
            self.add_module(f"adapter_layer_{number}", Adapter(channels, styles))
        blocks, inputs = [], 64
        for outputs, count in zip(CHANNELS, UNITS[50], strict=True):
            for place in range(count):
                blocks.append(Block(inputs, outputs, 2 if place == 0 else 1, normed=False, after=[SqueezeExcite(outputs)]))
                inputs = outputs
        self.body = nn.ModuleList(blocks)

    def forward(self, images: Tensor) -> Tensor:
        x, seen = self.input_layer(images), {}
        for number, block in enumerate(self.body[: _READ[0][0] + 1]):
            x = seen[number] = block(x)
        parts = []
        for after, number, _, styles in _READ:
            read = self.get_submodule(f"output_layer_{number}")(seen[after]) + self.get_submodule(f"adapter_layer_{number}")(seen[after])
            parts.append(read.view(-1, styles, STYLE))
        return torch.cat(parts, dim=1)


class EqualLinear(nn.Module):
    """A linear layer whose weight is scaled by 1 / sqrt(inputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight * self.weight.shape[1] ** -0.5, self.bias)


class Fir(nn.Module):
    """A stored 4 x 4 filter."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", torch.zeros(4, 4))

    def forward(self, x: Tensor, *, up: int = 1, padding: tuple[int, int]) -> Tensor:
        return filtered(x, self.get_buffer("kernel"), up=up, padding=padding)


class Modulated(nn.Module):
    """A convolution whose input channels a style weighs; ``doubled``: it doubles the size, and a filter follows."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, demodulate: bool = True, doubled: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(1, outputs, inputs, kernel, kernel))
        self.blur = Fir() if doubled else None
        self.modulation = EqualLinear(STYLE, inputs)
        self.scale, self.demodulate = (inputs * kernel**2) ** -0.5, demodulate

    def factors(self, style: Tensor) -> Tensor:
        """(N, inputs): what ``style`` (N, 512) weighs the input channels with."""
        read: Tensor = self.modulation(style) * self.scale
        return read

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        y = modulated_conv2d(x, self.weight[0], self.factors(style), demodulate=self.demodulate, doubled=self.blur is not None)
        return y if self.blur is None else self.blur(y, padding=(1, 1))


class _Noise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))


class _Bias(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))


class Styled(nn.Module):
    """Modulated 3 x 3 convolution, noise, bias, activation."""

    def __init__(self, inputs: int, outputs: int, *, doubled: bool = False) -> None:
        super().__init__()
        self.conv = Modulated(inputs, outputs, 3, doubled=doubled)
        self.noise = _Noise()
        self.activate = _Bias(outputs)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        conv = self.conv
        blur = None if conv.blur is None else conv.blur.get_buffer("kernel")
        return styled(x, conv.weight[0], conv.factors(style), self.activate.bias, (self.noise.weight * noise)[0, 0], blur=blur)


class ToRgb(nn.Module):
    """Features to colours, added to the image of the level below."""

    def __init__(self, inputs: int, *, first: bool = False) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))
        self.upsample = None if first else Fir()
        self.conv = Modulated(inputs, 3, 1, demodulate=False)

    def forward(self, x: Tensor, style: Tensor, below: Tensor | None = None) -> Tensor:
        image: Tensor = self.conv(x, style) + self.bias
        return image if below is None or self.upsample is None else image + self.upsample(below, up=2, padding=(2, 1))


class _Constant(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.empty(1, _CHANNELS[4], 4, 4))


class _Noises(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        for place in range(2 * _LEVELS + 1):
            side = 4 * 2 ** ((place + 1) // 2)
            self.register_buffer(f"noise_{place}", torch.zeros(1, 1, side, side))

    def __getitem__(self, place: int) -> Tensor:
        return self.get_buffer(f"noise_{place}")


class Decoder(nn.Module):
    """Styles (N, 18, 512) -> images (N, 3, 1024, 1024) RGB, about -1..1. 30 million parameters; ``style`` (from noise to styles) is in the files
    and not used."""

    def __init__(self) -> None:
        super().__init__()
        self.style = nn.Sequential(nn.Identity(), *(EqualLinear(STYLE, STYLE) for _ in range(8)))
        self.input = _Constant()
        self.conv1 = Styled(_CHANNELS[4], _CHANNELS[4])
        self.to_rgb1 = ToRgb(_CHANNELS[4], first=True)
        self.convs, self.to_rgbs = nn.ModuleList(), nn.ModuleList()
        for level in range(_LEVELS):
            before, here = _CHANNELS[4 << level], _CHANNELS[8 << level]
            self.convs.extend([Styled(before, here, doubled=True), Styled(here, here)])
            self.to_rgbs.append(ToRgb(here))
        self.noises = _Noises()

    def forward(self, styles: Tensor) -> Tensor:
        x = self.conv1(self.input.input.expand(len(styles), -1, -1, -1), styles[:, 0], self.noises[0])
        image = self.to_rgb1(x, styles[:, 1])
        for level in range(_LEVELS):
            i = 1 + 2 * level
            x = self.convs[2 * level](x, styles[:, i], self.noises[i])
            x = self.convs[2 * level + 1](x, styles[:, i + 1], self.noises[i + 1])
            image = self.to_rgbs[level](x, styles[:, i + 2], image)
        result: Tensor = image
        return result


class GanInversion(nn.Module):
    """Turned face in, frontal face out: (N, 3, 256, 256) RGB in -1..1 -> (N, 3, 1024, 1024), about -1..1. ``latent_avg`` (18, 512) is the average
    style, which the encoder's styles are counted from."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder_firststage = Encoder()
        self.decoder = Decoder()
        self.register_buffer("latent_avg", torch.zeros(STYLES, STYLE))

    def forward(self, images: Tensor) -> Tensor:
        return self.draw(self.styles(images))

    def styles(self, images: Tensor) -> Tensor:
        """(N, 18, 512): what the encoder reads out of the faces."""
        read: Tensor = self.encoder_firststage(images) + self.get_buffer("latent_avg")
        return read

    def draw(self, styles: Tensor) -> Tensor:
        """The faces of ``styles`` (N, 18, 512)."""
        drawn: Tensor = self.decoder(styles)
        return drawn

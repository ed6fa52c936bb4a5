"""FFWM (Wei et al. 2020, "Learning Flow-based Feature Warping for Face Frontalization with Illumination Inconsistent Supervision"): two networks.

The flow network looks at the turned face and says for every place of the frontal image where in the turned one it is to be found. The generator
moves the features of its encoder there, adds their mirror image, weighs both by an attention, and draws. Parameter names are the official ones of
``netG`` and ``flowNetF``.
"""

from __future__ import annotations

from typing import Final, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks.blocks import enlarged
from frontalbench.networks.spectral import SpectralConv

SIDE: Final = 128
"""Side of the images in pixels, in and out."""
_SLOPE: Final = 0.2
_UP: Final = ((5, 1024, 512, 1026), (4, 1026, 256, 770), (3, 770, 128, 386), (2, 386, 64, 66), (1, 66, 32, 34), (0, 34, 16, 18))
"""Level of the flow network's way up: its number, channels in and out of the doubling, channels of all that meets there."""


def _step(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.LeakyReLU(_SLOPE))


def _doubling(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.BatchNorm2d(outputs), nn.LeakyReLU(_SLOPE))


class FlowNet(nn.Module):
    """Images (N, 3, 128, 128) RGB in 0..1 -> three grids (N, 2, S, S), S = 128, 64, 32: where in the image (x, y in -1..1, edge to edge) what
    the frontal image shows is to be found. 52 million parameters; the ``inter_conv_occ`` ones are in the files and not used."""

    def __init__(self) -> None:
        super().__init__()
        self.conv0 = _step(3, 64)
        inputs = 64
        for level, (down, outputs) in enumerate(((64, 128), (128, 128), (256, 256), (512, 512), (512, 512), (1024, 1024)), start=1):
            self.add_module(f"conv{level}", _step(inputs, down, 2))
            self.add_module(f"conv{level}_1", _step(down, outputs))
            inputs = outputs
        for level, inputs, outputs, _ in _UP:
            self.add_module(f"deconv{level}", _doubling(inputs, outputs))
        for level, _, outputs, met in _UP:
            self.add_module(f"inter_conv{level}", _step(met, outputs))
        for level, _, outputs, met in _UP:
            self.add_module(f"inter_conv_occ{level}", _step(met - 1, outputs))
        for level, channels in ((6, 1024), *((level, outputs) for level, _, outputs, _ in _UP)):
            self.add_module(f"predict_flow{level}", nn.Sequential(nn.Conv2d(channels, 2, 3, 1, 1), nn.Tanh()))
        for level, *_ in _UP:
            self.add_module(f"upsampled_flow{level + 1}_to_{level}", nn.ConvTranspose2d(2, 2, 4, 2, 1))

    def without_unused(self) -> Self:
        """The network without the ``inter_conv_occ`` layers, once it is filled: 32 MB less. Its state dict is another then."""
        for level, *_ in _UP:
            delattr(self, f"inter_conv_occ{level}")
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        step = self.get_submodule
        x, seen = self.conv0(images), {}
        for level in range(1, 7):
            x = step(f"conv{level}_1")(step(f"conv{level}")(x))
            seen[level] = x
        flows = {6: step("predict_flow6")(x)}
        for level, *_ in _UP:
            meeting = [step(f"deconv{level}")(x), step(f"upsampled_flow{level + 1}_to_{level}")(flows[level + 1])]
            x = torch.cat([seen[level], *meeting] if level >= 3 else meeting, dim=1)
            flows[level] = step(f"predict_flow{level}")(step(f"inter_conv{level}")(x))
        return flows[0], flows[1], flows[2]


class Residual(nn.Module):
    """Two convolutions with a 1 x 1 convolution around them, and ``last`` (an activation) after the sum."""

    def __init__(self, channels: int, last: nn.Module | None = None) -> None:
        super().__init__()
        self.input = SpectralConv(channels, channels, 1)
        self.blocks = nn.Sequential(
            SpectralConv(channels, channels, 3, 1, 1),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(_SLOPE),
            SpectralConv(channels, channels, 3, 1, 1),
            nn.BatchNorm2d(channels),
        )
        self.last = last or nn.LeakyReLU(_SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        changed: Tensor = self.blocks(x)
        changed += self.input(x)
        result: Tensor = self.last(changed)
        return result


def _normed(inputs: int, outputs: int, kernel: int, stride: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    return SpectralConv(inputs, outputs, kernel, stride, 1), nn.BatchNorm2d(outputs), nn.LeakyReLU(_SLOPE)


class Generator(nn.Module):
    """Images (N, 3, 128, 128) RGB in 0..1 and the three grids of :class:`FlowNet` -> the frontal images, RGB in 0..1, of 128, 64 and 32 pixels.
    16 million parameters."""

    frugal = True

    def __init__(self) -> None:
        super().__init__()
        self.e0 = nn.Sequential(SpectralConv(3, 64, 7, 1, 3), nn.LeakyReLU(_SLOPE), Residual(64))
        for level, (inputs, outputs) in enumerate(((64, 64), (64, 128), (128, 256)), start=1):
            self.add_module(f"e{level}", nn.Sequential(*_normed(inputs, outputs, 4, 2), Residual(outputs)))
        for level, (inputs, outputs) in enumerate(((256, 512), (384, 256), (195, 256))):
            doubled = (nn.PixelShuffle(2), nn.BatchNorm2d(outputs // 4), nn.LeakyReLU(_SLOPE))
            self.add_module(f"d{level}", nn.Sequential(SpectralConv(inputs, outputs, 3, 1, 1), *doubled))
        for level, channels in enumerate((384, 195, 195)):
            self.add_module(f"dres{level}", nn.Sequential(Residual(channels), Residual(channels)))
        for level, channels in enumerate((384, 195, 195)):
            self.add_module(f"rec{level}", nn.Sequential(SpectralConv(channels, 3, 3, 1, 1), nn.Sigmoid()))
        for level, channels in enumerate((256, 128, 128)):
            weighing = nn.Sequential(*_normed(channels, channels, 3, 1))
            self.add_module(f"att{level}", nn.Sequential(weighing, Residual(channels, nn.Sigmoid())))

    def forward(self, images: Tensor, flows: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        step = self.get_submodule
        x, seen = images, []
        for level in range(4):
            x = step(f"e{level}")(x)
            seen.append(x)
        drawn: list[Tensor] = []
        for level in range(3):
            moved = warped(seen[2 - level], flows[2 - level])
            both = torch.cat([moved, moved.flip(3)], dim=1)
            parts = [both * step(f"att{level}")(both), step(f"d{level}")(x)]
            if drawn:
                parts.append(enlarged(drawn[-1], 2))
            x = step(f"dres{level}")(torch.cat(parts, dim=1))
            drawn.append(step(f"rec{level}")(x))
        return drawn[2], drawn[1], drawn[0]


def warped(x: Tensor, grid: Tensor) -> Tensor:
    """``x`` (N, C, H, W) taken at ``grid`` (N, 2, h, w), x and y in -1..1 from edge to edge, bilinear, 0 outside: (N, C, h, w)."""
    return functional.grid_sample(x, grid.permute(0, 2, 3, 1), mode="bilinear", padding_mode="zeros", align_corners=False)

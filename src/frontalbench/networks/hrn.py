"""HRN's networks (Lei, Ren, Feng, Yan, Zhang 2023): coefficients of a Basel face, then what a face has beyond them, coarse to fine.

Under the official parameter names: ``net_recon`` is :class:`Reconstruction`, ``mid_net`` and ``high_net`` are :class:`Refiner` s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from frontalbench.networks.resnet import ResNet50

SIDE: Final = 224
"""Of the aligned crop, which is RGB in 0..1."""
UV_SIDE, MID_SIDE = 256, 64
"""Sides of the maps that the fine and the middle network see."""
WIDTHS: Final = (80, 64, 80, 3, 27, 2, 1)
"""Of the seven heads: identity, expression, albedo, angles, light, shift across and up, shift to the camera."""
STEP: Final = 0.1
"""What both refining networks give is multiplied by this and by a number of the checkpoint (``alpha``, ``beta``)."""


@dataclass(frozen=True)
class Coefficients:
    """What ``net_recon`` says of N faces. ``identity`` (N, 80), ``expression`` (N, 64), ``albedo`` (N, 80); ``angles`` (N, 3): about x, y, z,
    radians; ``light`` (N, 3, 9): RGB, spherical harmonics; ``shift`` (N, 3), decimetres."""

    identity: Tensor
    expression: Tensor
    albedo: Tensor
    angles: Tensor
    light: Tensor
    shift: Tensor


class Reconstruction(nn.Module):
    """Aligned images (N, 3, 224, 224) RGB in 0..1 -> (N, 257)."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = ResNet50()
        self.final_layers = nn.ModuleList(nn.Conv2d(2048, width, 1) for width in WIDTHS)

    def forward(self, images: Tensor) -> Tensor:
        features = self.backbone(images)[-1].mean(dim=(2, 3), keepdim=True)
        return torch.cat([head(features) for head in self.final_layers], dim=1).flatten(1)


class _Residual(nn.Module):
    """Two convolutions around which the input goes; numbered as in the official file, where dropout stands between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width), nn.ReLU()]
        second = [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
        self.conv_block = nn.Sequential(*first, nn.Identity(), *second)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.conv_block(x)
        return y


class Refiner(nn.Module):
    """Maps (N, ``inputs``, H, W) over a face's UV square -> (N, ``outputs``, H, W) in -1..1."""

    frugal = True

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        steps: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(inputs, 64, 7), nn.InstanceNorm2d(64), nn.ReLU()]
        for width in (128, 256):
            steps += [nn.Conv2d(width // 2, width, 3, 2, 1), nn.InstanceNorm2d(width), nn.ReLU()]
        steps += [_Residual(256) for _ in range(9)]
        for width in (128, 64):
            steps += [nn.ConvTranspose2d(2 * width, width, 3, 2, 1, 1), nn.InstanceNorm2d(width), nn.ReLU()]
        self.model = nn.Sequential(*steps, nn.ReflectionPad2d(3), nn.Conv2d(64, outputs, 7), nn.Tanh())

    def forward(self, maps: Tensor) -> Tensor:
        refined: Tensor = self.model(maps)
        return refined


def mid_net() -> Refiner:
    """Position (3) and texture (3, in -1..1) at 64 -> how far the surface moves, before :data:`STEP`."""
    return Refiner(6, 3)


def high_net() -> Refiner:
    """Position (3), texture (3), movement (3) at 256 -> how far the skin is raised, before :data:`STEP`."""
    return Refiner(9, 1)


def split(coefficients: Tensor) -> Coefficients:
    """The output (N, 257) of ``net_recon`` by meaning."""
    identity, expression, albedo, angles, light, across, near = torch.split(coefficients, list(WIDTHS), dim=1)
    return Coefficients(identity, expression, albedo, angles, light.reshape(-1, 3, 9), torch.cat([across, near], dim=1))

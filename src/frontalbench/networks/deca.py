"""DECA's networks (Feng, Feng, Black, Bolkart 2021): a face photograph to the codes of a head, and a code to its wrinkles.

Under the official parameter names; ``E_flame`` and ``E_detail`` are :class:`Encoder`, ``D_detail`` is :class:`DetailDecoder`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from frontalbench.networks.resnet import ResNet50

SIDE: Final = 224
"""Of the photograph's crop, which is RGB in 0..1."""
UV_SIDE: Final = 256
SHAPE, ALBEDO, EXPRESSION, POSE, CAMERA, LIGHT = 100, 50, 50, 6, 3, 27
CODES: Final = SHAPE + ALBEDO + EXPRESSION + POSE + CAMERA + LIGHT
DETAIL: Final = 128
DEEPEST: Final = 0.01
"""Largest displacement that the decoder gives, in the head's unit (metres)."""


@dataclass(frozen=True)
class Codes:
    """What ``E_flame`` says of N faces. ``shape`` (N, 100), ``albedo`` (N, 50), ``expression`` (N, 50): coefficients; ``pose`` (N, 6): turn of
    the head and of the jaw (axis times angle); ``camera`` (N, 3): scale, shift right, shift up; ``light`` (N, 9, 3): spherical harmonics, RGB."""

    shape: Tensor
    albedo: Tensor
    expression: Tensor
    pose: Tensor
    camera: Tensor
    light: Tensor


class Encoder(nn.Module):
    """Images (N, 3, 224, 224) RGB in 0..1 -> (N, ``outputs``)."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.encoder = ResNet50()
        self.layers = nn.Sequential(nn.Linear(2048, 1024), nn.ReLU(), nn.Linear(1024, outputs))

    def forward(self, images: Tensor) -> Tensor:
        codes: Tensor = self.layers(self.encoder(images)[-1].mean(dim=(2, 3)))
        return codes


class DetailDecoder(nn.Module):
    """Jaw pose, expression and detail code (N, 3 + 50 + 128) -> how far the skin lies above the coarse head, (N, 1, 256, 256) over its UV map."""

    frugal = True

    def __init__(self) -> None:
        super().__init__()
        self.l1 = nn.Sequential(nn.Linear(3 + EXPRESSION + DETAIL, 128 * 8 * 8))
        steps: list[nn.Module] = [nn.BatchNorm2d(128)]
        inputs = 128
        for outputs in (128, 64, 64, 32, 16):
            steps += [
                nn.Upsample(scale_factor=2, mode="bilinear"),
                nn.Conv2d(inputs, outputs, 3, padding=1),
                nn.BatchNorm2d(outputs, 0.8),  # as released: 0.8 was meant to be the momentum and is the epsilon
                nn.LeakyReLU(0.2),
            ]
            inputs = outputs
        self.conv_blocks = nn.Sequential(*steps, nn.Conv2d(inputs, 1, 3, padding=1), nn.Tanh())

    def forward(self, code: Tensor) -> Tensor:
        raised: Tensor = self.conv_blocks(self.l1(code).reshape(-1, 128, 8, 8)) * DEEPEST
        return raised


def split(codes: Tensor) -> Codes:
    """The output (N, 236) of ``E_flame`` by meaning."""
    shape, albedo, expression, pose, camera, light = torch.split(codes, [SHAPE, ALBEDO, EXPRESSION, POSE, CAMERA, LIGHT], dim=1)
    return Codes(shape, albedo, expression, pose, camera, light.reshape(-1, 9, 3))

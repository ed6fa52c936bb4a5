"""VGG-19 with batch norm (Simonyan, Zisserman 2015), its convolutions only, and FSGANv2's perceptual distance on it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

LAYERS: tuple[tuple[int, int], ...] = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""(channels, convolutions) between the poolings."""
TAPS = (2, 6, 12, 20, 29)
"""FSGANv2 cuts before 2, 7, 12, 21, 30, which are places of the network without batch norm; its ReLUs change what they are given, so a cut just
before one is seen after it. These are the layers whose outputs it compares."""
WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)


class Vgg19Features(nn.Module):
    """Images (N, 3, H, W) -> outputs of the layers :data:`TAPS`. Keys ``features.<index>.*`` as torchvision numbers them."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for width, count in LAYERS:
            for _ in range(count):
                layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
                inputs = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> list[Tensor]:
        taps, x = [], images
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in TAPS:
                taps.append(x)
            if index == TAPS[-1]:
                break
        return taps


def distances(first: list[Tensor], second: list[Tensor]) -> Tensor:
    """(5,): mean absolute difference of each tap; their sum under :data:`WEIGHTS` is FSGANv2's perceptual loss."""
    return torch.stack([(a - b).abs().mean() for a, b in zip(first, second, strict=True)])

"""The generator of scaleway/frontalization, written down from its published layer list: everything passes through one vector of 512 numbers.

The keys of the state dict are those of the published module (``main.<index>.*``).
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn

SIDE = 128
"""Side of the images in pixels, in and out."""


class Scaleway(nn.Module):
    """Images (N, 3, 128, 128) RGB, (value - 128) / 128 -> frontal images of the same kind. 5.6 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        down, up = (3, 16, 32, 64, 128, 256), (256, 128, 64, 32, 16)
        for before, after in pairwise(down):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.Conv2d(256, 512, 4, 2, 1), nn.MaxPool2d(2)]
        layers += [nn.ConvTranspose2d(512, 256, 4, 1, 0, bias=False), nn.BatchNorm2d(256), nn.ReLU()]
        for before, after in pairwise(up):
            layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.ConvTranspose2d(16, 3, 4, 2, 1, bias=False), nn.Tanh()]
        self.main = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.main(images))

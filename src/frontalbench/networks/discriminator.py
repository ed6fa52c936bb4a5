"""A small patch discriminator for training."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn


class Discriminator(nn.Module):
    """Scores patches: image (N, 3, S, S) -> scores (N, 1, S/8, S/8)."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        wide = 3
        for factor in (1, 2, 4):
            layers += [nn.utils.parametrizations.spectral_norm(nn.Conv2d(wide, width * factor, 4, 2, 1)), nn.LeakyReLU(0.2)]
            wide = width * factor
        self.layers = nn.Sequential(*layers, nn.Conv2d(wide, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.layers(x))

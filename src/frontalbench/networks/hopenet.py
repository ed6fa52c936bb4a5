"""Hopenet (Ruiz, Chong, Rehg 2018): head pose as three distributions over 66 bins of 3 degrees, under the official parameter names."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from frontalbench.networks.resnet import ResNet50

BINS = 66
SIDE = 224


class Hopenet(ResNet50):
    """Images (N, 3, 224, 224) RGB in -1..1 as FSGANv2 gives them -> logits (N, 3, 66) of yaw, pitch, roll; see :func:`degrees`."""

    def __init__(self) -> None:
        super().__init__()
        self.fc_yaw, self.fc_pitch, self.fc_roll = nn.Linear(2048, BINS), nn.Linear(2048, BINS), nn.Linear(2048, BINS)
        self.fc_finetune = nn.Linear(2048 + 3, 3)
        """In the released file, never used."""

    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]
        features = super().forward(images)[-1].mean(dim=(2, 3))
        return torch.stack([self.fc_yaw(features), self.fc_pitch(features), self.fc_roll(features)], dim=1)


def degrees(logits: Tensor) -> Tensor:
    """Logits (..., 66) -> degrees (...): the expectation over the bins. The signs are Hopenet's own."""
    bins = torch.arange(BINS, dtype=logits.dtype, device=logits.device)
    return 3.0 * (logits.softmax(dim=-1) * bins).sum(dim=-1) - 99.0

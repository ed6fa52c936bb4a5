"""The regressor of 3DDFA_V2 (Guo et al. 2020) as a torch module, so that its opinion of a face has a gradient: MobileNetV1 (Howard et al. 2017) at
half width, 62 parameters out of 120 x 120 pixels, under the official parameter names.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

BLOCKS = (
    *(("dw2_1", 64, 1), ("dw2_2", 128, 2), ("dw3_1", 128, 1), ("dw3_2", 256, 2), ("dw4_1", 256, 1), ("dw4_2", 512, 2)),
    *((f"dw5_{number}", 512, 1) for number in range(1, 6)),
    *(("dw5_6", 1024, 2), ("dw6", 1024, 1)),
)
"""Name, channels at full width and stride of each block."""


class Block(nn.Module):
    """A depth-wise separable convolution."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
        self.bn_dw = nn.BatchNorm2d(channels)
        self.conv_sep = nn.Conv2d(channels, out, 1, bias=False)
        self.bn_sep = nn.BatchNorm2d(out)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn_dw(self.conv_dw(x)))
        return functional.relu(self.bn_sep(self.conv_sep(x)))


class Regressor(nn.Module):
    """(N, 3, 120, 120) BGR, (value - 127.5) / 128 -> (N, 62), to be multiplied by the standard deviations and added to the means of the file."""

    def __init__(self, width: float = 0.5) -> None:
        super().__init__()
        channels = int(32 * width)
        self.conv1 = nn.Conv2d(3, channels, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        for name, full, stride in BLOCKS:
            setattr(self, name, Block(channels, int(full * width), stride))
            channels = int(full * width)
        self.fc_param = nn.Linear(channels, 62)
        self.fc_lm = nn.Linear(channels, 136)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        for name, _, _ in BLOCKS:
            x = getattr(self, name)(x)
        return cast(Tensor, self.fc_param(torch.flatten(functional.adaptive_avg_pool2d(x, 1), 1)))

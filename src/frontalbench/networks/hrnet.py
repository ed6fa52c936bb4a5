"""HRNet-18 for the 98 points of WFLW (Wang et al. 2020), as FSGANv2 releases it, under the official parameter names."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks.blocks import normed_conv
from frontalbench.networks.resnet import Bottleneck

POINTS = 98
SIDE, HEAT_SIDE = 256, 64
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the input, per RGB channel in 0..1."""
WIDTHS = (18, 36, 72, 144)
"""Channels of the branches, each at half the size of the one before."""


def _active(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(*normed_conv(inputs, outputs, kernel, stride), nn.ReLU(inplace=True))


class _Basic(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = normed_conv(width, width, 3)
        self.conv2, self.bn2 = normed_conv(width, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x))))))


def _way(source: int, to: int) -> nn.Module:
    """What branch ``source`` passes before it is added to branch ``to``."""
    if source == to:
        return nn.Identity()
    if source > to:
        return nn.Sequential(*normed_conv(WIDTHS[source], WIDTHS[to], 1))
    steps: list[nn.Module] = [_active(WIDTHS[source], WIDTHS[source], 3, 2) for _ in range(to - source - 1)]
    return nn.Sequential(*steps, nn.Sequential(*normed_conv(WIDTHS[source], WIDTHS[to], 3, 2)))


class _Exchange(nn.Module):
    """Four blocks on each branch, then every branch is the sum of all."""

    def __init__(self, branches: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(nn.Sequential(*(_Basic(width) for _ in range(4))) for width in WIDTHS[:branches])
        self.fuse_layers = nn.ModuleList(nn.ModuleList(_way(source, to) for source in range(branches)) for to in range(branches))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [functional.relu(self._sum(to, ways, maps)) for to, ways in enumerate(self.fuse_layers)]

    @staticmethod
    def _sum(to: int, ways: nn.Module, maps: list[Tensor]) -> Tensor:
        total: Tensor | None = None
        for source, (way, x) in enumerate(zip(cast(nn.ModuleList, ways), maps, strict=True)):
            part = way(x)
            if source > to:
                part = functional.interpolate(part, size=maps[to].shape[-2:], mode="bilinear", align_corners=False)
            total = part if total is None else total + part
        assert total is not None
        return total


class HrNet(nn.Module):
    """Images (N, 3, 256, 256) RGB in 0..1, normalised by :data:`MEAN` and :data:`STD` -> heat maps (N, 98, 64, 64). 9.7 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = normed_conv(3, 64, 3, 2)
        self.conv2, self.bn2 = normed_conv(64, 64, 3, 2)
        self.layer1 = nn.Sequential(*(Bottleneck(64 if i == 0 else 256, 64, 1, project=i == 0) for i in range(4)))
        self.transition1 = nn.ModuleList([_active(256, WIDTHS[0], 3), nn.Sequential(_active(256, WIDTHS[1], 3, 2))])
        self.stage2 = nn.ModuleList([_Exchange(2)])
        self.transition2 = nn.ModuleDict({"2": nn.Sequential(_active(WIDTHS[1], WIDTHS[2], 3, 2))})
        self.stage3 = nn.ModuleList([_Exchange(3) for _ in range(4)])
        self.transition3 = nn.ModuleDict({"3": nn.Sequential(_active(WIDTHS[2], WIDTHS[3], 3, 2))})
        self.stage4 = nn.ModuleList([_Exchange(4) for _ in range(3)])
        together = sum(WIDTHS)
        self.head = nn.Sequential(nn.Conv2d(together, together, 1), nn.BatchNorm2d(together), nn.ReLU(), nn.Conv2d(together, POINTS, 1))

    def forward(self, images: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(images)))
        x = self.layer1(functional.relu(self.bn2(self.conv2(x))))
        maps = [transition(x) for transition in self.transition1]
        for stage, transition in ((self.stage2, self.transition2["2"]), (self.stage3, self.transition3["3"]), (self.stage4, None)):
            for exchange in stage:
                maps = exchange(maps)
            if transition is not None:
                maps = [*maps, transition(maps[-1])]
        size = maps[0].shape[-2:]
        maps = [maps[0], *(functional.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in maps[1:])]
        heat: Tensor = self.head(torch.cat(maps, dim=1))
        return heat

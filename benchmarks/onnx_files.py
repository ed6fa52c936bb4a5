"""ONNX files of the published shapes with random weights, for networks whose own file is not at hand: glintr100, w600k_r50, scrfd_10g.

What they take is that of the real files: the residual networks are written as InsightFace's exporter writes them (batch norms folded into the
convolutions before them; 260.7 and 174.4 MB where the real files have 260.7 and 174.4), and SCRFD-10G has the 10.0 billion products of the paper at
640 x 480 and the size of the real file (16.9 MB); with the widths of SCRFD-2.5G the same code gives exactly that network's convolutions. Batch norms
are calibrated on noise, so that numbers keep their size on the way.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks.ir_resnet import IrResNet

DEPTHS = {"backbone/glintr100": 100, "backbone/w600k_r50": 50}
DETECTOR = "detector/scrfd_10g"
NAMES = (*DEPTHS, DETECTOR)


def built(name: str) -> nn.Module:
    """The network of one of :data:`NAMES`."""
    return Scrfd() if name == DETECTOR else IrResNet(DEPTHS[name], insightface=True)


def write(name: str, path: Path) -> Path:
    """The file of one of :data:`NAMES`, written to ``path``."""
    torch.manual_seed(0)
    network = built(name)
    if name == DETECTOR:
        example = torch.rand(1, 3, 640, 640) * 2 - 1
        free: dict[str, Any] = {"in": {2: "height", 3: "width"}}
    else:
        example = torch.rand(4, 3, 112, 112) * 2 - 1
        free = {"in": {0: "batch"}, "out": {0: "batch"}}
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is the older exporter, which folds batch norms as it did for the real files
        calibrate(network, example)
        outputs = ["out"] if name in DEPTHS else None
        torch.onnx.export(
            network, (example,), str(path), dynamo=False, opset_version=11, input_names=["in"], output_names=outputs, dynamic_axes=free
        )
    return path


def calibrate(network: nn.Module, example: Tensor) -> None:
    """Random scales, shifts and slopes, and the statistics of ``example`` for the batch norms; then ready for use."""
    for module in network.modules():
        if isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, -0.1, 0.5)
        elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            module.momentum = None
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.2)
    network.train()
    network(example)
    network.eval()


class Normed(nn.Module):
    """A convolution, batch norm, and ReLU unless ``bent`` is false."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1, *, bent: bool = True) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)
        self.bent = bent

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return functional.relu(x) if self.bent else x


class Block(nn.Module):
    """Two convolutions and a sum; where it changes the map, the other side is averaged and goes through a 1 x 1 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(Normed(inputs, outputs, 3, stride), Normed(outputs, outputs, bent=False))
        smaller = [nn.AvgPool2d(2, 2, ceil_mode=True, count_include_pad=False)] if stride > 1 else []
        changes = inputs != outputs or stride > 1
        self.around = nn.Sequential(*smaller, Normed(inputs, outputs, 1, bent=False)) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.body(x) + self.around(x))


class Scrfd(nn.Module):
    """SCRFD-10G with five points (Guo et al. 2021): images (1, 3, H, W) -> scores, boxes and points of strides 8, 16, 32, as the packs' files have
    them. The other widths are those of SCRFD-2.5G: (24, 48, 48, 80), (3, 5, 3, 2), 24, 24, 64, 2."""

    def __init__(
        self,
        planes: tuple[int, ...] = (56, 88, 88, 224),
        blocks: tuple[int, ...] = (3, 4, 2, 3),
        stem: int = 56,
        neck: int = 56,
        head: int = 80,
        stacked: int = 3,
    ) -> None:
        super().__init__()
        half = stem // 2
        self.stem = nn.Sequential(Normed(3, half, 3, 2), Normed(half, half), Normed(half, stem), nn.MaxPool2d(2, 2))
        self.stages, inputs = nn.ModuleList(), stem
        for place, (outputs, count) in enumerate(zip(planes, blocks, strict=True)):
            stage = [Block(inputs, outputs, 2 if place else 1), *(Block(outputs, outputs, 1) for _ in range(count - 1))]
            self.stages.append(nn.Sequential(*stage))
            inputs = outputs
        self.lateral = nn.ModuleList(nn.Conv2d(width, neck, 1) for width in planes[1:])
        self.fine, self.coarse, self.last = (
            nn.ModuleList(nn.Conv2d(neck, neck, 3, s, 1) for _ in range(n)) for n, s in ((3, 1), (2, 2), (2, 1))
        )
        self.heads = nn.ModuleList(nn.Sequential(*(Normed(head if i else neck, head) for i in range(stacked))) for _ in range(3))
        self.ends = nn.ModuleList(nn.ModuleList(nn.Conv2d(head, values, 3, 1, 1) for _ in range(3)) for values in (2, 8, 20))
        for score in self.ends[0]:  # type: ignore[union-attr]
            nn.init.constant_(score.bias, -6.0)  # as of a trained one: hardly any place is a face
        self.scales = nn.ParameterList(nn.Parameter(torch.tensor(1.0)) for _ in range(3))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x, maps = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        maps = [lateral(value) for lateral, value in zip(self.lateral, maps[1:], strict=True)]
        for place in (1, 0):
            maps[place] = maps[place] + functional.interpolate(maps[place + 1], size=maps[place].shape[2:], mode="nearest")
        maps = [conv(value) for conv, value in zip(self.fine, maps, strict=True)]
        for place in (0, 1):
            maps[place + 1] = maps[place + 1] + self.coarse[place](maps[place])
        maps = [maps[0], self.last[0](maps[1]), self.last[1](maps[2])]
        found: list[list[Tensor]] = [[], [], []]
        for place, value in enumerate(maps):
            value = self.heads[place](value)
            score, box, points = (end[place](value) for end in self.ends)  # type: ignore[operator,index,union-attr]
            found[0].append(score.permute(2, 3, 0, 1).reshape(-1, 1).sigmoid())
            found[1].append((box * self.scales[place]).permute(2, 3, 0, 1).reshape(-1, 4))
            found[2].append(points.permute(2, 3, 0, 1).reshape(-1, 10))
        return (*found[0], *found[1], *found[2])

"""RetinaFace (Deng et al. 2020): feature pyramid, context modules, three heads, on ResNet-50 or a quarter-width MobileNet.

Names of modules are those of the widely used PyTorch port, so that its files load as they are.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks import memory, packed, precision
from frontalbench.networks.blocks import normed_conv
from frontalbench.networks.resnet import ReadyResNet50, ResNet50

BACKBONES: Final = ("resnet50", "mobilenet0.25")
LEVELS: Final = 3
"""Of the feature pyramid: an 8th, a 16th and a 32nd of the size."""


class _Rectifier(nn.Module):
    """Leaky rectifier; a module of its own so that a slope of 0 is the plain one."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x: Tensor) -> Tensor:
        return functional.leaky_relu(x, self.slope)


def _unit(inputs: int, outputs: int, kernel: int, slope: float | None) -> nn.Sequential:
    return nn.Sequential(*normed_conv(inputs, outputs, kernel), *([] if slope is None else [_Rectifier(slope)]))


class _MobileNet(nn.Module):
    slope = 0.1

    def __init__(self) -> None:
        super().__init__()
        first = nn.Sequential(*normed_conv(3, 8, 3, 2), _Rectifier(self.slope))
        plan1 = ((8, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1))
        plan2 = ((64, 128, 2), *((128, 128, 1),) * 5)
        plan3 = ((128, 256, 2), (256, 256, 1))
        self.stage1 = nn.Sequential(first, *(self._separable(*unit) for unit in plan1))
        self.stage2 = nn.Sequential(*(self._separable(*unit) for unit in plan2))
        self.stage3 = nn.Sequential(*(self._separable(*unit) for unit in plan3))

    def _separable(self, inputs: int, outputs: int, stride: int) -> nn.Sequential:
        depth = normed_conv(inputs, inputs, 3, stride, groups=inputs)
        point = normed_conv(inputs, outputs, 1)
        return nn.Sequential(*depth, _Rectifier(self.slope), *point, _Rectifier(self.slope))

    def forward(self, x: Tensor) -> list[Tensor]:
        one = self.stage1(x)
        two = self.stage2(one)
        return [one, two, self.stage3(two)]


class _Pyramid(nn.Module):
    """Top-down feature pyramid over three levels."""

    def __init__(self, channels: tuple[int, int, int], width: int, slope: float) -> None:
        super().__init__()
        self.output1, self.output2, self.output3 = (_unit(c, width, 1, slope) for c in channels)
        self.merge1, self.merge2 = (_unit(width, width, 3, slope) for _ in range(2))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = self.output1(maps[0]), self.output2(maps[1]), self.output3(maps[2])
        middle = self.merge2(middle + functional.interpolate(coarse, size=middle.shape[2:], mode="nearest"))
        fine = self.merge1(fine + functional.interpolate(middle, size=fine.shape[2:], mode="nearest"))
        return [fine, middle, coarse]


class _Context(nn.Module):
    """Three branches that see 3 x 3, 5 x 5 and 7 x 7 neighbourhoods."""

    def __init__(self, width: int, slope: float) -> None:
        super().__init__()
        half, quarter = width // 2, width // 4
        self.conv3X3 = _unit(width, half, 3, None)
        self.conv5X5_1 = _unit(width, quarter, 3, slope)
        self.conv5X5_2 = _unit(quarter, quarter, 3, None)
        self.conv7X7_2 = _unit(quarter, quarter, 3, slope)
        self.conv7x7_3 = _unit(quarter, quarter, 3, None)

    def forward(self, x: Tensor) -> Tensor:
        shared = self.conv5X5_1(x)
        return functional.relu(torch.cat([self.conv3X3(x), self.conv5X5_2(shared), self.conv7x7_3(self.conv7X7_2(shared))], dim=1))


class _Head(nn.Module):
    """A 1 x 1 convolution that gives ``values`` numbers for each of two anchors per cell."""

    def __init__(self, width: int, values: int) -> None:
        super().__init__()
        self.values = values
        self.conv1x1 = nn.Conv2d(width, 2 * values, 1)

    def forward(self, x: Tensor) -> Tensor:
        rows: Tensor = self.conv1x1(x).permute(0, 2, 3, 1)
        return rows.reshape(len(x), -1, self.values)


class RetinaFaceNet(nn.Module):
    """The network; ``backbone``: one of :data:`BACKBONES`. Input float32 (N, 3, H, W), **BGR** minus (104, 117, 123), any size.

    Output: box offsets (N, A, 4), face probabilities (N, A, 2) (index 1 is the face), point offsets (N, A, 10), for the two anchors of
    each cell, level by level, row by row (``frontalbench.detect.retinaface.priors``).
    """

    def __init__(self, backbone: str) -> None:
        super().__init__()
        large = backbone == "resnet50"
        self.body = ResNet50() if large else _MobileNet()
        channels, width, slope = ((512, 1024, 2048), 256, 0.0) if large else ((64, 128, 256), 64, _MobileNet.slope)
        self.fpn = _Pyramid(channels, width, slope)
        self.ssh1, self.ssh2, self.ssh3 = (_Context(width, slope) for _ in range(LEVELS))
        self.ClassHead, self.BboxHead, self.LandmarkHead = (
            nn.ModuleList(_Head(width, values) for _ in range(LEVELS)) for values in (2, 4, 10)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        levels = self.fpn(self.body(x)[-LEVELS:])
        maps = [context(level) for context, level in zip((self.ssh1, self.ssh2, self.ssh3), levels, strict=True)]
        classes, boxes, points = (
            torch.cat([head(level) for head, level in zip(heads, maps, strict=True)], dim=1)
            for heads in (self.ClassHead, self.BboxHead, self.LandmarkHead)
        )
        return boxes, classes.softmax(dim=-1), points


# For use on a CPU --------------------------------------------------------------------------------------------------------------------------


class _ReadyContext(nn.Module):
    """:class:`_Context` in three convolutions instead of five: what reads the same map stands beside each other."""

    def __init__(self, context: nn.Module) -> None:
        super().__init__()
        assert isinstance(context, _Context)
        (three, a), (five, b), (seven, c), (last, d) = (
            _folded(part) for part in (context.conv3X3, context.conv5X5_1, context.conv7X7_2, context.conv7x7_3)
        )
        (beside, e) = _folded(context.conv5X5_2)
        self.half, self.quarter = three.shape[0], five.shape[0]  # type: ignore[method-assign, assignment]
        self.first = packed.conv(torch.cat([three, five]), torch.cat([a, b]), activation="relu", lasting=True)
        self.second = packed.conv(torch.cat([beside, seven]), torch.cat([e, c]), activation="relu", lasting=True)
        self.third = packed.conv(last, d, activation="relu")

    def forward(self, x: Tensor) -> Tensor:
        # All five end in a rectifier: those without one of their own are rectified when they stand side by side.
        near, shared = self.first(x).split([self.half, self.quarter], 1)
        middle, far = self.second(shared).split([self.quarter, self.quarter], 1)
        return torch.cat([near, middle, self.third(far)], dim=1)


def _folded(unit: nn.Sequential) -> tuple[Tensor, Tensor]:
    conv, norm = unit[0], unit[1]
    assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
    fused = nn.utils.fusion.fuse_conv_bn_eval(conv.eval(), norm.eval())
    assert fused.bias is not None
    return fused.weight, fused.bias


class _ReadyPyramid(nn.Module):
    def __init__(self, pyramid: _Pyramid) -> None:
        super().__init__()
        self.outputs = nn.ModuleList(
            packed.conv(*_folded(each), activation="relu") for each in (pyramid.output1, pyramid.output2, pyramid.output3)
        )
        self.merge1, self.merge2 = (
            packed.conv(*_folded(each), activation="relu", lasting=True) for each in (pyramid.merge1, pyramid.merge2)
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = (output(each) for output, each in zip(self.outputs, maps, strict=True))
        middle = self.merge2(middle.add_(functional.interpolate(coarse, size=middle.shape[2:], mode="nearest")))
        fine = self.merge1(fine.add_(functional.interpolate(middle, size=fine.shape[2:], mode="nearest")))
        return [fine, middle, coarse]


class _ReadyHeads(nn.Module):
    """The three :class:`_Head` of a level as one convolution, which reads the map once."""

    def __init__(self, *heads: nn.Module) -> None:
        super().__init__()
        weights, biases, self.values = [], [], []
        for head in heads:
            assert isinstance(head, _Head) and head.conv1x1.bias is not None
            weights.append(head.conv1x1.weight)
            biases.append(head.conv1x1.bias)
            self.values.append(head.values)
        self.all = packed.Packed(torch.cat(weights), torch.cat(biases), dtype=torch.float32)

    def forward(self, x: Tensor) -> list[Tensor]:
        rows = self.all(x).permute(0, 2, 3, 1).split([2 * values for values in self.values], dim=-1)
        return [part.reshape(len(x), -1, values) for part, values in zip(rows, self.values, strict=True)]


class _ReadyRetinaFace(RetinaFaceNet):
    """What :func:`ready` makes."""

    def __init__(self, network: RetinaFaceNet) -> None:
        nn.Module.__init__(self)
        assert isinstance(network.body, ResNet50)
        self.body = ReadyResNet50(network.body)  # type: ignore[assignment]
        self.fpn = _ReadyPyramid(network.fpn)  # type: ignore[assignment]
        for name in ("ssh1", "ssh2", "ssh3"):
            self.add_module(name, _ReadyContext(network.get_submodule(name)))
        self.heads = nn.ModuleList(
            precision.exact(_ReadyHeads(*heads)) for heads in zip(network.ClassHead, network.BboxHead, network.LandmarkHead, strict=True)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps = [context(level) for context, level in zip((self.ssh1, self.ssh2, self.ssh3), self.fpn(self.body(x)[-LEVELS:]), strict=True)]
        found = zip(*(head(each) for head, each in zip(self.heads, maps, strict=True)), strict=True)
        classes, boxes, points = (torch.cat(rows, dim=1) for rows in found)
        return boxes, classes.softmax(dim=-1), points


def ready(network: RetinaFaceNet) -> RetinaFaceNet:
    """``network``, filled, made for use on a CPU: the same numbers within rounding. The small backbone stays as it is: most of its convolutions
    see one channel at a time. Where half precision is asked for the heads stay float32: faces that are certain had the same score, 1.0, in it, and
    which of their anchors gives the points was chance."""
    if not isinstance(network.body, ResNet50):
        for heads in (network.ClassHead, network.BboxHead, network.LandmarkHead):
            for head in heads:
                precision.exact(head)
        return precision.lowered(network.eval().requires_grad_(False))
    memory.kept()
    with torch.no_grad():
        return precision.lowered(_ReadyRetinaFace(network.eval()).eval().requires_grad_(False))

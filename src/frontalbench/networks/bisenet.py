"""BiSeNet for face parsing (Yu et al. 2018, "BiSeNet: Bilateral Segmentation Network", with a ResNet-18, as trained on CelebAMask-HQ).

The context path looks at a 16th and a 32nd of the size, weighs its channels by what the whole image holds, and comes back up to an 8th; there
it meets the map of the trunk itself. Names of parameters are those of the public checkpoint (``79999_iter.pth``), so that it loads strictly.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks.blocks import normed_conv

CLASSES: Final = 19
"""0 background, 1 skin, 2-3 brows, 4-5 eyes, 6 glasses, 7-8 ears, 9 ear ring, 10 nose, 11 mouth, 12-13 lips, 14 neck, 15 necklace, 16 clothes,
17 hair, 18 hat."""


class Basic(nn.Module):
    """Two 3 x 3 convolutions and a way around them."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = normed_conv(inputs, width, 3, stride)
        self.conv2, self.bn2 = normed_conv(width, width, 3)
        self.downsample = nn.Sequential(*normed_conv(inputs, width, 1, stride)) if stride > 1 or inputs != width else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class Trunk(nn.Module):
    """ResNet-18: maps of 128, 256, 512 channels at an 8th, 16th, 32nd of the size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = normed_conv(3, 64, 7, 2)
        inputs = 64
        for index, (width, stride) in enumerate(((64, 1), (128, 2), (256, 2), (512, 2)), start=1):
            self.add_module(f"layer{index}", nn.Sequential(Basic(inputs, width, stride), Basic(width, width, 1)))
            inputs = width

    def forward(self, x: Tensor) -> list[Tensor]:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        maps = []
        for index in range(1, 5):
            x = self.get_submodule(f"layer{index}")(x)
            maps.append(x)
        return maps[1:]


class Normed(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv, self.bn = normed_conv(inputs, outputs, kernel)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(x)))


class Attention(nn.Module):
    """A map whose channels are weighed by their own means."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = Normed(inputs, outputs, 3)
        self.conv_atten = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn_atten = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        weighed: Tensor = x * torch.sigmoid(self.bn_atten(self.conv_atten(x.mean(dim=(2, 3), keepdim=True))))
        return weighed


class Context(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.resnet = Trunk()
        self.arm16, self.arm32 = Attention(256, 128), Attention(512, 128)
        self.conv_head32, self.conv_head16 = Normed(128, 128, 3), Normed(128, 128, 3)
        self.conv_avg = Normed(512, 128, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        eighth, sixteenth, last = self.resnet(x)
        low = self.arm32(last) + self.conv_avg(last.mean(dim=(2, 3), keepdim=True))
        low = self.conv_head32(functional.interpolate(low, size=sixteenth.shape[2:], mode="nearest"))
        high = self.arm16(sixteenth) + low
        return eighth, self.conv_head16(functional.interpolate(high, size=eighth.shape[2:], mode="nearest")), low


class Fusion(nn.Module):
    """The trunk's own map and the context, weighed by their common means."""

    def __init__(self) -> None:
        super().__init__()
        self.convblk = Normed(256, 256, 1)
        self.conv1, self.conv2 = nn.Conv2d(256, 64, 1, bias=False), nn.Conv2d(64, 256, 1, bias=False)

    def forward(self, own: Tensor, context: Tensor) -> Tensor:
        x = self.convblk(torch.cat([own, context], dim=1))
        weight = torch.sigmoid(self.conv2(functional.relu(self.conv1(x.mean(dim=(2, 3), keepdim=True)))))
        mixed: Tensor = x + x * weight
        return mixed


class Scores(nn.Module):
    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.conv = Normed(inputs, width, 3)
        self.conv_out = nn.Conv2d(width, CLASSES, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.conv_out(self.conv(x))
        return scores


class BiSeNet(nn.Module):
    """Images (N, 3, H, W), ImageNet-normalised RGB, H and W multiples of 32 -> scores (N, 19, H, W) of :data:`CLASSES`."""

    def __init__(self) -> None:
        super().__init__()
        self.cp, self.ffm = Context(), Fusion()
        self.conv_out, self.conv_out16, self.conv_out32 = Scores(256, 256), Scores(128, 64), Scores(128, 64)  # the last two: training only

    def forward(self, x: Tensor) -> Tensor:
        own, context, _ = self.cp(x)
        scores = self.conv_out(self.ffm(own, context))
        return functional.interpolate(scores, size=x.shape[2:], mode="bilinear", align_corners=True)

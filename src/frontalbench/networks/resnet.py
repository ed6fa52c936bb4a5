"""ResNet-50 (He et al. 2016) with the stride in the 3 x 3 convolution, under the names that torchvision made common.

The trunk of RetinaFace, DECA, HRN and Hopenet.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks.blocks import normed_conv


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 with ``stride``, 1 x 1 to 4 ``width`` channels; ``project``: the way around is a convolution."""

    def __init__(self, inputs: int, width: int, stride: int, *, project: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = normed_conv(inputs, width, 1)
        self.conv2, self.bn2 = normed_conv(width, width, 3, stride)
        self.conv3, self.bn3 = normed_conv(width, 4 * width, 1)
        self.downsample = nn.Sequential(*normed_conv(inputs, 4 * width, 1, stride)) if project else None

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = functional.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return functional.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet50(nn.Module):
    """Pictures (N, 3, H, W) -> the maps of the four stages: 256, 512, 1024, 2048 channels at a 4th, 8th, 16th, 32nd of the size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = normed_conv(3, 64, 7, 2)
        inputs = 64
        for index, (width, count, stride) in enumerate(((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)), start=1):
            blocks = [Bottleneck(inputs if i == 0 else 4 * width, width, stride if i == 0 else 1, project=i == 0) for i in range(count)]
            self.add_module(f"layer{index}", nn.Sequential(*blocks))
            inputs = 4 * width

    def forward(self, x: Tensor) -> list[Tensor]:
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        maps = []
        for index in range(1, 5):
            x = self.get_submodule(f"layer{index}")(x)
            maps.append(x)
        return maps

"""ResNet-50 (He et al. 2016) with the stride in the 3 x 3 convolution, under the names that torchvision made common.

The trunk of RetinaFace, DECA, HRN and Hopenet.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks import packed
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
    """Images (N, 3, H, W) -> the maps of the four stages: 256, 512, 1024, 2048 channels at a 4th, 8th, 16th, 32nd of the size."""

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


class ReadyResNet50(nn.Module):
    """A filled :class:`ResNet50`, made for use on a CPU (:mod:`.packed`): norms, sums and activations inside of the convolutions.

    ``network`` is used up: what has been taken is let go at once, so that there are never two whole networks.
    """

    def __init__(self, network: ResNet50) -> None:
        super().__init__()
        self.first = packed.of(network.conv1, network.bn1, activation="relu")
        self.stages = nn.ModuleList()
        for index in range(1, 5):
            blocks = list(network.get_submodule(f"layer{index}").children())
            delattr(network, f"layer{index}")
            blocks.reverse()
            ready = []
            while blocks:
                ready.append(_ReadyBottleneck(blocks.pop()))
            self.stages.append(nn.Sequential(*ready))

    def forward(self, x: Tensor) -> list[Tensor]:
        """The maps of the last three stages: the first one's is the largest by far, and nobody asks for it."""
        x = self.stages[0](functional.max_pool2d(self.first(x), 3, 2, 1))
        maps = []
        for stage in self.stages[1:]:
            x = stage(x)
            maps.append(x)
        return maps


class _ReadyBottleneck(nn.Module):
    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        assert isinstance(block, Bottleneck)
        self.one = packed.of(block.conv1, block.bn1, activation="relu")
        self.two = packed.of(block.conv2, block.bn2, activation="relu", lasting=True)
        self.three = packed.of(block.conv3, block.bn3, activation="relu")
        around = block.downsample
        self.around = None
        if around is not None:
            conv, norm = around.children()
            assert isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
            self.around = packed.of(conv, norm)

    def forward(self, x: Tensor) -> Tensor:
        # Where nothing leads around, the sum takes ``x``'s place: the map before, which nobody reads any more.
        y: Tensor = self.three(self.two(self.one(x)), onto=x if self.around is None else self.around(x))
        return y

"""The network of shift-tolerant LPIPS (Ghildyal and Liu 2022, ECCV): an AlexNet whose strides are 1, with a blur before every step down."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class Blur(nn.Module):
    """A blur with the fixed weights ``filt`` (C, 1, 3, 3), two pixels reflected at every side, then every second pixel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", torch.zeros(channels, 1, 3, 3))

    def forward(self, x: Tensor) -> Tensor:
        filt = self.get_buffer("filt")
        return functional.conv2d(functional.pad(x, (2, 2, 2, 2), mode="reflect"), filt, stride=2, groups=filt.shape[0])


class Trunk(nn.Module):
    """The five stages; keys as in the authors' file, where the layers are counted through."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            *(nn.Conv2d(3, 64, 11, padding=2), Blur(64), nn.ReLU()),
            *(nn.MaxPool2d(3, 1), Blur(64), nn.Conv2d(64, 192, 5, padding=2), nn.ReLU()),
            *(nn.MaxPool2d(3, 1), Blur(192), nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU()),
        ]
        for stage, (begin, end) in enumerate(((0, 3), (3, 7), (7, 11), (11, 13), (13, 15)), 1):
            self.add_module(f"slice{stage}", nn.Sequential())
            for i in range(begin, end):
                self.get_submodule(f"slice{stage}").add_module(str(i), layers[i])

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for stage in self.children():
            x = stage(x)
            found.append(x)
        return found


class Weighting(nn.Module):
    """A weight per channel (key ``model.1``; ``model.0`` was the dropout of training)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model = nn.Sequential(nn.Identity(), nn.Conv2d(channels, 1, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        weighted: Tensor = self.model(x)
        return weighted


class Scaling(nn.Module):
    """The colours' means and spreads, as the file has them."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("shift", torch.zeros(1, 3, 1, 1))
        self.register_buffer("scale", torch.ones(1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.get_buffer("shift")) / self.get_buffer("scale")


class Network(nn.Module):
    """``features`` of images (N, 3, H, W) in -1 .. 1; ``maps`` of the distance of two images' features."""

    def __init__(self) -> None:
        super().__init__()
        self.scaling_layer, self.net = Scaling(), Trunk()
        self.lin0, self.lin1, self.lin2, self.lin3, self.lin4 = (Weighting(channels) for channels in (64, 192, 384, 256, 256))

    def features(self, images: Tensor) -> list[Tensor]:
        """Per stage (N, C, h, w), of length 1 in every place."""
        return [x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10) for x in self.net(self.scaling_layer(images))]

    def maps(self, first: list[Tensor], second: list[Tensor]) -> list[Tensor]:
        """Per stage (N, 1, h, w)."""
        weightings = (self.lin0, self.lin1, self.lin2, self.lin3, self.lin4)
        return [weigh((a - b).square()) for weigh, a, b in zip(weightings, first, second, strict=True)]

"""The hourglass of First-Order-Model and what is made of it: a keypoint detector. FSRT has the same detector, without the Jacobians.

Siarohin et al. 2019, "First Order Motion Model for Image Animation", section 3.1. The names of parameters are the official ones. Images are
float32 (N, 3, H, W) RGB in 0..1; keypoints are x right, y down, -1..1 from the first pixel's centre to the last one's.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks import layers, packed, precision
from frontalbench.networks.memory import given_back
from frontalbench.networks.warping import identity_grid

Module = TypeVar("Module", bound=nn.Module)

KEYPOINTS = 10
TEMPERATURE = 0.1
"""Divides the logits of the heat maps."""
SPREAD = 256
"""Channels up to which an upsampling and the convolution after it become one step."""
SHRUNK = 4
"""The detector and the dense motion look at images a fourth as large."""


class Conv(nn.Module):
    """A convolution that keeps the size, batch norm, ReLU; before it twice as large (``up``) or after it half as large (``down``)."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, *, up: bool = False, down: bool = False) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.norm = nn.BatchNorm2d(outputs)
        self.up, self.down = up, down

    def forward(self, x: Tensor) -> Tensor:
        if self.up:
            x = functional.interpolate(x, scale_factor=2.0)
        x = functional.relu(self.norm(self.conv(x)), inplace=not torch.is_grad_enabled())
        return functional.avg_pool2d(x, 2) if self.down else x

    def ready(self) -> nn.Module:
        """See :func:`ready`."""
        return _Ready(self)


class _Ready(nn.Module):
    """:class:`Conv` with the norm inside of the convolution."""

    def __init__(self, block: Conv) -> None:
        super().__init__()
        weight, bias = layers.folded(block.state_dict(), "conv", "norm")
        del block.conv, block.norm  # so that a kernel of 19 MB does not lie in memory three times
        # The transposed kernel has 16 taps for 9: worth its memory where there are many pixels and few channels.
        spread = block.up and weight.shape[1] <= SPREAD
        self.up, self.down = block.up and not spread, block.down
        if spread:
            self.conv: nn.Module = layers.UpConv2d(weight, bias, 2, activation="relu").to(precision.dtype())
        else:
            self.conv = packed.Fitting(weight, bias, activation="relu")

    def forward(self, x: Tensor) -> Tensor:
        if self.up:
            x = functional.interpolate(x, scale_factor=2.0)
        x = self.conv(x)
        return functional.avg_pool2d(x, 2) if self.down else x


def ready(network: Module) -> Module:
    """``network`` (changed in place), filled before, made ready for use only: the same numbers within rounding, faster. Its state dict has other
    names then; run it without gradients, and move it to its device before it has run."""
    for name, child in [*network.named_children()]:
        change = getattr(child, "ready", None)
        if callable(change):
            size = sum(value.nbytes for value in child.parameters())
            setattr(network, name, change())
            del child, change
            given_back(size)
        else:
            ready(child)
    return network.eval().requires_grad_(False)


class _Encoder(nn.Module):
    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.down_blocks = nn.ModuleList(Conv(inputs, outputs, down=True) for inputs, outputs in pairwise(widths))


class _Decoder(nn.Module):
    def __init__(self, width: int, widths: list[int]) -> None:
        super().__init__()
        outputs = [*reversed(widths[1:-1]), width]
        # Every block but the first also sees what the encoder had at its size.
        inputs = [widths[-1], *(2 * size for size in outputs[:-1])]
        self.up_blocks = nn.ModuleList(Conv(before, after, up=True) for before, after in zip(inputs, outputs, strict=True))


class Hourglass(nn.Module):
    """(N, ``inputs``, H, W) -> (N, ``width + inputs``, H, W); H and W are multiples of 32. Five blocks down and up, the input beside the result."""

    def __init__(self, inputs: int, width: int, *, blocks: int = 5, most: int = 1024) -> None:
        super().__init__()
        widths = [inputs, *(min(most, width * 2 ** (i + 1)) for i in range(blocks))]
        self.encoder, self.decoder = _Encoder(widths), _Decoder(width, widths)
        self.outputs = width + inputs

    def forward(self, x: Tensor) -> Tensor:
        kept = [x]
        for block in self.encoder.down_blocks:
            kept.append(block(kept[-1]))
        x = kept.pop()
        for block in self.decoder.up_blocks:
            x = torch.cat([block(x), kept.pop()], dim=1)
        return x

    def ready(self) -> nn.Module:
        """See :func:`ready`. Of a keypoint detector and a dense motion this alone may be in half precision: what makes coordinates of it is not."""
        ready(self.encoder)
        ready(self.decoder)
        return precision.lowered(self)


class Shrink(nn.Module):
    """An image a fourth as large: a Gaussian of 13 x 13 and standard deviation 1.5, then every fourth pixel. The Gaussian is kept in checkpoints."""

    weight: Tensor

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        deviation = (SHRUNK - 1) / 2.0
        offsets = torch.arange(13, dtype=torch.float32) - 6.0
        line = torch.exp(-offsets.square() / (2.0 * deviation**2))
        square = line[:, None] * line[None, :]
        self.register_buffer("weight", (square / square.sum()).expand(channels, 1, 13, 13).clone())

    def forward(self, x: Tensor) -> Tensor:
        # A stride of 4 computes only the pixels that are kept.
        return functional.conv2d(x, self.weight, stride=SHRUNK, padding=6, groups=x.shape[1])


class Keypoints(NamedTuple):
    """``value`` (N, 10, 2); ``jacobian`` (N, 10, 2, 2): how an image changes about each keypoint, None where the detector gives none."""

    value: Tensor
    jacobian: Tensor | None = None


def relative(source: Keypoints, start: Keypoints, end: Keypoints, scale: Tensor | float = 1.0) -> Keypoints:
    """The keypoints of ``source`` after the movement of another person from ``start`` to ``end``, ``scale`` ((N,) or a number) times as far.

    value = source + scale (end - start); Jacobian = J_end J_start^-1 J_source (the paper's section 3.3).
    """
    factor = scale.view(-1, 1, 1) if isinstance(scale, Tensor) else scale
    value = source.value + factor * (end.value - start.value)
    if source.jacobian is None or start.jacobian is None or end.jacobian is None:
        return Keypoints(value)
    return Keypoints(value, end.jacobian @ torch.linalg.inv(start.jacobian) @ source.jacobian)


class KeypointDetector(nn.Module):
    """Images (N, 3, 256, 256) -> keypoints: centres of mass of ten heat maps. 14 million parameters."""

    def __init__(self, *, jacobian: bool) -> None:
        super().__init__()
        self.predictor = Hourglass(3, 32)
        self.kp = nn.Conv2d(self.predictor.outputs, KEYPOINTS, 7)
        self.jacobian = nn.Conv2d(self.predictor.outputs, 4 * KEYPOINTS, 7) if jacobian else None
        self.down = Shrink()

    def features(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(features (N, 35, H / 4, W / 4), heat maps (N, 10, H / 4 - 6, W / 4 - 6), each of sum 1)."""
        features = self.predictor(self.down(images))
        logits: Tensor = self.kp(features)
        return features, torch.softmax(logits.flatten(2) / TEMPERATURE, dim=2).view_as(logits)

    def forward(self, images: Tensor) -> Keypoints:
        features, heat = self.features(images)
        value = centres(heat)
        if self.jacobian is None:
            return Keypoints(value)
        return Keypoints(value, pooled(self.jacobian(features), heat).view(-1, KEYPOINTS, 2, 2))


def centres(heat: Tensor) -> Tensor:
    """Heat maps (N, K, H, W) of sum 1 -> their centres of mass (N, K, 2) in -1..1, x first."""
    return torch.einsum("nkhw,hwc->nkc", heat, identity_grid(*heat.shape[2:], device=heat.device))


def pooled(maps: Tensor, heat: Tensor) -> Tensor:
    """Means of ``maps`` (N, K * C, H, W), C of them for each keypoint, weighed by its heat map (N, K, H, W): (N, K, C)."""
    return torch.einsum("nkhw,nkchw->nkc", heat, maps.view(*heat.shape[:2], -1, *heat.shape[2:]))

"""EdgeFace (George et al. 2024): an EdgeNeXt (Maaz et al. 2022) whose linear layers may be two of low rank, under the parameter names of the
published checkpoints (``model.stages.1.blocks.2.xca.qkv.linear1.weight``).

Stages of depthwise convolutions; the last block of the three later ones splits its channels, convolves the parts one after the other, and lets the
*channels* attend to each other (cross-covariance attention), so that its cost grows with the number of pixels and not with its square.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON: Final = 1e-6
KERNELS: Final = (3, 5, 7, 9)
SPLITS: Final = (2, 2, 3, 4)
ATTENDING: Final = (0, 1, 1, 1)
"""How many blocks of each stage, its last ones, attend."""
WAVES: Final = 32
"""Half of the channels of the encoding of places."""
TEMPERATURE: Final = 10000.0


@dataclass(frozen=True)
class Size:
    """Channels and blocks of the four stages, and the heads of the attention."""

    channels: tuple[int, int, int, int]
    blocks: tuple[int, int, int, int]
    heads: int


SIZES: Final[Mapping[str, Size]] = {
    "xx_small": Size((24, 48, 88, 168), (2, 2, 6, 2), 4),
    "x_small": Size((32, 64, 100, 192), (3, 3, 9, 3), 4),
    "small": Size((48, 96, 160, 304), (3, 3, 9, 3), 8),
    "base": Size((80, 160, 288, 584), (3, 3, 9, 3), 8),
}


class LowRank(nn.Module):
    """A linear layer as a product of two."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(inputs, rank, bias=False)
        self.linear2 = nn.Linear(rank, outputs)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.linear2(self.linear1(x))
        return result


def linear(inputs: int, outputs: int, share: float | None) -> nn.Module:
    """A linear layer; with ``share`` one whose rank is that share of its smaller side, at least 2."""
    return nn.Linear(inputs, outputs) if share is None else LowRank(inputs, outputs, max(2, int(min(inputs, outputs) * share)))


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        normed: Tensor = super().forward(x.permute(0, 2, 3, 1))
        return normed.permute(0, 3, 1, 2)


class Mlp(nn.Module):
    """Two linear layers with a GELU between, four times as wide inside."""

    def __init__(self, channels: int, share: float | None) -> None:
        super().__init__()
        self.fc1 = linear(channels, 4 * channels, share)
        self.fc2 = linear(4 * channels, channels, share)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return result


class ConvBlock(nn.Module):
    """A depthwise convolution, layer norm and :class:`Mlp`, added to the input."""

    def __init__(self, channels: int, kernel: int, share: float | None) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels))
        self.conv_dw = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=EPSILON)
        self.mlp = Mlp(channels, share)

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.gamma * self.mlp(self.norm(self.conv_dw(x).permute(0, 2, 3, 1)))
        return x + inner.permute(0, 3, 1, 2)


class Places(nn.Module):
    """Where each pixel is, as waves of many lengths, mixed by a 1 x 1 convolution: (1, C, H, W) for a map of H x W."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.token_projection = nn.Conv2d(2 * WAVES, channels, 1)

    def forward(self, height: int, width: int) -> Tensor:
        weight = self.token_projection.weight
        steps = torch.arange(WAVES, dtype=weight.dtype, device=weight.device)
        lengths = TEMPERATURE ** (2 * torch.floor(steps / 2) / WAVES)

        def waves(n: int) -> Tensor:
            place = torch.arange(1, n + 1, dtype=weight.dtype, device=weight.device) / (n + EPSILON) * (2 * math.pi)
            angle = place[:, None] / lengths
            return torch.stack([angle[:, 0::2].sin(), angle[:, 1::2].cos()], dim=2).flatten(1)  # (n, WAVES)

        rows = waves(height)[:, None].expand(height, width, WAVES)
        columns = waves(width)[None].expand(height, width, WAVES)
        result: Tensor = self.token_projection(torch.cat([rows, columns], dim=2).permute(2, 0, 1)[None])
        return result


class CrossCovariance(nn.Module):
    """Attention between channels: (N, L, C) -> (N, L, C)."""

    def __init__(self, channels: int, heads: int, share: float | None) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = linear(channels, 3 * channels, share)
        self.proj = linear(channels, channels, share)

    def forward(self, x: Tensor) -> Tensor:
        n, length, channels = x.shape
        query, key, value = self.qkv(x).view(n, length, 3, self.heads, channels // self.heads).permute(2, 0, 3, 4, 1)
        near = functional.normalize(query, dim=-1) @ functional.normalize(key, dim=-1).transpose(-2, -1) * self.temperature
        mixed = near.softmax(dim=-1) @ value
        result: Tensor = self.proj(mixed.permute(0, 3, 1, 2).reshape(n, length, channels))
        return result


class AttendingBlock(nn.Module):
    """Channels in parts, each convolved with what came out of the part before; then :class:`CrossCovariance` and :class:`Mlp`."""

    def __init__(self, channels: int, splits: int, heads: int, share: float | None, *, places: bool) -> None:
        super().__init__()
        width = math.ceil(channels / splits)
        self.gamma_xca = nn.Parameter(torch.ones(channels))
        self.gamma = nn.Parameter(torch.ones(channels))
        self.convs = nn.ModuleList([nn.Conv2d(width, width, 3, padding=1, groups=width) for _ in range(max(1, splits - 1))])
        self.pos_embd = Places(channels) if places else None
        self.norm_xca = nn.LayerNorm(channels, eps=EPSILON)
        self.xca = CrossCovariance(channels, heads, share)
        self.norm = nn.LayerNorm(channels, eps=EPSILON)
        self.mlp = Mlp(channels, share)

    def forward(self, x: Tensor) -> Tensor:
        parts = x.chunk(len(self.convs) + 1, dim=1)
        done = [self.convs[0](parts[0])]
        for place, conv in enumerate(self.convs[1:], start=1):
            done.append(conv(done[-1] + parts[place]))
        mixed = torch.cat([*done, parts[-1]], dim=1)
        if self.pos_embd is not None:
            mixed = mixed + self.pos_embd(*mixed.shape[2:])
        n, channels, height, width = mixed.shape
        tokens = mixed.flatten(2).transpose(1, 2)
        tokens = tokens + self.gamma_xca * self.xca(self.norm_xca(tokens))
        inner: Tensor = self.gamma * self.mlp(self.norm(tokens))
        return x + inner.transpose(1, 2).reshape(n, channels, height, width)


class Stage(nn.Module):
    """Half the size (not in the first stage), then blocks."""

    def __init__(self, place: int, size: Size, share: float | None) -> None:
        super().__init__()
        channels = size.channels[place]
        before = size.channels[place - 1]
        self.downsample = nn.Sequential(ChannelNorm(before, eps=EPSILON), nn.Conv2d(before, channels, 2, 2)) if place else nn.Identity()
        plain = size.blocks[place] - ATTENDING[place]
        blocks: list[nn.Module] = [ConvBlock(channels, KERNELS[place], share) for _ in range(plain)]
        blocks += [AttendingBlock(channels, SPLITS[place], size.heads, share, places=place == 1) for _ in range(ATTENDING[place])]
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.blocks(self.downsample(x))
        return result


class _Head(nn.Module):
    def __init__(self, channels: int, dimension: int, share: float | None) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels, eps=EPSILON)
        self.fc = linear(channels, dimension, share)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc(self.norm(x.mean((2, 3), keepdim=True)).flatten(1))
        return result


class _Model(nn.Module):
    def __init__(self, size: Size, dimension: int, share: float | None) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, size.channels[0], 4, 4), ChannelNorm(size.channels[0], eps=EPSILON))
        self.stages = nn.Sequential(*[Stage(place, size, share) for place in range(4)])
        self.head = _Head(size.channels[-1], dimension, share)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.head(self.stages(self.stem(x)))
        return result


class EdgeFace(nn.Module):
    """Crops (N, 3, 112, 112) RGB in -1..1 -> embeddings (N, dimension), not normalised. ``size``: a key of :data:`SIZES`; ``share``: of the ranks of
    all linear layers (EdgeFace calls it gamma), None for whole ones."""

    def __init__(self, size: str, *, share: float | None = None, dimension: int = 512) -> None:
        super().__init__()
        self.model = _Model(SIZES[size], dimension, share)

    def forward(self, crops: Tensor) -> Tensor:
        result: Tensor = self.model(crops)
        return result

"""A vision transformer that is told where the five points of the face lie (KP-RPE, Kim et al. 2024, CVPR), under the parameter names of CVLFace.

Every patch looks at every other one with an extra weight that depends on how far apart the two are (image relative position encoding, Wu et al. 2021:
49 kinds of distance) *and* on where the looking patch stands relative to eyes, nose and mouth: a linear layer turns its ten differences to the five
points into 49 weights for each head of each block. A face that is aligned badly, or seen from the side, is so still read by its parts.
"""

from __future__ import annotations

import functools
import math
from typing import Final

import torch
from torch import Tensor, nn

SIDE: Final = 112
PATCH: Final = 8
PER_SIDE: Final = SIDE // PATCH
POINTS: Final = 5
RATIO: Final = 1.9
"""Distances up to it count by themselves; farther ones share kinds (Wu et al. 2021, eq. 18: alpha; beta = 2 alpha, gamma = 8 alpha)."""
FARTHEST: Final = int(2 * RATIO)
KINDS: Final = (2 * FARTHEST + 1) ** 2


@functools.cache
def distance_kinds() -> Tensor:
    """(L, L) int64, L = 196: which of the :data:`KINDS` the way from patch i to patch j is, rows and columns apart."""

    def kind(steps: int) -> int:
        if abs(steps) <= RATIO:
            return steps
        far = RATIO + math.log(abs(steps) / RATIO) / math.log(8.0) * RATIO
        return int(math.copysign(min(round(far), FARTHEST), steps))

    table = torch.tensor([kind(steps) + FARTHEST for steps in range(1 - PER_SIDE, PER_SIDE)])
    place = torch.arange(PER_SIDE)
    along = table[place[:, None] - place[None] + PER_SIDE - 1]  # (14, 14): from a row to a row
    both = along[:, None, :, None] * (2 * FARTHEST + 1) + along[None, :, None, :]
    return both.reshape(PER_SIDE**2, PER_SIDE**2)


class Mlp(nn.Module):
    """Two linear layers with a ReLU6 between."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc2(nn.functional.relu6(self.fc1(x)))
        return result


class Attention(nn.Module):
    """Self attention with ``bias`` (N, heads, L, L) added before the softmax."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        n, length, width = x.shape
        query, key, value = self.qkv(x).view(n, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        result: Tensor = self.proj(mixed.transpose(1, 2).reshape(n, length, width))
        return result


class Block(nn.Module):
    """Attention and :class:`Mlp`, each on what a layer norm gives, each added."""

    def __init__(self, width: int, heads: int, wider: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.mlp = Mlp(width, wider * width)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x), bias)
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class _Patches(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH)

    def forward(self, crops: Tensor) -> Tensor:
        result: Tensor = self.proj(crops).flatten(2).transpose(1, 2)
        return result


class KeypointViT(nn.Module):
    """Crops (N, 3, 112, 112) RGB in -1..1 and points (N, 5, 2), x and y from 0 to 1 over the crop -> embeddings (N, dimension), not normalised.

    As published in size "base": ``width`` 512, ``depth`` 24, 16 ``heads``, ``wider`` 3 (the inner width of the MLP over ``width``).
    """

    def __init__(self, *, width: int = 512, depth: int = 24, heads: int = 16, wider: int = 3, dimension: int = 512) -> None:
        super().__init__()
        self.depth, self.heads = depth, heads
        self.pos_embed = nn.Parameter(torch.zeros(1, PER_SIDE**2, width))
        self.patch_embed = _Patches(width)
        self.blocks = nn.ModuleList([Block(width, heads, wider) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.feature = nn.Sequential(
            nn.Linear(width * PER_SIDE**2, width, bias=False),
            nn.BatchNorm1d(width, eps=2e-5),
            nn.Linear(width, dimension, bias=False),
            nn.BatchNorm1d(dimension, eps=2e-5),
        )
        self.keypoint_linear = nn.Linear(2 * POINTS, KINDS * heads * depth)

    def forward(self, crops: Tensor, points: Tensor) -> Tensor:
        x = self.patch_embed(crops) + self.pos_embed
        n, length, _ = x.shape
        middle = (torch.arange(PER_SIDE, dtype=x.dtype, device=x.device) + 0.5) / PER_SIDE
        grid = torch.stack([middle.repeat(PER_SIDE), middle.repeat_interleave(PER_SIDE)], dim=1)  # (L, 2): x, y
        away = (grid[None, :, None] - points[:, None]).reshape(n, length, 2 * POINTS)
        weights = self.keypoint_linear(away).view(n, length, self.depth, self.heads, KINDS)
        kinds = distance_kinds().to(x.device).expand(n, self.heads, length, length)
        for place, block in enumerate(self.blocks):
            x = block(x, weights[:, :, place].transpose(1, 2).gather(3, kinds))
        result: Tensor = self.feature(self.norm(x).flatten(1))
        return result

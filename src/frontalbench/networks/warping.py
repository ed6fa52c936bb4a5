"""Grids over images and volumes, for networks that move them (First-Order-Model, LivePortrait, FFWM, headGAN)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LEAST_HEAT = 1e-12
"""Of a bump, along an axis."""


def axis_coordinates(size: int, device: torch.device | None = None) -> Tensor:
    """-1 .. 1 over ``size`` samples, both ends included."""
    return torch.arange(size, dtype=torch.float32, device=device) * (2.0 / (size - 1)) - 1.0


def identity_grid(*sizes: int, device: torch.device | None = None) -> Tensor:
    """(H, W, 2) or (D, H, W, 3): the coordinates of each sample in -1 .. 1, x first; ``sizes``: H, W or D, H, W."""
    rank = len(sizes)
    lines = [axis_coordinates(size, device).view([-1 if i == axis else 1 for i in range(rank)]) for axis, size in enumerate(sizes)]
    return torch.stack([line.expand(sizes) for line in reversed(lines)], dim=-1)


def heat_maps(points: Tensor, sizes: Sequence[int], variance: float) -> Tensor:
    """(N, H, W, K) or (N, D, H, W, K): a Gaussian bump of height 1 around each of ``points`` (N, K, 2 or 3), x first, in -1 .. 1; 0 where it is below
    a millionth of a millionth along an axis.

    Cut off there because the tails would be denormal numbers, which made the convolutions that read them three times slower.
    """
    rank = len(sizes)
    heat: Tensor | None = None
    for axis, size in enumerate(sizes):
        away = axis_coordinates(size, points.device).view(1, -1, 1) - points[:, None, :, rank - 1 - axis]
        line = torch.exp(away.square() * (-0.5 / variance))
        line = line * (line > LEAST_HEAT)
        heat = line if heat is None else heat.unsqueeze(-2) * line.view(len(line), *[1] * axis, size, -1)
    assert heat is not None
    return heat

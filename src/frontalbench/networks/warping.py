"""Grids over pictures and volumes, for networks that move them (First-Order-Model, LivePortrait, FFWM, headGAN)."""

from __future__ import annotations

import torch
from torch import Tensor


def axis_coordinates(size: int, device: torch.device | None = None) -> Tensor:
    """-1 .. 1 over ``size`` samples, both ends included."""
    return torch.arange(size, dtype=torch.float32, device=device) * (2.0 / (size - 1)) - 1.0


def identity_grid(*sizes: int, device: torch.device | None = None) -> Tensor:
    """(H, W, 2) or (D, H, W, 3): the coordinates of each sample in -1 .. 1, x first; ``sizes``: H, W or D, H, W."""
    rank = len(sizes)
    lines = [axis_coordinates(size, device).view([-1 if i == axis else 1 for i in range(rank)]) for axis, size in enumerate(sizes)]
    return torch.stack([line.expand(sizes) for line in reversed(lines)], dim=-1)

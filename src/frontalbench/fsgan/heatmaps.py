"""Landmarks as the heat maps that FSGANv2's networks draw from and give, and back.

Coordinates are shares of the crop's side, (x, y) in 0..1: pixel i of n has its centre at (i + 0.5) / n.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from frontalbench.types import Float


def _flip() -> tuple[int, ...]:
    pairs = [(i, 32 - i) for i in range(16)] + [(33 + i, 46 - i) for i in range(5)] + [(38 + i, 50 - i) for i in range(4)]
    pairs += [(55, 59), (56, 58), (60, 72), (61, 71), (62, 70), (63, 69), (64, 68), (65, 75), (66, 74), (67, 73), (96, 97)]
    pairs += [(76, 82), (77, 81), (78, 80), (87, 83), (86, 84), (88, 92), (89, 91), (95, 93)]
    order = list(range(98))
    for one, other in pairs:
        order[one], order[other] = other, one
    return tuple(order)


FLIP = _flip()
"""WFLW's 98 points: the index of each point's mirror image."""


def drawn(points: Tensor, side: int) -> Tensor:
    """Points (N, P, 2) -> maps (N, P, side, side): ((1 - distance / sqrt 2) ^ 8 - 0.8) / 0.2, nothing below 0. A disc of about 4 % of the side."""
    centres = (torch.arange(side, dtype=points.dtype, device=points.device) + 0.5) / side
    across, down = (centres - points[..., 0:1]) ** 2, (centres - points[..., 1:2]) ** 2
    distance = (across[..., None, :] + down[..., :, None]).sqrt()
    return (((1.0 - distance / math.sqrt(2.0)) ** 8 - 0.8) / 0.2).clamp(min=0.0)


def located(maps: Tensor) -> Tensor:
    """Maps (N, P, n, n) of the landmark network -> points (N, P, 2): the mean place of what is above the middle of each map's range."""
    flat = maps.flatten(2)
    low, high = flat.min(dim=2, keepdim=True).values, flat.max(dim=2, keepdim=True).values
    share = (flat - low) / (high - low).clamp(min=1e-12)
    share = torch.where(share < 0.5, 0.0, share)
    share = (share / share.sum(dim=2, keepdim=True).clamp(min=1e-12)).view_as(maps)
    centres = (torch.arange(maps.shape[-1], dtype=maps.dtype, device=maps.device) + 0.5) / maps.shape[-1]
    return torch.stack([(share.sum(dim=2) * centres).sum(dim=2), (share.sum(dim=3) * centres).sum(dim=2)], dim=2)


def mirrored(points: Float) -> Float:
    """Points (98, 2) of the crop flipped left to right."""
    return np.column_stack([1.0 - points[:, 0], points[:, 1]])[list(FLIP)]

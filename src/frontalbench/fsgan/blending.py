"""A turned face put into another image: completed where it was hidden (Gc), and blended into the light that is there (Gb)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from frontalbench.networks.fsgan import pyramid

Draw = Callable[[Sequence[Tensor]], Tensor]

SIZE, THRESHOLD = 21, 0.6
"""Erosion of the mask in FSGANv2's face swap: pixels of the kernel, and what stays in the hard mask."""


def eroded(mask: Tensor, size: int = SIZE, threshold: float = THRESHOLD, iterations: int = 1) -> tuple[Tensor, Tensor]:
    """Mask (N, 1, H, W) in 0..1 -> the same with a soft border, and its inner part as 0 and 1. The soft border reaches ``size`` // 2 pixels
    beyond the mask, as FSGANv2's does: only the hard part is smaller.

    Averaged with a cone of ``size`` (odd) pixels; ``iterations`` - 1 times before that, what the cone's mean lowers is lowered.
    """
    cone = cone_of(size).to(mask)
    for _ in range(iterations - 1):
        mask = torch.minimum(mask, functional.conv2d(mask, cone, padding=size // 2))
    mask = functional.conv2d(mask, cone, padding=size // 2)
    hard = mask >= threshold
    below = torch.where(hard, 0.0, mask)
    most = below.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
    return torch.where(hard, torch.ones_like(mask), below / most), hard.to(mask.dtype)


def cone_of(size: int) -> Tensor:
    """(1, 1, ``size``, ``size``), sum 1: falls linearly from the middle to 0 in the corners."""
    line = torch.arange(size, dtype=torch.float32) - (size - 1) / 2.0
    distance = (line[:, None] ** 2 + line[None] ** 2).sqrt()
    cone = distance.max() - distance
    return (cone / cone.sum())[None, None]


def blended(complete: Draw, blend: Draw, turned: Tensor, face: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """``turned``, ``target`` (N, 3, S, S) RGB in -1..1; ``face``, ``mask`` (N, 1, S, S), 0 or 1: where ``turned`` shows a face, and where in
    ``target`` it belongs. ``complete``: Gc, ``blend``: Gb. Returns ``target`` with the face in it, its own pixels beyond the soft
    border of ``mask`` (:func:`eroded`)."""
    soft, hard = eroded(mask)
    alone = torch.where(face > 0.5, turned, -torch.ones_like(turned))
    completed = complete(pyramid(torch.cat([alone, hard], dim=1)))
    transferred = completed * hard + target * (1.0 - hard)
    mixed = blend(pyramid(torch.cat([transferred, target, hard], dim=1)))
    return mixed * soft + target * (1.0 - soft)

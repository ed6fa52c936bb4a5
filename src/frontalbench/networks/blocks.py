"""Blocks that several networks are made of, plain torch. A block stands here when two networks use it, under parameter names that both have.

Layers made for speed at inference (norms folded in, weights packed) are in :mod:`.layers`; modulated convolutions in :mod:`.stylegan2`; grids that
move images in :mod:`.warping`; the residual network in :mod:`.resnet`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def normed_conv(inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1) -> tuple[nn.Conv2d, nn.BatchNorm2d]:
    """A convolution without bias that keeps the size (at stride 1; odd ``kernel``), and the batch norm after it."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return conv, nn.BatchNorm2d(outputs)


def added_(y: Tensor, x: Tensor) -> Tensor:
    """``y + x``; where no gradients are asked for in the place of ``y``, which nobody else may hold."""
    return y + x if torch.is_grad_enabled() or y.dtype != x.dtype else y.add_(x)


def enlarged(x: Tensor, factor: float, *, corners: bool = False) -> Tensor:
    """(N, C, H, W) bilinearly resized by ``factor``; ``corners``: the outermost pixel centres stay (align_corners)."""
    return functional.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=corners)

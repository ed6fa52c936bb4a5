"""What StyleGAN2 generators share (Karras et al. 2020): the convolution whose input channels a style weighs, and filters between sizes.

Functions and not modules: the official checkpoints name and scale their parameters differently, the sums are the same.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LEAST = 1e-8
"""Added under the square root of the demodulation."""


def modulated_conv2d(
    x: Tensor,
    weight: Tensor,
    factors: Tensor,
    *,
    demodulate: bool = True,
    padding: int | None = None,
    doubled: bool = False,
    gain: float = 1.0,
) -> Tensor:
    """Convolution of ``x`` (N, C, H, W) with ``weight`` (O, C, k, k), its input channels weighed by ``factors`` (N, C): (N, O, H, W).

    ``demodulate``: weights of each output channel scaled to length ``gain`` (which counts for nothing else). ``padding``: zeros around, k // 2 unless
    given. ``doubled``: the transposed convolution with stride 2 instead, (N, O, 2 H - 2 + k - 2 padding, ...) with padding 0 unless given; a blur
    belongs after it. Any scale of equalised learning rates is already in ``weight`` and ``factors``.
    """
    batch, inside, height, width = x.shape
    own = weight[None] * factors.view(batch, 1, inside, 1, 1)
    if demodulate:
        own = own * (gain * torch.rsqrt(own.square().sum((2, 3, 4), keepdim=True) + LEAST))
    outside, kernel = weight.shape[0], weight.shape[-1]
    merged = x.reshape(1, batch * inside, height, width)
    # One group per image: every image has its own weights.
    if doubled:
        turned = own.transpose(1, 2).reshape(batch * inside, outside, kernel, kernel)
        y = functional.conv_transpose2d(merged, turned, stride=2, padding=padding or 0, groups=batch)
    else:
        around = kernel // 2 if padding is None else padding
        y = functional.conv2d(merged, own.reshape(batch * outside, inside, kernel, kernel), padding=around, groups=batch)
    return y.view(batch, outside, *y.shape[2:])


def filtered(x: Tensor, kernel: Tensor, *, up: int = 1, down: int = 1, padding: tuple[int, int] = (0, 0)) -> Tensor:
    """``x`` (N, C, H, W): ``up - 1`` zeros put after every pixel, ``padding`` (before, after) around, convolved with the flipped ``kernel``
    (kh, kw), and every ``down``-th pixel kept. The sums of "upfirdn2d"; any gain is already in ``kernel``.
    """
    n, channels, height, width = x.shape
    if up > 1:
        spread = x.new_zeros(n, channels, height, up, width, up)
        spread[:, :, :, 0, :, 0] = x
        x = spread.view(n, channels, height * up, width * up)
    x = functional.pad(x, (*padding, *padding))
    taps = kernel.flip((0, 1)).to(x.dtype)[None, None].expand(channels, 1, -1, -1)
    return functional.conv2d(x, taps, stride=down, groups=channels)

"""What StyleGAN2 generators share (Karras et al. 2020): the convolution whose input channels a style weighs, its layer, filters between sizes.

Functions and not modules: the official checkpoints name and scale their parameters differently, the sums are the same.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from frontalbench.networks import minimal
from frontalbench.networks.layers import packs

LEAST = 1e-8
"""Added under the square root of the demodulation."""
SLOPE: Final = 0.2
GAIN: Final = 2**0.5
"""Of the activation, which multiplies with it too."""
_THIN: Final = 32
_SAME, _DOUBLED = 2, 16
"""Channels on either side, and pixels of the map for each output (of four outputs a channel where the size is doubled), from which on minimal
filtering pays: its filters are made at every call."""


def styled(
    x: Tensor,
    weight: Tensor,
    factors: Tensor,
    bias: Tensor,
    noise: Tensor | None = None,
    *,
    blur: Tensor | None = None,
    most: float = math.inf,
) -> Tensor:
    """The layer of a generator: 3 x 3 convolution of ``x`` (N, C, H, W) with ``weight`` (O, C, 3, 3), weighed by ``factors`` (N, C) and demodulated;
    ``noise`` (H, W) and ``bias`` (O) added, leaky ReLU of :data:`SLOPE` times :data:`GAIN`, cut to -``most``..``most``.

    ``blur`` (4, 4): the convolution doubles the size, and this filter (any gain in it) follows; ``noise`` has the new size. Without gradients on a
    CPU wide layers go by minimal filtering, which gives channels last in memory.
    """
    # The gain goes into all that is summed: fewer passes over the largest maps.
    if _filters_minimally(x, weight, doubled=blur is not None):
        squares = weight.square().sum((2, 3))
        gain = GAIN * torch.rsqrt(functional.linear(factors.square(), squares) + LEAST)
        noises = None if noise is None else noise * GAIN
        return minimal.modulated(x, weight, factors, gain, bias * GAIN, noises, slope=SLOPE, most=most, blur=blur)
    y = modulated_conv2d(x, weight, factors, doubled=blur is not None, gain=GAIN)
    if blur is not None:
        y = filtered(y, blur, padding=(1, 1))
    if noise is not None:
        y = y + noise * GAIN
    y = functional.leaky_relu_(y + bias[:, None, None] * GAIN, SLOPE)
    return y if math.isinf(most) else y.clamp(-most, most)


def _filters_minimally(x: Tensor, weight: Tensor, *, doubled: bool) -> bool:
    if torch.is_grad_enabled() or x.device.type != "cpu" or x.dtype != torch.float32 or not packs():
        return False
    pixels, (outputs, inputs) = x.shape[0] * x.shape[2] * x.shape[3], weight.shape[:2]
    least = _DOUBLED * 4 * outputs if doubled else _SAME * outputs
    return min(inputs, outputs) >= _THIN and pixels >= least


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
    if weight.shape[-1] == 1 and not demodulate and not doubled and not padding and x.is_contiguous(memory_format=torch.channels_last):
        rows = torch.bmm(x.permute(0, 2, 3, 1).flatten(1, 2), (weight[:, :, 0, 0] * factors[:, None]).transpose(1, 2))
        return rows.view(batch, height, width, -1).permute(0, 3, 1, 2)
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

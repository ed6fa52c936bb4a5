"""A filled network made ready for use only: fewer and faster steps, the same numbers within rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from frontalbench.networks import precision
from frontalbench.networks.checkpoints import unfilled
from frontalbench.networks.memory import given_back, returned
from frontalbench.networks.moments import channel_moments
from frontalbench.networks.packed import Fitting
from frontalbench.networks.spectral import SpectralConv

Module = TypeVar("Module", bound=nn.Module)

_STRIP: Final = 1 << 21
"""Numbers of a map that get their border at a time: 8 MB."""
_FRESH: Final = (Fitting, nn.Conv2d, nn.ConvTranspose2d)
"""What gives a map that nobody else holds."""


def folded(network: Module) -> Module:
    """``network`` (changed in place) in evaluation mode, without gradients and with channels last in memory; within every ``nn.Sequential`` a batch
    norm goes into the convolution before it, and convolutions of stride 1 that keep the size or have no padding become
    :class:`~frontalbench.networks.packed.Fitting`, with a (leaky) ReLU after them inside. Spectral norms are divided by once. A network (or a part)
    that is ``frugal`` has its maps handed back at once (:func:`.memory.returned`).

    For afterwards: its state dict has other names; run it without gradients; move it to its device before it has run.
    """
    if any(getattr(module, "frugal", False) for module in network.modules()):
        returned()
    given_back(sum(value.nbytes for value in network.parameters()))  # what the reading of its file has let go
    network.eval().requires_grad_(False)
    with torch.no_grad():
        _fold(network)
    size = 0
    for module in network.modules():
        for name, value in [*module.named_parameters(recurse=False)]:
            if value.dim() == 4:
                size += value.nbytes
                setattr(module, name, nn.Parameter(value.contiguous(memory_format=torch.channels_last), requires_grad=False))
    given_back(size)
    return precision.lowered(network)


def by_strips(drawn: Callable[[int, int], Tensor], ends: Sequence[int]) -> Tensor:
    """A map (N, C, ``ends[-1]``, W), in one piece of memory, out of its rows: ``drawn(first, last)`` between two of ``ends`` each."""
    whole: Tensor | None = None
    for first, last in pairwise(ends):
        strip = drawn(first, last)
        if len(ends) == 2:
            return strip
        if whole is None:
            shape = (*strip.shape[:2], ends[-1], strip.shape[3])
            whole = torch.empty(shape, dtype=strip.dtype, device=strip.device, memory_format=torch.channels_last)
        whole[:, :, first:last] = strip
    assert whole is not None
    return whole


class Reflected(nn.Module):
    """``around`` pixels put around a map (N, C, H, W) as in a mirror, and ``conv``, which loses as many: some rows at a time where the map is large,
    so that there is no second one with its border."""

    def __init__(self, around: int, conv: Fitting) -> None:
        super().__init__()
        self.around, self.conv = around, conv

    def forward(self, x: Tensor) -> Tensor:
        height, around = x.shape[2], self.around
        rows = max(_STRIP * height // max(1, x.numel()), 4 * around, 32)
        parts = max(1, height // rows)
        ends = [height * i // parts for i in range(parts + 1)]

        def drawn(first: int, last: int) -> Tensor:
            top, bottom = max(0, first - around), min(height, last + around)
            border = (around, around, around - first + top, around - bottom + last)
            strip: Tensor = self.conv(functional.pad(x[:, :, top:bottom], border, mode="reflect"))
            return strip

        return by_strips(drawn, ends)


class Normed(nn.Module):
    """:class:`nn.InstanceNorm2d` without weights, and ``relu`` after it, in place of the map (N, C, H, W) that it is given: PyTorch's own makes one
    in the other memory layout and one for the result."""

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps, self.relu = eps, False

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() or x.dtype != torch.float32:
            y = functional.instance_norm(x, eps=self.eps)
            return functional.relu(y) if self.relu else y
        variance, mean = channel_moments(x)
        x.sub_(mean).mul_(torch.rsqrt(variance + self.eps))
        return x.relu_() if self.relu else x


def _fold(module: nn.Module) -> None:
    for name, child in [*module.named_children()]:
        if isinstance(child, SpectralConv):
            setattr(module, name, _plain(child))
        else:
            _fold(child)
    if isinstance(module, nn.Sequential):
        steps: list[nn.Module] = []
        for step in module:
            before = steps[-1] if steps else None
            if isinstance(step, nn.BatchNorm2d) and isinstance(before, nn.Conv2d | nn.ConvTranspose2d):
                steps[-1] = fuse_conv_bn_eval(before, step, transpose=isinstance(before, nn.ConvTranspose2d))
            else:
                steps.append(step)
        module._modules.clear()
        # What has been taken is let go at once, so that there are never two whole networks.
        steps.reverse()
        merged: list[nn.Module] = []
        size = 0
        while steps:
            step, before = steps.pop(), merged[-1] if merged else None
            if isinstance(step, nn.Conv2d) and _fits(step):
                size += step.weight.nbytes
                around = step.kernel_size[0] // 2
                if isinstance(before, nn.ReflectionPad2d) and before.padding == (around,) * 4 and step.padding == (0, 0):
                    merged[-1] = Reflected(around, _fitting(step))
                else:
                    merged.append(_fitting(step))
            elif isinstance(step, nn.InstanceNorm2d) and not step.affine and isinstance(before, (*_FRESH, Reflected)):
                merged.append(Normed(step.eps))
            elif isinstance(before, Normed) and isinstance(step, nn.ReLU):
                before.relu = True
            elif isinstance(before, Fitting) and before.activation == "none" and isinstance(step, nn.ReLU | nn.LeakyReLU):
                before.activation = "leaky" if isinstance(step, nn.LeakyReLU) else "relu"
                before.slope = step.negative_slope if isinstance(step, nn.LeakyReLU) else 0.0
            else:
                merged.append(step)
        for place, step in enumerate(merged):
            module.add_module(str(place), step)
        given_back(size)
    for name, child in [*module.named_children()]:
        if isinstance(child, nn.Conv2d) and _fits(child):
            setattr(module, name, _fitting(child))


def _plain(conv: SpectralConv) -> nn.Conv2d:
    outputs, inputs, kernel, _ = conv.weight_orig.shape
    plain = unfilled(lambda: nn.Conv2d(inputs, outputs, kernel, conv.stride, conv.padding, bias=conv.bias is not None))
    plain.weight.copy_(conv.weight)
    if plain.bias is not None and conv.bias is not None:
        plain.bias.copy_(conv.bias)
    return plain.eval().requires_grad_(False)


def _fitting(conv: nn.Conv2d) -> Fitting:
    return Fitting(conv.weight, conv.bias, inside=conv.padding == (0, 0) and conv.kernel_size != (1, 1))


def _fits(conv: nn.Conv2d) -> bool:
    kernel = conv.kernel_size
    return (
        conv.stride == (1, 1)
        and conv.dilation == (1, 1)
        and conv.groups == 1
        and conv.padding_mode == "zeros"
        and all(side % 2 == 1 for side in kernel)
        and conv.padding in ((0, 0), tuple(side // 2 for side in kernel))
    )

"""Convolutions laid out once for a CPU: weights reordered, activation and sum inside, minimal filtering where it pays.

For networks that are used and not trained. Everything takes and gives (N, C, H, W) with channels last in memory, in float32 or in what
:func:`.precision.dtype` says when it is made. On another device, under
gradients, or where PyTorch has no oneDNN, the same is computed in plain steps.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks import precision
from frontalbench.networks.layers import LaidOut, activate_, channels_last, laying, packs
from frontalbench.networks.memory import given_back
from frontalbench.networks.minimal import MinimalConv2d, load

WIDE = 64
"""Minimal filtering takes a quarter of the products and costs by the channel: below so many on either side the plain way is as fast (one AVX-512
core: 160 against 57 GMAC/s at 512 channels, 128 against 56 at 128, 96 against 53 at 64, 43 against 39 at 32)."""
LARGE = 32
"""Pixels of a map's shorter side from which on filters made anew at every call pay: they are as costly for a small map."""
LASTING = 128 * 128
"""Kernels (inputs x outputs) up to which filters last: they take 2 MB instead of .6, and pay on any map of more than :data:`SMALL` pixels a side."""
SMALL = 12
_NAMES = {"none": "none", "relu": "relu", "leaky": "leaky_relu"}


class Packed(LaidOut):
    """A convolution (any stride, padding by zeros), then ``activation`` (none, relu, leaky with ``slope``); ``plus`` is added before the activation,
    which has to be none or relu then."""

    bias: Tensor | None

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        *,
        stride: int = 1,
        padding: tuple[int, int] | None = None,
        activation: str = "none",
        slope: float = 0.0,
        dtype: torch.dtype | None = None,
        several: bool = True,
    ) -> None:
        """``dtype``: what it computes in, :func:`.precision.dtype` unless given. ``several``: maps of several sizes come in turn."""
        super().__init__()
        self.activation, self.slope = activation, slope
        self.stride = [stride, stride]
        self.padding = list(padding) if padding is not None else [weight.shape[2] // 2, weight.shape[3] // 2]
        self.dtype = precision.dtype() if dtype is None else dtype
        self.weight = nn.Buffer(channels_last(weight.detach().to(self.dtype)))
        self.bias = None if bias is None else nn.Buffer(bias.detach().to(self.dtype))
        self._pointwise, self._several = tuple(weight.shape[2:]) == (1, 1), several
        self._packed: Tensor | None = None
        self._fits = torch.Size()

    def forward(self, x: Tensor, plus: Tensor | None = None, *, onto: Tensor | None = None) -> Tensor:
        """``onto``: like ``plus``, and the result takes its place in memory where it can, so it must not be read afterwards."""
        y: Tensor
        added = plus if onto is None else onto
        x = channels_last(x.to(self.dtype))
        packed = self._laid_out_for(x) if _packs(x) else self._packed
        if packed is None:
            y = functional.conv2d(x, self.weight, self.bias, self.stride, self.padding)
            return activate_(y if added is None else y.add_(added), self.activation, self.slope)
        about = (packed, self.bias, self.padding, self.stride, [1, 1], 1)
        if added is None:
            scalars = [self.slope] if self.activation == "leaky" else []
            y = torch.ops.mkldnn._convolution_pointwise(x, *about, _NAMES[self.activation], scalars, "")
            return y
        added = channels_last(added.to(self.dtype))
        how: tuple[object, ...] = ("add", 1.0, None if self.activation == "none" else _NAMES[self.activation], [], None)
        if onto is None:
            y = torch.ops.mkldnn._convolution_pointwise(x, added, *about, *how)
            return y
        torch.ops.mkldnn._convolution_pointwise_.binary(added, x, *about, *how)
        return added

    def _laid_out_for(self, x: Tensor) -> Tensor:
        """The weights as oneDNN wants them.

        How a 1 x 1 kernel is best laid out depends on the map's size, and turning one layout into another costs up to ten times the convolution (256
        to 1,024 channels at 40 x 40: 8.0 ms, from plain numbers 8.3, from the layout of another size up to 15.2). So its plain numbers stay where
        maps of ``several`` sizes come, for others than the largest that it was given.
        """
        if self._packed is not None and (not self._pointwise or x.shape == self._fits):
            return self._packed
        with laying:
            return self._laid_out_anew_for(x)

    def _laid_out_anew_for(self, x: Tensor) -> Tensor:
        if self._packed is not None and (not self._pointwise or x.shape == self._fits):
            return self._packed
        if self._packed is not None and x.shape.numel() <= self._fits.numel():
            return self.weight if self._several else self._packed
        if self._packed is not None and not self._several:
            self.weight = nn.Buffer(self._packed.to_dense())
        self._packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, self.padding, self.stride, [1, 1], 1, list(x.shape))
        self._fits = x.shape
        if not (self._pointwise and self._several):
            size, self.weight = self.weight.nbytes, nn.Buffer(self.weight.new_empty(0))
            given_back(size)
        return self._packed


def conv(
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int = 1,
    padding: tuple[int, int] | None = None,
    activation: str = "none",
    slope: float = 0.0,
    small: bool = False,
    lasting: bool | None = None,
) -> Packed | MinimalConv2d:
    """The faster of the two for these shapes. ``small``: on maps so small that minimal filtering does not pay. ``lasting``: whether its filters last
    (:data:`LASTING` decides unless given).

    Minimal filtering is for float32: half precision would lose too much in it, and takes half the time anyway.
    """
    plain = precision.dtype() == torch.float32 and stride == 1 and tuple(weight.shape[2:]) == (3, 3) and padding in (None, (1, 1))
    if plain and not small and min(weight.shape[:2]) >= WIDE:
        lasting = weight.shape[0] * weight.shape[1] <= LASTING if lasting is None else lasting
        return MinimalConv2d(weight, bias, activation=activation, slope=slope, lasting=lasting)
    return Packed(weight, bias, stride=stride, padding=padding, activation=activation, slope=slope)


class Fitting(LaidOut):
    """A convolution of stride 1 that keeps the map's size, then ``activation``: laid out at its first call, for the map that it is given. Minimal
    filtering where map and kernel are large enough (:data:`WIDE`, :data:`LARGE`), else :class:`Packed`. ``inside``: no padding, so the map loses a
    border."""

    def __init__(self, weight: Tensor, bias: Tensor | None, *, activation: str = "none", slope: float = 0.0, inside: bool = False) -> None:
        super().__init__()
        self.inside = inside
        self.activation, self.slope, self.dtype = activation, slope, precision.dtype()
        self.weight = nn.Buffer(channels_last(weight.detach().float()))
        self.bias = None if bias is None else nn.Buffer(bias.detach().float())
        self.made: Packed | MinimalConv2d | None = None
        self.wide = self.dtype == torch.float32 and min(weight.shape[:2]) >= WIDE and tuple(weight.shape[2:]) == (3, 3)
        if self.wide:
            load()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor
        if self.made is not None:
            y = self.made(x)
            return y
        if not _packs(x.to(self.dtype)):
            around = [0 if self.inside else side // 2 for side in self.weight.shape[2:]]
            y = functional.conv2d(channels_last(x.to(self.weight.dtype)), self.weight, self.bias, padding=around)
            return activate_(y, self.activation, self.slope)
        with laying:
            if self.made is None:
                self._make(x)
        return self.forward(x)

    def _make(self, x: Tensor) -> None:
        lasting = self.weight.shape[0] * self.weight.shape[1] <= LASTING
        if self.wide and min(x.shape[2:]) >= (SMALL if lasting else LARGE):
            self.made = MinimalConv2d(
                self.weight, self.bias, activation=self.activation, slope=self.slope, lasting=lasting, inside=self.inside
            )
        else:
            padding = (0, 0) if self.inside else None
            how: dict[str, Any] = {"activation": self.activation, "slope": self.slope, "dtype": self.dtype}
            self.made = Packed(self.weight, self.bias, padding=padding, several=False, **how)
        size, self.weight = self.weight.nbytes, nn.Buffer(self.weight.new_empty(0))
        given_back(size)

    def laid_out(self) -> bool:
        return self.made is not None


def of(
    module: nn.Conv2d,
    norm: nn.BatchNorm2d | None = None,
    *,
    activation: str = "none",
    slope: float = 0.0,
    small: bool = False,
    lasting: bool | None = None,
) -> Packed | MinimalConv2d:
    """:func:`conv` of a module without groups and dilation, with the batch norm that follows it inside."""
    if module.groups != 1 or module.dilation != (1, 1):
        raise ValueError("groups and dilation are not packed")
    if norm is not None:
        module = nn.utils.fusion.fuse_conv_bn_eval(module.eval(), norm.eval())
    padding = module.padding if isinstance(module.padding, tuple) else None
    shape = (int(padding[0]), int(padding[1])) if padding is not None else None
    return conv(
        module.weight,
        module.bias,
        stride=module.stride[0],
        padding=shape,
        activation=activation,
        slope=slope,
        small=small,
        lasting=lasting,
    )


def _packs(x: Tensor) -> bool:
    return (
        x.device.type == "cpu"
        and (x.dtype in (torch.float32, torch.bfloat16) or precision.in_hardware(x.dtype))
        and not torch.is_grad_enabled()
        and packs()
    )

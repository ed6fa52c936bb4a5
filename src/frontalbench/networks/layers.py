"""Layers made for inference: norms folded into convolutions, weights laid out once for the processor.

All convolutions keep the spatial size. Tensors are (N, C, H, W) or (N, C, D, H, W) with channels last in memory. Weights carry the number type
the convolution runs in (float32, or float16 / bfloat16 for GPUs); inputs of another type are converted at the door.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frontalbench.networks.precision import in_hardware

State = Mapping[str, Tensor]

BATCH_NORM_EPS = 1e-5
_MKLDNN_NAMES = {"none": "none", "relu": "relu", "leaky": "leaky_relu"}


def memory_format(x: Tensor) -> torch.memory_format:
    """Channels-last format of an image (4-D) or volume (5-D) tensor."""
    return torch.channels_last if x.dim() == 4 else torch.channels_last_3d


def channels_last(x: Tensor) -> Tensor:
    """``x`` with channels last in memory (no copy when it is so already); ONNX, which knows no memory formats, gets ``x``."""
    return x if torch.onnx.is_in_onnx_export() else x.contiguous(memory_format=memory_format(x))


def activate_(x: Tensor, activation: str, slope: float = 0.0) -> Tensor:
    """``activation`` (none, relu, leaky with ``slope``) in place."""
    if activation == "relu":
        return F.relu_(x)
    if activation == "leaky":
        return F.leaky_relu_(x, slope)
    return x


def folded(state: State, conv: str, norm: str | None = None) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution, with the batch norm that follows it folded in (arithmetic in float64, result float32)."""
    weight, bias = state[f"{conv}.weight"].double(), state[f"{conv}.bias"].double()
    if norm is not None:
        scale = state[f"{norm}.weight"].double() / torch.sqrt(state[f"{norm}.running_var"].double() + BATCH_NORM_EPS)
        weight = weight * scale.view(-1, *[1] * (weight.dim() - 1))
        bias = (bias - state[f"{norm}.running_mean"].double()) * scale + state[f"{norm}.bias"].double()
    return weight.float(), bias.float()


def spectral(state: State, conv: str) -> tuple[Tensor, Tensor | None]:
    """Weight and bias of a spectrally normalised convolution: ``weight_orig / (u^T W v)`` with the stored singular vectors."""
    original = state[f"{conv}.weight_orig"].double()
    sigma = torch.dot(state[f"{conv}.weight_u"].double(), original.flatten(1) @ state[f"{conv}.weight_v"].double())
    return (original / sigma).float(), state.get(f"{conv}.bias")


def spread_nearest(weight: Tensor, factor: int, axes: tuple[int, ...]) -> Tensor:
    """Kernel of the transposed convolution (stride ``factor`` on ``axes``) that equals nearest upsampling and then this convolution.

    ``weight``: (out, in, k, k) or (out, in, k, k, k) -> (in, out, k + factor - 1, ...). Each input pixel stands for a block of ``factor`` equal
    pixels, so it reaches the outputs through the sum of the kernel slid over that block.
    """
    w = weight.double().flip(tuple(range(2, weight.dim())))
    for axis in axes:
        shape = list(w.shape)
        shape[axis] += factor - 1
        slid = w.new_zeros(shape)
        for i in range(factor):
            slid.narrow(axis, i, w.shape[axis]).add_(w)
        w = slid
    return w.float().transpose(0, 1).contiguous()


class AffineNorm(nn.Module):
    """Batch norm in evaluation mode; float32 inside, for inputs of any number type."""

    def __init__(self, state: State, name: str) -> None:
        super().__init__()
        for part in ("running_mean", "running_var", "weight", "bias"):
            self.register_buffer(part, state[f"{name}.{part}"].float())

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=BATCH_NORM_EPS)  # type: ignore[arg-type]


laying = threading.RLock()
"""Held while a layer lays its weights out at its first call: another thread that runs the same network waits, as the plain weights go."""


class LaidOut(nn.Module):
    """A layer that lays its weights out for the processor when it first runs: from then on it stays on that device, in that number type."""

    _packed: Tensor | None

    def laid_out(self) -> bool:
        """Whether it has run."""
        return self._packed is not None

    def _apply(self, fn, recurse: bool = True):  # type: ignore[no-untyped-def]
        if self.laid_out():
            raise RuntimeError("this network has run on the CPU and its weights are packed for it; build it anew for another device")
        return super()._apply(fn, recurse)  # type: ignore[no-untyped-call]


class Conv(LaidOut):
    """Convolution with odd kernel, stride 1 and zero padding that keeps the size; then ``activation``.

    On a CPU with oneDNN the weight is reordered once, at the first call, to the layout that oneDNN computes in (PyTorch's own modules do that
    anew in every call) and the activation is fused.
    """

    bias: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None, *, activation: str = "none", slope: float = 0.0) -> None:
        super().__init__()
        self.activation, self.slope = activation, slope
        self.kernel = tuple(weight.shape[2:])
        self.padding = [k // 2 for k in self.kernel]
        self.weight = nn.Buffer(channels_last(weight))
        self.bias = nn.Buffer(bias) if bias is not None else None
        self._packed: Tensor | None = None

    @property
    def dtype(self) -> torch.dtype:
        """The number type it computes in."""
        return self.weight.dtype if self._packed is None else self._packed.dtype

    def forward(self, x: Tensor) -> Tensor:
        if self._packed is not None:
            return self._fused(channels_last(x.to(self._packed.dtype)), self._packed)
        x = channels_last(x.to(self.weight.dtype))
        if _can_pack(x):
            ones = [1] * len(self.kernel)
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, self.padding, ones, ones, 1, list(x.shape))
            self.weight = nn.Buffer(self.weight.new_empty(0))  # one copy of 0.5 GB of weights is enough
            return self._fused(x, self._packed)
        function = F.conv2d if x.dim() == 4 else F.conv3d
        return activate_(function(x, self.weight, self.bias, padding=self.padding), self.activation, self.slope)

    def _fused(self, x: Tensor, packed: Tensor) -> Tensor:
        ones = [1] * len(self.kernel)
        scalars = [self.slope] if self.activation == "leaky" else []
        y: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, packed, self.bias, self.padding, ones, ones, 1, _MKLDNN_NAMES[self.activation], scalars, ""
        )
        return y


def _can_pack(x: Tensor) -> bool:
    if torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export():  # first, because torch.compile cannot look into what follows
        return False
    return (
        x.device.type == "cpu"
        and (x.dtype in (torch.float32, torch.bfloat16) or in_hardware(x.dtype))
        and not torch.is_grad_enabled()
        and packs()
    )


def packs() -> bool:
    """Whether this PyTorch can lay convolutions out for good."""
    return (
        torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_convolution_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_convolution_weight")
    )


class GatheredConv3d(nn.Module):
    """Convolution like :class:`Conv` of a volume with few pixels, as one matrix product over the gathered neighbourhoods; then ReLU.

    oneDNN cuts its work along rows; with rows of 2 to 4 pixels most of each cut is empty (2 to 4 times slower, also for float32).
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.kernel = tuple(weight.shape[2:])
        self.weight = nn.Buffer(weight.permute(0, 2, 3, 4, 1).flatten(1).contiguous())
        self.bias = nn.Buffer(bias)

    def forward(self, x: Tensor) -> Tensor:
        pixels = F.pad(x.to(self.weight.dtype).permute(0, 2, 3, 4, 1), (0, 0, *[1] * 6))
        depth, height, width = (size - kernel + 1 for size, kernel in zip(pixels.shape[1:4], self.kernel, strict=True))
        near = [pixels[:, a : a + depth, b : b + height, c : c + width] for a, b, c in itertools.product(*map(range, self.kernel))]
        return F.relu_(F.linear(torch.cat(near, dim=-1), self.weight, self.bias)).permute(0, 4, 1, 2, 3)


class UpConv2d(nn.Module):
    """Nearest upsampling by ``factor`` and then a 3 x 3 convolution, as one transposed convolution on the small image.

    The upsampled image repeats each pixel, so most of the plain way's products are repeats: 2.25 times fewer at factor 2, 4 times at factor 4.
    """

    def __init__(self, weight: Tensor, bias: Tensor, factor: int, *, activation: str = "none", slope: float = 0.0) -> None:
        super().__init__()
        self.factor, self.activation, self.slope = factor, activation, slope
        self.weight = nn.Buffer(channels_last(spread_nearest(weight, factor, (2, 3))))
        self.bias = nn.Buffer(bias)

    def forward(self, x: Tensor) -> Tensor:
        x = channels_last(x.to(self.weight.dtype))
        return activate_(F.conv_transpose2d(x, self.weight, self.bias, stride=self.factor, padding=1), self.activation, self.slope)


class UpConv3d(nn.Module):
    """Nearest upsampling by (1, 2, 2), a 3 x 3 x 3 convolution and ReLU, on the small volume; then the channels of another volume are put behind.

    Of the upsampled rows 2i and 2i+1 the first sees small rows i-1, i, i and the second i, i, i+1: four convolutions with 2 x 2 kernels, one for
    each parity, whose outputs interleave. They run as one convolution with four times the outputs on a volume padded by one.
    """

    def __init__(self, weight: Tensor, bias: Tensor, *, gathered: bool = False) -> None:
        super().__init__()
        parts = [_parity(_parity(weight.double(), 3, a), 4, b) for a in (0, 1) for b in (0, 1)]
        self.out = weight.shape[0]
        four = torch.cat(parts).float(), bias.repeat(4)
        self.conv = GatheredConv3d(*four) if gathered else Conv(*four, activation="relu")
        self.conv.padding = [1, 1, 1]

    def forward(self, x: Tensor, behind: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        four: Tensor = self.conv(x).permute(0, 2, 3, 4, 1)
        if torch.onnx.is_in_onnx_export():  # the same without writing into slices, which ONNX has no fast word for
            parts = [
                four[:, :, a : a + height, b : b + width, part * self.out : (part + 1) * self.out]
                for part, (a, b) in enumerate(itertools.product((0, 1), (0, 1)))
            ]
            rows = [torch.stack(pair, dim=4) for pair in (parts[:2], parts[2:])]
            return torch.cat([torch.stack(rows, dim=3).flatten(4, 5).flatten(2, 3).permute(0, 4, 1, 2, 3), behind], dim=1)
        y = four.new_empty(x.shape[0], x.shape[2], 2 * height, 2 * width, self.out + behind.shape[1])
        y[..., self.out :] = behind.permute(0, 2, 3, 4, 1)
        for part, (a, b) in enumerate(itertools.product((0, 1), (0, 1))):
            y[:, :, a::2, b::2, : self.out] = four[:, :, a : a + height, b : b + width, part * self.out : (part + 1) * self.out]
        return y.permute(0, 4, 1, 2, 3)


def _parity(weight: Tensor, axis: int, parity: int) -> Tensor:
    first, middle, last = weight.unbind(axis)
    return torch.stack([first, middle + last] if parity == 0 else [first + middle, last], axis)


_own = threading.local()


def _workspace(*lengths: int) -> list[Tensor]:
    """Uninitialised float32 vectors, the same memory at every call of a thread.

    Fresh memory costs a page fault every 4 kB, which was a third of the time here; some 50 MB kept for good are the price.
    """
    kept: dict[int, Tensor] = _own.__dict__.setdefault("kept", {})
    with torch.inference_mode(False):  # tensors born in inference mode could not be written outside of it
        for index, length in enumerate(lengths):
            if index not in kept or len(kept[index]) < length:
                kept[index] = torch.empty(length)
    return [kept[index][:length] for index, length in enumerate(lengths)]


class FourierConv(nn.Module):
    """1 x K x K convolution of a volume without bias, by discrete Fourier transforms of overlapping tiles: for kernels that are too large for minimal
    filtering, whose rounding errors grow fast. 7 x 7: 8 x 8 outputs of a tile of 14 x 14 cost a third of the products. Float32 on a CPU."""

    STEP = 8

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        out, inside, _, kernel, _ = weight.shape
        self.kernel, self.size = kernel, self.STEP + kernel - 1
        unit = np.eye(self.size**2).reshape(-1, self.size, self.size)
        forward = np.fft.rfft2(unit).reshape(self.size**2, -1).T
        self.count = len(forward)
        self.into = nn.Buffer(torch.from_numpy(np.concatenate([forward.real, forward.imag])).float().contiguous())
        waves = np.concatenate([np.eye(self.count), 1j * np.eye(self.count)]).reshape(2 * self.count, self.size, -1)
        back = np.fft.irfft2(waves, s=(self.size, self.size))[:, : self.STEP, : self.STEP].reshape(2 * self.count, -1)
        self.outof = nn.Buffer(torch.from_numpy(back.T.copy()).float())
        # Correlation, as networks mean it: the kernel's conjugate.
        filters = (
            np.conj(np.fft.rfft2(weight[:, :, 0].double().numpy(), s=(self.size, self.size))).reshape(out, inside, -1).transpose(2, 1, 0)
        )
        self.real, self.imaginary = (
            nn.Buffer(torch.from_numpy(np.ascontiguousarray(part, np.float32))) for part in (filters.real, filters.imag)
        )

    def forward(self, x: Tensor) -> Tensor:
        n, inside, depth, height, width = x.shape
        step, size, out = self.STEP, self.size, self.real.shape[2]
        rows, columns, border = -(-height // step), -(-width // step), self.kernel // 2
        points, above = rows * columns, size - step
        lengths = (size**2 * points * inside, 2 * self.count * points * inside, 2 * self.count * points * out, step**2 * points * out)
        room, tiles, spectrum, product, pixels = _workspace((rows * step + above) * (columns * step + above) * inside, *lengths)
        padded = room.view(rows * step + above, columns * step + above, inside)
        padded.zero_()
        s0, s1, s2 = padded.stride()
        overlapping = padded.as_strided((size, size, rows, columns, inside), (s0, s1, step * s0, step * s1, s2), padded.storage_offset())
        real, imaginary = spectrum.view(2, self.count, points, inside)
        first, second = product.view(2, self.count, points, out)
        y = x.new_empty(n, depth, rows, step, columns, step, out)
        for i, level in itertools.product(range(n), range(depth)):
            padded[border : border + height, border : border + width].copy_(x[i, :, level].permute(1, 2, 0))
            tiles.view(overlapping.shape).copy_(overlapping)
            torch.mm(self.into, tiles.view(size**2, -1), out=spectrum.view(2 * self.count, -1))
            torch.bmm(real, self.real, out=first).baddbmm_(imaginary, self.imaginary, alpha=-1)
            torch.bmm(real, self.imaginary, out=second).baddbmm_(imaginary, self.real)
            torch.mm(self.outof, product.view(2 * self.count, -1), out=pixels.view(step**2, -1))
            y[i, level].copy_(pixels.view(step, step, rows, columns, out).permute(2, 0, 3, 1, 4))
        return y.view(n, depth, rows * step, columns * step, out)[:, :, :height, :width].permute(0, 4, 1, 2, 3)

"""3 x 3 convolutions by minimal filtering F(4 x 4, 3 x 3): a quarter of the products of the plain way (Winograd 1980; Lavin and Gray 2016).

For networks that are used and not trained, float32 on a CPU. (N, C, H, W) with channels last in memory.
"""

from __future__ import annotations

import functools
import itertools
import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks import machine_code, minimal_tiles
from frontalbench.networks.layers import LaidOut, packs
from frontalbench.networks.memory import given_back

_Floats = npt.NDArray[np.float32]
_Added = tuple[_Floats, _Floats, _Floats, _Floats, float, float]
"""Gain, bias, noise, what is added, slope and most of :func:`.minimal_tiles.restore`."""

TILE: Final = 4
POINTS: Final = tuple(Fraction(p) for p in (0, 1, -1, Fraction(1, 2), -2))
_SIZE: Final = (TILE + 2) ** 2
_ABOUT: Final = ([0, 0], [1, 1], [1, 1], _SIZE)
"""Padding, stride, dilation and groups of the products."""
_MOST, _LEAST, _FEW = 128, 64, 48
"""Tiles that are multiplied at a time, about; the fewest for which oneDNN lays weights out as it does for many, and the most of the other kind. (A
layout made for one kind costs up to ten times the product when the other is asked for.)"""
_NONE: Final = np.empty((0, 0, 0, 0, 0, 0), np.float32)
"""No noise, nothing to add, no factors."""
_NO: Final = np.empty((0, 0), np.float32)
_FILTERS, _SPECTRA = 1 << 16, 1 << 22
"""Kernels (inputs x outputs) of which filters are made at a time, 9 MB of them; numbers of transformed tiles that are kept for the next outputs,
17 MB."""


def load() -> None:
    """Makes the compiled loops ready: where a network is made, so that a machine's first one waits for the compiler there."""
    machine_code.load(minimal_tiles.__name__)


@functools.cache
def cook_toom(outputs: int, taps: int, points: tuple[Fraction, ...]) -> tuple[npt.NDArray[np.float64], ...]:
    """Matrices (A^T, G, B^T) of the minimal filtering algorithm F(outputs, taps): ``y = A^T [(G g) * (B^T d)]``.

    ``d``: outputs + taps - 1 inputs, ``g``: the filter (correlation, as networks mean it). ``points``: outputs + taps - 2 distinct numbers where
    the polynomials are evaluated; infinity is added. Winograd 1980; Lavin and Gray 2016, section 4; exact fractions inside.
    """
    n = outputs + taps - 1
    if len(set(points)) != n - 1:
        raise ValueError(f"{n - 1} distinct points are needed, got {points}")

    def vandermonde(width: int) -> list[list[Fraction]]:
        return [[p**j for j in range(width)] for p in points] + [[Fraction(int(j == width - 1)) for j in range(width)]]

    g, a = vandermonde(taps), vandermonde(outputs)
    # Correlation is the transpose of polynomial multiplication: B^T is the inverse of the transposed n-point evaluation.
    b = np.linalg.inv(np.array(vandermonde(n), dtype=np.float64)).T
    scale = np.array([float(math.prod(p - q for q in points if q != p)) for p in points] + [1.0], dtype=np.float64)
    # Moving each point's common factor from B to G keeps B's entries small numbers, which keeps float32 errors small.
    return np.array(a, dtype=np.float64).T, np.array(g, dtype=np.float64) / scale[:, None], b * scale[:, None]


class _Filters(LaidOut):
    """A kernel's transformed filters, and the products of transformed tiles with them. They are transformed and laid out once, at the first use."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        load()
        if tuple(weight.shape[2:]) != (3, 3):
            raise ValueError(f"a 3 x 3 kernel is needed, got {tuple(weight.shape)}")
        self.out, self.inside = weight.shape[:2]
        self.weight = nn.Buffer(weight.detach().float().permute(0, 2, 3, 1).flatten(1, 2).contiguous())
        self._packed: Tensor | None = None
        self._many = True
        self._laying = threading.Lock()

    def counts(self, tiles: int) -> list[int]:
        """How many of ``tiles`` to multiply at a time: about equal parts, of the size that filters are, or will be, laid out for."""
        many = tiles >= _LEAST if self._packed is None else self._many
        parts = max(1, round(tiles / _MOST)) if many else -(-tiles // _FEW)
        return [tiles * (i + 1) // parts - tiles * i // parts for i in range(parts)]

    def forward(self, tiles: Tensor, onto: Tensor | None = None) -> Tensor:
        """(tiles, 36, inside) -> (tiles, 36, out); added to ``onto``, in its place, where that is given."""
        if not packs():
            products = torch.bmm(tiles.transpose(0, 1), _spread(self.weight.numpy(), 0, self.out).transpose(1, 2)).transpose(0, 1)
            return products.contiguous() if onto is None else onto.add_(products)
        count = len(tiles)
        if self._packed is not None and self._many and count < _LEAST:
            tiles = torch.cat([tiles, tiles.new_zeros(_LEAST - count, *tiles.shape[1:])])
            products = self(tiles)[:count]
            return products if onto is None else onto.add_(products)
        with self._laying:
            if self._packed is None:
                self._packed = _laid_out(_spread(self.weight.numpy(), 0, self.out), count)
                self._many = count >= _LEAST
                size, self.weight = self.weight.nbytes, nn.Buffer(self.weight.new_empty(0))
                given_back(size)
        if onto is None:
            return _products(tiles, self._packed, self.out)
        row_onto = onto.view(1, 1, count, -1).permute(0, 3, 1, 2)
        torch.ops.mkldnn._convolution_pointwise_.binary(row_onto, _row(tiles), self._packed, None, *_ABOUT, "add", 1.0, None, [], None)
        return onto


class MinimalConv2d(nn.Module):
    """3 x 3 convolution of stride 1 with zero padding that keeps the size, or ``inside`` the image without padding, then ``activation`` (none, relu,
    leaky with ``slope``).

    The image is cut into 6 x 6 tiles that overlap by 2; transformed tiles and filters are multiplied as 36 matrix products over the channels, as
    one convolution in 36 groups, which oneDNN does faster than matrix products are done here. Rounding errors are some ten times those of the
    plain way (about 1e-5 of the output's spread). ``lasting`` filters take four times the room of the weights; others are made anew at every call,
    which takes a fifth longer.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        *,
        activation: str = "none",
        slope: float = 0.0,
        lasting: bool = True,
        inside: bool = False,
    ) -> None:
        super().__init__()
        self.filters = _Filters(weight)
        self.lasting, self.border = lasting, 0 if inside else 1
        self.slope = _slope(activation, slope)
        self.bias = nn.Buffer(bias.detach().float() if bias is not None else torch.zeros(self.filters.out))

    def forward(self, x: Tensor, plus: Tensor | None = None, *, gain: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """Before the activation: times ``gain`` (N, C), with the bias, ``noise`` (H, W) and ``plus`` (the result's shape) added.

        On another device, and where a gradient of ``x`` is asked for, in plain steps. Raises RuntimeError for the latter where lasting filters have
        taken the place of the weights.
        """
        if x.device.type != "cpu" or (x.requires_grad and torch.is_grad_enabled()):
            return self._plainly(x, plus, gain, noise)
        n, lost, out = len(x), 2 - 2 * self.border, self.filters.out
        y = torch.empty(n, x.shape[2] - lost, 1, x.shape[3] - lost, 1, out)
        gains = np.ones((n, out), np.float32) if gain is None else _array(gain)
        noises = _NO if noise is None else _array(noise)
        pluses = _NONE if plus is None else _pixels(plus)[:, :, None, :, None]
        tiled = _Tiled(_pixels(x), _NO, self.border, y.numpy(), (gains, _array(self.bias), noises, pluses, self.slope, math.inf))
        if not self.lasting and packs():
            _once(tiled, self.filters.weight.numpy())
        else:
            counts, first = self.filters.counts(tiled.count), 0
            spectrum = torch.empty(max(counts), _SIZE, x.shape[1])
            for count in counts:
                tiled.transform(first, spectrum[:count])
                tiled.restore(first, 0, self.filters(spectrum[:count]))
                first += count
        return y.view(n, y.shape[1], y.shape[3], out).permute(0, 3, 1, 2)

    def _plainly(self, x: Tensor, plus: Tensor | None, gain: Tensor | None, noise: Tensor | None) -> Tensor:
        if self.filters.laid_out():
            raise RuntimeError("this network has run and its weights are packed; build it anew for gradients")
        weight = self.filters.weight.view(self.filters.out, 3, 3, self.filters.inside).permute(0, 3, 1, 2)
        y = functional.conv2d(x, weight, padding=self.border)
        y = (y if gain is None else y * gain[:, :, None, None]) + self.bias[:, None, None]
        for added in (noise, plus):
            y = y if added is None else y + added
        return y if self.slope == 1.0 else functional.leaky_relu(y, self.slope)


class _Tiled:
    """The tiles of ``image`` (N, H, W, C), and what becomes of them in ``target`` (N, H', A, W', B, O); ``factors``, ``border`` and ``added``: see
    :func:`.minimal_tiles.transform` and :func:`.minimal_tiles.restore`."""

    def __init__(self, image: _Floats, factors: _Floats, border: int, target: _Floats, added: _Added) -> None:
        self._image, self._factors, self._border, self._target, self._added = image, factors, border, target, added
        self._rows, self._columns = -(-target.shape[1] // TILE), -(-target.shape[3] // TILE)
        self.count = len(image) * self._rows * self._columns
        self.inside = image.shape[3]

    def transform(self, first: int, out: Tensor) -> None:
        """The tiles ``first``, ... into ``out`` (tiles, 36, C)."""

        def part(begin: int, end: int) -> None:
            about = (self._border, self._rows, self._columns, first + begin)
            minimal_tiles.transform(self._image, self._factors, *about, out.numpy()[begin:end])

        side_by_side(part, len(out))

    def restore(self, first: int, channel: int, products: Tensor) -> None:
        """The pixels of the tiles ``first``, ... in the outputs ``channel``, ... from ``products`` (tiles, 36, some outputs)."""

        def part(begin: int, end: int) -> None:
            some = products.numpy()[begin:end]
            minimal_tiles.restore(some, self._rows, self._columns, first + begin, channel, *self._added, self._target)

        side_by_side(part, len(products))


class MinimalConv3d(nn.Module):
    """3 x 3 x 3 convolution of a volume (N, C, D, H, W) with zero padding, then ``activation``: rows and columns as in :class:`MinimalConv2d`, the
    three depths added."""

    def __init__(self, weight: Tensor, bias: Tensor, *, activation: str = "none", slope: float = 0.0) -> None:
        super().__init__()
        self.filters = nn.ModuleList(_Filters(part) for part in weight.unbind(2))
        self.slope = _slope(activation, slope)
        self.bias = nn.Buffer(bias.detach().float())

    def forward(self, x: Tensor) -> Tensor:
        n, inside, depth, height, width = x.shape
        rows, columns, out = -(-height // TILE), -(-width // TILE), len(self.bias)
        levels = _array(x.permute(0, 2, 3, 4, 1)).reshape(n * depth, height, width, inside)
        y = torch.empty(n * depth, height, width, out)
        gains, target = np.ones((n * depth, out), np.float32), y.numpy()[:, :, None, :, None]
        parts = max(1, min(rows * columns, round(rows * columns * depth / _MOST)))
        for volume, part in itertools.product(range(n), range(parts)):
            begin, end = (rows * columns * (part + i) // parts for i in (0, 1))
            spectrum = torch.zeros(depth + 2, end - begin, _SIZE, inside)
            places = [(volume * depth + level) * rows * columns + begin for level in range(depth)]

            def before(first: int, last: int, places: list[int] = places, spectrum: Tensor = spectrum) -> None:
                for level in range(first, last):
                    minimal_tiles.transform(levels, _NO, 1, rows, columns, places[level], spectrum[level + 1].numpy())

            def after(first: int, last: int, places: list[int] = places, products: Tensor = spectrum) -> None:
                for level in range(first, last):
                    about = (rows, columns, places[level], 0, gains, _array(self.bias), _NO, _NONE, self.slope, math.inf)
                    minimal_tiles.restore(products[level].numpy(), *about, target)

            side_by_side(before, depth)
            products: Tensor | None = None
            for tap, filters in enumerate(self.filters):
                assert isinstance(filters, _Filters)
                products = filters(spectrum[tap : tap + depth].flatten(0, 1), products)
            assert products is not None
            side_by_side(functools.partial(after, products=products.view(depth, end - begin, _SIZE, out)), depth)
        return y.view(n, depth, height, width, out).permute(0, 4, 1, 2, 3)


def modulated(
    x: Tensor,
    weight: Tensor,
    factors: Tensor,
    gain: Tensor,
    bias: Tensor,
    noise: Tensor | None,
    *,
    slope: float,
    most: float = math.inf,
    blur: Tensor | None = None,
) -> Tensor:
    """3 x 3 convolution of ``x`` (N, C, H, W), channels times ``factors`` (N, C), with ``weight`` (O, C, 3, 3), which is transformed for this call
    only; times ``gain`` (N, O), plus ``bias`` (O) and ``noise`` (H, W); below 0 times ``slope``; cut to -``most``..``most``.

    ``blur`` (4, 4): the size is doubled, by the transposed convolution of stride 2 and then that filter, flipped, with one pixel around: four 3 x 3
    convolutions of ``x``, one for each place of a pixel in its block of two by two.
    """
    n, inside, height, width = x.shape
    times, out = 1 if blur is None else 2, len(weight)
    y = torch.empty(n, height, times, width, times, out)
    added = (_array(gain), _array(bias), _NO if noise is None else _array(noise), _NONE, slope, most)
    lines = weight.permute(0, 2, 3, 1).reshape(out, 9, inside).contiguous()
    if blur is not None:
        lines = torch.matmul(_blurred(blur)[:, None], lines).flatten(0, 1)
    _once(_Tiled(_pixels(x), _array(factors), 1, y.numpy(), added), lines.numpy())
    return y.view(n, height * times, width * times, out).permute(0, 3, 1, 2)


def _once(tiled: _Tiled, kernels: _Floats) -> None:
    """All of a convolution with ``kernels`` (outputs, 9, inside), whose filters are made for this call: some outputs at a time, so that they need
    little room."""
    at_once, parts = max(_MOST, _FILTERS // tiled.inside), max(1, round(tiled.count / _MOST))
    ends = [tiled.count * i // parts for i in range(parts + 1)]
    most = max(last - first for first, last in itertools.pairwise(ends))
    keep = tiled.count * _SIZE * tiled.inside <= _SPECTRA
    spectrum = torch.empty(tiled.count if keep else most, _SIZE, tiled.inside)
    for channel in range(0, len(kernels), at_once):
        outputs = min(at_once, len(kernels) - channel)
        laid_out = _laid_out(_spread(kernels, channel, outputs), most)
        for first, last in itertools.pairwise(ends):
            part = spectrum[first:last] if keep else spectrum[: last - first]
            if not keep or channel == 0:
                tiled.transform(first, part)
            tiled.restore(first, channel, _products(part, laid_out, outputs))


def _spread(kernels: _Floats, first: int, count: int) -> Tensor:
    """Transformed filters (36, ``count``, inside) of the outputs from ``first`` on."""
    filters = torch.empty(_SIZE, count, kernels.shape[2])
    side_by_side(lambda begin, end: minimal_tiles.spread(kernels, first, filters.numpy(), begin, end), count)
    return filters


def _laid_out(filters: Tensor, tiles: int) -> Tensor:
    """Transformed filters (36, outputs, inside) as oneDNN wants them for products with about ``tiles`` transformed tiles at a time."""
    flat = filters.view(-1, filters.shape[2], 1, 1)
    laid_out: Tensor = torch.ops.mkldnn._reorder_convolution_weight(flat, *_ABOUT, [1, flat.shape[1] * _SIZE, 1, tiles])
    return laid_out


def _row(tiles: Tensor) -> Tensor:
    """(tiles, 36, channels) as a map of one row, all channels of a tile in one pixel."""
    return tiles.reshape(1, 1, len(tiles), -1).permute(0, 3, 1, 2)


def _products(tiles: Tensor, laid_out: Tensor, outputs: int) -> Tensor:
    """(tiles, 36, inside) times filters of :func:`_laid_out` -> (tiles, 36, ``outputs``)."""
    products: Tensor = torch.ops.mkldnn._convolution_pointwise(_row(tiles), laid_out, None, *_ABOUT, "none", [], "")
    return products.permute(0, 2, 3, 1).reshape(len(tiles), _SIZE, outputs)


def _blurred(blur: Tensor) -> Tensor:
    """(4, 9, 9): 3 x 3 kernel of a transposed convolution, row by row -> the kernels of the four places, after ``blur`` (4, 4).

    Pixel p of a line is the sum of x[i] c[p - 2i], c[m] = sum over t of blur[3 - t] w[t - 1 + m] for m = -2..3: place a of block j sees x[j + d] by
    c[a - 2d].
    """
    taps = torch.eye(9, dtype=blur.dtype).view(9, 1, 3, 3)
    spread = functional.conv2d(functional.pad(taps, (3, 3, 3, 3)), blur.flip((0, 1))[None, None]).view(9, 3, 2, 3, 2)
    return spread.flip((1, 3)).permute(2, 4, 1, 3, 0).reshape(4, 9, 9)


def _slope(activation: str, slope: float) -> float:
    """What numbers below 0 are multiplied with."""
    return {"none": 1.0, "relu": 0.0, "leaky": slope}[activation]


def _array(x: Tensor) -> npt.NDArray[np.float32]:
    return x.detach().float().contiguous().numpy()


def _pixels(x: Tensor) -> npt.NDArray[np.float32]:
    """(N, C, H, W) -> (N, H, W, C), of ``x``'s own memory where its channels are last."""
    return _array(x.permute(0, 2, 3, 1))


@functools.cache
def _workers(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="tiles")


def side_by_side(part: Callable[[int, int], Any], count: int) -> None:
    """``part(begin, end)`` for pieces of ``range(count)``, as many at a time as PyTorch has threads."""
    threads = min(torch.get_num_threads(), count)
    if threads < 2:
        part(0, count)
        return
    ends = [count * i // threads for i in range(threads + 1)]
    for _ in _workers(threads).map(part, ends[:-1], ends[1:]):
        pass

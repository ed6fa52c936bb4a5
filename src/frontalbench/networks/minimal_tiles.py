"""The two ends of minimal filtering as compiled loops: image to transformed tiles, products of those to image.

Compiled by Numba at the first use on a machine and kept beside this file (or in the user's cache, where that folder cannot be written). Import it
where it is used: Numba takes a third of a second.

A tile is 6 x 6 pixels, 4 apart; tile ``t`` of a batch lies in image ``t // (rows * columns)``. Numbers are those of
:func:`.minimal.cook_toom` at the points 0, 1, -1, 1/2, -2; outside of the image is 0.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from frontalbench.networks.memory import unmapped

Floats = npt.NDArray[np.float32]
Loop = TypeVar("Loop", bound=Callable[..., None])

_COMPILER: Final = "libllvmlite"

SIZE: Final = 36
"""Numbers of a transformed tile."""
CHANNELS: Final = 64
"""Channels that are worked on together: the tile between rows and columns then stays in the nearest cache."""
HALF, ONE_AND_HALF, TWO_AND_HALF, QUARTER, EIGHTH = (np.float32(number) for number in (0.5, 1.5, 2.5, 0.25, 0.125))
TWO, FOUR, EIGHT = (np.float32(number) for number in (2, 4, 8))
THIRD, FIFTEENTH, SIXTEEN_15THS = (np.float32(number) for number in (1 / 3, 1 / 15, 16 / 15))


def compiled(loop: Loop) -> Loop:
    """``loop`` as machine code that holds no interpreter lock. Products and sums may be one step; nothing else is rearranged.

    Machine code is read, or made, at the first call with arguments of a kind. Then the compiler's library has done its work, and its 70 MB go.
    """
    options: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}}
    try:
        made = numba.njit(cache=True, **options)(loop)
    except RuntimeError:  # neither this folder nor the user's cache can be written: compiled anew by every process
        made = numba.njit(**options)(loop)
    kinds = 0

    @functools.wraps(loop)
    def run(*arguments: Any) -> None:
        nonlocal kinds
        made(*arguments)
        if len(made.overloads) != kinds:
            kinds = len(made.overloads)
            unmapped(_COMPILER)

    return cast("Loop", run)


@compiled
def transform(x: Floats, factors: Floats, border: int, rows: int, columns: int, first: int, out: Floats) -> None:
    """Tiles ``first``, ``first + 1``, ... of ``x`` (N, H, W, C), as many as ``out`` (tiles, 36, C) has: ``B^T d B`` of each. Channels times
    ``factors`` (N, C) where these hold anything."""
    _, height, width, channels = x.shape
    half = np.empty((6, 6, CHANNELS), np.float32)
    nothing = np.zeros(CHANNELS, np.float32)
    weighed = factors.size > 0
    for point in range(out.shape[0]):
        tile = first + point
        image = tile // (rows * columns)
        top, left = tile // columns % rows * 4 - border, tile % columns * 4 - border
        for begin in range(0, channels, CHANNELS):
            count = min(CHANNELS, channels - begin)
            end = begin + count
            for j in range(6):
                at = left + j
                inside = 0 <= at < width
                x0 = x[image, top, at, begin:end] if inside and top >= 0 else nothing[:count]
                x1 = x[image, top + 1, at, begin:end] if inside else nothing[:count]
                x2 = x[image, top + 2, at, begin:end] if inside and top + 2 < height else nothing[:count]
                x3 = x[image, top + 3, at, begin:end] if inside and top + 3 < height else nothing[:count]
                x4 = x[image, top + 4, at, begin:end] if inside and top + 4 < height else nothing[:count]
                x5 = x[image, top + 5, at, begin:end] if inside and top + 5 < height else nothing[:count]
                for k in range(count):
                    d1, d2, d3, d4 = x1[k], x2[k], x3[k], x4[k]
                    half[0, j, k] = x0[k] + d4 + ONE_AND_HALF * (d3 - d1) - TWO * d2
                    half[1, j, k] = d4 - d1 + HALF * d2 + TWO_AND_HALF * d3
                    half[2, j, k] = d1 + d4 - TWO_AND_HALF * d2 + HALF * d3
                    half[3, j, k] = d4 - d2 + TWO * (d3 - d1)
                    half[4, j, k] = d4 - d2 + HALF * (d1 - d3)
                    half[5, j, k] = d1 + x5[k] + ONE_AND_HALF * (d4 - d2) - TWO * d3
                if weighed:
                    factor = factors[image, begin:end]
                    for i in range(6):
                        now = half[i, j]
                        for k in range(count):
                            now[k] *= factor[k]
            whole = out[point]
            for i in range(6):
                h0, h1, h2, h3, h4, h5 = half[i, 0], half[i, 1], half[i, 2], half[i, 3], half[i, 4], half[i, 5]
                y0, y1, y2 = whole[6 * i, begin:end], whole[6 * i + 1, begin:end], whole[6 * i + 2, begin:end]
                y3, y4, y5 = whole[6 * i + 3, begin:end], whole[6 * i + 4, begin:end], whole[6 * i + 5, begin:end]
                for k in range(count):
                    d1, d2, d3, d4 = h1[k], h2[k], h3[k], h4[k]
                    y0[k] = h0[k] + d4 + ONE_AND_HALF * (d3 - d1) - TWO * d2
                    y1[k] = d4 - d1 + HALF * d2 + TWO_AND_HALF * d3
                    y2[k] = d1 + d4 - TWO_AND_HALF * d2 + HALF * d3
                    y3[k] = d4 - d2 + TWO * (d3 - d1)
                    y4[k] = d4 - d2 + HALF * (d1 - d3)
                    y5[k] = d1 + h5[k] + ONE_AND_HALF * (d4 - d2) - TWO * d3


@compiled
def spread(weight: Floats, first: int, out: Floats) -> None:
    """Filters ``G g G^T`` of the outputs ``first``, ... of ``weight`` (outputs, 9, inputs) into ``out`` (36, some outputs, inputs)."""
    inputs = weight.shape[2]
    half = np.empty((6, 3, CHANNELS), np.float32)
    for channel in range(out.shape[1]):
        taps = weight[first + channel]
        for begin in range(0, inputs, CHANNELS):
            count = min(CHANNELS, inputs - begin)
            end = begin + count
            for j in range(3):
                g0, g1, g2 = taps[j, begin:end], taps[3 + j, begin:end], taps[6 + j, begin:end]
                for k in range(count):
                    even = g0[k] + g2[k]
                    half[0, j, k] = g0[k]
                    half[1, j, k] = THIRD * (even + g1[k])
                    half[2, j, k] = THIRD * (g1[k] - even)
                    half[3, j, k] = SIXTEEN_15THS * (-g0[k] - HALF * g1[k] - QUARTER * g2[k])
                    half[4, j, k] = FIFTEENTH * (g0[k] - TWO * g1[k] + FOUR * g2[k])
                    half[5, j, k] = g2[k]
            for i in range(6):
                g0, g1, g2 = half[i, 0], half[i, 1], half[i, 2]
                y0, y1, y2 = out[6 * i, channel, begin:end], out[6 * i + 1, channel, begin:end], out[6 * i + 2, channel, begin:end]
                y3, y4, y5 = out[6 * i + 3, channel, begin:end], out[6 * i + 4, channel, begin:end], out[6 * i + 5, channel, begin:end]
                for k in range(count):
                    even = g0[k] + g2[k]
                    y0[k] = g0[k]
                    y1[k] = THIRD * (even + g1[k])
                    y2[k] = THIRD * (g1[k] - even)
                    y3[k] = SIXTEEN_15THS * (-g0[k] - HALF * g1[k] - QUARTER * g2[k])
                    y4[k] = FIFTEENTH * (g0[k] - TWO * g1[k] + FOUR * g2[k])
                    y5[k] = g2[k]


@compiled
def restore(
    products: Floats,
    rows: int,
    columns: int,
    first: int,
    channel: int,
    gain: Floats,
    bias: Floats,
    noise: Floats,
    plus: Floats,
    slope: float,
    most: float,
    out: Floats,
) -> None:
    """The pixels of tiles ``first``, ... in the outputs ``channel``, ... from ``products`` (tiles, 36, some outputs), ``A^T m A`` of each, into
    ``out`` (N, H, A, W, B, C).

    A pixel of a tile is A x B pixels of an image of A H x B W: output ``(a B + b) C + c`` is channel ``c`` of the one in row ``a`` and column ``b``.
    Times ``gain`` (N, C), plus ``bias`` (C), plus ``noise`` (A H, B W) and ``plus`` (the shape of ``out``) where these hold anything; what is below 0
    then times ``slope``, what is beyond -``most``..``most`` cut. What a tile has outside of the image is left out.
    """
    _, height, down, width, across, colours = out.shape
    channels = products.shape[2]
    half = np.empty((4, 6, CHANNELS), np.float32)
    line = np.empty((4, CHANNELS), np.float32)
    leaky = np.float32(slope)
    noisy, summed, limited = noise.size > 0, plus.size > 0, most < np.inf
    limit = np.float32(most)
    for point in range(products.shape[0]):
        tile = first + point
        image = tile // (rows * columns)
        top, left = tile // columns % rows * 4, tile % columns * 4
        whole = products[point]
        begin = 0
        while begin < channels:
            part, colour = (channel + begin) // colours, (channel + begin) % colours
            below, beside = part // across, part % across
            count = min(CHANNELS, channels - begin, colours - colour)
            end, last = begin + count, colour + count
            g, b = gain[image, colour:last], bias[colour:last]
            for j in range(6):
                m0, m1, m2 = whole[j, begin:end], whole[6 + j, begin:end], whole[12 + j, begin:end]
                m3, m4, m5 = whole[18 + j, begin:end], whole[24 + j, begin:end], whole[30 + j, begin:end]
                for k in range(count):
                    total, difference, a3, a4 = m1[k] + m2[k], m1[k] - m2[k], m3[k], m4[k]
                    half[0, j, k] = m0[k] + total + a3 + a4
                    half[1, j, k] = difference + HALF * a3 - TWO * a4
                    half[2, j, k] = total + QUARTER * a3 + FOUR * a4
                    half[3, j, k] = difference + EIGHTH * a3 - EIGHT * a4 + m5[k]
            for i in range(min(4, height - top)):
                h0, h1, h2, h3, h4, h5 = half[i, 0], half[i, 1], half[i, 2], half[i, 3], half[i, 4], half[i, 5]
                l0, l1, l2, l3 = line[0], line[1], line[2], line[3]
                for k in range(count):
                    total, difference, a3, a4 = h1[k] + h2[k], h1[k] - h2[k], h3[k], h4[k]
                    l0[k] = (h0[k] + total + a3 + a4) * g[k] + b[k]
                    l1[k] = (difference + HALF * a3 - TWO * a4) * g[k] + b[k]
                    l2[k] = (total + QUARTER * a3 + FOUR * a4) * g[k] + b[k]
                    l3[k] = (difference + EIGHTH * a3 - EIGHT * a4 + h5[k]) * g[k] + b[k]
                y = top + i
                for j in range(min(4, width - left)):
                    at, now = left + j, line[j]
                    target = out[image, y, below, at, beside, colour:last]
                    if noisy:
                        spot = noise[y * down + below, at * across + beside]
                        for k in range(count):
                            now[k] += spot
                    if summed:
                        other = plus[image, y, below, at, beside, colour:last]
                        for k in range(count):
                            now[k] += other[k]
                    for k in range(count):
                        value = now[k]
                        target[k] = value if value > 0 else leaky * value
                    if limited:
                        for k in range(count):
                            target[k] = min(limit, max(-limit, target[k]))
            begin = end


@functools.cache
def load() -> None:
    """Reads the machine code of these loops, or makes it; nothing when that has been done. Where a network is made, because the compiler's library
    takes room as long as it works: later there are maps beside it."""
    unmapped(_COMPILER)
    few, none = (np.ones(shape, np.float32) for shape in ((1, SIZE, 1), (0, 0)))
    transform(np.ones((1, 1, 1, 1), np.float32), none, 1, 1, 1, 0, few)
    spread(np.ones((1, 9, 1), np.float32), 0, np.empty((SIZE, 1, 1), np.float32))
    pixel, one = np.empty((1, 1, 1, 1, 1, 1), np.float32), np.ones(1, np.float32)
    restore(few, 1, 1, 0, 0, one[None], one, none, np.empty((0, 0, 0, 0, 0, 0), np.float32), 1.0, math.inf, pixel)

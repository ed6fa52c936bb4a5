"""The two ends of minimal filtering as compiled loops: image to transformed tiles, products of those to image.

See :mod:`.machine_code`.

A tile is 6 x 6 pixels, 4 apart; tile ``t`` of a batch lies in image ``t // (rows * columns)``. Numbers are those of
:func:`.minimal.cook_toom` at the points 0, 1, -1, 1/2, -2; outside of the image is 0.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from frontalbench.networks.machine_code import Array, compiled

Floats = npt.NDArray[np.float32]

SIZE: Final = 36
"""Numbers of a transformed tile."""
CHANNELS: Final = 64
"""Channels that are worked on together: the tile between rows and columns then stays in the nearest cache."""
HALF, ONE_AND_HALF, TWO_AND_HALF, QUARTER, EIGHTH = (np.float32(number) for number in (0.5, 1.5, 2.5, 0.25, 0.125))
TWO, FOUR, EIGHT = (np.float32(number) for number in (2, 4, 8))
THIRD, FIFTEENTH, SIXTEEN_15THS = (np.float32(number) for number in (1 / 3, 1 / 15, 16 / 15))


def transform(x: Floats, factors: Floats, border: int, rows: int, columns: int, first: int, out: Floats) -> None:
    """Tiles ``first``, ``first + 1``, ... of ``x`` (N, H, W, C), as many as ``out`` (tiles, 36, C) has: ``B^T d B`` of each. Channels times
    ``factors`` (N, C) where these hold anything."""
    _transform(x, factors, border, rows, columns, first, out, np.empty((6, 6, CHANNELS), np.float32), np.zeros(CHANNELS, np.float32))


def spread(weight: Floats, first: int, out: Floats, begin: int, end: int) -> None:
    """Filters ``G g G^T`` of the outputs ``first + begin`` to ``first + end`` of ``weight`` (outputs, 9, inputs) into those from ``begin`` to ``end``
    of ``out`` (36, some outputs, inputs)."""
    _spread(weight, first, out, begin, end, np.empty((6, 3, CHANNELS), np.float32))


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
    half, line = np.empty((4, 6, CHANNELS), np.float32), np.empty((4, CHANNELS), np.float32)
    _restore(products, rows, columns, first, channel, gain, bias, noise, plus, slope, most, out, half, line)


@compiled(Array(4), Array(2), int, int, int, int, Array(3), Array(3), Array(1))
def _transform(
    x: Floats, factors: Floats, border: int, rows: int, columns: int, first: int, out: Floats, half: Floats, nothing: Floats
) -> None:
    _, height, width, channels = x.shape
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


@compiled(Array(3), int, Array(3), int, int, Array(3))
def _spread(weight: Floats, first: int, out: Floats, low: int, high: int, half: Floats) -> None:
    inputs = weight.shape[2]
    for channel in range(low, high):
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


@compiled(Array(3), int, int, int, int, Array(2), Array(1), Array(2), Array(6), float, float, Array(6), Array(3), Array(2))
def _restore(
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
    half: Floats,
    line: Floats,
) -> None:
    _, height, down, width, across, colours = out.shape
    channels = products.shape[2]
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

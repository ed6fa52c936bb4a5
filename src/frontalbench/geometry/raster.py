"""A triangle rasterizer in vectorised NumPy: z-buffer, exact coverage, perspective-correct barycentric coordinates.

Vertices are snapped to 1/256 pixel, so that all edge functions are whole numbers and coverage is exact: with the top-left rule a pixel on an edge
that two triangles share belongs to exactly one of them - no holes, no pixel drawn twice. Triangles are cut into pixel rows (spans) whose ends
follow by division; the work is proportional to rows plus pixels, whatever the triangles' sizes.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.types import Float, Float32, Int

SHIFT = 8
SUBPIXEL = 1 << SHIFT
REACH = 1 << 17
"""Triangles with a vertex farther out than this many pixels are not drawn (whole numbers would leave what float64 holds exactly)."""


@dataclass(frozen=True)
class Raster:
    """What is seen in each pixel.

    ``triangle`` int32 (H, W): number of the nearest triangle, -1 where there is none; ``weights`` float32 (H, W, 3): its barycentric coordinates
    at the pixel's centre (perspective-correct; they sum to 1), 0 where there is none; ``depth`` float32 (H, W): its depth, infinity where there is
    none.
    """

    triangle: npt.NDArray[np.int32]
    weights: Float32
    depth: Float32


def rasterize(
    vertices: npt.ArrayLike, triangles: npt.ArrayLike, shape: tuple[int, int], *, perspective: bool = False, cull_back: bool = False
) -> Raster:
    """Draw ``triangles`` (T, 3) of ``vertices`` (N, 3) into ``shape`` (height, width).

    A vertex is (x, y) in pixels, centres at integers, and z, its depth: the smaller one hides the larger. ``perspective``: x and y are projections of
    points at depth z > 0, so attributes vary with 1 / z (triangles with z <= 0 are left out). ``cull_back``: leave out triangles that run
    counter-clockwise on the screen (y down). Ties of depth go to the lower triangle number. Triangles that are not finite, degenerate, or out of
    reach are left out.
    """
    height, width = shape
    points = np.asarray(vertices, dtype=np.float64).reshape(-1, 3)
    faces = np.asarray(triangles, dtype=np.int64).reshape(-1, 3)
    buffer = np.full(height * width, np.iinfo(np.uint64).max, dtype=np.uint64)
    setup = _prepare(points, faces, width, height, perspective, cull_back)
    if len(setup.number):
        _draw(buffer, setup, width, perspective)
    return _resolve(buffer, points, faces, shape, perspective)


@dataclass(frozen=True)
class _Setup:
    """Triangles that may show, one entry each: ``number`` in the caller's list; three edge functions ``a x + b y + c`` (>= 0 inside, x and y in whole
    pixels; edge k lies opposite to corner k), whole numbers; depth (or 1 / depth) as a plane ``(zx, zy, z0)`` over the screen; bounding box in
    pixels."""

    number: Int
    a: tuple[Float, Float, Float]
    b: tuple[Float, Float, Float]
    c: tuple[Float, Float, Float]
    plane: tuple[Float, Float, Float]
    left: Float
    right: Float
    first: Float
    last: Float


def _prepare(points: Float, faces: Int, width: int, height: int, perspective: bool, cull_back: bool) -> _Setup:
    # Whole numbers in float64, exact below 2^53: their products and quotients take a fraction of the time of int64's. A number that is none is below
    # nothing.
    sound = (np.abs(points[:, 0]) < REACH) & (np.abs(points[:, 1]) < REACH) & np.isfinite(points[:, 2])
    if perspective:
        sound &= points[:, 2] > 0.0
    x, y = (np.rint(np.where(sound, points[:, axis], 0.0) * SUBPIXEL) for axis in range(2))
    # By column: looking along rows of three takes five times as long.
    i, j, k = np.ascontiguousarray(faces.T)
    (xi, xj, xk), (yi, yj, yk) = ([line.take(corner) for corner in (i, j, k)] for line in (x, y))
    area = (xj - xi) * (yk - yi) - (yj - yi) * (xk - xi)
    # Pixel centres within the bounding box; a triangle without any is done with.
    left, right = _whole_pixels(xi, xj, xk, width)
    first, last = _whole_pixels(yi, yj, yk, height)
    kept = (left <= right) & (first <= last) & ((area > 0) if cull_back else (area != 0))
    if not sound.all():
        kept &= sound.take(i) & sound.take(j) & sound.take(k)
    number = np.flatnonzero(kept)
    left, right, first, last, area = (line.take(number) for line in (left, right, first, last, area))
    xi, xj, xk, yi, yj, yk = (line.take(number) for line in (xi, xj, xk, yi, yj, yk))
    z = 1.0 / points[:, 2] if perspective else points[:, 2]
    zi, zj, zk = (z.take(corner.take(number)) for corner in (i, j, k))
    # Winding is made positive by swapping two corners; _resolve goes back to the caller's order.
    backwards = area < 0
    if backwards.any():
        (xj, xk), (yj, yk), (zj, zk) = (
            (np.where(backwards, two, one), np.where(backwards, one, two)) for one, two in ((xj, xk), (yj, yk), (zj, zk))
        )
        area = np.abs(area)
    a, b, c = zip(*(_edge(*ends) for ends in ((xj, yj, xk, yk), (xk, yk, xi, yi), (xi, yi, xj, yj))), strict=True)
    share = (zi / area, zj / area, zk / area)
    zx, zy, z0 = (factor[0] * share[0] + factor[1] * share[1] + factor[2] * share[2] for factor in (a, b, c))
    return _Setup(number, a, b, c, (zx, zy, z0), left, right, first, last)


def _whole_pixels(one: Float, two: Float, three: Float, size: int) -> tuple[Float, Float]:
    """First and last pixel centre of 0 to ``size`` - 1 between the smallest and the largest of three places in subpixels."""
    low, high = np.minimum(one, two), np.maximum(one, two)
    np.minimum(low, three, out=low)
    np.maximum(high, three, out=high)
    low *= 1.0 / SUBPIXEL
    high *= 1.0 / SUBPIXEL
    return np.maximum(np.ceil(low, out=low), 0.0, out=low), np.minimum(np.floor(high, out=high), size - 1.0, out=high)


def _edge(x_start: Float, y_start: Float, x_end: Float, y_end: Float) -> tuple[Float, Float, Float]:
    dx, dy = x_end - x_start, y_end - y_start
    # Top-left rule (y down, positive area): points on the other edges belong to the neighbour. All values are whole, so "> 0" is ">= 1".
    top_left = (dy < 0) | ((dy == 0) & (dx > 0))
    c = dy * x_start
    c -= dx * y_start
    c -= ~top_left
    dx *= SUBPIXEL
    dy *= -SUBPIXEL
    return dy, dx, c


def _draw(buffer: npt.NDArray[np.uint64], setup: _Setup, width: int, perspective: bool) -> None:
    wide, high = setup.right > setup.left, setup.last > setup.first
    large = (setup.right - setup.left > 1.0) | (setup.last - setup.first > 1.0)
    # A dense mesh has about one triangle to a pixel: where at most two by two pixels come into question each is asked.
    small = ~large
    parts = [_corner(setup, np.flatnonzero(small), 0.0, 0.0)]
    for across, down in ((1.0, 0.0), (0.0, 1.0), (1.0, 1.0)):
        parts.append(_corner(setup, np.flatnonzero(small & (wide if across else True) & (high if down else True)), across, down))
    parts.append(_spans(setup, np.flatnonzero(large)))
    owner, x, y = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    zx, zy, depth = (line.take(owner) for line in setup.plane)
    zx *= x
    zy *= y
    zy += depth
    zx += zy
    depth = zx if not perspective else 1.0 / np.maximum(zx, 1e-300)
    key = _sortable(depth.astype(np.float32)).astype(np.uint64)
    key <<= np.uint64(32)
    key |= setup.number.take(owner).astype(np.uint64)
    y *= width
    y += x
    np.minimum.at(buffer, y.astype(np.int64), key)


def _corner(setup: _Setup, owner: Int, across: float, down: float) -> tuple[Int, Float, Float]:
    """(triangle, x, y) of those of ``owner`` that cover the pixel beside (``across``) and below (``down``) the first of their bounding box."""
    x, y = setup.left.take(owner), setup.first.take(owner)
    x += across
    y += down
    inside = np.ones(len(owner), bool)
    for a, b, c in zip(setup.a, setup.b, setup.c, strict=True):
        value = a.take(owner)
        value *= x
        value += b.take(owner) * y
        value += c.take(owner)
        inside &= value >= 0.0
    some = np.flatnonzero(inside)
    return owner.take(some), x.take(some), y.take(some)


def _spans(setup: _Setup, which: Int) -> tuple[Int, Float, Float]:
    """(triangle, x, y) of every pixel that those of ``which`` cover."""
    top = setup.first.take(which)
    rows = (setup.last.take(which) - top + 1.0).astype(np.int64)
    owner = np.repeat(which, rows)
    y = _counting(rows) + np.repeat(top, rows)
    low, high = setup.left.take(owner), setup.right.take(owner)
    with np.errstate(divide="ignore", invalid="ignore"):
        for a, b, c in zip(setup.a, setup.b, setup.c, strict=True):
            slope, value = a.take(owner), b.take(owner)
            value *= y
            value += c.take(owner)
            # Exact: whole numbers far below 2^53 whose quotient is no whole number differ from one by more than rounding does.
            bound = -value / slope
            np.copyto(low, np.maximum(low, np.ceil(bound)), where=slope > 0.0)
            np.copyto(high, np.minimum(high, np.floor(bound)), where=slope < 0.0)
            high[(slope == 0.0) & (value < 0.0)] = -1.0
    count = high - low
    count += 1.0
    some = np.flatnonzero(count > 0.0)
    low, counts = low.take(some), count.take(some).astype(np.int64)
    x: Float = np.repeat(low, counts)
    x += _counting(counts)
    return np.repeat(owner.take(some), counts), x, np.repeat(y.take(some), counts)


def _counting(counts: Int) -> Int:
    """0, 1, ..., n - 1 for each n of ``counts``, one after the other."""
    ends = np.cumsum(counts)
    counting: Int = np.arange(int(ends[-1]) if len(ends) else 0, dtype=np.int64) - np.repeat(ends - counts, counts)
    return counting


def _sortable(values: Float32) -> npt.NDArray[np.uint32]:
    """Unsigned integers in the same order as the floats."""
    bits = (values + np.float32(0.0)).view(np.uint32)
    ordered: npt.NDArray[np.uint32] = np.where(bits >> 31, ~bits, bits | np.uint32(0x80000000))
    return ordered


def _resolve(buffer: npt.NDArray[np.uint64], points: Float, faces: Int, shape: tuple[int, int], perspective: bool) -> Raster:
    height, width = shape
    seen = np.flatnonzero(buffer != np.iinfo(np.uint64).max)
    whole = len(seen) == len(buffer)
    number = (buffer if whole else buffer.take(seen)).view(np.uint32)[_LOWER::2].astype(np.int64)
    x, y = np.tile(np.arange(width, dtype=np.float64), height), np.repeat(np.arange(height, dtype=np.float64), width)
    if not whole:
        x, y = x.take(seen), y.take(seen)
    i, j, k = (line.take(number) for line in np.ascontiguousarray(faces.T))
    (xi, xj, xk), (yi, yj, yk) = (
        [line.take(corner) - at for corner in (i, j, k)] for line, at in zip(_snapped(points), (x, y), strict=True)
    )
    first, second, third = xj * yk - yj * xk, xk * yi - yk * xi, xi * yj - yi * xj
    line = np.ascontiguousarray(points[:, 2])
    zi, zj, zk = (line.take(corner) for corner in (i, j, k))
    if perspective:
        first, second, third = first / zi, second / zj, third / zk
    # Not divided by the area but by their own sum, so that the weights sum to 1 to the last bit that matters.
    total = first + second + third
    first, second, third = first / total, second / total, third / total
    triangle = np.full(len(buffer), -1, dtype=np.int32)
    weights = np.zeros((len(buffer), 3), dtype=np.float32)
    depth = np.full(len(buffer), np.inf, dtype=np.float32)
    where: Int | slice = slice(None) if whole else seen  # not by number where all are seen: that takes ten times as long
    triangle[where], depth[where] = number, first * zi + second * zj + third * zk
    weights[where, 0], weights[where, 1], weights[where, 2] = first, second, third
    return Raster(triangle.reshape(shape), weights.reshape(height, width, 3), depth.reshape(shape))


_LOWER = 0 if sys.byteorder == "little" else 1


def _snapped(points: Float) -> tuple[Float, Float]:
    """x and y of ``points`` on the grid of subpixels."""
    x, y = (np.rint(points[:, axis] * SUBPIXEL) / SUBPIXEL for axis in range(2))
    return x, y


def interpolate(raster: Raster, triangles: npt.ArrayLike, attributes: npt.ArrayLike) -> Float32:
    """Vertex ``attributes`` (N, C) in every pixel: float32 (H, W, C), 0 where no triangle is seen."""
    values = np.asarray(attributes, dtype=np.float32)
    faces = np.asarray(triangles, dtype=np.int64).reshape(-1, 3)
    height, width = raster.triangle.shape
    number, share = raster.triangle.reshape(-1), raster.weights.reshape(-1, 3)
    seen = np.flatnonzero(number >= 0)
    whole = len(seen) == len(number)
    if not whole:
        number, share = number.take(seen), share.take(seen, axis=0)
    mixed = np.zeros((len(number), values.shape[1]), dtype=np.float32)
    for corner in range(3):
        other = values.take(np.ascontiguousarray(faces[:, corner]).take(number), axis=0)
        other *= share[:, corner : corner + 1]
        mixed += other
    result = mixed
    if not whole:
        result = np.zeros((height * width, values.shape[1]), dtype=np.float32)
        result[seen] = mixed
    return result.reshape(height, width, values.shape[1])

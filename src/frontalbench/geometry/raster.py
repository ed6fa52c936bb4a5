"""A triangle rasterizer in vectorised NumPy: z-buffer, exact coverage, perspective-correct barycentric coordinates.

Vertices are snapped to 1/256 pixel, so that all edge functions are integers and coverage is exact: with the top-left rule a pixel on an edge
that two triangles share belongs to exactly one of them - no holes, no pixel drawn twice. Triangles are cut into pixel rows (spans) whose ends
follow by integer division; the work is proportional to rows plus pixels, whatever the triangles' sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.types import Float, Float32, Int

SHIFT = 8
SUBPIXEL = 1 << SHIFT
REACH = 1 << 20
"""Triangles with a vertex farther out than this many pixels are not drawn (integers would overflow)."""


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
    pixels; edge k lies opposite to corner k); depth (or 1 / depth) as a plane ``(zx, zy, z0)`` over the screen; bounding box in pixels."""

    number: Int
    a: tuple[Int, Int, Int]
    b: tuple[Int, Int, Int]
    c: tuple[Int, Int, Int]
    plane: tuple[Float, Float, Float]
    left: Int
    right: Int
    first: Int
    last: Int


def _prepare(points: Float, faces: Int, width: int, height: int, perspective: bool, cull_back: bool) -> _Setup:
    # By column: looking along rows of three takes five times as long. A number that is none is below nothing.
    sound = (np.abs(points[:, 0]) < REACH) & (np.abs(points[:, 1]) < REACH) & np.isfinite(points[:, 2])
    if perspective:
        sound &= points[:, 2] > 0.0
    safe = np.where(sound[:, None], points, 0.0)
    snapped = np.rint(safe[:, :2] * SUBPIXEL).astype(np.int64)
    i, j, k = np.ascontiguousarray(faces.T)
    x, y = np.ascontiguousarray(snapped.T)
    (xi, xj, xk), (yi, yj, yk) = ([line.take(corner) for corner in (i, j, k)] for line in (x, y))
    area = (xj - xi) * (yk - yi) - (yj - yi) * (xk - xi)
    # Pixel centres within the bounding box; a triangle without any is done with.
    left = np.maximum(-(-np.minimum(np.minimum(xi, xj), xk) >> SHIFT), 0)
    right = np.minimum(np.maximum(np.maximum(xi, xj), xk) >> SHIFT, width - 1)
    first = np.maximum(-(-np.minimum(np.minimum(yi, yj), yk) >> SHIFT), 0)
    last = np.minimum(np.maximum(np.maximum(yi, yj), yk) >> SHIFT, height - 1)
    kept = sound.take(i) & sound.take(j) & sound.take(k) & (left <= right) & (first <= last) & ((area > 0) if cull_back else (area != 0))
    number = np.flatnonzero(kept)
    i, j, k, area = i[number], j[number], k[number], area[number]
    # Winding is made positive by swapping two corners; _resolve goes back to the caller's order.
    backwards = area < 0
    j, k = np.where(backwards, k, j), np.where(backwards, j, k)
    area = np.abs(area)
    corners = ((j, k), (k, i), (i, j))
    a, b, c = zip(*(_edge(x, y, start, end) for start, end in corners), strict=True)
    z = 1.0 / points[:, 2] if perspective else points[:, 2]
    share = [z[corner] / area for corner in (i, j, k)]
    zx, zy, z0 = (sum((factor[n] * share[n] for n in range(1, 3)), factor[0] * share[0]) for factor in (a, b, c))
    return _Setup(number, a, b, c, (zx, zy, z0), left[number], right[number], first[number], last[number])


def _edge(x: Int, y: Int, start: Int, end: Int) -> tuple[Int, Int, Int]:
    dx, dy = x[end] - x[start], y[end] - y[start]
    # Top-left rule (y down, positive area): points on the other edges belong to the neighbour. All values are integers, so "> 0" is ">= 1".
    top_left = (dy < 0) | ((dy == 0) & (dx > 0))
    return -dy * SUBPIXEL, dx * SUBPIXEL, dy * x[start] - dx * y[start] - np.where(top_left, 0, 1)


def _draw(buffer: npt.NDArray[np.uint64], setup: _Setup, width: int, perspective: bool) -> None:
    rows = setup.last - setup.first + 1
    owner = np.repeat(np.arange(len(rows)), rows)
    y = _counting(rows) + setup.first[owner]
    low, high = setup.left[owner], setup.right[owner]
    for a, b, c in zip(setup.a, setup.b, setup.c, strict=True):
        slope = a[owner]
        value = b[owner] * y + c[owner]
        bound = -value // np.where(slope == 0, 1, slope)  # floor(-value / slope)
        exact = bound * slope == -value
        low = np.where(slope > 0, np.maximum(low, np.where(exact, bound, bound + 1)), low)
        high = np.where(slope < 0, np.minimum(high, bound), high)
        high = np.where((slope == 0) & (value < 0), low - 1, high)
    some = np.flatnonzero(high >= low)
    owner, y, low, count = owner[some], y[some], low[some], (high - low + 1)[some]
    zx, zy, z0 = setup.plane
    start = zy[owner] * y + z0[owner]
    span = np.repeat(np.arange(len(count)), count)
    x = _counting(count) + low[span]
    depth = zx[owner][span] * x + start[span]
    if perspective:
        depth = 1.0 / np.maximum(depth, 1e-300)
    key = (_sortable(depth.astype(np.float32)).astype(np.uint64) << np.uint64(32)) | setup.number[owner][span].astype(np.uint64)
    np.minimum.at(buffer, (y * width)[span] + x, key)


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
    triangle = np.full(height * width, -1, dtype=np.int32)
    weights = np.zeros((height * width, 3), dtype=np.float32)
    depth = np.full(height * width, np.inf, dtype=np.float32)
    seen = np.flatnonzero(buffer != np.iinfo(np.uint64).max)
    if len(seen):
        number = (buffer[seen] & np.uint64(0xFFFFFFFF)).astype(np.int64)
        i, j, k = (faces[number, corner] for corner in range(3))
        px, py = (np.rint(points[:, axis] * SUBPIXEL) / SUBPIXEL for axis in range(2))
        x, y = (seen % width).astype(np.float64), (seen // width).astype(np.float64)
        xi, yi, xj, yj, xk, yk = px[i] - x, py[i] - y, px[j] - x, py[j] - y, px[k] - x, py[k] - y
        first, second, third = xj * yk - yj * xk, xk * yi - yk * xi, xi * yj - yi * xj
        if perspective:
            first, second, third = first / points[i, 2], second / points[j, 2], third / points[k, 2]
        # Not divided by the area but by their own sum, so that the weights sum to 1 to the last bit that matters.
        total = first + second + third
        first, second, third = first / total, second / total, third / total
        depth[seen] = first * points[i, 2] + second * points[j, 2] + third * points[k, 2]
        triangle[seen] = number
        weights[seen, 0], weights[seen, 1], weights[seen, 2] = first, second, third
    return Raster(triangle.reshape(shape), weights.reshape(height, width, 3), depth.reshape(shape))


def interpolate(raster: Raster, triangles: npt.ArrayLike, attributes: npt.ArrayLike) -> Float32:
    """Vertex ``attributes`` (N, C) in every pixel: float32 (H, W, C), 0 where no triangle is seen."""
    values = np.asarray(attributes, dtype=np.float32)
    faces = np.asarray(triangles, dtype=np.int64).reshape(-1, 3)
    height, width = raster.triangle.shape
    result = np.zeros((height * width, values.shape[1]), dtype=np.float32)
    number = raster.triangle.reshape(-1)
    seen = np.flatnonzero(number >= 0)
    corners = faces.take(number.take(seen), axis=0)
    share = raster.weights.reshape(-1, 3).take(seen, axis=0)
    mixed = values.take(corners[:, 0], axis=0)
    mixed *= share[:, :1]
    for corner in (1, 2):
        other = values.take(corners[:, corner], axis=0)
        other *= share[:, corner : corner + 1]
        mixed += other
    result[seen] = mixed
    return result.reshape(height, width, values.shape[1])

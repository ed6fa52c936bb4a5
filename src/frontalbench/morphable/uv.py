"""A mesh unrolled into a square: what belongs to its vertices, spread over texels, and back onto an image of the mesh.

Texel (row, column) of a square of ``side`` texels has its middle at u = (column + 0.5) / side, v = 1 - (row + 0.5) / side.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from frontalbench.errors import BadInput, one_line
from frontalbench.geometry.raster import Raster, interpolate, rasterize
from frontalbench.types import Bool, Float, Float32, Int


@dataclass(frozen=True)
class Unrolled:
    """``places`` (P, 2): u, v in 0..1; ``corners`` (T, 3): the place of each triangle's corners; ``triangles`` (T, 3): their vertices."""

    places: Float
    corners: Int
    triangles: Int


class UvMap:
    """An unrolled mesh over ``side`` x ``side`` texels. ``covered`` bool (side, side): the texels that show a triangle."""

    def __init__(self, unrolled: Unrolled, side: int) -> None:
        self.unrolled, self.side = unrolled, side
        flat = np.column_stack(
            [unrolled.places[:, 0] * side - 0.5, (1.0 - unrolled.places[:, 1]) * side - 0.5, np.ones(len(unrolled.places))]
        )
        # Every corner is a vertex of its own here: a vertex on a seam has several places.
        self._raster = _exact(rasterize(flat, unrolled.corners, (side, side)), flat[:, :2], unrolled.corners)
        self.covered: Bool = self._raster.triangle >= 0

    def over(self, values: npt.ArrayLike) -> Float32:
        """What belongs to vertices (V, C), over the texels (side, side, C); 0 where none is covered."""
        return interpolate(self._raster, self.unrolled.triangles, values)

    def on(self, drawn: Raster) -> Float32:
        """(u, v) of what is seen in each pixel of an image of this mesh's triangles: (H, W, 2), 0 where nothing is."""
        return interpolate(drawn, self.unrolled.corners, self.unrolled.places)


def _exact(drawn: Raster, flat: Float, corners: Int) -> Raster:
    """``drawn`` with the weights of the places themselves: the rasterizer moves them to 1/256 of a texel, which shows in slopes between texels."""
    rows, columns = np.nonzero(drawn.triangle >= 0)
    a, b, c = (flat[corners[drawn.triangle[rows, columns], corner]] - np.stack([columns, rows], axis=1) for corner in range(3))
    areas = np.stack([p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0] for p, q in ((b, c), (c, a), (a, b))], axis=1)
    total = areas.sum(axis=1, keepdims=True)
    sound = np.abs(total[:, 0]) > 1e-9
    weights = drawn.weights.copy()
    weights[rows[sound], columns[sound]] = areas[sound] / total[sound]
    return Raster(drawn.triangle, weights, drawn.depth)


def grid_triangles(side: int) -> Int:
    """Triangles between the texels of a map as DECA and HRN choose them: column by column, two for each cell from (row 5, column 2) on, without
    the border."""
    column, row = (part.ravel() for part in np.meshgrid(np.arange(2, side - 3), np.arange(5, side - 6), indexing="ij"))
    here = row * side + column
    first = np.stack([here, here + side, here + 1], axis=1)
    second = np.stack([here + 1, here + side, here + side + 1], axis=1)
    return np.stack([first, second], axis=1).reshape(-1, 3).astype(np.int64)


def looked_up(texture: Tensor, uv: Float32) -> Tensor:
    """``texture`` float32 (C, side, side) at ``uv`` (H, W, 2): (C, H, W), bilinear, 0 beyond the square."""
    grid = torch.from_numpy(np.stack([2.0 * uv[..., 0] - 1.0, 1.0 - 2.0 * uv[..., 1]], axis=-1).astype(np.float32))
    return functional.grid_sample(texture[None], grid[None], mode="bilinear", padding_mode="zeros", align_corners=False)[0]


def sampled(image: Tensor, places: Float32) -> Tensor:
    """``image`` float32 (C, H, W) at ``places`` (side, side, 2), pixels with centres at integers: (C, side, side), bilinear, 0 beyond it."""
    _, height, width = image.shape
    scale = np.array([2.0 / width, 2.0 / height], np.float32)
    grid = torch.from_numpy(((places + np.float32(0.5)) * scale - np.float32(1.0)).astype(np.float32))
    return functional.grid_sample(image[None], grid[None], mode="bilinear", padding_mode="zeros", align_corners=False)[0]


def read_obj(path: Path) -> Unrolled:
    """Places and triangles of a Wavefront mesh whose triangles name them (``f 1/1 2/2 3/3``). Raises :class:`BadInput`."""
    places: list[tuple[float, float]] = []
    vertices, triangles, corners = 0, [], []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise BadInput(f"{path}: not found; bring the file that the card names") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not a readable Wavefront mesh ({one_line(error)}); use the file that the card names") from error
    for number, line in enumerate(lines, start=1):
        word, _, rest = line.strip().partition(" ")
        try:
            if word == "v":
                vertices += 1
            elif word == "vt":
                u, v = (float(value) for value in rest.split()[:2])
                places.append((u, v))
            elif word == "f":
                named = [corner.split("/") for corner in rest.split()]
                if len(named) != 3:
                    raise ValueError("not a triangle")
                triangles.append([int(corner[0]) - 1 for corner in named])
                corners.append([int(corner[1]) - 1 for corner in named])
        except (ValueError, IndexError) as error:
            raise BadInput(f"{path}: line {number}: '{line.strip()[:60]}' ({one_line(error)}); use the file that the card names") from error
    if not triangles:
        raise BadInput(f"{path}: no triangles in it, so no Wavefront mesh; use the file that the card names")
    unrolled = Unrolled(
        np.array(places, np.float64).reshape(-1, 2),
        np.array(corners, np.int64).reshape(-1, 3),
        np.array(triangles, np.int64).reshape(-1, 3),
    )
    check(unrolled, vertices, path)
    return unrolled


def check(unrolled: Unrolled, vertices: int, path: Path) -> None:
    """Raises :class:`BadInput` unless every triangle names places and vertices that are there."""
    for indices, count, what in ((unrolled.triangles, vertices, "vertices"), (unrolled.corners, len(unrolled.places), "places")):
        if indices.size == 0 or indices.min() < 0 or indices.max() >= count:
            raise BadInput(f"{path}: its triangles name {what} that are not there; use the file that the card names")
    if not np.isfinite(unrolled.places).all():
        raise BadInput(f"{path}: places that are not finite; use the file that the card names")

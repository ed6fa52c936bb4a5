"""The made-up face models behind the golden arrays of DECA, CVTHead and HRN: same keys and shapes as the licensed files, no number of theirs."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import numpy.typing as npt

from frontalbench.morphable.basel import Basel
from frontalbench.morphable.flame import ALL_SHAPES, Flame
from frontalbench.morphable.uv import Unrolled
from tests.golden import fills

Array = npt.NDArray[Any]
ROWS, COLUMNS, LOOSE = 173, 29, 6


def tube(rows: int = ROWS, columns: int = COLUMNS, wrapped: bool = True) -> Array:
    """Triangles (T, 3) of a grid of vertices in rows, closed at the sides where ``wrapped``."""
    across = COLUMNS if not wrapped else columns
    a, b = (part.ravel() for part in np.meshgrid(np.arange(rows - 1), np.arange(across), indexing="ij"))
    p, q = a * columns + b, a * columns + (b + 1) % columns
    r, s = p + columns, q + columns
    return np.stack([np.stack([p, r, q], axis=1), np.stack([q, r, s], axis=1)], axis=1).reshape(-1, 3)


@functools.cache
def flame_arrays() -> dict[str, Array]:
    """The arrays of a FLAME file, by its keys; ``J_regressor`` dense. Float32 where the golden model was, as float64."""
    i, j = (part.ravel() for part in np.meshgrid(np.arange(ROWS), np.arange(COLUMNS), indexing="ij"))
    theta, phi = np.pi * (i + 0.5) / ROWS, 2.0 * np.pi * j / COLUMNS - np.pi
    surface = np.stack([0.08 * np.sin(theta) * np.sin(phi), 0.11 * np.cos(theta), 0.09 * np.sin(theta) * np.cos(phi)], axis=1)
    count = ROWS * COLUMNS + LOOSE
    template = np.concatenate([surface, np.zeros((LOOSE, 3))]) + fills.normal("input:flame_v_template", 0.0003, count, 3)
    rs = fills.random_state("input:flame_J_regressor")
    joints = np.zeros((5, count))
    for joint in joints:
        index = rs.choice(ROWS * COLUMNS, 8, replace=False)
        weights = rs.random_sample(8) + 0.1
        joint[index] = weights / weights.sum()
    weights = fills.random_state("input:flame_weights").random_sample((count, 5)) ** 4 + 0.001
    return {
        "v_template": template,
        "f": tube().astype(np.uint32),
        "shapedirs": fills.normal("input:flame_shapedirs", 0.0002, count, 3, 400),
        "posedirs": fills.normal("input:flame_posedirs", 0.0005, count, 3, 36),
        "J_regressor": joints,
        "kintree_table": np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
        "weights": weights / weights.sum(axis=1, keepdims=True),
    }


@functools.cache
def flame() -> Flame:
    arrays = flame_arrays()
    return Flame(
        arrays["v_template"],
        arrays["shapedirs"][..., :100].astype(np.float32),
        arrays["shapedirs"][..., ALL_SHAPES : ALL_SHAPES + 50].astype(np.float32),
        arrays["posedirs"].astype(np.float32),
        arrays["J_regressor"],
        np.array([-1, 0, 1, 1, 1]),
        arrays["weights"],
        arrays["f"].astype(np.int64),
    )


@functools.cache
def flame_unrolled() -> Unrolled:
    """30 columns of places for 29 of vertices: the seam."""
    a, b = (part.ravel() for part in np.meshgrid(np.arange(ROWS), np.arange(COLUMNS + 1), indexing="ij"))
    places = np.stack([b / COLUMNS * 0.9 + 0.05, 1.0 - (a / (ROWS - 1) * 0.9 + 0.05)], axis=1).astype(np.float32)
    return Unrolled(places.astype(np.float64), tube(columns=COLUMNS + 1, wrapped=False), tube())


@functools.cache
def eye_mask() -> Array:
    """(256, 256) in 0..1, in steps of a byte."""
    y, x = np.mgrid[:256, :256].astype(np.float64)
    return np.round(255.0 * np.clip(1.2 - np.sqrt(((x - 127.5) / 60) ** 2 + ((y - 127.5) / 80) ** 2), 0.0, 1.0)) / 255.0


@functools.cache
def fixed_displacement() -> Array:
    y, x = np.mgrid[:256, :256].astype(np.float64)
    return 0.002 * np.sin(x / 20) * np.cos(y / 30)


# Basel ------------------------------------------------------------------------------------------------------------------------------------

GRID = (188, 189)
VERTICES = 35709


@functools.cache
def basel_arrays() -> dict[str, Array]:
    """The arrays of a ``BFM_model_front.mat``, by its keys, with its numbering from 1."""
    i, j = (part.ravel() for part in np.meshgrid(np.arange(GRID[0]), np.arange(GRID[1]), indexing="ij"))
    y, x = i / (GRID[0] - 1) * 2 - 1, j / (GRID[1] - 1) * 2 - 1
    surface = np.stack([0.9 * x, -1.1 * y, 0.9 - 0.5 * x**2 - 0.4 * y**2], axis=1)
    mean = np.concatenate([surface, np.zeros((VERTICES - len(surface), 3))]) + fills.normal("input:bfm_meanshape", 0.002, VERTICES, 3)
    a, b = (part.ravel() for part in np.meshgrid(np.arange(GRID[0] - 1), np.arange(GRID[1] - 1), indexing="ij"))
    p = a * GRID[1] + b
    cells = [np.stack([p, p + GRID[1], p + 1], axis=1), np.stack([p + 1, p + GRID[1], p + GRID[1] + 1], axis=1)]
    triangles = np.stack(cells, axis=1).reshape(-1, 3)
    around = np.full((VERTICES, 8), len(triangles))
    order = np.argsort(triangles.ravel(), kind="stable")
    owner = triangles.ravel()[order]
    first = np.searchsorted(owner, np.arange(VERTICES))
    place = np.arange(len(owner)) - first[owner]
    around[owner, place] = order // 3
    return {
        "meanshape": mean.reshape(1, -1).astype(np.float32),
        "idBase": fills.normal("input:bfm_idBase", 0.01, 3 * VERTICES, 80).astype(np.float32),
        "exBase": fills.normal("input:bfm_exBase", 0.01, 3 * VERTICES, 64).astype(np.float32),
        "texBase": fills.normal("input:bfm_texBase", 2.0, 3 * VERTICES, 80).astype(np.float32),
        "meantex": (100 + 100 * fills.random_state("input:bfm_meantex").random_sample((1, 3 * VERTICES))).astype(np.float32),
        "tri": triangles + 1,
        "point_buf": around + 1,
    }


@functools.cache
def basel() -> Basel:
    arrays = basel_arrays()
    mean = arrays["meanshape"].reshape(-1, 3).astype(np.float64)
    return Basel(
        mean - mean.mean(axis=0),
        arrays["idBase"].reshape(VERTICES, 3, 80),
        arrays["exBase"].reshape(VERTICES, 3, 64),
        (arrays["meantex"].reshape(-1, 3) / 255).astype(np.float32),
        (arrays["texBase"] / 255).reshape(VERTICES, 3, 80).astype(np.float32),
        arrays["tri"] - 1,
        arrays["point_buf"] - 1,
    )

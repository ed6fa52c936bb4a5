"""Images from their gradients: Poisson image editing (Perez et al. 2003) and what it minimises.

In a region, the result has gradients as near as it can to those wanted, and around it the values that are there::

    min over f of  sum |grad f - v|^2    with f = t outside of the region

FSGAN blends a face into a target by this (Nirkin et al. 2019, eq. 8), and FSGANv2 takes the sum as its Poisson blending loss: :func:`energy`. The sum
goes over all pairs of neighbours of which at least one lies in the region; at the image's own edge nothing is asked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.linalg import splu

from frontalbench.types import Bool, Float

Steps = tuple[Float, Float]
"""Differences between neighbours: rightwards (H, W - 1, C), downwards (H - 1, W, C)."""


def steps(pixels: npt.NDArray[Any]) -> Steps:
    """The differences of pixels (H, W, C), float64."""
    values = pixels.astype(np.float64)
    return np.diff(values, axis=1), np.diff(values, axis=0)


def counted(region: Bool) -> tuple[Bool, Bool]:
    """Which of the differences count: one of the two pixels lies in ``region`` (H, W); bool (H, W - 1) and (H - 1, W)."""
    return region[:, 1:] | region[:, :-1], region[1:] | region[:-1]


def energy(pixels: npt.NDArray[Any], wanted: Steps, region: Bool) -> float:
    """The blending loss of pixels (H, W, C) under ``wanted`` differences: the mean of the squared deviations that count (0 for none)."""
    total, number = 0.0, 0
    for own, aim, counts in zip(steps(pixels), wanted, counted(region), strict=True):
        off = (own - aim)[counts]
        total += float((off**2).sum())
        number += off.size
    return total / number if number else 0.0


def solve(outside: npt.NDArray[Any], wanted: Steps, region: Bool) -> Float:
    """The f (H, W, C), float64, of least :func:`energy` that equals ``outside`` (H, W, C) outside of ``region`` (H, W).

    Raises ValueError where the region has a part without any value around it, so that nothing fixes its level.
    """
    result = outside.astype(np.float64)
    inside = np.flatnonzero(region)
    if not inside.size:
        return result
    number = np.full(region.shape, -1)
    number[region] = np.arange(inside.size)
    diagonal = np.zeros(inside.size)
    right = np.zeros((inside.size, result.shape[2]))
    rows, columns = [], []
    for axis, aim, counts in ((1, wanted[0], counted(region)[0]), (0, wanted[1], counted(region)[1])):
        first, second = (np.delete(number, cut, axis=axis)[counts] for cut in (-1, 0))
        values_first, values_second = (np.delete(result, cut, axis=axis)[counts] for cut in (-1, 0))
        step = aim[counts]
        # Of (f_second - f_first - step)^2: half of the derivatives by f_second and by f_first.
        for here, other, there, sign in ((second, first, values_first, 1.0), (first, second, values_second, -1.0)):
            mine = here >= 0
            np.add.at(diagonal, here[mine], 1.0)
            np.add.at(right, here[mine], sign * step[mine])
            free = mine & (other >= 0)
            rows.append(here[free])
            columns.append(other[free])
            fixed = mine & (other < 0)
            np.add.at(right, here[fixed], there[fixed])
    row, column = np.concatenate(rows), np.concatenate(columns)
    matrix = sparse.csc_matrix(
        (
            np.concatenate([diagonal, -np.ones(row.size)]),
            (np.concatenate([np.arange(inside.size), row]), np.concatenate([np.arange(inside.size), column])),
        ),
        shape=(inside.size, inside.size),
    )
    if _floats(region):
        raise ValueError("a part of the region reaches over the whole image: no value around it fixes its level")
    result.reshape(region.size, -1)[inside] = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(right)
    return result


def _floats(region: Bool) -> bool:
    """Whether a part of the region has no neighbour outside of it; as the image is one piece, that is the whole image alone."""
    return bool(region.all())

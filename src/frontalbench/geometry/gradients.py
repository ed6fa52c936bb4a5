"""Images from their gradients: Poisson image editing (Perez et al. 2003) and what it minimises.

In a region, the result has gradients as near as it can to those wanted, and around it the values that are there::

    min over f of  sum |grad f - v|^2    with f = t outside of the region

FSGAN blends a face into a target by this (Nirkin et al. 2019, eq. 8), and FSGANv2 takes the sum as its Poisson blending loss: :func:`energy`. The sum
goes over all pairs of neighbours of which at least one lies in the region; at the image's own edge nothing is asked. Where only some pairs are
``asked``, the others count for nothing: across them the result may step as it likes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from frontalbench.types import Bool, Float, Int

Steps = tuple[Float, Float]
"""Differences between neighbours: rightwards (H, W - 1, C), downwards (H - 1, W, C)."""
Pairs = tuple[Bool, Bool]
"""Of neighbours: (H, W - 1) side by side, (H - 1, W) one above the other."""


def steps(pixels: npt.NDArray[Any]) -> Steps:
    """The differences of pixels (H, W, C), float64."""
    values = pixels.astype(np.float64)
    return np.diff(values, axis=1), np.diff(values, axis=0)


def counted(region: Bool, asked: Pairs | None = None) -> Pairs:
    """Which of the differences count: one of the two pixels lies in ``region`` (H, W), and they are ``asked`` (all, where None)."""
    aside, below = region[:, 1:] | region[:, :-1], region[1:] | region[:-1]
    return (aside, below) if asked is None else (aside & asked[0], below & asked[1])


def energy(pixels: npt.NDArray[Any], wanted: Steps, region: Bool, asked: Pairs | None = None) -> float:
    """The blending loss of pixels (H, W, C) under ``wanted`` differences: the mean of the squared deviations that count (0 for none)."""
    total, number = 0.0, 0
    for own, aim, counts in zip(steps(pixels), wanted, counted(region, asked), strict=True):
        off = (own - aim)[counts]
        total += float((off**2).sum())
        number += off.size
    return total / number if number else 0.0


def held(region: Bool, asked: Pairs | None = None) -> Bool:
    """The part of ``region`` (H, W) whose level something around it fixes: it is joined to a pixel outside by pairs that count."""
    number = np.arange(region.size).reshape(region.shape)
    first, second = _joined(number, counted(region, asked))
    inside = region.reshape(-1)
    both = inside[first] & inside[second]
    links = sparse.coo_matrix((np.ones(int(both.sum()), np.int8), (first[both], second[both])), shape=(region.size, region.size))
    _, part = connected_components(links, directed=False)
    edge = inside[first] != inside[second]
    touching = np.where(inside[first[edge]], first[edge], second[edge])
    found: Bool = np.isin(part, np.unique(part[touching])).reshape(region.shape) & region
    return found


def _joined(number: Int, pairs: Pairs) -> tuple[Int, Int]:
    """The numbers (H, W) of the two pixels of every pair."""
    (beside, below) = pairs
    return (
        np.concatenate([number[:, :-1][beside], number[:-1][below]]),
        np.concatenate([number[:, 1:][beside], number[1:][below]]),
    )


def solve(outside: npt.NDArray[Any], wanted: Steps, region: Bool, asked: Pairs | None = None) -> Float:
    """The f (H, W, C), float64, of least :func:`energy` that equals ``outside`` (H, W, C) outside of ``region`` (H, W).

    Raises ValueError where the region has a part without any value around it, so that nothing fixes its level (see :func:`held`).
    """
    result = np.array(outside, np.float64, order="C")
    inside = np.flatnonzero(region)
    if not inside.size:
        return result
    if not held(region, asked)[region].all():
        raise ValueError("a part of the region has no value around it: nothing fixes its level")
    pairs = counted(region, asked)
    number = np.full(region.shape, -1)
    number[region] = np.arange(inside.size)
    first, second = _joined(number, pairs)
    values = result.reshape(region.size, -1)
    places = np.arange(region.size).reshape(region.shape)
    at_first, at_second = _joined(places, pairs)
    step = np.concatenate([wanted[0][pairs[0]], wanted[1][pairs[1]]])
    diagonal = np.zeros(inside.size)
    right = np.zeros((inside.size, values.shape[1]))
    rows, columns = [], []
    # Of (f_second - f_first - step)^2: half of the derivatives by f_second and by f_first.
    for here, other, there, sign in ((second, first, at_first, 1.0), (first, second, at_second, -1.0)):
        mine = here >= 0
        diagonal += np.bincount(here[mine], minlength=inside.size)
        free, fixed = mine & (other >= 0), mine & (other < 0)
        rows.append(here[free])
        columns.append(other[free])
        for channel in range(values.shape[1]):
            right[:, channel] += np.bincount(here[mine], sign * step[mine, channel], inside.size)
            right[:, channel] += np.bincount(here[fixed], values[there[fixed], channel], inside.size)
    row, column = np.concatenate(rows), np.concatenate(columns)
    matrix = sparse.csc_matrix(
        (
            np.concatenate([diagonal, -np.ones(row.size)]),
            (np.concatenate([np.arange(inside.size), row]), np.concatenate([np.arange(inside.size), column])),
        ),
        shape=(inside.size, inside.size),
    )
    values[inside] = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve(right)
    return result

"""What ``tddfa`` prepares of its face model: fewer vertices that still say the form, and each one's mirror image."""

from __future__ import annotations

import numpy as np
import pytest

from frontalbench.frontalize.head import MIDDLE
from frontalbench.frontalize.tddfa import mirrored_vertices, thinned
from frontalbench.types import Float


def face(count: int, seed: int) -> Float:
    """Points of a half ellipsoid that looks at the camera, at random, so that none has an exact mirror image."""
    rng = np.random.default_rng(seed)
    around, up = rng.uniform(-1.3, 1.3, count), rng.uniform(-1.0, 1.0, count)
    x, z = 7.5 * np.sin(around) * np.cos(up), -9.0 * np.cos(around) * np.cos(up)
    return np.column_stack([x, 10.0 * np.sin(up), z + MIDDLE[2]])


def test_one_vertex_is_kept_for_every_cube_and_those_that_have_names() -> None:
    points = face(20_000, 0)
    kept = thinned(points, 0.5, np.array([3, 17]))
    assert {3, 17} <= set(kept) and (np.diff(kept) > 0).all() and len(kept) < 4000
    cubes = {tuple(cube) for cube in np.floor(points / 0.5).astype(int)}
    assert {tuple(cube) for cube in np.floor(points[kept] / 0.5).astype(int)} == cubes
    np.testing.assert_array_equal(thinned(points, 0.5, np.array([3, 17])), kept)


def test_a_vertex_and_its_mirror_image_lie_opposite_of_one_another() -> None:
    points = face(6000, 1)
    partners, weights = mirrored_vertices(points)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    images = (points[partners] * weights[..., None]).sum(axis=1)
    away = np.linalg.norm(images - points * [-1.0, 1.0, 1.0], axis=1)
    assert float(np.median(away)) < 0.02 and float(np.quantile(away, 0.98)) < 0.3, "cm"
    assert float(weights.min()) >= -1e-9


@pytest.mark.parametrize("count", [4, 30])
def test_a_mirror_image_beyond_the_outline_is_the_nearest_vertex(count: int) -> None:
    points = face(count, 2)
    points[:, 0] = np.abs(points[:, 0]) + 1.0
    partners, weights = mirrored_vertices(points)
    np.testing.assert_array_equal(weights, np.tile([1.0, 0.0, 0.0], (count, 1)))
    distance = np.linalg.norm(points[:, None] * [-1.0, 1.0, 1.0] - points[None], axis=2)
    np.testing.assert_array_equal(partners[:, 0], distance.argmin(axis=1))

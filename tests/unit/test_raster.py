"""The rasterizer against a brute-force one that asks every pixel of every triangle."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import Delaunay

from frontalbench.geometry.raster import SUBPIXEL, interpolate, rasterize

Array = npt.NDArray[np.float64]


def brute_force(
    vertices: Array, triangles: npt.NDArray[np.int64], shape: tuple[int, int], perspective: bool
) -> tuple[npt.NDArray[np.int64], Array, npt.NDArray[np.int64]]:
    """(nearest triangle, its depth, number of triangles over each pixel)."""
    y, x = np.mgrid[: shape[0], : shape[1]] * SUBPIXEL
    nearest = np.full(shape, -1)
    depth = np.full(shape, np.inf)
    cover = np.zeros(shape, int)
    snapped = np.rint(vertices[:, :2] * SUBPIXEL).astype(np.int64)
    for number, corners in enumerate(triangles):
        p, z = snapped[corners], vertices[corners, 2]
        area = (p[1, 0] - p[0, 0]) * (p[2, 1] - p[0, 1]) - (p[1, 1] - p[0, 1]) * (p[2, 0] - p[0, 0])
        if area == 0:
            continue
        if area < 0:
            p, z, area = p[[0, 2, 1]], z[[0, 2, 1]], -area
        inside = np.ones(shape, bool)
        shares = []
        for k in range(3):
            start, end = p[(k + 1) % 3], p[(k + 2) % 3]
            dx, dy = end - start
            value = dx * (y - start[1]) - dy * (x - start[0])
            inside &= (value > 0) | ((value == 0) & ((dy < 0) or (dy == 0 and dx > 0)))
            shares.append(value / area)
        share = np.stack(shares, axis=-1)
        here = 1.0 / (share / z).sum(axis=-1) if perspective else (share * z).sum(axis=-1)
        cover += inside
        closer = inside & (here < depth)
        nearest[closer], depth[closer] = number, here[closer]
    return nearest, depth, cover


COORDINATE = st.one_of(st.floats(-15, 45), st.integers(-5, 40).map(float), st.integers(-10, 80).map(lambda n: n / 2.0))
MESHES = st.tuples(
    st.lists(st.tuples(COORDINATE, COORDINATE, st.floats(1, 9)), min_size=3, max_size=12),
    st.lists(st.tuples(*[st.integers(0, 11)] * 3), max_size=16),
    st.booleans(),
)


@given(MESHES)
@settings(max_examples=60, deadline=None)
def test_every_pixel_shows_what_brute_force_finds(mesh: tuple[list[tuple[float, float, float]], list[tuple[int, int, int]], bool]) -> None:
    points, faces, perspective = mesh
    vertices = np.array(points)
    triangles = np.array(faces, dtype=np.int64).reshape(-1, 3) % len(vertices)
    drawn = rasterize(vertices, triangles, (31, 27), perspective=perspective)
    nearest, depth, _ = brute_force(vertices, triangles, (31, 27), perspective)
    assert np.array_equal(drawn.triangle >= 0, nearest >= 0)
    covered = nearest >= 0
    assert np.allclose(drawn.depth[covered], depth[covered], rtol=1e-4, atol=1e-4)
    # Where two triangles lie at (nearly) the same depth either may win; their depth, compared above, is the same.
    assert np.allclose(drawn.weights[covered].sum(axis=-1), 1.0, atol=1e-5)
    assert np.isinf(drawn.depth[~covered]).all() and (drawn.weights[~covered] == 0).all()


@given(st.integers(0, 10_000), st.booleans())
@settings(max_examples=8, deadline=None)
def test_a_triangulated_square_has_no_hole_and_no_pixel_twice(seed: int, on_pixels: bool) -> None:
    rng = np.random.default_rng(seed)
    inner = rng.uniform(0, 40, (40, 2))
    plane = np.unique(
        np.rint(np.vstack([inner, [[-3, -3], [-3, 43], [43, -3], [43, 43]]]) * (1 if on_pixels else 64)) / (1 if on_pixels else 64), axis=0
    )
    triangles = Delaunay(plane).simplices
    vertices = np.column_stack([plane, np.ones(len(plane))])
    assert (rasterize(vertices, triangles, (41, 41)).triangle >= 0).all(), "no hole"
    _, _, cover = brute_force(vertices, triangles.astype(np.int64), (41, 41), False)
    alone = sum((rasterize(vertices, one[None], (41, 41)).triangle >= 0).astype(int) for one in triangles)
    assert np.array_equal(alone, cover) and (cover == 1).all(), "no pixel twice"


def test_attributes_are_perspective_correct() -> None:
    # A floor running away from the camera: f = 20 pixels, camera at height 1, depths 1 to 10.
    world = np.array([[-1, 1, 1], [1, 1, 1], [-1, 1, 10], [1, 1, 10]], float)
    pixels = np.column_stack([20 + 20 * world[:, 0] / world[:, 2], 20 * world[:, 1] / world[:, 2], world[:, 2]])
    triangles = [[0, 1, 2], [1, 3, 2]]
    drawn = rasterize(pixels, triangles, (21, 41), perspective=True)
    depth = interpolate(drawn, triangles, world[:, 2:])[..., 0]
    rows = np.arange(3, 20)
    assert np.allclose(depth[rows, 20], 20.0 / rows, rtol=1e-3), "the row y shows the floor at depth f / y"
    assert np.allclose(drawn.depth[rows, 20], 20.0 / rows, rtol=1e-3)


def test_the_order_of_triangles_does_not_matter_and_runs_repeat() -> None:
    rng = np.random.default_rng(3)
    vertices = np.column_stack([rng.uniform(-5, 60, (200, 2)), rng.uniform(1, 9, 200)])
    triangles = rng.integers(0, 200, (300, 3))
    first, again = (rasterize(vertices, triangles, (50, 50)) for _ in range(2))
    assert np.array_equal(first.triangle, again.triangle) and np.array_equal(first.weights, again.weights)
    order = rng.permutation(300)
    shuffled = rasterize(vertices, triangles[order], (50, 50))
    assert np.array_equal(np.where(shuffled.triangle >= 0, order[shuffled.triangle], -1), first.triangle)


def test_triangles_that_cannot_be_drawn_are_left_out() -> None:
    vertices = np.array([[0, 0, 1], [30, 0, 1], [0, 30, 1], [np.nan, 0, 1], [1e9, 0, 1], [15, 0, 1]], float)
    drawn = rasterize(vertices, [[0, 1, 3], [0, 4, 2], [0, 5, 1], [0, 1, 2]], (20, 20))
    assert set(np.unique(drawn.triangle)) <= {-1, 3}
    assert (rasterize(vertices, np.zeros((0, 3), int), (20, 20)).triangle == -1).all()


@pytest.mark.parametrize(("order", "shown"), [([0, 1, 2], True), ([0, 2, 1], False)])
def test_back_faces_are_culled_when_asked(order: list[int], shown: bool) -> None:
    vertices = np.array([[0, 0, 1], [18, 0, 1], [0, 18, 1]], float)
    assert bool((rasterize(vertices, [order], (20, 20), cull_back=True).triangle >= 0).any()) is shown


@given(st.lists(st.tuples(*[st.floats(-1.3e5, 1.3e5)] * 6), min_size=1, max_size=4))
@settings(max_examples=25, deadline=None)
def test_triangles_that_reach_as_far_as_any_are_exact_to_the_pixel(corners: list[tuple[float, ...]]) -> None:
    # Edge functions are then whole numbers of up to 2^52: nothing may be rounded.
    vertices = np.column_stack([np.array(corners).reshape(-1, 2), np.ones(3 * len(corners))])
    triangles = np.arange(len(vertices)).reshape(-1, 3)
    drawn = rasterize(vertices, triangles, (9, 11))
    nearest, _, _ = brute_force(vertices, triangles, (9, 11), False)
    assert np.array_equal(drawn.triangle >= 0, nearest >= 0)


def test_thin_triangles_between_whole_pixels_are_found_like_large_ones() -> None:
    # Every size of bounding box up to three pixels, where the small ones are asked pixel by pixel and the others row by row.
    rng = np.random.default_rng(7)
    for _ in range(40):
        start = rng.uniform(2, 20, (30, 1, 2))
        plane = (start + rng.uniform(-1.6, 1.6, (30, 3, 2))).reshape(-1, 2)
        vertices = np.column_stack([np.where(rng.random(plane.shape) < 0.3, np.rint(plane), plane), rng.uniform(1, 9, len(plane))])
        triangles = np.arange(len(vertices)).reshape(-1, 3)
        nearest, depth, _ = brute_force(vertices, triangles, (23, 23), False)
        drawn = rasterize(vertices, triangles, (23, 23))
        assert np.array_equal(drawn.triangle >= 0, nearest >= 0)
        assert np.allclose(drawn.depth[nearest >= 0], depth[nearest >= 0], rtol=1e-4)

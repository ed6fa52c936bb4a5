"""Alignment: the closed form against independent solvers, and points that determine nothing."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import least_squares

from frontalbench.errors import BadInput
from frontalbench.geometry import similarity
from frontalbench.geometry.similarity import ARCFACE_TEMPLATE, DegeneratePoints, align, apply, estimate_similarity, invert

Points = npt.NDArray[np.float64]
clouds = st.integers(3, 9).flatmap(
    lambda n: st.tuples(*(arrays(np.float64, (n, 2), elements=st.floats(-500, 500, width=32)) for _ in range(2)))
)


def _spread(points: Points) -> float:
    return float(np.sqrt(((points - points.mean(axis=0)) ** 2).sum(axis=1).mean()))


def _residual(matrix: Points, source: Points, target: Points) -> float:
    return float(((apply(matrix, source) - target) ** 2).sum())


@settings(max_examples=60, deadline=None)
@given(clouds)
def test_no_numerical_solver_finds_a_better_similarity(pair: tuple[Points, Points]) -> None:
    source, target = pair
    assume(_spread(source) > 1 and _spread(target) > 1)
    try:
        matrix = estimate_similarity(source, target)
    except DegeneratePoints:
        assume(False)
    centre = source.mean(axis=0)

    def error(x: Points) -> Points:
        a, b, tx, ty = x
        moved = (source - centre) @ np.array([[a, b], [-b, a]]) + (tx, ty)
        return (moved - target).ravel()

    solved = least_squares(error, np.array([1.0, 0.1, *target.mean(axis=0)]), xtol=1e-14, ftol=1e-14, gtol=1e-14)
    assert _residual(matrix, source, target) <= 2 * solved.cost * (1 + 1e-9) + 1e-9
    a, b, tx, ty = solved.x
    numeric = np.array([[a, -b], [b, a]])
    numeric = np.column_stack([numeric, (tx, ty) - numeric @ centre])
    reach = 1 + np.abs(target).max()
    np.testing.assert_allclose(apply(matrix, source), apply(numeric, source), atol=1e-6 * reach)


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float64, (5, 2), elements=st.floats(-20, 20, width=32)),
    st.floats(0.05, 20),
    st.floats(-180, 180),
    st.tuples(*[st.floats(-900, 900)] * 2),
)
def test_agrees_with_scikit_image_on_faces(noise: Points, scale: float, degrees: float, shift: tuple[float, float]) -> None:
    # Template plus noise stays clear of mirrored arrangements, where Umeyama's sign cases and ours may pick different equal optima.
    from skimage.transform import SimilarityTransform

    angle = np.radians(degrees)
    rotation = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    source = (ARCFACE_TEMPLATE + 0.3 * noise) @ rotation.T + shift
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = SimilarityTransform()
        reference.estimate(source, ARCFACE_TEMPLATE)
    np.testing.assert_allclose(apply(estimate_similarity(source, ARCFACE_TEMPLATE), source), reference(source), atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.floats(0.01, 100), st.floats(-180, 180), st.floats(-1e4, 1e4), st.floats(-1e4, 1e4))
def test_a_known_similarity_is_found_again(scale: float, degrees: float, x: float, y: float) -> None:
    angle = np.radians(degrees)
    known = np.array([[scale * np.cos(angle), -scale * np.sin(angle), x], [scale * np.sin(angle), scale * np.cos(angle), y]])
    found = estimate_similarity(ARCFACE_TEMPLATE, apply(known, ARCFACE_TEMPLATE))
    np.testing.assert_allclose(found, known, atol=1e-7 * max(1.0, scale, abs(x), abs(y)))
    np.testing.assert_allclose(apply(invert(known), apply(known, ARCFACE_TEMPLATE)), ARCFACE_TEMPLATE, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(clouds)
def test_the_result_is_never_a_reflection(pair: tuple[Points, Points]) -> None:
    try:
        left = estimate_similarity(*pair)[:, :2]
    except DegeneratePoints:
        return
    assert np.linalg.det(left) > 0
    assert left[0, 0] == left[1, 1]
    assert left[0, 1] == -left[1, 0]


def test_mirrored_points_are_aligned_without_mirroring_the_image() -> None:
    mirrored = ARCFACE_TEMPLATE * (-1, 1) + (112, 0)
    matrix = estimate_similarity(mirrored, ARCFACE_TEMPLATE)
    assert np.linalg.det(matrix[:, :2]) > 0
    assert _residual(matrix, mirrored, ARCFACE_TEMPLATE) > 100


@pytest.mark.parametrize(
    "points",
    [
        np.full((5, 2), 40.0),
        np.full((5, 2), 1e7) + ARCFACE_TEMPLATE * 1e-4,
        np.full((5, 2), np.nan),
        np.where(np.eye(5, 2) > 0, np.inf, ARCFACE_TEMPLATE),
        ARCFACE_TEMPLATE * 1e-3,
    ],
    ids=["one place", "one place far away", "not a number", "infinite", "within a tenth of a pixel"],
)
def test_points_that_determine_no_alignment_are_an_error_of_their_own(points: Points) -> None:
    with pytest.raises(DegeneratePoints) as caught:
        align(np.zeros((50, 50, 3), np.uint8), points)
    assert "\n" not in str(caught.value)


def test_target_in_one_place_or_without_common_orientation_is_degenerate() -> None:
    with pytest.raises(DegeneratePoints, match="target"):
        estimate_similarity(ARCFACE_TEMPLATE, np.ones((5, 2)))
    square = np.array([[1, 0], [0, 1], [-1, 0], [0, -1]], float)
    with pytest.raises(DegeneratePoints, match="orientation"):
        estimate_similarity(square, square * (1, -1))


@pytest.mark.parametrize("shape", [(5, 3), (1, 2), (10,)])
def test_wrong_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(BadInput):
        estimate_similarity(np.ones(shape), np.ones(shape))


def test_an_image_that_is_aligned_already_stays_as_it_is() -> None:
    image = np.random.default_rng(0).integers(0, 256, (112, 112, 3), np.uint8)
    np.testing.assert_array_equal(align(image, ARCFACE_TEMPLATE), image)


def test_warp_is_bilinear_with_a_black_border_and_pixel_centres_at_integers() -> None:
    image = np.full((40, 40, 3), 200, np.uint8)
    ramp = np.zeros((200, 200, 3), np.uint8)
    ramp[:] = np.arange(200, dtype=np.uint8)[None, :, None]
    shifted = align(ramp, np.add(ARCFACE_TEMPLATE, (20.5, 0)))
    assert set(np.unique(np.abs(shifted[50, :, 0].astype(int) - (np.arange(112) + 20.5)))) == {0.5}
    corner = align(image, ARCFACE_TEMPLATE)
    assert corner[20, 20, 0] == 200
    assert corner[60, 60, 0] == 0


def test_size_scales_the_template() -> None:
    small = similarity.alignment_matrix(ARCFACE_TEMPLATE, 112)
    large = similarity.alignment_matrix(ARCFACE_TEMPLATE, 224)
    np.testing.assert_allclose(large, 2 * small, atol=1e-12)


@pytest.mark.parametrize("degrees", [0, 37, -120])
def test_a_turned_and_scaled_image_gives_the_same_crop(degrees: float) -> None:
    rng = np.random.default_rng(3)
    face = cv2.GaussianBlur(rng.integers(0, 256, (112, 112, 3), np.uint8), (0, 0), 6)
    matrix = np.add(cv2.getRotationMatrix2D((56, 56), degrees, 2.5), [[0, 0, 244], [0, 0, 244]])
    scene = cv2.warpAffine(face, matrix, (600, 600), flags=cv2.INTER_CUBIC)
    again = align(scene, apply(matrix, ARCFACE_TEMPLATE))
    inner = np.s_[8:-8, 8:-8]
    assert np.abs(again[inner].astype(int) - face[inner]).mean() < 1.5

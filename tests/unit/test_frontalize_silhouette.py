"""A fit that keeps to the silhouette: an ellipsoid of known form and pose, whose outline is known, in place of a face."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from frontalbench.frontalize import silhouette
from frontalbench.frontalize.foreground import Edge
from frontalbench.frontalize.silhouette import MODEL_CM, Form, Keeping, contour, crossings, ends_of, kept_to
from frontalbench.geometry.rotation import geodesic_degrees, matrix_from_angles
from frontalbench.landmarks.tddfa import DenseFit
from frontalbench.types import Float

SIDE, PER_CM = 300, 12.0
RADII = np.array([7.0, 10.0, 8.0])
POSE = matrix_from_angles(80.0, 5.0, 3.0)


def form() -> Form:
    """The front of an ellipsoid; each coefficient moves the surface along its radius by a smooth wave of its own, two millimetres to a deviation."""
    across, down = np.meshgrid(np.linspace(-1.45, 1.45, 41), np.linspace(-1.35, 1.35, 41))
    around = np.stack([np.sin(across) * np.cos(down), np.sin(down), -np.cos(across) * np.cos(down)], axis=-1).reshape(-1, 3)
    number = np.arange(41 * 41).reshape(41, 41)
    a, b, c, d = number[:-1, :-1].ravel(), number[:-1, 1:].ravel(), number[1:, :-1].ravel(), number[1:, 1:].ravel()
    triangles = np.concatenate([np.column_stack([a, c, b]), np.column_stack([b, c, d])])
    rng = np.random.default_rng(0)
    waves = [np.sin(around @ rng.normal(0.0, 2.0, 3) + rng.uniform(0.0, 6.0)) for _ in range(50)]
    moves = 2000.0 * np.stack([around * wave[:, None] for wave in waves], axis=-1)
    rows = np.concatenate([np.arange(len(around)), rng.choice(len(around), 68, replace=False)])
    mean = around * RADII / MODEL_CM
    ends = ends_of(mean * MODEL_CM, triangles, 0.7)
    moves = moves[rows].astype(np.float32)
    return Form(mean[rows], moves[..., :40], moves[..., 40:], np.ones(50), triangles, ends[rows])


FORM = form()


def fitted(rotation: Float, coefficients: Float, shift: tuple[float, float] = (0.0, 0.0), per_cm: float = PER_CM) -> DenseFit:
    model = FORM.vertices(coefficients)
    scale = per_cm * MODEL_CM
    vertices = scale * model @ rotation.T
    vertices[:, :2] += np.array([SIDE / 2, SIDE / 2]) + shift
    return DenseFit(vertices, model, rotation, scale)


def edge_around(fit: DenseFit, *, face: float = 1.0) -> Edge:
    """What a faultless parsing sees of ``fit``; the square is the photograph."""
    mask = np.zeros((SIDE, SIDE), np.uint8)
    for corners in np.rint(fit.vertices[FORM.triangles][..., :2] * 16).astype(np.int32):
        cv2.fillConvexPoly(mask, corners, 1, shift=4)
    person = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 1.0)
    return Edge(person * np.float32(face), person, np.ones((SIDE, SIDE), np.float32), np.eye(3)[:2])


TRUE = np.random.default_rng(4).normal(0.0, 0.6, 50)
ELSEWHERE = np.random.default_rng(5).normal(0.0, 0.6, 50)


@pytest.mark.parametrize(
    ("turned", "shift", "per_cm", "coefficients"),
    [
        ((0.0, 0.0, 0.0), (6.0, 0.0), PER_CM, TRUE),
        ((0.0, 0.0, 0.0), (-4.0, 3.0), 1.03 * PER_CM, TRUE),
        ((0.0, 0.0, 3.0), (4.0, 0.0), PER_CM, TRUE),
        ((0.0, 0.0, 0.0), (3.0, 0.0), PER_CM, ELSEWHERE),
    ],
)
def test_a_displaced_fit_comes_back_to_the_silhouette(
    turned: tuple[float, float, float], shift: tuple[float, float], per_cm: float, coefficients: Float
) -> None:
    true = fitted(POSE, TRUE)
    first = fitted(matrix_from_angles(*turned) @ POSE, coefficients, shift, per_cm)
    kept = kept_to(edge_around(true), FORM, first, coefficients, Keeping(points=1.0))
    assert kept.reason == "" and kept.count > 60
    assert kept.before > 0.12 and kept.after < 0.05, "cm"
    left = slice(60, -60), slice(0, SIDE // 2)  # the side that the face looks to
    wrong = [float((np.abs(edge_around(fit).person - edge_around(true).person)[left] > 0.5).sum()) for fit in (kept.fit, first)]
    assert wrong[0] < 0.3 * wrong[1], "pixels that only one of the silhouettes covers"
    assert geodesic_degrees(kept.fit.rotation @ kept.fit.rotation.T, np.eye(3)) < 1e-6


def test_a_fit_that_is_right_stays_where_it_is() -> None:
    true = fitted(POSE, TRUE)
    kept = kept_to(edge_around(true), FORM, true, TRUE, Keeping())
    assert kept.after <= kept.before < 0.05
    assert float(np.median(np.abs(kept.fit.vertices - true.vertices)[:, :2])) < 0.08 * PER_CM


@pytest.mark.parametrize("person", [0.0, 1.0])
def test_without_an_outline_the_first_fit_stays_and_says_why(person: float) -> None:
    first = fitted(POSE, TRUE)
    flat = np.full((SIDE, SIDE), person, np.float32)
    kept = kept_to(Edge(flat, flat, np.ones_like(flat), np.eye(3)[:2]), FORM, first, TRUE, Keeping())
    assert kept.fit is first and "0 points of the outline lie near an edge of the face, 30 are needed" in kept.reason
    assert np.isnan(kept.before) and kept.count == 0


def test_hair_in_front_of_the_background_is_no_outline_of_the_face() -> None:
    first = fitted(POSE, TRUE, (5.0, 0.0))
    assert kept_to(edge_around(first, face=0.3), FORM, first, TRUE, Keeping()).fit is first


def test_where_the_photograph_ends_is_no_outline() -> None:
    true = fitted(POSE, TRUE)
    edge = edge_around(true)
    first = fitted(POSE, TRUE, (5.0, 0.0))
    assert kept_to(edge, FORM, first, TRUE, Keeping()).fit is not first
    assert kept_to(replace(edge, inside=np.zeros_like(edge.inside)), FORM, first, TRUE, Keeping()).fit is first


def test_an_outline_that_turns_the_head_far_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    true, first = fitted(POSE, TRUE), fitted(matrix_from_angles(0.0, 0.0, 4.0) @ POSE, TRUE)
    assert kept_to(edge_around(true), FORM, first, TRUE, Keeping(points=1.0)).reason == ""
    monkeypatch.setattr(silhouette, "DEGREES", 1.0)
    kept = kept_to(edge_around(true), FORM, first, TRUE, Keeping(points=1.0))
    assert kept.fit is first and "the head would turn by" in kept.reason and kept.after == kept.before


def test_steps_that_bring_nothing_nearer_leave_the_first_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    first = fitted(POSE, TRUE, (5.0, 0.0))
    monkeypatch.setattr(silhouette, "_moved", lambda form, state, *rest: replace(state, shift=state.shift + 4.0))
    kept = kept_to(edge_around(fitted(POSE, TRUE)), FORM, first, TRUE, Keeping())
    assert kept.fit is first and "did not come nearer" in kept.reason


def test_the_step_knows_how_points_move_with_every_unknown() -> None:
    coefficients = np.random.default_rng(1).normal(0.0, 1.0, 50)
    form = replace(FORM, deviations=np.linspace(0.5, 2.0, 50))
    state = silhouette._State(POSE, PER_CM * MODEL_CM, np.array([3.0, -2.0]), coefficients)
    some = np.array([5, 400, 900])
    moves = silhouette._jacobian(form, state, form.vertices(coefficients)[some], form.shape[some], form.expression[some])
    place = state.placed(form.vertices(coefficients))[some, :2]
    for unknown in range(56):
        by = np.zeros(56)
        by[unknown] = 1e-4
        there = silhouette._State(
            cv2.Rodrigues(by[:3])[0] @ state.rotation,
            state.scale * np.exp(by[3]),
            state.shift + by[4:6] * PER_CM,
            coefficients + by[6:] * form.deviations,
        )
        moved = (there.placed(form.vertices(there.coefficients))[some, :2] - place) / PER_CM / 1e-4
        # A turn is about the camera's origin, before the shift.
        np.testing.assert_allclose(moves[..., unknown], moved, atol=0.02, err_msg=f"unknown {unknown}")


def test_the_outline_of_a_surface_has_normals_that_look_out_of_it() -> None:
    fit = fitted(np.eye(3), np.zeros(50))
    corners, shares, normals = contour(fit.vertices, FORM.triangles, PER_CM)
    places = (fit.vertices[corners] * shares[..., None]).sum(axis=1)[:, :2] - SIDE / 2
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-6)
    assert (np.einsum("mi,mi->m", normals, places) > 0.0).all()
    assert len(corners) > 300


def test_the_nearest_way_from_face_to_background_is_found_to_a_fraction_of_a_pixel() -> None:
    person = np.clip(120.3 - np.arange(SIDE, dtype=np.float32), -0.5, 0.5)[None].repeat(SIDE, axis=0) + 0.5
    edge = Edge(person, person, np.ones_like(person), np.eye(3)[:2])
    places = np.array([[115.0, 50.0], [125.0, 50.0], [60.0, 50.0]])
    away = crossings(edge, places, np.tile([1.0, 0.0], (3, 1)), PER_CM, 1.2)
    np.testing.assert_allclose(away[:2] * PER_CM, [5.3, -4.7], atol=0.3)
    assert np.isnan(away[2]), "farther than the search reaches"
    assert np.isnan(crossings(edge, places[:1], np.array([[-1.0, 0.0]]), PER_CM, 1.2)).all(), "from background into face is no outline"
    assert len(crossings(edge, np.zeros((0, 2)), np.zeros((0, 2)), PER_CM, 1.2)) == 0

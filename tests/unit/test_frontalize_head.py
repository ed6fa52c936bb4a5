"""The head around a face mesh: skirt, symmetry, normals, and drawing it, on a made-up face without any network."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from frontalbench.errors import BadConfig
from frontalbench.frontalize import render as drawing_of_heads
from frontalbench.frontalize.drawing import facing_camera, placement_of, settings
from frontalbench.frontalize.head import Head, Skirt, net_of, outline, posed, symmetrised, vertex_normals, with_skirt
from frontalbench.frontalize.render import Filling, Frame, render, render_seen
from frontalbench.geometry.rotation import angles_from_matrix, matrix_from_angles
from frontalbench.images import RGB
from frontalbench.landmarks.face_landmarker import HeadPose

Array = npt.NDArray[np.float64]
SIDE, UNIT = 180, 5.0
FRAME = Frame(SIDE, UNIT, ((SIDE - 1) / 2, (SIDE - 1) / 2))


def dome() -> tuple[Array, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """(points, triangles, mirror) of a symmetric dome of 15 x 18 cm that bulges towards the camera."""
    u, v = np.meshgrid(np.linspace(-1, 1, 13), np.linspace(-1, 1, 15))
    x, y = 7.5 * u * np.sqrt(1 - v**2 / 2), 9.0 * v * np.sqrt(1 - u**2 / 2)
    points = np.stack([x, y, -4.0 - 5.0 * np.cos(np.hypot(u, v))], axis=-1).reshape(-1, 3)
    grid = np.arange(13 * 15).reshape(15, 13)
    a, b, c, d = (part.reshape(-1) for part in (grid[:-1, :-1], grid[:-1, 1:], grid[1:, :-1], grid[1:, 1:]))
    triangles = np.concatenate([np.stack([a, b, c], axis=1), np.stack([b, d, c], axis=1)])
    return points, facing_camera(points, triangles.astype(np.int32)), grid[:, ::-1].reshape(-1)


def head_in(rotation: Array) -> Head:
    points, triangles, mirror = dome()
    rim = outline(triangles.astype(np.int32))
    return with_skirt(points, points @ rotation.T, rotation, net_of(triangles, rim, mirror), rim, Skirt())


def image() -> RGB:
    noise = np.random.default_rng(1).random((SIDE, SIDE, 3))
    return np.asarray(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 5), None, 0, 255, cv2.NORM_MINMAX), np.uint8)


def test_the_outline_is_one_loop_of_the_border() -> None:
    points, triangles, _ = dome()
    rim = outline(triangles.astype(np.int32))
    assert len(rim) == len(set(rim.tolist())) == 2 * (13 + 15) - 4
    assert np.linalg.norm(np.diff(points[rim], axis=0), axis=1).max() < 4.0, "neighbours on the loop are neighbours on the mesh"


def test_a_closed_mesh_or_one_with_two_borders_is_refused() -> None:
    tetrahedron = np.array([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]], np.int32)
    with pytest.raises(ValueError, match="no boundary"):
        outline(tetrahedron)
    with pytest.raises(ValueError, match="single loop"):
        outline(np.array([[0, 1, 2], [3, 4, 5]], np.int32))


@pytest.mark.parametrize("pose", [(0, 0, 0), (40, 0, 0), (-25, 15, 0)])
def test_a_head_drawn_in_the_pose_of_its_photograph_is_that_photograph(pose: tuple[float, float, float]) -> None:
    rotation = matrix_from_angles(*pose)
    drawn = render(head_in(rotation), rotation, image(), FRAME, Filling())
    difference = np.abs(drawn.astype(int) - image())[2:-2, 2:-2]
    assert np.percentile(difference, 99) <= 6 and difference.mean() < 1.0


def test_the_border_of_the_image_stands_still_while_the_face_turns() -> None:
    drawn = render(head_in(matrix_from_angles(40)), matrix_from_angles(0), image(), FRAME, Filling())
    frame = np.ones((SIDE, SIDE), bool)
    frame[10:-10, 10:-10] = False
    assert np.abs(drawn.astype(int) - image())[frame].mean() < 2.0
    assert np.abs(drawn.astype(int) - image())[60:120, 60:120].mean() > 10.0, "the middle did turn"


def test_the_hidden_half_is_filled_from_the_visible_one() -> None:
    rotation = matrix_from_angles(65)  # turned towards the left edge: the image-left half is hidden
    head = head_in(rotation)
    truth = image()
    truth = np.maximum(truth, truth[:, ::-1])  # a symmetric face
    photograph = np.zeros_like(truth)
    places = FRAME.to_pixels(posed(head.shape, head.still, rotation))
    del places
    # Photograph the symmetric face from the side: draw it in the pose from a frontal head with the same form.
    photograph = render(head_in(np.eye(3)), rotation, truth, FRAME, Filling(strength=0.0))
    filled = render(head, np.eye(3), photograph, FRAME, Filling(tone=0.5))
    unfilled = render(head, np.eye(3), photograph, FRAME, Filling(strength=0.0))
    hidden = (slice(65, 125), slice(58, 78))
    error = [np.abs(result.astype(int) - truth)[hidden].mean() for result in (filled, unfilled)]
    assert error[0] < 0.5 * error[1]


def test_in_steps_the_hidden_half_comes_from_the_mirror_image_as_at_once_because_what_was_made_up_is_remembered() -> None:
    truth = image()
    truth = np.maximum(truth, truth[:, ::-1])  # a symmetric face
    photograph = render(head_in(np.eye(3)), matrix_from_angles(65), truth, FRAME, Filling(strength=0.0))
    hidden = (slice(65, 125), slice(58, 78))

    def error(yaws: list[float], *, remembers: bool) -> tuple[float, Array]:
        drawn, known = photograph, None
        for before, now in itertools.pairwise([65.0, *yaws]):
            drawn, seen = render_seen(
                head_in(matrix_from_angles(before)), matrix_from_angles(now), drawn, FRAME, Filling(tone=0.5), known=known
            )
            known = seen if remembers else None
        return float(np.abs(drawn.astype(int) - truth)[hidden].mean()), np.asarray(seen, np.float64)

    steps = [58.5, 52.0, 45.5, 39.0, 32.5, 26.0, 19.5, 13.0, 6.5, 0.0]
    (jump, seen), (kept, seen_in_steps), (lost, taken_for_seen) = (
        error(yaws, remembers=remembers) for yaws, remembers in (([0.0], True), (steps, True), (steps, False))
    )
    assert kept < jump + 1.0 and lost > 4.0 * kept, (jump, kept, lost)
    assert seen_in_steps[hidden].mean() < seen[hidden].mean() + 0.1 < taken_for_seen[hidden].mean()


def test_an_image_that_is_all_photographed_is_drawn_as_a_photograph() -> None:
    head = head_in(matrix_from_angles(40, 10))
    plain = render(head, np.eye(3), image(), FRAME, Filling())
    assert np.array_equal(plain, render_seen(head, np.eye(3), image(), FRAME, Filling(), known=np.ones((SIDE, SIDE), np.float32))[0])


def test_rendering_repeats_to_the_byte() -> None:
    head = head_in(matrix_from_angles(40, 10))
    first, again = (render(head, np.eye(3), image(), FRAME, Filling()) for _ in range(2))
    assert np.array_equal(first, again)


@pytest.mark.parametrize(("grid", "every"), [(2, 1), (2, 2), (3, 3), (5, 1)])
def test_fields_of_fewer_places_are_enlarged_to_where_their_places_lie_whole_or_in_part(grid: int, every: int) -> None:
    side = 97
    fine = np.arange(-(-side // grid)) * grid + (grid - 1) / 2.0  # where the fine places lie, of which each ``every``-th is kept
    x, y = np.meshgrid(fine[::every], fine[::every])
    field = np.dstack([x, 2.0 * y]).astype(np.float32)
    whole = drawing_of_heads.filled_in(field, grid * every, side, grid * (every - 1) // 2)
    inner = np.arange(2 * grid * every, side - 3 * grid * every)  # beyond the last places a field goes on as it is
    assert np.allclose(
        whole[np.ix_(inner, inner)], np.dstack(np.meshgrid(inner, 2.0 * inner)), atol=0.51 if grid * (every - 1) % 2 else 1e-3
    )
    part = (slice(11, 60), slice(0, 97))
    assert np.allclose(drawing_of_heads.filled_in(field, grid * every, side, grid * (every - 1) // 2, part), whole[part], atol=1e-4)


def test_a_dense_head_judged_at_fewer_places_looks_as_it_does_judged_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    # 512 pixels for 26 cm are 20 a cm: places at 8 a cm, judged at 4.
    side, unit = 256, 20.0
    frame = Frame(side, unit, ((side - 1) / 2, (side - 1) / 2))
    points, triangles, mirror = dome()
    points, rotation, rim = points / 2.0, matrix_from_angles(40), outline(triangles.astype(np.int32))
    head = replace(with_skirt(points, points @ rotation.T, rotation, net_of(triangles, rim, mirror), rim, Skirt()), detail=8.0)
    photograph = cv2.resize(image(), (side, side))
    canvas = drawing_of_heads.prepared(head, np.eye(3), frame)
    assert (canvas.fine, canvas.grid, canvas.ahead) == (2, 4, 1)
    drawn = render(head, np.eye(3), photograph, frame, Filling())
    monkeypatch.setattr(drawing_of_heads, "JUDGED", 100.0)
    assert drawing_of_heads.prepared(head, np.eye(3), frame).grid == 2
    difference = np.abs(drawn.astype(int) - render(head, np.eye(3), photograph, frame, Filling()))
    assert 0 < difference.mean() < 0.6 and np.percentile(difference, 99) <= 10


def test_what_does_not_move_keeps_its_very_pixels() -> None:
    head, noise = head_in(matrix_from_angles(30)), np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    wide = Frame(SIDE, 4.2, ((SIDE - 1) / 2, (SIDE - 1) / 2))
    drawn = render(head, np.eye(3), noise, wide, Filling())
    still = np.ones((SIDE, SIDE), bool)
    still[18:162, 24:156] = False  # the head and what turns around it: 15 x 18 cm and up to 7 on each side
    assert np.array_equal(drawn[still], noise[still]) and not np.array_equal(drawn[90], noise[90])


@pytest.mark.parametrize("pixels_per_cm", [8.0, 20.0])
def test_holes_are_filled_with_what_is_around_them_and_nothing_else_changes(pixels_per_cm: float) -> None:
    y, x = np.mgrid[:120, :120]
    smooth = np.dstack([x, y, 120 + x - y]).astype(np.uint8)
    holes = np.zeros((24, 24), bool)
    holes[8:10, 11:14] = holes[20, 3] = True
    open_ = np.repeat(np.repeat(holes, 5, axis=0), 5, axis=1)
    broken = np.where(open_[..., None], np.uint8(255), smooth)
    filled = drawing_of_heads.inpainted(broken.copy(), holes, pixels_per_cm, 5)
    assert np.array_equal(filled[~open_], smooth[~open_])
    assert np.abs(filled.astype(int) - smooth)[open_].max() <= 14
    assert drawing_of_heads.inpainted(smooth, np.zeros((24, 24), bool), pixels_per_cm, 5) is smooth


def test_symmetry_keeps_what_was_seen_and_flips_what_was_not() -> None:
    points, _, mirror = dome()
    bent = points.copy()
    bent[:, 1] += 0.1 * np.maximum(points[:, 0], 0)  # one side hangs
    seen = np.where(points[:, 0] > 0, 1.0, 0.0)
    seen[points[:, 0] == 0] = 0.5
    whole = symmetrised(bent, mirror, seen, 1.0)
    assert np.array_equal(whole[points[:, 0] > 0], bent[points[:, 0] > 0])
    hidden = points[:, 0] < 0
    assert np.allclose(whole[hidden], (bent[mirror] * [-1, 1, 1])[hidden])
    assert np.array_equal(symmetrised(bent, mirror, seen, 0.0), bent)


def test_normals_of_a_face_look_at_the_camera() -> None:
    points, triangles, _ = dome()
    normals = vertex_normals(points, triangles)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1.0)
    assert normals[np.hypot(points[:, 0], points[:, 1]).argmin(), 2] == pytest.approx(-1.0, abs=0.02)


@pytest.mark.parametrize("pose", [(0, 0, 0), (50, 10, 20), (-88, 25, -10)])
def test_a_placement_stands_the_head_upright(pose: tuple[float, float, float]) -> None:
    rotation = matrix_from_angles(*pose)
    placement = placement_of(HeadPose(rotation, 9.0, np.array([200.0, 150.0, 0.0])))
    up = placement.rotation @ np.array([0.0, -1.0, 0.0])
    assert up[0] == pytest.approx(0.0, abs=1e-9) and up[1] < 0
    points = np.array([[1.0, 2.0, 3.0], [-4.0, 0.0, 1.0]])
    there = 9.0 * points @ rotation.T + [200.0, 150.0, 0.0]
    from frontalbench.frontalize.head import MIDDLE

    assert np.allclose(placement.to_head_frame(there), (points - MIDDLE) @ placement.rotation.T)
    if abs(pose[0]) < 80:
        assert float(angles_from_matrix(placement.rotation)[0]) == pytest.approx(pose[0], abs=10)


def test_a_head_without_size_is_refused() -> None:
    with pytest.raises(ValueError, match="no size"):
        placement_of(HeadPose(np.eye(3), 0.0, np.zeros(3)))


def test_settings_name_what_is_wrong_with_a_card() -> None:
    assert settings(Filling, {"strength": 1}, "mesh").strength == 1.0
    with pytest.raises(BadConfig, match="filling should hold only strength"):
        settings(Filling, {"strenght": 1}, "mesh")
    with pytest.raises(BadConfig, match="mesh"):
        settings(Filling, {"strength": "much"}, "mesh")

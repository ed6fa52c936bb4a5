"""Several photographs as one head, on a made-up face whose true colours are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from frontalbench import images, status, tables
from frontalbench.catalogue import cards
from frontalbench.detect.select import Face
from frontalbench.frontalize.base import View
from frontalbench.frontalize.drawing import Placement, draw
from frontalbench.frontalize.head import Head, Skirt, net_of, outline, with_skirt
from frontalbench.frontalize.multiview import Group, MultiviewFrontalizer, same_person, spread_over_poses
from frontalbench.frontalize.render import Filling
from frontalbench.frontalize.several import Mixing, Seen, draw_several
from frontalbench.geometry.rotation import matrix_from_angles
from frontalbench.images import RGB
from frontalbench.stages.views import frontalize_views, groups_of
from frontalbench.types import Float
from tests.unit.test_frontalize_head import dome

SIDE, UNIT = 200, 6.0
MIDDLE = np.array([(SIDE - 1) / 2, (SIDE - 1) / 2 + 6.0, 0.0])


def seen(yaw: float, *, left: int = 200, right: int = 80, light: int = 0) -> Seen:
    """A head whose side at the left edge of a frontal image is ``left`` grey and the other ``right``, photographed at ``yaw``; ``light`` is
    added."""
    points, triangles, mirror = dome()
    rotation = matrix_from_angles(yaw, 0.0)
    rim = outline(triangles.astype(np.int32))
    head = with_skirt(points, points @ rotation.T, rotation, net_of(triangles, rim, mirror), rim, Skirt())
    placement = Placement(MIDDLE, UNIT, 0.0, rotation)
    image = np.full((SIDE, SIDE, 3), 120, np.uint8)
    shown = points @ rotation.T
    facing = triangles[np.argsort(-shown[triangles][..., 2].mean(axis=1))]
    for triangle in facing:
        grey = (left if points[triangle, 0].mean() < 0 else right) + light
        corners = np.rint(shown[triangle, :2] * UNIT + MIDDLE[:2]).astype(np.int32)
        cv2.fillConvexPoly(image, corners, (grey, grey, grey))
    return Seen(image, head, placement)


def greys(image: RGB) -> tuple[float, float]:
    """Mean grey of a cheek on the left and on the right of a frontal image."""
    middle, row = image.shape[1] / 2, image.shape[0] // 2
    part = image[row - 10 : row + 10]
    return float(part[:, int(middle - 32) : int(middle - 22)].mean()), float(part[:, int(middle + 22) : int(middle + 32)].mean())


@pytest.mark.parametrize("pose", [(0.0, 0.0, 0.0), (60.0, 20.0, 10.0)])
def test_of_one_photograph_comes_what_it_gives_alone(pose: tuple[float, float, float]) -> None:
    one = seen(40.0)
    alone = draw(one.image, one.head, one.placement, pose, Filling())
    several = draw_several([one], pose, Filling(), Mixing())
    np.testing.assert_allclose(several.image.astype(int), alone.image.astype(int), atol=1)


def test_each_side_comes_from_the_photograph_that_sees_it_and_not_from_a_mirror() -> None:
    # Turned to the left edge, a head shows its side at the right.
    both = draw_several([seen(50.0), seen(-50.0)], (0.0, 0.0, 0.0), Filling(), Mixing())
    left, right = greys(both.image)
    assert left > 150 and right < 130, (left, right)
    inner = tuple(slice(side // 2 - side // 10, side // 2 + side // 10) for side in both.mirrored.shape)
    assert float(both.mirrored[inner].max()) < 0.05


def test_a_side_that_no_photograph_shows_is_the_mirror_image() -> None:
    left, right = greys(draw_several([seen(80.0), seen(70.0)], (0.0, 0.0, 0.0), Filling(), Mixing()).image)
    assert abs(left - right) < 60, (left, right)


def test_another_light_is_brought_to_the_tone_of_the_base() -> None:
    grey = {"left": 140, "right": 140}
    made = draw_several([seen(20.0, **grey), seen(-45.0, **grey, light=50)], (0.0, 0.0, 0.0), Filling(), Mixing())
    left, right = greys(made.image)
    assert made.base == 0
    assert abs(left - right) < 15, (left, right)


def test_the_surroundings_are_those_of_the_photograph_nearest_to_the_wanted_pose() -> None:
    other = seen(-50.0)
    other.image[:40] = 255
    made = draw_several([seen(20.0), other], (0.0, 0.0, 0.0), Filling(), Mixing())
    assert made.base == 0
    assert abs(float(made.image[:8].mean()) - 120.0) < 4.0


def test_shares_of_all_photographs_add_up_to_one_and_it_repeats_to_the_byte() -> None:
    views = [seen(45.0), seen(-10.0), seen(-60.0)]
    first, second = (draw_several(views, (5.0, 0.0, 0.0), Filling(), Mixing()) for _ in range(2))
    np.testing.assert_allclose(first.shares.sum(axis=0), 1.0, atol=1e-5)
    assert first.image.tobytes() == second.image.tobytes()


def test_no_photograph_is_no_image() -> None:
    with pytest.raises(ValueError, match="no view"):
        draw_several([], (0.0, 0.0, 0.0), Filling(), Mixing())


def test_one_stranger_among_photographs_of_a_person_is_found_and_of_two_nobody_is_believed() -> None:
    a, b = np.eye(8)[0], np.eye(8)[1]
    alike, best = same_person(np.stack([a, a, b, a]), 0.3)
    assert alike.tolist() == [True, True, False, True] and best[2] == 0.0
    assert same_person(np.stack([a, b]), 0.3)[0].tolist() == [False, False]


def test_two_profiles_that_look_unlike_are_one_person_where_a_view_between_them_links_them() -> None:
    left, right = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0])
    between = (left + right) / np.sqrt(2)
    assert same_person(np.stack([left, between, right]), 0.5)[0].all()


def test_of_hundreds_of_frames_those_are_taken_that_spread_over_the_poses() -> None:
    poses = np.column_stack([np.linspace(-60, 60, 241), np.zeros(241)])
    taken = spread_over_poses(poses, np.zeros(2), 5)
    assert sorted(np.rint(poses[taken, 0]).tolist()) == [-60, -30, 0, 30, 60]
    assert spread_over_poses(poses[:3], np.zeros(2), 5) == [0, 1, 2]


@dataclass
class Fitter:
    """Knows the heads of the images that it was given; another image has none."""

    views: Sequence[Seen]
    filling: Filling = field(default_factory=Filling)

    def placed(self, view: View) -> tuple[Head, Placement]:
        for one in self.views:
            if np.array_equal(one.image, view.image):
                return one.head, one.placement
        raise ValueError("no head")


FACE = Face(
    np.array([50, 40, 150, 170], np.float32), 0.9, np.array([[75, 90], [125, 90], [100, 115], [80, 140], [120, 140]], np.float32), 1
)


def model(views: Sequence[Seen], embeddings: Float | None = None) -> MultiviewFrontalizer:
    return MultiviewFrontalizer(
        "toy", Fitter(views), None if embeddings is None else lambda crops: embeddings[: len(crops)], Group(), Mixing()
    )


def test_every_photograph_gets_the_one_image_and_only_the_base_has_a_place_in_it() -> None:
    views = [seen(50.0), seen(-40.0)]
    made = model(views).together([View(one.image, FACE) for one in views])
    assert [one.status for one in made] == ["ok", "ok"]
    assert made[0].image is not None and np.array_equal(made[0].image, made[1].image)
    assert [one.place is not None for one in made] == [False, True]


def test_a_photograph_alone_is_too_few_and_one_that_fails_does_not_count() -> None:
    one = seen(30.0)
    (alone,) = model([one]).frontalize([View(one.image, FACE)])
    assert alone.status == status.TOO_FEW_VIEWS and "2 are needed" in alone.detail
    two = model([one]).together([View(one.image, FACE), View(seen(10.0).image, None)])
    assert [made.status for made in two] == [status.TOO_FEW_VIEWS, status.NO_FACE]


def test_a_stranger_s_photograph_is_a_row_and_the_others_go_on() -> None:
    views = [seen(50.0), seen(-40.0), seen(0.0, left=90)]
    made = model(views, np.eye(3)[[0, 0, 1]]).together([View(one.image, FACE) for one in views])
    assert [one.status for one in made] == ["ok", "ok", status.VIEWS_DISAGREE]
    assert "similarity 0.00" in made[2].detail


def test_both_statuses_count_as_failures_to_acquire() -> None:
    assert {status.TOO_FEW_VIEWS, status.VIEWS_DISAGREE} <= status.FAILURE_TO_ACQUIRE & status.ALL


def shard(folder: Path, views: Sequence[Seen]) -> tuple[Path, Path]:
    """Two sessions of one person (first two views, next two), a reference, and another person's single photograph."""
    names = [("p/a1", "p", "a", "probe"), ("p/a2", "p", "a", "probe"), ("p/b1", "p", "b", "probe"), ("p/b2", "p", "b", "probe")]
    names += [("p/front", "p", "a", "reference"), ("q/1", "q", "a", "probe")]
    with tables.Writer(folder / "images.parquet", tables.IMAGES, {}) as writer:
        for (name, person, session, role), view in zip(names, views, strict=True):
            row = {"image_id": name, "identity": person, "subject": person, "sequence": session, "role": role, "source": name}
            writer.add([{**row, "sha256": name, "status": "ok", "detail": "", "pose_source": "", "image": images.encode_png(view.image)}])
    with tables.Writer(folder / "faces.parquet", tables.CROPS, {}) as writer:
        for name, person, _, role in names:
            face = {"score": 0.9, "n_faces": 1, "box": FACE.box.tolist(), "points": FACE.points.reshape(-1).tolist()}
            writer.add([{"image_id": name, "identity": person, "role": role, "status": "ok", "detail": "", **face}])
    return folder / "images.parquet", folder / "faces.parquet"


def test_a_shard_is_turned_session_by_session_without_its_references(tmp_path: Path) -> None:
    views = [seen(50.0), seen(-40.0), seen(50.0, left=180), seen(-40.0, left=180), seen(0.0), seen(20.0)]
    images, faces = shard(tmp_path, views)
    assert groups_of(images)["p/b1"] == ("p", "b") and "p/front" not in groups_of(images)
    card = cards.find("frontalizer", "multiview_tddfa")
    counts = frontalize_views(images, faces, tmp_path / "out.parquet", card, lambda: model(views))
    assert counts == {"ok": 4, "not_used": 1, "too_few_views": 1}
    rows = {row["image_id"]: row for row in tables.read(tmp_path / "out.parquet", tables.FRONTALS).to_pylist()}
    assert rows["p/a1"]["image"] == rows["p/a2"]["image"] != rows["p/b1"]["image"] == rows["p/b2"]["image"]
    assert list(rows) == ["p/a1", "p/a2", "p/b1", "p/b2", "p/front", "q/1"]

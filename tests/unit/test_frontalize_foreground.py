"""Colours of the person alone: a made-up brown head before a green wall, its silhouette known, drawn with a fit and a parsing that lie beside it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from frontalbench.frontalize.drawing import Drawing, Placement, draw, placement_of
from frontalbench.frontalize.foreground import Edge, Foreground, carried, person_of, shares
from frontalbench.frontalize.head import Head
from frontalbench.frontalize.render import Filling
from frontalbench.geometry.masks import Mask
from frontalbench.geometry.raster import rasterize
from frontalbench.geometry.rotation import matrix_from_angles
from frontalbench.images import RGB
from frontalbench.landmarks.face_landmarker import HeadPose
from frontalbench.types import Float
from tests.unit.test_frontalize_head import head_in

SIDE, PER_CM = 320, 9.0
BROWN, GREEN = np.array([160, 110, 90]), np.array([20, 230, 40])
SQUARE = np.eye(3)[:2]
"""The parsed square is the photograph."""


def turned(yaw: float, beside: float = 0.0) -> tuple[Head, Placement, Mask]:
    """A head at ``yaw``, fitted ``beside`` cm too far towards where it looks; its placement; where it truly is."""
    rotation = matrix_from_angles(yaw, 0.0, 0.0)
    placement = placement_of(HeadPose(rotation, PER_CM, np.array([SIDE / 2, SIDE / 2, 0.0])))
    head = head_in(rotation)
    at = head.source * PER_CM + placement.middle
    # All that turns, skirt and all, is the head.
    triangles = head.triangles[(head.still[head.triangles] < 0.2).all(axis=1)]
    true = (rasterize(at, triangles, (SIDE, SIDE)).triangle >= 0).astype(np.float32)
    front = float(np.sign((rotation @ [0.0, 0.0, -1.0])[0]))
    return replace(head, source=head.source + np.array([front * beside, 0.0, 0.0])), placement, true


def seen_by_a_parsing(true: Mask, beyond: float = 0.0) -> Edge:
    """A parsing that ends ``beyond`` cm outside of the person."""
    size = 2 * round(beyond * PER_CM) + 1
    person = cv2.GaussianBlur(cv2.dilate(true, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))), (0, 0), 1.0)
    return Edge(person, person, np.ones_like(person), SQUARE)


def photograph(true: Mask, behind: Float = GREEN) -> RGB:
    """Brown before the wall, mixed at the edge as a camera does, with light from above."""
    share = cv2.GaussianBlur(true, (0, 0), 0.8)[..., None]
    light = np.linspace(1.1, 0.9, SIDE)[:, None, None]
    return np.clip(np.rint(share * BROWN * light + (1.0 - share) * behind), 0, 255).astype(np.uint8)


def greenness(drawing: Drawing) -> Float:
    """How much more green than red the middle of the drawn face is, (H, W)."""
    unit = drawing.frame.pixels_per_cm
    column, row = (round(value) for value in drawing.frame.middle)
    face = drawing.image[row - int(8 * unit) : row + int(8 * unit), column - int(6 * unit) : column + int(6 * unit)].astype(float)
    return np.asarray(face[..., 1] - face[..., 0])


@pytest.mark.parametrize("yaw", [75.0, 82.0, 90.0])
def test_no_pixel_of_the_background_reaches_the_drawn_face(yaw: float) -> None:
    head, placement, true = turned(yaw, beside=0.4)
    image, edge = photograph(true), seen_by_a_parsing(true, beyond=0.2)
    plain = draw(image, head, placement, (0.0, 0.0, 0.0), Filling(spill=0.0))
    assert (greenness(plain) > 40.0).mean() > 0.01, "a fit that lies beside the head paints the wall on the face"
    person, doubt = person_of(edge, head, placement, Foreground())
    assert doubt == ""
    clean = draw(image, head, placement, (0.0, 0.0, 0.0), Filling(), person)
    assert greenness(clean).max() < 0.0, "brown has less green than red everywhere"
    np.testing.assert_array_equal(clean.texture, plain.texture)


def test_what_was_background_does_not_count_as_seen() -> None:
    head, placement, true = turned(70.0, beside=0.4)
    person, _ = person_of(seen_by_a_parsing(true), head, placement, Foreground())
    plain = draw(photograph(true), head, placement, (0.0, 0.0, 0.0), Filling())
    clean = draw(photograph(true), head, placement, (0.0, 0.0, 0.0), Filling(), person)
    assert (clean.seen <= plain.seen + 1e-6).all() and clean.seen.sum() < plain.seen.sum()


def test_a_face_without_background_in_reach_is_drawn_as_without_looking_for_it() -> None:
    head, placement, true = turned(50.0)
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    person, _ = person_of(seen_by_a_parsing(np.ones_like(true)), head, placement, Foreground())
    for target in ((0.0, 0.0, 0.0), (20.0, 5.0, 0.0)):
        one, other = (draw(noise, head, placement, target, Filling(), asked) for asked in (None, person))
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.seen, other.seen)


def test_a_parsing_that_calls_the_face_background_is_not_believed() -> None:
    head, placement, true = turned(50.0)
    person, doubt = person_of(seen_by_a_parsing(0.0 * true), head, placement, Foreground())
    assert person is None and doubt == "the parsing calls 100% of the face background and is not believed"
    assert person_of(seen_by_a_parsing(true), head, placement, Foreground())[0] is not None


def test_a_face_outside_of_the_photograph_is_no_reason_to_doubt_the_parsing() -> None:
    head, placement, true = turned(50.0)
    edge = seen_by_a_parsing(true)
    half = edge.inside * (np.arange(SIDE) < SIDE // 2)
    assert person_of(replace(edge, inside=half, person=edge.person * half), head, placement, Foreground())[1] == ""


def test_near_the_parsing_s_edge_the_colours_decide() -> None:
    _, _, true = turned(70.0)
    for beyond in (0.0, 0.2, 0.4):
        share = shares(seen_by_a_parsing(true, beyond), photograph(true), SQUARE, PER_CM, Foreground())
        assert share[cv2.dilate(true, np.ones((3, 3))) == 0.0].max() == 0.0, "no pixel with background in it"
        assert share[cv2.erode(true, np.ones((9, 9))) == 1.0].min() == 1.0, "nothing of the person is given away but its rim"


def test_where_both_sides_have_one_colour_the_parsing_decides_alone() -> None:
    _, _, true = turned(70.0)
    edge = seen_by_a_parsing(true, 0.2)
    share = shares(edge, photograph(true, BROWN), SQUARE, PER_CM, Foreground(rim=0.0))
    assert share[edge.person > 0.8].min() == 1.0 and share[edge.person < 0.4].max() == 0.0


def test_beyond_the_photograph_nothing_counts_as_background() -> None:
    _, _, true = turned(70.0)
    edge = seen_by_a_parsing(0.0 * true)
    share = shares(replace(edge, inside=0.0 * true), photograph(true), SQUARE, PER_CM, Foreground())
    assert share.min() == 1.0


def test_carried_colours_are_the_person_s_everywhere_and_leave_the_person_alone() -> None:
    _, _, true = turned(70.0)
    image = photograph(true)
    share = cv2.erode(true, np.ones((5, 5)))
    made = carried(image, share)
    assert made is not None
    np.testing.assert_array_equal(made[share == 1.0], image[share == 1.0])
    assert (made[..., 1].astype(int) < made[..., 0]).all(), "no green anywhere"
    assert carried(image, np.ones_like(true)) is None, "nothing is to be carried on"
    assert carried(image, 0.5 * true) is None, "nothing is surely the person's"


def test_points_find_back_to_the_photograph() -> None:
    placement = Placement(np.array([30.0, 40.0, 5.0]), 7.0, 25.0, np.eye(3))
    points = np.random.default_rng(0).normal(0.0, 50.0, (20, 3))
    np.testing.assert_allclose(placement.to_photograph(placement.to_head_frame(points)), points, atol=1e-9)


def test_nothing_near_a_pixel_with_background_in_it_is_believed() -> None:
    _, _, true = turned(70.0)
    narrow, wide = (shares(seen_by_a_parsing(true), photograph(true), SQUARE, PER_CM, Foreground(rim=rim)) for rim in (0.0, 0.3))
    away = cv2.distanceTransform((narrow > 0.0).astype(np.uint8), cv2.DIST_L2, 5) / PER_CM
    assert wide[away < 0.25].max() < 1.0 and float((wide[away > 0.45] == 1.0).mean()) > 0.99


def test_where_the_background_is_known_the_outline_is_not_searched_for_it_too() -> None:
    head, placement, true = turned(80.0, beside=0.4)
    person, _ = person_of(seen_by_a_parsing(true), head, placement, Foreground())
    one, other = (draw(photograph(true), head, placement, (0.0, 0.0, 0.0), Filling(spill=spill), person).image for spill in (0.0, 0.6))
    np.testing.assert_array_equal(one, other)

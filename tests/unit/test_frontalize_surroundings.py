"""What is drawn beyond a photograph's border, and what is pasted back into it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from frontalbench import status
from frontalbench.frontalize import surroundings
from frontalbench.frontalize.base import FRONTAL, Outcome, Place, View
from frontalbench.frontalize.head import Frame, Head
from frontalbench.frontalize.pasting import Pasting
from frontalbench.geometry import crop
from frontalbench.geometry.masks import border_mask
from frontalbench.geometry.rotation import matrix_from_angles

NONE = np.zeros((0, 3), np.int64)


def head(half_width: float = 6.0, height: float = 9.0) -> Head:
    """A flat face, seen as it is."""
    points = np.array([[x, y, -8.0] for x in (-half_width, half_width) for y in (-height, height)])
    return Head(points, points, np.zeros(4), NONE, np.zeros((0, 3)), NONE, NONE)


def test_spread_keeps_what_is_known_and_takes_the_nearest_elsewhere() -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32] = (200, 40, 10)
    image[:, 32:] = (10, 40, 200)
    known = np.zeros((48, 64), np.float32)
    known[:, 5] = known[:, 60] = 1.0
    filled = surroundings.spread(image, known)
    assert np.array_equal(filled[4, 5], image[4, 5]) and np.array_equal(filled[4, 60], image[4, 60])
    assert filled[40, 3, 0] > 150 and filled[40, 62, 2] > 150
    faint = surroundings.spread(image, known * np.float32(1e-7))
    assert faint.min() > 9 and np.allclose(faint[..., 1], 40.0, atol=0.1), "faint weights do not darken"
    assert np.allclose(filled[..., 1], 40.0), "a colour that all share is everywhere"
    assert filled.min() >= 10 - 1e-3 and filled.max() <= 200 + 1e-3, "nothing but mixtures"


@given(yaw=st.floats(-90, 90), pitch=st.floats(-40, 40), lean=st.floats(-60, 60))
def test_the_skull_covers_just_the_ellipsoid_that_it_stands_for(yaw: float, pitch: float, lean: float) -> None:
    frame, rotation = Frame(140, 4.0, (70.0, 66.0), lean), matrix_from_angles(yaw, pitch)
    shape = np.random.default_rng(3).standard_normal((4000, 3))
    surface = surroundings.SKULL_MIDDLE + surroundings.SKULL_RADII * shape / np.linalg.norm(shape, axis=1, keepdims=True)
    pixels = np.rint(frame.to_pixels(surface @ rotation.T)[:, :2]).astype(int)
    within, clear, _ = surroundings.partition(head(), rotation, frame)
    covered = np.zeros((140, 140), bool)
    covered[pixels[:, 1], pixels[:, 0]] = True
    assert (within[covered] > 0.2).all()
    middle = frame.to_pixels((surroundings.SKULL_MIDDLE @ rotation.T)[None])[0, :2]
    far = np.hypot(*(np.argwhere(within > 0.9) - middle[::-1]).T).max() / frame.pixels_per_cm
    assert surroundings.SKULL_RADII.min() - 2 < far < surroundings.SKULL_RADII.max() + 1
    assert not (clear[within > 0.0] > 0.0).any()


def test_below_the_chin_follows_the_leaning_head() -> None:
    for lean, (x, y) in ((0.0, (100, 190)), (90.0, (10, 100)), (-90.0, (190, 100))):
        below = surroundings.partition(head(), np.eye(3), Frame(201, 8.0, (100.0, 100.0), lean))[2]
        assert below[y, x] == 1.0 and below[100, 100] == 0.0 and below[200 - y, 200 - x] == 0.0, lean


def photograph() -> np.ndarray:
    """A grey wall, a red shirt, a head with dark hair that the upper border cuts."""
    image = np.full((240, 240, 3), 150, np.uint8)
    image[190:] = (160, 20, 20)
    y, x = np.mgrid[:240, :240]
    inside = ((x - 120) / 72) ** 2 + ((y - 90) / 92) ** 2 < 1
    image[inside] = (40, 30, 20)
    return image


def test_beyond_the_border_hair_goes_on_in_the_head_and_the_wall_around_it() -> None:
    image = photograph()
    cut = crop.square_crop(image, (120.0, 100.0), 300.0, side=300)
    frame = Frame(300, 8.0, (150.0, 140.0))
    drawn, plate = surroundings.surrounded(cut, 240, 240, head(), np.eye(3), frame)
    assert plate is not None
    top = round(float(cut.to_crop([0, 0])[1]))
    inside = plate.inside > 0
    assert np.array_equal(drawn[inside], cut.image[inside]), "the photograph's own pixels stay"
    assert np.abs(drawn[2, 150].astype(int) - 150).max() < 30, "above the head there is wall again"
    assert drawn[top - 3, 150].max() < 70, "hair goes on a little"
    assert np.abs(drawn[100, 3].astype(int) - 150).max() < 20
    assert drawn[297, 150, 0] > 120 and drawn[297, 150, 1] < 60, "below there is shirt"
    assert np.abs(plate.behind[140, 150] - 150).max() < 30, "behind the head there is wall"


def test_a_crop_inside_of_its_photograph_is_not_touched() -> None:
    cut = crop.square_crop(photograph(), (120.0, 120.0), 200.0, roll=5.0)
    drawn, plate = surroundings.surrounded(cut, 240, 240, head(), np.eye(3), Frame(200, 8.0, (100.0, 100.0)))
    assert drawn is cut.image and plate is None


class Square:
    """Gives an unchanged square of the photograph, or of ``value``."""

    name, needs_face, takes_target_pose = "square", False, True

    def __init__(self, value: int | None = None, placed: bool = True) -> None:
        self.value, self.placed = value, placed

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        outcomes = []
        for view in views:
            cut = crop.square_crop(view.image, (90.0, 80.0), 120.0, roll=15.0)
            image = cut.image if self.value is None else np.full_like(cut.image, self.value)
            outcomes.append(Outcome(image, status.OK, place=Place(cut.matrix, border_mask(cut.side)) if self.placed else None))
        return [*outcomes[:-1], Outcome(None, status.NO_FACE, "no face")]


def test_pasting_an_unchanged_square_changes_nothing_visible_and_failures_pass() -> None:
    y, x = np.mgrid[:180, :220]
    image = np.stack([128 + 90 * np.sin(x / 15), 128 + 90 * np.cos(y / 11), 128 + 60 * np.sin((x + y) / 19)], axis=-1).astype(np.uint8)
    views = [View(image, None), View(image, None)]
    same, failed = Pasting(Square()).frontalize(views)
    assert same.image is not None and same.place is None and np.abs(same.image.astype(int) - image).max() <= 8
    assert (failed.status, failed.image) == (status.NO_FACE, None)
    other = Pasting(Square(value=0)).frontalize(views)[0].image
    assert other is not None and other[80, 90].max() <= 1 and np.array_equal(other[:, 180:], image[:, 180:])
    whole = Pasting(Square(placed=False)).frontalize(views)[0].image
    assert whole is not None and whole.shape == (120, 120, 3), "a result that is a whole photograph already stays as it is"

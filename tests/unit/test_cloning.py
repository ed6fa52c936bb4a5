"""A part of one image set into another without a seam."""

from __future__ import annotations

import numpy as np
import pytest

from frontalbench import status
from frontalbench.frontalize.base import FRONTAL, Outcome, Place, View
from frontalbench.frontalize.pasting import POISSON, SOFT, Pasting
from frontalbench.geometry.cloning import cloned
from frontalbench.images import RGB


def waves(level: int, size: int = 80) -> RGB:
    y, x = np.mgrid[:size, :size]
    return np.repeat((level + 20 * np.sin(x / 4.0) * np.cos(y / 5.0))[..., None], 3, axis=2).astype(np.uint8)


def square(low: int, high: int, size: int = 80) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[low:high, low:high] = True
    return mask


def test_a_part_that_is_only_lighter_disappears_into_its_surroundings() -> None:
    mask = square(20, 60)
    made = cloned(waves(170), waves(100), mask)
    # Same gradients, other level: Poisson's answer is the target itself.
    assert np.abs(made.astype(int) - waves(100)).max() <= 3
    np.testing.assert_array_equal(made[~square(19, 61)], waves(100)[~square(19, 61)])


def test_gradients_of_the_part_come_along() -> None:
    part = waves(150)
    part[38:42, 30:50] += 40
    made = cloned(part, waves(100), square(20, 60)).astype(int)
    assert (made[39:41, 32:48] - waves(100)[39:41, 32:48]).mean() > 25


@pytest.mark.parametrize("mask", [square(0, 0), square(30, 40)])
def test_a_mask_of_at_most_ten_pixels_changes_nothing(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(cloned(waves(170), waves(100), mask), waves(100))


def test_a_mask_that_reaches_the_edge_is_no_trap() -> None:
    assert np.abs(cloned(waves(170), waves(100), square(0, 80)).astype(int) - waves(100)).max() <= 4


class Lighter:
    """The middle of the photograph, lighter than it was."""

    name, needs_face, takes_target_pose = "lighter", False, True

    def frontalize(self, views: list[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        place = Place(np.array([[1.0, 0.0, -20.0], [0.0, 1.0, -20.0]]), np.ones((40, 40), np.float32))
        lighter = [np.clip(view.image[20:60, 20:60].astype(int) + 60, 0, 255).astype(np.uint8) for view in views]
        return [Outcome(image, status.OK, "", 0.0, place) for image in lighter]


def test_a_head_goes_back_with_the_photographs_own_colours_where_that_is_asked_for() -> None:
    view = View(waves(100), None)
    soft, poisson = (Pasting(Lighter(), seam).frontalize([view])[0].image for seam in (SOFT, POISSON))  # type: ignore[arg-type]
    assert soft is not None and poisson is not None
    assert np.abs(soft[30:50, 30:50].astype(int) - view.image[30:50, 30:50]).mean() > 40
    assert np.abs(poisson.astype(int) - view.image).max() <= 6

"""The two frontalizers that need no model."""

from __future__ import annotations

import numpy as np
import pytest

from frontalbench import status
from frontalbench.catalogue import cards
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View

RNG = np.random.default_rng(5)
VIEWS = [View(RNG.integers(0, 256, (31, 47, 3), dtype=np.uint8), None), View(RNG.integers(0, 256, (1, 1, 3), dtype=np.uint8), None)]


@pytest.mark.parametrize("name", ["identity", "mirror"])
def test_a_control_needs_no_face_and_keeps_order_and_size(name: str) -> None:
    model = load_frontalizer(cards.find("frontalizer", name))
    outcomes = model.frontalize(VIEWS)
    assert not model.needs_face and model.name == name
    assert [outcome.status for outcome in outcomes] == [status.OK, status.OK]
    assert [outcome.image.shape for outcome in outcomes if outcome.image is not None] == [view.image.shape for view in VIEWS]


def test_identity_gives_the_same_pixels_in_an_array_of_its_own() -> None:
    (outcome, _) = load_frontalizer(cards.find("frontalizer", "identity")).frontalize(VIEWS)
    assert outcome.image is not None and np.array_equal(outcome.image, VIEWS[0].image)
    assert not np.shares_memory(outcome.image, VIEWS[0].image)


def test_mirror_twice_is_identity_and_once_is_not() -> None:
    model = load_frontalizer(cards.find("frontalizer", "mirror"))
    once = model.frontalize(VIEWS[:1])[0].image
    assert once is not None and np.array_equal(once[:, 0], VIEWS[0].image[:, -1])
    twice = model.frontalize([View(once, None)])[0].image
    assert twice is not None and np.array_equal(twice, VIEWS[0].image) and not np.array_equal(once, VIEWS[0].image)


@pytest.mark.parametrize("name", ["identity", "mirror"])
def test_a_control_refuses_another_target_pose(name: str) -> None:
    model = load_frontalizer(cards.find("frontalizer", name))
    assert not model.takes_target_pose
    with pytest.raises(ValueError, match="cannot turn"):
        model.frontalize(VIEWS, (10.0, 0.0, 0.0))

"""``stretch``: how much wider for which yaw, what stays, what is refused."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontalbench import status
from frontalbench.catalogue import cards
from frontalbench.detect.select import Face
from frontalbench.errors import BadConfig
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View
from frontalbench.frontalize.stretch import StretchFrontalizer
from frontalbench.images import RGB

IMAGE = np.random.default_rng(2).integers(0, 256, (40, 100, 3), dtype=np.uint8)
FACE = Face(np.array([10, 5, 60, 35], np.float32), 0.9, np.zeros((5, 2), np.float32), 1)


class Says:
    """A pose estimator that knows the yaw."""

    name = "says"

    def __init__(self, yaw: float) -> None:
        self.yaw = yaw

    def estimate(self, image: RGB, face: Face) -> tuple[float, float, float, float]:
        return self.yaw, 0.0, 0.0, 1.0


def stretched(yaw: float, **options: bool) -> RGB:
    (outcome,) = StretchFrontalizer("s", Says(yaw), strength=0.5, **options).frontalize([View(IMAGE, FACE)])
    assert outcome.status == status.OK and outcome.image is not None
    return outcome.image


@given(st.floats(-90, 90))
def test_wider_by_the_yaw_and_the_same_to_both_sides(yaw: float) -> None:
    assert stretched(yaw).shape == (40, round(100 * (1 + 0.5 * (1 - np.cos(np.radians(yaw))))), 3) == stretched(-yaw).shape


def test_a_frontal_face_stays_as_it_is_and_mirrored_is_the_flip_of_it() -> None:
    assert np.array_equal(stretched(0.0), IMAGE)
    assert np.array_equal(stretched(60.0, mirrored=True), stretched(60.0)[:, ::-1])


def test_no_face_is_an_outcome_and_another_target_is_refused() -> None:
    model = StretchFrontalizer("s", Says(0.0), strength=0.5)
    assert model.frontalize([View(IMAGE, None)])[0].status == status.NO_FACE
    with pytest.raises(ValueError, match="cannot turn"):
        model.frontalize([View(IMAGE, FACE)], (10.0, 0.0, 0.0))


def test_a_card_with_another_strength_is_refused() -> None:
    card = cards.find("frontalizer", "stretch")
    with pytest.raises(BadConfig, match="strength"):
        load_frontalizer(dataclasses.replace(card, params=MappingProxyType({"strength": 3.0})))

"""Schemes of landmarks: what is refused, which point is which, and derived points that meet those of an independent model on photographs."""

from __future__ import annotations

import numpy as np
import pytest

from frontalbench.errors import BadInput
from frontalbench.landmarks.base import _TO_IBUG68, SCHEMES, Landmarks

PARTS = ("right_eye", "left_eye", "nose_tip", "right_mouth", "left_mouth", "nose_bridge", "chin")


def some(scheme: str, columns: int = 2) -> Landmarks:
    return Landmarks(np.random.default_rng(0).uniform(0, 100, (SCHEMES[scheme].count, columns)), scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_index_of_a_scheme_is_one_of_its_points(scheme: str) -> None:
    found = SCHEMES[scheme]
    for part in PARTS:
        indices = getattr(found, part)
        assert all(0 <= index < found.count for index in indices), part
        assert indices or part in ("nose_bridge", "chin")
    if scheme in _TO_IBUG68:
        assert len(_TO_IBUG68[scheme]) == len(set(_TO_IBUG68[scheme])) == 68 and max(_TO_IBUG68[scheme]) < found.count


@pytest.mark.parametrize("scheme", sorted(set(SCHEMES) - {"five"}))
def test_five_points_are_the_means_of_their_parts_whichever_way_they_are_reached(scheme: str) -> None:
    given = some(scheme, 3)
    five = given.to("five")
    assert five.points.shape == (5, 3)
    np.testing.assert_allclose(five.flat, [given.part(name) for name in PARTS[:5]])
    if scheme in ("wflw98",):
        np.testing.assert_allclose(given.to("ibug68").part("nose_tip"), given.part("nose_tip"))


def test_what_cannot_be_derived_or_is_no_set_of_points_is_refused() -> None:
    with pytest.raises(BadInput, match="five cannot be turned into ibug68"):
        some("five").to("ibug68")
    with pytest.raises(BadInput, match="has no chin"):
        some("five").part("chin")
    with pytest.raises(BadInput, match="not known"):
        Landmarks(np.zeros((5, 2)), "dlib")
    with pytest.raises(BadInput, match="ibug68 has 68 points"):
        Landmarks(np.zeros((67, 2)), "ibug68")
    with pytest.raises(ValueError, match="not finite"):
        Landmarks(np.full((5, 2), np.nan), "five")

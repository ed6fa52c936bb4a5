"""Alignment that knows the yaw: moved points give the moved crop, and only for the images of a card that asks for it."""

from __future__ import annotations

import dataclasses
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from frontalbench.catalogue import cards
from frontalbench.detect import Detections
from frontalbench.detect.select import Face
from frontalbench.detect.yaw_alignment import YawAligned, aligned_for, change
from frontalbench.errors import BadConfig
from frontalbench.frontalize import load_frontalizer
from frontalbench.geometry.similarity import ARCFACE_TEMPLATE, alignment_matrix
from frontalbench.images import RGB

IMAGE = np.zeros((200, 200, 3), np.uint8)
POINTS = (1.3 * ARCFACE_TEMPLATE + [20.0, 5.0]).astype(np.float32)


class Finds:
    """A detector that finds one face, or none."""

    name = "finds"

    def __init__(self, *points: np.ndarray) -> None:
        self.points = points

    def detect(self, image: RGB) -> Detections:
        n = len(self.points)
        return Detections(np.zeros((n, 4), np.float32), np.ones(n, np.float32), np.reshape(self.points, (n, 5, 2)).astype(np.float32))

    def glance(self, image: RGB, longest: int) -> Detections:
        return Detections.none()


class Says:
    """A pose estimator that knows the yaw, or that fails."""

    name = "says"

    def __init__(self, yaw: float | None) -> None:
        self.yaw = yaw

    def estimate(self, image: RGB, face: Face) -> tuple[float, float, float, float]:
        if self.yaw is None:
            raise ValueError("no pose")
        return self.yaw, 0.0, 0.0, 1.0


@given(st.floats(-90, 90), st.floats(-10, 10), st.floats(0.8, 1.3), st.floats(-40, 40))
def test_the_crop_of_moved_points_is_the_moved_crop(yaw: float, ahead: float, nearer: float, tilt: float) -> None:
    angle = np.radians(tilt)
    points = POINTS @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    found = YawAligned(Finds(points), Says(yaw), ahead=ahead, nearer=nearer).detect(IMAGE)
    step = change(ahead * np.sin(np.radians(yaw)), 1.0 + (nearer - 1.0) * (1.0 - np.cos(np.radians(yaw))))
    wanted = np.vstack([step, [0, 0, 1]]) @ np.vstack([alignment_matrix(points), [0, 0, 1]])
    np.testing.assert_allclose(alignment_matrix(found.points[0]), wanted[:2], atol=1e-3)


def test_what_looks_left_moves_right_and_a_frontal_face_stays() -> None:
    def shift(yaw: float) -> float:
        found = YawAligned(Finds(POINTS), Says(yaw), ahead=4.0, nearer=1.0).detect(IMAGE)
        return float((alignment_matrix(found.points[0]) - alignment_matrix(POINTS))[0, 2])

    assert shift(90.0) == pytest.approx(4.0, abs=1e-3) and shift(-90.0) == pytest.approx(-4.0, abs=1e-3) and shift(0.0) == 0.0


def test_without_a_pose_points_stay_and_without_a_face_nothing_is_found() -> None:
    assert np.array_equal(YawAligned(Finds(POINTS), Says(None), ahead=4.0, nearer=1.1).detect(IMAGE).points[0], POINTS)
    assert len(YawAligned(Finds(), Says(None), ahead=4.0, nearer=1.1).detect(IMAGE)) == 0


def test_cards_that_ask_for_nothing_keep_their_detector_and_wrong_ones_are_refused() -> None:
    detector, card = Finds(POINTS), cards.find("frontalizer", "mirror_ahead")
    assert aligned_for(cards.find("frontalizer", "mirror"), detector) is detector
    for wrong in ({"ahead": 2}, {"ahead": True, "nearer": 1.0}, 3):
        with pytest.raises(BadConfig, match="ahead: pixels"):
            load_frontalizer(dataclasses.replace(card, params=MappingProxyType({"alignment": wrong})))


def test_only_its_own_cells_depend_on_it() -> None:
    from frontalbench.plan.plan import Plan

    plan = Plan(
        {
            "datasets": [{"name": "synthetic"}],
            "frontalizers": [{"name": "mirror"}, {"name": "mirror_ahead"}],
            "detectors": ["scrfd_500m"],
            "backbones": ["w600k_mbf"],
            "enhancements": ["none"],
        }
    )
    for other in ("original", "mirror.none"):
        assert plan.cards.aligning(other) == () and plan.cards.alignment_receipts(other) == []
    assert plan.cards.aligning("mirror_ahead.unsharp") == (("frontalizer", "mirror_ahead"),)
    assert plan.cards.alignment_receipts("mirror_ahead.none") == plan.cards.receipt("frontalizer", "mirror_ahead") != []

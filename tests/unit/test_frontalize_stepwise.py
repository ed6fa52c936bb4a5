"""Turning in small steps: the way, what each step is given, and what becomes of a step that fails."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from frontalbench import status
from frontalbench.catalogue import cards
from frontalbench.detect.select import Face
from frontalbench.errors import BadConfig
from frontalbench.frontalize.base import FRONTAL, Outcome, Place, View
from frontalbench.frontalize.stepwise import Stepwise, in_steps, way
from frontalbench.geometry.rotation import geodesic_degrees, matrix_from_angles
from frontalbench.images import RGB
from frontalbench.plan.variant import Turn

FACE = Face(np.array([2.0, 2.0, 6.0, 6.0], np.float32), 0.9, np.zeros((5, 2), np.float32), 1)
IMAGE = np.zeros((8, 8, 3), np.uint8)


class Brighter:
    """Adds 10 to its image and moves it by a pixel; fails when asked for a yaw in ``fails``."""

    name, needs_face, takes_target_pose = "brighter", True, True

    def __init__(self, fails: Sequence[float] = ()) -> None:
        self.asked: list[tuple[float, float, float]] = []
        self.given: list[int] = []
        self._fails = fails

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        self.asked.append(target_pose)
        self.given.append(int(views[0].image.max()))
        if any(abs(target_pose[0] - yaw) < 1e-6 for yaw in self._fails):
            return [Outcome(None, status.MODEL_ERROR, "no fit", 1.0)]
        place = Place(np.array([[1.0, 0.0, -1.0], [0.0, 1.0, 0.0]]), np.ones((8, 8), np.float32))
        return [Outcome(view.image + np.uint8(10), status.OK, "", 1.0, place) for view in views]


def face_of(_: RGB) -> Face | None:
    return FACE


def in_steps_of(step: float, inner: Brighter, pose: tuple[float, float, float] = (45.0, 0.0, 0.0), find: object = face_of) -> Outcome:
    return Stepwise("brighter@15step", inner, step, lambda _: pose, find).frontalize([View(IMAGE, FACE)])[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pose", "step", "number"), [((45.0, 0.0, 0.0), 15.0, 3), ((-50.0, 12.0, 30.0), 10.0, 6), ((8.0, 0.0, 0.0), 15.0, 1)]
)
def test_the_way_goes_to_the_target_and_no_step_is_larger_than_asked(pose: tuple[float, float, float], step: float, number: int) -> None:
    poses = way(pose, FRONTAL, step)
    assert len(poses) == number and poses[-1] == FRONTAL
    apart = [float(geodesic_degrees(matrix_from_angles(*a), matrix_from_angles(*b))) for a, b in itertools.pairwise(poses)]
    assert all(one <= step + 1e-6 for one in apart) and np.ptp(apart or [0.0]) < 1e-6


def test_each_image_is_the_source_of_the_next_and_the_last_is_the_front() -> None:
    inner = Brighter()
    made = in_steps_of(15.0, inner)
    assert [round(pose[0], 6) for pose in inner.asked] == [30.0, 15.0, 0.0] and inner.given == [0, 10, 20]
    assert made.image is not None and made.image.max() == 30 and (made.seconds, made.detail) == (3.0, "3 steps")
    assert made.place is not None
    np.testing.assert_allclose(made.place.matrix, [[1.0, 0.0, -3.0], [0.0, 1.0, 0.0]])


def test_what_a_step_made_up_is_told_to_the_next_one() -> None:
    told: list[object] = []

    class Knows(Brighter):
        def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
            told.append(views[0].seen)
            return [replace(one, seen=np.full((8, 8), 0.5 ** len(told), np.float32)) for one in super().frontalize(views, target_pose)]

    made = in_steps_of(15.0, Knows())
    assert told[0] is None, "a photograph"
    assert [float(np.max(one)) for one in told[1:]] == [0.5, 0.25] and made.seen is not None  # type: ignore[call-overload]


def test_a_face_that_is_nearer_than_a_step_is_turned_at_once() -> None:
    inner = Brighter()
    assert in_steps_of(60.0, inner).detail == "1 step" and inner.asked == [FRONTAL]


def test_a_step_that_fails_and_an_image_without_a_face_say_which() -> None:
    failed = in_steps_of(15.0, Brighter(fails=[15.0]))
    assert (failed.status, failed.detail, failed.seconds) == (status.MODEL_ERROR, "step 2 of 3: no fit", 2.0)
    lost = in_steps_of(15.0, Brighter(), find=lambda _: None)
    assert (lost.status, lost.detail) == (status.NO_FACE, "step 1 of 3: no face was detected in what was drawn")

    def none(_: View) -> tuple[float, float, float]:
        raise ValueError("degenerate")

    blind = Stepwise("x", Brighter(), 15.0, none, face_of).frontalize([View(IMAGE, FACE), View(IMAGE, None)])
    assert [one.status for one in blind] == [status.MODEL_ERROR, status.NO_FACE] and "degenerate" in blind[0].detail


def test_a_card_is_asked_for_steps_by_its_name_and_needs_a_pose_and_a_detector() -> None:
    card, plain = cards.find("frontalizer", "tddfa@15step"), cards.find("frontalizer", "tddfa")
    assert (card.name, card.turn) == ("tddfa@15step", Turn(step=15.0))
    assert {cards.POSE, cards.FINDER} <= set(card.uses) and card.digest() not in (
        plain.digest(),
        cards.find("frontalizer", "tddfa@10step").digest(),
    )
    with pytest.raises(BadConfig, match="target_pose: frontal"):
        cards.find("frontalizer", "mirror@15step")
    inner = Brighter()
    inner.takes_target_pose = False  # type: ignore[misc]
    with pytest.raises(BadConfig, match="goes there at once; write brighter"):
        in_steps(inner, replace(plain, name="brighter@15step", turn=Turn(step=15.0)))

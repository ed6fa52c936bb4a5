"""A frontalizer that leaves a part of the angle: which pose it asks for, and what it refuses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from frontalbench import status
from frontalbench.catalogue import cards
from frontalbench.detect.select import Face
from frontalbench.errors import BadConfig
from frontalbench.frontalize.base import FRONTAL, Outcome, View
from frontalbench.frontalize.partly import Partly, leaving, target
from frontalbench.geometry.rotation import geodesic_degrees, matrix_from_angles
from frontalbench.plan.variant import Turn

IMAGE = np.zeros((8, 8, 3), np.uint8)
FACE = Face(np.array([1.0, 1.0, 6.0, 6.0], np.float32), np.zeros((5, 2), np.float32), 1.0, 1)


class Recorder:
    """Notes the target poses that it is asked for."""

    name, needs_face, takes_target_pose = "recorder", True, True

    def __init__(self) -> None:
        self.asked: list[tuple[float, float, float]] = []

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        self.asked += [target_pose] * len(views)
        return [Outcome(view.image, status.OK) for view in views]


def _upright(pose: tuple[float, float, float]) -> np.ndarray:
    whole = matrix_from_angles(*pose)
    tilt = np.degrees(np.arctan2(-whole[0, 1], whole[1, 1]))
    return matrix_from_angles(0.0, 0.0, -tilt) @ whole


@pytest.mark.parametrize("pose", [(40.0, 5.0, 0.0), (-80.0, 12.0, 20.0), (0.0, 0.0, 30.0)])
@pytest.mark.parametrize("share", [0.0, 0.25, 0.85, 1.0])
def test_the_target_lies_on_the_shortest_way_to_the_front(pose: tuple[float, float, float], share: float) -> None:
    asked, own = matrix_from_angles(*target(pose, Turn(share=share))), _upright(pose)
    whole = geodesic_degrees(np.eye(3), own)
    assert geodesic_degrees(np.eye(3), asked) == pytest.approx(share * whole, abs=1e-3)
    assert geodesic_degrees(asked, own) == pytest.approx((1 - share) * whole, abs=1e-3)


@pytest.mark.parametrize(("yaw", "left"), [(10.0, 10.0), (60.0, 20.0), (-60.0, -20.0)])
def test_a_yaw_in_degrees_is_the_most_that_stays(yaw: float, left: float) -> None:
    assert target((yaw, 0.0, 0.0), Turn(degrees=20.0)) == pytest.approx((left, 0.0, 0.0), abs=1e-6)


def test_every_face_is_turned_from_its_own_pose() -> None:
    inner, poses = Recorder(), iter([(40.0, 0.0, 0.0), (-60.0, 0.0, 0.0)])
    model = Partly("recorder@0.5", inner, Turn(share=0.5), lambda _: next(poses))
    outcomes = model.frontalize([View(IMAGE, FACE), View(IMAGE, None), View(IMAGE, FACE)])
    assert [one.status for one in outcomes] == [status.OK, status.NO_FACE, status.OK]
    np.testing.assert_allclose(inner.asked, [(20.0, 0.0, 0.0), (-30.0, 0.0, 0.0)], atol=1e-6)
    with pytest.raises(ValueError, match="takes no target pose"):
        model.frontalize([View(IMAGE, FACE)], (10.0, 0.0, 0.0))


def test_a_pose_that_is_not_known_is_a_counted_outcome() -> None:
    def pose(view: View) -> tuple[float, float, float]:
        raise ValueError("the fitted matrix holds no rotation")

    outcome = Partly("recorder@0.5", Recorder(), Turn(share=0.5), pose).frontalize([View(IMAGE, FACE)])[0]
    assert (outcome.status, outcome.image) == (status.MODEL_ERROR, None)
    assert outcome.detail == "how the face is turned is not known: the fitted matrix holds no rotation"


def test_a_card_is_found_with_what_stays_and_is_another_card_for_results() -> None:
    plain, partly, other = (cards.find("frontalizer", name) for name in ("tddfa", "tddfa@0.85", "tddfa@0.5"))
    assert (partly.name, partly.family, partly.turn) == ("tddfa@0.85", "tddfa", Turn(share=0.85))
    assert len({plain.digest(), partly.digest(), other.digest()}) == 3
    assert cards.POSE in partly.uses and plain.turn is None


@pytest.mark.parametrize(
    ("name", "why"),
    [("mirror@0.5", "its card's contract says target_pose: frontal"), ("hassner@0.9", "its card's contract says target_pose: frontal")],
)
def test_a_card_that_gives_frontal_views_alone_is_refused_in_one_line(name: str, why: str) -> None:
    with pytest.raises(BadConfig) as refused:
        cards.find("frontalizer", name)
    assert str(refused.value).startswith(f"frontalizer '{name}': {why}, so it leaves no part of the angle") and "\n" not in str(
        refused.value
    )


def test_a_model_that_turns_out_to_look_straight_ahead_is_refused_when_it_is_loaded() -> None:
    inner = Recorder()
    inner.takes_target_pose = False  # type: ignore[misc]
    card = replace(cards.find("frontalizer", "tddfa"), name="recorder@0.5", turn=Turn(share=0.5))
    with pytest.raises(BadConfig, match="recorder gives frontal views alone, so it leaves no part of the angle; write recorder"):
        leaving(inner, card)


def test_a_whole_photograph_keeps_all_that_lies_around_the_head_and_says_its_pose() -> None:
    from frontalbench.frontalize.base import Place
    from frontalbench.frontalize.whole import PosedWhole, Whole

    class Square(Recorder):
        def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
            super().frontalize(views, target_pose)
            white, mask = np.full((4, 4, 3), 255, np.uint8), np.ones((4, 4), np.float32)
            return [Outcome(white, status.OK, place=Place(np.array([[1.0, 0.0, -2.0], [0.0, 1.0, -2.0]]), mask)) for _ in views]

        def pose(self, view: View) -> tuple[float, float, float]:
            return (40.0, 0.0, 0.0)

    inner = Square()
    whole = PosedWhole("square_whole", inner, inner)
    image = whole.frontalize([View(IMAGE, FACE)], (20.0, 0.0, 0.0))[0].image
    assert image is not None and image.shape == IMAGE.shape and inner.asked == [(20.0, 0.0, 0.0)]
    assert image[:1].max() == 0 and image[3:5, 3:5].min() == 255
    assert (whole.name, whole.needs_face, whole.takes_target_pose, whole.pose(View(IMAGE, FACE))) == (
        "square_whole",
        True,
        True,
        (40.0, 0.0, 0.0),
    )
    assert not hasattr(Whole("other", Recorder()), "pose"), "one that cannot say its pose does not pretend to"
    card = cards.find("frontalizer", "tddfa_whole@0.85")
    assert (card.family, card.turn) == ("whole", Turn(share=0.85))

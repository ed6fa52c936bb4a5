"""Which of several faces is taken, and what a list of detections promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from frontalbench.detect import POLICIES, Detections, choose
from frontalbench.errors import BadConfig


def _faces(*boxes: tuple[float, float, float, float], scores: list[float] | None = None) -> Detections:
    values = np.array(boxes, np.float32).reshape(-1, 4)
    return Detections.sorted(values, np.array(scores or np.linspace(0.9, 0.6, len(values))), np.zeros((len(values), 5, 2)))


LARGE_AT_THE_BORDER, SMALL_IN_THE_MIDDLE, MIDDLING = (0, 0, 60, 80), (95, 95, 105, 105), (70, 70, 120, 130)


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        ("largest", LARGE_AT_THE_BORDER),
        ("central", SMALL_IN_THE_MIDDLE),
        ("largest_central", MIDDLING),
        ("highest_score", SMALL_IN_THE_MIDDLE),
    ],
)
def test_each_policy_takes_its_own_face(policy: str, wanted: tuple[int, ...]) -> None:
    faces = _faces(LARGE_AT_THE_BORDER, SMALL_IN_THE_MIDDLE, MIDDLING, scores=[0.8, 0.95, 0.6])
    face = choose(faces, (200, 200), policy)
    assert face is not None
    assert tuple(face.box) == wanted
    assert face.n_faces == 3


def test_no_face_is_none() -> None:
    assert choose(Detections.none(), (10, 10)) is None


def test_on_a_tie_the_higher_score_wins_under_every_policy() -> None:
    faces = _faces((10, 10, 30, 30), (10, 10, 30, 30), scores=[0.5, 0.7])
    for policy in POLICIES:
        face = choose(faces, (40, 40), policy)
        assert face is not None
        assert face.score == pytest.approx(0.7)


def test_an_unknown_policy_is_named_with_the_known_ones() -> None:
    with pytest.raises(BadConfig, match=r"'biggest'.*largest_central"):
        choose(Detections.none(), (10, 10), "biggest")


@given(arrays(np.float32, (6, 15), elements=st.floats(-10, 700, width=32) | st.just(np.nan) | st.just(np.inf)))
def test_detections_are_finite_and_sorted_whatever_a_network_gives(rows: np.ndarray) -> None:
    faces = Detections.sorted(rows[:, :4], rows[:, 4], rows[:, 5:])
    assert len(faces) == np.isfinite(rows).all(axis=1).sum()
    assert (np.diff(faces.scores) <= 0).all()
    for policy in POLICIES:
        assert (choose(faces, (640, 640), policy) is None) == (len(faces) == 0)


def test_rows_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match="do not belong together"):
        Detections(np.zeros((2, 4), np.float32), np.zeros(1, np.float32), np.zeros((2, 5, 2), np.float32))

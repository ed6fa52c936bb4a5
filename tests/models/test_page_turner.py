"""What the pose page does, on a synthetic person, without the page."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frontalbench import images
from frontalbench.errors import BadInput, WeightsMissing
from frontalbench.page.session import Photo, Session
from frontalbench.weights import store

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def session(weight: Callable[..., Path]) -> Session:
    for kind, name in (("detector", "scrfd_500m"), ("landmarks", "face_landmarker"), ("backbone", "w600k_mbf")):
        weight(kind, name)
    return Session(threads=2)


@pytest.fixture(scope="module")
def photo(session: Session, project_root: Path) -> Photo:
    return session.open((project_root / "demo/synthetic/synth_10/Angle/synth_10_l26.jpg").read_bytes())


def test_turning_shows_the_pose_that_was_asked_for_and_says_how_alike_it_is(session: Session, photo: Photo) -> None:
    front, left = session.turn(photo, "mesh"), session.turn(photo, "mesh", (30.0, 0.0, 0.0))

    def nose(image: np.ndarray) -> float:
        found = session.open(images.encode_png(image)).view.face
        assert found is not None
        eyes = found.points[:2, 0]
        return float((found.points[2, 0] - eyes.mean()) / (eyes[1] - eyes[0]))

    assert abs(nose(front.image)) < 0.1
    assert nose(left.image) < -0.3, "yaw above 0 turns towards the image's left edge"
    assert set(front.similarity) == set(session.backbones) and "w600k_mbf" in front.similarity
    value = front.similarity["w600k_mbf"]
    assert value is not None and 0.3 < value < 0.999
    assert front.note == "" and front.seconds > 0
    again = session.turn(photo, "mesh")
    assert np.array_equal(again.image, front.image) and again.similarity == front.similarity, "the frontal reset gives the same view"


def test_a_view_without_a_face_is_shown_with_a_note_and_no_number(session: Session, photo: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    blank = np.full((200, 200, 3), 128, np.uint8)
    model = session._frontalizer("mesh")
    outcome = model.frontalize([photo.view])[0]
    monkeypatch.setattr(model, "frontalize", lambda views, pose: [type(outcome)(blank, "ok")])
    turned = session.turn(photo, "mesh")
    assert set(turned.similarity.values()) == {None}
    assert "found no face" in turned.note


@pytest.mark.parametrize("data", [b"", b"plain text", b"\xff\xd8\xff nothing"])
def test_a_file_that_is_no_image_is_refused_in_one_line(session: Session, data: bytes) -> None:
    with pytest.raises(BadInput, match=r"^This file is not an image that can be read: .+$"):
        session.open(data)


def test_an_image_without_a_face_is_refused(session: Session) -> None:
    with pytest.raises(BadInput, match="No face was found"):
        session.open(images.encode_png(np.full((300, 300, 3), 90, np.uint8)))


def test_choices_leave_the_controls_out_and_mark_missing_weights(
    session: Session, photo: Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [name for _, name in session.choices()]
    assert {"mesh", "tddfa", "liveportrait", "facepoke"} <= set(names) and not {"identity", "mirror"} & set(names)
    session.turn(photo, "mesh")  # loaded, so that it goes on without its files
    monkeypatch.setenv(store.STORE_VARIABLE, str(tmp_path))
    monkeypatch.delenv("FRONTALBENCH_WEIGHTS", raising=False)
    assert ("liveportrait (weights missing)", "liveportrait") in session.choices()
    with pytest.raises(WeightsMissing, match="liveportrait"):
        session.turn(photo, "liveportrait")
    with pytest.raises(BadInput, match="only turns faces to the front"):
        session.turn(photo, "mirror", (10.0, 0.0, 0.0))


def test_the_time_holds_the_detector_and_the_moved_crop_of_mirror_ahead_is_the_one_compared(
    session: Session, photo: Photo, weight: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    weight("landmarks", "tddfa_mb1")
    monkeypatch.setattr("time.perf_counter", map(float, itertools.count()).__next__)  # a second for each look at the clock
    plain, ahead = session.turn(photo, "mirror"), session.turn(photo, "mirror_ahead")
    assert np.array_equal(plain.image, ahead.image) and plain.similarity["w600k_mbf"] != ahead.similarity["w600k_mbf"]
    assert ahead.seconds > plain.seconds, "detector and pose are counted"
    assert session.turn(photo, "mesh").seconds > photo.seconds

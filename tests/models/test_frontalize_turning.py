"""``mesh`` and ``tddfa`` with their real weights on real photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frontalbench import images, status
from frontalbench.catalogue import cards
from frontalbench.detect import Detector, Face, choose, load_detector
from frontalbench.errors import BadConfig
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import Frontalizer, View
from frontalbench.frontalize.mesh import MeshFrontalizer
from frontalbench.frontalize.pasting import Pasting
from frontalbench.geometry.similarity import apply
from frontalbench.images import RGB
from frontalbench.landmarks.face_landmarker import FaceLandmarker
from frontalbench.pose import load_pose
from frontalbench.pose.base import PoseEstimator

pytestmark = pytest.mark.weights

KINDS = ["mesh", "tddfa"]


@pytest.fixture(scope="module")
def detector(weight: Callable[..., Path]) -> Detector:
    weight("detector", "scrfd_500m")
    return load_detector(cards.find("detector", "scrfd_500m"))


@pytest.fixture(scope="module")
def pose(weight: Callable[..., Path]) -> PoseEstimator:
    for key in ("model", "statistics"):
        weight("landmarks", "tddfa_mb1", key)
    return load_pose(cards.find("pose", "tddfa_pose"))


@pytest.fixture(scope="module", params=KINDS)
def frontalizer(request: pytest.FixtureRequest, weight: Callable[..., Path]) -> Frontalizer:
    weight("landmarks", "face_landmarker")
    if request.param == "tddfa":
        for key in ("model", "basis", "statistics"):
            weight("landmarks", "tddfa_mb1", key)
    return load_frontalizer(cards.find("frontalizer", request.param))


def view_of(shared: Path, detector: Detector, name: str) -> View:
    image = images.decode((shared / "testdata" / "frll" / name).read_bytes())
    return View(image, choose(detector.detect(image), (image.shape[1], image.shape[0])))


def measured(detector: Detector, pose: PoseEstimator, image: RGB) -> np.ndarray:
    face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
    assert face is not None, "the detector finds the face again"
    return np.array(pose.estimate(image, face)[:3])


def test_three_quarter_views_come_out_frontal(frontalizer: Frontalizer, detector: Detector, pose: PoseEstimator, shared: Path) -> None:
    names = [
        f"neutral_{side}_3quarter/{person}_{number}.jpg" for person in ("002", "008") for side, number in (("left", "02"), ("right", "04"))
    ]
    views = [view_of(shared, detector, name) for name in names]
    outcomes = frontalizer.frontalize(views)
    for view, outcome in zip(views, outcomes, strict=True):
        assert outcome.status == status.OK and outcome.image is not None, outcome.detail
        assert outcome.image.dtype == np.uint8 and outcome.image.shape[0] == outcome.image.shape[1] <= 512
        assert abs(measured(detector, pose, view.image)[0]) > 30
        assert np.abs(measured(detector, pose, outcome.image)).max() < 8
        assert outcome.seconds > 0


def test_a_target_pose_is_met_with_its_signs(frontalizer: Frontalizer, detector: Detector, pose: PoseEstimator, shared: Path) -> None:
    view = view_of(shared, detector, "neutral_front/002_03.jpg")
    assert frontalizer.takes_target_pose
    for target in ((25.0, 0.0, 0.0), (-25.0, 0.0, 0.0), (0.0, 15.0, 0.0), (0.0, -15.0, 0.0), (0.0, 0.0, 20.0), (15.0, 5.0, -10.0)):
        (outcome,) = frontalizer.frontalize([view], target)
        assert outcome.image is not None
        assert np.abs(measured(detector, pose, outcome.image) - target).max() < 9, target


def test_one_bad_view_does_not_touch_the_others(frontalizer: Frontalizer, detector: Detector, shared: Path) -> None:
    good = view_of(shared, detector, "neutral_left_3quarter/002_02.jpg")
    assert good.face is not None
    nowhere = Face(np.array([np.nan, 0, 10, 10], np.float32), 0.9, good.face.points, 1)
    tiny = Face(np.array([10, 10, 10.5, 10.5], np.float32), 0.9, np.full((5, 2), 10.0, np.float32), 1)
    outcomes = frontalizer.frontalize([View(good.image, None), good, View(good.image, nowhere), View(good.image, tiny)])
    assert [outcome.status for outcome in outcomes] == [status.NO_FACE, status.OK, status.MODEL_ERROR, status.MODEL_ERROR]
    assert all((outcome.image is None) == (outcome.status != status.OK) for outcome in outcomes)
    assert all(outcome.detail and "\n" not in outcome.detail for outcome in outcomes if outcome.status != status.OK)
    alone = frontalizer.frontalize([good])[0].image
    assert alone is not None and outcomes[1].image is not None and np.array_equal(alone, outcomes[1].image), "same bytes in any batch"


def test_a_frontal_view_keeps_its_expression_and_nearly_its_pixels(frontalizer: Frontalizer, detector: Detector, shared: Path) -> None:
    from frontalbench.geometry.similarity import align

    view = view_of(shared, detector, "smiling_front/002_08.jpg")
    (outcome,) = frontalizer.frontalize([view])
    assert outcome.image is not None and view.face is not None
    face = choose(detector.detect(outcome.image), (outcome.image.shape[1], outcome.image.shape[0]))
    assert face is not None
    before, after = align(view.image, view.face.points), align(outcome.image, face.points)
    assert np.corrcoef(before[20:100, 20:92].reshape(-1), after[20:100, 20:92].reshape(-1))[0, 1] > 0.9


def test_the_dense_fit_takes_profiles_and_the_landmarks_say_that_they_do_not(
    frontalizer: Frontalizer, detector: Detector, pose: PoseEstimator, shared: Path
) -> None:
    view = view_of(shared, detector, "neutral_right_profile/001_05.jpg")
    (outcome,) = frontalizer.frontalize([view])
    if frontalizer.name == "mesh":
        assert outcome.status == status.NO_FACE and "presence" in outcome.detail
    else:
        assert outcome.image is not None
        assert np.abs(measured(detector, pose, outcome.image)).max() < 15


def test_pasted_back_the_face_is_turned_in_place_and_the_rest_is_untouched(
    frontalizer: Frontalizer, detector: Detector, pose: PoseEstimator, shared: Path
) -> None:
    view = view_of(shared, detector, "neutral_left_3quarter/002_02.jpg")
    (outcome,) = Pasting(frontalizer).frontalize([view])
    assert view.face is not None and outcome.image is not None and outcome.image.shape == view.image.shape
    assert abs(measured(detector, pose, outcome.image)[0]) < 8
    face = choose(detector.detect(outcome.image), (view.image.shape[1], view.image.shape[0]))
    assert face is not None
    size = view.face.box[2:] - view.face.box[:2]
    assert np.abs((face.box[:2] + face.box[2:] - view.face.box[:2] - view.face.box[2:]) / 2 / size).max() < 0.25, (
        "the head stays where it was"
    )
    (crop,) = frontalizer.frontalize([view])
    assert crop.place is not None
    changed = np.argwhere((outcome.image != view.image).any(axis=2))[:, ::-1]
    inside = apply(crop.place.matrix, changed)
    assert inside.min() > -1 and inside.max() < crop.place.mask.shape[0], "nothing changes outside of the square"


def test_a_tight_photograph_gives_a_tight_view_without_streaks(frontalizer: Frontalizer, detector: Detector, project_root: Path) -> None:
    """The demo's images end at the hair; carried on, that was drawn out into columns up to the view's border."""
    image = images.decode((project_root / "demo/synthetic/synth_10/Angle/synth_10_l39.jpg").read_bytes())
    view = View(image, choose(detector.detect(image), (image.shape[1], image.shape[0])))
    (outcome,) = frontalizer.frontalize([view])
    assert outcome.image is not None
    face = choose(detector.detect(outcome.image), (outcome.image.shape[1], outcome.image.shape[0]))
    assert face is not None
    assert 0.5 < (face.box[3] - face.box[1]) / outcome.image.shape[0] < 0.85, "the face fills the view as it fills the photograph"
    wall, top = image[10:60, 5:40].reshape(-1, 3).mean(axis=0), outcome.image[:6, :, :].astype(float)
    for corner in (top[:, :40], top[:, -40:]):
        assert np.abs(corner.mean(axis=(0, 1)) - wall).max() < 40, "the wall behind goes on where there was only hair"


def test_unknown_params_of_a_card_are_refused(weight: Callable[..., Path]) -> None:
    landmarker = FaceLandmarker("face_landmarker", weight("landmarks", "face_landmarker"))
    with pytest.raises(BadConfig, match="glow"):
        MeshFrontalizer("mesh", landmarker, {"glow": 1})

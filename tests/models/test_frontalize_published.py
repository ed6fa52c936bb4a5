"""FFWM, GAN inversion and scaleway's published weight on a real face: squares of the published size, crops as in the papers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from frontalbench import images, status  # noqa: E402
from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.detect import choose, load_detector  # noqa: E402
from frontalbench.frontalize import load_frontalizer  # noqa: E402
from frontalbench.frontalize.base import FRONTAL, Frontalizer, Outcome, SelfTested, View  # noqa: E402
from frontalbench.frontalize.selftest import frontal_checks, landmark_pose  # noqa: E402
from frontalbench.geometry.similarity import apply  # noqa: E402
from tests.unit.test_frontalize_published import SIDES, card_of, files  # noqa: E402

Weight = Callable[..., Path]
PHOTOGRAPH = Path(__file__).resolve().parents[2] / "demo" / "synthetic" / "synth_01" / "Angle" / "synth_01_l39.jpg"


class Again:
    """A frontalizer that gives the outcome it gave before: the larger networks take seconds."""

    needs_face, takes_target_pose = True, False

    def __init__(self, model: Frontalizer, outcome: Outcome) -> None:
        self.name, self._outcome = model.name, outcome

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        return [self._outcome] * len(views)


@pytest.fixture(scope="module")
def view(weight: Weight) -> View:
    for kind, name in (("detector", "scrfd_500m"), ("landmarks", "tddfa_mb1"), ("landmarks", "face_landmarker")):
        for key in cards.find(kind, name).weights:
            weight(kind, name, key)
    image = images.decode(PHOTOGRAPH.read_bytes())
    face = choose(load_detector(cards.find("detector", "scrfd_500m")).detect(image), (image.shape[1], image.shape[0]))
    assert face is not None
    return View(image, face)


@pytest.mark.parametrize("name", SIDES)
def test_a_file_as_published_loads_and_draws_a_square_of_the_published_size(name: str, view: View, tmp_path: Path) -> None:
    model = load_frontalizer(card_of(name, files(name, tmp_path)))
    outcome, without = model.frontalize([view, View(view.image, None)])
    assert outcome.status == status.OK and outcome.image is not None, outcome.detail
    assert outcome.image.shape == (SIDES[name], SIDES[name], 3) and without.status == status.NO_FACE
    assert outcome.place is not None and view.face is not None
    eyes = apply(outcome.place.matrix, view.face.points[:2]).mean(axis=0) / SIDES[name]
    mouth = apply(outcome.place.matrix, view.face.points[3:]).mean(axis=0) / SIDES[name]
    wanted = {"ffwm": (0.5, 0.8), "gan_inversion": (0.47, 0.7), "scaleway": (0.2, 0.66)}[name]
    assert eyes[1] == pytest.approx(wanted[0], abs=0.06) and mouth[1] == pytest.approx(wanted[1], abs=0.08)
    with pytest.raises(ValueError, match="does not take a target pose"):
        model.frontalize([view], (10.0, 0.0, 0.0))
    assert isinstance(model, SelfTested)
    checks = frontal_checks(Again(model, outcome), [view], landmark_pose())
    assert not all(check.passed for check in checks), "numbers that mean nothing fail the self-test"

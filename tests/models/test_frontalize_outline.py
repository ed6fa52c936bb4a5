"""``tddfa_outline`` with its real weights on a real profile: the fit moves onto the outline, and its colours begin within it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frontalbench import images, status
from frontalbench.catalogue import cards
from frontalbench.detect import choose, load_detector
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View
from frontalbench.frontalize.tddfa import TddfaFrontalizer

pytestmark = pytest.mark.weights


@pytest.fixture(scope="module")
def model(weight: Callable[..., Path]) -> TddfaFrontalizer:
    weight("landmarks", "face_landmarker")
    weight("matting", "face_parsing")
    for key in ("model", "basis", "statistics"):
        weight("landmarks", "tddfa_mb1", key)
    return load_frontalizer(cards.find("frontalizer", "tddfa_outline"))  # type: ignore[return-value]


@pytest.fixture(scope="module")
def view(shared: Path, weight: Callable[..., Path]) -> View:
    weight("detector", "scrfd_500m")
    image = images.decode((shared / "testdata" / "frll" / "neutral_right_profile" / "002_05.jpg").read_bytes())
    face = choose(load_detector(cards.find("detector", "scrfd_500m")).detect(image), (image.shape[1], image.shape[0]))
    return View(image, face)


def test_the_outline_pulls_a_profile_s_fit_onto_the_photograph_s(model: TddfaFrontalizer, view: View) -> None:
    kept = model.kept(view)
    assert kept.reason == "" and kept.count > 60
    assert kept.before > 0.15, "cm that the plain fit lies beside the face"
    assert kept.after < 0.06


def test_colours_that_begin_farther_within_the_outline_leave_less_background_on_the_face(model: TddfaFrontalizer, view: View) -> None:
    """The background of this photograph is light grey, her skin is not: what is nearly grey in the middle of the face came from behind it."""
    keeping = model._keeping

    def specks(inset: float) -> float:
        model._keeping = replace(keeping, inset=inset)
        made = model.frontalize([view])[0]
        model._keeping = keeping
        assert made.status == status.OK and made.detail == "" and made.image is not None
        side = made.image.shape[0]
        face = made.image[round(0.3 * side) : round(0.75 * side), round(0.38 * side) : round(0.62 * side)].astype(int)
        return float(((np.ptp(face, axis=2) < 16) & (face.min(axis=2) > 165)).mean())

    assert specks(0.2) < 0.25 * specks(0.0)


def test_without_an_outline_the_card_draws_what_tddfa_draws(model: TddfaFrontalizer, view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "_parser", Blind())
    (made,) = model.frontalize([view], (80.0, 0.0, 0.0))
    assert made.status == status.OK and "lie near an edge of the face" in made.detail
    (plain,) = load_frontalizer(cards.find("frontalizer", "tddfa")).frontalize([view], (80.0, 0.0, 0.0))
    np.testing.assert_array_equal(made.image, plain.image)


class Blind:
    """A parsing that sees background alone."""

    def probabilities(self, image: np.ndarray) -> np.ndarray:
        found = np.zeros((512, 512, 19), np.float32)
        found[..., 0] = 1.0
        return found

"""``tddfa_outline`` and ``tddfa_clean`` with their real weights on a real profile: the fit moves onto the outline, no background becomes skin."""

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
from frontalbench.frontalize.base import Frontalizer, View
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
def clean(model: TddfaFrontalizer) -> TddfaFrontalizer:
    return load_frontalizer(cards.find("frontalizer", "tddfa_clean"))  # type: ignore[return-value]


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


def specks(model: Frontalizer, view: View) -> float:
    """The background of this photograph is light grey, her skin is not: what is nearly grey in the middle of the face came from behind it."""
    made = model.frontalize([view])[0]
    assert made.status == status.OK and made.detail == "" and made.image is not None
    side = made.image.shape[0]
    face = made.image[round(0.3 * side) : round(0.75 * side), round(0.38 * side) : round(0.62 * side)].astype(int)
    return float(((np.ptp(face, axis=2) < 16) & (face.min(axis=2) > 165)).mean())


def test_no_background_becomes_skin(model: TddfaFrontalizer, clean: TddfaFrontalizer, view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    assert specks(clean, view) == specks(model, view) == 0.0
    monkeypatch.setattr(model, "_foreground", None)
    monkeypatch.setattr(model, "filling", replace(model.filling, spill=0.0))
    assert specks(model, view) > 0.01


def test_a_grey_photograph_and_a_face_at_its_border_are_drawn_too(clean: TddfaFrontalizer, view: View) -> None:
    grey = np.repeat(view.image.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    assert view.face is not None
    x = round(float(view.face.box[[0, 2]].mean()))
    half = np.ascontiguousarray(view.image[:, :x])
    for made in clean.frontalize([View(grey, view.face), View(half, view.face), View(0 * grey, view.face)]):
        assert made.status == status.OK and made.image is not None
    (none,) = clean.frontalize([View(grey, None)])
    assert none.status == status.NO_FACE and none.image is None


def test_mesh_takes_no_background_either_where_its_card_asks_for_it(view: View, shared: Path, weight: Callable[..., Path]) -> None:
    card, asked = cards.find("frontalizer", "mesh"), cards.find("frontalizer", "tddfa_clean")
    parser = asked.the("matting", "bisenet").name
    more = replace(card, params=card.params | {"foreground": asked.params["foreground"]}, uses=(*card.uses, parser))
    image = images.decode((shared / "testdata" / "frll" / "neutral_right_3quarter" / "002_04.jpg").read_bytes())
    face = choose(load_detector(cards.find("detector", "scrfd_500m")).detect(image), (image.shape[1], image.shape[0]))
    plain, made = (load_frontalizer(one).frontalize([View(image, face)])[0] for one in (card, more))
    assert plain.status == made.status == status.OK and made.detail == "" and plain.seen is not None and made.seen is not None
    assert 0.9 * plain.seen.sum() < made.seen.sum() < plain.seen.sum(), "what was background counts as not seen"


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

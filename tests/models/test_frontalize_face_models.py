"""Frontalizers that fit a face model, by card on a real detection: files as their makers write them draw an image, and fail the self-test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench import images, status  # noqa: E402
from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.detect import choose, load_detector  # noqa: E402
from frontalbench.frontalize import load_frontalizer  # noqa: E402
from frontalbench.frontalize.base import Frontalizer, SelfTested, View  # noqa: E402
from tests.unit import test_frontalize_cvthead as cvthead  # noqa: E402
from tests.unit import test_frontalize_deca as deca  # noqa: E402
from tests.unit import test_frontalize_hrn as hrn  # noqa: E402

Weight = Callable[..., Path]
PHOTOGRAPH = Path(__file__).resolve().parents[2] / "demo" / "synthetic" / "synth_01" / "Angle" / "synth_01_l39.jpg"


@pytest.fixture(scope="module")
def view(weight: Weight) -> View:
    for kind, name in (("detector", "scrfd_500m"), ("landmarks", "tddfa_mb1"), ("landmarks", "face_landmarker"), ("matting", "modnet")):
        for key in cards.find(kind, name).weights:
            weight(kind, name, key)
    image = images.decode(PHOTOGRAPH.read_bytes())
    face = choose(load_detector(cards.find("detector", "scrfd_500m")).detect(image), (image.shape[1], image.shape[0]))
    assert face is not None
    return View(image, face)


MADE: dict[str, tuple[int, Callable[[Path], Frontalizer]]] = {
    "deca_fine": (224, lambda folder: load_frontalizer(deca.card_of(deca.files(folder, fine=True), "deca_fine"))),
    "cvthead": (256, lambda folder: load_frontalizer(cvthead.card_of(cvthead.files(folder)))),
    "hrn": (512, lambda folder: load_frontalizer(hrn.card_of(hrn.files(folder)))),
}
"""Card -> side of its result, and the model from made-up files of the official names, keys and shapes in a folder."""


@pytest.mark.parametrize("name", MADE)
def test_files_as_published_draw_a_square_by_card_and_numbers_that_mean_nothing_fail_the_self_test(
    name: str, view: View, tmp_path: Path
) -> None:
    side, make = MADE[name]
    model = make(tmp_path)
    outcome, again, without = model.frontalize([view, view, View(view.image, None)])
    assert outcome.status == status.OK and outcome.image is not None, outcome.detail
    assert outcome.image.shape == (side, side, 3) and without.status == status.NO_FACE
    assert again.image is not None and np.array_equal(again.image, outcome.image)
    assert outcome.place is not None and np.isfinite(outcome.place.matrix).all()
    assert isinstance(model, SelfTested)
    checks = model.selftest([view])
    assert [check.name for check in checks if not check.passed], "numbers that mean nothing fail the self-test"

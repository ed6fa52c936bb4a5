"""``scaleway_synth``: the shipped weights draw a face that stays a face, in the square that they were trained on."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench import images, status  # noqa: E402
from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.catalogue.cards import FileSource, WeightFile  # noqa: E402
from frontalbench.detect import choose, load_detector  # noqa: E402
from frontalbench.errors import BadInput  # noqa: E402
from frontalbench.frontalize import load_frontalizer  # noqa: E402
from frontalbench.frontalize.base import View  # noqa: E402
from frontalbench.geometry.similarity import apply  # noqa: E402

Weight = Callable[..., Path]
PHOTOGRAPH = Path(__file__).resolve().parents[2] / "demo" / "synthetic" / "synth_01" / "Angle" / "synth_01_l39.jpg"


@pytest.mark.weights
def test_the_shipped_weights_draw_a_face_in_its_square(weight: Weight) -> None:
    for kind, name in (("detector", "scrfd_500m"), ("landmarks", "tddfa_mb1"), ("landmarks", "face_landmarker")):
        for key in cards.find(kind, name).weights:
            weight(kind, name, key)
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    image = images.decode(PHOTOGRAPH.read_bytes())
    face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
    assert face is not None
    model = load_frontalizer(cards.find("frontalizer", "scaleway_synth"))
    outcome, without = model.frontalize([View(image, face), View(image, None)])
    assert outcome.image is not None and outcome.image.shape == (128, 128, 3) and without.status == status.NO_FACE, outcome.detail
    assert outcome.place is not None
    eyes = apply(outcome.place.matrix, face.points[:2]).mean(axis=0)
    mouth = apply(outcome.place.matrix, face.points[3:]).mean(axis=0)
    assert abs(eyes[1] - 0.2 * 128) < 10 and 0.55 * 128 < mouth[1] < 0.85 * 128, "eyes a fifth from the top, the mouth in the lower part"
    drawn = choose(detector.detect(outcome.image), (128, 128))
    assert drawn is not None
    nose = drawn.points[2, 0] - drawn.points[:2, 0].mean()
    assert abs(nose) < 0.15 * (drawn.points[1, 0] - drawn.points[0, 0]), "it looks ahead"
    assert np.array_equal(model.frontalize([View(image, face)])[0].image, outcome.image)
    with pytest.raises(ValueError, match="cannot turn"):
        model.frontalize([View(image, face)], (10.0, 0.0, 0.0))


def test_a_file_that_the_trainer_did_not_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    digest = hashlib.sha256(b"nothing").hexdigest()
    weight = WeightFile("model", "other.safetensors", 7, digest, (FileSource(tmp_path / "other.safetensors"),))
    card = dataclasses.replace(cards.find("frontalizer", "scaleway_synth"), weights=MappingProxyType({"model": weight}))
    with pytest.raises(BadInput, match=r"other\.safetensors: .*; fetch the file again"):
        load_frontalizer(card)

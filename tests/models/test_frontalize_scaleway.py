"""``scaleway_synth``: the shipped weights draw a face that stays a face, in the square that they were trained on.

With real weights or photographs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frontalbench import images, status
from frontalbench.catalogue import cards
from frontalbench.detect import choose, load_detector
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View
from frontalbench.geometry.similarity import apply

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

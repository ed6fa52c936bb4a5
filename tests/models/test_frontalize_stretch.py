"""``stretch``: how much wider for which yaw, what stays, what is refused.

With real weights or photographs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.detect import load_detector
from frontalbench.detect.select import choose
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View


@pytest.mark.weights
def test_a_real_profile_gets_wider_and_a_real_front_hardly(shared: Path) -> None:
    detector, model = load_detector(cards.find("detector", "scrfd_500m")), load_frontalizer(cards.find("frontalizer", "stretch"))

    def growth(name: str) -> float:
        image = images.decode((shared / "testdata" / "frll" / name).read_bytes())
        face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
        (outcome,) = model.frontalize([View(image, face)])
        assert outcome.image is not None, outcome.detail
        return outcome.image.shape[1] / image.shape[1] - 1.0

    assert growth("neutral_front/001_03.jpg") < 0.005
    assert 0.10 < growth("neutral_left_profile/001_01.jpg") <= 0.15

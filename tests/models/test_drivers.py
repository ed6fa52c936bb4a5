"""Driver cards: the poses written on them are those that the estimator measures in their images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frontalbench.catalogue import cards
from frontalbench.frontalize import driver
from frontalbench.synth import drivers
from tests.unit.test_drivers import SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_the_poses_on_the_card_are_what_the_estimator_measures(name: str, weight: Callable[..., Path]) -> None:
    from frontalbench.detect import load_detector
    from frontalbench.landmarks import tddfa

    for kind, used in (("detector", "scrfd_500m"), ("landmarks", "tddfa_mb1")):
        for key in cards.find(kind, used).weights:
            weight(kind, used, key)
    detector, fitter = load_detector(cards.find("detector", "scrfd_500m")), tddfa.load(cards.find("landmarks", "tddfa_mb1"), dense=False)
    found = driver.load(cards.find("driver", name))
    for key, pose, image in zip(found.keys, found.poses, found.images, strict=True):
        measured = drivers.measured(image, detector, fitter)
        assert np.abs(np.subtract(measured, pose)).max() < 0.3, f"{key}: {measured}, the card says {pose}"
        if key == "front":
            assert np.abs(measured).max() < cards.FRONTAL_WITHIN

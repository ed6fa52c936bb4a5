"""References turned to the probe's pose: the stage's rows, the cell against a plain loop over pairs, what happens when turning fails.

With real weights or photographs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.detect import choose, load_detector
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View
from frontalbench.pose import load_pose

DEMO = Path(__file__).resolve().parents[2] / "demo" / "synthetic"


@pytest.mark.weights
def test_mesh_turns_a_reference_to_the_asked_side() -> None:
    """The measured yaw of a turned reference has the asked sign and about the asked size."""
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    estimator = load_pose(cards.find("pose", "tddfa_pose"))
    mesh = load_frontalizer(cards.find("frontalizer", "mesh"))
    person = sorted(p for p in DEMO.iterdir() if p.is_dir())[0]
    image = images.decode(sorted((person / "GT").glob("*front*"))[0].read_bytes())
    face = choose(detector.detect(image), image.shape[:2])
    for asked in (-37, 37):
        made = mesh.frontalize([View(image, face)], (float(asked), 0.0, 0.0))[0].image
        assert made is not None
        again = choose(detector.detect(made), made.shape[:2])
        assert again is not None
        assert estimator.estimate(made, again)[0] == pytest.approx(asked, abs=12.0)

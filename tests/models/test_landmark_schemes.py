"""Schemes of landmarks: what is refused, which point is which, and derived points that meet those of an independent model on photographs.

With real weights or photographs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.detect import choose, load_detector
from frontalbench.landmarks import load_landmarks
from frontalbench.landmarks.base import Landmarks
from tests.unit.test_landmark_schemes import PARTS


@pytest.mark.weights
def test_points_derived_from_the_face_mesh_meet_those_of_the_dense_fit(shared: Path) -> None:
    """Both models were trained apart; 5 % of the distance between the eyes is what two annotators differ by, the contour a little more."""
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    mesh, dense = load_landmarks(cards.find("landmarks", "face_landmarker")), load_landmarks(cards.find("landmarks", "tddfa_mb1"))
    errors, to_five = [], []
    for path in sorted((shared / "testdata" / "frll" / "neutral_front").glob("*.jpg"))[:8]:
        image = images.decode(path.read_bytes())
        face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
        assert face is not None
        derived = mesh.locate(image, face)
        wanted = Landmarks(dense.fit(image, face).vertices[dense.basis.keypoints], "ibug68")
        between = np.linalg.norm(wanted.part("right_eye") - wanted.part("left_eye"))
        errors.append(np.linalg.norm(derived.to("ibug68").flat - wanted.flat, axis=1) / between)
        to_five.append(np.linalg.norm(derived.to("five").flat - face.points, axis=1) / between)
        for part in PARTS:
            assert np.linalg.norm(derived.part(part) - wanted.part(part)) < (0.3 if part in ("nose_bridge", "chin") else 0.12) * between, (
                part
            )
    mean = np.mean(errors, axis=0)
    assert mean.mean() < 0.07 and mean[:17].mean() < 0.11 and mean[17:].mean() < 0.06
    assert np.mean(to_five) < 0.05


@pytest.mark.weights
def test_points_derived_from_the_106_meet_those_of_the_dense_fit(shared: Path, weight: Callable[..., Path]) -> None:
    from frontalbench.liveportrait.landmarks import Landmarks106

    network = Landmarks106(weight("frontalizer", "liveportrait", "landmarks106"))
    detector, dense = load_detector(cards.find("detector", "scrfd_500m")), load_landmarks(cards.find("landmarks", "tddfa_mb1"))
    errors = []
    for path in sorted((shared / "testdata" / "frll" / "neutral_front").glob("*.jpg"))[:8]:
        image = images.decode(path.read_bytes())
        face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
        assert face is not None
        derived = Landmarks(network(image, face.box), "insightface106").to("ibug68")
        wanted = Landmarks(dense.fit(image, face).vertices[dense.basis.keypoints], "ibug68")
        errors.append(
            np.linalg.norm(derived.flat - wanted.flat, axis=1) / np.linalg.norm(wanted.part("right_eye") - wanted.part("left_eye"))
        )
    mean = np.mean(errors, axis=0)
    assert mean.mean() < 0.08 and mean[17:].mean() < 0.08

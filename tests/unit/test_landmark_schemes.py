"""Schemes of landmarks: what is refused, which point is which, and derived points that meet those of an independent model on photographs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.detect import choose, load_detector
from frontalbench.errors import BadInput
from frontalbench.landmarks import load_landmarks
from frontalbench.landmarks.base import _TO_IBUG68, SCHEMES, Landmarks

PARTS = ("right_eye", "left_eye", "nose_tip", "right_mouth", "left_mouth", "nose_bridge", "chin")


def some(scheme: str, columns: int = 2) -> Landmarks:
    return Landmarks(np.random.default_rng(0).uniform(0, 100, (SCHEMES[scheme].count, columns)), scheme)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_index_of_a_scheme_is_one_of_its_points(scheme: str) -> None:
    found = SCHEMES[scheme]
    for part in PARTS:
        indices = getattr(found, part)
        assert all(0 <= index < found.count for index in indices), part
        assert indices or part in ("nose_bridge", "chin")
    if scheme in _TO_IBUG68:
        assert len(_TO_IBUG68[scheme]) == len(set(_TO_IBUG68[scheme])) == 68 and max(_TO_IBUG68[scheme]) < found.count


@pytest.mark.parametrize("scheme", sorted(set(SCHEMES) - {"five"}))
def test_five_points_are_the_means_of_their_parts_whichever_way_they_are_reached(scheme: str) -> None:
    given = some(scheme, 3)
    five = given.to("five")
    assert five.points.shape == (5, 3)
    np.testing.assert_allclose(five.flat, [given.part(name) for name in PARTS[:5]])
    if scheme in ("wflw98",):
        np.testing.assert_allclose(given.to("ibug68").part("nose_tip"), given.part("nose_tip"))


def test_what_cannot_be_derived_or_is_no_set_of_points_is_refused() -> None:
    with pytest.raises(BadInput, match="five cannot be turned into ibug68"):
        some("five").to("ibug68")
    with pytest.raises(BadInput, match="has no chin"):
        some("five").part("chin")
    with pytest.raises(BadInput, match="not known"):
        Landmarks(np.zeros((5, 2)), "dlib")
    with pytest.raises(BadInput, match="ibug68 has 68 points"):
        Landmarks(np.zeros((67, 2)), "ibug68")
    with pytest.raises(ValueError, match="not finite"):
        Landmarks(np.full((5, 2), np.nan), "five")


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

"""``hassner`` with the real reference face: posed as the original poses it, and a synthetic person turned to the front."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from frontalbench import images, status
from frontalbench.catalogue import cards
from frontalbench.detect import choose, load_detector
from frontalbench.frontalize import hassner, load_frontalizer
from frontalbench.frontalize.base import View
from tests.golden import fills

Weight = Callable[..., Path]
DEMO = Path(__file__).resolve().parents[2] / "demo" / "synthetic" / "synth_01"


def test_the_real_reference_is_posed_as_the_original_poses_it(weight: Weight) -> None:
    golden = fills.golden("Hassner").arrays
    real = hassner.read_reference(weight("frontalizer", "hassner", "model"), weight("frontalizer", "hassner", "eyes"))
    assert np.array_equal(real.flat, golden["refXY"])
    rotation, translation = hassner.pose_of(golden["landmarks68"].astype(np.float64), real.keypoints, real.camera)
    assert np.allclose(rotation, golden["rmat"], atol=1e-6) and np.allclose(translation, golden["tvec"].ravel(), rtol=1e-5)
    wanted = golden["proj"] / np.abs(golden["proj"]).max()
    assert np.allclose(real.camera @ np.column_stack([rotation, translation]) / np.abs(golden["proj"]).max(), wanted, atol=1e-6)
    some = real.surface[::40, ::40]
    by_matrix = np.concatenate([some, np.ones((*some.shape[:2], 1))], axis=2) @ golden["proj"].T
    assert np.allclose(hassner.projected(some, real.camera, rotation, translation), by_matrix[..., :2] / by_matrix[..., 2:], atol=1e-2)


@pytest.mark.parametrize("name", ["hassner", "hassner_depth"])
def test_the_real_reference_turns_a_synthetic_person_to_the_front(name: str, weight: Weight) -> None:
    for kind, used, key in (("frontalizer", name, "model"), ("frontalizer", name, "eyes"), ("detector", "scrfd_500m", "model")):
        weight(kind, used, key)
    for key in cards.find("landmarks", "tddfa_mb1").weights:
        weight("landmarks", "tddfa_mb1", key)
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    image = images.decode((DEMO / "Angle" / "synth_01_r39.jpg").read_bytes())
    face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
    assert face is not None
    model = load_frontalizer(cards.find("frontalizer", name))
    outcome, without = model.frontalize([View(image, face), View(image, None)])
    assert outcome.image is not None and outcome.image.shape == (320, 320, 3) and without.status == status.NO_FACE, outcome.detail
    drawn = choose(detector.detect(outcome.image), (320, 320))
    assert drawn is not None

    def aside(points: npt.NDArray[np.float32]) -> float:
        return float(abs(points[2, 0] - points[:2, 0].mean()) / abs(points[1, 0] - points[0, 0]))

    assert aside(drawn.points) < 0.15 < aside(face.points), "the nose was beside the middle of the eyes, and is there now"
    with pytest.raises(ValueError, match="cannot turn"):
        model.frontalize([View(image, face)], (10.0, 0.0, 0.0))

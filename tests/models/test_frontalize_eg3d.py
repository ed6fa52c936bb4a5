"""``eg3d`` on a photograph: a file of the right names goes all the way to a square of 512 pixels; numbers that mean nothing fail the self-test."""

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
from frontalbench.frontalize.base import SelfTested, View  # noqa: E402
from frontalbench.frontalize.eg3d import Eg3dGenerator, head_checks  # noqa: E402
from frontalbench.frontalize.selftest import landmark_pose  # noqa: E402
from frontalbench.geometry.similarity import apply  # noqa: E402
from frontalbench.landmarks import load_landmarks  # noqa: E402
from tests.golden import fills  # noqa: E402
from tests.unit.test_frontalize_eg3d import pinned  # noqa: E402

Weight = Callable[..., Path]
PHOTOGRAPH = Path(__file__).resolve().parents[2] / "demo" / "synthetic" / "synth_01" / "Angle" / "synth_01_l39.jpg"


@pytest.fixture
def fetched(weight: Weight) -> None:
    for kind, name in (
        ("detector", "scrfd_500m"),
        ("landmarks", "tddfa_mb1"),
        ("landmarks", "face_landmarker"),
        ("backbone", "arcface_y1"),
    ):
        for key in cards.find(kind, name).weights:
            weight(kind, name, key)


@pytest.mark.slow
def test_a_file_of_the_official_names_is_inverted_kept_and_drawn(fetched: None, tmp_path: Path) -> None:
    # One number in all tensors: a file of a few kilobytes, and a result that no step can make better.
    state = {key: torch.tensor(0.01).expand(entry.shape) for key, entry in fills.state_keys("EG3D_ffhq512").items()}
    torch.save(state, tmp_path / "g.pt")
    model = load_frontalizer(pinned(tmp_path / "g.pt", steps=1, tuning_steps=1, rays=16, samples=4, keep=str(tmp_path / "kept")))
    image = images.decode(PHOTOGRAPH.read_bytes())
    face = choose(load_detector(cards.find("detector", "scrfd_500m")).detect(image), (image.shape[1], image.shape[0]))
    first, without = model.frontalize([View(image, face), View(image, None)])
    assert first.status == status.OK and first.image is not None and first.image.shape == (512, 512, 3), first.detail
    assert without.status == status.NO_FACE and len([*(tmp_path / "kept").iterdir()]) == 1
    assert first.place is not None and face is not None
    eyes, mouth = (apply(first.place.matrix, part).mean(axis=0) / 512 for part in (face.points[:2], face.points[3:]))
    assert eyes[1] == pytest.approx(0.36, abs=0.04) and mouth[1] == pytest.approx(0.67, abs=0.04)
    again = model.frontalize([View(image, face)])[0]
    assert again.image is not None and np.array_equal(again.image, first.image) and again.seconds < first.seconds / 2
    assert isinstance(model, SelfTested)


def test_numbers_that_mean_nothing_fail_the_self_test(fetched: None) -> None:
    network = fills.filled(Eg3dGenerator, "EG3D_ffhq512", "C")
    basis = load_landmarks(cards.find("landmarks", "tddfa_mb1")).basis
    checks = head_checks(network, basis, 16, landmark_pose())
    assert not all(check.passed for check in checks)

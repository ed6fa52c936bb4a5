"""``headgan`` on a photograph: at the face's own pose the wanted head is the one that is seen; a file of the right names draws a square."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from frontalbench import images, status  # noqa: E402
from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.detect import choose, load_detector  # noqa: E402
from frontalbench.frontalize import load_frontalizer  # noqa: E402
from frontalbench.frontalize.base import SelfTested, View  # noqa: E402
from frontalbench.frontalize.headgan import HeadGanFamily  # noqa: E402
from frontalbench.frontalize.selftest import frontal_checks, landmark_pose  # noqa: E402
from frontalbench.geometry.rotation import angles_from_matrix, matrix_from_angles  # noqa: E402
from frontalbench.landmarks import load_landmarks  # noqa: E402
from tests.models.test_frontalize_published import Again  # noqa: E402
from tests.unit.test_frontalize_headgan import constant, pinned  # noqa: E402

Weight = Callable[..., Path]
PHOTOGRAPH = Path(__file__).resolve().parents[2] / "demo" / "synthetic" / "synth_01" / "Angle" / "synth_01_l39.jpg"


@pytest.fixture(scope="module")
def view(weight: Weight) -> View:
    for kind, name in (("detector", "scrfd_500m"), ("landmarks", "tddfa_mb1"), ("landmarks", "face_landmarker")):
        for key in cards.find(kind, name).weights:
            weight(kind, name, key)
    image = images.decode(PHOTOGRAPH.read_bytes())
    face = choose(load_detector(cards.find("detector", "scrfd_500m")).detect(image), (image.shape[1], image.shape[0]))
    assert face is not None
    return View(image, face)


def test_at_the_own_pose_the_wanted_head_is_the_one_that_is_seen_and_the_front_is_symmetric(view: View) -> None:
    fitter = load_landmarks(cards.find("landmarks", "tddfa_mb1"))
    family = HeadGanFamily(fitter, nn.Identity(), torch.device("cpu"))  # type: ignore[arg-type]
    assert view.face is not None
    rotation = fitter.fit(view.image, view.face).rotation
    tilt = float(np.degrees(np.arctan2(-rotation[0, 1], rotation[1, 1])))
    yaw, pitch, roll = (float(angle) for angle in angles_from_matrix(matrix_from_angles(0.0, 0.0, -tilt) @ rotation))
    own = family.prepare(view, (yaw, pitch, roll))
    # The fitted matrix is not quite rigid, so outlines may differ by a pixel or two.
    both = (own.seen.sum(axis=2) > 0) & (own.wanted.sum(axis=2) > 0)
    assert both.sum() > 0.93 * max((own.seen.sum(axis=2) > 0).sum(), (own.wanted.sum(axis=2) > 0).sum())
    assert float(np.abs(own.seen - own.wanted)[both].mean()) < 0.02
    front = family.prepare(view, (0.0, 0.0, 0.0)).wanted
    shown = front.sum(axis=2) > 0
    columns = np.flatnonzero(shown.any(axis=0))
    middle = (columns[0] + columns[-1]) // 2
    assert float(np.median(front[shown[:, middle], middle, 0])) == pytest.approx(0.5, abs=0.04), "half way between left and right"


@pytest.mark.slow
def test_a_file_of_the_official_names_draws_a_square_and_fails_the_self_test(view: View, tmp_path: Path) -> None:
    torch.save(constant(), tmp_path / "latest_net_G.pth")
    model = load_frontalizer(pinned(tmp_path / "latest_net_G.pth"))
    outcome, without = model.frontalize([view, View(view.image, None)])
    assert outcome.status == status.OK and outcome.image is not None and outcome.image.shape == (256, 256, 3), outcome.detail
    assert without.status == status.NO_FACE and isinstance(model, SelfTested)
    checks = frontal_checks(Again(model, outcome), [view], landmark_pose())
    assert not all(check.passed for check in checks), "numbers that mean nothing fail the self-test"

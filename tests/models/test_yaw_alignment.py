"""Alignment that knows the yaw: moved points give the moved crop, and only for the images of a card that asks for it.

With real weights or photographs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.detect import choose, load_detector
from frontalbench.detect.yaw_alignment import aligned_for
from frontalbench.geometry.similarity import alignment_matrix


@pytest.mark.weights
def test_a_real_profile_is_moved_and_a_real_front_hardly(shared: Path) -> None:
    plain = load_detector(cards.find("detector", "scrfd_500m"))
    moving = aligned_for(cards.find("frontalizer", "mirror_ahead"), plain)

    def zoom(name: str) -> float:
        image = images.decode((shared / "testdata" / "frll" / name).read_bytes())
        faces = [choose(detector.detect(image), (image.shape[1], image.shape[0])) for detector in (plain, moving)]
        assert faces[0] is not None and faces[1] is not None
        before, after = (np.linalg.det(alignment_matrix(face.points)[:, :2]) for face in faces if face)
        return float(np.sqrt(after / before))

    assert zoom("neutral_front/001_03.jpg") == pytest.approx(1.0, abs=0.005)
    assert 1.06 < zoom("neutral_left_profile/001_01.jpg") <= 1.1 + 1e-3

"""The liveportrait frontalizer from outside: cards, statuses, crops, settings. The networks are played by a small stand-in.

With real weights or photographs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.liveportrait.landmarks import Landmarks106


@pytest.mark.weights
def test_real_106_points_place_the_crop_on_frontal_and_turned_faces(shared: Path, weight: Callable[..., Path]) -> None:
    """The squares of one person's views look alike: the eyes stand level, in the upper half, and the whole head is inside."""
    from frontalbench.detect import load_detector
    from frontalbench.liveportrait.crop import crop_matrix

    weight("detector", "scrfd_500m")
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    points106 = Landmarks106(weight("frontalizer", "liveportrait", "landmarks106"))
    files = sorted((shared / "testdata" / "frll").rglob("*.jpg"))
    chosen = [file for nn in ("02", "03", "04") for file in files if file.stem.endswith(f"_{nn}")][::40]
    assert chosen
    for file in chosen:
        image = images.decode(file.read_bytes())
        found = detector.detect(image)
        matrix = crop_matrix(points106(image, found.boxes[0]))
        inside = found.points[0] @ matrix[:, :2].T + matrix[:, 2]
        eyes, mouth = inside[:2].mean(axis=0), inside[3:].mean(axis=0)
        assert 200 < eyes[1] < 300, file.name
        assert 300 < mouth[1] < 390, file.name
        assert abs(mouth[0] - eyes[0]) < 25, file.name

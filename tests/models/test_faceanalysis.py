"""The judge that runs through the insightface package, beside ours over the same files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frontalbench import status
from frontalbench.catalogue import cards
from frontalbench.detect import load_detector
from frontalbench.detect.stream import detect_and_align
from frontalbench.embed import Backbone, load_backbone
from frontalbench.embed.base import normalise

Weight = Callable[..., Path]


@pytest.fixture(scope="module")
def portraits(shared: Path) -> list[Path]:
    return (
        sorted((shared / "testdata" / "frll" / "neutral_front").glob("*_03.jpg"))[:4]
        + sorted((shared / "testdata" / "frll" / "neutral_left_profile").glob("*_01.jpg"))[:2]
    )


def test_the_package_s_judge_and_ours_find_the_same_face_and_give_the_same_embedding(weight: Weight, portraits: list[Path]) -> None:
    weight("detector", "scrfd_500m"), weight("backbone", "w600k_mbf")

    def embedded(detector: str, backbone: Backbone) -> list[np.ndarray]:
        model = load_detector(cards.find("detector", detector))
        rows = [detect_and_align(path.name, path.read_bytes(), model) for path in portraits]
        assert [row.status for row in rows] == [status.OK] * len(rows)
        return [normalise(backbone.embed(row.crop[None]))[0][0] for row in rows if row.crop is not None]

    theirs = embedded("faceanalysis_500m", load_backbone(cards.find("backbone", "faceanalysis_mbf")))
    ours = embedded("scrfd_500m", load_backbone(cards.find("backbone", "w600k_mbf")))
    cosine = [float(a @ b) for a, b in zip(theirs, ours, strict=True)]
    assert min(cosine) > 0.9 and np.mean(cosine) > 0.97


def test_on_the_same_crops_the_package_s_recogniser_gives_our_embedding(weight: Weight) -> None:
    weight("detector", "scrfd_500m"), weight("backbone", "w600k_mbf")
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    theirs, ours = (load_backbone(cards.find("backbone", name)).embed(crops) for name in ("faceanalysis_mbf", "w600k_mbf"))
    np.testing.assert_allclose(theirs, ours, atol=1e-4 * float(np.abs(ours).max()))


def test_an_image_without_a_face_is_no_error(weight: Weight) -> None:
    weight("detector", "scrfd_500m")
    model = load_detector(cards.find("detector", "faceanalysis_500m"))
    assert len(model.detect(np.zeros((40, 60, 3), np.uint8))) == 0 and len(model.glance(np.zeros((300, 60, 3), np.uint8), 96)) == 0

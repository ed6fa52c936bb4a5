"""Image quality: the measures against independent implementations, the stage's rows, the summary's numbers.

With real weights or photographs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from frontalbench import images
from frontalbench.catalogue import cards, families
from frontalbench.detect import choose, load_detector
from frontalbench.images import RGB
from frontalbench.quality import expression
from tests.unit.test_quality import DEMO, crops


@pytest.mark.weights
def test_blendshapes_of_a_mirrored_face_change_sides() -> None:
    """Left and right shapes swap under a mirror; the same photograph has the same expression, another photograph another one."""
    reader = expression.Reader(cards.find("landmarks", "face_landmarker"))
    detector = load_detector(cards.find("detector", "scrfd_500m"))

    def read(image: RGB) -> np.ndarray:
        face = choose(detector.detect(image), image.shape[:2])
        assert face is not None
        look = reader.read(image, face)
        assert look.points.shape == (68, 3) and np.linalg.norm(look.points[36, :2] - face.points[0]) < 0.3 * np.ptp(face.points[:2, 0])
        return look.shapes

    people = sorted(p for p in DEMO.iterdir() if p.is_dir())
    first, other = (images.decode(sorted((p / "GT").glob("*"))[0].read_bytes()) for p in people[:2])
    code, mirrored, strange = read(first), read(np.ascontiguousarray(first[:, ::-1])), read(other)
    assert code.shape == (52,) and (code >= 0).all() and (code <= 1).all()
    # browDownLeft/Right, browOuterUp, cheekSquint, eyeBlink, ..., mouthSmile: pairs lie side by side in the network's order
    swapped = code.copy()
    for left in (1, 4, 7, 9, 11, 13, 15, 17, 19, 21, 28, 30, 34, 36, 44, 46, 48, 50):
        swapped[[left, left + 1]] = code[[left + 1, left]]
    swapped[[24, 26, 33, 39]] = code[[26, 24, 39, 33]]  # jawLeft and jawRight, mouthLeft and mouthRight
    assert expression.distance(code, code) == 0.0
    assert expression.distance(mirrored, swapped) < 0.7 * expression.distance(code, strange)


MATLAB = (
    (
        *(2.187000, 0.305119, 0.731000, 0.046159, 0.078954, 0.124348, 0.735000, 0.032419, 0.086307, 0.118338, 0.733000, -0.020298),
        *(0.112611, 0.092477, 0.730000, -0.022557, 0.114732, 0.092231, 2.103000, 0.360946, 0.731000, -0.055774, 0.183185, 0.116578),
        *(0.734000, -0.046589, 0.179101, 0.123198, 0.730000, -0.037948, 0.168773, 0.123828, 0.725000, -0.033253, 0.165621, 0.126170),
    ),
    (
        *(0.4610000, 0.1652788, 0.3410000, -0.1192659, 0.2319912, 0.0417499, 0.3370000, -0.1010206, 0.2127568, 0.0502738, 0.3410000),
        *(-0.1070136, 0.1971343, 0.0380880, 0.3390000, -0.0978340, 0.1865236, 0.0413579, 0.4860000, 0.1888571, 0.3480000, -0.0518405),
        *(0.1354198, 0.0621431, 0.3500000, -0.0487347, 0.1329318, 0.0642503, 0.3420000, -0.0046308, 0.0917469, 0.0853537, 0.3410000),
        *(-0.0035089, 0.0918414, 0.0869626),
    ),
)


@pytest.mark.weights
def test_brisque_gives_the_published_scores(weight: Callable[..., Path]) -> None:
    weight("quality", "brisque_live")
    measure = families.load(cards.find("quality", "brisque_live"))
    for features, score in zip(MATLAB, (52.521, 123.74), strict=True):
        assert measure.of_features(np.array(features)) == pytest.approx(score, abs=0.005)
    crop = crops()[0]
    rough = np.clip(crop + np.random.default_rng(0).normal(0, 30, crop.shape), 0, 255).astype(np.uint8)
    assert measure.score(crop) + 10 < min(measure.score(cv2.GaussianBlur(crop, (0, 0), 2)), measure.score(rough))
    assert np.isnan(measure.score(np.full((112, 112, 3), 90, np.uint8))), "nothing to judge"

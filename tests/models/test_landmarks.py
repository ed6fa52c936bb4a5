"""478 points and the dense fit: their files, and their points on real photographs.

With real weights or photographs.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.detect import Face, choose, load_detector
from frontalbench.geometry.rotation import angles_from_matrix
from frontalbench.landmarks import load_landmarks, tddfa
from frontalbench.landmarks.face_landmarker import FaceLandmarker
from frontalbench.landmarks.tddfa import DenseFitter


@pytest.fixture(scope="module")
def landmarker(weight: Callable[..., Path]) -> FaceLandmarker:
    weight("landmarks", "face_landmarker")
    return load_landmarks(cards.find("landmarks", "face_landmarker"))


@pytest.fixture(scope="module")
def fitter(weight: Callable[..., Path]) -> DenseFitter:
    for key in ("model", "basis", "statistics"):
        weight("landmarks", "tddfa_mb1", key)
    return load_landmarks(cards.find("landmarks", "tddfa_mb1"))


@pytest.fixture(scope="module")
def faces(weight: Callable[..., Path], shared: Path) -> dict[str, tuple[images.RGB, Face]]:
    weight("detector", "scrfd_500m")
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    found = {}
    for name in ("neutral_front/002_03", "neutral_left_3quarter/002_02", "neutral_right_3quarter/008_04"):
        image = images.decode((shared / "testdata" / "frll" / f"{name}.jpg").read_bytes())
        face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
        assert face is not None
        found[name] = (image, face)
    return found


@pytest.mark.weights
def test_the_canonical_face_is_symmetric_and_has_one_outline(landmarker: FaceLandmarker) -> None:
    from frontalbench.frontalize.head import outline

    canonical = landmarker.canonical
    assert canonical.points.shape == (468, 3) and canonical.triangles.shape == (898, 3)
    assert np.allclose(canonical.points[canonical.mirror], canonical.points * [-1, 1, 1])
    assert np.array_equal(canonical.mirror[canonical.mirror], np.arange(468))
    assert canonical.points[1, 2] < canonical.points[152, 2] < canonical.points[234, 2], "nose before chin before cheek"
    assert len(outline(canonical.triangles)) == 36


@pytest.mark.weights
def test_the_points_meet_the_detectors_five(
    landmarker: FaceLandmarker, fitter: DenseFitter, faces: dict[str, tuple[images.RGB, Face]]
) -> None:
    for image, face in faces.values():
        landmarks = landmarker.locate(image, face)
        assert landmarks.presence > 0.9 and landmarks.points.shape == (478, 3)
        eyes = np.array([(landmarks.points[33] + landmarks.points[133])[:2] / 2, (landmarks.points[362] + landmarks.points[263])[:2] / 2])
        mouth = landmarks.points[[61, 291], :2]
        size = float(np.linalg.norm(face.box[2:] - face.box[:2]))
        assert np.linalg.norm(eyes - face.points[:2], axis=1).max() < 0.06 * size
        assert np.linalg.norm(mouth - face.points[3:], axis=1).max() < 0.06 * size
        dense = fitter.fit(image, face)
        assert dense.vertices.shape == (38365, 3)
        few = fitter.fit(image, face, fitter.basis.keypoints)
        for name in ("vertices", "model"):
            np.testing.assert_allclose(getattr(few, name), getattr(dense, name)[fitter.basis.keypoints], rtol=1e-6, atol=1e-2)
        corners = dense.vertices[fitter.basis.keypoints[[48, 54]], :2]
        assert np.linalg.norm(corners - mouth, axis=1).max() < 0.06 * size


@pytest.mark.weights
def test_the_middle_of_the_eyes_line_does_not_depend_on_the_detectors_box(
    landmarker: FaceLandmarker, faces: dict[str, tuple[images.RGB, Face]]
) -> None:
    image, face = faces["neutral_front/002_03"]
    wider = Face(face.box + np.array([-15, -10, 20, 15], np.float32), face.score, face.points, 1)
    first, second = landmarker.locate(image, face).points, landmarker.locate(image, wider).points
    assert np.linalg.norm((first - second)[:468, :2], axis=1).mean() < 1.5


@pytest.mark.weights
def test_a_mirrored_photograph_gives_mirrored_points(
    landmarker: FaceLandmarker, fitter: DenseFitter, faces: dict[str, tuple[images.RGB, Face]]
) -> None:
    for image, face in faces.values():
        width = image.shape[1]
        box = np.array([width - 1 - face.box[2], face.box[1], width - 1 - face.box[0], face.box[3]], np.float32)
        points = (face.points * [-1, 1] + [width - 1, 0])[[1, 0, 2, 4, 3]].astype(np.float32)
        flipped = Face(box, face.score, points, 1)
        mirrored = np.ascontiguousarray(image[:, ::-1])
        there = landmarker.locate(mirrored, flipped).points[:468] * [-1, 1, 1] + [width - 1, 0, 0]
        here = landmarker.locate(image, face).points[:468]
        assert np.linalg.norm((there[landmarker.canonical.mirror] - here)[:, :2], axis=1).mean() < 4.0
        first, second = (angles_from_matrix(fitter.fit(*pair).rotation) for pair in ((image, face), (mirrored, flipped)))
        assert np.allclose(np.multiply(second, [-1, 1, -1]), first, atol=5.0)


@pytest.mark.weights
def test_our_triangles_are_a_sound_surface_close_to_the_official_one(fitter: DenseFitter, shared: Path) -> None:
    from frontalbench.geometry.raster import rasterize

    mean = fitter.basis.mean
    ours = tddfa.triangulate(mean)
    assert np.array_equal(ours, tddfa.triangulate(mean.copy())), "deterministic"
    with (shared / "weights" / "tddfa_v2" / "tri.pkl").open("rb") as handle:
        official = pickle.load(handle).T.astype(np.int64)  # a file of the test data

    def edges(triangles: np.ndarray) -> np.ndarray:
        ends = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1).astype(np.int64)
        return np.unique(ends[:, 0] * len(mean) + ends[:, 1])

    assert len(np.intersect1d(edges(ours), edges(official))) > 0.75 * len(edges(official))
    pixels = mean / 1000.0 + [100.0, 100.0, 0.0]
    a, b = rasterize(pixels, ours, (200, 200)), rasterize(pixels, official, (200, 200))
    both = (a.triangle >= 0) & (b.triangle >= 0)
    assert both.sum() > 0.97 * (b.triangle >= 0).sum()
    assert np.percentile(np.abs(a.depth[both] - b.depth[both]), 97) < 1000.0, "one millimetre, in micrometres"

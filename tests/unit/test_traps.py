"""What libraries of this field do against expectation, and that it does not reach our numbers (the table: docs/traps.md)."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.detect import choose, load_detector
from frontalbench.embed import load_backbone
from frontalbench.embed.base import normalise
from frontalbench.geometry.rotation import matrix_from_angles
from frontalbench.geometry.similarity import ARCFACE_TEMPLATE, align, estimate_similarity

Weight = Callable[..., Path]

HEAD = np.array([[-31, -30, -28], [31, -30, -28], [0, 2, -52], [-25, 38, -30], [25, 38, -30]], np.float64)
"""Eyes, nose tip and mouth corners of a head in millimetres, camera axes."""


def five_points(yaw: float) -> np.ndarray:
    return (HEAD @ matrix_from_angles(yaw).T)[:, :2] * 2.0 + 200.0


def corner_jumps(fit: Callable[[np.ndarray], np.ndarray]) -> float:
    """The largest way in pixels of a crop's corner between two poses 0.05 degrees apart."""
    corners = np.array([[0, 0, 1], [111, 0, 1], [0, 111, 1], [111, 111, 1]], np.float64)

    def places(yaw: float) -> np.ndarray:
        back = cv2.invertAffineTransform(fit(five_points(yaw)))
        return corners @ back.T

    seen = [places(yaw) for yaw in np.arange(0, 80, 0.05)]
    return max(float(np.linalg.norm(after - before, axis=1).max()) for before, after in itertools.pairwise(seen))


def test_a_crop_moves_smoothly_with_the_pose_where_a_robust_fit_jumps() -> None:
    smooth = corner_jumps(lambda points: estimate_similarity(points, ARCFACE_TEMPLATE))
    robust = corner_jumps(lambda points: cv2.estimateAffinePartial2D(points, ARCFACE_TEMPLATE)[0])
    assert smooth < 0.5
    assert robust > 5.0, "if this no longer jumps, docs/traps.md can say so"


@pytest.mark.weights
def test_a_face_cut_out_elsewhere_at_256_is_detected_and_aligned_anew(shared: Path, weight: Weight) -> None:
    """insightface frames multiples of 128 otherwise than 112: scaled down as it is, such a crop loses identity; detected anew it does not."""
    from insightface.utils.face_align import norm_crop

    weight("detector", "scrfd_500m")
    weight("backbone", "w600k_mbf")
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    own, scaled, anew = [], [], []
    for file in sorted((shared / "testdata" / "frll").glob("neutral_front/*.jpg"))[:8]:
        picture = images.decode(file.read_bytes())
        face = choose(detector.detect(picture), (picture.shape[1], picture.shape[0]))
        assert face is not None
        elsewhere = np.ascontiguousarray(norm_crop(picture, np.asarray(face.points, np.float32), image_size=256))
        again = choose(detector.detect(elsewhere), (256, 256))
        assert again is not None
        own.append(align(picture, face.points))
        scaled.append(cv2.resize(elsewhere, (112, 112), interpolation=cv2.INTER_AREA))
        anew.append(align(elsewhere, again.points))
    backbone = load_backbone(cards.find("backbone", "w600k_mbf"))
    base, naive, ours = (normalise(backbone.embed(np.stack(crops)))[0] for crops in (own, scaled, anew))
    assert float(np.mean((base * naive).sum(1))) < 0.9
    assert float(np.mean((base * ours).sum(1))) > 0.95


@pytest.mark.weights
def test_a_view_of_a_picture_gives_what_its_copy_gives(shared: Path, weight: Weight) -> None:
    """Several libraries read the memory of an array as it lies, whatever its strides say."""
    weight("detector", "scrfd_500m")
    weight("backbone", "w600k_mbf")
    weight("landmarks", "face_landmarker")
    from frontalbench.landmarks import load_landmarks

    picture = images.decode((shared / "testdata" / "frll" / "neutral_front" / "002_03.jpg").read_bytes())
    wide = np.dstack([picture, picture[..., :1]])  # four channels
    views = {"channels": wide[:, :, :3], "mirrored twice": picture[:, ::-1].copy()[:, ::-1], "columns first": np.asfortranarray(picture)}
    detector, landmarker = load_detector(cards.find("detector", "scrfd_500m")), load_landmarks(cards.find("landmarks", "face_landmarker"))
    backbone = load_backbone(cards.find("backbone", "w600k_mbf"))
    face = choose(detector.detect(picture), (picture.shape[1], picture.shape[0]))
    assert face is not None
    crop = align(picture, face.points)
    for name, view in views.items():
        assert not view.flags.c_contiguous, name
        found = choose(detector.detect(view), (picture.shape[1], picture.shape[0]))
        assert found is not None
        np.testing.assert_array_equal(found.points, face.points, err_msg=name)
        np.testing.assert_array_equal(align(view, face.points), crop, err_msg=name)
        np.testing.assert_array_equal(landmarker.locate(view, face).points, landmarker.locate(picture, face).points, err_msg=name)
        assert images.encode_png(view) == images.encode_png(picture), name
        assert images.encode_jpeg(view) == images.encode_jpeg(picture), name
    np.testing.assert_array_equal(backbone.embed(np.asfortranarray(crop[None])), backbone.embed(crop[None]))


def test_every_test_that_the_table_of_traps_names_exists(project_root: Path) -> None:
    text = (project_root / "docs" / "traps.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)
    assert len(named) >= 15
    for file, test in named:
        assert f"def {test}(" in (project_root / file).read_text(encoding="utf-8"), f"docs/traps.md names {file}::{test}"

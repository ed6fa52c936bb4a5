"""What libraries of this field do against expectation, and that it does not reach our numbers (the table: docs/traps.md).

With real weights or photographs.
"""

from __future__ import annotations

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
from frontalbench.geometry.similarity import align

Weight = Callable[..., Path]


@pytest.mark.weights
def test_a_face_cut_out_elsewhere_at_256_is_detected_and_aligned_anew(shared: Path, weight: Weight) -> None:
    """insightface frames multiples of 128 otherwise than 112: scaled down as it is, such a crop loses identity; detected anew it does not."""
    from insightface.utils.face_align import norm_crop

    weight("detector", "scrfd_500m")
    weight("backbone", "w600k_mbf")
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    own, scaled, anew = [], [], []
    for file in sorted((shared / "testdata" / "frll").glob("neutral_front/*.jpg"))[:8]:
        image = images.decode(file.read_bytes())
        face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
        assert face is not None
        elsewhere = np.ascontiguousarray(norm_crop(image, np.asarray(face.points, np.float32), image_size=256))
        again = choose(detector.detect(elsewhere), (256, 256))
        assert again is not None
        own.append(align(image, face.points))
        scaled.append(cv2.resize(elsewhere, (112, 112), interpolation=cv2.INTER_AREA))
        anew.append(align(elsewhere, again.points))
    backbone = load_backbone(cards.find("backbone", "w600k_mbf"))
    base, naive, ours = (normalise(backbone.embed(np.stack(crops)))[0] for crops in (own, scaled, anew))
    assert float(np.mean((base * naive).sum(1))) < 0.9
    assert float(np.mean((base * ours).sum(1))) > 0.95


@pytest.mark.weights
def test_a_view_of_an_image_gives_what_its_copy_gives(shared: Path, weight: Weight) -> None:
    """Several libraries read the memory of an array as it lies, whatever its strides say."""
    weight("detector", "scrfd_500m")
    weight("backbone", "w600k_mbf")
    weight("landmarks", "face_landmarker")
    from frontalbench.landmarks import load_landmarks

    image = images.decode((shared / "testdata" / "frll" / "neutral_front" / "002_03.jpg").read_bytes())
    wide = np.dstack([image, image[..., :1]])  # four channels
    views = {"channels": wide[:, :, :3], "mirrored twice": image[:, ::-1].copy()[:, ::-1], "columns first": np.asfortranarray(image)}
    detector, landmarker = load_detector(cards.find("detector", "scrfd_500m")), load_landmarks(cards.find("landmarks", "face_landmarker"))
    backbone = load_backbone(cards.find("backbone", "w600k_mbf"))
    face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
    assert face is not None
    crop = align(image, face.points)
    for name, view in views.items():
        assert not view.flags.c_contiguous, name
        found = choose(detector.detect(view), (image.shape[1], image.shape[0]))
        assert found is not None
        np.testing.assert_array_equal(found.points, face.points, err_msg=name)
        np.testing.assert_array_equal(align(view, face.points), crop, err_msg=name)
        np.testing.assert_array_equal(landmarker.locate(view, face).points, landmarker.locate(image, face).points, err_msg=name)
        assert images.encode_png(view) == images.encode_png(image), name
        assert images.encode_jpeg(view) == images.encode_jpeg(image), name
    np.testing.assert_array_equal(backbone.embed(np.asfortranarray(crop[None])), backbone.embed(crop[None]))

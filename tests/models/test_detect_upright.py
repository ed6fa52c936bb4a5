"""Faces that stand on their head are found by every detector, rotated, measured and aligned as if they stood upright; upright ones are left alone.

With real weights or photographs.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frontalbench import images, status, tables
from frontalbench.catalogue import cards
from frontalbench.datasets.roles import resolve
from frontalbench.detect import DEFAULT_POLICY, Detector, load_detector
from frontalbench.detect import upright as heads
from frontalbench.detect.stream import detect_and_align
from frontalbench.embed import load_backbone
from frontalbench.errors import WeightsMissing
from frontalbench.pose import load_pose
from frontalbench.stages.detect import detect_shard
from frontalbench.stages.frontalize import frontalize_shard
from frontalbench.stages.pose import pose_shard

DEMO = Path(__file__).resolve().parents[2] / "demo" / "synthetic"


NAMES = ["scrfd_500m", "scrfd_2.5g", "yunet", "retinaface_mnet025"]


@pytest.fixture(scope="module", params=NAMES)
def detector(request: pytest.FixtureRequest) -> Detector:
    try:
        return load_detector(cards.find("detector", request.param))
    except WeightsMissing as error:
        pytest.skip(str(error))


def _demo(count: int) -> list[Path]:
    return [sorted(person.glob("GT/*.jpg"))[0] for person in sorted(p for p in DEMO.iterdir() if p.is_dir())[:count]]


@pytest.mark.weights
def test_every_detector_finds_the_turned_face_and_gives_the_crop_of_the_upright_one(detector: Detector) -> None:
    for path in _demo(5):
        image = images.decode(path.read_bytes())
        plain = detect_and_align("a", images.encode_png(image), detector)
        rotated = detect_and_align("b", images.encode_png(heads.rotate(image)), detector)
        assert plain.status == rotated.status == status.OK
        assert (plain.detail, rotated.detail) == ("", heads.NOTE)
        assert plain.crop is not None
        assert rotated.crop is not None
        assert np.abs(plain.crop.astype(int) - rotated.crop).max() <= 2
        assert rotated.points is not None
        assert rotated.points[0, 0] > rotated.points[1, 0]  # the first point is the left eye of the face as it will be rotated


@pytest.mark.weights
def test_real_photographs_from_the_front_are_all_found_and_profiles_raise_no_alarm(shared: Path, detector: Detector) -> None:
    front = sorted((shared / "testdata/frll/neutral_front").glob("*.jpg"))[:30]
    profiles = sorted((shared / "testdata/frll/neutral_left_profile").glob("*.jpg"))[:10]
    cfp = sorted((shared / "testdata/cfp").rglob("profile/*.jpg"))[::40]
    lfw = sorted((shared / "testdata/lfw").rglob("*.jpg"))[::18]
    step = 1 if detector.name == "scrfd_500m" else 7  # all of them by the default detector; docs/architecture.md has the figures of all
    for path in [*front, *profiles, *cfp, *lfw][::step]:
        image = images.decode(path.read_bytes())
        face, note = heads.find_face(image, detector, DEFAULT_POLICY)
        assert face is not None
        assert note == "", path
        if path in front:
            other, note = heads.find_face(heads.rotate(image), detector, DEFAULT_POLICY)
            assert other is not None
            assert note == heads.NOTE, path
            back = heads.rotate_face(other, (image.shape[1], image.shape[0]))
            np.testing.assert_allclose(back.points, face.points, atol=0.01)
            np.testing.assert_allclose(back.box, face.box, atol=0.01)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, each upright and on the head: the images of the second half are those of the first, rotated."""
    rows = []
    for person, path in enumerate(_demo(2)):
        image = images.decode(path.read_bytes())
        for name, pixels in (("a", image), ("b", heads.rotate(image))):
            head = {"image_id": f"{person}/{name}", "identity": str(person), "subject": str(person), "role": "auto", "status": status.OK}
            rows.append({**head, "detail": "", "image": images.encode_png(pixels), "sha256": f"{person}{name}"})
    out = tmp_path_factory.mktemp("heads") / "images.parquet"
    tables.write(out, tables.from_rows(rows, tables.IMAGES))
    crops = out.with_name("crops.parquet")
    detect_shard(out, crops, cards.find("detector", "scrfd_500m"), lambda: load_detector(cards.find("detector", "scrfd_500m")))
    return out


@pytest.mark.weights
def test_pose_is_that_of_the_upright_face_with_half_a_turn_of_roll_and_it_becomes_no_reference(shard: Path, tmp_path: Path) -> None:
    card = cards.find("pose", "tddfa_pose")
    try:
        counts = pose_shard(shard, shard.with_name("crops.parquet"), tmp_path / "pose.parquet", card, lambda: load_pose(card))
    except WeightsMissing as error:
        pytest.skip(str(error))
    if counts.get(status.WEIGHTS_MISSING):
        pytest.skip("the weights of tddfa_pose are out of reach")
    rows = tables.read(tmp_path / "pose.parquet").to_pylist()
    for plain, rotated in zip(rows[::2], rows[1::2], strict=True):
        assert rotated["yaw"] == pytest.approx(plain["yaw"], abs=0.5)
        assert rotated["pitch"] == pytest.approx(plain["pitch"], abs=0.5)
        assert abs(rotated["roll"] - plain["roll"]) == pytest.approx(180.0, abs=0.5)
        assert abs(rotated["roll"]) <= 180.0
    roles = resolve(tables.read(shard, tables.IMAGES), tables.read(tmp_path / "pose.parquet"))
    assert roles == ["reference", "probe"] * 2


@pytest.mark.weights
def test_frontalizers_are_given_the_turned_image(shard: Path, tmp_path: Path) -> None:
    from frontalbench.frontalize import load_frontalizer

    card = cards.find("frontalizer", "identity")
    frontalize_shard(shard, shard.with_name("crops.parquet"), tmp_path / "f.parquet", card, lambda: load_frontalizer(card))
    rows = tables.read(tmp_path / "f.parquet").to_pylist()
    for plain, rotated in zip(rows[::2], rows[1::2], strict=True):
        assert np.array_equal(images.decode(plain["image"]), images.decode(rotated["image"]))


@pytest.mark.weights
def test_detectors_agree_on_who_is_who_in_a_turned_image(detector: Detector) -> None:
    try:
        backbone = load_backbone(cards.find("backbone", "w600k_mbf"))
    except WeightsMissing as error:
        pytest.skip(str(error))
    image = images.decode(_demo(1)[0].read_bytes())
    crops = [detect_and_align("", images.encode_png(p), detector).crop for p in (image, heads.rotate(image))]
    vectors = backbone.embed(np.stack([crop for crop in crops if crop is not None]))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert float(vectors[0] @ vectors[1]) > 0.99

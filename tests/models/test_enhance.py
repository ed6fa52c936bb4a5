"""Enhancements: what each does to pixels, how chains go, what becomes of images that fail.

With real weights or photographs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from frontalbench import images, status
from frontalbench.catalogue import cards, families
from frontalbench.enhance import load_enhancement
from frontalbench.enhance.matting import Modnet
from frontalbench.enhance.super_resolution import SuperResolution
from frontalbench.errors import BadInput
from frontalbench.images import RGB


@pytest.fixture(scope="module")
def portraits(shared: Path) -> list[RGB]:
    """A frontal, a three-quarter and a profile photograph, 256 x 256."""
    folder = shared / "testdata" / "frll"
    files = [folder / view / name for view, name in (("neutral_front", "011_03.jpg"), ("neutral_left_profile", "011_01.jpg"))]
    return [np.asarray(cv2.resize(images.decode(file.read_bytes()), (256, 256), interpolation=cv2.INTER_AREA), np.uint8) for file in files]


def test_sharpening_raises_the_local_contrast_of_a_portrait(portraits: list[RGB]) -> None:
    outcomes = load_enhancement("sharp").enhance(portraits)
    for image, outcome in zip(portraits, outcomes, strict=True):
        assert outcome.image is not None
        before, after = (cv2.Laplacian(cv2.cvtColor(i, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var() for i in (image, outcome.image))
        assert 1.3 < after / before < 4
        assert np.abs(outcome.image.astype(float).mean() - image.mean()) < 0.5


@pytest.mark.weights
def test_the_matte_covers_the_head_and_not_the_wall(portraits: list[RGB], weight: Callable[..., Path]) -> None:
    model = Modnet(weight("matting", "modnet"), side=256)
    front, profile = (model.matte(image) for image in portraits)
    for matte in (front, profile):
        assert matte.shape == (256, 256)
        assert matte[:20, :20].max() < 0.05
        assert matte[:20, -20:].max() < 0.05
    assert front[100:130, 110:145].min() > 0.9  # the nose
    assert profile[110:140, 100:140].min() > 0.9  # the cheek
    assert 0.15 < front.mean() < 0.6


@pytest.mark.weights
def test_without_a_person_the_background_cannot_be_omitted(weight: Callable[..., Path]) -> None:
    weight("matting", "modnet")
    [outcome] = load_enhancement("omit_bg").enhance([np.full((64, 64, 3), 127, np.uint8)])
    assert outcome.status == status.MODEL_ERROR


@pytest.mark.weights
def test_super_resolution_keeps_size_and_image(portraits: list[RGB], weight: Callable[..., Path]) -> None:
    model = SuperResolution("upscale", weight("enhancement", "upscale"), scale=4, longest=48, tile=32, overlap=8)
    odd = np.ascontiguousarray(portraits[0][60:123, 70:167])  # 63 x 97: reduced to 48, in tiles, and back
    small = np.ascontiguousarray(portraits[0][90:120, 100:130])
    for image, outcome in zip((odd, small), model.enhance([odd, small]), strict=True):
        assert outcome.status == status.OK, outcome.detail
        assert outcome.image is not None
        assert outcome.image.shape == image.shape
        difference = outcome.image.astype(float) - image
        assert np.abs(difference.mean()) < 4
        assert np.sqrt((difference**2).mean()) < 16


@pytest.mark.weights
def test_openvino_draws_the_image_of_onnx_runtime(weight: Callable[..., Path]) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed (extra synth)")
    model = weight("enhancement", "upscale")
    image = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
    first, second = (
        SuperResolution("upscale", model, scale=4, longest=32, tile=32, overlap=8, engine=engine).enhance([image])[0].image
        for engine in ("onnxruntime", "openvino")
    )
    assert first is not None and second is not None
    assert np.abs(first.astype(int) - second).max() <= 1


@pytest.mark.weights
def test_openvino_is_refused_for_a_gpu(weight: Callable[..., Path]) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed (extra synth)")
    with pytest.raises(BadInput, match="computes on the CPU only"):
        SuperResolution("upscale", weight("enhancement", "upscale"), engine="openvino", device="cuda")


@pytest.mark.weights
def test_parsing_finds_the_person_and_not_the_wall(portraits: list[RGB], weight: Callable[..., Path]) -> None:
    weight("matting", "face_parsing")
    [front, _] = [families.load(cards.find("matting", "face_parsing")).matte(image) for image in portraits]
    assert front.shape == (256, 256) and front.min() >= 0 and front.max() <= 1
    assert front[:20, :20].max() < 0.05 and front[:20, -20:].max() < 0.05
    assert front[100:130, 110:145].min() > 0.9  # the nose
    assert 0.15 < front.mean() < 0.6


@pytest.mark.weights
@pytest.mark.parametrize("name", ["omit_bg", "omit_bg_parsing", "bg_blur", "bg_mean"])
def test_another_background_leaves_the_face_and_changes_the_wall_as_its_card_says(
    name: str, portraits: list[RGB], weight: Callable[..., Path]
) -> None:
    card = cards.find("enhancement", name)
    weight("matting", card.the("matting").name)
    front = portraits[0].copy()
    front[:60:4, :60] //= 2  # a wall with something on it, to be blurred or evened out
    [outcome] = load_enhancement(name).enhance([front])
    assert outcome.status == status.OK and outcome.image is not None, outcome.detail
    assert np.abs(outcome.image[100:130, 110:145].astype(int) - front[100:130, 110:145]).max() <= 12  # the nose
    corner = outcome.image[4:30, 4:30].astype(float)
    assert corner.std(axis=(0, 1)).max() < 4 < front[4:30, 4:30].astype(float).std(axis=(0, 1)).max()
    if "colour" in card.params:
        assert np.abs(corner - np.asarray(card.params["colour"])).max() <= 8


@pytest.mark.weights
@pytest.mark.parametrize("name", ["blend", "blend_opencv"])
def test_blending_keeps_a_portrait_without_a_seam_and_brings_a_brightened_face_back(
    name: str, portraits: list[RGB], weight: Callable[..., Path]
) -> None:
    for kind, used in (("detector", "scrfd_500m"), ("matting", "face_parsing")):
        weight(kind, used)
    front = portraits[0]
    y, x = np.mgrid[:256, :256]
    face = np.hypot((x - 128) / 36, (y - 122) / 46) < 1.05
    pasted = np.where(face[..., None], np.minimum(front.astype(int) + 25, 255), front).astype(np.uint8)
    plain, back = (one.image for one in load_enhancement(name).enhance([front, pasted]))
    assert plain is not None and back is not None
    inner = np.hypot((x - 128) / 36, (y - 122) / 46) < 0.8
    moved, left = (np.abs(one.astype(int) - front)[inner].mean() for one in (plain, back))
    assert moved < (2.0 if name == "blend" else 10.0), moved  # OpenCV's band loses its shading
    assert left < 0.6 * np.abs(pasted.astype(int) - front)[inner].mean(), left
    assert np.array_equal(plain[:, :60], front[:, :60])  # the wall


@pytest.mark.weights
@pytest.mark.parametrize("name", ["omit_bg", "omit_bg_parsing", "upscale"])
def test_tiny_and_grey_images_are_worked_on_or_refused_with_a_reason(name: str, weight: Callable[..., Path]) -> None:
    card = cards.find("enhancement", name)
    for one in (card, *card.used_cards()):
        if one.weights:
            weight(one.kind, one.name)
    images = [np.full((1, 1, 3), 90, np.uint8), np.full((3, 17, 3), 200, np.uint8), np.full((64, 64, 3), 127, np.uint8)]
    for image, outcome in zip(images, load_enhancement(name).enhance(images), strict=True):
        if outcome.status == status.OK:
            assert outcome.image is not None and outcome.image.shape == image.shape and outcome.image.dtype == np.uint8
            assert np.ptp(outcome.image.astype(int), axis=2).max() <= 3, "grey stays grey"
        else:
            assert outcome.status == status.MODEL_ERROR and "no person found" in outcome.detail

"""Enhancements: what each does to pixels, how chains go, what becomes of images that fail."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontalbench import enhance, status
from frontalbench.catalogue import cards
from frontalbench.enhance import load_enhancement
from frontalbench.enhance.background import OmitBackground
from frontalbench.enhance.base import Enhancement, Refused, each
from frontalbench.enhance.chain import Chain, steps
from frontalbench.enhance.matting import STRIDE, input_size
from frontalbench.enhance.super_resolution import in_tiles
from frontalbench.enhance.unsharp import Unsharp
from frontalbench.errors import BadConfig
from frontalbench.frontalize.base import Outcome
from frontalbench.images import RGB


def noise(height: int = 40, width: int = 56, seed: int = 0) -> RGB:
    """Random pixels without very dark or bright ones, so that nothing clips."""
    return np.random.default_rng(seed).integers(90, 160, (height, width, 3), dtype=np.uint8)


class Fails:
    """Refuses images whose first pixel is black, brightens the others by one."""

    name = "fails"

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        def change(image: RGB) -> RGB:
            if image[0, 0].max() == 0:
                raise Refused("black corner")
            return image + np.uint8(1)

        return each(images, change)


# Names and chains -------------------------------------------------------------------------------------------------------------------------


def test_none_gives_the_same_pixels_back() -> None:
    image = noise()
    [outcome] = load_enhancement("none").enhance([image])
    assert outcome.status == status.OK
    assert outcome.image is not None
    assert np.array_equal(outcome.image, image)


def test_unknown_names_are_refused_with_the_allowed_ones() -> None:
    with pytest.raises(BadConfig, match=r"'shrap' of the chain 'none2\+shrap'|'none2' of the chain") as error:
        load_enhancement("none2+shrap")
    assert "none, omit_bg, " in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("chain", ["", "+", "sharp+", "sharp++omit_bg", "../sharp", "Sharp"])
def test_malformed_chains_are_refused(chain: str) -> None:
    with pytest.raises(BadConfig, match="is not known"):
        enhance.chain_cards(chain)


def test_none_inside_a_chain_is_refused() -> None:
    with pytest.raises(BadConfig, match="leave it out"):
        steps("sharp+none", ["none", "sharp"])


def test_a_chain_is_the_steps_one_after_the_other() -> None:
    image = noise()
    once = load_enhancement("sharp").enhance([image])[0].image
    assert once is not None
    twice = load_enhancement("sharp").enhance([once])[0].image
    chained = load_enhancement("sharp+sharp")
    assert chained.name == "sharp+sharp"
    [outcome] = chained.enhance([image])
    assert np.array_equal(outcome.image, twice)
    assert not np.array_equal(once, twice)


def test_the_digest_of_a_chain_is_made_of_its_cards_digests_in_order() -> None:
    sharp, omit = enhance.digest("sharp"), enhance.digest("omit_bg")
    assert enhance.digest("sharp+omit_bg") == f"{sharp}+{omit}"
    assert enhance.digest("omit_bg+sharp") == f"{omit}+{sharp}"
    assert cards.find("enhancement", "sharp").digest().startswith(sharp)


def test_a_failing_image_keeps_its_place_and_the_step_that_failed() -> None:
    fails: Enhancement = Fails()
    keep = load_enhancement("none")
    images = [noise(seed=1), np.zeros((8, 8, 3), np.uint8), noise(seed=2)]
    outcomes = Chain([keep, fails, Unsharp("sharp", sigma=1, side=256, amount=0, threshold=0)]).enhance(images)
    assert [o.status for o in outcomes] == [status.OK, status.MODEL_ERROR, status.OK]
    assert outcomes[1].image is None
    assert outcomes[1].detail == "fails: black corner"
    assert np.array_equal(outcomes[2].image, images[2] + 1)


def test_any_exception_and_a_result_of_another_shape_become_model_errors() -> None:
    def raises(image: RGB) -> RGB:
        raise cv2.error("inside\nof OpenCV")

    [broken] = each([noise()], raises)
    [cropped] = each([noise()], lambda image: image[1:])
    assert broken.status == cropped.status == status.MODEL_ERROR
    assert "inside of OpenCV" in broken.detail
    assert "(39, 56, 3)" in cropped.detail


def test_an_empty_batch_gives_an_empty_list() -> None:
    assert load_enhancement("sharp").enhance([]) == []


# Sharpening -------------------------------------------------------------------------------------------------------------------------------


def test_sharpening_follows_the_unsharp_formula() -> None:
    image = noise(64, 64, seed=3)
    # At this size the Gaussian has sigma 2 x 64 / 128 = 1; scipy filters independently of OpenCV.
    from scipy.ndimage import gaussian_filter

    luma = image.astype(float) @ np.array([0.299, 0.587, 0.114])
    detail = luma - gaussian_filter(luma, 1.0, mode="mirror", truncate=6)
    detail = np.sign(detail) * np.maximum(np.abs(detail) - 2.0, 0)
    expected = np.clip(np.rint(image + 0.7 * detail[..., None]), 0, 255)
    [outcome] = Unsharp("sharp", sigma=2, side=128, amount=0.7, threshold=2).enhance([image])
    assert outcome.image is not None
    assert np.abs(outcome.image.astype(float) - expected).max() <= 1


@given(st.integers(0, 2**16), st.floats(0.3, 4), st.floats(0, 1.5))
@settings(max_examples=25, deadline=None)
def test_sharpening_leaves_colour_differences_alone(seed: int, sigma: float, amount: float) -> None:
    image = noise(20, 24, seed)
    [outcome] = Unsharp("sharp", sigma=sigma, side=24, amount=amount, threshold=0).enhance([image])
    assert outcome.image is not None
    before, after = image.astype(int), outcome.image.astype(int)
    inside = ((after > 0) & (after < 255)).all(axis=-1)
    assert (np.abs((after[..., 0] - after[..., 2]) - (before[..., 0] - before[..., 2]))[inside] <= 1).all()


def test_a_flat_image_is_not_changed_by_sharpening() -> None:
    image = np.full((1, 1, 3), 77, np.uint8)
    assert np.array_equal(load_enhancement("sharp").enhance([image])[0].image, image)


# Background -------------------------------------------------------------------------------------------------------------------------------


class Half:
    """The left half is person, the middle column half of it."""

    def __init__(self, cover: float = 1.0) -> None:
        self.cover = cover

    def matte(self, image: RGB) -> np.ndarray:
        matte = np.zeros(image.shape[:2], np.float32)
        middle = image.shape[1] // 2
        matte[:, :middle] = self.cover
        matte[:, middle] = 0.5 * self.cover
        return matte


def test_the_matte_mixes_the_person_with_the_colour() -> None:
    image = np.full((4, 9, 3), 200, np.uint8)
    [outcome] = OmitBackground("omit_bg", Half(), colour=(100, 110, 120), smallest=0.02).enhance([image])
    assert outcome.image is not None
    assert outcome.image[0, 0].tolist() == [200, 200, 200]
    assert outcome.image[0, 4].tolist() == [150, 155, 160]
    assert outcome.image[0, 8].tolist() == [100, 110, 120]


@pytest.mark.parametrize("cover", [0.0, 0.02, float("nan")])
def test_an_empty_matte_is_a_model_error(cover: float) -> None:
    [outcome] = OmitBackground("omit_bg", Half(cover), colour=(0, 0, 0), smallest=0.02).enhance([noise()])
    assert outcome.status == status.MODEL_ERROR
    assert "no person found" in outcome.detail


@given(st.integers(1, 5000), st.integers(1, 5000), st.integers(64, 600))
def test_the_networks_input_is_a_bounded_multiple_of_the_stride(width: int, height: int, side: int) -> None:
    sizes = input_size(width, height, side)
    assert all(size % STRIDE == 0 and STRIDE <= size <= 2048 + STRIDE for size in sizes)
    if max(width, height) < 3 * min(width, height):
        assert abs(min(sizes) - side) <= STRIDE


# Super-resolution -------------------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 60), st.integers(1, 60), st.integers(16, 40), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_tiles_give_what_the_whole_image_gives(height: int, width: int, tile: int, grown: int) -> None:
    """For a change that looks no further than the overlap."""
    pixels = np.random.default_rng(height * 61 + width).random((height, width, 3), dtype=np.float32)

    def change(part: np.ndarray) -> np.ndarray:
        blurred = cv2.blur(part, (5, 5), borderType=cv2.BORDER_REPLICATE)
        return np.repeat(np.repeat(blurred, grown, axis=0), grown, axis=1)

    result = in_tiles(pixels, change, tile, 4, grown)
    assert result.shape == (height * grown, width * grown, 3)
    assert np.abs(result - change(pixels)).max() < 1e-6

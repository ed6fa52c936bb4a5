"""One photograph under two names is found by its pixels, and different people in the same studio are not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from frontalbench.commands.prepare_dataset import describe
from frontalbench.datasets import listing, near
from frontalbench.stages import checking
from tests.unit import datasetkit as kit


def photograph(seed: int, side: int = 160) -> Image.Image:
    """Something with the spectrum of a photograph."""
    noise = np.random.default_rng(seed).normal(size=(side, side, 3))
    image = sum(
        np.asarray(Image.fromarray((127 + 100 * noise[..., c]).clip(0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(s)), float)
        for c, s in ((0, 4), (1, 8), (2, 16))
    )
    image = (image - image.min()) / (image.max() - image.min()) * 255
    return Image.fromarray(np.stack([image, image[::-1], image], axis=2).astype(np.uint8))


def stored(image: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    sink = io.BytesIO()
    image.save(sink, kind, **options)
    return sink.getvalue()


CHANGES = {
    "same bytes anew": lambda image: stored(image, quality=95),
    "low quality": lambda image: stored(image, quality=40),
    "half size": lambda image: stored(image.resize((80, 80), Image.Resampling.BICUBIC), quality=85),
    "PNG": lambda image: stored(image, "PNG"),
    "grey": lambda image: stored(image.convert("L"), "PNG"),
    "brighter": lambda image: stored(image.point([min(255, int(1.1 * v + 6)) for v in range(256)] * 3), "PNG"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_image_stored_anew_is_the_same_image(name: str) -> None:
    first, second = (near.signature(data) for data in (stored(photograph(1), quality=92), CHANGES[name](photograph(1))))
    assert float(first @ second) >= near.ALIKE
    assert float(first @ near.signature(stored(photograph(2)))) < 0.5


def test_flat_images_resemble_nothing() -> None:
    flat = np.stack([near.signature(kit.image(value, (64, 64))) for value in (10, 10, 200)])
    assert not flat.any() and near.pairs(flat, "abc") == near.Found((), 0, 0)


def test_pairs_are_found_across_the_blocks_they_are_compared_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "_BLOCK", 3)
    vectors = np.eye(10, 16, dtype=np.float32)
    vectors[7] = vectors[1]
    vectors[8] = vectors[1]
    vectors[5] = vectors[4]
    found = near.pairs(vectors, list("aaaaabaaba"))
    assert [(pair.first, pair.second) for pair in found.across] == [(1, 8), (4, 5), (7, 8)]
    assert (found.apart, found.within) == (3, 1)
    assert near.pairs(vectors, list("aaaaabaaba"), ["clip"] * 4 + [""] * 6) == found, "neither of the pair 1 and 7 is enough"
    both = near.pairs(vectors, list("aaaaabaaba"), ["clip"] * 8 + [""] * 2)
    assert (both.apart, both.within, both.frames) == (3, 0, 1)
    assert near.pairs(vectors, list("aaaaabaaba"), [""] * 10) == found, "no sequence is no recording of its own"
    monkeypatch.setattr(near, "MOST_PAIRS", 1)
    found = near.pairs(vectors, list("aaaaabaaba"))
    assert [(pair.first, pair.second) for pair in found.across] == [(1, 8)] and found.apart == 3


def test_a_check_names_near_identical_images_across_people_that_a_byte_hash_misses(tmp_path: Path) -> None:
    for number in range(6):
        kit.put(tmp_path / f"p{number}" / "GT" / "1.jpg", stored(photograph(number), quality=92))
    kit.put(tmp_path / "p3" / "Angle" / "2.jpg", stored(photograph(1), quality=60))
    kit.put(tmp_path / "p4" / "Angle" / "again.jpg", stored(photograph(4), quality=60))
    kit.put(tmp_path / "p5" / "Angle" / "cut.jpg", stored(photograph(9), quality=90)[:2000])
    card = kit.card("folder", tmp_path)
    found = checking.check(card, cache=listing.FileCache(None, tmp_path))
    assert found.report.duplicates == ()
    assert found.pixels is not None
    (twice,) = found.pixels.across
    assert (twice.first, twice.second) == ("p1/GT/1.jpg", "p3/Angle/2.jpg") and twice.correlation > near.ALIKE
    assert (found.pixels.apart, found.pixels.within, found.pixels.compared) == (1, 1, 8)
    assert any(line.startswith("p5/Angle/cut.jpg: ") for line in found.report.problems)
    assert checking.check(card, cache=listing.FileCache(None, tmp_path), pixels=False).pixels is None


def test_frames_of_one_sequence_are_expected_to_be_alike_and_the_same_frame_in_another_sequence_is_not(tmp_path: Path) -> None:
    """Three frames of a still recording, one of them once more in the person's other recording, and once in another person's."""
    for number in range(3):
        kit.put(tmp_path / "ann" / "walk" / f"{number}.jpg", stored(photograph(1), quality=92 - number))
    kit.put(tmp_path / "ann" / "sit" / "0.jpg", stored(photograph(1), quality=60))
    kit.put(tmp_path / "ann" / "GT" / "a.jpg", stored(photograph(3), quality=90))
    kit.put(tmp_path / "bob" / "walk" / "0.jpg", stored(photograph(1), quality=50))
    kit.put(tmp_path / "bob" / "GT" / "b.jpg", stored(photograph(4), quality=90))
    card = kit.card("video", tmp_path, options={"every": 1})
    found = checking.check(card, cache=listing.FileCache(None, tmp_path))
    assert found.pixels is not None
    assert (found.pixels.frames, found.pixels.within, found.pixels.apart) == (3, 3, 4)
    said = describe(card, found)
    assert "4 pairs across people, 3 within a person (7 pictures compared); 3 more between frames of one sequence" in said

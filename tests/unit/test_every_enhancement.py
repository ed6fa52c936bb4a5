"""What holds for every enhancement that has a card: loaded as its card says, params and all, with stand-ins for networks and weights.

What each one does to pixels is in the tests of its own; a card that is added is held by these without a line here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from frontalbench import status
from frontalbench.catalogue import cards, families
from frontalbench.catalogue.cards import ModelCard
from frontalbench.detect.base import Detections
from frontalbench.embed import gradient
from frontalbench.enhance import codeformer, gfpgan, load_enhancement, restoreformer, super_resolution
from frontalbench.enhance.base import Enhancement, apply
from frontalbench.errors import BadConfig
from frontalbench.frontalize.base import Outcome
from frontalbench.images import RGB
from frontalbench.quality import st_lpips
from frontalbench.weights import store
from tests.unit.test_corrections import Eyes, Fixed, portrait
from tests.unit.test_enhance_package import package
from tests.unit.test_refinement import Toy, away

ALL = {card.name: card for card in cards.all_cards("enhancement")}
LOOKS_FOR_A_FACE = sorted(name for name, card in ALL.items() if any(used.kind == "detector" for used in card.used_cards()))
BACKGROUNDS = sorted(name for name, card in ALL.items() if card.family == "background")
REFINERS = sorted(name for name, card in ALL.items() if card.family == "identity_refine")
TWICE_IS_ONCE = {"none", "border", "color", "deblock", "frame", "blend", *BACKGROUNDS} - {"bg_blur"}
"""Where a second run should find nothing left to do. A second sharpening, denoising, restoration, super-resolution or refinement works on what the
first one made; a blurred background gets softer; OpenCV's clone fills the band anew."""


class Restored(nn.Module):
    """Stands in for a network of faces: the face a little brighter."""

    def forward(self, face: Tensor, fidelity: float = 0.5) -> Tensor:
        return face + 0.1 * (1.0 + fidelity)


class Finds(Eyes):
    """The drawn eyes, or where they were before their colours changed; no face in images of one colour or of another size."""

    def detect(self, image: RGB) -> Detections:
        found = super().detect(image)
        return found if len(found.points) or image.shape != (160, 140, 3) or image.std() < 1 else Fixed().detect(image)


class Person:
    """Matting and parsing: the person is the middle half, nearly all is skin; nobody is there where ``empty``."""

    def __init__(self) -> None:
        self.empty = False

    def matte(self, image: RGB) -> np.ndarray:
        matte = np.zeros(image.shape[:2], np.float32)
        if not self.empty:
            matte[:, image.shape[1] // 4 : -(-3 * image.shape[1] // 4)] = 1.0
        return matte

    def probabilities(self, image: RGB) -> np.ndarray:
        likely = np.zeros((32, 32, 19), np.float32)
        likely[:, 3:29, 0 if self.empty else 1] = 1.0
        likely[:, :3, 0] = likely[:, 29:, 0] = 1.0
        return likely


PERSON = Person()


def four_times(model: Any, threads: int, device: str) -> super_resolution.Network:
    return lambda pixels: pixels.repeat(4, axis=2).repeat(4, axis=3)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    """``loaded.of(name)``: the enhancement of a card by its own loader."""
    with pytest.MonkeyPatch.context() as patch:
        whole = families.load

        def load(card: ModelCard, **options: Any) -> Any:
            if card.kind == "enhancement" and card.family != "external":
                return whole(card, **options)
            return {"detector": Finds(), "matting": PERSON}.get(card.kind) or package(tmp_path_factory.mktemp("package"))

        patch.setattr(families, "load", load)
        patch.setattr(store, "fetch", lambda card, key="model", **_: Path("weights"))
        for module in (gfpgan, codeformer, restoreformer):
            patch.setattr(module, "load_network", lambda path, **_: Restored())
        patch.setattr(super_resolution, "_by_onnxruntime", four_times)
        patch.setattr(gradient, "load_recognizer", lambda card, **_: Toy(len(card.name)))
        patch.setattr(st_lpips, "distance_to", lambda card, device, reduced: away)
        kept: dict[str, Enhancement] = {}

        def of(name: str) -> Enhancement:
            if name not in kept:
                kept[name] = load_enhancement(name)
            return kept[name]

        yield SimpleNamespace(of=of)


def run(enhancement: Enhancement, images: list[RGB], photograph: RGB | None = None) -> list[Outcome]:
    return apply(enhancement, images, [photograph if photograph is not None else one for one in images])


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(ALL))
def test_the_images_of_a_batch_keep_size_type_and_place_and_the_input_stays(name: str, loaded: SimpleNamespace) -> None:
    first, second = portrait(), portrait(seed=1, light=0.9)
    black, photograph = np.zeros_like(first), portrait(light=0.85, seed=2)
    images = [first, black, second, first]
    before = [one.copy() for one in images]
    outcomes = run(loaded.of(name), images, photograph)
    assert all(np.array_equal(one, old) for one, old in zip(images, before, strict=True))
    assert [one.status for one in outcomes[::2]] == [status.OK] * 2, [one.detail for one in outcomes]
    assert outcomes[1].status == (status.NO_FACE if name in LOOKS_FOR_A_FACE else status.OK), outcomes[1].detail
    for image, outcome in zip(images, outcomes, strict=True):
        assert (outcome.image is None) == (outcome.status != status.OK)
        if outcome.image is not None:
            assert (outcome.image.shape, outcome.image.dtype) == (image.shape, np.uint8)
            assert outcome.seconds >= 0.0
    assert np.array_equal(outcomes[0].image, outcomes[3].image)


@pytest.mark.parametrize("name", sorted(ALL))
def test_tiny_and_grey_images_are_worked_on_or_refused_with_a_reason(name: str, loaded: SimpleNamespace) -> None:
    random = np.random.default_rng(0)
    tiny = [random.integers(0, 255, (height, width, 3), dtype=np.uint8) for height, width in ((1, 1), (1, 2), (9, 1), (4, 5), (16, 17))]
    grey = [np.full((40, 60, 3), level, np.uint8) for level in (0, 128, 255)]
    for image, outcome in zip([*tiny, *grey], run(loaded.of(name), [*tiny, *grey]), strict=True):
        if outcome.image is None:
            assert outcome.status in status.FAILURE_TO_ACQUIRE and outcome.detail and "Error" not in outcome.detail, outcome.detail
            continue
        assert (outcome.image.shape, outcome.image.dtype) == (image.shape, np.uint8)
        if len(image) == 40:
            assert np.ptp(outcome.image.astype(int), axis=2).max() <= 2, "grey stays grey"


@pytest.mark.parametrize("name", sorted(ALL))
def test_nothing_wraps_around_at_black_and_white(name: str, loaded: SimpleNamespace) -> None:
    image = portrait(light=1.6)
    image[:30], image[130:] = 255, 4  # 0 itself would be a border
    outcome = run(loaded.of(name), [image])[0]
    assert outcome.image is not None, outcome.detail
    person = slice(45, 95)  # the background may become anything
    made = outcome.image[:, person]
    if name != "frame":  # which moves the image
        assert made[:24].min() >= 200 and made[136:].max() <= 60


@pytest.mark.parametrize("name", sorted(TWICE_IS_ONCE))
def test_a_second_run_finds_next_to_nothing_to_do(name: str, loaded: SimpleNamespace) -> None:
    image, photograph = portrait(), portrait(light=0.85, seed=2)
    image[:, :9] = 0
    enhancement = loaded.of(name)
    once = run(enhancement, [image], photograph)[0].image
    assert once is not None
    twice = run(enhancement, [once], photograph)[0].image
    assert twice is not None
    change, first = (np.abs(a.astype(int) - b).mean() for a, b in ((twice, once), (once, image)))
    assert change <= max(0.3, 0.1 * first)


@pytest.mark.parametrize("name", BACKGROUNDS)
def test_a_image_without_a_person_in_it_is_refused(name: str, loaded: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PERSON, "empty", True)
    outcome = run(loaded.of(name), [portrait()])[0]
    assert (outcome.status, "no person found" in outcome.detail) == (status.MODEL_ERROR, True)


@pytest.mark.parametrize("name", REFINERS)
def test_a_refinement_stays_within_its_card_s_bound_and_comes_nearer_to_the_photograph(name: str, loaded: SimpleNamespace) -> None:
    image, photograph = portrait(), portrait(seed=1, light=0.9)
    outcome = run(loaded.of(name), [image], photograph)[0]
    assert outcome.image is not None, outcome.detail
    assert 0 < np.abs(outcome.image.astype(int) - image).max() <= ALL[name].params["radius"]
    pairs = outcome.detail.removeprefix("similarity to the photograph: ").split(", ")
    assert {pair.split()[0] for pair in pairs} == set(ALL[name].trained_with)
    assert sum(float(pair.split()[3]) - float(pair.split()[1]) for pair in pairs) > 0


@pytest.mark.parametrize("name", sorted(name for name, card in ALL.items() if card.family != "external"))
def test_a_param_that_the_card_s_family_does_not_know_is_refused(name: str, loaded: SimpleNamespace) -> None:
    card = ALL[name]
    with pytest.raises(BadConfig, match="sharpnes"):
        families.load(dataclasses.replace(card, params={**card.params, "sharpnes": 1}))


def test_networks_that_give_no_numbers_end_as_a_row_of_their_image(loaded: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Restored, "forward", lambda self, face, fidelity=0.5: torch.full_like(face, float("nan")))
    for name in ("gfpgan_full", "gfpgan_detail", "codeformer", "restoreformer"):
        [outcome] = run(loaded.of(name), [portrait()])
        assert (outcome.status, outcome.image) == (status.MODEL_ERROR, None)
        assert "not numbers" in outcome.detail

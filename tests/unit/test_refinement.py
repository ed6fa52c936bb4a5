"""Refinement towards the photograph's embedding: what it may change, that its loss never rises, and who may not judge it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench import status
from frontalbench.catalogue import cards
from frontalbench.detect.base import Detections
from frontalbench.enhance import identity_refine
from frontalbench.enhance.identity_refine import Losses, Recipe, Refine, descend, drawn, variation
from frontalbench.errors import BadConfig
from frontalbench.geometry.oval import reach_map
from frontalbench.geometry.similarity import ARCFACE_TEMPLATE, align, alignment_matrix
from frontalbench.images import RGB
from frontalbench.plan.grid import cell
from frontalbench.tabulate import facts
from tests.unit.test_corrections import Fixed, portrait


class Toy(nn.Module):
    """A small network with the interface of a recognizer."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        random = torch.Generator().manual_seed(seed)
        self.register_buffer("first", torch.randn(8, 3, 5, 5, generator=random) / 9)
        self.register_buffer("second", torch.randn(16, 8, 3, 3, generator=random) / 9)

    def forward(self, crops: Tensor) -> tuple[Tensor, list[Tensor]]:
        x = functional.conv2d((crops - 127.5) / 127.5, self.get_buffer("first"), stride=4)
        x = functional.conv2d(torch.tanh(x), self.get_buffer("second"), stride=4)
        return functional.normalize(x.flatten(1)), [x]


def away(first: Tensor):  # type: ignore[no-untyped-def]
    return lambda second: ((second - first) / 255.0).square().mean()


def crop(seed: int) -> Tensor:
    image = align(portrait(seed=seed, marked=False), ARCFACE_TEMPLATE * 0.8 + (30, 20))
    return torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32))


def losses(recipe: Recipe, networks: dict[str, nn.Module] | None = None) -> Losses:
    used = networks or {"toy": Toy(0)}
    return Losses(used, {name: network(crop(1))[0] for name, network in used.items()}, crop(0), away, recipe)


RECIPES = [
    Recipe(steps=12),
    Recipe(steps=12, radius=1, grid=112, smooth=0.0),
    Recipe(steps=12, radius=200, grid=4, smooth=0.0),
    Recipe(steps=12, views=4, alike=0.0),
]


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_loss_never_rises_and_no_pixel_leaves_its_bound_or_the_face(recipe: Recipe) -> None:
    found = descend(losses(recipe), recipe)
    assert all(later < earlier for earlier, later in zip(found.losses, found.losses[1:], strict=False))
    assert len(found.losses) > 3
    assert np.abs(found.change).max() <= recipe.radius + 1e-4
    assert not found.change[reach_map(112) > 1.1].any()


def test_gradients_that_mislead_are_answered_with_smaller_steps_or_none() -> None:
    class Wrong(nn.Module):
        """Says that every change makes it worse, whichever way its gradient points."""

        def forward(self, crops: Tensor) -> tuple[Tensor, list[Tensor]]:
            off = (crops - crop(0)).abs().mean()
            return torch.stack([1.0 - off, off])[None] + 0.0 * crops.sum(), []

    recipe = Recipe(steps=5, alike=0.0, smooth=0.0)
    found = descend(Losses({"w": Wrong()}, {"w": torch.tensor([[1.0, 0.0]])}, crop(0), None, recipe), recipe)
    assert len(found.losses) == 1
    assert not found.change.any()


@pytest.mark.parametrize("recipe", [Recipe(steps=0), Recipe(radius=0)])
def test_without_steps_or_radius_nothing_changes(recipe: Recipe) -> None:
    assert not descend(losses(recipe), recipe).change.any()


def test_a_change_of_few_nodes_is_smooth_and_the_same_is_found_again() -> None:
    coarse, fine = (descend(losses(r), r).change for r in (Recipe(steps=8, grid=6, smooth=0), Recipe(steps=8, grid=112, smooth=0)))
    rough = [np.abs(np.diff(one[20:90, 20:90], axis=0)).mean() / np.abs(one).mean() for one in (coarse, fine)]
    assert rough[0] < 0.5 * rough[1]
    assert np.array_equal(coarse, descend(losses(Recipe(steps=8, grid=6, smooth=0)), Recipe(steps=8, grid=6, smooth=0)).change)


def test_total_variation_of_a_ramp_is_its_slope() -> None:
    ramp = torch.arange(10.0).repeat(10, 1)[None, None] * 3
    assert float(variation(ramp)) == pytest.approx(3.0, abs=2e-3)


@pytest.mark.parametrize("radius", [1, 7])
def test_what_is_drawn_into_the_image_stays_within_the_radius(radius: int) -> None:
    image = np.random.default_rng(0).integers(0, 256, (160, 140, 3), dtype=np.uint8)
    change = np.random.default_rng(1).uniform(-2 * radius, 2 * radius, (112, 112, 3)).astype(np.float32)
    made = drawn(image, change, alignment_matrix(ARCFACE_TEMPLATE * 0.8 + (30, 20)), radius)
    difference = np.abs(made.astype(int) - image)
    assert 0 < difference.max() <= radius
    assert not difference[:15].any()


def refine(networks: dict[str, nn.Module], recipe: Recipe, detector: object | None = None) -> Refine:
    return Refine("refine", detector or Fixed(), networks, away, recipe)  # type: ignore[arg-type]


def test_the_image_comes_nearer_to_its_photograph_for_every_refiner_and_its_row_says_how_much() -> None:
    image, photograph = portrait(seed=0, marked=False), portrait(seed=1, light=0.9, marked=False)
    [outcome] = refine({"a": Toy(0), "b": Toy(1)}, Recipe(steps=10, radius=20)).enhance_beside([image], [photograph])
    assert outcome.status == status.OK, outcome.detail
    words = outcome.detail.removeprefix("similarity to the photograph: ").split(", ")
    for name, word in zip("ab", words, strict=True):
        key, before, _, after = word.split()
        assert key == name
        assert float(after) > float(before)
    assert outcome.image is not None
    assert 0 < np.abs(outcome.image.astype(int) - image).max() <= 20


def test_an_image_that_is_its_own_photograph_is_left_alone() -> None:
    image = portrait(marked=False)
    [outcome] = refine({"a": Toy(0)}, Recipe()).enhance_beside([image], [image])
    assert outcome.image is not None
    assert np.abs(outcome.image.astype(int) - image).max() <= 1


def test_without_a_face_or_a_photograph_the_row_says_so() -> None:
    class Blind(Fixed):
        def detect(self, image: RGB) -> Detections:
            return Detections.none() if image.max() == 0 else super().detect(image)

    image, black = portrait(marked=False), np.zeros((160, 140, 3), np.uint8)
    outcomes = refine({"a": Toy(0)}, Recipe(steps=1), Blind()).enhance_beside([image, black, image], [black, image, None])
    assert [one.status for one in outcomes] == [status.NO_FACE, status.NO_FACE, status.MODEL_ERROR]
    assert ["photograph" in one.detail for one in outcomes] == [True, False, True]


# Who may not judge it ----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["identity_refine", "identity_refine_two"])
def test_a_refiner_that_is_not_declared_is_refused_in_one_line(name: str) -> None:
    card = cards.find("enhancement", name)
    refiners = [used.name for used in card.used_cards() if used.kind == "backbone"]
    assert set(card.trained_with) == set(refiners)
    for left in refiners:
        with pytest.raises(BadConfig, match=f"trained_with should name '{left}'") as error:
            identity_refine.load(dataclasses.replace(card, trained_with=tuple(one for one in refiners if one != left)))
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(("key", "value"), [("grid", 113), ("views", 5), ("radius", 256), ("steps", -1), ("alike", "much")])
def test_params_that_make_no_sense_are_refused(key: str, value: object) -> None:
    card = cards.find("enhancement", "identity_refine")
    with pytest.raises(BadConfig, match=key):
        identity_refine.load(dataclasses.replace(card, params={**card.params, key: value}))


def test_a_refiner_that_is_also_a_judge_is_a_leak_alone_and_in_a_chain_and_an_independent_one_is_none() -> None:
    variants = ("mirror.identity_refine", "mirror.sharp+identity_refine", "mirror.identity_refine_two", "mirror.sharp")
    cells = [
        cell("synthetic", variant, "scrfd_500m", backbone) for variant in variants for backbone in ("w600k_mbf", "sface", "edgeface_s")
    ]
    found = facts.from_cards(cells)
    leaks = {(one.variant, one.backbone) for one in cells if found.leak(one)}
    assert leaks == {
        ("mirror.identity_refine", "w600k_mbf"),
        ("mirror.sharp+identity_refine", "w600k_mbf"),
        ("mirror.identity_refine_two", "w600k_mbf"),
        ("mirror.identity_refine_two", "sface"),
    }


def test_a_judge_with_the_refiner_s_bytes_under_another_name_is_the_same_network(tmp_path: Path) -> None:
    one, other = cards.find("backbone", "w600k_mbf"), cards.find("backbone", "sface")
    copy = dataclasses.replace(one, name="my_copy")
    same = facts.same_networks([one, other, copy])
    assert same == {"w600k_mbf": {"w600k_mbf", "my_copy"}, "my_copy": {"w600k_mbf", "my_copy"}, "sface": {"sface"}}

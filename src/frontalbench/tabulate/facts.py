"""What the cards say about the cells of a run: leaks, verification levels, synthetic people."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from frontalbench.compare import derived, feature

LEVELS = ("none", "contract", "real-weights", "golden")
"""Verification levels, weakest first."""
ORIGINAL = "original"


@dataclass(frozen=True, order=True)
class Cell:
    """One cell and its files. ``scores`` may be None: error rates are then left out."""

    dataset: str
    variant: str
    detector: str
    backbone: str
    similarity: Path = field(compare=False)
    scores: Path | None = field(compare=False, default=None)

    @property
    def judge(self) -> tuple[str, str]:
        return self.detector, self.backbone

    @property
    def recipe(self) -> str:
        found = derived.parse(self.variant)
        return self.variant.partition(":")[0] if found is not None else ""

    @property
    def parts(self) -> tuple[str, str]:
        """(frontalizer, enhancement), both empty for `original`."""
        frontalizer, _, enhancement = derived.base_variant(self.variant).partition(".")
        return ("", "") if frontalizer == ORIGINAL else (frontalizer, enhancement)

    @property
    def models(self) -> list[tuple[str, str]]:
        """(kind, name) of every card that the cell stands on."""
        frontalizer, enhancement = self.parts
        steps = [("enhancement", step) for step in enhancement.split("+") if step]
        maps = [(feature.KIND, feature.card_name(self.backbone))] if self.recipe == feature.RECIPE else []
        return [
            *([("frontalizer", frontalizer)] if frontalizer else []),
            *steps,
            *maps,
            ("detector", self.detector),
            ("backbone", self.backbone),
        ]


def cell_of(path: str | os.PathLike[str]) -> Cell:
    """The cell of ``.../<dataset>/<variant>/<detector>/<backbone>.parquet``; its scores lie beside it where there are any."""
    file = Path(path)
    scores = file.with_name(f"{file.name.removesuffix('.parquet')}.scores.parquet")
    dataset, variant, detector = file.parts[-4:-1]
    return Cell(dataset, variant, detector, file.name.removesuffix(".parquet"), file, scores if scores.is_file() else None)


@dataclass(frozen=True)
class Facts:
    """``trained_with``: (kind, name) -> backbones used inside its training; ``level``: (kind, name) -> verification level;
    ``synthetic``: datasets of people who do not exist; ``edges``: dataset -> edges of its \\|yaw\\| bins."""

    trained_with: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)
    level: Mapping[tuple[str, str], str] = field(default_factory=dict)
    synthetic: frozenset[str] = frozenset()
    edges: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def leak(self, cell: Cell) -> bool:
        """Whether the cell's backbone took part in training one of the models that made its pixels."""
        return any(cell.backbone in self.trained_with.get(model, frozenset()) for model in cell.models if model[0] != "backbone")

    def verified(self, cell: Cell) -> str:
        """The weakest level among the cell's cards."""
        return min((self.level.get(model, LEVELS[0]) for model in cell.models), key=LEVELS.index)

    def head(self, cell: Cell) -> dict[str, Any]:
        """The columns that every table about cells starts with."""
        frontalizer, enhancement = cell.parts
        return {
            "dataset": cell.dataset,
            "synthetic": cell.dataset in self.synthetic,
            "variant": cell.variant,
            "recipe": cell.recipe,
            "frontalizer": frontalizer,
            "enhancement": enhancement,
            "detector": cell.detector,
            "backbone": cell.backbone,
            "leak": self.leak(cell),
            "verified": self.verified(cell),
        }


def from_cards(cells: Iterable[Cell], edges: Mapping[str, Sequence[float]] | None = None) -> Facts:
    """Facts of the cells' cards; ``edges`` (dataset -> bin edges) come before those of the dataset cards. Raises :class:`BadConfig` when a card
    does not exist."""
    from frontalbench import datasets
    from frontalbench.catalogue import cards

    trained: dict[tuple[str, str], frozenset[str]] = {}
    level: dict[tuple[str, str], str] = {}
    names: set[str] = set()
    maps = {card.name for card in cards.all_cards(feature.KIND)}
    for cell in cells:
        names.add(cell.dataset)
        for kind, name in cell.models:
            if (kind, name) not in level and (kind != feature.KIND or name in maps):
                card = cards.find(kind, name)
                trained[kind, name] = frozenset(card.trained_with)
                said = str(card.data.get("verified", {}).get("level", LEVELS[0]))
                # Where there are no weights, the tested contract is all there is to verify: it limits nothing.
                level[kind, name] = LEVELS[-1] if said == "contract" and not card.weights and not card.uses else said
    found = {name: datasets.find(name) for name in sorted(names)}
    return Facts(
        trained,
        level,
        frozenset(name for name, card in found.items() if card.data.get("synthetic")),
        {name: tuple((edges or {}).get(name, card.yaw_bins)) for name, card in found.items()},
    )

"""Lists of cards for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate

from frontalbench import datasets
from frontalbench.catalogue import cards, external, modeltable
from frontalbench.errors import BadConfig
from frontalbench.weights import foreign, store

LEVELS = ("golden", "real-weights", "contract", "none")
"""How far a card is verified, best first (docs/cards.md)."""
DATASETS = "datasets"


@dataclass(frozen=True)
class Row:
    """One card. ``weights``: present, mirror or absent (:func:`_state`), and empty for a dataset;
    ``need``: how much there is to fetch, and which way."""

    name: str
    kind: str
    title: str
    verified: str
    weights: str
    need: str


def kinds() -> list[str]:
    """The words for kinds of cards: the folders that they lie in."""
    return [*cards.FOLDERS.values(), DATASETS]


def rows(kind: str | None = None, *, verified: Sequence[str] | None = None, weights: str | None = None) -> list[Row]:
    """The cards of ``kind`` (None: all models), filtered. Raises BadConfig for a card that does not fit its schema, and for a filter that datasets
    do not know."""
    if kind == DATASETS:
        if verified or weights:
            raise BadConfig("datasets have no weights and no level; leave out --verified and --weights")
        return [Row(name, "dataset", datasets.find(name).title, "", "", "") for name in datasets.names()]
    wanted = {folder: word for word, folder in cards.FOLDERS.items()}.get(kind) if kind else None
    found = []
    for card in cards.all_cards(wanted):
        level = str(card.data["verified"]["level"])
        state = max((_state(each) for each in (card, *_all_used(card))), key=(store.PRESENT, store.MIRROR, store.ABSENT).index)
        if (not verified or level in verified) and (weights is None or weights == state):
            found.append(Row(card.name, card.kind, card.title, level, state, modeltable.weights_words(card)))
    return found


def _state(card: cards.ModelCard) -> str:
    """Where the weights of one card are. A foreign system whose files, repository or environment are not on this machine is absent: it would draw
    nothing."""
    if external.KEY in card.data and foreign.lacks(card):
        return store.ABSENT
    return store.status(card).state


def _all_used(card: cards.ModelCard) -> list[cards.ModelCard]:
    return [each for used in card.used_cards() for each in (used, *_all_used(used))]


def table(found: Sequence[Row]) -> str:
    """``found`` as aligned text; a line that says so where there are none."""
    if not found:
        return "no such card\n"
    if all(row.kind == "dataset" for row in found):
        return f"{tabulate([(row.name, row.title) for row in found], headers=['card', 'what'])}\n"
    lines = [(row.name, row.kind, row.verified, row.weights, row.need, row.title) for row in found]
    return f"{tabulate(lines, headers=['card', 'kind', 'verified', 'weights', 'fetched', 'what'], disable_numparse=True)}\n"


def names(found: Sequence[Row]) -> str:
    """The names alone, one a line."""
    return "".join(f"{row.name}\n" for row in found)

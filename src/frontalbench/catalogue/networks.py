"""Which enhancement cards run the same network on the same image, so that it runs once for all of them."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Final

from frontalbench.catalogue.cards import ModelCard

FINISHING: Final[Mapping[str, frozenset[str]]] = dict.fromkeys(
    ("codeformer", "gfpgan", "restoreformer"), frozenset({"mode", "sigma", "feather"})
)
"""Family of enhancements that work in two steps (:mod:`frontalbench.enhance.drawn`) -> the params that only the second step reads."""

PATTERN: Final = r"[a-z0-9_]+-[0-9a-f]{12}"
"""What :func:`network` gives, as a regular expression."""


@functools.cache
def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("ascii")).hexdigest()[:12]


def network(card: ModelCard) -> str:
    """The name of what a card's first step depends on (family, weights, used cards, its params): equal for cards that share it, "" for a card that
    works in one step."""
    if card.kind != "enhancement" or card.family not in FINISHING:
        return ""
    content = {
        "params": {key: value for key, value in card.params.items() if key not in FINISHING[card.family]},
        "weights": {key: weight.sha256 for key, weight in card.weights.items()},
        "uses": [used.digest() for used in card.used_cards()],
    }
    return f"{card.family}-{_digest(json.dumps(content, sort_keys=True))}"

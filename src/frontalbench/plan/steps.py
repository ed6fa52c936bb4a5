"""Of a chain of enhancements, what its last step works on: the shorter chain's images, and the faces that a shared network drew of them."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from frontalbench.catalogue import cards, networks
from frontalbench.errors import BadConfig
from frontalbench.plan import grid
from frontalbench.plan.used import UsedCards
from frontalbench.plan.variant import PLAIN, Variant, made, parse


class Steps:
    """Asked with the wildcards of a rule: ``dataset``, ``frontalizer``, ``enhancement`` (a chain), ``shard``."""

    def __init__(self, used: UsedCards) -> None:
        self._used = used

    def _of(self, wildcards: Any) -> Variant:
        return parse(made(wildcards.frontalizer, wildcards.enhancement))

    def last(self, wildcards: Any) -> str:
        """The card of the last step."""
        return self._of(wildcards).steps[-1]

    def before(self, wildcards: Any) -> str:
        """The variant that the last step works on."""
        return self._of(wildcards).before

    def drawn(self, wildcards: Any) -> list[str]:
        """The table of faces that the last step puts into the images; none where it works in one step."""
        network = self._network(self.last(wildcards))
        return [grid.drawn_path(wildcards.dataset, self.before(wildcards), network, wildcards.shard)] if network else []

    @functools.cache  # noqa: B019
    def _network(self, name: str) -> str:
        return networks.network(self._used.card("enhancement", name))

    def options(self, wildcards: Any, drawn: Sequence[str]) -> list[str]:
        """What tells enhance.py that only the last step is left, and where the drawn faces are."""
        done = parse(self.before(wildcards)).enhancement
        return [*([f"--after {done}"] if done != PLAIN else []), *(f"--drawn {path}" for path in drawn)]

    @functools.cache  # noqa: B019 - one plan per process, whose jobs ask a thousand times
    def card(self, network: str) -> str:
        """The card that a network is run by: of those that share it the one with the fewest params, which is edited least. Raises BadConfig where
        none has it."""
        found = [(len(card.params), card.name) for card in cards.all_cards("enhancement") if networks.network(card) == network]
        if not found:
            raise BadConfig(f"no enhancement card has the network '{network}'")
        return min(found)[1]

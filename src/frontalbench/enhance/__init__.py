"""Post-processing of images: sharpening, background removal, super-resolution, restoration, and chains of them.

One entry: :func:`load_enhancement` by name or chain; :func:`digest` says what a chain's result depends on.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.enhance.base import Enhancement
    from frontalbench.enhance.drawn import Drawer, Finisher


def chain_cards(chain: str, root: str | os.PathLike[str] | None = None) -> tuple[ModelCard, ...]:
    """The cards of ``chain`` (``sharp+omit_bg``), in order. Raises :class:`~frontalbench.errors.BadConfig` with the allowed names."""
    from frontalbench.catalogue import cards
    from frontalbench.enhance.chain import steps

    folder = cards.cards_root(root) / cards.FOLDERS["enhancement"]
    allowed = sorted(path.stem for path in folder.glob("*.yaml"))
    return tuple(cards.find("enhancement", name, root) for name in steps(chain, allowed))


def digest(chain: str, root: str | os.PathLike[str] | None = None) -> str:
    """What the result of ``chain`` depends on: the first 16 digits of every card's digest, joined by ``+`` in the order of the chain."""
    return "+".join(card.digest()[:16] for card in chain_cards(chain, root))


def load_enhancement(chain: str, *, threads: int = 1, device: str = "cpu", root: str | os.PathLike[str] | None = None) -> Enhancement:
    """The enhancement of a card's name, or of several names joined by ``+``, left to right.

    ``root``: the folder of cards, by default the project's. Raises :class:`~frontalbench.errors.BadConfig` for an unknown name and
    :class:`~frontalbench.errors.WeightsMissing` when weights are out of reach.
    """
    from frontalbench.catalogue import families
    from frontalbench.enhance.chain import Chain

    parts = [families.load(card, threads=threads, device=device) for card in chain_cards(chain, root)]
    return parts[0] if len(parts) == 1 else Chain(parts)


def load_drawer(name: str, *, threads: int = 1, device: str = "cpu") -> Drawer:
    """The first step of a card that works in two (:mod:`.drawn`). Raises as :func:`load_enhancement`, and BadConfig for a card that does not."""
    from frontalbench.catalogue import families

    drawer: Drawer = families.load(_in_two_steps(name), threads=threads, device=device)
    return drawer


def load_finisher(name: str) -> Finisher:
    """The second step of a card that works in two; it needs no weights. Raises BadConfig for a card that does not."""
    import importlib

    from frontalbench.catalogue import families

    card = _in_two_steps(name)
    finisher: Finisher = importlib.import_module(families.target(card.kind, card.family)[0]).finisher(card)
    return finisher


def _in_two_steps(name: str) -> ModelCard:
    from frontalbench.catalogue import networks
    from frontalbench.errors import BadConfig

    [card, *more] = chain_cards(name)
    if more or not networks.network(card):
        raise BadConfig(
            f"enhancement '{name}' does not work in two steps; those of family {', '.join(networks.FINISHING)} do, one at a time"
        )
    return card

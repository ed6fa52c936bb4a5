"""Post-processing of pictures: sharpening, background removal, super-resolution, restoration, and chains of them.

One entry: :func:`load_enhancement` by name or chain; :func:`digest` says what a chain's result depends on.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.enhance.base import Enhancement


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

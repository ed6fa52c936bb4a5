"""Recognition backbones: aligned crops to embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from frontalbench.embed.base import Backbone

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

__all__ = ["Backbone", "load_backbone"]


def load_backbone(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Backbone:
    """The backbone of a card, ready to run; its weights are fetched if need be.

    Raises :class:`~frontalbench.errors.BadConfig` for an unknown family or params, :class:`~frontalbench.errors.WeightsMissing`, and
    :class:`~frontalbench.errors.BadInput` when the weight file does not fit the card.
    """
    from frontalbench.catalogue import families

    return cast(Backbone, families.load(card, threads=threads, device=device))

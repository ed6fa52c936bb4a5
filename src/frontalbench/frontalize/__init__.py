"""Frontalizers: a photograph and its face in, the same face from the front out. One entry: :func:`load_frontalizer`; interface: ``base.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.frontalize.base import Frontalizer


def load_frontalizer(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Frontalizer:
    """The frontalizer of a card of kind ``frontalizer``, by its family.

    Raises :class:`~frontalbench.errors.BadConfig` for an unknown family or unknown params, :class:`~frontalbench.errors.WeightsMissing` when a weight
    is not on this machine.
    """
    from frontalbench.catalogue import families

    return cast("Frontalizer", families.load(card, threads=threads, device=device))

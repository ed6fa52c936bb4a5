"""Frontalizers: a photograph and its face in, the same face from the front out. One entry: :func:`load_frontalizer`; interface: ``base.py``."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.frontalize.base import Frontalizer


def load_frontalizer(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Frontalizer:
    """The frontalizer of a card of kind ``frontalizer``, by its family; one that leaves some of the angle where the card says so.

    Raises :class:`~frontalbench.errors.BadConfig` for an unknown family or unknown params, :class:`~frontalbench.errors.WeightsMissing` when a weight
    is not on this machine.
    """
    from frontalbench.catalogue import families

    model = cast("Frontalizer", families.load(card, threads=threads, device=device))
    if card.turn is None:
        return model
    # By its name: an import would make it part of what every frontalizer reruns for.
    partly = importlib.import_module("frontalbench.frontalize.partly")
    return cast("Frontalizer", partly.leaving(model, card, threads=threads, device=device))

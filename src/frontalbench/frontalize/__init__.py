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
    # By their names: an import would make them part of what every frontalizer reruns for.
    if card.turn.step is not None:
        stepwise = importlib.import_module("frontalbench.frontalize.stepwise")
        return cast("Frontalizer", stepwise.in_steps(model, card, threads=threads, device=device))
    partly = importlib.import_module("frontalbench.frontalize.partly")
    return cast("Frontalizer", partly.leaving(model, card, threads=threads, device=device))

"""The backbones that judge a training: recognition networks with a gradient, by their cards."""

from __future__ import annotations

from frontalbench.cards import ModelCard
from frontalbench.networks.recognizer import Recognizer


def load_judge(card: ModelCard) -> Recognizer:
    """The network of a backbone card, fetched if need be."""
    from frontalbench.weights import store

    return Recognizer(store.fetch(card), mean=float(card.params.get("mean", 127.5)), std=float(card.params.get("std", 127.5)))

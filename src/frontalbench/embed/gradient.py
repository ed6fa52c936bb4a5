"""Recognition networks with a gradient, by the cards of backbones: for a training, and for an inversion image by image."""

from __future__ import annotations

from frontalbench.catalogue import families
from frontalbench.catalogue.cards import ModelCard
from frontalbench.embed.arcface import read_params
from frontalbench.errors import BadConfig
from frontalbench.networks import precision
from frontalbench.networks.recognizer import Recognizer


def load_recognizer(card: ModelCard, *, device: str = "cpu") -> Recognizer:
    """The network of a backbone card, fetched if need be, for ``device``, which it is still to be moved to.

    Raises :class:`~frontalbench.errors.BadConfig` for params that the card's family does not know, or that this network cannot follow.
    """
    from frontalbench.weights import store

    params = read_params(card)
    mean, std = set(params["mean"]), set(params["std"])
    if len(mean) > 1 or len(std) > 1 or (params["colour"], params["layout"]) != ("rgb", "nchw"):
        raise BadConfig(f"{card.path}: a recognizer with a gradient takes RGB, nchw, and one mean and std for all three colours")
    with families.computing(card, device):
        return precision.lowered(Recognizer(store.fetch(card), mean=mean.pop(), std=std.pop()))

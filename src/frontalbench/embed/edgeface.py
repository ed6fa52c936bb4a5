"""EdgeFace from its checkpoints: 112 x 112 aligned crop in, embedding out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontalbench.catalogue.params import Params
from frontalbench.embed.torch_network import TorchBackbone, read_input
from frontalbench.networks import checkpoints
from frontalbench.networks.edgenext import SIZES, EdgeFace

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> TorchBackbone:
    """The backbone of a card of family ``edgeface``.

    Params: ``dimension``; ``size`` (xx_small, x_small, small, base); ``gamma``: the share of the ranks that is left in the linear layers, left out
    where they are whole; ``mean``, ``std`` 127.5; ``colour`` rgb or bgr; ``precision`` float32.

    Raises WeightsMissing, and BadInput for a file that is no such network. ``threads`` is the process's own.
    """
    from frontalbench.weights import store

    params = Params(card)
    options = read_input(params)
    size = params.choice("size", tuple(SIZES))
    gamma = params.number("gamma", 0.0, low=0.0, high=1.0)
    params.finish()
    path = store.fetch(card)
    network = checkpoints.unfilled(lambda: EdgeFace(size, share=gamma or None, dimension=options["dimension"]))
    checkpoints.fill(network, checkpoints.load(path), path)
    return TorchBackbone(card.name, network, device=device, **options)

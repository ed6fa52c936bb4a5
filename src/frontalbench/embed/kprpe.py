"""KP-RPE from CVLFace's checkpoints: the aligned crop and where the five points lie in it, embedding out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontalbench.catalogue.params import Params
from frontalbench.embed.torch_network import TorchBackbone, read_input
from frontalbench.networks import checkpoints
from frontalbench.networks.kprpe import KeypointViT

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> TorchBackbone:
    """The backbone of a card of family ``kprpe``.

    Params: ``dimension``; ``width`` 512, ``depth`` 24, ``heads`` 16, ``wider`` 3; ``mean``, ``std`` 127.5; ``colour`` rgb or bgr;
    ``precision`` float32. The five points of the face are a second input.

    Raises WeightsMissing, and BadInput for a file that is no such network. ``threads`` is the process's own.
    """
    from frontalbench.weights import store

    params = Params(card)
    options = read_input(params)
    shape = {key: params.integer(key, default) for key, default in (("width", 512), ("depth", 24), ("heads", 16), ("wider", 3))}
    params.finish()
    path = store.fetch(card)
    network = checkpoints.unfilled(lambda: KeypointViT(dimension=options["dimension"], **shape))
    checkpoints.fill(network, checkpoints.load(path, strip="net."), path)
    return TorchBackbone(card.name, network, takes_points=True, device=device, **options)

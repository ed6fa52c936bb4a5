"""GFPGAN: the network's loader; what is done around it is in :mod:`.restoration` (the original's option ``weight`` does nothing in this network)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from frontalbench.enhance.restoration import Restore, filled, finisher, restorer
from frontalbench.runtime import sessions as runtime

if TYPE_CHECKING:
    import torch

    from frontalbench.catalogue.cards import ModelCard


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Restore:
    """The enhancement of a card of family ``gfpgan``; its ``uses`` names one detector card.

    Params: ``mode`` full or detail; ``sigma`` in pixels of the 512-pixel face (detail only); ``feather``: share of the face's side.
    """
    from frontalbench.weights import store

    finish = finisher(card)

    def network() -> torch.nn.Module:
        return load_network(store.fetch(card), threads=threads, device=device)

    return restorer(card, network, finish, threads=threads, device=device)


def load_network(path: str | os.PathLike[str], *, threads: int = 1, device: str = "cpu") -> torch.nn.Module:
    """The network filled from an official checkpoint (a mapping with ``params_ema``), every key used and none missing.

    The file is read as data only. Raises :class:`~frontalbench.errors.BadInput`.
    """
    from frontalbench.networks.gfpgan import Gfpgan, ready

    network = filled(Gfpgan, path, inner="params_ema", threads=threads)
    place = runtime.torch_device(device)
    return ready(network) if place.type == "cpu" else network.eval().requires_grad_(False).to(place)

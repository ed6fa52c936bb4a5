"""RestoreFormer: the network's loader; what is done around it is in :mod:`.restoration`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from frontalbench.enhance.restoration import Restore, filled, finisher, restorer
from frontalbench.runtime import sessions as runtime

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.networks.restoreformer import RestoreFormer


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Restore:
    """The enhancement of a card of family ``restoreformer``; its ``uses`` names one detector card.

    Params: ``mode`` full or detail; ``sigma`` in pixels of the 512-pixel face (detail only); ``feather``: share of the face's side.
    """
    from frontalbench.weights import store

    finish = finisher(card)

    def network() -> RestoreFormer:
        return load_network(store.fetch(card), threads=threads, device=device)

    return restorer(card, network, finish, threads=threads, device=device)


def load_network(path: str | os.PathLike[str], *, threads: int = 1, device: str = "cpu") -> RestoreFormer:
    """The network filled from the checkpoint that GFPGAN's release carries (a mapping with ``params``), every key used and none missing.

    The file is read as data only. Raises :class:`~frontalbench.errors.BadInput`.
    """
    from frontalbench.networks.inference import folded
    from frontalbench.networks.restoreformer import RestoreFormer

    network = filled(RestoreFormer, path, inner="params", threads=threads)
    return folded(network).to(runtime.torch_device(device))

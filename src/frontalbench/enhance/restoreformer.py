"""RestoreFormer: the network's loader; what is done around it is in :mod:`.restoration`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from frontalbench.catalogue.params import Params
from frontalbench.enhance.restoration import Draw, Finish, Restore, second_step
from frontalbench.runtime import sessions as runtime

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.detect.base import Detector
    from frontalbench.networks.restoreformer import RestoreFormer


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Restore:
    """The enhancement of a card of family ``restoreformer``; its ``uses`` names one detector card.

    Params: ``mode`` full or detail; ``sigma`` in pixels of the 512-pixel face (detail only); ``feather``: share of the face's side.
    """
    from frontalbench.catalogue import families
    from frontalbench.weights import store

    finish = finisher(card)
    finder = card.the("detector")
    network = load_network(store.fetch(card), threads=threads, device=device)
    detector: Detector = families.load(finder, threads=threads, device=device)
    return Restore(card.name, Draw(network, detector, device=device), finish)


def finisher(card: ModelCard) -> Finish:
    """The second step of a card alone, without weights: :meth:`Finish.finish` puts a face into the picture that :meth:`Draw.draw` drew of it."""
    params = Params(card)
    finish = second_step(params)
    params.finish()
    return finish


def load_network(path: str | os.PathLike[str], *, threads: int = 1, device: str = "cpu") -> RestoreFormer:
    """The network filled from the checkpoint that GFPGAN's release carries (a mapping with ``params``), every key used and none missing.

    The file is read as data only. Raises :class:`~frontalbench.errors.BadInput`.
    """
    import torch

    from frontalbench.networks import checkpoints
    from frontalbench.networks.restoreformer import RestoreFormer

    torch.set_num_threads(max(1, threads))
    network = checkpoints.unfilled(RestoreFormer)
    checkpoints.fill(network, checkpoints.load(path, inner="params"), path)
    return network.eval().requires_grad_(False).to(runtime.torch_device(device))

"""CodeFormer, with its fidelity weight; what is done around the network is in :mod:`.restoration`."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING

from frontalbench.catalogue.params import Params
from frontalbench.enhance.restoration import Finish, Restore, filled, restorer, second_step
from frontalbench.runtime import sessions as runtime

if TYPE_CHECKING:
    import torch

    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.networks.codeformer import CodeFormer


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Restore:
    """The enhancement of a card of family ``codeformer``; its ``uses`` names one detector card.

    Params: ``fidelity`` 0..1: the official ``w`` (0: the codebook's face alone, 1: nearest to what came in); ``mode`` full or detail; ``sigma`` in
    pixels of the 512-pixel face (detail only); ``feather``: share of the face's side.
    """
    from frontalbench.weights import store

    fidelity, finish = _params(card)

    def network() -> functools.partial[torch.Tensor]:
        return functools.partial(load_network(store.fetch(card), threads=threads, device=device), fidelity=fidelity)

    return restorer(card, network, finish, threads=threads, device=device)


def finisher(card: ModelCard) -> Finish:
    """The second step of a card alone, without weights: :meth:`Finish.finish` puts a face into the image that :meth:`Draw.draw` drew of it."""
    return _params(card)[1]


def _params(card: ModelCard) -> tuple[float, Finish]:
    params = Params(card)
    fidelity, finish = params.number("fidelity", low=0.0, high=1.0), second_step(params)
    params.finish()
    return fidelity, finish


def load_network(path: str | os.PathLike[str], *, threads: int = 1, device: str = "cpu") -> CodeFormer:
    """The network filled from the official checkpoint (a mapping with ``params_ema``), every key used and none missing.

    The file is read as data only. Raises :class:`~frontalbench.errors.BadInput`.
    """
    from frontalbench.networks.codeformer import CodeFormer
    from frontalbench.networks.inference import folded

    network = filled(CodeFormer, path, inner="params_ema", threads=threads)
    return folded(network).to(runtime.torch_device(device))

"""``scaleway_published``: scaleway/frontalization with its published weight and crop. See :mod:`.scaleway` for the same network trained anew.

The published file is a whole network pickled by PyTorch 1.0, which is read as data only (:mod:`.module_pickle`). Besides the card's sha256 its Git
blob id is checked, which the repository itself states.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from frontalbench.errors import BadConfig, BadInput
from frontalbench.frontalize import framing, module_pickle, points68
from frontalbench.frontalize.base import Place, View
from frontalbench.frontalize.batches import Batched, batch_on
from frontalbench.frontalize.framing import Framed
from frontalbench.frontalize.selftest import SelfTestedBatched
from frontalbench.images import RGB
from frontalbench.networks import checkpoints
from frontalbench.networks.inference import folded
from frontalbench.networks.scaleway import SIDE, Scaleway

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

CLASSES = (("network", "G"),)
"""The class of the pickled network."""


class ScalewayPublishedFamily:
    """See the module. Results are tight squares of 128 pixels."""

    def __init__(self, locate: points68.Locate, network: Scaleway, device: torch.device) -> None:
        self._locate, self._network, self._device = locate, folded(network).to(device), device

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> Framed:
        """Raises as :data:`~frontalbench.frontalize.points68.Locate` and the crop do."""
        return framing.cut(view.image, framing.inner_eyes(self._locate(view), SIDE), SIDE, border=cv2.BORDER_REPLICATE)

    def run(self, items: Sequence[Framed]) -> torch.Tensor:
        """(N, 3, 128, 128) in -1..1; the network sees (value - 128) / 128."""
        images = torch.from_numpy(np.stack([item.pixels for item in items])).permute(0, 3, 1, 2).to(self._device)
        drawn: torch.Tensor = self._network((images.float() - 128.0) / 128.0)
        return drawn

    def finish(self, item: Framed, drawn: torch.Tensor) -> tuple[RGB, Place]:
        """The published script stretches each image to its own least and largest value; that is not done here."""
        pixels = np.clip(np.rint(drawn.permute(1, 2, 0).numpy() * 128.0 + 128.0), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(pixels), item.place()


def git_blob(path: Path) -> str:
    """The id (40 hexadecimal digits) under which Git keeps the file's content: SHA-1 of ``blob <bytes>``, a zero byte and the content."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Batched[Framed]:
    """The frontalizer of a card of family ``scaleway_published``; it ``uses`` a landmarks card. Raises :class:`BadInput` where the file is
    another one.

    Params: ``git_blob``: id of the weight file in its repository.
    """
    from frontalbench.catalogue.params import Params
    from frontalbench.runtime import sessions as runtime
    from frontalbench.weights import store

    params = Params(card)
    blob = params.text("git_blob")
    params.finish()
    if len(blob) != 40:
        raise BadConfig(f"{card.path}: params.git_blob should be 40 hexadecimal digits, is '{blob}'")
    path = store.fetch(card)
    if git_blob(path) != blob:
        raise BadInput(
            f"{path}: its Git blob id is {git_blob(path)[:12]}, the published file's {blob[:12]}; fetch the file from its repository"
        )
    network = checkpoints.unfilled(Scaleway)
    checkpoints.fill(network, module_pickle.read(path, CLASSES), path)
    torch.set_num_threads(threads)
    place = runtime.torch_device(device)
    family = ScalewayPublishedFamily(points68.loaded(card, threads=threads, device=device), network, place)
    return SelfTestedBatched(card.name, family, takes_target_pose=False, batch=batch_on(place))

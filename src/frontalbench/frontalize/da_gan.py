"""``da_gan``: DA-GAN's generator (Yin et al. 2020) with a checkpoint of your own: its authors never published one.

The crop is TP-GAN's, which the generator comes from. Nothing here was compared with outputs of the original: there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from frontalbench.frontalize import framing, points68
from frontalbench.frontalize.base import Place, View
from frontalbench.frontalize.batches import Batched, batch_on, to_image, to_tensor
from frontalbench.frontalize.framing import Framed
from frontalbench.frontalize.selftest import SelfTestedBatched
from frontalbench.images import RGB
from frontalbench.networks import checkpoints
from frontalbench.networks.da_gan import NOISE, SIDE, Generator
from frontalbench.networks.inference import folded

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


class DaGanFamily:
    """See the module. Results are squares of 128 pixels, eyes at row 40 and mouth at row 88."""

    def __init__(self, locate: points68.Locate, generator: Generator, *, seed: int, device: torch.device) -> None:
        """``seed``: of the noise, which is the same for every image."""
        self._locate, self._device, self._generator = locate, device, folded(generator).to(device)
        noise = np.random.default_rng(seed).uniform(-1.0, 1.0, NOISE).astype(np.float32)
        self._noise = torch.from_numpy(noise).to(device)

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> Framed:
        """Raises as :data:`~frontalbench.frontalize.points68.Locate` and the crop do."""
        return framing.cut(view.image, framing.eyes_to_mouth(self._locate(view), SIDE), SIDE, border=cv2.BORDER_REPLICATE)

    def run(self, items: Sequence[Framed]) -> Tensor:
        """(N, 3, 128, 128), about 0..1."""
        levels = [[item.pixels for item in items]]
        for factor in (2, 4):
            size = (SIDE // factor, SIDE // factor)
            levels.append([np.asarray(cv2.resize(item.pixels, size, interpolation=cv2.INTER_CUBIC), np.uint8) for item in items])
        images = [to_tensor(level, 0.0, 1.0, self._device) for level in levels]
        drawn: Tensor = self._generator(images, self._noise.expand(len(items), -1))[0]
        return drawn

    def finish(self, item: Framed, drawn: Tensor) -> tuple[RGB, Place]:
        """See :class:`~frontalbench.frontalize.batches.Family`."""
        return to_image(drawn, 0.0, 1.0), item.place()


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Batched[Framed]:
    """The frontalizer of a card of family ``da_gan``, which ``uses`` a landmarks card. Weights: ``model``, the generator's state dict as the official
    program saves it.

    Params: ``seed`` 0: of the noise, which is the same for every image
    """
    from frontalbench.catalogue.params import Params
    from frontalbench.runtime import sessions as runtime
    from frontalbench.weights import store

    params = Params(card)
    seed = params.integer("seed", 0, low=0)
    params.finish()
    path = store.fetch(card)
    generator = checkpoints.unfilled(Generator)
    checkpoints.fill(generator, checkpoints.load(path), path)
    torch.set_num_threads(threads)
    place = runtime.torch_device(device)
    family = DaGanFamily(points68.loaded(card, threads=threads, device=device), generator, seed=seed, device=place)
    return SelfTestedBatched(card.name, family, takes_target_pose=False, batch=batch_on(place))

"""``gan_inversion``: a StyleGAN2 draws the frontal face from the styles that an encoder reads out of the turned one (mhahmadi258, 2024).

One picture at a time: of the published model for sequences there is a weight file and no code, so what its network looks like is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from frontalbench.errors import BadConfig
from frontalbench.frontalize import framing, points68
from frontalbench.frontalize.base import Place, View
from frontalbench.frontalize.batches import Batched, batch_on, to_picture, to_tensor
from frontalbench.frontalize.framing import Framed
from frontalbench.frontalize.selftest import SelfTestedBatched
from frontalbench.images import RGB
from frontalbench.networks import checkpoints
from frontalbench.networks.gan_inversion import DRAWN, SIDE, GanInversion
from frontalbench.networks.inference import folded

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

SIDES = (256, 512, 1024)
"""What a card may ask for; the published script gives 1024 or 256."""
BATCH = 4


class GanInversionFamily:
    """See the module. Results are FFHQ crops of ``side`` pixels."""

    def __init__(self, locate: points68.Locate, network: GanInversion, *, side: int, device: torch.device) -> None:
        self._locate, self._side, self._device = locate, side, device
        self._network = folded(network).to(device)

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> Framed:
        """Raises as :data:`~frontalbench.frontalize.points68.Locate` and the crop do."""
        return framing.cut_ffhq(view.image, self._locate(view), SIDE)

    def run(self, items: Sequence[Framed]) -> torch.Tensor:
        """(N, 3, side, side), about -1..1."""
        drawn: torch.Tensor = self._network(to_tensor([item.pixels for item in items], -1.0, 1.0, self._device))
        return drawn if self._side == DRAWN else functional.adaptive_avg_pool2d(drawn, self._side)

    def finish(self, item: Framed, drawn: torch.Tensor) -> tuple[RGB, Place]:
        """See :class:`~frontalbench.frontalize.batches.Family`."""
        return to_picture(drawn, -1.0, 1.0), item.place(self._side)


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Batched[Framed]:
    """The frontalizer of a card of family ``gan_inversion``; it ``uses`` a landmarks card.

    Params: ``size`` 256, 512 or 1024: pixels of the result (the network draws 1024, smaller ones are averaged from that).
    """
    from frontalbench.catalogue.params import Params
    from frontalbench.runtime import sessions as runtime
    from frontalbench.weights import store

    params = Params(card)
    side = params.integer("size")
    if side not in SIDES:
        raise BadConfig(f"{card.path}: params.size should be one of {', '.join(map(str, SIDES))}, is {side}")
    params.finish()
    path = store.fetch(card)
    network = checkpoints.unfilled(GanInversion)
    checkpoints.fill(network, checkpoints.load(path, beside=("latent_avg",)), path)
    torch.set_num_threads(threads)
    place = runtime.torch_device(device)
    family = GanInversionFamily(points68.loaded(card, threads=threads, device=device), network, side=side, device=place)
    return SelfTestedBatched(card.name, family, takes_target_pose=False, batch=batch_on(place, BATCH))

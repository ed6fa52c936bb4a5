"""``gan_inversion``: a StyleGAN2 draws the frontal face from the styles that an encoder reads out of the turned one (mhahmadi258, 2024).

One image at a time, or several of a person: then the styles of all are averaged and one face is drawn (``multiview_gan_inversion``). That is ours:
of the published model for sequences there is a weight file and no code, so what its network looks like is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from frontalbench.errors import BadConfig
from frontalbench.frontalize import framing, points68
from frontalbench.frontalize.base import Outcome, Place, View
from frontalbench.frontalize.batches import batch_on, to_image, to_tensor
from frontalbench.frontalize.framing import Framed
from frontalbench.frontalize.selftest import SelfTestedBatched
from frontalbench.images import RGB
from frontalbench.networks import checkpoints
from frontalbench.networks.gan_inversion import DRAWN, SIDE, GanInversion
from frontalbench.networks.inference import folded
from frontalbench.types import Float

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


@dataclass(frozen=True)
class Frames:
    """Several crops of one person's face, each with its share of the style; the shares sum to 1."""

    crops: tuple[Framed, ...]
    shares: tuple[float, ...]

    @property
    def nearest(self) -> Framed:
        """The crop with the largest share."""
        return self.crops[max(range(len(self.shares)), key=lambda k: self.shares[k])]


SIDES = (256, 512, 1024)
"""What a card may ask for; the published script gives 1024 or 256."""
BATCH = 4
LEAST = 0.05
"""A profile counts at least so much."""


class GanInversionFamily:
    """See the module. Results are FFHQ crops of ``side`` pixels."""

    def __init__(self, locate: points68.Locate, network: GanInversion, *, side: int, device: torch.device) -> None:
        self._locate, self._side, self._device = locate, side, device
        self._network = folded(network).to(device)

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> Framed:
        """Raises as :data:`~frontalbench.frontalize.points68.Locate` and the crop do."""
        return framing.cut_ffhq(view.image, self._locate(view), SIDE)

    def run(self, items: Sequence[Framed | Frames]) -> torch.Tensor:
        """(N, 3, side, side), about -1..1."""
        single = [item for item in items if isinstance(item, Framed)]
        drawn: torch.Tensor
        if len(single) == len(items):
            drawn = self._network(to_tensor([item.pixels for item in single], -1.0, 1.0, self._device))
        else:
            drawn = self._network.draw(torch.stack([self._style(item) for item in items]))
        return drawn if self._side == DRAWN else functional.adaptive_avg_pool2d(drawn, self._side)

    def _style(self, item: Framed | Frames) -> torch.Tensor:
        crops, shares = ((item,), (1.0,)) if isinstance(item, Framed) else (item.crops, item.shares)
        found = []
        for first in range(0, len(crops), BATCH):  # a sequence does not fit at once
            part = crops[first : first + BATCH]
            found.append(self._network.styles(to_tensor([crop.pixels for crop in part], -1.0, 1.0, self._device)))
        weights = torch.tensor(shares, device=self._device)[:, None, None]
        return (torch.cat(found) * weights).sum(dim=0)

    def finish(self, item: Framed | Frames, drawn: torch.Tensor) -> tuple[RGB, Place]:
        """See :class:`~frontalbench.frontalize.batches.Family`."""
        lies = item.nearest if isinstance(item, Frames) else item
        return to_image(drawn, -1.0, 1.0), lies.place(self._side)


class GanInversionFrontalizer(SelfTestedBatched[Framed | Frames]):
    """The family; several views of a person become one image by :meth:`mixed`."""

    family: GanInversionFamily

    def weigh(self, poses: Float, target: Float) -> Float:
        """Shares (n,) by the cosine of the angle between where a face looks, ``poses`` (n, 2; yaw, pitch in degrees), and the ``target`` (2,)."""
        turns = np.maximum(np.cos(np.radians(np.asarray(poses) - target)).prod(axis=1), LEAST)
        shares: Float = turns / turns.sum()
        return shares

    def mixed(self, views: Sequence[View], shares: Sequence[float], target_pose: tuple[float, float, float]) -> Outcome:
        """One image of all ``views``, which all have a face. Never raises for what is in the views."""
        return self.one(lambda: Frames(tuple(self.family.prepare(view, target_pose) for view in views), tuple(shares)))


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> GanInversionFrontalizer:
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
    return GanInversionFrontalizer(card.name, family, takes_target_pose=False, batch=batch_on(place, BATCH))

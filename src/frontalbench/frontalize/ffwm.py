"""``ffwm``: FFWM (Wei et al. 2020), the face's features moved to the front by a flow, beside their mirror image. 128 pixels in, 128 out.

The published crop comes from a paid service's dense landmarks; here from 68 of our own (:func:`~frontalbench.frontalize.framing.nose_bridge`). With a
wrong crop the network gives back nearly what it was shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from frontalbench.frontalize import framing, points68
from frontalbench.frontalize.base import Place, View
from frontalbench.frontalize.batches import Batched, batch_on, to_image, to_tensor
from frontalbench.frontalize.framing import Framed
from frontalbench.frontalize.selftest import SelfTestedBatched
from frontalbench.images import RGB
from frontalbench.networks import checkpoints
from frontalbench.networks.ffwm import SIDE, FlowNet, Generator
from frontalbench.networks.inference import folded

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


class FfwmFamily:
    """See the module. Results are squares of 128 pixels, the nose's bridge in the middle and the chin on the lower edge."""

    def __init__(self, locate: points68.Locate, flow_net: FlowNet, generator: Generator, device: torch.device) -> None:
        self._locate, self._device = locate, device
        self._flow_net, self._generator = (folded(network).to(device) for network in (flow_net, generator))

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> Framed:
        """Black beyond the photograph's border, as published. Raises as :data:`~frontalbench.frontalize.points68.Locate` and the crop do."""
        return framing.cut(view.image, framing.nose_bridge(self._locate(view), SIDE), SIDE)

    def run(self, items: Sequence[Framed]) -> torch.Tensor:
        """(N, 3, 128, 128) in 0..1."""
        images = to_tensor([item.pixels for item in items], 0.0, 1.0, self._device)
        drawn: torch.Tensor = self._generator(images, self._flow_net(images))[0]
        return drawn

    def finish(self, item: Framed, drawn: torch.Tensor) -> tuple[RGB, Place]:
        """See :class:`~frontalbench.frontalize.batches.Family`."""
        return to_image(drawn, 0.0, 1.0), item.place()


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Batched[Framed]:
    """The frontalizer of a card of family ``ffwm``, which ``uses`` a landmarks card. Weights: ``flow`` (official ``flowNetF``), ``generator``
    (``netG``)."""
    from frontalbench.catalogue.params import Params
    from frontalbench.runtime import sessions as runtime
    from frontalbench.weights import store

    Params(card).finish()
    paths = {key: store.fetch(card, key) for key in ("flow", "generator")}
    flow_net, generator = checkpoints.unfilled(FlowNet), checkpoints.unfilled(Generator)
    for network, key in ((flow_net, "flow"), (generator, "generator")):
        checkpoints.fill(network, checkpoints.load(paths[key]), paths[key])
    flow_net.without_unused()
    torch.set_num_threads(threads)
    place = runtime.torch_device(device)
    family = FfwmFamily(points68.loaded(card, threads=threads, device=device), flow_net, generator, place)
    return SelfTestedBatched(card.name, family, takes_target_pose=False, batch=batch_on(place))

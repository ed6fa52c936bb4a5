"""``frontalbench_rnr``: the mesh-turned face, mended by a network that was trained on people who do not exist.

The face is turned as ``tddfa`` turns it; the network sees the photograph, the turned view and what of it was seen, in one upright frame, and
draws the face anew; what it drew is put back into the turned view. Any target pose.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from frontalbench.errors import BadInput, one_line
from frontalbench.frontalize.base import Place, View
from frontalbench.frontalize.batches import batch_on
from frontalbench.frontalize.drawing import Drawing
from frontalbench.frontalize.refiner_inputs import frame_matrix, planes, sample
from frontalbench.frontalize.selftest import SelfTestedBatched
from frontalbench.geometry.masks import border_mask
from frontalbench.images import RGB
from frontalbench.networks import checkpoints, precision
from frontalbench.networks.refiner import Refiner
from frontalbench.types import Float32

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.frontalize.tddfa import TddfaFrontalizer


@dataclass(frozen=True)
class Prepared:
    """``drawing``: the mesh-turned view; ``planes`` float32 (11, S, S): what the network sees of it."""

    drawing: Drawing
    planes: Float32


class RefinerFamily:
    """See the module. Results are square head crops, as those of ``tddfa``."""

    def __init__(self, mesh: TddfaFrontalizer, network: Refiner, *, size: int, device: torch.device) -> None:
        self._mesh, self._network, self._size, self._device = mesh, precision.lowered(network.to(device).eval()), size, device

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> Prepared:
        """Raises :class:`NoFace` and ValueError as the mesh does."""
        drawing, rotation = self._mesh.drawing(view, target_pose)
        return Prepared(drawing, planes([sample(drawing, rotation, target_pose[:2], self._size)])[0])

    def run(self, items: Sequence[Prepared]) -> torch.Tensor:
        """(N, 3, S, S) in -1..1: the face as the network draws it."""
        drawn: torch.Tensor = self._network(torch.from_numpy(np.stack([item.planes for item in items])).to(self._device))
        return drawn

    def finish(self, item: Prepared, drawn: torch.Tensor) -> tuple[RGB, Place]:
        """Only the change goes back: the turned view keeps its own sharpness where the network left it alone."""
        drawing = item.drawing
        back = frame_matrix(drawing.frame, self._size)
        side = (drawing.frame.side, drawing.frame.side)
        change = (drawn.numpy() - item.planes[3:6]).transpose(1, 2, 0) * border_mask(self._size)[..., None] * 127.5
        change = cv2.warpAffine(change.astype(np.float32), back, side, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        return np.clip(np.rint(drawing.image + change), 0, 255).astype(np.uint8), drawing.place


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> SelfTestedBatched[Prepared]:
    """The frontalizer of a card of family ``refiner``; it ``uses`` the cards of ``tddfa``.

    Params: ``size``: side of the network's frame in pixels.
    """
    from frontalbench.catalogue import families
    from frontalbench.catalogue.params import Params
    from frontalbench.runtime import sessions as runtime
    from frontalbench.weights import store

    params = Params(card)
    size = params.integer("size")
    params.finish()
    mesh = card.the("frontalizer", "tddfa")
    path = store.fetch(card)
    said = checkpoints.metadata(path)
    try:
        settings = json.loads(said["settings"])
        network = Refiner(int(settings["width"]), int(settings["levels"]), int(settings.get("fold", 1)))
    except (KeyError, TypeError, ValueError) as error:
        raise BadInput(
            f"{path}: does not say its width and levels ({one_line(error)}); expected weights that train_network.py wrote"
        ) from error
    checkpoints.fill(network, checkpoints.load(path), path)
    torch.set_num_threads(threads)
    place = runtime.torch_device(device)
    family = RefinerFamily(families.load(mesh, threads=threads, device=device), network, size=size, device=place)
    return SelfTestedBatched(card.name, family, takes_target_pose=True, batch=batch_on(place))

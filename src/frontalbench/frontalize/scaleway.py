"""``scaleway``: the small encoder and decoder of scaleway/frontalization. One tight square of the face in, one frontal face out, nothing between
but a vector of 512 numbers.

The published crop has the point between the inner eye corners half way across and at a fifth of the height, and the chin on its lower edge; for a
profile it was looser. Here the square has one size in centimetres of the fitted head and follows the eyes sideways only as far as the head stays in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch

from frontalbench.frontalize import framing
from frontalbench.frontalize.base import Place, View
from frontalbench.frontalize.batches import batch_on
from frontalbench.frontalize.refiner_inputs import SPAN, level_pitch
from frontalbench.frontalize.selftest import SelfTestedBatched
from frontalbench.geometry.masks import border_mask
from frontalbench.geometry.rotation import angles_from_matrix, matrix_from_angles
from frontalbench.images import RGB
from frontalbench.networks import checkpoints, precision
from frontalbench.networks.scaleway import SIDE, Scaleway
from frontalbench.types import Float, UInt8

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.frontalize.tddfa import TddfaFrontalizer


SQUARE = 15.0
"""Side of the square in cm of the head: from the eyes to the chin are four fifths of it."""
EYES = np.array([0.0, -1.6, -8.8])
"""Between the inner corners of the eyes, in cm about the head's middle (canonical face)."""
FOLLOWS = 0.4
"""Share of the eyes' way to the side that the square goes along."""
DETAIL = round(128 * SQUARE / SPAN)
"""Pixels of the square in the training pairs (128 for their frame); the network is shown no more."""


def middle(yaw: float, pitch: float) -> Float:
    """Middle (x, y) of the square in cm about the head's middle, upright; degrees."""
    x, y, _ = matrix_from_angles(yaw, pitch) @ EYES
    return np.array([FOLLOWS * x, y + (0.5 - 0.2) * SQUARE])


def to_network(images: UInt8) -> torch.Tensor:
    """uint8 (N, H, W, 3) -> the network's input (N, 3, H, W)."""
    return (torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).float() - 128.0) / 128.0


def enlarged(square: RGB) -> RGB:
    """A square of :data:`DETAIL` pixels as the network wants it."""
    return np.asarray(cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


@dataclass(frozen=True)
class Prepared:
    """``square`` uint8 (128, 128, 3): what the network sees; ``matrix`` (2, 3): photograph -> pixels of its result."""

    square: RGB
    matrix: Float


class ScalewayFamily:
    """See the module. Results are tight squares of 128 pixels."""

    def __init__(self, mesh: TddfaFrontalizer, network: Scaleway, device: torch.device) -> None:
        self._mesh, self._network, self._device = mesh, precision.lowered(network.to(device).eval()), device

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> Prepared:
        """Raises :class:`NoFace` and ValueError as the mesh does."""
        placement = self._mesh.placed(view)[1]
        yaw, pitch, _ = (float(angle) for angle in angles_from_matrix(placement.rotation))
        offset = middle(yaw, level_pitch(yaw, pitch))
        shown = framing.cut(view.image, framing.head_square(placement, SQUARE, DETAIL, offset=offset), DETAIL, border=cv2.BORDER_REPLICATE)
        return Prepared(enlarged(shown.pixels), framing.head_square(placement, SQUARE, SIDE, offset=offset))

    def run(self, items: Sequence[Prepared]) -> torch.Tensor:
        """(N, 3, 128, 128) in -1..1."""
        drawn: torch.Tensor = self._network(to_network(np.stack([item.square for item in items])).to(self._device))
        return drawn

    def finish(self, item: Prepared, drawn: torch.Tensor) -> tuple[RGB, Place]:
        """See :class:`~frontalbench.frontalize.batches.Family`."""
        pixels = np.clip(np.rint(drawn.permute(1, 2, 0).numpy() * 128.0 + 128.0), 0, 255).astype(np.uint8)
        return pixels, Place(item.matrix, border_mask(SIDE))


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> SelfTestedBatched[Prepared]:
    """The frontalizer of a card of family ``scaleway``; it ``uses`` the card of ``tddfa`` for the crop. Weights: safetensors, any float."""
    from frontalbench.catalogue import families
    from frontalbench.catalogue.params import Params
    from frontalbench.runtime import sessions as runtime
    from frontalbench.weights import store

    Params(card).finish()
    mesh = card.the("frontalizer", "tddfa")
    path = store.fetch(card)
    network = checkpoints.unfilled(Scaleway)
    checkpoints.fill(network, checkpoints.load(path), path)
    torch.set_num_threads(threads)
    place = runtime.torch_device(device)
    family = ScalewayFamily(families.load(mesh, threads=threads, device=device), network, place)
    return SelfTestedBatched(card.name, family, takes_target_pose=False, batch=batch_on(place))

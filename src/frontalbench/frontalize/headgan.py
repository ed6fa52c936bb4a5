"""``headgan``: HeadGAN redraws the face after an image of its own fitted head, turned to the front (Doukas et al. 2021).

The published fit and renderer are closed (a face model under a licence of its own, a compiled library). Here the head is the dense 3DDFA_V2 fit and
the image is drawn by our own rasterizer: another face model than the one that the weights were trained with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from frontalbench.frontalize import framing
from frontalbench.frontalize.base import NoFace, Place, View
from frontalbench.frontalize.batches import Batched, batch_on, to_image, to_tensor
from frontalbench.frontalize.framing import Framed
from frontalbench.frontalize.selftest import SelfTestedBatched
from frontalbench.geometry.raster import interpolate, rasterize
from frontalbench.geometry.rotation import FLIP_YZ, matrix_from_angles, tilt
from frontalbench.images import RGB
from frontalbench.landmarks.base import Landmarks
from frontalbench.landmarks.tddfa import DenseFitter, triangulate
from frontalbench.networks import checkpoints
from frontalbench.networks.headgan import FRAMES, SIDE, HeadGan
from frontalbench.networks.inference import folded
from frontalbench.types import Bool, Float, Float32

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

MARGIN = 100
"""The published cropper asks its detector for this many pixels of margin in a square of 256."""
INCREASE = MARGIN / (SIDE - MARGIN) / 2.0
"""The same as a share of the box, on every side."""
BATCH = 4
HOLE = 9
"""Holes up to this many pixels are closed."""


@dataclass(frozen=True)
class Prepared:
    """``framed``: the crop of the photograph; ``seen``, ``wanted`` float32 (256, 256, 3) in 0..1: the head as it is and as it shall be, else 0."""

    framed: Framed
    seen: Float32
    wanted: Float32


class HeadGanFamily:
    """See the module. Results are squares of 256 pixels."""

    def __init__(self, fitter: DenseFitter, network: HeadGan, device: torch.device) -> None:
        self._fitter, self._device = fitter, device
        self._network = folded(network).to(device)
        self._triangles = triangulate(fitter.basis.mean)
        self._colours = mean_face_coordinates(fitter.basis.mean)

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> Prepared:
        """Raises ValueError for a degenerate fit, or a face too small."""
        if view.face is None:
            raise NoFace("no face was detected in the photograph")
        fit = self._fitter.fit(view.image, view.face)
        points = Landmarks(fit.vertices[self._fitter.basis.keypoints], "ibug68")
        matrix = framing.voxceleb(points, SIDE, increase=INCREASE, tilt=tilt(fit.rotation))
        cutting = framing.cut(view.image, matrix, SIDE, border=cv2.BORDER_REPLICATE)
        turned = fit.scale * fit.model @ matrix_from_angles(*target_pose).T
        scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
        seen = np.column_stack([fit.vertices[:, :2] @ matrix[:, :2].T + matrix[:, 2], scale * fit.vertices[:, 2]])
        # The middle of the face stays where it is in the crop; only the head turns about it.
        wanted = scale * (turned - turned.mean(axis=0)) + seen.mean(axis=0)
        return Prepared(cutting, self._drawn(seen), self._drawn(wanted))

    def _drawn(self, vertices: Float) -> Float32:
        raster = rasterize(vertices, self._triangles, (SIDE, SIDE))
        return without_holes(interpolate(raster, self._triangles, self._colours), raster.triangle >= 0)

    def run(self, items: Sequence[Prepared]) -> Tensor:
        """(N, 3, 256, 256) in -1..1."""
        seen, wanted = (
            torch.from_numpy(np.stack(part)).permute(0, 3, 1, 2).to(self._device) for part in zip(*map(_heads, items), strict=True)
        )
        photographs = to_tensor([item.framed.pixels for item in items], -1.0, 1.0, self._device)
        drawn: Tensor = self._network(wanted.repeat(1, FRAMES, 1, 1), torch.cat([seen, photographs], dim=1)).image
        return drawn

    def finish(self, item: Prepared, drawn: Tensor) -> tuple[RGB, Place]:
        """See :class:`~frontalbench.frontalize.batches.Family`."""
        return to_image(drawn, -1.0, 1.0), item.framed.place()


def _heads(item: Prepared) -> tuple[Float32, Float32]:
    return item.seen, item.wanted


def mean_face_coordinates(mean: Float) -> Float32:
    """The colour of each vertex of a face model whose mean face is ``mean`` (N, 3; camera axes): where it lies in that, x right, y up, z to the
    viewer, each from 0 to 1."""
    upright = mean @ FLIP_YZ
    low, high = upright.min(axis=0), upright.max(axis=0)
    coordinates: Float32 = ((upright - low) / (high - low)).astype(np.float32)
    return coordinates


def without_holes(drawn: Float32, shown: Bool) -> Float32:
    """``drawn`` (H, W, 3) where the nostrils, which the mesh leaves open, take the colours around them."""
    around = np.ones((HOLE, HOLE), np.uint8)
    known = shown.astype(np.float32)
    closed = cv2.morphologyEx(shown.astype(np.uint8), cv2.MORPH_CLOSE, around)
    holes = (closed > 0) & ~shown
    share = cv2.blur(known, (HOLE, HOLE))
    mean = cv2.blur(drawn * known[..., None], (HOLE, HOLE)) / np.maximum(share, 1e-6)[..., None]
    return np.where(holes[..., None], mean, drawn).astype(np.float32)


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Batched[Prepared]:
    """The frontalizer of a card of family ``headgan``; it ``uses`` a landmarks card of family ``tddfa``. No params."""
    from frontalbench.catalogue import families
    from frontalbench.catalogue.params import Params
    from frontalbench.runtime import sessions as runtime
    from frontalbench.weights import store

    Params(card).finish()
    path = store.fetch(card)
    network = checkpoints.unfilled(HeadGan)
    checkpoints.fill(network, checkpoints.load(path), path)
    torch.set_num_threads(threads)
    place = runtime.torch_device(device)
    family = HeadGanFamily(families.load(card.the("landmarks", "tddfa"), threads=threads, device=device), network, place)
    return SelfTestedBatched(card.name, family, takes_target_pose=True, batch=batch_on(place, BATCH))

"""RetinaFace (Deng et al. 2020): feature pyramid, context modules, three heads; the network is :mod:`frontalbench.networks.retinaface`."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import torch

from frontalbench.catalogue.params import Params
from frontalbench.detect.base import Detections
from frontalbench.detect.boxes import Sizing, place, search, suppress_overlaps
from frontalbench.errors import BadInput
from frontalbench.images import RGB
from frontalbench.networks import checkpoints
from frontalbench.networks.retinaface import BACKBONES, RetinaFaceNet, ready
from frontalbench.runtime import sessions as runtime
from frontalbench.types import Float32

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

MEAN_BGR: Final = (104.0, 117.0, 123.0)
STEPS: Final = (8, 16, 32)
ANCHOR_SIDES: Final = ((16, 32), (64, 128), (256, 512))
VARIANCES: Final = (0.1, 0.2)


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> RetinaFace:
    """The detector of a card of family ``retinaface``.

    Params: ``backbone``: resnet50 or mobilenet0.25; ``threshold`` 0.5, ``overlap`` 0.4, and the sizing below.
    """
    from frontalbench.weights import store

    params = Params(card)
    sizing = Sizing.of(params)
    backbone = params.choice("backbone", BACKBONES)
    threshold, overlap = params.number("threshold", 0.5, low=0, high=1), params.number("overlap", 0.4, low=0, high=1)
    params.finish()
    path = store.fetch(card)
    return RetinaFace(card.name, path, backbone, sizing=sizing, threshold=threshold, overlap=overlap, threads=threads, device=device)


@lru_cache(maxsize=64)
def priors(height: int, width: int) -> Float32:
    """Anchors of an input of ``height`` x ``width``: float32 (A, 4) centre x, centre y, width, height in pixels, read-only."""
    levels = []
    for step, sides in zip(STEPS, ANCHOR_SIDES, strict=True):
        y, x = np.mgrid[: -(-height // step), : -(-width // step)]
        centres = (np.stack([x, y], axis=-1).reshape(-1, 1, 2) + 0.5) * step
        centres = np.repeat(centres, len(sides), axis=1)
        sizes = np.broadcast_to(np.array(sides, np.float64)[None, :, None], centres.shape)
        levels.append(np.concatenate([centres, sizes], axis=-1).reshape(-1, 4))
    anchors: Float32 = np.concatenate(levels).astype(np.float32)
    anchors.flags.writeable = False
    return anchors


def decode(anchors: npt.NDArray[Any], boxes: npt.NDArray[Any], points: npt.NDArray[Any]) -> tuple[Float32, Float32]:
    """Offsets (A, 4) and (A, 10) relative to ``anchors`` (A, 4) as boxes (A, 4) x1, y1, x2, y2 and points (A, 5, 2) in pixels."""
    centres, sizes = anchors[:, :2], anchors[:, 2:]
    middle = centres + boxes[:, :2] * VARIANCES[0] * sizes
    half = sizes * np.exp(boxes[:, 2:] * VARIANCES[1]) / 2
    places = centres[:, None] + points.reshape(-1, 5, 2) * VARIANCES[0] * sizes[:, None]
    return np.hstack([middle - half, middle + half]).astype(np.float32), places.astype(np.float32)


class RetinaFace:
    """A RetinaFace detector. ``detect`` may be called from several threads at once."""

    def __init__(
        self,
        name: str,
        model: str | os.PathLike[str],
        backbone: str,
        *,
        sizing: Sizing = Sizing(),  # noqa: B008 - frozen
        threshold: float = 0.5,
        overlap: float = 0.4,
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        if backbone not in BACKBONES:
            raise BadInput(f"{name}: backbone '{backbone}' is not known; use one of {', '.join(BACKBONES)}")
        self.name = name
        self._sizing, self._threshold, self._overlap = sizing, threshold, overlap
        torch.set_num_threads(max(1, threads))
        self._device = runtime.torch_device(device)
        net = checkpoints.unfilled(lambda: RetinaFaceNet(backbone))
        checkpoints.fill(net, checkpoints.load(model), model)
        self._net = ready(net) if self._device.type == "cpu" else net.eval().requires_grad_(False).to(self._device)
        self._fill = (int(MEAN_BGR[2]), int(MEAN_BGR[1]), int(MEAN_BGR[0]))
        self._mean = torch.tensor(MEAN_BGR, device=self._device).view(1, 3, 1, 1)

    def detect(self, image: RGB) -> Detections:
        """All faces of ``image`` (see :class:`~frontalbench.detect.base.Detector`)."""
        return search(image, self._sizing, self._look)

    def glance(self, image: RGB, longest: int) -> Detections:
        """One search at ``longest`` network pixels (see :class:`~frontalbench.detect.base.Detector`)."""
        return self._look(image, longest, 0.0)[0]

    def _look(self, image: RGB, longest: int, border: float) -> tuple[Detections, float]:
        # The mean colour as filling is 0 after the subtraction. No rounding up: this network takes any size.
        canvas = place(image, longest, border=border, multiple=1, fill=self._fill)
        with torch.inference_mode():
            rgb = torch.from_numpy(canvas.pixels).to(self._device)
            blob = rgb.flip(-1).permute(2, 0, 1)[None].float() - self._mean
            offsets, classes, places = (output[0].cpu().numpy() for output in self._net(blob))
        scores = classes[:, 1]
        hits = np.flatnonzero(scores >= self._threshold)
        if not len(hits):
            return Detections.none(), canvas.scale
        boxes, points = decode(priors(*canvas.pixels.shape[:2])[hits], offsets[hits], places[hits])
        kept = suppress_overlaps(boxes, scores[hits], self._overlap)
        return canvas.to_image(Detections.sorted(boxes[kept], scores[hits][kept], points[kept])), canvas.scale

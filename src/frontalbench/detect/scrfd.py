"""SCRFD (Guo et al. 2021, "Sample and Computation Redistribution for Efficient Face Detection") over ONNX Runtime, with an own decoder.

Reads the exports of the model packs (nine outputs without a batch axis, any input height and width) and third-party ``*_bnkps`` exports (named
outputs with a leading batch axis, the input often fixed to 640 x 640).
"""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from frontalbench.catalogue.params import Params
from frontalbench.detect.base import Detections
from frontalbench.detect.boxes import Sizing, place, search, suppress_overlaps
from frontalbench.errors import BadInput
from frontalbench.images import RGB
from frontalbench.runtime import engines
from frontalbench.runtime import sessions as runtime
from frontalbench.types import Float32

if TYPE_CHECKING:
    import onnxruntime

    from frontalbench.catalogue.cards import ModelCard

STRIDES: Final = (8, 16, 32)
ANCHORS: Final = 2
_KINDS: Final = {1: "score", 4: "box", 10: "points"}


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Scrfd:
    """The detector of a card of family ``scrfd``.

    Params: ``threshold`` 0.5, ``overlap`` 0.4 (suppression), ``mean`` 127.5, ``std`` 128; ``engine_cpu`` onnxruntime or torch, for files of 3 x 3
    convolutions; and the sizing below.
    """
    from frontalbench.weights import store

    params = Params(card)
    sizing = Sizing.of(params)
    mean, std = params.number("mean", 127.5), params.number("std", 128.0, low=1e-6)
    threshold, overlap = params.number("threshold", 0.5, low=0, high=1), params.number("overlap", 0.4, low=0, high=1)
    engine = params.choice("engine_cpu", engines.NAMES, engines.NAMES[0])
    params.finish()
    path = store.fetch(card)
    return Scrfd(
        card.name,
        path,
        sizing=sizing,
        mean=mean,
        std=std,
        threshold=threshold,
        overlap=overlap,
        engine=engine,
        threads=threads,
        device=device,
    )


class Scrfd:
    """An SCRFD detector with five points. ``detect`` may be called from several threads at once."""

    def __init__(
        self,
        name: str,
        model: str | os.PathLike[str],
        *,
        sizing: Sizing = Sizing(),  # noqa: B008 - frozen
        mean: float = 127.5,
        std: float = 128.0,
        threshold: float = 0.5,
        overlap: float = 0.4,
        engine: str = "onnxruntime",
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        """Raises :class:`BadInput` where the file is no SCRFD with five points, or ``engine`` cannot compute it."""
        self.name = name
        self._sizing, self._threshold, self._overlap = sizing, threshold, overlap
        self._mean, self._factor = np.float32(mean), np.float32(1.0 / std)
        self._session = engines.session(model, engine, threads=threads, device=device)
        self._input, self._side = _input_of(self._session, model)
        # PyTorch lays convolutions out for the map of the first call.
        trial = 64 if engine == engines.NAMES[0] else -(-max(sizing.sizes) // STRIDES[-1]) * STRIDES[-1]
        self._outputs = _outputs_of(self._session, self._input, self._side or trial, model)

    def detect(self, image: RGB) -> Detections:
        """All faces of ``image`` (see :class:`~frontalbench.detect.base.Detector`)."""
        return search(image, self._sizing, self._look)

    def glance(self, image: RGB, longest: int) -> Detections:
        """One search at ``longest`` network pixels (see :class:`~frontalbench.detect.base.Detector`)."""
        return self._look(image, longest, 0.0)[0]

    def _look(self, image: RGB, longest: int, border: float) -> tuple[Detections, float]:
        canvas = place(image, min(longest, self._side or longest), border=border, side=self._side)
        # One pass from bytes to floats, one in place; (x - mean) is exact in float32.
        blob = np.subtract(canvas.pixels.transpose(2, 0, 1)[None], self._mean, dtype=np.float32, order="C")
        blob *= self._factor
        outputs = runtime.run(self._session, self._outputs, {self._input: blob})
        return canvas.to_image(self._decode(outputs, canvas.pixels.shape[0], canvas.pixels.shape[1])), canvas.scale

    def _decode(self, outputs: list[npt.NDArray[Any]], height: int, width: int) -> Detections:
        """Network outputs to faces in canvas pixels: distances to the four sides and offsets of the points, in strides, from the cell's corner."""
        boxes, scores, points = [], [], []
        for level, stride in enumerate(STRIDES):
            score = outputs[level].reshape(-1)
            hits = np.flatnonzero(score >= self._threshold)
            if not len(hits):
                continue
            centres = cell_corners(height // stride, width // stride, stride)[hits // ANCHORS]
            sides = outputs[3 + level].reshape(-1, 4)[hits] * np.float32(stride)
            offsets = outputs[6 + level].reshape(-1, 5, 2)[hits] * np.float32(stride)
            boxes.append(np.hstack([centres - sides[:, :2], centres + sides[:, 2:]]))
            points.append(centres[:, None, :] + offsets)
            scores.append(score[hits])
        if not scores:
            return Detections.none()
        all_boxes, all_scores, all_points = np.concatenate(boxes), np.concatenate(scores), np.concatenate(points)
        kept = suppress_overlaps(all_boxes, all_scores, self._overlap)
        return Detections.sorted(all_boxes[kept], all_scores[kept], all_points[kept])


@lru_cache(maxsize=64)
def cell_corners(rows: int, columns: int, stride: int) -> Float32:
    """Top-left corners x, y of the cells of a feature map, row by row: float32 (rows * columns, 2), read-only."""
    y, x = np.mgrid[:rows, :columns]
    corners = np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float32) * np.float32(stride)
    corners.flags.writeable = False
    return corners


def _input_of(session: onnxruntime.InferenceSession, model: str | os.PathLike[str]) -> tuple[str, int | None]:
    """The name of the input, and the side of the square it is fixed to (None: any)."""
    inputs = session.get_inputs()
    shape = inputs[0].shape
    if len(inputs) != 1 or len(shape) != 4 or shape[1] != 3:
        raise BadInput(f"{model}: not an SCRFD export: expected one input (1, 3, H, W), found {[tuple(i.shape) for i in inputs]}")
    fixed = [side for side in shape[2:] if isinstance(side, int) and side > 0]
    if fixed and (len(fixed) != 2 or fixed[0] != fixed[1] or fixed[0] % STRIDES[-1]):
        raise BadInput(
            f"{model}: the input is fixed to {shape[2]} x {shape[3]}; expected a square with a side that 32 divides, or any size"
        )
    return inputs[0].name, fixed[0] if fixed else None


def _outputs_of(session: onnxruntime.InferenceSession, name: str, size: int, model: str | os.PathLike[str]) -> list[str]:
    """The nine outputs in the order score 8, 16, 32, box 8, 16, 32, points 8, 16, 32.

    Recognised by a trial run at ``size`` pixels a side, because the shapes that these files declare cannot be trusted.
    """
    names = [output.name for output in session.get_outputs()]
    arrays = session.run(names, {name: np.zeros((1, 3, size, size), np.float32)})
    found: dict[tuple[int, int], str] = {}
    for output, array in zip(names, arrays, strict=True):
        found[array.shape[-1], array.size // max(1, array.shape[-1])] = output
    cells = [ANCHORS * (size // stride) ** 2 for stride in STRIDES]
    wanted = [(values, count) for values in _KINDS for count in cells]
    if set(found) != set(wanted):
        shapes = ", ".join(str(tuple(array.shape)) for array in arrays)
        raise BadInput(
            f"{model}: not an SCRFD export with five points: expected score, box and point outputs for strides 8, 16, 32, found {shapes}"
        )
    return [found[key] for key in wanted]

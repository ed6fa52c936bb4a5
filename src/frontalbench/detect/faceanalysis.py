"""The detector of InsightFace's own package, through its ``FaceAnalysis``: what most published studies ran, beside our reading of the same file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.detect.base import Detections
from frontalbench.images import RGB
from frontalbench.runtime import sessions as runtime

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

JOINT: Final = 0
"""``size`` for the package's own choice: 128 and 640 pixels together."""


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> FaceAnalysisDetector:
    """The detector of a card of family ``faceanalysis``.

    Params: ``size`` 640 (pixels of the square that an image is fitted into; 0: 128 and 640 together), ``threshold`` 0.5.

    Raises WeightsMissing. ``threads`` is not used: the package makes its sessions by itself.
    """
    from frontalbench.weights import store

    params = Params(card)
    size, threshold = params.integer("size", 640, low=0), params.number("threshold", 0.5, low=0, high=1)
    params.finish()
    return FaceAnalysisDetector(card.name, store.fetch(card), size=size, threshold=threshold, device=device)


class Pack:
    """A ``FaceAnalysis`` over weight files of ours, and the folder in which they lie as a model pack (read anew at the first image of a size)."""

    def __init__(self, files: dict[str, Path], *, modules: list[str], size: int, threshold: float, device: str) -> None:
        from insightface.app import FaceAnalysis

        where = runtime.provider(device)
        self._folder = tempfile.TemporaryDirectory(prefix="frontalbench-pack-")
        for name, file in files.items():
            os.symlink(file.resolve(), Path(self._folder.name, name))  # noqa: PTH211 - Path.symlink_to turns the two round
        providers = ["CPUExecutionProvider"] if where == "cpu" else ["CUDAExecutionProvider", "CPUExecutionProvider"]
        self.app: Any = FaceAnalysis(name=self._folder.name, allowed_modules=modules, providers=providers)
        self.app.prepare(ctx_id=-1 if where == "cpu" else 0, det_thresh=threshold, det_size=(size, size) if size != JOINT else None)


class FaceAnalysisDetector:
    """The detector of an InsightFace pack, by the package."""

    def __init__(self, name: str, model: Path, *, size: int, threshold: float, device: str = "cpu") -> None:
        self.name = name
        self._pack = Pack({"detector.onnx": model}, modules=["detection"], size=size, threshold=threshold, device=device)

    def detect(self, image: RGB) -> Detections:
        """See :class:`~frontalbench.detect.base.Detector`."""
        return self._found(self._pack.app.det_model.detect(np.ascontiguousarray(image[..., ::-1])))

    def glance(self, image: RGB, longest: int) -> Detections:
        """See :class:`~frontalbench.detect.base.Detector`."""
        side = max(32, longest // 32 * 32)
        return self._found(self._pack.app.det_model.detect(np.ascontiguousarray(image[..., ::-1]), input_size=(side, side)))

    @staticmethod
    def _found(result: tuple[Any, Any]) -> Detections:
        boxes, points = result
        return Detections.sorted(boxes[:, :4], boxes[:, 4], points) if len(boxes) else Detections.none()

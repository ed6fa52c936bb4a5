"""YuNet (Wu et al. 2023) through OpenCV's FaceDetectorYN."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.detect.base import Detections
from frontalbench.detect.boxes import MOST_CANDIDATES, Sizing, place, search
from frontalbench.errors import BadInput
from frontalbench.images import RGB
from frontalbench.runtime import sessions as runtime

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> YuNet:
    """The detector of a card of family ``yunet``.

    Params: ``threshold`` 0.6, ``overlap`` 0.3, and the sizing below.
    """
    from frontalbench.weights import store

    params = Params(card)
    sizing = Sizing.of(params)
    threshold, overlap = params.number("threshold", 0.6, low=0, high=1), params.number("overlap", 0.3, low=0, high=1)
    params.finish()
    return YuNet(card.name, store.fetch(card), sizing=sizing, threshold=threshold, overlap=overlap, threads=threads, device=device)


class YuNet:
    """A YuNet detector; runs on the CPU. ``detect`` may be called from several threads at once (each gets its own network)."""

    def __init__(
        self,
        name: str,
        model: str | os.PathLike[str],
        *,
        sizing: Sizing = Sizing(),  # noqa: B008 - frozen
        threshold: float = 0.6,
        overlap: float = 0.3,
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        self.name = name
        if runtime.parse_device(device)[0] == "cuda":
            runtime.fall_back(f"{name}: OpenCV's face detector runs on the CPU here, device '{device}' is not used")
        self._model = str(model)
        self._sizing, self._threshold, self._overlap = sizing, threshold, overlap
        self._local = threading.local()
        runtime.limit_threads(threads)
        if not Path(model).is_file():
            raise BadInput(f"{model}: not found; fetch the model's weights first")
        self._network()

    def _network(self) -> Any:
        network = getattr(self._local, "network", None)
        if network is None:
            # OpenCV 5 warns on every creation that it ignores the (default) target; that says nothing to anybody.
            before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
            try:
                network = cv2.FaceDetectorYN.create(self._model, "", (320, 320), self._threshold, self._overlap, MOST_CANDIDATES)
            except cv2.error as error:
                raise BadInput(f"{self._model}: OpenCV cannot load it as a YuNet face detector; fetch the file again") from error
            finally:
                cv2.utils.logging.setLogLevel(before)
            self._local.network = network
        return network

    def detect(self, image: RGB) -> Detections:
        """All faces of ``image`` (see :class:`~frontalbench.detect.base.Detector`)."""
        return search(image, self._sizing, self._look)

    def glance(self, image: RGB, longest: int) -> Detections:
        """One search at ``longest`` network pixels (see :class:`~frontalbench.detect.base.Detector`)."""
        return self._look(image, longest, 0.0)[0]

    def _look(self, image: RGB, longest: int, border: float) -> tuple[Detections, float]:
        canvas = place(image, longest, border=border)
        network = self._network()
        network.setInputSize((canvas.pixels.shape[1], canvas.pixels.shape[0]))
        _, rows = network.detect(cv2.cvtColor(canvas.pixels, cv2.COLOR_RGB2BGR))
        if rows is None:
            return Detections.none(), canvas.scale
        rows = np.asarray(rows, np.float32)
        boxes = np.hstack([rows[:, :2], rows[:, :2] + rows[:, 2:4]])
        return canvas.to_image(Detections.sorted(boxes, rows[:, 14], rows[:, 4:14])), canvas.scale

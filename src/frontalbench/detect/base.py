"""What every detector gives, whatever its network: boxes, scores and five points, best first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from frontalbench.images import RGB
from frontalbench.types import Float32


@dataclass(frozen=True)
class Detections:
    """The faces of one image, highest score first.

    ``boxes`` float32 (N, 4) x1, y1, x2, y2; ``scores`` float32 (N,) in [0, 1]; ``points`` float32 (N, 5, 2) in the order of the
    five points (image-left eye, image-right eye, nose tip, image-left and image-right mouth corner). Pixels of the image that was
    given; boxes and points may reach beyond its border.
    """

    boxes: Float32
    scores: Float32
    points: Float32

    def __post_init__(self) -> None:
        n = len(self.scores)
        if self.boxes.shape != (n, 4) or self.scores.shape != (n,) or self.points.shape != (n, 5, 2):
            raise ValueError(f"boxes {self.boxes.shape}, scores {self.scores.shape}, points {self.points.shape} do not belong together")

    def __len__(self) -> int:
        return len(self.scores)

    @staticmethod
    def none() -> Detections:
        """No face."""
        return Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros((0, 5, 2), np.float32))

    @staticmethod
    def sorted(boxes: npt.NDArray[Any], scores: npt.NDArray[Any], points: npt.NDArray[Any]) -> Detections:
        """Detections from rows in any order: those with a value that is not finite are dropped, the rest sorted by falling score (stable)."""
        boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
        scores = np.asarray(scores, np.float32).reshape(-1)
        points = np.asarray(points, np.float32).reshape(-1, 5, 2)
        sound = np.isfinite(boxes).all(axis=1) & np.isfinite(scores) & np.isfinite(points).all(axis=(1, 2))
        order = np.flatnonzero(sound)
        order = order[np.argsort(-scores[order], kind="stable")]
        return Detections(boxes[order], scores[order], points[order])


@runtime_checkable
class Detector(Protocol):
    """A face detector, ready to run. Not safe to call from two threads at once."""

    name: str
    """The card's name."""

    def detect(self, image: RGB) -> Detections:
        """All faces of ``image`` (``uint8 (H, W, 3)`` RGB, any size from 1 x 1 on); an image without a face gives no rows, not an error."""
        ...

    def glance(self, image: RGB, longest: int) -> Detections:
        """The faces that one search shows with the longer side at ``longest`` network pixels: no second size, no border, so cheap for a small one."""
        ...

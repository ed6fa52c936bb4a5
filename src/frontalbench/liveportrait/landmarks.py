"""The landmark networks of LivePortrait's cropper, through ONNX Runtime.

106 points (InsightFace) place the crop, 203 points measure how open eyes and lips are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from frontalbench.errors import BadInput
from frontalbench.geometry.similarity import apply, invert
from frontalbench.images import RGB
from frontalbench.liveportrait.crop import crop_matrix, cut
from frontalbench.runtime.sessions import onnx_session, run
from frontalbench.types import Float

RATIO_EPS = 1e-6


class Landmarks106:
    """InsightFace's 2d106det: points (106, 2) in photograph pixels from a face box."""

    side = 192
    margin = 1.5

    def __init__(self, path: str | Path, *, threads: int = 1, device: str = "cpu") -> None:
        self._session = onnx_session(path, threads=threads, device=device)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, image: RGB, box: npt.ArrayLike) -> Float:
        """``image``: uint8 (H, W, 3) RGB; ``box``: x1, y1, x2, y2."""
        x1, y1, x2, y2 = (float(value) for value in np.asarray(box, dtype=np.float64))
        size = self.margin * max(x2 - x1, y2 - y1)
        if not size > 1.0:
            raise BadInput(f"face box {x1:.0f}, {y1:.0f}, {x2:.0f}, {y2:.0f} is empty")
        s, half = self.side / size, self.side / 2.0
        matrix = np.array([[s, 0.0, half - s * (x1 + x2) / 2.0], [0.0, s, half - s * (y1 + y2) / 2.0]])
        crop = cut(image, matrix, self.side)
        blob = np.ascontiguousarray(crop.transpose(2, 0, 1)[None], dtype=np.float32)  # RGB, 0..255 as it is
        values = run(self._session, None, {self._input: blob})[0].reshape(106, 2)
        return apply(invert(matrix), (values.astype(np.float64) + 1.0) * half)


class Landmarks203:
    """LivePortrait's landmark.onnx: points (203, 2) in photograph pixels, starting from other landmarks of the face."""

    side = 224

    def __init__(self, path: str | Path, *, threads: int = 1, device: str = "cpu") -> None:
        self._session = onnx_session(path, threads=threads, device=device)
        self._input = self._session.get_inputs()[0].name

    def __call__(self, image: RGB, points: npt.ArrayLike) -> Float:
        """``points``: 5, 68, 106 or 203 points in photograph pixels (meant for the 106)."""
        matrix = crop_matrix(points, scale=1.5, shift=-0.1, side=self.side)
        crop = cut(image, matrix, self.side)
        blob = np.ascontiguousarray(crop.transpose(2, 0, 1)[None], dtype=np.float32) / np.float32(255.0)
        values = run(self._session, None, {self._input: blob})[2].reshape(203, 2)
        return apply(invert(matrix), values.astype(np.float64) * self.side)


def eye_ratios(points: npt.ArrayLike) -> tuple[float, float]:
    """How open the two eyes are (height over width), from 203 points."""
    p = np.asarray(points, dtype=np.float64)
    return _ratio(p, 6, 18, 0, 12), _ratio(p, 30, 42, 24, 36)


def lip_ratio(points: npt.ArrayLike) -> float:
    """How open the lips are (height over width), from 203 points."""
    return _ratio(np.asarray(points, dtype=np.float64), 90, 102, 48, 66)


def _ratio(p: Float, top: int, bottom: int, left: int, right: int) -> float:
    return float(np.linalg.norm(p[top] - p[bottom]) / (np.linalg.norm(p[left] - p[right]) + RATIO_EPS))

"""Which of the faces of an image is *the* face. The policy is chosen by name, so that a run can record it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from frontalbench.detect.base import Detections
from frontalbench.errors import BadConfig
from frontalbench.types import Float, Float32


@dataclass(frozen=True)
class Face:
    """The chosen face: ``box`` float32 (4,), ``score``, ``points`` float32 (5, 2), and how many faces there were to choose from."""

    box: Float32
    score: float
    points: Float32
    n_faces: int


def _areas(faces: Detections) -> Float:
    sides = np.maximum(faces.boxes[:, 2:].astype(np.float64) - faces.boxes[:, :2], 0.0)
    areas: Float = sides[:, 0] * sides[:, 1]
    return areas


def _squared_distances(faces: Detections, size: tuple[int, int]) -> Float:
    centres = (faces.boxes[:, :2].astype(np.float64) + faces.boxes[:, 2:]) / 2
    offsets = centres - np.array(size, np.float64) / 2
    distances: Float = (offsets**2).sum(axis=1)
    return distances


def _largest_central(faces: Detections, size: tuple[int, int]) -> Float:
    # Area against twice the squared distance from the image centre, the usual rule of the field: a big face at the border of a group
    # image loses to a somewhat smaller one in the middle, a tiny one in the middle does not win against a portrait.
    return _areas(faces) - 2.0 * _squared_distances(faces, size)


POLICIES: Final[dict[str, Callable[[Detections, tuple[int, int]], Float]]] = {
    "largest_central": _largest_central,
    "largest": lambda faces, size: _areas(faces),
    "highest_score": lambda faces, size: faces.scores.astype(np.float64),
    "central": lambda faces, size: -_squared_distances(faces, size),
}
"""Policy name -> rating of every face (higher is better); on a tie the face with the higher detector score wins."""

DEFAULT_POLICY: Final = "largest_central"


def choose(detections: Detections, size: tuple[int, int], policy: str = DEFAULT_POLICY) -> Face | None:
    """The face of an image of ``size`` (width, height) by ``policy``, or None when there is none.

    Raises :class:`BadConfig` for an unknown policy.
    """
    rate = POLICIES.get(policy)
    if rate is None:
        raise BadConfig(f"face policy '{policy}' is not known; use one of {', '.join(POLICIES)}")
    if not len(detections):
        return None
    best = int(np.argmax(rate(detections, size)))
    return Face(detections.boxes[best].copy(), float(detections.scores[best]), detections.points[best].copy(), len(detections))

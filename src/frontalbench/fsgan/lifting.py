"""The person's own 98 points lifted to three dimensions by the dense fit, and turned to another pose.

Each point of WFLW has a place on the fitted face (interpolated where the 68 points of the fit have none). What the landmark network saw moves it
within the image's plane; its depth stays the fit's. A point on the far side of the head is the fit's alone: no network sees it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from frontalbench.geometry.rotation import geodesic_degrees, matrix_from_angles
from frontalbench.types import Float, Int

if TYPE_CHECKING:
    from frontalbench.landmarks.tddfa import DenseFit


PIVOT = np.array([0.0, -10_000.0, -11_000.0])
"""Middle of the head, between the ears, in micrometres of the face model: what it turns about (the same place as in ``head.py``)."""
AXIS_DEPTH = 20_000.0
"""How far behind the model's origin the axis lies from which the face bulges out, micrometres."""
HIDDEN, SEEN = -0.35, 0.0
"""How much a place must face the camera (cosine, seen from the axis) to count nothing and fully."""
TOO_FAR = 0.25
"""The landmark network and the fit are not looking at the same face beyond this median distance, in heights of the points."""


def _places() -> Float:
    """(98, 68): the points of WFLW as means of the usual 68."""
    matrix = np.zeros((98, 68))

    def put(index: int, *sources: int) -> None:
        matrix[index, list(sources)] = 1.0 / len(sources)

    for i in range(17):
        put(2 * i, i)
    for i in range(16):
        put(2 * i + 1, i, i + 1)
    for i in range(5):
        put(33 + i, 17 + i)
        put(42 + i, 22 + i)
    for i in range(4):
        put(38 + i, 21 - i)
        put(50 - i, 22 + i)
        # The lower edge of a brow lies an eighth of the way down to the eye.
        for brow, eye in ((38 + i, range(36, 42)), (50 - i, range(42, 48))):
            matrix[brow] *= 7.0 / 8.0
            matrix[brow, list(eye)] += 1.0 / 48.0
    for i in range(9):
        put(51 + i, 27 + i)
    for first, corner in ((60, 36), (68, 42)):
        for index, sources in enumerate(((0,), (1,), (1, 2), (2,), (3,), (4,), (4, 5), (5,))):
            put(first + index, *(corner + s for s in sources))
    for i in range(20):
        put(76 + i, 48 + i)
    put(96, *range(36, 42))
    put(97, *range(42, 48))
    return matrix


PLACES = _places()
PLACES.flags.writeable = False


@dataclass(frozen=True)
class Lifted:
    """``points`` (98, 3): in photograph pixels about the head's middle, without pose, camera axes; ``middle`` (2,): of the head in the photograph;
    ``tilt``: how far the head's upright axis leans clockwise in the image, degrees; ``rotation`` (3, 3): its pose with that tilt taken out."""

    points: Float
    middle: Float
    tilt: float
    rotation: Float

    def turned(self, rotation: Float) -> Float:
        """(98, 2) in pixels about the head's middle, the head in pose ``rotation``."""
        return np.asarray((self.points @ rotation.T)[:, :2])


def lift(fit: DenseFit, keypoints: Int, seen: Float | None = None) -> Lifted:
    """``keypoints`` (68,): vertices of the usual points; ``seen`` (98, 2): what a network found in the photograph, None: the fit alone.

    Raises ValueError when the fit has no size or the two do not meet (:data:`TOO_FAR`).
    """
    if not (np.isfinite(fit.scale) and fit.scale > 0.0 and np.isfinite(fit.rotation).all()):
        raise ValueError("the fitted head has no size")
    model = PLACES @ fit.model[keypoints]
    # The fitted matrix need not be rigid: where its points lie in the image is believed, its depth is that of the rigid part.
    placed = PLACES @ fit.vertices[keypoints]
    flat, turned = placed[:, :2], fit.scale * model @ fit.rotation.T
    shift = np.append(flat.mean(axis=0) - turned[:, :2].mean(axis=0), 0.0)
    towards = flat - turned[:, :2] - shift[:2]
    if seen is not None:
        height = float(np.ptp(flat[:, 1]))
        off = float(np.median(np.hypot(*(seen - flat).T)))
        if not np.isfinite(off) or off > TOO_FAR * height:
            raise ValueError(
                f"the landmark network's points lie {off:.0f} pixels from the fitted face, which is {height:.0f} high: another face or other weights"
            )
        towards = towards + facing(model, fit.rotation)[:, None] * (seen - flat)
    camera = turned + np.column_stack([towards, np.zeros(len(model))])
    points = camera @ fit.rotation - fit.scale * PIVOT
    tilt = math.degrees(math.atan2(-fit.rotation[0, 1], fit.rotation[1, 1]))
    upright = matrix_from_angles(0.0, 0.0, -tilt) @ fit.rotation
    return Lifted(points, (fit.scale * fit.rotation @ PIVOT + shift)[:2], tilt, upright)


def facing(model: Float, rotation: Float) -> Float:
    """0 to 1 for each point of ``model`` (N, 3), micrometres: how much the camera sees the side of the head where it lies."""
    outwards = model - np.array([0.0, 0.0, AXIS_DEPTH])
    outwards[:, 1] = 0.0
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    towards_camera = -(outwards @ rotation.T)[:, 2]
    share: Float = np.clip((towards_camera - HIDDEN) / (SEEN - HIDDEN), 0.0, 1.0)
    return share


def steps(start: Float, end: Float, degrees: float) -> list[Float]:
    """Rotations (3, 3) after ``start`` on the shortest way to ``end``, which is the last; none is further than ``degrees`` from the one before.
    0 degrees: ``end`` alone."""
    from scipy.spatial.transform import Rotation

    count = max(1, math.ceil(float(geodesic_degrees(start, end)) / degrees - 1e-6)) if degrees > 0.0 else 1
    way = Rotation.from_matrix(end @ start.T).as_rotvec()
    between = [np.asarray(Rotation.from_rotvec(way * k / count).as_matrix() @ start) for k in range(1, count)]
    return [*between, end]

"""Alignment that knows the yaw: for a turned face the crop moves towards what lies in front of it and comes nearer.

The five points of a profile crowd together on one side of the head, and a similarity centres the crop on them. A frontalizer cannot change that, as
its images are detected and aligned anew; so its card says it (``params.alignment``), and the points that the detector finds in its images are
moved before they are aligned. Whatever is aligned by points can be moved so: the crop of moved points is the moved crop.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from frontalbench.detect.base import Detections, Detector
from frontalbench.detect.select import Face
from frontalbench.errors import BadConfig
from frontalbench.geometry.similarity import ARCFACE_SIZE, DegeneratePoints, alignment_matrix, apply, invert
from frontalbench.images import RGB
from frontalbench.types import Float, Float32

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.pose.base import PoseEstimator

KEY = "alignment"
"""The param of a frontalizer's card: ``{ahead: pixels of the 112-pixel crop at 90 degrees, nearer: factor at 90 degrees}``."""


class YawAligned:
    """The detector ``inner`` with moved points: the aligned crop's content goes ``ahead * sin(yaw)`` pixels away from where the face looks, and is
    enlarged by ``1 + (nearer - 1) (1 - cos(yaw))`` about its middle."""

    def __init__(self, inner: Detector, pose: PoseEstimator, *, ahead: float, nearer: float) -> None:
        self.name = inner.name
        self._inner, self._pose, self._ahead, self._nearer = inner, pose, ahead, nearer

    def detect(self, image: RGB) -> Detections:
        """See :class:`~frontalbench.detect.base.Detector`."""
        found = self._inner.detect(image)
        if not len(found):
            return found
        moved = [self._moved(image, Face(*row, len(found))) for row in zip(found.boxes, found.scores.tolist(), found.points, strict=True)]
        return Detections(found.boxes, found.scores, np.stack(moved))

    def glance(self, image: RGB, longest: int) -> Detections:
        """See :class:`~frontalbench.detect.base.Detector`; the points are not moved."""
        return self._inner.glance(image, longest)

    def _moved(self, image: RGB, face: Face) -> Float32:
        try:
            yaw = math.radians(self._pose.estimate(image, face)[0])
            matrix = alignment_matrix(face.points)
        except (ValueError, DegeneratePoints):
            return face.points  # no pose, no move; whether the points are any good is for the alignment to say
        step = change(self._ahead * math.sin(yaw), 1.0 + (self._nearer - 1.0) * (1.0 - math.cos(yaw)))
        return apply(invert(matrix), apply(invert(step), apply(matrix, face.points))).astype(np.float32)


def change(right: float, zoom: float) -> Float:
    """The map (2, 3) of an aligned crop: enlarged by ``zoom`` about its middle, then moved by ``right`` pixels."""
    middle = ARCFACE_SIZE / 2.0
    return np.array([[zoom, 0.0, middle * (1.0 - zoom) + right], [0.0, zoom, middle * (1.0 - zoom)]])


def numbers_of(card: ModelCard) -> tuple[float, float]:
    """(ahead, nearer) of a frontalizer's card. Raises :class:`BadConfig`."""
    values = card.params.get(KEY)
    if (
        not isinstance(values, Mapping)
        or set(values) != {"ahead", "nearer"}
        or not all(isinstance(value, int | float) and not isinstance(value, bool) for value in values.values())
    ):
        raise BadConfig(f"{card.path}: params.{KEY} should be {{ahead: pixels, nearer: factor}}")
    return float(values["ahead"]), float(values["nearer"])


def aligned_for(card: ModelCard, detector: Detector, *, device: str = "cpu") -> Detector:
    """The ``detector`` for the images of a frontalizer's card, which ``uses`` one pose card; itself where the card asks for no alignment."""
    from frontalbench.pose import load_pose

    if KEY not in card.params:
        return detector
    pose = card.the("pose")
    ahead, nearer = numbers_of(card)
    return YawAligned(detector, load_pose(pose, device=device), ahead=ahead, nearer=nearer)

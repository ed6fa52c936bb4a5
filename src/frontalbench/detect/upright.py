"""Faces that stand on their head: found, and rotated.

Detectors find a face in an image rotated by 180 degrees, and most of them give its points as if it were upright (eyes where the mouth is), with a
score that upright profiles have too. What tells is a small image: at about 100 pixels a detector rates the upright face far above the same face
rotated. So the surroundings of the found face are looked at once more, rotated by 180 degrees and small, and only where a face shows there the two
ways round are compared. Measured: docs/architecture.md.
"""

from __future__ import annotations

from typing import Final, overload

import cv2
import numpy as np

from frontalbench.detect.base import Detections, Detector
from frontalbench.detect.select import Face, choose
from frontalbench.geometry.crop import roll_of_face
from frontalbench.images import RGB
from frontalbench.types import Float32

NOTE: Final = "upside down: rotated by 180 degrees"
"""The ``detail`` of a face that was rotated."""

_FIRST: Final = (1.6, 96)
_COMPARED: Final = ((2.2, 128), (2.2, 160))
"""(Side of the square around a face in lengths of its box, pixels it is scaled to): the first look, and the two that tell."""
_NEAR: Final = 0.1
"""A rotated face at the first look may score this much less than the face that was found, and is still looked at more closely."""
_PLAIN: Final = 0.3
"""The difference that needs no further look."""


def find_face(image: RGB, detector: Detector, policy: str, *, upright: bool = False) -> tuple[Face | None, str]:
    """The face of ``image`` by ``policy`` and a note, :data:`NOTE` where the face stands on its head.

    Such a face has the score and the points that the detector gives in the rotated image, box and points in pixels of ``image`` as it is: the first
    point is the eye that is on the left once the image is rotated. Where no face shows at all, the rotated image is searched too.
    ``upright``: the image is known to stand upright, as what is drawn of an upright face does; then it is searched once and as it is.
    """
    height, width = image.shape[:2]
    face = choose(detector.detect(image), (width, height), policy)
    if upright or (face is not None and not (_suspicious(image, face, detector) and upside_down(image, face.box, detector))):
        return face, ""
    other = rotate(image)
    found = detector.detect(other)
    if face is not None:
        x, y = (rotate_points(face.box.reshape(2, 2), (width, height)).mean(axis=0)).tolist()
        found = _around(found, x, y)
    second = choose(found, (width, height), policy)
    if second is None or (face is None and not upside_down(image, rotate_face(second, (width, height)).box, detector)):
        return face, ""
    return rotate_face(second, (width, height)), NOTE


def _suspicious(image: RGB, face: Face, detector: Detector) -> bool:
    """One cheap look: whether a face shows the other way round, nearly as good as the one that was found, or the points themselves say so."""
    return on_its_head(face) or _rating(image, face.box, detector, *_FIRST, rotated=True) > face.score - _NEAR


def upside_down(image: RGB, box: Float32, detector: Detector) -> bool:
    """Whether the ``detector`` rates the face in ``box`` (x1, y1, x2, y2) higher rotated by 180 degrees than as it is."""
    lead = 0.0
    for look in _COMPARED:
        lead += _rating(image, box, detector, *look, rotated=True) - _rating(image, box, detector, *look, rotated=False)
        if abs(lead) > _PLAIN:
            break
    return lead > 0.0


def _rating(image: RGB, box: Float32, detector: Detector, lengths: float, side: int, *, rotated: bool) -> float:
    """The best score in a square of ``lengths`` box lengths around a face, scaled to ``side`` pixels; 0 where no face shows."""
    x1, y1, x2, y2 = (float(value) for value in box)
    length = max(x2 - x1, y2 - y1) * lengths
    if not length > 0:
        return 0.0
    scale = side / length
    matrix = np.array([[scale, 0.0, side / 2 - scale * (x1 + x2) / 2], [0.0, scale, side / 2 - scale * (y1 + y2) / 2]])
    square = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    scores = detector.glance(rotate(square) if rotated else square, side).scores
    return float(scores.max(initial=0.0))


def _around(found: Detections, x: float, y: float) -> Detections:
    """The faces whose box holds the point (x, y)."""
    boxes = found.boxes
    inside = (boxes[:, 0] <= x) & (x <= boxes[:, 2]) & (boxes[:, 1] <= y) & (y <= boxes[:, 3])
    return Detections(boxes[inside], found.scores[inside], found.points[inside])


def rotate(image: RGB) -> RGB:
    """``image`` rotated by 180 degrees."""
    return np.ascontiguousarray(image[::-1, ::-1])


def rotate_points(points: Float32, size: tuple[int, int]) -> Float32:
    """Points (N, 2) of an image of ``size`` (width, height) in pixels of the rotated image."""
    return np.array([size[0] - 1, size[1] - 1], np.float32) - points


def rotate_face(face: Face, size: tuple[int, int]) -> Face:
    """A face of an image of ``size`` (width, height) as a face of the rotated image; the points keep their order."""
    corners = rotate_points(face.box.reshape(2, 2), size)[::-1].reshape(4)
    return Face(np.ascontiguousarray(corners), face.score, rotate_points(face.points, size), face.n_faces)


def on_its_head(face: Face) -> bool:
    """Whether the points of a face say that it stands on its head (rotated by more than 135 degrees)."""
    return abs(roll_of_face(face.points)) > 135.0


@overload
def upright(image: RGB, face: Face) -> tuple[RGB, Face]: ...
@overload
def upright(image: RGB, face: Face | None) -> tuple[RGB, Face | None]: ...
def upright(image: RGB, face: Face | None) -> tuple[RGB, Face | None]:
    """``image`` and its face, both rotated where the face stands on its head: what frontalizers and pose estimators are given."""
    if face is None or not on_its_head(face):
        return image, face
    return rotate(image), rotate_face(face, (image.shape[1], image.shape[0]))

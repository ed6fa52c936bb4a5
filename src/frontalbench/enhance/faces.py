"""Where the face is in an image that is to be corrected: points from a detector, and masks that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from frontalbench import status
from frontalbench.detect.select import DEFAULT_POLICY, Face, choose
from frontalbench.detect.upright import find_face, upright
from frontalbench.enhance.base import Refused
from frontalbench.geometry.masks import smoothstep
from frontalbench.geometry.oval import outline, reach_through
from frontalbench.geometry.similarity import DegeneratePoints, alignment_matrix, apply, invert
from frontalbench.images import RGB
from frontalbench.types import Bool, Float, Float32

if TYPE_CHECKING:
    from frontalbench.detect.base import Detector

_GLANCE: Final = 160
"""Network pixels of the longer side at a glance: points within about 1 % of the face's width of those of a full search, at a quarter of its time."""
_SURE: Final = 0.6
_OVAL: Final = 1.1
"""How far out the whole face reaches, in radii of the ellipse; skin statistics are taken inside of it."""


def found(detector: Detector, image: RGB) -> Float:
    """The five points (5, 2) of the face, by a full search. Raises :class:`Refused` (``no_face``)."""
    return _points(choose(detector.detect(image), (image.shape[1], image.shape[0])))


def glanced(detector: Detector, image: RGB, longest: int = _GLANCE) -> Float:
    """The five points of the face, good enough for a mask: one search at ``longest`` network pixels where that is sure, else a full one.

    Raises :class:`Refused`.
    """
    face = choose(detector.glance(image, longest), (image.shape[1], image.shape[0]))
    return _points(face) if face is not None and face.score >= _SURE else found(detector, image)


def in_photograph(detector: Detector, photograph: RGB, *, rough: bool = False) -> tuple[RGB, Float]:
    """The photograph upright, and the five points in it; ``rough``: a glance is enough where it is sure. Raises :class:`Refused`."""
    if rough:
        face = choose(detector.glance(photograph, _GLANCE), (photograph.shape[1], photograph.shape[0]))
        if face is not None and face.score >= _SURE:
            return photograph, _points(face, "photograph")
    face, _ = find_face(photograph, detector, DEFAULT_POLICY)
    if face is None:
        raise Refused("no face found in the photograph", status.NO_FACE)
    turned, face = upright(photograph, face)
    return turned, _points(face, "photograph")


def _points(face: Face | None, where: str = "image") -> Float:
    if face is None:
        raise Refused(f"no face found in the {where}", status.NO_FACE)
    points: Float = np.asarray(face.points, np.float64)
    to_crop(points)
    return points


def to_crop(points: Float) -> Float:
    """The similarity (2, 3) from pixels to the 112 x 112 crop. Raises :class:`Refused` where five points determine none."""
    try:
        return alignment_matrix(points)
    except DegeneratePoints as error:
        raise Refused(str(error), status.NO_FACE) from None


@dataclass(frozen=True)
class Region:
    """A part of an image around its face: ``where`` (rows, columns) cuts it out; ``weight`` float32 (h, w): 1 in the face, falling to 0."""

    where: tuple[slice, slice]
    weight: Float32


def face_region(shape: tuple[int, ...], points: Float, *, grown: float = _OVAL, feather: float = 0.25) -> Region:
    """The ellipse of the face in an image of ``shape``; ``grown``: its size, ``feather``: how much further the weight falls to 0, both in radii.

    Raises :class:`Refused` where it lies outside of the image.
    """
    matrix = to_crop(points)
    corners = apply(invert(matrix), outline(grown + feather))
    x0, y0 = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + 1, (shape[1], shape[0]))
    if x1 - x0 < 2 or y1 - y0 < 2:
        raise Refused("the face lies outside of the image", status.NO_FACE)
    weight = smoothstep(reach_through(matrix, range(x0, x1), range(y0, y1)), grown + feather, grown).astype(np.float32)
    return Region((slice(int(y0), int(y1)), slice(int(x0), int(x1))), weight)


def skin(shape: tuple[int, ...], points: Float, *, grown: float = 1.3, least: int = 30) -> tuple[tuple[slice, slice], Bool]:
    """Where an image surely shows skin: the hull of the five points, ``grown`` about their middle, without the eyes and the mouth; (rows, columns)
    that cut it out, and bool (h, w) within that.

    The hull shrinks with the angle of the head, so that a profile's holds no background. Where fewer than ``least`` pixels remain, the eyes and the
    mouth stay in. Raises :class:`Refused` where it lies outside of the image.
    """
    middle = points.mean(axis=0)
    hull = middle + grown * (points - middle)
    x0, y0 = np.maximum(np.floor(hull.min(axis=0)).astype(int), 0)
    x1, y1 = np.minimum(np.ceil(hull.max(axis=0)).astype(int) + 1, (shape[1], shape[0]))
    if x1 - x0 < 2 or y1 - y0 < 2:
        raise Refused("the face lies outside of the image", status.NO_FACE)
    whole = np.zeros((y1 - y0, x1 - x0), np.uint8)
    corner = np.array([x0, y0])
    cv2.fillConvexPoly(whole, cv2.convexHull(np.rint(hull - corner).astype(np.int32)), 1)
    without = whole.copy()
    length = float(np.linalg.norm(points[3:].mean(axis=0) - points[:2].mean(axis=0)))
    for point in points[:2] - corner:
        cv2.circle(without, _pixel(point), max(1, round(0.22 * length)), 0, -1)
    cv2.line(without, _pixel(points[3] - corner), _pixel(points[4] - corner), 0, max(1, round(0.3 * length)))
    chosen: Bool = (without if int(without.sum()) >= least else whole) > 0
    if not chosen.any():
        raise Refused("the face is too small to take colours from", status.NO_FACE)
    return (slice(int(y0), int(y1)), slice(int(x0), int(x1))), chosen


def _pixel(point: Float) -> tuple[int, int]:
    return round(float(point[0])), round(float(point[1]))

"""What ``mesh`` and ``tddfa`` share: where the head is in the photograph, the crop that is drawn, settings of cards, one bad image."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench import status
from frontalbench.errors import BadConfig, one_line, raise_if_memory_ran_out
from frontalbench.frontalize import framing
from frontalbench.frontalize.base import NoFace, Outcome, Place, View
from frontalbench.frontalize.foreground import Person, carried
from frontalbench.frontalize.head import MIDDLE, Frame, Head
from frontalbench.frontalize.render import Filling, render_seen
from frontalbench.frontalize.surroundings import Plate, surrounded
from frontalbench.geometry import crop
from frontalbench.geometry.masks import border_mask
from frontalbench.geometry.rotation import matrix_from_angles, untilted
from frontalbench.images import RGB
from frontalbench.landmarks.face_landmarker import HeadPose
from frontalbench.types import Float, Float32, Int

T = TypeVar("T")

CROP_CM = (26.0, 36.0)
"""Side of the result in centimetres of the head (a face is about 18 high): that of the photograph, within these bounds."""
CROP_SHIFT = (-0.5, -2.0)
"""The result's middle lies this far (cm, down > 0) from the head's in the smallest and the largest result, so that hair fits in."""


@dataclass(frozen=True)
class Placement:
    """Where the head is in the photograph: ``middle`` (3,): its middle in photograph pixels; ``scale``: photograph pixels per cm;
    ``tilt``: how far its upright axis leans clockwise in the image, degrees; ``rotation`` (3, 3): its pose with that tilt taken out."""

    middle: Float
    scale: float
    tilt: float
    rotation: Float

    def to_head_frame(self, points: Float) -> Float:
        """Photograph points (N, 3) -> cm about the head's middle, upright."""
        untilt = matrix_from_angles(0.0, 0.0, -self.tilt)
        turned: Float = (points - self.middle) @ untilt.T / self.scale
        return turned

    def to_photograph(self, points: Float) -> Float:
        """The way back: cm about the head's middle (N, 3), upright -> photograph points."""
        tilted: Float = self.scale * points @ matrix_from_angles(0.0, 0.0, -self.tilt) + self.middle
        return tilted


def placement_of(pose: HeadPose) -> Placement:
    """The placement of a head whose canonical face was fitted by ``pose`` (cm -> photograph pixels). Raises ValueError when it is degenerate."""
    if not (np.isfinite(pose.scale) and pose.scale > 1e-3 and np.isfinite(pose.rotation).all()):
        raise ValueError("the fitted head has no size")
    # Not the roll angle: near a profile roll and pitch exchange their roles, while the image of the head's upright axis stays well defined.
    rotation, tilt = untilted(pose.rotation)
    return Placement(pose.translation + pose.scale * pose.rotation @ MIDDLE, pose.scale, tilt, rotation)


@dataclass(frozen=True)
class Drawing:
    """``image`` (side, side, 3): the head in its new pose; ``texture``: the photograph in the same frame; ``seen`` float32 (side, side): how well
    the photograph shows what the image shows, 0 to 1; ``frame``: where the head is in all three; ``place``: where they are in the photograph."""

    image: RGB
    texture: RGB
    seen: Float32
    frame: Frame
    place: Place


def draw(
    image: RGB,
    head: Head,
    placement: Placement,
    target_pose: tuple[float, float, float],
    filling: Filling,
    person: Person | None = None,
    known: Float32 | None = None,
) -> Drawing:
    """Cut the crop out of the photograph and draw the head in the target pose. ``person``: what says of the crop where the person is; all else in it
    counts as not seen, and is no colour of the head. ``known``: :class:`View`'s ``seen``."""
    rotation, lean = untilted(matrix_from_angles(*target_pose))
    frame, cm, shift = frame_of(image, placement, lean)
    cut, pixels, plate = cropped(image, head, placement, frame, cm, shift)
    if known is not None:
        known = np.asarray(cv2.warpAffine(known, cut.matrix, (frame.side, frame.side), borderMode=cv2.BORDER_REPLICATE), np.float32)
    skin = None
    if person is not None:
        share = person(pixels, cut.matrix, frame.pixels_per_cm)
        skin = carried(pixels, share)
        if skin is not None:
            known = share if known is None else known * share
            # Nothing spills that would have to be brought back.
            filling = replace(filling, spill=0.0)
    image, seen = render_seen(head, rotation, pixels, frame, filling, plate, skin, known)
    return Drawing(image, pixels, seen, frame, Place(cut.matrix, border_mask(frame.side)))


def frame_of(image: RGB, placement: Placement, lean: float) -> tuple[Frame, float, float]:
    """(the result's frame, its side in cm, how far below the head's middle its own lies in cm). Raises ValueError where the head is too small."""
    cm = float(np.clip(min(image.shape[:2]) / placement.scale, *CROP_CM))
    shift = float(np.interp(cm, CROP_CM, CROP_SHIFT))
    side = max(1, min(crop.MAX_SIDE, round(cm * placement.scale)))
    if side < 16:
        raise ValueError(f"the head is only {side} pixels large")
    pixels_per_cm = side / cm
    return Frame(side, pixels_per_cm, ((side - 1) / 2.0, (side - 1) / 2.0 - shift * pixels_per_cm), lean), cm, shift


def cropped(image: RGB, head: Head, placement: Placement, frame: Frame, cm: float, shift: float) -> tuple[crop.Crop, RGB, Plate | None]:
    """A photograph cut so that its head lies in ``frame`` (:func:`frame_of`, also that of another photograph): the crop, and as
    :func:`~frontalbench.frontalize.surroundings.surrounded` draws it."""
    # The crop is cut so that the head's upright axis leans in it as it will in the target pose; the head then turns within that leaning frame.
    matrix = framing.head_square(placement, cm, frame.side, offset=(0.0, shift), lean=frame.lean)
    cut = crop.Crop(crop.warp(image, matrix, frame.side), matrix)
    return cut, *surrounded(cut, image.shape[0], image.shape[1], head, placement.rotation, frame)


def facing_camera(points: Float, triangles: npt.NDArray[np.int32]) -> Int:
    """``triangles`` wound so that the normals of most look at the camera."""
    faces = triangles.astype(np.int64)
    a, b, c = (points[faces[:, k]] for k in range(3))
    return faces if float(np.cross(b - a, c - a)[:, 2].sum()) < 0.0 else faces[:, [0, 2, 1]]


def settings(kind: type[T], values: object, name: str) -> T:
    """A dataclass of numbers from a card's mapping. Raises :class:`BadConfig` for unknown keys and values that are no numbers."""
    known = {field.name: field.default for field in fields(kind) if field.default is not MISSING}  # type: ignore[arg-type]
    if not isinstance(values, Mapping) or set(values) - set(known):
        raise BadConfig(f"frontalizer card '{name}': {kind.__name__.lower()} should hold only {', '.join(known)}")
    try:
        return kind(**{key: type(known[key])(value) for key, value in values.items()})
    except (TypeError, ValueError) as error:
        raise BadConfig(f"frontalizer card '{name}': {kind.__name__.lower()}: {error}") from error


def guarded(
    action: Callable[[View, tuple[float, float, float]], tuple[RGB, Place | None]], view: View, target_pose: tuple[float, float, float]
) -> Outcome:
    """Run ``action`` on one view; a missing face and anything that goes wrong become an outcome."""
    if view.face is None:
        return Outcome(None, status.NO_FACE, "no face was detected in the photograph")
    started = time.perf_counter()
    try:
        image, place = action(view, target_pose)
    except Exception as error:  # noqa: BLE001 - one bad image must never end a batch; the sentence goes into its row
        raise_if_memory_ran_out(error)
        word = status.NO_FACE if isinstance(error, NoFace) else status.MODEL_ERROR
        return Outcome(None, word, one_line(error), time.perf_counter() - started)
    return Outcome(image, status.OK, "", time.perf_counter() - started, place)

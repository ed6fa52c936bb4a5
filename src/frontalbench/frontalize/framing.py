"""How published networks want a face cut out: each recipe once, as a similarity from the photograph to the network's square.

A recipe gives a matrix; :func:`cut` makes pixels of it and remembers where they came from, so that what the network draws can be put back.
Matrices are
(2, 3), photograph pixels -> crop pixels, pixel centres at integers, the face upright unless a recipe says otherwise. A face too small or
degenerate for a crop raises ValueError, which becomes its row's reason.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench.frontalize.base import Place
from frontalbench.geometry.crop import roll_of_face, square_matrix, warp
from frontalbench.geometry.masks import border_mask
from frontalbench.geometry.rotation import matrix_from_angles
from frontalbench.geometry.similarity import apply, estimate_similarity, invert
from frontalbench.images import RGB
from frontalbench.landmarks.base import Landmarks
from frontalbench.types import Float

if TYPE_CHECKING:
    from frontalbench.frontalize.drawing import Placement


SMALLEST = 8.0
"""Photograph pixels that a square must have at least."""

FOREHEAD = 0.39
"""How far a face detector's box reaches above the 68 points, in heights of theirs; at the other sides both agree within 0.06. Median of SCRFD-500M,
SCRFD-2.5G and RetinaFace (all trained on WIDER FACE, as First-Order-Model's detector is) on 36 whole heads at 0, 45 and 90 degrees: 0.35 to 0.40."""

FIVE_512 = np.array([[192.98138, 239.94708], [318.90277, 240.1936], [256.63416, 314.01935], [201.26117, 371.41043], [313.08905, 371.15118]])
"""Where the five points lie in a 512 x 512 face (the released template of facexlib, which GFPGAN, CodeFormer and RestoreFormer share)."""
FIVE_512.flags.writeable = False


@dataclass(frozen=True)
class Framed:
    """``pixels`` uint8 (side, side, 3) RGB: the crop; ``matrix`` (2, 3): photograph -> crop pixels."""

    pixels: RGB
    matrix: Float

    @property
    def side(self) -> int:
        return int(self.pixels.shape[0])

    def place(self, side: int | None = None) -> Place:
        """Where a result of ``side`` pixels (by default the crop's own) that covers the same square lies in the photograph; fades at its border."""
        return Place(resized(self.matrix, self.side, side or self.side), border_mask(side or self.side))


def cut(image: RGB, matrix: Float, side: int, *, border: int = cv2.BORDER_CONSTANT) -> Framed:
    """The square that ``matrix`` shows, ``side`` pixels; smoothed before it is shrunk. ``border``: what lies outside of the photograph, as OpenCV
    names it (constant: black; replicate; reflect_101)."""
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    if not np.isfinite(matrix).all() or scale <= 0.0 or side / scale < SMALLEST:
        raise ValueError(f"the face is too small to crop: a square of {side / scale if scale > 0 else 0:.1f} pixels")
    return Framed(warp(image, matrix, side, border=border), matrix)


def resized(matrix: Float, side: int, new: int) -> Float:
    """The matrix of the same square in ``new`` pixels instead of ``side``: pixel x goes to (x + 0.5) f - 0.5."""
    factor = new / side
    return np.column_stack([matrix[:, :2] * factor, (matrix[:, 2] + 0.5) * factor - 0.5])


def ffhq(landmarks: Landmarks, side: int) -> Float:
    """The oriented crop of FFHQ (Karras et al. 2019, appendix A; pSp, E2Style and EG3D's relatives use it), ``side`` 256 or 512, from 68 points.

    Its x axis is the mean of the eyes' line and the eyes-to-mouth line turned by a right angle; its half size is the larger of twice the eyes'
    distance and 1.8 times the way from the eyes to the mouth; its middle lies a tenth of that way below the eyes.
    """
    p = landmarks.to("ibug68").flat
    right, left = p[36:42].mean(axis=0), p[42:48].mean(axis=0)
    eyes, mouth = (right + left) / 2.0, (p[48] + p[54]) / 2.0
    across, down = left - right, mouth - eyes
    axis = across - np.array([-down[1], down[0]])
    length = float(np.hypot(*axis))
    if length < 1e-6:
        raise ValueError("eyes and mouth fall on one another: no crop")
    size = 2.0 * max(2.0 * float(np.hypot(*across)), 1.8 * float(np.hypot(*down)))
    return _square(eyes + 0.1 * down, size, float(np.degrees(np.arctan2(axis[1], axis[0]))), side)


def cut_ffhq(image: RGB, landmarks: Landmarks, side: int) -> Framed:
    """The crop of :func:`ffhq`. Beyond the photograph's border as in FFHQ: mirrored, blurred, and fading to the median colour with the distance, so
    that no second face stands there."""
    matrix = ffhq(landmarks, side)
    framed = cut(image, matrix, side, border=cv2.BORDER_REFLECT_101)
    height, width = image.shape[:2]
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    y, x = np.mgrid[:side, :side].astype(np.float64)
    places = apply(invert(matrix), np.stack([x, y], axis=-1))
    beyond = np.stack([-places[..., 0], places[..., 0] - (width - 1), -places[..., 1], places[..., 1] - (height - 1)])
    if beyond.max() <= 0.0:
        return framed
    # Of the published padding: a tenth of the square more than is shown, and at least 0.3 of it.
    reach = np.maximum(beyond.max(axis=(1, 2)) + 0.1 * side / scale, 0.3 * side / scale)
    share = (beyond / reach[:, None, None]).max(axis=0)[..., None].astype(np.float32)
    pixels = framed.pixels.astype(np.float32)
    blurred = cv2.GaussianBlur(pixels, (0, 0), 0.02 * side)
    pixels += np.clip(3.0 * share + 1.0, 0.0, 1.0) * (blurred - pixels)
    pixels += np.clip(share, 0.0, 1.0) * (np.median(framed.pixels, axis=(0, 1)) - pixels)
    return Framed(np.clip(np.rint(pixels), 0, 255).astype(np.uint8), matrix)


def voxceleb(landmarks: Landmarks, side: int = 256, *, increase: float = 0.1, tilt: float = 0.0) -> Float:
    """The framing of VoxCeleb videos as First-Order-Model's cropper makes them: a face detector's box made larger by ``increase`` on every side, then
    as wide as it is high. Published without turning, heads lean in those videos; ``tilt``: degrees clockwise that come out upright.

    The box is that of the landmarks and :data:`FOREHEAD`: detectors' boxes end at the hairline, or at the photograph's border where that is nearer.
    """
    angle = np.radians(tilt)
    upright = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    points = landmarks.flat @ upright.T
    low, high = points.min(axis=0), points.max(axis=0)
    low[1] -= FOREHEAD * (high[1] - low[1])
    width, height = high - low
    size = float(max(height * (1.0 + 2.0 * increase), width * (1.0 + 2.0 * increase)))
    return _square((low + high) / 2.0 @ upright, size, tilt, side)


def nose_bridge(landmarks: Landmarks, side: int = 128) -> Float:
    """FFWM's crop: the face upright, the point where the nose's bridge begins in the middle, half a side down to the chin.

    Upright is where the line of the eyes and the line from them to the mouth agree (:func:`~frontalbench.geometry.crop.roll_of_face`). The published
    one is the eyes' line alone: the same within 3 degrees up to three-quarter views, up to 85 degrees off in profiles.
    """
    tilt, down = _upright(landmarks)
    centre, chin = landmarks.part("nose_bridge"), landmarks.part("chin")
    return _square(centre, 2.0 * float((chin - centre) @ down), tilt, side)


def inner_eyes(landmarks: Landmarks, side: int = 128) -> Float:
    """The crop of scaleway/frontalization, from 68 points: the face upright (as in :func:`nose_bridge`), the point between the inner corners of the
    eyes half way across and at a fifth of the height, the chin on the lower edge."""
    tilt, down = _upright(landmarks)
    p = landmarks.to("ibug68").flat
    between = (p[39] + p[42]) / 2.0
    size = float((p[8] - between) @ down) / 0.8
    return _square(between + (0.5 - 0.2) * size * down, size, tilt, side)


def eyes_to_mouth(landmarks: Landmarks, side: int = 128) -> Float:
    """TP-GAN's crop: the face upright (as in :func:`nose_bridge`), 48 of 128 pixels from the middle of the eyes down to that of the mouth, the eyes
    in row 40 and half way across."""
    tilt, down = _upright(landmarks)
    right, left, _, mouth_right, mouth_left = landmarks.to("five").flat
    eyes = (right + left) / 2.0
    size = float(((mouth_right + mouth_left) / 2.0 - eyes) @ down) * 128.0 / 48.0
    return _square(eyes + (0.5 - 40.5 / 128.0) * size * down, size, tilt, side)


def five_point(points: npt.ArrayLike, side: int = 512) -> Float:
    """Five points (5, 2) brought to :data:`FIVE_512` by least squares. Raises BadInput for degenerate points."""
    return estimate_similarity(points, resized_points(FIVE_512, 512, side))


def detection(box: npt.ArrayLike, side: int = 256, *, scale: float = 1.2, tilt: float = 0.0) -> Float:
    """FSGAN's crop: the detector's box (x1, y1, x2, y2) made larger by ``scale``, then as wide as it is high (the larger of both), not rounded to
    pixels. ``tilt``: how far what shall stand upright in the crop leans clockwise in the photograph, degrees (FSGAN turns the crop afterwards)."""
    x1, y1, x2, y2 = (float(value) for value in np.asarray(box, np.float64))
    return _square(np.array([(x1 + x2) / 2.0, (y1 + y2) / 2.0]), scale * max(x2 - x1, y2 - y1), tilt, side)


def landmark_square(landmarks: Landmarks, side: int = 224) -> Float:
    """DECA's crop, not turned: the box around 68 points, the mean of its sides 1.1 times as large, and a quarter more, rounded down to pixels; the
    middles of the border pixels lie on that square's edge."""
    points = landmarks.to("ibug68").flat
    low, high = points.min(axis=0), points.max(axis=0)
    size = float(int(1.25 * 1.1 * float((high - low).sum()) / 2.0))
    return _square((low + high) / 2.0, size * side / (side - 1), 0.0, side)


def head_square(placement: Placement, cm: float, side: int, *, offset: npt.ArrayLike = (0.0, 0.0), lean: float = 0.0) -> Float:
    """A square of ``cm`` centimetres of the fitted head. ``lean``: how far the head's upright axis leans clockwise in the crop, degrees; ``offset``:
    of its middle from the head's middle, (right, down) in cm along the crop's axes, which are the upright head's where ``lean`` is 0."""
    angle = placement.tilt - lean
    upright = matrix_from_angles(0.0, 0.0, angle)[:2, :2]
    centre = placement.middle[:2] + upright @ np.asarray(offset, np.float64) * placement.scale
    return _square(centre, cm * placement.scale, angle, side)


def moved(matrix: Float, there: Float, here: Float, scale: float, lean: float) -> Float:
    """Photograph -> result pixels (2, 3), where a fitted head is drawn anew: what the crop (``matrix``: photograph -> crop) has at ``there`` (2,)
    lies at ``here`` (2,), ``scale`` times as large, turned back by ``lean`` degrees."""
    turned = scale * matrix_from_angles(0.0, 0.0, -lean)[:2, :2]
    return np.column_stack([turned @ matrix[:, :2], turned @ (matrix[:, 2] - there) + here])


def resized_points(points: Float, side: int, new: int) -> Float:
    """Points of a crop of ``side`` pixels in one of ``new`` pixels."""
    return (points + 0.5) * (new / side) - 0.5


def _upright(landmarks: Landmarks) -> tuple[float, Float]:
    """How far a face leans clockwise in the image, degrees, and the direction (2,) that is down for it."""
    tilt = roll_of_face(landmarks.to("five").flat)
    return tilt, np.array([-np.sin(np.radians(tilt)), np.cos(np.radians(tilt))])


def _square(centre: Float, size: float, roll: float, side: int) -> Float:
    if not (np.isfinite(centre).all() and np.isfinite(size) and size >= SMALLEST):
        raise ValueError(f"the face is too small to crop: a square of {size:.1f} pixels")
    return square_matrix(centre, size, side, roll)

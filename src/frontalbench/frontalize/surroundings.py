"""What a crop shows where it reaches beyond its photograph: hair goes on within the outline of a skull, the background goes on around it.

A border carried on draws streaks up from cut hair and a second head out of a cut cheek. Here the unknown pixels take the colours of known ones of
their own kind, the nearer the more.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from frontalbench.frontalize.head import Frame, Head
from frontalbench.geometry.crop import Crop
from frontalbench.geometry.masks import Mask, smoothstep
from frontalbench.geometry.rotation import matrix_from_angles
from frontalbench.geometry.similarity import apply, invert
from frontalbench.images import RGB
from frontalbench.types import Float, Float32

SKULL_MIDDLE = np.array([0.0, -2.0, 0.0])
SKULL_RADII = np.array([9.0, 11.5, 11.5])
"""An ellipsoid about a head and its hair, in cm about the head's middle."""
CHIN_CM = 9.0
"""The chin lies this far below the head's middle."""
SOFT_CM = 2.0
"""The skull's outline and the line of the chin pass over this width."""
CLEAR_CM = 2.0
"""Nearer to the fitted face than this nothing counts as background."""
JOIN_CM = 1.5
"""The photograph's own edge is carried on over this distance, so that no line shows where it ends."""
COARSER = 4
"""Beyond the photograph nothing fine is drawn: it is worked out in pixels this much larger."""


@dataclass(frozen=True)
class Plate:
    """``inside`` (side, side): 1 where a crop shows its photograph, else 0; ``behind`` uint8 (side, side, 3): roughly what lies behind the head."""

    inside: Mask
    behind: RGB


def surrounded(cut: Crop, height: int, width: int, head: Head, rotation: Float, frame: Frame) -> tuple[RGB, Plate | None]:
    """The image of ``cut`` with what lies beyond its ``height`` x ``width`` photograph drawn, and what lies behind the head.

    ``head`` in pose ``rotation`` is what the photograph shows, in the crop's ``frame``. Where all of the crop lies inside: its very pixels, and None.
    """
    beyond = outside(cut, height, width)
    if beyond is None:
        return cut.image, None
    small = frame.resized(max(1, cut.side // COARSER))
    colour, far = (cv2.resize(values, (small.side, small.side), interpolation=cv2.INTER_AREA) for values in (cut.image, beyond))
    within, clear, below = partition(head, rotation, small)
    known = (far <= 0.0).astype(np.float32)
    clear = known * np.maximum(clear, np.float32(1e-6))  # better a doubtful colour than none
    above, under, inner = (spread(colour, weight) for weight in (clear * (1.0 - below), clear * below, known * within))
    behind = above + below[..., None] * (under - above)
    drawn = behind + within[..., None] * (inner - behind)
    # In whole levels before they are enlarged: a quarter of the memory that goes through the processor.
    full, behind = (
        cv2.resize(np.clip(np.rint(values), 0, 255).astype(np.uint8), (cut.side, cut.side), interpolation=cv2.INTER_LINEAR)
        for values in (drawn, behind)
    )
    share = smoothstep(beyond, 0.0, JOIN_CM * frame.pixels_per_cm)
    image = cv2.blendLinear(cut.image, full, 1.0 - share, share)
    return np.asarray(image, np.uint8), Plate((beyond <= 0.0).astype(np.float32), np.asarray(behind, np.uint8))


def outside(cut: Crop, height: int, width: int) -> Float32 | None:
    """How far (crop pixels) each pixel of ``cut`` lies beyond its ``height`` x ``width`` photograph: 0 inside; None when all of it lies inside."""
    side = cut.side
    corners = apply(invert(cut.matrix), [[0, 0], [side - 1, 0], [0, side - 1], [side - 1, side - 1]])
    if (corners >= -0.5).all() and (corners <= [width - 0.5, height - 0.5]).all():
        return None
    line, back = np.arange(side, dtype=np.float32), invert(cut.matrix).astype(np.float32)
    far = []
    for axis, size in enumerate((width, height)):
        half = np.float32((size - 1) / 2.0)
        # How far from the middle, less half of the size; in place, as each of these would be a megabyte of its own.
        place = np.add.outer(back[axis, 1] * line + (back[axis, 2] - half), back[axis, 0] * line)
        np.abs(place, out=place)
        place -= half
        far.append(np.maximum(place, np.float32(0.0), out=place))
    distance = cv2.magnitude(far[0], far[1])
    distance *= np.float32(cut.scale)
    return np.asarray(distance, np.float32)


def partition(head: Head, rotation: Float, frame: Frame) -> tuple[Mask, Mask, Mask]:
    """Where a photograph of ``head`` in pose ``rotation`` shows what, (side, side) in 0..1 each: the head; surely not the head; below the chin.

    An ellipsoid with the matrix ``E = R diag(r^2) R^T`` projects to the ellipse ``p^T E_xy^-1 p <= 1``.
    """
    x, y = np.meshgrid(np.arange(frame.side), np.arange(frame.side))
    place = (np.stack([x, y], axis=-1) - frame.middle) / frame.pixels_per_cm @ matrix_from_angles(0.0, 0.0, frame.lean)[:2, :2]
    offset = place - (rotation @ SKULL_MIDDLE)[:2]
    inverse = np.linalg.inv((rotation @ np.diag(SKULL_RADII**2) @ rotation.T)[:2, :2])
    radius = np.sqrt(((offset @ inverse) * offset).sum(axis=-1)).astype(np.float32)
    soft = SOFT_CM / 2.0 / float(SKULL_RADII.mean())
    # The skirt comes right after the coarse face; what is dense lies within.
    coarse = slice(0, head.skirt[1] or None)
    face = cv2.convexHull(frame.to_pixels(head.source[coarse][head.still[coarse] == 0.0])[:, :2].astype(np.float32))
    near = cv2.fillConvexPoly(np.zeros((frame.side, frame.side), np.uint8), np.rint(face).astype(np.int32), 1)
    reach = 2 * round(CLEAR_CM * frame.pixels_per_cm) + 1
    near = cv2.dilate(near, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    clear = smoothstep(radius, 1.1, 1.25) * (1.0 - near.astype(np.float32))
    below = smoothstep(place[..., 1].astype(np.float32), CHIN_CM - SOFT_CM, CHIN_CM + SOFT_CM)
    return smoothstep(radius, 1.0 + soft, 1.0 - soft), clear, below


def spread(image: RGB | Float32, weight: Float32, *, coarsest: int = 2) -> Float32:
    """Colours everywhere from those where ``weight`` (H, W) in 0..1 is above 0 (pull-push, Gortler et al. 1996): each unknown pixel takes the mean of
    the smallest neighbourhood in which something is known; black where nothing is known at all."""
    colour = image.astype(np.float32)
    height, width = weight.shape
    share = weight[..., None]
    if min(height, width) <= coarsest:
        mean = (colour * share).sum(axis=(0, 1)) / max(float(weight.sum()), 1e-20)
        return np.broadcast_to(mean, colour.shape).astype(np.float32)
    half = ((width + 1) // 2, (height + 1) // 2)
    parts = np.empty((height, width, 4), np.float32)
    np.multiply(colour, share, out=parts[..., :3])
    parts[..., 3] = weight
    parts = cv2.resize(parts, half, interpolation=cv2.INTER_AREA)
    small = parts[..., :3] / np.maximum(parts[..., 3:], np.float32(1e-20))
    coarse = cv2.resize(spread(small, np.minimum(np.float32(1.0), 4.0 * parts[..., 3])), (width, height), interpolation=cv2.INTER_LINEAR)
    colour -= coarse
    colour *= share
    colour += coarse
    return np.asarray(colour, dtype=np.float32)

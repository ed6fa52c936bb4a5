"""What ``frontalbench_rnr`` sees of a face: the photograph and its mesh-turned view in one upright frame about the head, and what of it was seen.

The frame is a square of :data:`SPAN` cm of the head around its middle, cut out of the larger one in which the mesh is drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from frontalbench.frontalize.drawing import Drawing
from frontalbench.frontalize.head import Frame
from frontalbench.geometry.rotation import angles_from_matrix
from frontalbench.images import RGB
from frontalbench.types import Float, Float32, UInt8

SPAN = 22.0
"""Side of the frame in centimetres of the head; a face is about 18 high."""
ANGLE = 90.0
"""Degrees that become 1 in the pose planes."""


@dataclass(frozen=True)
class Sample:
    """``photograph``, ``turned`` uint8 (S, S, 3) RGB; ``seen`` uint8 (S, S), 255 where the photograph shows what ``turned`` shows;
    ``pose``, ``target``: (yaw, pitch) of the photograph and of the wanted view in degrees."""

    photograph: RGB
    turned: RGB
    seen: UInt8
    pose: tuple[float, float]
    target: tuple[float, float]


def sample(drawing: Drawing, rotation: Float, target: tuple[float, float], size: int) -> Sample:
    """The network's view of a drawing; ``rotation``: pose of the photograph (3, 3), tilt taken out; ``size``: S."""
    yaw, pitch, _ = angles_from_matrix(rotation)
    level = level_pitch(float(yaw), float(pitch))
    seen = cut(np.clip(np.rint(255.0 * drawing.seen), 0, 255).astype(np.uint8), drawing.frame, size)
    return Sample(cut(drawing.texture, drawing.frame, size), cut(drawing.image, drawing.frame, size), seen, (float(yaw), level), target)


def level_pitch(yaw: float, pitch: float) -> float:
    """The pitch to believe, in degrees: near a profile yaw alone says how the head stands, the other angles are noise."""
    return float(np.clip(pitch, -ANGLE / 2, ANGLE / 2)) if abs(yaw) < 75.0 else 0.0


def frame_matrix(frame: Frame, size: int) -> Float:
    """Pixels of a drawing in ``frame`` -> pixels of the network's frame of ``size`` pixels (2, 3)."""
    scale = size / (SPAN * frame.pixels_per_cm)
    return np.column_stack([scale * np.eye(2), (size - 1) / 2.0 - scale * np.asarray(frame.middle)])


def cut(pixels: UInt8, frame: Frame, size: int) -> UInt8:
    """The network's frame, ``size`` pixels square, out of a drawing's ``image``, ``texture`` or ``seen``."""
    if size < SPAN * frame.pixels_per_cm:
        # A warp does not average: shrink first, then cut.
        frame = frame.resized(max(size, round(frame.side * size / (SPAN * frame.pixels_per_cm))))
        pixels = np.asarray(cv2.resize(pixels, (frame.side, frame.side), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    cutting = cv2.warpAffine(pixels, frame_matrix(frame, size), (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cutting, dtype=np.uint8)


def planes(samples: list[Sample]) -> Float32:
    """The network's input float32 (N, 11, S, S): photograph and turned view -1..1, seen 0..1, four planes of angles."""
    return np.stack([_planes(one) for one in samples])


def _planes(one: Sample) -> Float32:
    size = one.seen.shape[0]
    colours = np.concatenate([one.photograph, one.turned], axis=2).transpose(2, 0, 1).astype(np.float32) / 127.5 - 1.0
    angles = np.array([*one.pose, *one.target], np.float32)[:, None, None] / ANGLE
    return np.concatenate([colours, one.seen[None].astype(np.float32) / 255.0, np.broadcast_to(angles, (4, size, size))]).astype(np.float32)

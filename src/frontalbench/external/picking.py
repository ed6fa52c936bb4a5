"""From what an adapter left to one image: which frame of a clip, which part of it, and whether that is what was asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from frontalbench import images
from frontalbench.detect.select import DEFAULT_POLICY
from frontalbench.detect.upright import find_face
from frontalbench.errors import Unreadable
from frontalbench.external.job import MOST_BYTES, NoResult
from frontalbench.external.settings import ANY, PHOTOGRAPH, Wanted
from frontalbench.geometry.rotation import geodesic_degrees, matrix_from_angles
from frontalbench.images import RGB

if TYPE_CHECKING:
    from frontalbench.detect.base import Detector
    from frontalbench.pose.base import PoseEstimator

MOST_FRAMES = 2000
_CLIPS = (".mp4", ".avi", ".mov", ".webm", ".gif")
Pose = tuple[float, float, float]


@dataclass(frozen=True)
class Eyes:
    """What looks at frames where a card asks for it: finds faces, and measures how they are turned."""

    detector: Detector
    pose: PoseEstimator | None


def image(path: Path, wanted: Wanted, photograph: tuple[int, int], target: Pose, eyes: Eyes | None = None) -> RGB:
    """The image (uint8 (H, W, 3) RGB) that the result at ``path`` holds: an image file, a clip, or a folder of frames.

    ``photograph``: (width, height) of what was turned; ``target``: yaw, pitch, roll in degrees that were asked for; ``eyes``: needed where
    ``wanted.looks_for_faces``. Raises :class:`NoResult`, a sentence for the row.
    """
    frame = _frame(path, wanted, target, eyes)
    if wanted.cut is not None:
        frame = cut_out(frame, wanted.cut)
    if wanted.face == "cut":
        frame = around_face(frame, wanted.margin, eyes)
    height, width = frame.shape[:2]
    expected = photograph if wanted.size == PHOTOGRAPH else wanted.size
    if wanted.size != ANY and (width, height) != expected:
        raise NoResult(f"wrong size: {width} x {height} pixels, expected {expected[0]} x {expected[1]}")
    return frame


def _frame(path: Path, wanted: Wanted, target: Pose, eyes: Eyes | None) -> RGB:
    if path.is_dir() or path.suffix.lower() in _CLIPS:
        return chosen(path, wanted, target, eyes)
    if wanted.least_frames > 1:
        raise NoResult(f"one image, expected a clip of at least {wanted.least_frames} frames")
    return _decoded(path)


def _decoded(path: Path) -> RGB:
    try:
        return images.decode(path.read_bytes())
    except Unreadable as error:
        raise NoResult(f"{path.name} is no image: {error}") from None
    except OSError as error:
        raise NoResult(f"{path.name} cannot be read: {error.strerror or error}") from None


def chosen(path: Path, wanted: Wanted, target: Pose, eyes: Eyes | None) -> RGB:
    """The frame that ``wanted.pick`` names. Raises :class:`NoResult` for a clip that is too short, unreadable, or shows no face."""
    if wanted.pick == "best_posed":
        return _best_posed(path, wanted, target, eyes)
    number = sum(1 for _ in frames(path))
    _long_enough(number, wanted)
    place = {"first": 0, "middle": number // 2, "last": number - 1}[wanted.pick]
    return next(frame for i, frame in enumerate(frames(path)) if i == place)


def _long_enough(number: int, wanted: Wanted) -> None:
    if number == 0:
        raise NoResult("the clip holds no frame that can be read")
    if number < wanted.least_frames:
        raise NoResult(f"clip too short: {number} frames, expected at least {wanted.least_frames}")


def _best_posed(path: Path, wanted: Wanted, target: Pose, eyes: Eyes | None) -> RGB:
    """The frame whose head is nearest to ``target`` by the angle between the rotations; the first of equals."""
    assert eyes is not None and eyes.pose is not None, "best_posed needs a detector and a pose estimator"
    aim = matrix_from_angles(*target)
    best: tuple[float, RGB] | None = None
    number = 0
    for frame in frames(path):
        number += 1
        face, _ = find_face(frame, eyes.detector, DEFAULT_POLICY)
        if face is None:
            continue
        try:
            yaw, pitch, roll, _ = eyes.pose.estimate(frame, face)
        except ValueError:  # a degenerate face has no pose, so this frame is not the best
            continue
        off = float(geodesic_degrees(aim, matrix_from_angles(yaw, pitch, roll)))
        if best is None or off < best[0]:
            best = (off, frame)
    _long_enough(number, wanted)
    if best is None:
        raise NoResult(f"no face in any of the {number} frames of the clip")
    return best[1]


def frames(path: Path) -> Iterator[RGB]:
    """The frames of a clip or of a folder of images (by name), at most :data:`MOST_FRAMES`. A clip that cannot be opened has none."""
    if path.is_dir():
        with os.scandir(path) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file(follow_symlinks=False) and entry.stat().st_size <= MOST_BYTES)
        for name in [name for name in names if Path(name).suffix.lower() in images.EXTENSIONS][:MOST_FRAMES]:
            yield _decoded(path / name)
        return
    clip = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        for _ in range(MOST_FRAMES):
            there, frame = clip.read()
            if not there:
                return
            yield np.ascontiguousarray(frame[..., ::-1])
    finally:
        clip.release()


def cut_out(frame: RGB, part: tuple[float, float, float, float]) -> RGB:
    """The part (left, top, right, bottom in 0..1, rounded to pixels) of a frame, at least one pixel."""
    height, width = frame.shape[:2]
    left, top = min(round(part[0] * width), width - 1), min(round(part[1] * height), height - 1)
    right, bottom = max(round(part[2] * width), left + 1), max(round(part[3] * height), top + 1)
    return np.ascontiguousarray(frame[top:bottom, left:right])


def around_face(frame: RGB, margin: float, eyes: Eyes | None) -> RGB:
    """A square around the face found again, ``margin`` times the longer side of its box, moved into the frame where it can be.

    Raises :class:`NoResult` where no face is found.
    """
    assert eyes is not None, "cutting around a face needs a detector"
    face, _ = find_face(frame, eyes.detector, DEFAULT_POLICY)
    if face is None:
        raise NoResult("no face was found again in the result")
    height, width = frame.shape[:2]
    x1, y1, x2, y2 = (float(value) for value in face.box)
    side = min(round(margin * max(x2 - x1, y2 - y1)), width, height)
    left = int(np.clip(round((x1 + x2 - side) / 2), 0, width - side))
    top = int(np.clip(round((y1 + y2 - side) / 2), 0, height - side))
    return np.ascontiguousarray(frame[top : top + side, left : left + side])

"""Which boxes of a sequence are one person: detections are joined from frame to frame by how much they overlap (FSGANv2: an IoU over 0.75).

Pure geometry: a person who is lost and comes back in the same place within ``gap`` frames goes on as the same track; a cut ends all tracks, because
after it another person may stand in the same place.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from frontalbench.images import RGB
from frontalbench.types import Float, Int

IOU = 0.75
"""Boxes that overlap more than this, as intersection over union, are the same face (FSGANv2, section 4; its program's default)."""
GAP = 5
"""A track that finds no box in so many frames in a row ends."""
EPSILON = 1e-5
"""Added to the union, as in the official program, so that two empty boxes do not divide by zero."""
CUT, ALIKE = 0.35, 0.7
"""On two sides of a cut the colours of neighbouring frames overlap less than the first, and their layouts correlate less than the second."""


@dataclass
class Track:
    """One face over time. ``frames``: numbers of its frames, rising; ``places``: which of that frame's boxes; ``boxes`` float64 (4,) each."""

    frames: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    boxes: list[Float] = field(default_factory=list)

    def array(self) -> Float:
        """(n, 4) x1, y1, x2, y2."""
        return np.stack(self.boxes)


def iou(first: Float, second: Float) -> Float:
    """Intersection over union of boxes (N, 4) with boxes (M, 4), each x1, y1, x2, y2: (N, M)."""
    a, b = np.asarray(first, np.float64)[:, None], np.asarray(second, np.float64)[None]
    size = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0.0, None)
    shared = size[..., 0] * size[..., 1]
    area_a, area_b = ((box[..., 2] - box[..., 0]) * (box[..., 3] - box[..., 1]) for box in (a, b))
    overlap: Float = shared / (area_a + area_b - shared + EPSILON)
    return overlap


@dataclass
class Tracker:
    """Follows faces one frame at a time, in flat memory. ``least``: boxes must overlap more than this; ``gap``: frames that a track survives
    without a box."""

    least: float = IOU
    gap: int = GAP
    _next: int = 0
    _open: dict[int, tuple[int, Float]] = field(default_factory=dict)

    def step(self, frame: int, boxes: Float, *, cut: bool = False) -> Int:
        """(n,): the track of each of the ``boxes`` (n, 4) of frame number ``frame``. ``cut``: the frame shows another scene than the one before.

        Best pairs first; a box that no open track overlaps enough begins a track. Frames must come in rising order.
        """
        if cut:
            self._open.clear()
        self._open = {number: entry for number, entry in self._open.items() if frame - entry[0] <= self.gap + 1}
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        numbers = list(self._open)
        given = np.full(len(boxes), -1, np.int64)
        if numbers and len(boxes):
            overlap = iou(np.stack([self._open[number][1] for number in numbers]), boxes)
            while overlap.size and overlap.max() > self.least:
                row, column = np.unravel_index(int(overlap.argmax()), overlap.shape)
                given[column] = numbers[row]
                overlap[row, :] = overlap[:, column] = -1.0
        for new in np.flatnonzero(given < 0).tolist():
            given[new] = self._next
            self._next += 1
        for place, number in enumerate(given.tolist()):
            self._open[number] = (frame, boxes[place])
        return given


def follow(frames: Sequence[Float], *, least: float = IOU, gap: int = GAP, cuts: Collection[int] = ()) -> list[Track]:
    """The tracks in a sequence; ``frames``: the boxes (n, 4) of each frame; ``cuts``: numbers of frames that begin a new scene. Longest first."""
    tracker = Tracker(least, gap)
    found: dict[int, Track] = {}
    for frame, boxes in enumerate(frames):
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        for place, number in enumerate(tracker.step(frame, boxes, cut=frame in cuts).tolist()):
            track = found.setdefault(number, Track())
            track.frames.append(frame)
            track.places.append(place)
            track.boxes.append(boxes[place])
    return sorted(found.values(), key=lambda track: (-len(track.frames), track.frames[0], track.places[0]))


@dataclass(frozen=True)
class Scene:
    """What tells scenes apart: ``colours`` (512,): shares of the colours in 8 x 8 x 8 cells; ``layout`` (256,): 16 x 16 greys with mean 0 and
    length 1 (all 0 for an image of one grey)."""

    colours: Float
    layout: Float


def scene_of(image: RGB) -> Scene:
    """The scene of a frame uint8 (H, W, 3); every fourth pixel is enough for its colours."""
    cells = (image[::4, ::4] >> 5).reshape(-1, 3).astype(np.int64)
    counts = np.bincount(cells @ np.array([64, 8, 1]), minlength=512)
    grey = cv2.cvtColor(cv2.resize(image, (16, 16), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY).reshape(-1).astype(np.float64)
    grey -= grey.mean()
    return Scene(counts / max(1, counts.sum()), grey / max(float(np.linalg.norm(grey)), 1e-9))


def is_cut(before: Scene, now: Scene) -> bool:
    """Whether two neighbouring frames belong to two scenes: other colours *and* another layout. A lamp that is switched on changes the first alone, a
    head that turns neither."""
    return float(np.minimum(before.colours, now.colours).sum()) < CUT and float(before.layout @ now.layout) < ALIKE

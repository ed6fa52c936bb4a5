"""Which boxes of a sequence are one person: detections are joined from frame to frame by how much they overlap (FSGANv2: an IoU over 0.75).

Pure geometry: a person who is lost and comes back in the same place within ``gap`` frames goes on as the same track; a cut ends all tracks, because
after it another person may stand in the same place.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from frontalbench.types import Float, Int

IOU = 0.75
"""Boxes that overlap more than this, as intersection over union, are the same face (FSGANv2, section 4; its program's default)."""
GAP = 5
"""A track that finds no box in so many frames in a row ends."""
EPSILON = 1e-5
"""Added to the union, as in the official program, so that two empty boxes do not divide by zero."""
CUT = 0.35
"""Two neighbouring frames whose colour histograms overlap less than this lie on two sides of a cut."""


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
        for place in np.flatnonzero(given < 0):
            given[place] = self._next
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


def histogram(picture: np.ndarray) -> Float:
    """(512,) shares of the colours of ``picture`` uint8 (H, W, 3) in 8 x 8 x 8 cells; every fourth pixel is enough."""
    cells = (picture[::4, ::4] >> 5).reshape(-1, 3).astype(np.int64)
    counts = np.bincount(cells @ np.array([64, 8, 1]), minlength=512)
    shares: Float = counts / max(1, counts.sum())
    return shares


def is_cut(before: Float, now: Float) -> bool:
    """Whether two neighbouring frames, as :func:`histogram` gives them, belong to two scenes."""
    return float(np.minimum(before, now).sum()) < CUT

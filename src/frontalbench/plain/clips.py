"""A clip through a frontalizer: followed, steadied, turned frame by frame, written as a clip again with a row for every frame.

The clip is read twice and never held: once to follow the faces (numbers alone are kept), once to turn them. So memory does not grow with its length.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from frontalbench import status
from frontalbench.detect.base import Detections, Detector
from frontalbench.detect.select import DEFAULT_POLICY, Face
from frontalbench.detect.upright import find_face, upright
from frontalbench.embed.base import Backbone
from frontalbench.errors import one_line, raise_if_memory_ran_out
from frontalbench.frontalize.base import Frontalizer, Outcome, View
from frontalbench.geometry.similarity import DegeneratePoints, align
from frontalbench.images import RGB
from frontalbench.plain import clip_page
from frontalbench.plain.unpacking import write_rows
from frontalbench.sequences import video
from frontalbench.sequences.overtime import over_time, template, unit
from frontalbench.sequences.smoothing import smooth_boxes, smooth_points
from frontalbench.sequences.tracks import Scene, Tracker, is_cut, scene_of
from frontalbench.types import Float, Int

HEADER = ("frame", "seconds", "status", "detail", "track", "x1", "y1", "x2", "y2", "photograph", "front")
"""Columns of the table beside a clip. ``photograph``, ``front``: similarity of the frame, and of what was made of it, to the clip's own template
(the mean of the photographed faces' embeddings); empty without a judge."""
BATCH = 8
FIVE = ((0, 1), (2,), (3, 4))
"""The parts of the five points that move together: eyes, nose, mouth."""


@dataclass
class Followed:
    """Of every frame that was looked at: ``number``, ``seconds``, ``word`` and ``detail`` (its status), ``track`` (-1: none), ``box`` (4,) and
    ``points`` (5, 2) as detected, ``score``, ``n_faces``."""

    number: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    word: list[str] = field(default_factory=list)
    detail: list[str] = field(default_factory=list)
    track: list[int] = field(default_factory=list)
    box: list[Float] = field(default_factory=list)
    points: list[Float] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    n_faces: list[int] = field(default_factory=list)
    cuts: int = 0
    people: int = 0

    def face(self, k: int) -> Face | None:
        """The face of the ``k``-th frame as it was detected, not steadied: what a photograph alone would have."""
        if self.track[k] < 0:
            return None
        return Face(self.box[k].astype(np.float32), self.score[k], self.points[k].astype(np.float32), self.n_faces[k])


def followed(frames: Iterable[video.Frame], detector: Detector) -> Followed:
    """Follow the faces of a clip; of each frame the face of the longest track that is in it is kept."""
    tracker = Tracker()
    found = Followed()
    every: list[tuple[Int, Detections] | None] = []
    before: Scene | None = None
    for place, frame in enumerate(frames):
        found.number.append(frame.number)
        found.seconds.append(frame.seconds)
        if frame.image is None:
            found.word.append(status.UNREADABLE)
            found.detail.append(frame.detail)
            every.append(None)
            continue
        now = scene_of(frame.image)
        cut = before is not None and is_cut(before, now)
        before, found.cuts = now, found.cuts + int(cut)
        try:
            faces = detector.detect(frame.image)
        except Exception as error:  # noqa: BLE001 - whatever a network's runtime raises on one frame must not end the clip
            raise_if_memory_ran_out(error)
            found.word.append(status.MODEL_ERROR)
            found.detail.append(f"{detector.name}: {one_line(error)}")
            every.append(None)
            continue
        numbers = tracker.step(place, np.asarray(faces.boxes, np.float64), cut=cut)
        found.word.append(status.OK if len(faces) else status.NO_FACE)
        found.detail.append("" if len(faces) else f"{detector.name} found no face")
        every.append((numbers, faces) if len(faces) else None)
    lengths = Counter(int(number) for entry in every if entry is not None for number in entry[0])
    found.people = len(lengths)
    for entry in every:
        if entry is None:
            found.track.append(-1)
            found.box.append(np.full(4, np.nan))
            found.points.append(np.full((5, 2), np.nan))
            found.score.append(float("nan"))
            found.n_faces.append(0)
            continue
        numbers, faces = entry
        chosen = max(range(len(numbers)), key=lambda k: (lengths[int(numbers[k])], float(faces.scores[k])))
        found.track.append(int(numbers[chosen]))
        found.box.append(np.asarray(faces.boxes[chosen], np.float64))
        found.points.append(np.asarray(faces.points[chosen], np.float64))
        found.score.append(float(faces.scores[chosen]))
        found.n_faces.append(len(faces))
    return found


def steadied(found: Followed) -> list[Face | None]:
    """The face of each frame, its track made steady; None where there is none."""
    faces: list[Face | None] = [None] * len(found.number)
    for track in sorted(set(found.track) - {-1}):
        at = [k for k, number in enumerate(found.track) if number == track]
        boxes = smooth_boxes(np.stack([found.box[k] for k in at]))
        raw = np.stack([found.points[k] for k in at])
        # In units of the box, as the published filter has them; the box's own motion is smoothed by itself.
        size = (boxes[:, 2:] - boxes[:, :2])[:, None]
        corner = boxes[:, None, :2]
        points = smooth_points((raw - corner) / size, FIVE) * size + corner
        for k, box, five in zip(at, boxes, points, strict=True):
            faces[k] = Face(box.astype(np.float32), found.score[k], five.astype(np.float32), found.n_faces[k])
    return faces


def turned(frames: Iterable[video.Frame], faces: list[Face | None], model: Frontalizer) -> Iterator[tuple[video.Frame, Outcome | None]]:
    """Every frame with what the frontalizer made of it; None for a frame that has no image or no face."""
    both = iter(zip(frames, faces, strict=False))
    while pairs := list(islice(both, BATCH)):  # itertools.batched is Python 3.12's
        places = [k for k, (frame, face) in enumerate(pairs) if frame.image is not None and (face is not None or not model.needs_face)]
        views = [View(*upright(_image(pairs[k][0]), pairs[k][1])) for k in places]
        made = dict(zip(places, model.frontalize(views), strict=True)) if views else {}
        for k, (frame, _) in enumerate(pairs):
            yield frame, made.get(k)


def _image(frame: video.Frame) -> RGB:
    assert frame.image is not None
    return frame.image


@dataclass
class Judge:
    """Embeds the face of an image with a backbone; a face that is not given is searched by ``detector``."""

    detector: Detector
    backbone: Backbone
    _none: Float = field(default_factory=lambda: np.full(1, np.nan))

    def of(self, image: RGB | None, face: Face | None) -> Float:
        """(D,), of length 1; one NaN where there is no image or no face in it."""
        if image is not None and face is None:
            face, _ = find_face(image, self.detector, DEFAULT_POLICY)
        if image is None or face is None:
            return self._none
        try:
            crop = align(image, face.points)
        except DegeneratePoints:
            return self._none
        found: Float = unit(np.asarray(self.backbone.embed(crop[None]), np.float64))[0]
        return found


def _judged(rows: list[list[Any]], vectors: list[tuple[Float, Float]]) -> list[str]:
    """Write the last two columns of ``rows``; returns a line on identity over time."""
    size = max(len(one) for pair in vectors for one in pair)
    photographs, fronts = (np.stack([pair[k] if len(pair[k]) == size else np.full(size, np.nan) for pair in vectors]) for k in (0, 1))
    if not np.isfinite(photographs).all(axis=1).any():
        rows[:] = [[*row, "", ""] for row in rows]
        return ["no frame has a face that could be embedded"]
    control = template(photographs)
    similarity = [photographs @ control, fronts @ control]
    rows[:] = [[*row, *("" if np.isnan(values[k]) else f"{values[k]:.4f}" for values in similarity)] for k, row in enumerate(rows)]
    lines = []
    for name, embeddings in (("photographs", photographs), ("fronts", fronts)):
        one = over_time(embeddings, control)
        if one.frames:
            lines.append(
                f"{name}: similarity to the photographs' template {one.identity_mean:.3f} on the mean, {one.identity_worst:.3f} worst, "
                f"spread {one.identity_spread:.3f}; embedding jitter {one.embedding_jitter:.4f} ({one.frames:,} frames)"
            )
    return lines


def frontalize_clip(
    source: Path,
    out: Path,
    detector: Detector,
    model: Frontalizer,
    *,
    every: int = 1,
    first: float = 0.0,
    last: float | None = None,
    judge: Judge | None = None,
    page: Path | None = None,
    progress: Callable[[Iterable[video.Frame], str], Iterable[video.Frame]] = lambda frames, _: frames,
) -> tuple[dict[str, int], list[str]]:
    """Write the clip ``out`` (its own sound is left out) and ``out`` + ``.csv`` (:data:`HEADER`), a row for every frame that was looked at.

    A frame that could not be turned is black in the clip, and its row says why. ``judge``: embeds faces, for identity over time; ``page``: an HTML
    page to write. Returns (rows by status, notes of one line each).
    Raises :class:`BadInput` for what is no clip.
    """
    about = video.look(source)

    def again() -> Iterator[video.Frame]:
        return video.read(source, every=every, first=first, last=last)

    found = followed(progress(again(), "following"), detector)
    faces = steadied(found)
    rows: list[list[Any]] = []
    side = 0
    waiting: list[float] = []
    vectors: list[tuple[Float, Float]] = []
    strip = clip_page.Strip()
    with video.Writer(out, about.rate / every) as writer:
        for k, (frame, outcome) in enumerate(turned(progress(again(), "turning"), faces, model)):
            word, detail = found.word[k], found.detail[k]
            if outcome is not None:
                word, detail = outcome.status, outcome.detail
            if outcome is not None and outcome.image is not None:
                image = outcome.image
                if not side:
                    side = image.shape[0]
                    for seconds in waiting:
                        writer.add(np.zeros((side, image.shape[1], 3), np.uint8), seconds)
                    waiting.clear()
                writer.add(image, frame.seconds)
            elif side:
                writer.add(np.zeros((side, side, 3), np.uint8), frame.seconds)
            else:
                waiting.append(frame.seconds)
            if page is not None:
                strip.add(frame.number, frame.image, outcome.image if outcome is not None else None)
            if judge is not None:
                vectors.append((judge.of(frame.image, found.face(k)), judge.of(outcome.image if outcome else None, None)))
            box = [f"{value:.1f}" for value in found.box[k]] if found.track[k] >= 0 else [""] * 4
            rows.append([frame.number, f"{frame.seconds:.3f}", word, detail, found.track[k] if found.track[k] >= 0 else "", *box])
    notes = []
    if judge is not None:
        notes += _judged(rows, vectors)
    else:
        rows = [[*row, "", ""] for row in rows]
    if page is not None:
        times = [float(row[1]) for row in rows]
        curves = {HEADER[k]: [float(row[k] or "nan") for row in rows] for k in (-2, -1)}
        clip_page.write(page, source, out, strip, times, curves, notes)
    write_rows(out.with_name(f"{out.name}.csv"), list(HEADER), rows)
    if found.people > 1:
        notes.append(f"{source}: {found.people} tracks of faces, {found.cuts} cuts; of each frame the face of the longest track was turned")
    return dict(Counter(str(row[2]) for row in rows)), notes

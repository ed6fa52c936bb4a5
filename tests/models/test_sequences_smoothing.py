"""Jitter and lag of tracks whose truth is known: a synthetic person, turned by our own renderer along a known way, filmed by a noisy camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.detect import DEFAULT_POLICY, load_detector
from frontalbench.detect.upright import find_face
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View
from frontalbench.plain.clips import Followed, followed, steadied
from frontalbench.sequences.smoothing import jitter, lag
from frontalbench.sequences.video import Frame
from tests.project import DEMO

pytestmark = pytest.mark.weights
Array = npt.NDArray[np.float64]
TURNS, MOVES, LENGTH = 40, 72, 112
"""Until the first frame the head stands; then it looks to both sides; from the second on it moves to the right, without turning."""
SPEED = 4.0
"""Pixels a frame."""
WAVE = 16
"""Frames in which it looks to both sides once, by 12 degrees of yaw."""


@dataclass
class Filmed:
    """``path`` (T,): how far the head is moved to the right; boxes and points as they were found, and steadied; ``turning``: the points
    that the detector finds without noise while the head turns."""

    path: Array
    found: Followed
    raw: Array
    steady: Array
    points: tuple[Array, Array]
    turning: Array


@pytest.fixture(scope="module")
def filmed() -> Filmed:
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    photo = images.decode((DEMO / "synth_01" / "GT" / "synth_01_front.jpg").read_bytes())
    view = View(photo, find_face(photo, detector, DEFAULT_POLICY)[0])
    turn = load_frontalizer(cards.find("frontalizer", "tddfa"))
    heads: dict[float, npt.NDArray[np.uint8]] = {}
    path = SPEED * np.maximum(0.0, np.arange(LENGTH) - MOVES)
    rng = np.random.default_rng(5)
    frames, clean = [], []
    for k in range(LENGTH):
        yaw = round(12.0 * float(np.sin(2.0 * np.pi * (k - TURNS) / WAVE)), 3) if TURNS <= k < MOVES else 0.0
        if yaw not in heads:
            image = turn.frontalize([view], (yaw, 0.0, 0.0))[0].image
            assert image is not None
            heads[yaw] = np.asarray(cv2.resize(image, (200, 200), interpolation=cv2.INTER_AREA), np.uint8)
        shift = np.array([[1.0, 0.0, 20.0 + path[k]], [0.0, 1.0, 20.0]])
        canvas = cv2.warpAffine(heads[yaw], shift, (400, 240), borderMode=cv2.BORDER_REPLICATE)
        clean.append(Frame(k, k / 25.0, np.asarray(canvas, np.uint8)))
        frames.append(Frame(k, k / 25.0, np.clip(canvas + 10.0 * rng.standard_normal(canvas.shape), 0, 255).astype(np.uint8)))
    found = followed(frames, detector)
    faces = steadied(found)
    raw, steady = np.stack(found.box), np.stack([face.box for face in faces if face is not None]).astype(np.float64)
    points = np.stack(found.points), np.stack([face.points for face in faces if face is not None]).astype(np.float64)
    truth = np.stack(followed(clean[TURNS:MOVES], detector).points)
    return Filmed(path, found, raw, steady, points, truth)


def middle(boxes: Array) -> Array:
    return (boxes[:, :2] + boxes[:, 2:]) / 2.0


def test_one_track_holds_every_frame(filmed: Filmed) -> None:
    assert set(filmed.found.track) == {filmed.found.track[0]} and filmed.found.people == 1 and len(filmed.steady) == LENGTH


def test_a_head_that_stands_trembles_far_less_once_it_is_steadied(filmed: Filmed) -> None:
    stands = slice(0, TURNS - 13)  # the average of a centre looks 12 frames ahead
    before, after = jitter(middle(filmed.raw)[stands]), jitter(middle(filmed.steady)[stands])
    size_before, size_after = (jitter((boxes[:, 2:] - boxes[:, :2])[stands]) for boxes in (filmed.raw, filmed.steady))
    points_before, points_after = (jitter(points[stands]) for points in filmed.points)
    print(
        f"centre {before:.3f} -> {after:.3f}, size {size_before:.3f} -> {size_after:.3f}, points {points_before:.3f} -> {points_after:.3f} pixels"
    )
    assert before > 0.2, "the camera is noisy enough to see anything"
    assert after < before / 3 and size_after < size_before / 3 and points_after < points_before / 2


def test_points_of_a_head_that_turns_fast_are_as_near_to_the_truth_as_they_were(filmed: Filmed) -> None:
    nose = slice(2, 3)
    tracks = [points[TURNS:MOVES, nose, :1] for points in filmed.points]
    truth = filmed.turning[:, nose, :1]
    off = [float(np.sqrt(((track - truth) ** 2).mean())) for track in tracks]
    print(f"nose off the noiseless one {off[0]:.3f} -> {off[1]:.3f} pixels, lag {[lag(track, truth) for track in tracks]}")
    assert all(lag(track, truth) == 0 for track in tracks) and off[1] < 1.5 * off[0]


def test_a_head_that_moves_is_followed_without_lag(filmed: Filmed) -> None:
    moves = slice(MOVES + 13, LENGTH - 13)
    truth = filmed.path[moves, None]
    off = []
    for boxes in (filmed.raw, filmed.steady):
        x = middle(boxes)[moves, :1]
        x = x - x.mean() + truth.mean()
        assert lag(x, truth, most=5) == 0
        off.append(float(np.sqrt(((x - truth) ** 2).mean())))
    print(f"centre off the known way {off[0]:.3f} -> {off[1]:.3f} pixels")
    assert off[1] <= off[0] * 1.1

"""Suppression of overlaps, the network's canvas and the way back, and the order of attempts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frontalbench.detect.base import Detections
from frontalbench.detect.boxes import Sizing, place, search, suppress_overlaps
from frontalbench.images import RGB


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]) + 1)
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]) + 1)
    shared = width * height
    return shared / ((a[2] - a[0] + 1) * (a[3] - a[1] + 1) + (b[2] - b[0] + 1) * (b[3] - b[1] + 1) - shared)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(0, 2**32 - 1), st.sampled_from([0.3, 0.4, 0.7]))
def test_suppression_keeps_exactly_what_the_definition_keeps(count: int, seed: int, limit: float) -> None:
    rng = np.random.default_rng(seed)
    corner, side = rng.uniform(0, 60, (count, 2)), rng.uniform(2, 40, (count, 2))
    boxes, scores = np.hstack([corner, corner + side]), rng.integers(0, 10, count) / 10
    kept: list[int] = []
    for i in sorted(range(count), key=lambda i: -scores[i]):
        if all(_overlap(boxes[i], boxes[j]) <= limit for j in kept):
            kept.append(i)
    assert suppress_overlaps(boxes, scores, limit).tolist() == kept


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([64, 320, 640]), st.sampled_from([0.0, 0.5]), st.sampled_from([None, 640]))
def test_the_canvas_holds_the_whole_image_and_points_find_their_way_back(
    height: int, width: int, longest: int, border: float, side: int | None
) -> None:
    canvas = place(np.full((height, width, 3), 255, np.uint8), longest, border=border, side=side)
    rows, columns = canvas.pixels.shape[:2]
    assert (rows, columns) == (side, side) if side else (rows % 32 == 0 and columns % 32 == 0)
    lit = np.argwhere(canvas.pixels[..., 0] == 255)
    low, high = lit.min(axis=0), lit.max(axis=0) + 1
    assert (low == int(canvas.offset)).all()
    # Whole pixels cost up to one pixel, and the common scale is that of the truncated height: wrong by up to one pixel in ``height``.
    extent = high - low
    slack = 1 + 1e-6 + max(height, width) / height
    assert np.abs(extent - np.array([height, width]) * canvas.scale).max() <= slack
    inside = np.array([[low[1], low[0], high[1], high[0]]], np.float32)
    back = canvas.to_image(Detections(inside, np.ones(1, np.float32), np.zeros((1, 5, 2), np.float32)))
    np.testing.assert_allclose(back.boxes[0], [0, 0, width, height], atol=(slack + 0.01) / canvas.scale)


def _watch(results: dict[tuple[int, float], float], image: tuple[int, int], sizing: Sizing) -> tuple[Detections, list[tuple[int, float]]]:
    """Run ``search`` with a look that finds a face of the given length in network pixels at the given (size, border)."""
    tried: list[tuple[int, float]] = []

    def look(pixels: RGB, longest: int, border: float) -> tuple[Detections, float]:
        tried.append((longest, border))
        length = results.get((longest, border))
        if length is None:
            return Detections.none(), 1.0
        box = np.array([[0, 0, length, length]], np.float32)
        return Detections(box, np.array([longest / 1000], np.float32), np.zeros((1, 5, 2), np.float32)), 1.0

    return search(np.zeros((*image, 3), np.uint8), sizing, look), tried


SIZING = Sizing((320, 640), refine_below=64, border=0.5)


def test_a_face_that_is_large_enough_ends_the_search() -> None:
    _, tried = _watch({(320, 0.0): 64}, (500, 400), SIZING)
    assert tried == [(320, 0.0)]


def test_a_small_face_is_looked_at_more_closely() -> None:
    faces, tried = _watch({(320, 0.0): 40, (640, 0.0): 80}, (500, 400), SIZING)
    assert tried == [(320, 0.0), (640, 0.0)]
    assert faces.scores[0] == pytest.approx(0.64)


def test_a_small_face_that_the_closer_look_misses_is_kept() -> None:
    faces, tried = _watch({(320, 0.0): 40}, (500, 400), SIZING)
    assert tried == [(320, 0.0), (640, 0.0)]
    assert faces.scores[0] == pytest.approx(0.32)


def test_the_border_comes_only_after_everything_else() -> None:
    faces, tried = _watch({(640, 0.5): 300}, (500, 400), SIZING)
    assert tried == [(320, 0.0), (640, 0.0), (320, 0.5), (640, 0.5)]
    assert len(faces) == 1
    assert not len(_watch({(640, 0.5): 300}, (500, 400), Sizing((320, 640), border=0.0))[0])


def test_without_enlarging_an_image_is_not_blown_up_beyond_the_first_size() -> None:
    _, tried = _watch({}, (250, 250), Sizing((320, 640), border=0, enlarge=False))
    assert tried == [(320, 0.0)]
    _, tried = _watch({}, (400, 480), Sizing((320, 640), border=0, enlarge=False))
    assert tried == [(320, 0.0), (480, 0.0)]

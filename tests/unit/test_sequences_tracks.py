"""Faces followed from frame to frame: made-up boxes whose owners are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from frontalbench.sequences.tracks import Tracker, follow, iou, is_cut, scene_of

Boxes = npt.NDArray[np.float64]


def box(x: float, y: float = 100.0, side: float = 100.0) -> list[float]:
    return [x, y, x + side, y + side]


def test_two_people_who_walk_past_each_other_stay_two_tracks() -> None:
    frames = [np.array([box(100 + 4 * k, y=80), box(500 - 4 * k, y=300)]) for k in range(60)]
    found = follow([frame[::-1] if k % 2 else frame for k, frame in enumerate(frames)])
    assert [len(track.frames) for track in found] == [60, 60]
    assert {float(track.array()[0, 0]) for track in found} == {100.0, 500.0}
    assert all(np.abs(np.diff(track.array()[:, 0])).max() == 4.0 for track in found)


def test_boxes_at_or_below_the_threshold_are_not_the_same_face() -> None:
    # A square moved by a seventh of its side overlaps by 6/7 : 8/7 = 0.75.
    assert len(follow([np.array([box(0, side=70)]), np.array([box(10.01, side=70)])])) == 2
    assert len(follow([np.array([box(0, side=70)]), np.array([box(9.9, side=70)])])) == 1


def test_a_face_that_is_lost_for_a_few_frames_goes_on_and_for_many_does_not() -> None:
    empty = np.zeros((0, 4))
    for missing, tracks in ((1, 1), (5, 1), (6, 2)):
        found = follow([np.array([box(0)]), *[empty] * missing, np.array([box(1)])], gap=5)
        assert len(found) == tracks, missing


def test_a_cut_ends_every_track_even_where_the_next_face_stands_in_the_same_place() -> None:
    frames = [np.array([box(0)])] * 6
    assert [track.frames for track in follow(frames, cuts={3})] == [[0, 1, 2], [3, 4, 5]]


def test_the_best_pair_wins_where_two_boxes_could_be_the_same_face() -> None:
    tracker = Tracker()
    assert tracker.step(0, np.array([box(0)])).tolist() == [0]
    assert tracker.step(1, np.array([box(6), box(1)])).tolist() == [1, 0]


def test_memory_of_a_tracker_stays_flat() -> None:
    tracker = Tracker()
    for frame in range(500):
        tracker.step(frame, np.array([box(300.0 * (frame % 7))]))
    assert len(tracker._open) <= tracker.gap + 2


def test_boxes_without_area_overlap_nothing() -> None:
    assert iou(np.zeros((1, 4)), np.zeros((1, 4)))[0, 0] == 0.0


def test_another_scene_is_a_cut_and_neither_a_lamp_nor_a_turning_head_is_one() -> None:
    rng = np.random.default_rng(0)
    one, other = (np.kron(rng.integers(0, top, (12, 12, 3)), np.ones((16, 16, 1))).astype(np.uint8) for top in (120, 250))
    assert is_cut(scene_of(one), scene_of(other))
    assert not is_cut(scene_of(one), scene_of(one + np.uint8(100)))
    assert not is_cut(scene_of(one), scene_of(np.roll(one, 3, axis=1)))
    dark, bright = (np.full((64, 64, 3), grey, np.uint8) for grey in (20, 220))
    assert is_cut(scene_of(dark), scene_of(bright)), "an image of one grey has no layout that could say otherwise"

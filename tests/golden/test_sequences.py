"""Smoothing over time and overlap of boxes against what FSGANv2's program gives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("torch")

from frontalbench.sequences import smoothing, tracks
from tests.golden import fills

GOLDEN = fills.golden("FSGAN")


def landmark_track() -> npt.NDArray[np.float64]:
    random = fills.random_state("input:fsgan_track")
    first = random.random_sample((1, 98, 2))
    step = random.standard_normal((20, 98, 2)) * 0.002
    step[8:12] += 0.02
    return 0.2 + 0.6 * first + np.cumsum(step, axis=0)


@pytest.mark.parametrize(
    ("name", "filter_"),
    [
        ("T.track", lambda track: track),
        ("T.avg7", lambda track: smoothing.averaged(track, 7)),
        ("T.motion5", lambda track: smoothing.motion(track, 5)),
        ("T.smooth98", smoothing.smooth_points),
        ("T.single_frame", lambda track: smoothing.smooth_points(track[:1])),
    ],
)
def test_landmarks_are_smoothed_part_by_part_as_published(name: str, filter_: object) -> None:
    GOLDEN.near(name, filter_(landmark_track()))  # type: ignore[operator]


def test_poses_and_boxes_are_smoothed_as_published() -> None:
    poses = np.cumsum(fills.normal("input:fsgan_posetrack", 0.02, 20, 3), axis=0)
    GOLDEN.near("T.poses5", smoothing.averaged(poses, 5))
    boxes = np.array([100.0, 80.0, 220.0, 240.0]) + np.cumsum(fills.normal("input:fsgan_boxes", 1.5, 80, 4), axis=0)
    GOLDEN.near("T.boxes", smoothing.smooth_boxes(boxes))


def test_the_one_euro_filter_gives_the_published_values_and_shares() -> None:
    poses = np.cumsum(fills.normal("input:fsgan_posetrack", 0.02, 20, 3), axis=0)
    values, shares = smoothing.one_euro(poses)
    GOLDEN.near("T.euro_values", values)
    GOLDEN.near("T.euro_alpha", shares)


def test_boxes_overlap_as_in_the_official_program() -> None:
    first, others = np.array([[0.0, 0.0, 10.0, 10.0]]), np.array([[5.0, 5.0, 15.0, 15.0], [50.0, 50.0, 60.0, 60.0]])
    GOLDEN.near("B.iou", tracks.iou(first, others)[0])

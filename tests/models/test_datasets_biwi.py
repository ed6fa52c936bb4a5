"""BIWI: angles, signs, projection, choice of references, and bad files.

With real weights or photographs.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from frontalbench.datasets import biwi, listing
from tests.unit import datasetkit as kit


def test_colour_and_depth_camera_are_two_cameras(shared: Path) -> None:
    """Projecting with ``depth.cal`` would put the head a tenth of the picture away."""
    folder = shared / "testdata" / "biwi_one_frame"
    colour, depth = (biwi.read_calibration(folder / f"{name}.cal") for name in ("rgb", "depth"))
    assert (colour.matrix[0, 0], colour.matrix[0, 2], colour.matrix[1, 2]) == (517.679, 320.0, 240.5)
    assert (depth.matrix[0, 0], depth.matrix[0, 2], depth.matrix[1, 2]) == (575.816, 320.0, 240.0)
    np.testing.assert_array_equal(depth.rotation, np.eye(3))
    _, centre = biwi.read_pose(folder / "frame_00003_pose.txt")
    assert np.linalg.norm(biwi.project(centre, colour) - biwi.project(centre, depth)) > 10


def depth_cloud(folder: Path) -> np.ndarray:
    """Points (N, 3) in millimetres of a run-length compressed depth picture, by its published format."""
    data = (folder / "frame_00003_depth.bin").read_bytes()
    width, height = struct.unpack_from("<ii", data)
    flat, place, done = np.zeros(width * height, np.int16), 8, 0
    while done < width * height:
        (empty,) = struct.unpack_from("<i", data, place)
        (full,) = struct.unpack_from("<i", data, place + 4)
        done += empty
        flat[done : done + full] = np.frombuffer(data, "<i2", full, place + 8)
        done += full
        place += 8 + 2 * full
    depth = flat.reshape(height, width).astype(np.float64)
    camera = biwi.read_calibration(folder / "depth.cal").matrix
    v, u = np.nonzero(depth)
    z = depth[v, u]
    return np.stack([(u - camera[0, 2]) / camera[0, 0] * z, (v - camera[1, 2]) / camera[1, 1] * z, z], axis=1)


def test_matrix_lays_the_head_template_onto_the_depth_picture(shared: Path) -> None:
    """Head -> camera, x right, y down, z away: the face side of the template fits within 2 mm; transposed it does not."""
    from scipy.spatial import cKDTree

    folder = shared / "testdata" / "biwi_one_frame"
    head = np.array(
        [[float(w) for w in line.split()[1:4]] for line in (folder / "01.obj").read_text().splitlines() if line.startswith("v ")]
    )
    face = head[head[:, 2] < np.median(head[:, 2])]
    rotation, centre = biwi.read_pose(folder / "frame_00003_pose.txt")
    tree = cKDTree(depth_cloud(folder))
    right = float(np.median(tree.query(face @ rotation.T + centre)[0]))
    transposed = float(np.median(tree.query(face @ rotation + centre)[0]))
    assert right < 2.0
    assert transposed > 2 * right


def test_real_frame_gets_pose_and_a_head_box_around_the_face(shared: Path, tmp_path: Path) -> None:
    root = kit.real_biwi(shared, tmp_path / "biwi")
    found = listing.scan(kit.card("biwi", root, roles={"max_angle": 10.0}))
    (member,) = found.members
    assert (member.image_id, member.identity, member.subject, member.sequence) == ("01/frame_00003_rgb.png", "F01", "F01", "01")
    assert member.role == "reference"
    assert (member.yaw, member.pitch, member.roll) == pytest.approx((3.053, -7.705, -1.991), abs=2e-3)
    assert member.pose_source == "ground_truth"
    folder = root / "hpdb" / "01"
    _, centre = biwi.read_pose(folder / "frame_00003_pose.txt")
    calibration = biwi.read_calibration(folder / "rgb.cal")
    np.testing.assert_allclose(biwi.project(centre, calibration), [341.65, 274.63], atol=0.01)
    x1, y1, x2, y2 = biwi.head_box(centre, calibration)
    # Hair, chin and ears of the woman in the picture, read off it by eye.
    assert x1 == pytest.approx(290, abs=12) and x2 == pytest.approx(393, abs=12)
    assert y1 == pytest.approx(192, abs=12) and y2 == pytest.approx(355, abs=12)

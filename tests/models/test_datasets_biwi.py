"""BIWI: angles, signs, projection, choice of references, and bad files.

With real weights or photographs.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from frontalbench.datasets import biwi, listing
from frontalbench.types import Float
from tests.unit import datasetkit as kit


@dataclass(frozen=True)
class Calibration:
    """A ``.cal`` file: ``x_pixel ~ K (R X + t)`` for X in the depth camera's frame in millimetres."""

    matrix: Float
    rotation: Float
    translation: Float

    def pixels(self, points: np.ndarray) -> Float:
        """Pixels (..., 2) of points (..., 3); the files' distortion is zero and not applied."""
        flat = (points @ self.rotation.T + self.translation) @ self.matrix.T
        return np.asarray(flat[..., :2] / flat[..., 2:], np.float64)


def calibration_of(path: Path) -> Calibration:
    numbers = np.asarray(biwi.parse_calibration(path.read_bytes()), np.float64)
    return Calibration(numbers[:9].reshape(3, 3), numbers[13:22].reshape(3, 3), numbers[22:25])


def pose_of(path: Path) -> tuple[Float, Float]:
    """(rotation (3, 3), head centre (3,) in millimetres) of a pose file."""
    numbers = np.asarray(biwi.read_twelve(path.read_bytes()), np.float64)
    return numbers[:9].reshape(3, 3), numbers[9:]


def test_colour_and_depth_camera_are_two_cameras(shared: Path) -> None:
    """Projecting with ``depth.cal`` would put the head a tenth of the image away."""
    folder = shared / "testdata" / "biwi_one_frame"
    colour, depth = (calibration_of(folder / f"{name}.cal") for name in ("rgb", "depth"))
    assert (colour.matrix[0, 0], colour.matrix[0, 2], colour.matrix[1, 2]) == (517.679, 320.0, 240.5)
    assert (depth.matrix[0, 0], depth.matrix[0, 2], depth.matrix[1, 2]) == (575.816, 320.0, 240.0)
    np.testing.assert_array_equal(depth.rotation, np.eye(3))
    _, centre = pose_of(folder / "frame_00003_pose.txt")
    assert np.linalg.norm(colour.pixels(centre) - depth.pixels(centre)) > 10


def depth_cloud(folder: Path) -> np.ndarray:
    """Points (N, 3) in millimetres of a run-length compressed depth image, by its published format."""
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
    camera = calibration_of(folder / "depth.cal").matrix
    v, u = np.nonzero(depth)
    z = depth[v, u]
    return np.stack([(u - camera[0, 2]) / camera[0, 0] * z, (v - camera[1, 2]) / camera[1, 1] * z, z], axis=1)


def test_matrix_lays_the_head_template_onto_the_depth_image(shared: Path) -> None:
    """Head -> camera, x right, y down, z away: the face side of the template fits within 2 mm; transposed it does not."""
    from scipy.spatial import cKDTree

    folder = shared / "testdata" / "biwi_one_frame"
    head = np.array(
        [[float(w) for w in line.split()[1:4]] for line in (folder / "01.obj").read_text().splitlines() if line.startswith("v ")]
    )
    face = head[head[:, 2] < np.median(head[:, 2])]
    rotation, centre = pose_of(folder / "frame_00003_pose.txt")
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
    _, centre = pose_of(folder / "frame_00003_pose.txt")
    calibration = calibration_of(folder / "rgb.cal")
    np.testing.assert_allclose(calibration.pixels(centre), [341.65, 274.63], atol=0.01)
    # The extent of the dataset's head templates: 190 mm wide, from 130 mm above to 140 mm below the centre.
    (x1, y1), (x2, y2) = calibration.pixels(centre + np.array([[-95.0, -130.0, 0.0], [95.0, 140.0, 0.0]]))
    # Hair, chin and ears of the woman in the image, read off it by eye.
    assert x1 == pytest.approx(290, abs=12) and x2 == pytest.approx(393, abs=12)
    assert y1 == pytest.approx(192, abs=12) and y2 == pytest.approx(355, abs=12)

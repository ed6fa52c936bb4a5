"""``fsanet``: FSA-Net (Yang et al. 2019, CVPR), two networks of 0.3 million weights whose angles are averaged.

Input 64 x 64, BGR, (x - 127.5) / 128; output yaw, pitch, roll in degrees in the sign of 300W-LP.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.geometry import crop
from frontalbench.geometry.rotation import FLIP_YZ, angles_from_matrix
from frontalbench.images import RGB
from frontalbench.runtime.sessions import onnx_session, run
from frontalbench.types import Float

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.detect.select import Face

INPUT_SIDE = 64
BOX_SCALE = 1.3


class FsaNet:
    """See the module; the confidence is the detector's score, the networks have none."""

    def __init__(self, name: str, networks: list[Path], *, threads: int = 1, device: str = "cpu", box_scale: float = BOX_SCALE) -> None:
        self.name = name
        self.box_scale = box_scale
        self._sessions = [onnx_session(path, threads=threads, device=device) for path in networks]

    def estimate(self, image: RGB, face: Face) -> tuple[float, float, float, float]:
        """See :class:`~frontalbench.pose.base.PoseEstimator`."""
        x1, y1, x2, y2 = (float(value) for value in face.box)
        size = self.box_scale * max(x2 - x1, y2 - y1)
        patch = crop.square_crop(image, ((x1 + x2) / 2.0, (y1 + y2) / 2.0), size, side=INPUT_SIDE, border=cv2.BORDER_CONSTANT).image
        tensor = np.ascontiguousarray(((patch[..., ::-1].astype(np.float32) - 127.5) / 128.0).transpose(2, 0, 1))[None]
        outputs = [
            np.asarray(run(session, None, {session.get_inputs()[0].name: tensor})[0], dtype=np.float64).reshape(3)
            for session in self._sessions
        ]
        yaw, pitch, roll = angles_from_matrix(matrix_of_300w_lp(*np.mean(outputs, axis=0)))
        return float(yaw), float(pitch), float(roll), face.score


def matrix_of_300w_lp(yaw: float, pitch: float, roll: float) -> Float:
    """The rotation (3, 3), head -> camera in camera axes, of angles as 300W-LP and AFLW2000-3D give them (degrees here).

    There ``R = Rx(pitch) Ry(yaw) Rz(roll)`` of left-handed factors in a frame with y up and z towards the viewer, which is another order
    than here: at large angles converting signs alone would not do.
    """
    y, p, r = np.radians([yaw, pitch, roll])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, np.cos(p), np.sin(p)], [0.0, -np.sin(p), np.cos(p)]])
    about_y = np.array([[np.cos(y), 0.0, -np.sin(y)], [0.0, 1.0, 0.0], [np.sin(y), 0.0, np.cos(y)]])
    about_z = np.array([[np.cos(r), np.sin(r), 0.0], [-np.sin(r), np.cos(r), 0.0], [0.0, 0.0, 1.0]])
    matrix: Float = FLIP_YZ @ about_x @ about_y @ about_z @ FLIP_YZ
    return matrix


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> FsaNet:
    """The estimator of a card of family ``fsanet``; all its weight files are averaged.

    Raises :class:`~frontalbench.errors.BadConfig` for other params.

    Params: ``box_scale`` 1.3: side of the square in sides of the detector's box.
    """
    from frontalbench.weights import store

    params = Params(card)
    box_scale = params.number("box_scale", BOX_SCALE, low=0.1, high=10)
    params.finish()
    paths = [store.fetch(card, key) for key in sorted(card.weights)]
    return FsaNet(card.name, paths, threads=threads, device=device, box_scale=box_scale)

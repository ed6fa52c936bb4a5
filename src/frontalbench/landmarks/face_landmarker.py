"""The 478 points of Google's FaceLandmarker, run from its ``.task`` bundle with LiteRT alone.

The bundle is a zip archive: ``face_landmarks_detector.tflite`` (256 x 256 RGB in 0..1 -> 478 points in input pixels, z on the same scale and
towards the camera negative, and a presence logit) and ``geometry_pipeline_metadata_landmarks.binarypb`` (canonical face of 468 points in
centimetres, its 898 triangles, and the weighted points by which a pose is fitted). Kartynnik et al. 2019, arXiv:1907.06724.
"""

from __future__ import annotations

import math
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from frontalbench.catalogue.params import Params
from frontalbench.errors import BadInput
from frontalbench.geometry import crop
from frontalbench.geometry.rotation import nearest_rotation
from frontalbench.images import RGB
from frontalbench.landmarks.base import Landmarks
from frontalbench.types import Float, Int

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.detect.select import Face


INPUT_SIDE = 256
POINTS = 478
MESH_POINTS = 468
"""The points of the canonical face; the ten others are the irises."""
DETECTOR_MEMBER = "face_landmarks_detector.tflite"
GEOMETRY_MEMBER = "geometry_pipeline_metadata_landmarks.binarypb"
MEMBER_LIMIT = 64 * 1024 * 1024

SCHEME = "mediapipe478"
ROI_SCALE = 1.5
"""Side of the network's square in face sizes, as in the FaceLandmarker graph."""


@dataclass(frozen=True)
class Canonical:
    """The canonical face: ``points`` float64 (468, 3) in cm, camera axes (x right, y down, z away), left-right symmetric;
    ``triangles`` int32 (898, 3); ``weights`` float64 (468,): the share of each point in the pose fit (most are 0); ``mirror`` int64 (468,): the
    index of each point's mirror image."""

    points: Float
    triangles: npt.NDArray[np.int32]
    weights: Float
    mirror: Int


@dataclass(frozen=True)
class HeadPose:
    """``scale * rotation @ model + translation``: a scaled rigid fit of a model to points, camera axes."""

    rotation: Float
    scale: float
    translation: Float


class FaceLandmarker:
    """Finds the 478 points of a detected face."""

    def __init__(self, name: str, bundle: Path, *, threads: int = 1, passes: int = 2) -> None:
        """``bundle``: the verified ``.task`` file. ``passes``: 2 runs the network again on the square of the first pass's points, which takes
        the detector's idea of a box out of the result. Raises :class:`BadInput` when the bundle is not what it should be."""
        from ai_edge_litert.interpreter import Interpreter

        self.name = name
        self.passes = passes
        network, geometry = read_bundle(bundle)
        self.canonical = parse_geometry(geometry, bundle)
        self._interpreter = Interpreter(model_content=network, num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = int(self._interpreter.get_input_details()[0]["index"])
        outputs = {int(np.prod(detail["shape"])): detail for detail in reversed(self._interpreter.get_output_details())}
        if POINTS * 3 not in outputs or 1 not in outputs:
            raise BadInput(f"{bundle}: {DETECTOR_MEMBER} has other outputs than the 478-point model; use the bundle of the card")
        self._points = int(outputs[POINTS * 3]["index"])
        self._presence = int(outputs[1]["index"])

    def locate(self, image: RGB, face: Face) -> Landmarks:
        """The points of ``face`` in ``image`` (scheme mediapipe478): z is relative to the head's middle, ``presence`` the network's belief that this
        is a face. Raises ValueError when the face's box or points are degenerate."""
        x1, y1, x2, y2 = (float(value) for value in face.box)
        centre: Float = np.array([(x1 + x2) / 2.0, (y1 + y2) / 2.0])
        size = ROI_SCALE * max(x2 - x1, y2 - y1)
        roll = crop.roll_of_face(face.points)
        found = self._run(image, centre, size, roll)
        for _ in range(self.passes - 1):
            centre, size, roll = square_around(found.points, self.canonical)
            found = self._run(image, centre, size, roll)
        return found

    def _run(self, image: RGB, centre: Float, size: float, roll: float) -> Landmarks:
        square = crop.square_crop(image, centre, size, roll=roll, side=INPUT_SIDE)
        self._interpreter.set_tensor(self._input, (square.image.astype(np.float32) / 255.0)[None])
        self._interpreter.invoke()
        raw = np.asarray(self._interpreter.get_tensor(self._points), dtype=np.float64).reshape(POINTS, 3)
        logit = float(np.asarray(self._interpreter.get_tensor(self._presence)).reshape(-1)[0])
        points = np.concatenate([square.to_photograph(raw[:, :2]), raw[:, 2:] / square.scale], axis=1)
        return Landmarks(points, SCHEME, 1.0 / (1.0 + math.exp(-min(max(logit, -60.0), 60.0))))

    def pose(self, landmarks: Landmarks) -> HeadPose:
        """The canonical face fitted to the points by weighted Procrustes (weak perspective)."""
        return fit_rigid(self.canonical.points, landmarks.points[:MESH_POINTS], self.canonical.weights)


def square_around(points: Float, canonical: Canonical) -> tuple[Float, float, float]:
    """(centre, size, roll) of the network's square for points (478, 3): upright in the head's own tilt, 1.5 times its extent."""
    right, left = points[33, :2], points[263, :2]
    roll = math.degrees(math.atan2(left[1] - right[1], left[0] - right[0]))
    angle = math.radians(roll)
    axes = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    turned = points[:, :2] @ axes.T
    low, high = turned.min(axis=0), turned.max(axis=0)
    return axes.T @ ((low + high) / 2.0), ROI_SCALE * float((high - low).max()), roll


def fit_rigid(model: Float, target: Float, weights: Float) -> HeadPose:
    """Least-squares scale, rotation and translation of ``model`` (N, 3) to ``target`` (N, 3) under ``weights`` (N,) (Umeyama 1991, weighted).

    Raises ValueError when the points do not determine one.
    """
    w = weights / weights.sum()
    model_mean, target_mean = w @ model, w @ target
    a, b = model - model_mean, target - target_mean
    spread = float(w @ (a * a).sum(axis=1))
    covariance = (b * w[:, None]).T @ a
    if not np.isfinite(covariance).all() or spread <= 0.0 or np.linalg.norm(covariance) <= 1e-9 * spread:
        raise ValueError("the points do not determine a pose")
    rotation = nearest_rotation(covariance)
    scale = float(np.trace(rotation.T @ covariance)) / spread
    return HeadPose(rotation, scale, target_mean - scale * rotation @ model_mean)


def read_bundle(bundle: Path) -> tuple[bytes, bytes]:
    """(network, geometry) bytes of a ``.task`` bundle; nothing is written to disk. Raises :class:`BadInput`."""
    try:
        with zipfile.ZipFile(bundle) as archive:
            members = []
            for name in (DETECTOR_MEMBER, GEOMETRY_MEMBER):
                if archive.getinfo(name).file_size > MEMBER_LIMIT:
                    raise BadInput(f"{bundle}: {name} is larger than {MEMBER_LIMIT:,} bytes; use the bundle of the card")
                members.append(archive.read(name))
    except (zipfile.BadZipFile, KeyError, OSError) as error:
        raise BadInput(f"{bundle}: not a FaceLandmarker bundle ({error}); fetch the weights again") from error
    return members[0], members[1]


def parse_geometry(data: bytes, origin: Path) -> Canonical:
    """The canonical face out of the bundle's protocol buffer (GeometryPipelineMetadata). Raises :class:`BadInput`.

    Read field by field: 1 canonical mesh (3 vertex buffer: x, y, z, u, v floats; 4 index buffer), 2 points of the pose fit (1 index, 2 weight).
    """
    try:
        top = _fields(data)
        mesh = _fields(next(value for number, value in top if number == 1))
        vertices = np.array([value for number, value in mesh if number == 3], dtype=np.float64).reshape(-1, 5)[:, :3]
        triangles = np.array([value for number, value in mesh if number == 4], dtype=np.int32).reshape(-1, 3)
        weights = np.zeros(MESH_POINTS)
        for number, value in top:
            if number == 2:
                entry = dict(_fields(value))
                weights[entry[1]] = entry[2]
    except (StopIteration, ValueError, IndexError, KeyError, TypeError, struct.error) as error:
        raise BadInput(f"{origin}: {GEOMETRY_MEMBER} cannot be read ({error}); fetch the weights again") from error
    if vertices.shape != (MESH_POINTS, 3) or triangles.size == 0 or triangles.max() >= MESH_POINTS or weights.sum() <= 0.0:
        raise BadInput(f"{origin}: {GEOMETRY_MEMBER} does not hold the 468-point face; use the bundle of the card")
    points = vertices * [1.0, -1.0, -1.0]  # y up and z towards the viewer there
    mirror = np.linalg.norm(points[:, None] - (points * [-1.0, 1.0, 1.0])[None], axis=2).argmin(axis=1)
    return Canonical(points, triangles, weights, mirror)


def _fields(data: bytes) -> list[tuple[int, Any]]:
    """(field number, value) of one protocol-buffer message: varints as int, 32-bit as float, length-delimited as bytes, 64-bit left out."""
    found: list[tuple[int, Any]] = []
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        wire = key & 7
        if wire == 0:
            found.append((key >> 3, varint()))
        elif wire == 5:
            found.append((key >> 3, struct.unpack_from("<f", data, at)[0]))
            at += 4
        elif wire == 2:
            length = varint()
            if at + length > len(data):
                raise ValueError("a field reaches beyond the end")
            found.append((key >> 3, data[at : at + length]))
            at += length
        elif wire == 1:
            at += 8
        else:
            raise ValueError(f"wire type {wire}")
    return found


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> FaceLandmarker:
    """The model of a card of family ``face_landmarker``. LiteRT runs on the CPU whatever ``device`` says.

    Raises :class:`~frontalbench.errors.BadConfig` for other params.

    Params: ``passes`` 2: the second looks at the square around the points of the first.
    """
    from frontalbench.weights import store

    params = Params(card)
    passes = params.integer("passes", 2)
    params.finish()
    return FaceLandmarker(card.name, store.fetch(card), threads=threads, passes=passes)

"""The dense 3DDFA_V2 fit: 62 parameters from a MobileNet, 38,365 vertices of the Basel face model without neck.

Guo et al. 2020, "Towards Fast, Accurate and Stable 3D Dense Face Alignment", ECCV; recipe in the official README. The network sees 120 x 120 BGR,
(x - 127.5) / 128, and gives, after mean and standard deviation, a 3 x 4 matrix, 40 shape and 10 expression coefficients. The model's own frame has
y up and z towards the viewer; everything returned here is in camera axes (x right, y down, z away).
"""

from __future__ import annotations

import importlib
import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench.catalogue.params import Params
from frontalbench.errors import BadInput
from frontalbench.geometry.rotation import nearest_rotation
from frontalbench.images import RGB
from frontalbench.runtime.sessions import onnx_session, run
from frontalbench.types import Float, Float32, Int

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.detect.select import Face


INPUT_SIDE = 120
N_SHAPE = 40
N_EXPRESSION = 10
ROI_SCALE = 1.58
ROI_SHIFT = 0.14
_AXES = np.array([1.0, -1.0, -1.0])


@dataclass(frozen=True)
class Basis:
    """The face model in camera axes, micrometres as in the file.

    ``mean`` float64 (N, 3); ``shape`` float32 (N, 3, 40); ``expression`` float32 (N, 3, 10); ``keypoints`` int64 (68,): the vertices of the usual 68
    points."""

    mean: Float
    shape: Float32
    expression: Float32
    keypoints: Int


@dataclass(frozen=True)
class DenseFit:
    """One fitted face.

    ``vertices`` float64 (N, 3): x, y in photograph pixels, z on the same scale, away from the camera; ``model`` float64 (N, 3): the same face without
    pose, in micrometres, camera axes; ``rotation`` (3, 3) head -> camera and ``scale`` (pixels per micrometre): the rigid part of the fitted matrix.
    """

    vertices: Float
    model: Float
    rotation: Float
    scale: float


class DenseFitter:
    """Fits the face model to a detected face."""

    def __init__(
        self, name: str, network: Path, basis: Path | None, statistics: Path, *, threads: int = 1, passes: int = 2, device: str = "cpu"
    ) -> None:
        """``basis`` may be None where only poses are wanted. ``passes``: 2 fits again on the square of the first fit's 68 points.

        Raises :class:`BadInput` when a file is not what it should be.
        """
        self.name = name
        self.passes = passes
        self._session = onnx_session(network, threads=threads, device=device)
        self._input = self._session.get_inputs()[0].name
        arrays = read_arrays(statistics)
        self._mean, self._std = _need(arrays, "mean", 62, statistics), _need(arrays, "std", 62, statistics)
        self._basis = read_basis(basis) if basis is not None else None
        self._parts: list[tuple[Int | None, tuple[Float, Float32, Float32]]] = []

    @property
    def basis(self) -> Basis:
        if self._basis is None:
            raise ValueError("loaded without a basis: only poses can be had")
        return self._basis

    def parameters(self, image: RGB, roi: tuple[float, float, float, float]) -> Float:
        """The 62 parameters for a square ``roi`` (x1, y1, x2, y2; what lies outside of the photograph is black)."""
        patch = _cut(image, roi)
        tensor = (patch[..., ::-1].astype(np.float32) - 127.5) / 128.0
        raw = run(self._session, None, {self._input: np.ascontiguousarray(tensor.transpose(2, 0, 1))[None]})[0]
        parameters: Float = np.asarray(raw, dtype=np.float64).reshape(-1)[:62] * self._std + self._mean
        return parameters

    def pose(self, image: RGB, face: Face) -> Float:
        """Rotation (3, 3), head -> camera, of one pass; needs no basis. Raises ValueError when the fit is degenerate."""
        return rotation_of(self.parameters(image, roi_of_box(face.box)))

    @property
    def deviations(self) -> Float:
        """(50,): standard deviation of each shape and expression coefficient among the faces that the network learned from."""
        return self._std[12:]

    def fit(self, image: RGB, face: Face, rows: Int | None = None) -> DenseFit:
        """The dense face, or only its vertices ``rows``, in that order. Raises ValueError when the box or the fit is degenerate."""
        return self.fitted(image, face, rows)[0]

    def fitted(self, image: RGB, face: Face, rows: Int | None = None) -> tuple[DenseFit, Float]:
        """(:meth:`fit`, its shape and expression coefficients (50,))."""
        roi = roi_of_box(face.box)
        parameters = self.parameters(image, roi)
        for _ in range(self.passes - 1):
            points = self._decode(parameters, roi, self.basis.keypoints).vertices
            roi = roi_of_points(points[:, :2])
            parameters = self.parameters(image, roi)
        return self._decode(parameters, roi, rows), parameters[12:]

    def _part(self, rows: Int | None) -> tuple[Float, Float32, Float32]:
        """Mean (N, 3), shape (3 N, 40) and expression (3 N, 10) of the vertices ``rows``, taken out once for the same array."""
        for known, part in self._parts:
            if known is rows:
                return part
        basis = self.basis
        mean, shape, expression = basis.mean, basis.shape, basis.expression
        if rows is not None:
            mean, shape, expression = mean[rows], shape[rows], expression[rows]
        part = mean, shape.reshape(-1, N_SHAPE), expression.reshape(-1, N_EXPRESSION)
        self._parts = [*self._parts[-1:], (rows, part)]
        return part

    def _decode(self, parameters: Float, roi: tuple[float, float, float, float], rows: Int | None) -> DenseFit:
        mean, shape, expression = self._part(rows)
        by_shape, by_expression = (
            (part @ coefficients.astype(np.float32)).reshape(-1, 3)
            for part, coefficients in ((shape, parameters[12 : 12 + N_SHAPE]), (expression, parameters[12 + N_SHAPE :]))
        )
        model = mean + by_shape + by_expression
        matrix = parameters[:12].reshape(3, 4)
        scale_x, scale_y = (roi[2] - roi[0]) / INPUT_SIDE, (roi[3] - roi[1]) / INPUT_SIDE
        # In the network's square y goes up and pixel numbers start at 1.
        posed = (model * _AXES) @ matrix[:, :3].T + matrix[:, 3]
        vertices = np.empty_like(posed)
        vertices[:, 0] = (posed[:, 0] - 1.0) * scale_x + roi[0]
        vertices[:, 1] = (INPUT_SIDE - posed[:, 1]) * scale_y + roi[1]
        vertices[:, 2] = -posed[:, 2] * (scale_x + scale_y) / 2.0
        scale = float(np.linalg.norm(matrix[:2, :3], axis=1).mean()) * (scale_x + scale_y) / 2.0
        return DenseFit(vertices, model, rotation_of(parameters), scale)


def rotation_of(parameters: Float) -> Float:
    """The rotation, head -> camera, in the fitted 3 x 4 matrix. Raises ValueError when there is none in it."""
    matrix = parameters[:12].reshape(3, 4)[:, :3]
    lengths = np.linalg.norm(matrix[:2], axis=1)
    if not np.isfinite(matrix).all() or (lengths < 1e-9).any():
        raise ValueError("the fitted matrix holds no rotation")
    first, second = matrix[0] / lengths[0], matrix[1] / lengths[1]
    rotation = nearest_rotation(np.stack([first, second, np.cross(first, second)]))
    turned: Float = rotation * _AXES[:, None] * _AXES[None, :]
    return turned


def roi_of_box(box: npt.ArrayLike) -> tuple[float, float, float, float]:
    """The network's square for a face box: 1.58 times its mean side, its middle moved down by 0.14 of it (official ``parse_roi_box_from_box``)."""
    x1, y1, x2, y2 = (float(value) for value in np.asarray(box, dtype=np.float64))
    side = (x2 - x1 + y2 - y1) / 2.0
    if not np.isfinite(side) or side < 2.0:
        raise ValueError(f"the face box is {side:.1f} pixels wide")
    return _square((x1 + x2) / 2.0, (y1 + y2) / 2.0 + ROI_SHIFT * side, int(ROI_SCALE * side))


def roi_of_points(points: Float) -> tuple[float, float, float, float]:
    """The network's square around the 68 points (68, 2) of an earlier fit: the diagonal of their bounding box."""
    low, high = points.min(axis=0), points.max(axis=0)
    half = float((high - low).max()) / 2.0
    side = 2.0 * half * float(np.sqrt(2.0))
    if not np.isfinite(side) or side < 2.0:
        raise ValueError("the fitted points fall together")
    middle = (low + high) / 2.0
    return _square(float(middle[0]), float(middle[1]), side)


def _square(x: float, y: float, side: float) -> tuple[float, float, float, float]:
    left, top = round(x - side / 2.0), round(y - side / 2.0)
    whole = max(2, round(side))
    return float(left), float(top), float(left + whole), float(top + whole)


def _cut(image: RGB, roi: tuple[float, float, float, float]) -> RGB:
    x1, y1, x2, y2 = (int(value) for value in roi)
    height, width = image.shape[:2]
    side = x2 - x1
    if side > 8 * max(height, width):
        raise ValueError("the face box is far larger than the photograph")
    left, top, right, bottom = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    patch = np.zeros((y2 - y1, side, 3), np.uint8)
    if right > left and bottom > top:
        patch[top - y1 : bottom - y1, left - x1 : right - x1] = image[top:bottom, left:right]
    return np.asarray(cv2.resize(patch, (INPUT_SIDE, INPUT_SIDE), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


class _ArraysOnly(pickle.Unpickler):
    """Unpickles dictionaries of numpy arrays; any other class or function in the file is refused."""

    _ALLOWED = frozenset({("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numpy", "ndarray"), ("numpy", "dtype")})

    def find_class(self, module: str, name: str) -> Any:
        short = module.rsplit(".", 1)[-1] if module in ("numpy.core.multiarray", "numpy._core.multiarray") else module
        if (short, name) not in self._ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} is not a numpy array")
        if short == "multiarray":
            return getattr(importlib.import_module("numpy._core.multiarray"), name)
        return getattr(np, name)


def read_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a pickled dictionary, read without running anything that the file might hold. Raises :class:`BadInput`."""
    try:
        data = _ArraysOnly(io.BytesIO(path.read_bytes())).load()
    except (pickle.UnpicklingError, EOFError, AttributeError, ValueError, TypeError, IndexError, KeyError, OSError) as error:
        raise BadInput(f"{path}: not a pickled dictionary of arrays ({' '.join(str(error).split())}); fetch the weights again") from error
    if not isinstance(data, dict) or not all(isinstance(value, np.ndarray) and value.dtype != object for value in data.values()):
        raise BadInput(f"{path}: not a dictionary of plain arrays; fetch the weights again")
    return {str(key): value for key, value in data.items()}


def _need(arrays: dict[str, npt.NDArray[Any]], key: str, size: int, path: Path) -> Float:
    value = arrays.get(key)
    if value is None or value.size != size:
        raise BadInput(f"{path}: '{key}' should hold {size} numbers; use the file of the card")
    return np.asarray(value, dtype=np.float64).reshape(-1)


def read_basis(path: Path) -> Basis:
    """The face model of ``bfm_noneck_v3.pkl``. Its ``tri`` belongs to a mesh with a neck and is not used. Raises :class:`BadInput`."""
    arrays = read_arrays(path)
    for key in ("u", "w_shp", "w_exp", "keypoints"):
        if key not in arrays:
            raise BadInput(f"{path}: no '{key}' in it; use the file of the card")
    count = arrays["u"].size // 3
    if arrays["w_shp"].shape != (3 * count, N_SHAPE) or arrays["w_exp"].shape != (3 * count, N_EXPRESSION):
        raise BadInput(f"{path}: {arrays['w_shp'].shape} and {arrays['w_exp'].shape} do not fit {count} vertices; use the file of the card")
    axes = _AXES.astype(np.float32)
    return Basis(
        arrays["u"].reshape(count, 3).astype(np.float64) * _AXES,
        np.ascontiguousarray(arrays["w_shp"].reshape(count, 3, N_SHAPE) * axes[None, :, None], dtype=np.float32),
        np.ascontiguousarray(arrays["w_exp"].reshape(count, 3, N_EXPRESSION) * axes[None, :, None], dtype=np.float32),
        arrays["keypoints"].reshape(-1, 3)[:, 0].astype(np.int64) // 3,
    )


def triangulate(mean: Float, *, longest: float = 8000.0) -> npt.NDArray[np.int32]:
    """Triangles (T, 3) of the face model by Delaunay triangulation of its cylindrical coordinates.

    ``mean`` (N, 3): mean face, camera axes, micrometres; ``longest``: triangles with an edge above it are left out (they would close the
    hull over the mouth of the cylinder). Deterministic: the same vertices give the same triangles, wound so that normals look out of the head.
    """
    from scipy.spatial import Delaunay

    middle = np.array([0.0, 0.0, -20_000.0])  # the axis of the head lies behind the face, between the ears
    relative = mean - middle
    radius = np.hypot(relative[:, 0], relative[:, 2])
    around = np.arctan2(relative[:, 0], -relative[:, 2])
    plane = np.stack([around * float(np.median(radius)), relative[:, 1]], axis=1)
    triangles = np.sort(Delaunay(plane).simplices.astype(np.int32), axis=1)
    triangles = triangles[np.lexsort(triangles.T[::-1])]
    a, b, c = (mean[triangles[:, k]] for k in range(3))
    edges = np.stack([np.linalg.norm(a - b, axis=1), np.linalg.norm(b - c, axis=1), np.linalg.norm(c - a, axis=1)])
    p, q, r = (plane[triangles[:, k]] for k in range(3))
    area = (q[:, 0] - p[:, 0]) * (r[:, 1] - p[:, 1]) - (q[:, 1] - p[:, 1]) * (r[:, 0] - p[:, 0])
    triangles[area < 0] = triangles[area < 0][:, [0, 2, 1]]
    kept: npt.NDArray[np.int32] = triangles[edges.max(axis=0) <= longest]
    return kept


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu", dense: bool = True) -> DenseFitter:
    """The model of a card of family ``tddfa``. ``dense`` False leaves the basis out (poses only).

    Raises :class:`~frontalbench.errors.BadConfig` for other params.

    Params: ``passes`` 2: the second looks at the square around the points of the first.
    """
    from frontalbench.weights import store

    params = Params(card)
    passes = params.integer("passes", 2)
    params.finish()
    return DenseFitter(
        card.name,
        store.fetch(card, "model"),
        store.fetch(card, "basis") if dense else None,
        store.fetch(card, "statistics"),
        threads=threads,
        passes=passes,
        device=device,
    )

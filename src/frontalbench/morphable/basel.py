"""The Basel face model of 2009 with the expressions of Guo et al. 2018, as HRN and Deep3DFaceRecon use it: a face as a mean and components.

The file, ``BFM_model_front.mat``, is made from the Basel model's own, which every user gets from its makers. The model's frame: decimetres, x to the
right in the image, y up, z out of the face; the camera stands at z = 10 and looks back.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from frontalbench.errors import BadInput
from frontalbench.files.matlab import variables
from frontalbench.geometry.rotation import FLIP_YZ
from frontalbench.types import Float, Float32, Int

FOCAL, MIDDLE, DISTANCE, SIDE = 1015.0, 112.0, 10.0, 224
"""Of the camera: focal length and middle in pixels of an image of 224, way to the head in decimetres."""
IDENTITY, EXPRESSION, ALBEDO = 80, 64, 80
LIT: Final = 0.8
"""Added to the first coefficient of light: a face in even light."""
_FACES: Final = 8
"""Triangles around a vertex that the file lists."""


@dataclass(frozen=True)
class Basel:
    """``mean`` (V, 3), its middle at 0; ``identity`` (V, 3, 80), ``expression`` (V, 3, 64): components; ``tone`` (V, 3), ``albedo`` (V, 3, 80):
    colour of the skin in 0..1 and its components; ``triangles`` (T, 3); ``around`` (V, 8): the triangles at each vertex, T for none."""

    mean: Float
    identity: Float32
    expression: Float32
    tone: Float32
    albedo: Float32
    triangles: Int
    around: Int

    def shape(self, identity: Float, expression: Float) -> Float:
        """Vertices (V, 3) of a face without pose."""
        moved: Float = self.mean + self.identity @ identity + self.expression @ expression
        return moved

    def skin(self, albedo: Float) -> Float:
        """Colours (V, 3) of its skin, about 0..1."""
        colours: Float = self.tone + self.albedo @ albedo
        return colours

    def normals(self, vertices: Float) -> Float:
        """Unit normals (V, 3): of the triangles around each vertex, each counted alike; zero where there are none."""
        a, b, c = (vertices[self.triangles[:, corner]] for corner in range(3))
        faces = np.concatenate([unit(np.cross(a - b, b - c)), np.zeros((1, 3))])
        return unit(faces[self.around].sum(axis=1))


def unit(vectors: Float) -> Float:
    """Vectors (..., 3) of length 1; zero stays zero."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Float = vectors / np.maximum(length, 1e-12)
    return scaled


def rotation(angles: npt.ArrayLike) -> Float:
    """(3, 3): the turn about x, then y, then z by ``angles`` (3,) in radians."""
    x, y, z = (float(angle) for angle in np.asarray(angles, np.float64))
    about_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    about_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    about_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    turned: Float = about_z @ about_y @ about_x
    return turned


def before_camera(points: Float, turn: Float, shift: Float) -> Float:
    """Points (N, 3) of a face turned by ``turn`` (3, 3) and moved by ``shift`` (3,): x, y, and the way from the camera."""
    there = points @ turn.T + shift
    return np.column_stack([there[:, :2], DISTANCE - there[:, 2]])


def projected(points: Float, side: int = SIDE) -> Float:
    """Points (N, 3) before the camera -> pixels (N, 3) of an image of ``side``, rows downwards, and the way from the camera. NaN at the camera."""
    with np.errstate(divide="ignore", invalid="ignore"):
        flat = FOCAL * points[:, :2] / points[:, 2:] + MIDDLE
    flat = flat * (side / SIDE)
    return np.column_stack([flat[:, 0], side - 1.0 - flat[:, 1], points[:, 2]])


def lit(colours: npt.NDArray[np.floating], normals: npt.NDArray[np.floating], light: Float) -> Float:
    """Colours (..., 3) of skin with turned ``normals`` (..., 3) under ``light`` (3, 9): RGB, spherical harmonics up to the second degree."""
    x, y, z = (normals[..., axis] for axis in range(3))
    a = (np.pi, 2.0 * np.pi / np.sqrt(3.0), 2.0 * np.pi / np.sqrt(8.0))
    c = (1.0 / np.sqrt(4.0 * np.pi), np.sqrt(3.0 / (4.0 * np.pi)), 3.0 * np.sqrt(5.0 / (12.0 * np.pi)))
    first, second = a[1] * c[1], a[2] * c[2]
    parts = [np.full_like(x, a[0] * c[0]), -first * y, first * z, -first * x, second * x * y, -second * y * z]
    parts += [second / (2.0 * np.sqrt(3.0)) * (3.0 * z**2 - 1.0), -second * x * z, second / 2.0 * (x**2 - y**2)]
    even = light + LIT * np.eye(1, 9)
    shaded: Float = colours * (np.stack(parts, axis=-1) @ even.T)
    return shaded


def pose_matrix(turn: Float) -> Float:
    """The turn (3, 3) of this frame in that of photographs (x right, y down, z away), and back."""
    flipped: Float = FLIP_YZ @ turn @ FLIP_YZ
    return flipped


# Alignment --------------------------------------------------------------------------------------------------------------------------------

FACE: Final = 102.0
"""Size of a face in the aligned image of 224 pixels, in the unit of :func:`aligning`."""


def five(points: Float) -> Float:
    """Eyes, nose and corners of the mouth (5, D) of 68 points, the subject's right first: means of the eyes' outer and inner corners."""
    return np.stack([points[[36, 39]].mean(axis=0), points[[42, 45]].mean(axis=0), points[30], points[48], points[54]])


def aligning(points: Float, standard: Float, height: int, side: int = SIDE) -> Float:
    """Photograph -> aligned image (2, 3): ``points`` (5, 2) pixels, rows downwards, as an affine camera sees the face ``standard`` (5, 3).

    ``height``: of the photograph. Raises ValueError when the points determine no size.
    """
    upright = np.column_stack([points[:, 0], height - 1.0 - points[:, 1]])
    scale, middle = affine_camera(upright, standard)
    if not np.isfinite(scale) or scale < 1e-6:
        raise ValueError("the landmarks have no size: no crop")
    factor = FACE / scale * side / SIDE
    row = height - 1.0 - middle[1]
    half = MIDDLE * side / SIDE
    return np.array([[factor, 0.0, half - factor * middle[0]], [0.0, factor, side - 1.0 - half - factor * row]])


def affine_camera(flat: Float, standard: Float) -> tuple[float, Float]:
    """(scale, shift (2,)) of the affine camera that sees ``standard`` (N, 3) at ``flat`` (N, 2), by least squares."""
    known = np.column_stack([standard, np.ones(len(standard))])
    answer = np.linalg.lstsq(known, flat, rcond=np.finfo(np.float64).eps)[0]
    return float(np.linalg.norm(answer[:3], axis=0).mean()), answer[3]


# Files ------------------------------------------------------------------------------------------------------------------------------------


def read(path: Path) -> Basel:
    """From ``BFM_model_front.mat``. Raises :class:`BadInput` in one line."""
    bases = {"idBase": IDENTITY, "exBase": EXPRESSION, "texBase": ALBEDO}
    found = variables(path, ["meanshape", "meantex", *bases, "tri", "point_buf"])
    for name, value in found.items():
        if value.dtype.kind not in "fiu" or value.ndim != 2 or not np.isfinite(value).all():
            raise BadInput(f"{path}: '{name}' should be a table of finite numbers; use the file of the card")
    count = found["meanshape"].size // 3
    wanted = {"meanshape": (1, 3 * count), "meantex": (1, 3 * count), "point_buf": (count, _FACES)}
    wanted |= {name: (3 * count, width) for name, width in bases.items()} | {"tri": (len(found["tri"]), 3)}
    for name, shape in wanted.items():
        if found[name].shape != shape:
            raise BadInput(f"{path}: '{name}' should be {shape}, is {found[name].shape}; use the file of the card")
    triangles, around = found["tri"].astype(np.int64) - 1, found["point_buf"].astype(np.int64) - 1
    for name, values, last in (("tri", triangles, count - 1), ("point_buf", around, len(triangles))):
        if values.size == 0 or values.min() < 0 or values.max() > last:
            raise BadInput(f"{path}: '{name}' names what is not there; use the file of the card")
    mean = found["meanshape"].astype(np.float64).reshape(-1, 3)
    identity, expression, albedo = (np.ascontiguousarray(found[name].reshape(count, 3, width), np.float32) for name, width in bases.items())
    tone = (found["meantex"].reshape(-1, 3) / 255.0).astype(np.float32)
    return Basel(mean - mean.mean(axis=0), identity, expression, tone, albedo / np.float32(255.0), triangles, around)


def read_standard(path: Path) -> Float:
    """The five points (5, 3) of the face that images are aligned to, from ``similarity_Lm3D_all.mat``. Raises :class:`BadInput`."""
    points = variables(path, ["lm"])["lm"]
    if points.shape != (68, 3) or points.dtype.kind != "f" or not np.isfinite(points).all():
        raise BadInput(f"{path}: 'lm' should be (68, 3) finite numbers, is {points.shape}; use the file of the card")
    return five(points.astype(np.float64))

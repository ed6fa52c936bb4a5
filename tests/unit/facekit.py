"""Files of face models as their makers write them, with made-up numbers: FLAME's pickle of Python 2 and 3, and what lies beside it."""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import sys
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import scipy.sparse

from frontalbench.morphable.uv import Unrolled

Array = npt.NDArray[Any]


def small_flame(vertices: int = 12) -> dict[str, Array]:
    """The arrays of a FLAME file with few vertices."""
    rng = np.random.default_rng(3)
    joints = np.zeros((5, vertices))
    joints[np.arange(5), np.arange(5)] = 1.0
    weights = rng.random((vertices, 5))
    return {
        "f": np.array([[0, 1, 2], [2, 3, 4]], np.uint32),
        "v_template": rng.normal(size=(vertices, 3)),
        "shapedirs": rng.normal(size=(vertices, 3, 400)),
        "posedirs": rng.normal(size=(vertices, 3, 36)),
        "J_regressor": joints,
        "kintree_table": np.array([[4294967295, 0, 1, 1, 1], [0, 1, 2, 3, 4]], np.uint32),
        "weights": weights / weights.sum(axis=1, keepdims=True),
    }


@contextlib.contextmanager
def _chumpy() -> Iterator[type]:
    """A stand-in for the library whose arrays FLAME's file holds: an object with its numbers under ``x``."""
    package, module = types.ModuleType("chumpy"), types.ModuleType("chumpy.ch")

    class Ch:
        def __init__(self, x: Array) -> None:
            self.x, self._dirty_vars, self._depends_on_deps = x, set(), {}

    Ch.__module__, Ch.__qualname__ = "chumpy.ch", "Ch"
    module.Ch = Ch  # type: ignore[attr-defined]
    sys.modules |= {"chumpy": package, "chumpy.ch": module}
    try:
        yield Ch
    finally:
        del sys.modules["chumpy"], sys.modules["chumpy.ch"]


class _AsPython2(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Texts and bytes as Python 2 writes both: byte strings."""

    dispatch: ClassVar[dict[type, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def _bytes(self, value: bytes | str) -> None:
        data = value.encode("latin1") if isinstance(value, str) else value
        self.write(b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    dispatch[bytes] = dispatch[str] = _bytes


def flame_bytes(arrays: Mapping[str, Array], writer: str = "python 2") -> bytes:
    """The file: ``writer`` is "python 2", "python 3", or "text" (protocol 0, as very old ones)."""
    with _chumpy() as ch:
        content: dict[str, Any] = dict(arrays)
        for key in ("v_template", "shapedirs"):
            content[key] = ch(arrays[key])
        content["J_regressor"] = scipy.sparse.csc_matrix(arrays["J_regressor"])
        content["bs_style"], content["vert_sym_idxs"] = "lbs", np.arange(3)
        buffer = io.BytesIO()
        if writer == "python 2":
            _AsPython2(buffer, protocol=2).dump(content)
        else:
            pickle.Pickler(buffer, protocol={"python 3": 2, "text": 0}[writer]).dump(content)
    data = buffer.getvalue()
    if writer == "python 2":  # names of old versions, of the same length or in their own line
        data = data.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n").replace(
            b"cscipy.sparse._csc\n", b"cscipy.sparse.csc\n"
        )
    return data


def write_flame(path: Path, arrays: Mapping[str, Array], writer: str = "python 2") -> Path:
    path.write_bytes(flame_bytes(arrays, writer))
    return path


def write_obj(path: Path, unrolled: Unrolled, vertices: Array) -> Path:
    """A Wavefront mesh whose triangles name vertices and places."""
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    lines += [f"vt {u:.9f} {v:.9f}" for u, v in unrolled.places]
    for corners, places in zip(unrolled.triangles + 1, unrolled.corners + 1, strict=True):
        lines.append("f " + " ".join(f"{corner}/{place}" for corner, place in zip(corners, places, strict=True)))
    path.write_text("# made up\n" + "\n".join(lines) + "\n")
    return path


def small_basel(rows: int = 41, columns: int = 41) -> dict[str, Array]:
    """The arrays of a ``BFM_model_front.mat``, by its keys, of a face like half an egg that bulges towards the camera; and ``places``."""
    v, u = (part.ravel() for part in np.meshgrid(np.linspace(1, -1, rows), np.linspace(-1, 1, columns), indexing="ij"))
    x, y = 0.75 * u * np.sqrt(1 - v**2 / 2), 1.0 * v * np.sqrt(1 - u**2 / 2)
    vertices = np.stack([x, y, 0.9 * np.sqrt(np.maximum(1 - (x / 0.8) ** 2 - (y / 1.1) ** 2, 0.0))], axis=1)
    a, b = (part.ravel() for part in np.meshgrid(np.arange(rows - 1), np.arange(columns - 1), indexing="ij"))
    p = a * columns + b
    triangles = np.concatenate([np.stack([p, p + columns, p + 1], axis=1), np.stack([p + 1, p + columns, p + columns + 1], axis=1)])
    around = np.full((len(vertices), 8), len(triangles))
    filled = np.zeros(len(vertices), int)
    for number, corners in enumerate(triangles):
        for corner in corners:
            around[corner, filled[corner]] = number
            filled[corner] += 1
    count = 3 * len(vertices)
    return {
        "meanshape": vertices.reshape(1, -1),
        "idBase": np.zeros((count, 80), np.float32),
        "exBase": np.zeros((count, 64), np.float32),
        "texBase": np.zeros((count, 80), np.float32),
        "meantex": np.tile([[200.0, 150.0, 120.0]], (1, len(vertices))),
        "tri": triangles + 1,
        "point_buf": around + 1,
        "places": np.stack([(u + 1) / 2, (v + 1) / 2], axis=1).astype(np.float32),
    }


def write_basel(path: Path, arrays: Mapping[str, Array]) -> Path:
    from scipy.io import savemat

    savemat(path, {key: value for key, value in arrays.items() if key != "places"})
    return path


def mesh_levels() -> dict[str, Any]:
    """What is in CVTHead's ``transform.pkl`` of a made-up head: lists by level, matrices sparse."""
    from tests.golden.faces import tube

    rng = np.random.default_rng(4)
    fine, middle, coarse = 5023, 1256, 314
    loose = np.array([[4989 + k, 4988 + k, 5017 + k] for k in range(6)])
    triangles = [np.concatenate([tube(), loose]), tube(157, 8), tube(157, 2)]
    down, up = [], []
    for many, few in ((fine, middle), (middle, coarse)):
        kept = np.sort(rng.choice(many, few, replace=False))
        down.append(scipy.sparse.csc_matrix((np.ones(few), (np.arange(few), kept)), shape=(few, many)))
        rows, columns = np.repeat(np.arange(many), 3), rng.integers(0, few, 3 * many)
        up.append(scipy.sparse.csc_matrix((np.full(3 * many, 1 / 3), (rows, columns)), shape=(many, few)))
    vertices = [rng.normal(size=(count, 3)) for count in (fine, middle, coarse)]
    return {"vertices": vertices, "face": triangles, "adj": [], "down_transform": down, "up_transform": up}

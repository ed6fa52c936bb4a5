"""FLAME (Li, Bolkart, Black, Li, Romero 2017): a head as a mean mesh, its principal components, and four joints.

The file, ``generic_model.pkl`` of FLAME 2020, belongs to its makers: every user registers and downloads it. It is a pickle of Python 2 with
objects of two other libraries inside; here it is read as arrays, and whatever else it asks for ends the reading.

The model's frame: metres, x to the subject's left (right in the picture), y up, z out of the face towards the camera.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from frontalbench.errors import BadInput, one_line, raise_if_memory_ran_out
from frontalbench.types import Float, Float32, Int

ALL_SHAPES: Final = 300
"""Components of ``shapedirs`` that are shape; those after them are expression."""
JOINTS: Final = 5
"""Root, neck, jaw and the two eyes."""
ROOT: Final = 4294967295


@dataclass(frozen=True)
class Flame:
    """``template`` (V, 3); ``shape`` (V, 3, S), ``expression`` (V, 3, E): components; ``correctives`` (V, 3, 36): what a turned joint does to
    the skin; ``joints`` (5, V): joints as means of vertices; ``parents`` (5,), -1 at the root; ``weights`` (V, 5): how much a vertex follows
    each joint; ``triangles`` (T, 3)."""

    template: Float
    shape: Float32
    expression: Float32
    correctives: Float32
    joints: Float
    parents: Int
    weights: Float
    triangles: Int

    def posed(self, shape: Float, expression: Float, pose: Float) -> Float:
        """Vertices (V, 3) of a head with these coefficients (at most as many as there are components; the rest are 0).

        ``pose`` (5, 3): turns of root, neck, jaw and eyes, axis times angle in radians. The root turns about its own joint.
        """
        rest = self.template + self.shape[..., : len(shape)] @ shape + self.expression[..., : len(expression)] @ expression
        joints = self.joints @ rest
        turns = rotations(pose)
        rest = rest + self.correctives @ (turns[1:] - np.eye(3)).reshape(-1)
        # Each joint's motion as (turn, shift), its parent's applied after its own; the rest pose is taken off by its joint.
        turned, places = [turns[0]], [joints[0]]
        for joint in range(1, JOINTS):
            parent = int(self.parents[joint])
            turned.append(turned[parent] @ turns[joint])
            places.append(turned[parent] @ (joints[joint] - joints[parent]) + places[parent])
        turned_all = np.stack(turned)
        shifts = np.stack(places) - np.einsum("jab,jb->ja", turned_all, joints)
        blended = np.einsum("vj,jab->vab", self.weights, turned_all)
        moved: Float = np.einsum("vab,vb->va", blended, rest) + self.weights @ shifts
        return moved


def rotations(vectors: Float) -> Float:
    """Rotation matrices (N, 3, 3) of (N, 3) axis times angle, by Rodrigues' formula."""
    angle = np.linalg.norm(vectors + 1e-8, axis=1)  # as released: never zero
    x, y, z = (vectors / angle[:, None]).T
    zero = np.zeros_like(x)
    cross = np.stack([np.stack(row, axis=1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))], axis=1)
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    turned: Float = np.eye(3) + sine * cross + (1.0 - cosine) * (cross @ cross)
    return turned


def full_pose(head: Float, jaw: Float, eyes: Float | None = None) -> Float:
    """The pose (5, 3) of a head turned by ``head`` (3,) with its ``jaw`` (3,) and ``eyes`` (6,) turned too; the neck does not."""
    pose = np.zeros((JOINTS, 3))
    pose[0], pose[2] = head, jaw
    if eyes is not None:
        pose[3:] = np.reshape(eyes, (2, 3))
    return pose


# The file ---------------------------------------------------------------------------------------------------------------------------------


class _Shell:
    """What stands for an object of another library: it keeps its attributes and does nothing."""

    attributes: Mapping[str, Any] = MappingProxyType({})

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("an object without attributes")
        self.attributes = {str(key): value for key, value in state.items()}


class _Chumpy(_Shell):
    """An array of the chumpy library: its numbers are under ``x``."""


class _Sparse(_Shell):
    """A SciPy matrix in compressed columns."""


def _reconstructor(kind: Any, *_: Any) -> _Shell:
    """How Python 2 begins an object."""
    if kind not in (_Chumpy, _Sparse):
        raise pickle.UnpicklingError("an object of an unexpected kind")
    shell: _Shell = kind()
    return shell


def _latin(text: Any, encoding: Any = "latin1") -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError("text that is no bytes")
    return text.encode("latin1")


def _allowed() -> dict[tuple[str, str], Any]:
    from numpy._core.multiarray import _reconstruct, scalar

    names: dict[tuple[str, str], Any] = {
        ("chumpy.ch", "Ch"): _Chumpy,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _latin,
        ("__builtin__", "object"): object,
        ("__builtin__", "set"): set,
        ("builtins", "object"): object,
        ("builtins", "set"): set,
    }
    names |= {(module, "_reconstructor"): _reconstructor for module in ("copy_reg", "copyreg")}
    names |= {(f"scipy.sparse.{module}", "csc_matrix"): _Sparse for module in ("csc", "_csc")}
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
        names |= {(module, "_reconstruct"): _reconstruct, (module, "scalar"): scalar}
    return names


class _Reader(pickle.Unpickler):
    def __init__(self, handle: Any) -> None:
        super().__init__(handle, encoding="latin1")
        self._names = _allowed()

    def find_class(self, module: str, name: str) -> Any:
        found = self._names.get((module, name))
        if found is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return found


HELP: Final = "use generic_model.pkl of FLAME 2020, as downloaded after registering with its makers"


def read(path: Path, *, shapes: int = 100, expressions: int = 50) -> Flame:
    """FLAME with the first ``shapes`` and ``expressions`` components, from its makers' pickle; nothing in the file is run.

    Raises :class:`BadInput` in one line for a file that is missing, cut off, of another kind, or that asks for more than arrays.
    """
    try:
        with path.open("rb") as handle:
            content = _Reader(handle).load()
    except FileNotFoundError:
        raise BadInput(f"{path}: not found; {HELP}") from None
    except pickle.UnpicklingError as error:
        raise BadInput(f"{path}: refused, not a pickle of arrays only ({one_line(error)}); {HELP}") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise_if_memory_ran_out(error)
        raise BadInput(f"{path}: not a readable pickle ({one_line(error)}); {HELP}") from error
    if not isinstance(content, Mapping):
        raise BadInput(f"{path}: expected a dictionary, found a {type(content).__name__}; {HELP}")
    template = _numbers(content, "v_template", (None, 3), path)
    count = len(template)
    components = _numbers(content, "shapedirs", (count, 3, None), path)
    if components.shape[2] < ALL_SHAPES + expressions or shapes > ALL_SHAPES:
        raise BadInput(
            f"{path}: 'shapedirs' has {components.shape[2]} components, expected {ALL_SHAPES} of shape and {expressions} more; {HELP}"
        )
    triangles = _numbers(content, "f", (None, 3), path).astype(np.int64)
    if triangles.size == 0 or triangles.min() < 0 or triangles.max() >= count:
        raise BadInput(f"{path}: 'f' names vertices that are not there; {HELP}")
    tree = _numbers(content, "kintree_table", (2, JOINTS), path)[0]
    parents = np.where(tree == ROOT, -1, tree).astype(np.int64)
    if parents[0] != -1 or any(not 0 <= parents[joint] < joint for joint in range(1, JOINTS)):
        raise BadInput(f"{path}: 'kintree_table' is no tree of {JOINTS} joints; {HELP}")
    return Flame(
        template,
        np.ascontiguousarray(components[..., :shapes], np.float32),
        np.ascontiguousarray(components[..., ALL_SHAPES : ALL_SHAPES + expressions], np.float32),
        _numbers(content, "posedirs", (count, 3, 9 * (JOINTS - 1)), path).astype(np.float32),
        _joints(content, count, path),
        parents,
        _numbers(content, "weights", (count, JOINTS), path),
        triangles,
    )


def _numbers(content: Mapping[Any, Any], key: str, shape: tuple[int | None, ...], path: Path) -> Float:
    value = content.get(key)
    if isinstance(value, _Chumpy):
        value = value.attributes.get("x")
    wanted = " x ".join("n" if side is None else str(side) for side in shape)
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
        raise BadInput(f"{path}: '{key}' should be an array of {wanted} numbers, is a {type(value).__name__}; {HELP}")
    if value.ndim != len(shape) or any(want not in (None, found) for want, found in zip(shape, value.shape, strict=True)):
        raise BadInput(f"{path}: '{key}' should be an array of {wanted} numbers, is {value.shape}; {HELP}")
    if not np.isfinite(value).all():
        raise BadInput(f"{path}: '{key}' holds numbers that are not finite; {HELP}")
    return np.asarray(value, np.float64)


def _joints(content: Mapping[Any, Any], count: int, path: Path) -> Float:
    value = content.get("J_regressor")
    if not isinstance(value, _Sparse):
        return _numbers(content, "J_regressor", (JOINTS, count), path)
    parts = value.attributes
    shape = parts.get("_shape", parts.get("shape"))
    numbers = _numbers(parts, "data", (None,), path)
    rows, ends = (_numbers(parts, key, (None,), path).astype(np.int64) for key in ("indices", "indptr"))
    sound = tuple(shape or ()) == (JOINTS, count) and len(ends) == count + 1 and len(rows) == len(numbers)
    steps = np.diff(ends)
    if (
        not sound
        or ends[0] != 0
        or ends[-1] != len(rows)
        or (steps < 0).any()
        or (len(rows) and not 0 <= rows.min() <= rows.max() < JOINTS)
    ):
        raise BadInput(f"{path}: 'J_regressor' should be a sparse matrix of {JOINTS} x {count}, is {shape}; {HELP}")
    dense = np.zeros((JOINTS, count))
    np.add.at(dense, (rows, np.repeat(np.arange(count), steps)), numbers)
    return dense

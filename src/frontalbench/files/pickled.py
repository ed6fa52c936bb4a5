"""Arrays in pickles of Python 2 and 3, chumpy's and SciPy's column matrices among them: read as data, nothing of the file is run.

Every name in the file stands for something inert; a name that is not on the list ends the reading.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from frontalbench.errors import BadInput, one_line, raise_if_memory_ran_out
from frontalbench.types import Float, Int


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


@dataclass(frozen=True)
class Columns:
    """A sparse matrix by its entries: ``rows``, ``columns`` (N,), ``values`` (N,); ``shape``."""

    rows: Int
    columns: Int
    values: Float
    shape: tuple[int, int]

    def dense(self) -> Float:
        """The matrix itself; entries that are named twice are added."""
        whole = np.zeros(self.shape)
        np.add.at(whole, (self.rows, self.columns), self.values)
        return whole


@dataclass(frozen=True)
class Pickled:
    """The dictionary in a file; ``help``: what to do where it is not what it should be, a part of a sentence."""

    path: Path
    content: Mapping[Any, Any]
    help: str

    def numbers(self, key: str, shape: tuple[int | None, ...], index: int | None = None) -> Float:
        """The array ``key`` (of the list ``key`` the one at ``index``), as float64; None in ``shape``: any side. Raises :class:`BadInput`."""
        return self._numbers(self._value(key, index), f"'{key}'", shape)

    def matrix(self, key: str, shape: tuple[int, int], index: int | None = None) -> Columns:
        """The sparse matrix ``key``; an array will do. Raises :class:`BadInput`."""
        value = self._value(key, index)
        if not isinstance(value, _Sparse):
            whole = self._numbers(value, f"'{key}'", shape)
            rows, columns = np.nonzero(whole)
            return Columns(rows, columns, whole[rows, columns], shape)
        parts = value.attributes
        found = parts.get("_shape", parts.get("shape"))
        numbers = self._numbers(parts.get("data"), f"'{key}'", (None,))
        rows, ends = (self._numbers(parts.get(part), f"'{key}'", (None,)).astype(np.int64) for part in ("indices", "indptr"))
        steps = np.diff(ends)
        sound = tuple(found or ()) == shape and len(ends) == shape[1] + 1 and len(rows) == len(numbers)
        if (
            not sound
            or ends[0] != 0
            or ends[-1] != len(rows)
            or (steps < 0).any()
            or (len(rows) and not 0 <= rows.min() <= rows.max() < shape[0])
        ):
            raise BadInput(f"{self.path}: '{key}' should be a sparse matrix of {shape[0]} x {shape[1]}, is {found}; {self.help}")
        return Columns(rows, np.repeat(np.arange(shape[1]), steps), numbers, shape)

    def _value(self, key: str, index: int | None) -> Any:
        value = self.content.get(key)
        if index is None:
            return value
        if not isinstance(value, list) or len(value) <= index:
            raise BadInput(f"{self.path}: '{key}' should be a list of at least {index + 1}, is a {type(value).__name__}; {self.help}")
        return value[index]

    def _numbers(self, value: Any, name: str, shape: tuple[int | None, ...]) -> Float:
        if isinstance(value, _Chumpy):
            value = value.attributes.get("x")
        wanted = " x ".join("n" if side is None else str(side) for side in shape)
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiu":
            raise BadInput(f"{self.path}: {name} should be an array of {wanted} numbers, is a {type(value).__name__}; {self.help}")
        if value.ndim != len(shape) or any(want not in (None, found) for want, found in zip(shape, value.shape, strict=True)):
            raise BadInput(f"{self.path}: {name} should be an array of {wanted} numbers, is {value.shape}; {self.help}")
        if not np.isfinite(value).all():
            raise BadInput(f"{self.path}: {name} holds numbers that are not finite; {self.help}")
        return np.asarray(value, np.float64)


def read(path: Path, help_: str) -> Pickled:
    """The dictionary in ``path``. Raises :class:`BadInput` in one line, ending in ``help_``, for a file that is missing, cut off, of another kind, or
    that asks for more than arrays."""
    try:
        with path.open("rb") as handle:
            content = _Reader(handle).load()
    except FileNotFoundError:
        raise BadInput(f"{path}: not found; {help_}") from None
    except pickle.UnpicklingError as error:
        raise BadInput(f"{path}: refused, not a pickle of arrays only ({one_line(error)}); {help_}") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise_if_memory_ran_out(error)
        raise BadInput(f"{path}: not a readable pickle ({one_line(error)}); {help_}") from error
    if not isinstance(content, Mapping):
        raise BadInput(f"{path}: expected a dictionary, found a {type(content).__name__}; {help_}")
    return Pickled(path, content, help_)

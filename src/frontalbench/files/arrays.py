"""Arrays in files: the one way in which numpy arrays leave for safetensors, and in which other people's NumPy files come in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from frontalbench.errors import BadInput, one_line
from frontalbench.files import atomic

_MAGIC = b"\x93NUMPY"
"""How a NumPy file of one array begins."""


def numbers(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """The array in a NumPy file (``.npy``), read as data. Raises :class:`BadInput` in one line for a file that is missing, of another kind, cut off,
    that claims more numbers than it has, or that holds objects."""
    try:
        with Path(path).open("rb") as handle:
            if handle.read(len(_MAGIC)) != _MAGIC:
                raise BadInput(f"{path}: not a NumPy file of numbers (it begins otherwise); use the file that the card names")
        return np.array(np.load(path, mmap_mode="r", allow_pickle=False))  # mapped: what the head claims is compared with the file's length
    except FileNotFoundError:
        raise BadInput(f"{path}: not found; bring the file that the card names") from None
    except (OSError, ValueError, EOFError) as error:
        raise BadInput(f"{path}: not a NumPy file of numbers ({one_line(error)}); use the file that the card names") from error


def write(path: str | os.PathLike[str], arrays: Mapping[str, npt.NDArray[np.generic]], metadata: Mapping[str, str] | None = None) -> None:
    """Write named arrays (any layout in memory, any byte order) and text metadata to ``path``, whole or not at all.

    The format's own writer (safetensors 0.8.0, numpy side) stores the memory of an array as it lies: a transposed one comes back as its transpose,
    with the right shape and no error. So every array is brought into C order first, and what was written is read again before it gets its name.
    Raises ValueError when it does not come back as it was.
    """
    from safetensors.numpy import load, save

    ordered = {name: np.array(value, dtype=value.dtype.newbyteorder("="), order="C", copy=True) for name, value in arrays.items()}
    data = save(ordered, dict(metadata or {}))
    again = load(data)
    for name, value in arrays.items():
        if not np.array_equal(again[name], value, equal_nan=value.dtype.kind in "fc"):
            raise ValueError(f"{path}: '{name}' does not come back as it was written")
    atomic.write_bytes(path, data)

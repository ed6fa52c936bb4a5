"""Arrays in safetensors files: the one way in which numpy arrays leave for a file of that format."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from frontalbench.files import atomic


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

"""MATLAB 5 files read as data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from frontalbench.errors import BadInput, one_line, raise_if_memory_ran_out


def variables(path: Path, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """The variables ``names`` of the file. Raises :class:`BadInput` in one line where it is missing, another kind of file, or lacks one."""
    from scipy.io import loadmat

    try:
        found = loadmat(path, variable_names=list(names))
    except FileNotFoundError:
        raise BadInput(f"{path}: not found; fetch the model's weights first") from None
    except Exception as error:  # scipy raises ValueError, TypeError, OSError, zlib.error, ... on broken files
        raise_if_memory_ran_out(error)
        raise BadInput(f"{path}: not a readable MATLAB file ({one_line(error)}); use the file of the card") from error
    for name in names:
        if name not in found:
            raise BadInput(f"{path}: no '{name}' in it; use the file of the card")
    return {name: np.asarray(found[name]) for name in names}

"""Arrays by the kind of their values, for annotations; shapes and units stand in docstrings.

Images have a name of their own, :data:`frontalbench.images.RGB`. Nothing is here that does something: editing this module reruns nothing.
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]
Int = npt.NDArray[np.int64]
UInt8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]
Words = npt.NDArray[np.str_]
Objects = npt.NDArray[np.object_]
"""Texts of which some may be missing, or of which many are the same object."""

StrPath = str | os.PathLike[str]
"""A path as a caller may give it."""

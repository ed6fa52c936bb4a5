"""What layers let go while they lay their weights out, back to the system."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any, Final

MUCH: Final = 1 << 20
"""Bytes of a weight from which on giving back is worth a walk through the heap (some tenths of a millisecond)."""


def given_back(size: int) -> None:
    """After ``size`` bytes were laid out anew and let go: freed memory goes back, where the C library keeps it (glibc does, between blocks in use: a
    network of a hundred layers held twice its weights)."""
    trim = _trim()
    if trim is not None and size >= MUCH:
        trim(0)


@functools.cache
def _trim() -> Callable[[int], Any] | None:
    found: Callable[[int], Any] | None = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return found

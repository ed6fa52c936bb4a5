"""What becomes of freed memory: back to the system, or kept for the next image."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable
from typing import Any, Final

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""The names of ``mallopt``'s options in C's ``malloc.h``."""
MUCH: Final = 1 << 20
"""Bytes of a weight from which on giving back is worth a walk through the heap (some tenths of a millisecond)."""


def given_back(size: int) -> None:
    """After ``size`` bytes were laid out anew and let go: freed memory goes back, where the C library keeps it (glibc does, between blocks in use: a
    network of a hundred layers held twice its weights)."""
    trim = _library("malloc_trim")
    if trim is not None and size >= MUCH:
        trim(0)


def kept() -> None:
    """From now on this process keeps what it frees, up to maps of 300 MB, for a network whose maps are the same for every image.

    Fresh memory costs a page fault every 4 kB: a sixth of GFPGAN's time, 5 % of LivePortrait's, 4 % of RetinaFace-R50's. For glibc; elsewhere
    nothing happens.
    """
    option = _library("mallopt")
    # Older versions of glibc know no threshold above 32 MB. Without any, setting the other would leave it at 128 kB.
    if option is not None and any(option(_MMAP_THRESHOLD, size << 20) for size in (300, 32)):
        option(_TRIM_THRESHOLD, 1 << 30)


@functools.cache
def _library(name: str) -> Callable[..., Any] | None:
    found: Callable[..., Any] | None = getattr(ctypes.CDLL(None), name, None)
    return found

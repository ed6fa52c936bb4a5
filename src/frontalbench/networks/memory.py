"""What becomes of freed memory: back to the system, or kept for the next image; and of a library that has done its work."""

from __future__ import annotations

import ctypes
import functools
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""The names of ``mallopt``'s options in C's ``malloc.h``."""
_DONT_NEED: Final = 4
"""``madvise``'s, in Linux's ``mman.h``."""
_MAPS: Final = Path("/proc/self/smaps")
_RETURNED: Final = 8 << 20
_HUGE_PAGES: Final = Path("/sys/kernel/mm/transparent_hugepage/enabled")
_decided: set[str] = set()
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
# PyTorch reads it at its first tensor: maps of 2 MB and more lie in huge pages where the system has some to give, and a page fault comes every 2 MB
# instead of every 4 kB. FSGAN takes 10 % less time and 9 % less memory, headGAN 13 % less time. "0" before the start turns it off.
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
    _decided.add("kept")


def returned() -> None:
    """From now on this process hands maps of 8 MB and more back as soon as they are free, for a network that would hold more than plain PyTorch
    otherwise: between blocks of many sizes glibc keeps a hundred MB and more that nobody uses.

    Costs 0 to 10 % of the time with huge pages, 30 % without: nothing happens where the system has none, or where a network of this process asked
    for :func:`kept`.
    """
    option = _library("mallopt")
    if option is None or _decided:
        return
    _decided.add("returned")
    if _huge_pages() and option(_MMAP_THRESHOLD, _RETURNED):
        option(_TRIM_THRESHOLD, 2 * _RETURNED)


def _huge_pages() -> bool:
    """Whether large maps get them: the system gives them to all, or to who asks and PyTorch does (it may have been used before it was told to)."""
    import torch

    try:
        modes, used = _HUGE_PAGES.read_text(), torch.empty(1 << 20)
        return "[always]" in modes or ("[madvise]" in modes and _asks(_MAPS.read_text(errors="replace"), used.data_ptr()))
    except OSError:
        return False


def _asks(maps: str, address: int) -> bool:
    """Whether huge pages were asked for where ``address`` lies, by an ``smaps``."""
    for start, end, flags in re.findall(r"^([0-9a-f]+)-([0-9a-f]+) .*\n(?:[A-Za-z_]+: .*\n)*?VmFlags:(.*)$", maps, re.MULTILINE):
        if int(start, 16) <= address < int(end, 16):
            return "hg" in flags.split()
    return False


def unmapped(library: str) -> int:
    """Gives the pages of the files whose name begins with ``library`` back, as far as they are as in the file; how many bytes were told to go.

    Nothing is lost: only mappings that cannot be written to and hold no page of the process's own are asked about, and what is needed once more is
    read again, mostly from the system's cache. Under Linux; elsewhere nothing happens.
    """
    advise = _library("madvise")
    if advise is None or not _MAPS.exists():
        return 0
    told = 0
    for start, end in _clean(_MAPS.read_text(errors="replace"), library):
        if advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONT_NEED) == 0:
            told += end - start
    return told


def _clean(maps: str, library: str) -> Iterator[tuple[int, int]]:
    """First byte and end of the mappings of ``library`` in an ``smaps`` that are not writable, not shared and hold nothing of the process's own."""
    entry = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \S+ +(/.*)\n((?:[A-Za-z_]+: .*\n)*)", re.MULTILINE)
    for start, end, path, sizes in entry.findall(maps):
        if Path(path).name.startswith(library) and re.search(r"^Anonymous: +0 kB$", sizes, re.MULTILINE):
            yield int(start, 16), int(end, 16)


@functools.cache
def _library(name: str) -> Callable[..., Any] | None:
    found: Callable[..., Any] | None = getattr(ctypes.CDLL(None), name, None)
    return found

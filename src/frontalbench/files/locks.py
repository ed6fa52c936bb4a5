"""Locks between processes, held through the kernel: they vanish with the process that holds them."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def held(path: Path) -> Iterator[bool]:
    """Wait for and hold the lock at ``path`` (an empty file that stays). Yields False where the file system knows no locks: the caller must then not
    share unfinished files with others."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # ENOLCK, ENOTSUP: some network file systems
            yield False
            return
        try:
            yield True
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)


def free(path: Path) -> bool:
    """Whether nobody holds the lock at ``path`` now."""
    try:
        with path.open("ab") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(handle, fcntl.LOCK_UN)
    except OSError:
        return False
    return True

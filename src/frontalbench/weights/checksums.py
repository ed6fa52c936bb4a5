"""sha256 before use, computed once per file and process."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

_known: dict[tuple[str, int, int, int], str] = {}
"""(path, size, mtime in ns, inode) -> sha256: a file that changes gets another key."""

_SETTLED_SECONDS = 2.0
"""A file that was written more recently could be written again without its time stamp moving on: it is hashed every time."""


def sha256(path: Path) -> str:
    """sha256 (hex) of a file. Raises OSError."""
    key = _state(path)
    if key in _known:
        return _known[key]
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    if _state(path) == key and time.time() - key[2] / 1e9 > _SETTLED_SECONDS:
        _known[key] = digest
    return digest


def _state(path: Path) -> tuple[str, int, int, int]:
    found = path.stat()
    return str(path), found.st_size, found.st_mtime_ns, found.st_ino


def fault(path: Path, size: int | None, expected: str) -> str | None:
    """Why the file at ``path`` is not the wanted one (wrong size, wrong sha256, not readable), or None when it is."""
    try:
        if not path.is_file():
            return "not a file"
        found = path.stat().st_size
        if size is not None and found != size:
            return f"{found:,} bytes instead of {size:,}"
        digest = sha256(path)
    except OSError as error:
        return error.strerror or "cannot be read"
    return None if digest == expected else f"sha256 {digest[:12]} instead of {expected[:12]}"

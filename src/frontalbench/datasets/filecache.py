"""Content hashes of files that were read once, kept between runs.

A dry run over 15,000 files must not read 6 GB again. An entry is believed when path (relative to the dataset's root), size and modification
time are those of the file. The cache file is JSON, read at once and replaced atomically; two processes that write at the same time lose at
worst some entries.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from frontalbench.files import atomic

VERSION = 2
_FRESH_NS = 2_000_000_000
"""A file changed less than this ago may change again within one tick of the file system's clock, unseen: its entry is not kept."""

MISSING = "missing"


class FileCache:
    """Hashes (and parsed values of small pose files) of the files below ``root``, kept in the JSON file ``path`` (None: in memory only)."""

    def __init__(self, path: str | os.PathLike[str] | None, root: str | os.PathLike[str]) -> None:
        self._path = Path(path) if path is not None else None
        self._root = os.fspath(root).rstrip(os.sep) + os.sep
        self._entries: dict[str, list[Any]] = self._read()
        self._new: dict[str, list[Any]] = {}

    def sha256(self, path: str) -> str:
        """sha256 (hex) of a file's bytes; :data:`MISSING` when it cannot be read."""
        entry = self._entry(path, None)
        return MISSING if entry is None else str(entry[2])

    def value(self, path: str, parse: Callable[[bytes], Any]) -> Any:
        """``parse(bytes of the file)``, a JSON value, from the cache where the file has not changed; None when it cannot be read.

        One path must always be given the same ``parse``; raise :data:`VERSION` when a parser changes.
        """
        entry = self._entry(path, parse)
        return None if entry is None else entry[3]

    def value_at(self, path: str, parse: Callable[[str], Any]) -> Any:
        """The same for a file that ``parse`` opens itself by its path, so that a large one is never held."""
        entry = self._known(path)
        if entry is not None and len(entry) >= 4:
            return entry[3]
        if self.sha256(path) == MISSING:
            return None
        value, entry = parse(path), self._known(path)
        if entry is not None:
            self._new[self._key(path)] = [*entry[:3], value]
        return value

    def warm(self, paths: Iterable[str], threads: int = 0) -> None:
        """Hash those of ``paths`` that are not in the cache, on threads (hashing lets go of the interpreter)."""
        cold = [path for path in dict.fromkeys(paths) if self._known(path) is None]
        if len(cold) > 8:
            with ThreadPoolExecutor(threads or min(8, os.cpu_count() or 1)) as pool:
                list(pool.map(self.sha256, cold, chunksize=16))

    def save(self) -> None:
        """Write new entries, merged with what another process has written meanwhile. A cache that cannot be written is only slower next
        time."""
        if self._path is None or not self._new:
            return
        entries = {**self._read(), **self._new}
        try:
            atomic.write_text(self._path, json.dumps({"version": VERSION, "files": entries}, separators=(",", ":")))
        except OSError:
            return
        self._entries, self._new = entries, {}

    def _read(self) -> dict[str, list[Any]]:
        if self._path is None:
            return {}
        try:
            data = json.loads(self._path.read_bytes())
        except (OSError, ValueError):
            return {}
        files = data.get("files") if isinstance(data, dict) and data.get("version") == VERSION else None
        return files if isinstance(files, dict) else {}

    def _key(self, path: str) -> str:
        return path[len(self._root) :] if path.startswith(self._root) else path

    def _known(self, path: str) -> list[Any] | None:
        try:
            info = os.stat(path)  # noqa: PTH116 - 15,000 of them
        except OSError:
            return None
        key = self._key(path)
        entry = self._new.get(key) or self._entries.get(key)
        if isinstance(entry, list) and len(entry) >= 3 and entry[0] == info.st_size and entry[1] == info.st_mtime_ns:
            return entry
        return None

    def _entry(self, path: str, parse: Callable[[bytes], Any] | None) -> list[Any] | None:
        entry = self._known(path)
        if entry is not None and (parse is None or len(entry) >= 4):
            return entry
        try:
            # Not a plain open: that waits for ever at a named pipe. And no end of a device is ever reached.
            with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as handle:
                info = os.fstat(handle.fileno())
                if not stat.S_ISREG(info.st_mode):
                    return None
                if parse is None:
                    entry = [info.st_size, info.st_mtime_ns, hashlib.file_digest(handle, "sha256").hexdigest()]
                else:
                    data = handle.read()
                    entry = [info.st_size, info.st_mtime_ns, hashlib.sha256(data).hexdigest(), parse(data)]
        except OSError:
            return None
        if time.time_ns() - info.st_mtime_ns > _FRESH_NS:
            self._new[self._key(path)] = entry
        return entry

"""How much memory a process held at most.

Not ``ru_maxrss``: a child begins with what its parent held when it was started. Two figures, because they cost differently. *Anonymous* pages
are what the process itself wrote (weights, maps): nobody else can have them. *Files* are pages of mapped libraries: all processes of a machine
share one copy, and the system takes it back when memory is short. Linux only, but for :func:`most`.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

EVERY = 0.002
"""Seconds between two looks of :class:`Watch`. A map of a network stays longer; a look takes some 40 microseconds, of the process that watches."""


def most(pid: int | None = None) -> float:
    """MB that a process (this one unless given) held at most so far, files included."""
    found = _status(pid).get("VmHWM")
    if found is not None:
        return found
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def most_until_its_end(process: subprocess.Popen[Any], every: float = 0.02) -> float:
    """Waits for ``process``; MB that it held at most, files included. What it took in its last ``every`` seconds may be missing."""
    held = 0.0
    while True:
        try:
            process.wait(timeout=every)
        except subprocess.TimeoutExpired:
            held = max(held, _status(process.pid).get("VmHWM", 0.0))
        else:
            return held


class Watch:
    """Looks at a process again and again while it works for the ``with`` statement; ``anonymous`` and ``files``: MB of each when both together
    were the most."""

    def __init__(self, pid: int) -> None:
        self.anonymous = self.files = 0.0
        self._pid, self._over = pid, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            found = _status(self._pid)
            anonymous, files = found.get("RssAnon", 0.0), found.get("RssFile", 0.0)
            if anonymous + files > self.anonymous + self.files:
                self.anonymous, self.files = anonymous, files
            if self._over.wait(EVERY):
                return


def _status(pid: int | None) -> dict[str, float]:
    """The sizes (MB) in a process's status; none where it is over or there is no ``/proc``."""
    try:
        lines = Path(f"/proc/{pid or 'self'}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return {name: int(size.split()[0]) / 1024 for name, _, size in (line.partition(":") for line in lines) if size.endswith(" kB")}

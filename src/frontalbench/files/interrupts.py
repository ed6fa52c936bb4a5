"""Ctrl-C and SIGTERM as one exception each, held back over the few steps that must not be cut in two."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

_held = 0
_waiting: int | None = None


class Interrupted(BaseException):
    """The process was asked to end by the signal ``number``. Not an Exception, so that nobody takes it for a failed image."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


def install() -> None:
    """From now on the main thread raises :class:`Interrupted` on SIGINT and SIGTERM; the first one counts, later ones are ignored."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _came)


def _came(number: int, frame: object) -> None:
    global _waiting
    if _held:
        _waiting = number
        return
    for other in (signal.SIGINT, signal.SIGTERM):  # not a second time, while files are removed
        signal.signal(other, signal.SIG_IGN)
    raise Interrupted(number)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Within it no :class:`Interrupted` is raised; one that came meanwhile is raised at its end.

    Signals are raised in the main thread alone, so in any other there is nothing to hold back.
    """
    global _held
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _held += 1
    try:
        yield
    finally:
        _held -= 1
        if _waiting is not None and not _held:
            _came(_waiting, None)

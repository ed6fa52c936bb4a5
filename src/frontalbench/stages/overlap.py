"""What the processor does while a GPU draws: decoding images and packing them as PNG, which take longer than a network in half precision."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Final

from frontalbench.runtime.sessions import parse_device

THREADS: Final = 4


@contextmanager
def helpers(device: str) -> Iterator[ThreadPoolExecutor | None]:
    """Threads beside a GPU; None on the CPU, where a job keeps to the threads that it asked for. Raises as ``parse_device`` does."""
    if parse_device(device)[0] == "cpu":
        yield None
        return
    with ThreadPoolExecutor(THREADS, thread_name_prefix="image") as pool:
        yield pool


def finished(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """``rows`` with what helpers still work on in place of their promises, waited for; raises what a helper raised."""
    return [{name: value.result() if isinstance(value, Future) else value for name, value in row.items()} for row in rows]

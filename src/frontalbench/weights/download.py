"""Files over http(s): resumed where the server can, never longer than declared, checked before they are believed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from frontalbench.weights import checksums
from frontalbench.weights.faults import SourceFault
from frontalbench.weights.local import url_name

if TYPE_CHECKING:
    import requests

Progress = Callable[[str, int, int | None], None]
"""``progress(label, done bytes, total bytes or None)``."""

CONNECT_SECONDS = 5.0
"""An offline machine must go on quickly."""
READ_SECONDS = 60.0
ATTEMPTS = 4
"""Tries in a row that bring nothing new; a try that brings bytes starts the count anew."""
MAX_BYTES = 8 << 30
"""Where the size is not declared."""
_BLOCK = 1 << 14
"""What is lost when a connection drops."""
_RETRY_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})


def fetch(
    url: str,
    part: Path,
    size: int | None,
    expected: str | None,
    *,
    progress: Progress | None = None,
    unreachable: set[str] | None = None,
    pause: float = 0.5,
    verify: str | None = None,
) -> None:
    """Load ``url`` into ``part``, whole and checked (``size`` bytes, sha256 ``expected``, each None where unknown).

    What ``part`` already holds is taken for the beginning if ``expected`` is known; when the result is wrong it is thrown away and loaded once more
    from the start. Interrupted, ``part`` keeps what came, for the next time.
    ``unreachable``: hosts that did not answer; they are not tried, and a new one is added. ``pause``: seconds before the first repeat, doubled each
    time. ``verify``: a file of trusted certificates. Raises :class:`SourceFault`.
    """
    host = urlsplit(url).netloc
    if unreachable is not None and host in unreachable:
        raise SourceFault("no connection (as before)")
    part.parent.mkdir(parents=True, exist_ok=True)
    if expected is None:
        part.unlink(missing_ok=True)
    resumed = part.is_file() and part.stat().st_size > 0
    if not (resumed and size is not None and part.stat().st_size == size):
        _load(url, part, size, progress, unreachable, pause, verify)
    if expected is None:
        return
    fault = checksums.fault(part, size, expected)
    if fault is not None and resumed:
        part.unlink(missing_ok=True)
        _load(url, part, size, progress, unreachable, pause, verify)
        fault = checksums.fault(part, size, expected)
    if fault is not None:
        part.unlink(missing_ok=True)
        raise SourceFault(f"the server gave another file: {fault}")


def _load(
    url: str, part: Path, size: int | None, progress: Progress | None, unreachable: set[str] | None, pause: float, verify: str | None
) -> None:
    """Bring ``part`` to its full length, over interruptions."""
    import requests

    failures, wait = 0, pause
    with requests.Session() as session:
        if verify is not None:
            session.verify = verify
        while True:
            before = part.stat().st_size if part.is_file() else 0
            try:
                if _attempt(session, url, part, size, progress):
                    return
                reason = "the connection ended early"
            except requests.exceptions.ConnectTimeout:
                reason = f"no answer within {CONNECT_SECONDS:g} s"
            except requests.exceptions.SSLError:
                raise SourceFault("the server's certificate is not trusted") from None
            except requests.exceptions.ConnectionError as error:
                reason = "the connection ended early" if _bytes_in(part) > before else _connection_reason(error)
            except requests.exceptions.Timeout:
                reason = f"nothing came for {READ_SECONDS:g} s"
            except _TryAgain as again:
                reason = str(again)
            except requests.exceptions.RequestException as error:
                # ChunkedEncodingError: dropped in the middle; the rest (bad address, redirects without end) will not mend by repeating.
                if not isinstance(error, requests.exceptions.ChunkedEncodingError):
                    raise SourceFault(f"{type(error).__name__}") from None
                reason = "the connection ended early"
            if _bytes_in(part) > before:
                failures, wait = 0, pause
            failures += 1
            never_connected = reason.startswith(("no answer", "no connection"))
            if never_connected and unreachable is not None:
                unreachable.add(urlsplit(url).netloc)
            if failures >= ATTEMPTS or never_connected:
                raise SourceFault(reason)
            time.sleep(wait)
            wait *= 2


class _TryAgain(Exception):
    """A fault that may pass."""


def _attempt(session: requests.Session, url: str, part: Path, size: int | None, progress: Progress | None) -> bool:
    """One request that appends to ``part``; whether the file is complete now."""
    offset = _bytes_in(part)
    # Without "identity" a server may compress, and a resumed range would count other bytes.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
    with session.get(url, headers=headers, stream=True, timeout=(CONNECT_SECONDS, READ_SECONDS)) as response:
        if response.status_code in _RETRY_STATUS:
            raise _TryAgain(f"HTTP {response.status_code}")
        if offset and response.status_code == 416:  # nothing behind what is there: complete, or something else altogether
            if _range_total(response) == offset:
                return True
            part.unlink(missing_ok=True)
            raise _TryAgain("HTTP 416")
        if response.status_code not in (200, 206):
            raise SourceFault(f"HTTP {response.status_code}")
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise SourceFault("the server gave a web page instead of the file")
        if not (offset and response.status_code == 206 and _range_start(response) == offset):
            if response.status_code == 206 and _range_start(response) != 0:
                part.unlink(missing_ok=True)
                raise _TryAgain("the server gave another range")
            offset = 0
        limit = MAX_BYTES if size is None else size
        declared = response.headers.get("Content-Length", "")
        length = offset + int(declared) if declared.isdigit() and "Content-Encoding" not in response.headers else None
        if (length is not None and length > limit) or (size is not None and length is not None and length != size):
            raise SourceFault(f"the server's file has {length:,} bytes instead of {limit:,}")
        total = size if size is not None else length
        with part.open("r+b" if offset else "wb") as sink:
            sink.seek(offset)
            sink.truncate()
            done = offset
            for block in response.iter_content(_BLOCK):
                if done + len(block) > limit:
                    sink.truncate(0)
                    raise SourceFault(f"the server's file is longer than {limit:,} bytes")
                sink.write(block)
                done += len(block)
                if progress is not None:
                    progress(url_name(url) or part.name, done, total)
            sink.flush()
            os.fsync(sink.fileno())
    return done >= total if total is not None else True


@contextlib.contextmanager
def request(url: str, *, headers: Mapping[str, str], verify: str | None = None) -> Iterator[requests.Response]:
    """One GET of a small page. Raises :class:`SourceFault`."""
    import requests

    try:
        with requests.get(url, headers=dict(headers), timeout=(CONNECT_SECONDS, READ_SECONDS), verify=verify or True) as response:
            yield response
    except (requests.exceptions.RequestException, ValueError) as error:
        reason = _connection_reason(error) if isinstance(error, requests.exceptions.ConnectionError) else type(error).__name__
        raise SourceFault(f"the package index cannot be read: {reason}") from None


def _bytes_in(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _range_start(response: requests.Response) -> int | None:
    """The first byte's place of a ``Content-Range: bytes 5-9/10``."""
    text = response.headers.get("Content-Range", "").removeprefix("bytes").strip()
    first = text.partition("-")[0]
    return int(first) if first.isdigit() else None


def _range_total(response: requests.Response) -> int | None:
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(total) if total.isdigit() else None


def _connection_reason(error: Exception) -> str:
    """Short words for what requests says at length."""
    text = str(error)
    if "timed out" in text and "connect timeout" not in text:
        return f"nothing came for {READ_SECONDS:g} s"
    if "NameResolution" in text or "getaddrinfo" in text or "Name or service" in text or "Temporary failure" in text:
        return "no connection (the name cannot be resolved)"
    if "refused" in text:
        return "no connection (refused)"
    if "RemoteDisconnected" in text or "reset by peer" in text or "Connection aborted" in text:
        return "the connection ended early"
    return "no connection"

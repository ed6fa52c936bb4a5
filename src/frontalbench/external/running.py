"""Runs an adapter as a process of its own: time limits, what it may see of this machine, and who is to blame when it dies."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from frontalbench.external import job as contract
from frontalbench.external import watch
from frontalbench.external.job import Job
from frontalbench.external.settings import Limits

LOG = "log.txt"
"""What the adapter printed, in the job's folder."""
_PASSED = ("PATH", "LANG", "LANGUAGE", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "CUDA_HOME")
"""Variables that a foreign process is given as they are. All others stay here, keys and tokens among them."""
_PASSED_ALSO = ("NVIDIA_",)
_LOOK_EVERY = 0.2
_PATIENCE = 5.0
"""Seconds between asking a process to end and ending it."""


@dataclass(frozen=True)
class Ended:
    """How one start ended. ``why``: a sentence for the rows that have no line; ``blames``: whether the image at work did it, so that the others
    may be tried again."""

    why: str
    blames: bool


def environment(folder: Path, interpreter: Path, threads: int, here: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of a foreign process: its own HOME and caches inside the job's folder, no package of this process, nothing from the network."""
    given = os.environ if here is None else here
    found = {name: value for name, value in given.items() if name in _PASSED or name.startswith(_PASSED_ALSO)}
    home = folder / "home"
    cache = home / ".cache"
    temporary = folder / "tmp"
    for path in (home, cache, temporary):
        path.mkdir(parents=True, exist_ok=True)
    prefix = interpreter.parent.parent
    found["PATH"] = os.pathsep.join(filter(None, [str(interpreter.parent), found.get("PATH", os.defpath)]))
    if (prefix / "conda-meta").is_dir():
        found["CONDA_PREFIX"] = str(prefix)
    else:
        found["VIRTUAL_ENV"] = str(prefix)
    found |= {"HOME": str(home), "TMPDIR": str(temporary), "XDG_CACHE_HOME": str(cache), "XDG_CONFIG_HOME": str(home / ".config")}
    found |= {"HF_HOME": str(cache / "huggingface"), "TORCH_HOME": str(cache / "torch"), "MPLCONFIGDIR": str(cache / "matplotlib")}
    found |= {"NUMBA_CACHE_DIR": str(cache / "numba"), "TRITON_CACHE_DIR": str(cache / "triton"), "CUDA_CACHE_PATH": str(cache / "cuda")}
    found |= {"TORCH_EXTENSIONS_DIR": str(cache / "torch_extensions"), "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    found |= {"PYTHONNOUSERSITE": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "PYTHONHASHSEED": "0"}
    found |= {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    return found


def run(job: Job, command: Sequence[str], variables: Mapping[str, str], limits: Limits) -> dict[str, str]:
    """Run ``command`` in the job's folder until every image has a line, or nothing more comes of it.

    Returns why, by name, for every image without a line. An image in which the process died or hung costs itself alone: the process is started
    again for those after it, at most ``limits.restarts`` times, as long as each start brings something.
    """
    deadline = time.monotonic() + limits.whole(len(job.images))
    left = job.names
    failed: dict[str, str] = {}
    starts = 0
    while left:
        job.seal(left)
        starts += 1
        ended = _once(job.folder, command, variables, limits, deadline, len(left))
        said, _ = contract.lines(job.folder)
        rest = [name for name in left if name not in said]
        if not rest:
            break
        again = ended.blames and len(rest) > 1 and len(rest) < len(left) and starts <= limits.restarts and time.monotonic() < deadline
        if not again:
            first = ended.why
            failed[rest[0]] = first
            failed |= dict.fromkeys(rest[1:], f"not reached: {first}" if ended.blames else first)
            break
        failed[rest[0]] = ended.why
        left = rest[1:]
    return failed


def _once(folder: Path, command: Sequence[str], variables: Mapping[str, str], limits: Limits, deadline: float, asked: int) -> Ended:
    """One start of the process; ends every process that it leaves behind."""
    seen = contract.count(folder)
    until = seen + asked
    began = progressed = time.monotonic()
    first = True
    with (folder / LOG).open("ab") as log:
        mark = log.tell()
        try:
            process = subprocess.Popen(
                list(command), cwd=folder, env=dict(variables), stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        except OSError as error:
            return Ended(f"could not be started: {error.strerror or error}", blames=False)
        with _watched(process.pid):
            try:
                while True:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        code = process.wait(timeout=_LOOK_EVERY)
                        return _verdict(code, folder, mark)
                    now, lines = time.monotonic(), contract.count(folder)
                    if lines > seen:
                        seen, progressed, first = lines, now, False
                    # What is done after the last image is given the time of an image, and nobody is blamed for it.
                    allowed = limits.image + (limits.start if first else 0.0)
                    if now - progressed > allowed:
                        _end(process)
                        if seen >= until:
                            return Ended("", blames=False)
                        took = f"took more than {allowed:g} seconds" + (" with the start" if first else "")
                        return Ended(took, blames=True)
                    if now > deadline:
                        _end(process)
                        return Ended(f"the whole batch took more than its time ({now - began:.0f} seconds in this start)", blames=False)
            finally:
                _end(process)


@contextlib.contextmanager
def _watched(group: int) -> Iterator[None]:
    """While the block lasts, a process beside this one sees to it that the group ends should this process be killed (:mod:`.watch`)."""
    command = [sys.executable, "-I", "-S", watch.__file__, str(group)]
    null = subprocess.DEVNULL
    try:
        watcher = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True)
    except OSError:  # no room for another process: then only an orderly end of ours ends the foreign one
        yield
        return
    try:
        yield
    finally:
        watcher.communicate(b"done")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all that it started (they share its group)."""
    for number, patience in ((signal.SIGTERM, _PATIENCE), (signal.SIGKILL, _PATIENCE)):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        if process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=patience)


def _verdict(code: int, folder: Path, mark: int) -> Ended:
    if code == 0:
        return Ended("the adapter ended without a line for this image", blames=False)
    last = _last_line(folder / LOG, mark)
    said = f": {last}" if last else ""
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        hint = " (usually for want of memory)" if -code == signal.SIGKILL else ""
        return Ended(f"the adapter was ended by {name}{hint}{said}", blames=True)
    return Ended(f"the adapter ended with {code}{said}", blames=True)


def _last_line(log: Path, mark: int) -> str:
    with log.open("rb") as handle:
        handle.seek(0, os.SEEK_END)
        handle.seek(max(mark, handle.tell() - 4096))
        text = handle.read().decode("utf-8", "replace")
    said = [line.strip() for line in text.splitlines() if line.strip()]
    return "".join(character if character.isprintable() else " " for character in said[-1])[:200] if said else ""

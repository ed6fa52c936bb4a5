"""Files appear whole or not at all.

An unfinished file lies beside its target under a name that starts with a dot and ends in ``.part`` (ignored by git, read by nobody). Its maker holds
a lock on it, which the kernel lets go when the maker dies: so a leftover of a killed process is told from the work of a living one. Whoever writes
the same target next takes a leftover's place.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from frontalbench.files import interrupts

_UNLOCKED = ".new"


@contextlib.contextmanager
def replacing(target: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``target``; on success it is flushed to disk and renamed onto ``target``, on any exception it is removed.

    Raises OSError as the file system does (a full disk leaves the old target untouched).
    """
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as undo:
        with interrupts.held():  # from when there is a file until somebody sees to its removal
            temporary, descriptor = _usual(path) or _another(path)
            undo.callback(os.close, descriptor)
            undo.callback(temporary.unlink, missing_ok=True)
        yield temporary
        with temporary.open("rb+") as handle:
            os.fsync(handle.fileno())
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with interrupts.held():  # the name is free from here on: what has it now is another's
            temporary.replace(path)
            undo.pop_all()
            os.close(descriptor)


def _usual(path: Path) -> tuple[Path, int] | None:
    """An empty locked file beside ``path`` under the usual name, and its descriptor; None where a living process holds that."""
    usual = path.with_name(f"{_prefix(path)}0.part")
    descriptor = os.open(usual, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if usual.stat().st_ino == os.fstat(descriptor).st_ino:  # else its maker has just given it its final name
            os.ftruncate(descriptor, 0)
            return usual, descriptor
    except (BlockingIOError, FileNotFoundError):  # held by another, or just renamed
        pass
    except OSError:  # no locks on this file system: nobody uses this name
        usual.unlink(missing_ok=True)
    os.close(descriptor)
    return None


def _another(path: Path) -> tuple[Path, int]:
    descriptor, name = tempfile.mkstemp(prefix=_prefix(path), suffix=_UNLOCKED, dir=path.parent)
    return locked(descriptor, Path(name)), descriptor


def locked(descriptor: int, made: Path) -> Path:
    """Lock the open file or folder ``made`` (its name ends in ``.new``) and give it its name in ``.part``: what has that name was locked before."""
    with contextlib.suppress(OSError):  # some network file systems know no locks; then nobody takes it for a leftover either
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    return made.rename(made.with_suffix(".part"))


def remove_leftovers(path: Path) -> list[Path]:
    """Remove what killed processes left of ``path`` (a file or folder that was to appear); looks through its folder. Returns what it removed."""
    return [left for left in path.parent.glob(f"{glob.escape(_prefix(path))}*.part") if _is_left(left) and remove(left)]


def leftovers(folder: Path) -> list[Path]:
    """Unfinished files and folders anywhere in ``folder`` that no living process works on."""
    return sorted(left for left in folder.rglob(".*.part") if _is_left(left))


def _prefix(path: Path) -> str:
    start = os.fsencode(path.name[:80])[:200].decode("utf-8", "ignore")  # with its ending no longer than a name may be
    return f".{start}."


def _is_left(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except OSError:  # gone in the meantime, or not ours to open
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True


def remove(path: Path) -> bool:
    """Remove a file or a folder with all it holds; always True."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    return True


def write_bytes(target: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``target`` atomically."""
    with replacing(target) as temporary:
        temporary.write_bytes(data)


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` as UTF-8 to ``target`` atomically."""
    write_bytes(target, text.encode("utf-8"))

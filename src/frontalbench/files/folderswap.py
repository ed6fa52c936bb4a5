"""A folder appears whole or not at all, like the files of :mod:`.atomic`."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from frontalbench.errors import BadInput
from frontalbench.files import atomic, interrupts

_WORKFLOW_MARK = ".snakemake_timestamp"
"""Snakemake puts it into every folder that is a rule's output."""


@contextlib.contextmanager
def replacing(target: Path, listing: str, listed: Callable[[Path], set[str]]) -> Iterator[Path]:
    """Give an empty folder beside ``target``; on success it takes the place of ``target``, on any exception it is removed.

    ``listing`` is the file, written by the caller, that names every other file; ``listed`` reads it (relative names with slashes). An old ``target``
    is replaced only when it is empty or everything in it is listed: files of somebody else are never removed. Raises :class:`BadInput` otherwise.
    """
    _check(target, listing, listed)
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic.remove_leftovers(target)
    with contextlib.ExitStack() as undo:
        with interrupts.held():  # from when there is a folder until somebody sees to its removal
            made = Path(tempfile.mkdtemp(prefix=f".{target.name[:80]}.", suffix=".new", dir=target.parent))
            descriptor = os.open(made, os.O_RDONLY)
            undo.callback(os.close, descriptor)
            fresh = atomic.locked(descriptor, made)
            undo.callback(_remove, fresh)
        fresh.chmod(0o755)
        yield fresh
        with interrupts.held():  # the old one goes and the new one comes
            if target.exists():
                old = fresh.with_name(f"{fresh.stem}-old.part")  # killed from here on, it is a leftover
                target.rename(old)
                fresh.rename(target)
                shutil.rmtree(old)
            else:
                fresh.rename(target)


def _remove(folder: Path) -> None:
    with interrupts.held():
        shutil.rmtree(folder, ignore_errors=True)


def _check(target: Path, listing: str, listed: Callable[[Path], set[str]]) -> None:
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise BadInput(f"{target}: not a folder; give another name")
    found = (
        {path.relative_to(target).as_posix() for path in target.rglob("*") if not path.is_dir() or path.is_symlink()}
        if target.is_dir()
        else set()
    )
    if not found:
        return
    if listing not in found:
        raise BadInput(f"{target}: holds files that were not written here (there is no {listing}); give an empty or a new folder")
    strange = sorted(found - listed(target / listing) - {listing, _WORKFLOW_MARK})
    if strange:
        raise BadInput(f"{target}: holds '{strange[0]}', which {listing} does not know; move it away or give a new folder")

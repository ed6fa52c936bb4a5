"""The workflow's own files (Snakefile, rules, scripts, cards, demo): where they came with the package, and a working folder made of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import frontalbench
from frontalbench.catalogue import cards
from frontalbench.errors import BadInput
from frontalbench.files import atomic
from frontalbench.weights import checksums

LAID_OUT = (
    "Snakefile",
    "adapters",
    "constraints.txt",
    "config",
    "demo",
    "docs",
    "envs",
    "profiles",
    "reports/captions",
    "reports/workflow.rst",
    "rules",
    "workflow/scripts",
)
"""What a working folder is made of; a wheel carries the same (hatch_build.py)."""
RECORD = ".frontalbench.json"
"""In a working folder: the version that laid it out, and sha256 of every file as it was laid out."""
_NOT_OURS = ("__pycache__", ".snakemake", ".cache")


def shipped() -> Path:
    """The folder with the workflow's own files: inside the installed package, or the checkout that this package is imported from.

    Raises :class:`BadInput` when neither is there.
    """
    for folder in (cards.SHIPPED, Path(frontalbench.__file__).resolve().parents[2]):
        if (folder / "Snakefile").is_file() and (folder / "config" / "models").is_dir():
            return folder
    raise BadInput(f"{cards.SHIPPED}: the workflow's files did not come with this package; install the wheel again, or work in a checkout")


def scripts() -> Path:
    """The folder of the workflow's scripts."""
    return shipped() / "workflow" / "scripts"


def files(root: Path) -> Iterator[str]:
    """Relative paths of all files under ``root`` that a working folder is made of, sorted."""
    found = []
    for name in LAID_OUT:
        top = root / name
        found += [top] if top.is_file() else [path for path in top.rglob("*") if path.is_file() and not set(path.parts) & set(_NOT_OURS)]
    yield from sorted(path.relative_to(root).as_posix() for path in found if not path.name.startswith("."))


@dataclass
class Laid:
    """What :func:`lay_out` did, as relative paths. ``kept``: changed by hand since they were laid out, so the new version was not put over them."""

    new: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def lay_out(target: Path, *, update: bool = False) -> Laid:
    """Make ``target`` a working folder: copies of the workflow's files, and a record of them.

    Without ``update`` nothing that is there is touched: raises :class:`BadInput` when one of the files is there already. With it, a folder that was
    laid out before gets this version's files, except where somebody changed one.
    """
    source = shipped()
    if target.exists() and not target.is_dir():
        raise BadInput(f"{target}: not a folder; give a new or empty one")
    if target.is_dir() and target.resolve() == source.resolve():
        raise BadInput(f"{target}: this is the workflow itself; run snakemake here as it is, or give another folder")
    names = list(files(source))
    before = record(target)
    if not update:
        there = [name for name in names if (target / name).exists()]
        if there:
            hint = f"frontalbench init --update {target}" if before else "give a new or empty folder"
            raise BadInput(f"{target}: {there[0]} is there already ({len(there)} of {len(names)} files); {hint}")
    elif not before:
        raise BadInput(f"{target}: no {RECORD}, so not laid out by frontalbench init; leave out --update")
    laid = Laid()
    sums: dict[str, str] = before.get("files", {})
    for name in names:
        origin, copy = source / name, target / name
        digest = checksums.sha256(origin)
        found = checksums.sha256(copy) if copy.is_file() else None
        if found is not None and found != digest:
            if sums.get(name) != found:
                if sums.get(name) != digest:
                    laid.kept.append(name)
                continue
            laid.replaced.append(name)
        elif found is None:
            if name in sums and update and sums[name] == digest:
                laid.kept.append(name)  # taken out by hand, and nothing new about it
                continue
            laid.new.append(name)
        if found != digest:
            _copy(origin, copy)
        sums[name] = digest
    for name in sorted(set(sums) - set(names)):
        copy = target / name
        if copy.is_file() and checksums.sha256(copy) == sums[name]:
            copy.unlink()
            laid.removed.append(name)
        elif copy.is_file():
            laid.kept.append(name)
            continue
        del sums[name]
    text = json.dumps({"version": frontalbench.__version__, "files": dict(sorted(sums.items()))}, indent=1)
    atomic.write_text(target / RECORD, text + "\n")
    return laid


def record(folder: Path) -> dict[str, Any]:
    """The record of a working folder; empty where there is none. Raises :class:`BadInput` for one that cannot be read."""
    path = folder / RECORD
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        names = [PurePosixPath(name) for name in content["files"]]
        sums = content["files"].values()
        if not all(isinstance(text, str) for text in (content["version"], *sums)) or any(p.is_absolute() or ".." in p.parts for p in names):
            raise ValueError("not names and sums")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{path}: not a record of frontalbench init ({type(error).__name__}); remove it and lay out a new folder") from None
    return dict(content)


def _copy(origin: Path, copy: Path) -> None:
    with atomic.replacing(copy) as part:
        shutil.copyfile(origin, part)
    if origin.stat().st_mode & 0o100:
        copy.chmod(copy.stat().st_mode | 0o111)

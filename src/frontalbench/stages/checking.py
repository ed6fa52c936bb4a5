"""A look at a whole dataset before anything runs: counts, problems, and images that are there twice. Writes nothing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frontalbench import status
from frontalbench.datasets import counting, layouts, listing, near
from frontalbench.datasets.card import DatasetCard
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import Member, plural
from frontalbench.errors import Unreadable
from frontalbench.stages.prepare import MAX_BYTES, Report, report_of
from frontalbench.types import Float32

MOST_NAMED = 20
"""Broken files that are named one by one."""
_BROKEN = {"": "cannot be read", hashlib.sha256(b"").hexdigest(): "empty file"}
"""Hashes (as :func:`listing.with_content` gives them) of what is no image for sure."""


@dataclass(frozen=True)
class Twice:
    """Two near-identical images that carry different people's names: one of the two labels is wrong, or an image is used twice."""

    first: str
    second: str
    correlation: float


@dataclass(frozen=True)
class Pixels:
    """What comparing images by their pixels gave. ``across``: pairs with two people's names and different bytes, the first
    :data:`near.MOST_PAIRS`; ``apart``: how many there are; ``within``: how many pairs with one person's name; ``frames``: how many of one sequence,
    which are none of these; ``compared``: how many images were compared."""

    across: tuple[Twice, ...] = ()
    apart: int = 0
    within: int = 0
    frames: int = 0
    compared: int = 0


@dataclass(frozen=True)
class Check:
    """``report``: what preparing would list, problems included; ``pixels``: None when images were not decoded."""

    report: Report
    pixels: Pixels | None = None


def check(
    card: DatasetCard,
    root: str | os.PathLike[str] | None = None,
    *,
    cache: FileCache | None = None,
    pixels: bool = True,
    progress: Callable[[Sequence[Member]], Iterable[Member]] = iter,
) -> Check:
    """Counts and problems of a whole dataset without writing anything.

    Reads every file in use once, to find duplicates by their bytes (from the cache where it can), and with ``pixels`` decodes every image, to
    find those that are near-identical; ``progress`` is given them and gives them back one by one. Raises as :func:`listing.scan`.
    """
    memory = cache if cache is not None else listing.default_cache(card, root)
    found = listing.scan(card, root, cache=memory)
    content = listing.with_content(found.members, memory)
    memory.save()
    broken = {row["image_id"]: _BROKEN[row["sha256"]] for row in content if row["sha256"] in _BROKEN}
    hints = {member.image_id: member.detail for member in found.members}
    found.problems += _named(
        {name: f"{why}; {hints[name]}" if hints[name] else why for name, why in broken.items()}, "empty or cannot be read"
    )
    whole = [row for row in content if row["image_id"] not in broken]
    duplicates = tuple(counting.duplicates_of_rows(whole))
    seen = None
    if pixels and len(whole) > near.MOST:
        found.problems.append(f"{plural(len(whole), 'image')}: more than {near.MOST:,}, so not compared by their pixels")
    elif pixels:
        used = [member for member in found.members if member.status == status.OK and member.image_id not in broken]
        seen, undecodable = _compare(used, {row["image_id"]: row["sha256"] for row in whole}, progress, layouts.frames_of(card.layout))
        found.problems += _named(undecodable, "cut off or cannot be decoded")
        broken |= undecodable
    outcomes = [
        (status.UNREADABLE, broken[member.image_id]) if member.image_id in broken else (member.status, member.detail)
        for member in found.members
    ]
    return Check(report_of(card, "", found, outcomes, duplicates), seen)


def _named(reasons: dict[str, str], what: str) -> list[str]:
    lines = [f"{image_id}: {why}" for image_id, why in sorted(reasons.items())]
    rest = len(lines) - MOST_NAMED
    return lines[:MOST_NAMED] + ([f"{rest:,} more files are {what}"] if rest > 0 else [])


def _compare(
    used: Sequence[Member],
    content: dict[str, str],
    progress: Callable[[Sequence[Member]], Iterable[Member]],
    frames: layouts.Frames | None,
) -> tuple[Pixels, dict[str, str]]:
    """Near-identical images, and why others cannot be decoded."""
    kept: list[Member] = []
    signatures: list[Float32] = []
    undecodable: dict[str, str] = {}
    for member, read in zip(progress(used), _signatures(used, frames), strict=True):
        if isinstance(read, str):
            undecodable[member.image_id] = read
        else:
            kept.append(member)
            signatures.append(read)
    people = [member.subject or member.identity for member in kept]
    found = near.pairs(np.stack(signatures), people, [member.sequence for member in kept]) if signatures else near.Found((), 0, 0)
    names = [member.image_id for member in kept]
    across = tuple(
        Twice(names[pair.first], names[pair.second], pair.correlation)
        for pair in found.across
        if content[names[pair.first]] != content[names[pair.second]]
    )
    return Pixels(across, found.apart - len(found.across) + len(across), found.within, found.frames, len(kept)), undecodable


def _signatures(used: Sequence[Member], frames: layouts.Frames | None) -> Iterator[Float32 | str]:
    if frames is not None:  # a clip is read in order
        for member in used:
            yield _signature_of(member) if member.frame < 0 else _signature_of_frame(member, frames)
        frames.close()
        return
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:  # decoding lets go of the interpreter
        for start in range(0, len(used), 256):
            yield from pool.map(_signature_of, used[start : start + 256])


def _signature_of_frame(member: Member, frames: layouts.Frames) -> Float32 | str:
    try:
        return near.signature_or_reason(frames.image(member.path, member.frame))
    except Unreadable as error:
        return str(error)


def _signature_of(member: Member) -> Float32 | str:
    path = Path(member.path)
    try:
        if not path.is_file():
            return "not a regular file"
        if path.stat().st_size > MAX_BYTES:
            return f"more than {MAX_BYTES:,} bytes"
        return near.signature_or_reason(path.read_bytes())
    except OSError as error:
        return f"cannot be read: {error.strerror or type(error).__name__}"

"""What a dataset layout lists: one :class:`Member` per image file, and everything that was left out or looks wrong.

Listing decodes nothing and opens no picture. File names are data: they become text columns (``image_id``, ``source``) and are never joined
to a path that is written.
"""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from frontalbench import status
from frontalbench.images import EXTENSIONS

REFERENCE, PROBE, AUTO, UNUSED = "reference", "probe", "auto", "unused"
ROLES = (REFERENCE, PROBE, AUTO, UNUSED)

GROUND_TRUTH, NOMINAL = "ground_truth", "nominal"


class Member(NamedTuple):
    """One image file of a dataset (a named tuple: 15,000 of them are made before the first job starts).

    ``path`` is where the file is (as the operating system wants it), ``source`` the same relative to the dataset's root, for people.
    Angles are degrees in the project's convention, None where unknown. ``aux`` are the pose files behind them. ``status`` is ``ok`` or, for
    images that the card leaves out, ``not_used`` with the rule in ``detail``.
    """

    image_id: str
    identity: str
    path: str
    source: str
    role: str = AUTO
    subject: str = ""
    sequence: str = ""
    yaw: float | None = None
    pitch: float | None = None
    roll: float | None = None
    pose_source: str = ""
    status: str = status.OK
    detail: str = ""
    aux: tuple[str, ...] = ()
    shard: str = ""

    def left_out(self, why: str) -> Member:
        """The same image, not used because of ``why``."""
        return self._replace(role=UNUSED, status=status.NOT_USED, detail=why)


@dataclass
class Listing:
    """What a scan found. ``problems``: one line each, with the file's name; ``ignored``: files that are no pictures; ``refused``: entries
    of an index that were refused; ``identities``: every identity of the dataset, also those of other shards."""

    members: list[Member] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    ignored: int = 0
    refused: int = 0
    identities: set[str] = field(default_factory=set)


@dataclass
class Folder:
    """One level of a folder: subfolders and pictures by name, how many other files there are, and those names."""

    path: str
    folders: list[str] = field(default_factory=list)
    pictures: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


def look(path: str) -> Folder:
    """Names in one folder, sorted; hidden ones are passed over. Links are followed; one that leads nowhere counts as the file that its name
    says.

    Never descends, so a loop of links cannot catch it. A folder that is not there or may not be read is empty.
    """
    found = Folder(path)
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                if name[0] == "." or name == "__MACOSX":
                    continue
                if _is_folder(entry):
                    found.folders.append(name)
                    continue
                _, dot, end = name.rpartition(".")  # a Path per file would cost more than the scan
                (found.pictures if dot + end.lower() in EXTENSIONS else found.others).append(name)
    except OSError:
        return found
    found.folders.sort()
    found.pictures.sort()
    return found


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def text_of(name: str) -> str:
    """A file name as text for a column: NFC, and bytes that are no UTF-8 written as ``\\xNN``."""
    if name.isascii():
        return name
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "backslashreplace"))


def unique_ids(members: Iterable[Member]) -> Iterator[Member]:
    """Members whose ``image_id`` differ: where two file names become the same text, all but the plainly written one get a hash of their
    bytes.

    The addition depends on that file alone, so that adding a file never renames another.
    """
    members = list(members)
    seen = Counter(member.image_id for member in members)
    for member in members:
        if seen[member.image_id] > 1 and not member.path.endswith(member.image_id):
            written = Path(*Path(member.path).parts[-1 - member.image_id.count("/") :])
            digest = hashlib.sha256(os.fsencode(written)).hexdigest()[:8]
            yield member._replace(image_id=f"{member.image_id}#{digest}")
        else:
            yield member


def find_base(root: str, nested: Iterable[str], fits: Callable[[str], bool]) -> str | None:
    """The first of ``root/<nested>`` (in order), then ``root`` itself, that satisfies ``fits(path)``; None when none does."""
    for name in (*nested, ""):
        path = os.path.join(root, *name.split("/")) if name else root  # noqa: PTH118
        if os.path.isdir(path) and fits(path):  # noqa: PTH112
            return path
    return None


def relative(path: str, root: str) -> str:
    """``path`` below ``root`` as text with forward slashes."""
    return text_of(path[len(root.rstrip(os.sep)) + 1 :]).replace(os.sep, "/")


def some(names: Iterable[str], number: int = 3) -> str:
    """The first few names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - number} more" if len(listed) > number else ""
    return ", ".join(listed[:number]) + more

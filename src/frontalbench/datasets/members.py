"""What a dataset layout lists: one :class:`Member` per image file, and everything that was left out or looks wrong.

Listing decodes nothing and opens no image. File names are data: they become text columns (``image_id``, ``source``) and are never joined
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
from frontalbench.errors import BadInput
from frontalbench.images import EXTENSIONS

REFERENCE, PROBE, AUTO, UNUSED = "reference", "probe", "auto", "unused"
ROLES = (REFERENCE, PROBE, AUTO, UNUSED)

GROUND_TRUTH, NOMINAL = "ground_truth", "nominal"


class Member(NamedTuple):
    """One image file of a dataset (a named tuple: 15,000 of them are made before the first job starts).

    ``path`` is where the file is (as the operating system wants it), ``source`` the same relative to the dataset's root, for people.
    Angles are degrees in the project's convention, None where unknown. ``aux`` are the pose files behind them. ``status`` is ``ok`` or, for
    images that the card leaves out, ``not_used`` with the rule in ``detail``. ``frame``: which frame of the clip ``path``; -1: a file of its own.
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
    frame: int = -1

    def left_out(self, why: str) -> Member:
        """The same image, not used because of ``why``."""
        return self._replace(role=UNUSED, status=status.NOT_USED, detail=why)


@dataclass
class Listing:
    """What a scan found.

    ``problems``: one line each, with the file's name; ``others``: files that are no images by their names, relative to the root;
    ``refused``: images and entries of an index that became no member; ``identities``: every identity of the dataset, also those of other
    shards; ``looked``: the folders in which the dataset was looked for; ``base``: the one it was found in.
    """

    members: list[Member] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    refused: int = 0
    identities: set[str] = field(default_factory=set)
    looked: list[str] = field(default_factory=list)
    base: str | None = None
    companions: tuple[str, ...] = ()
    """Folders (in small letters) that copies of the dataset have beside it and nothing here needs."""
    places: list[tuple[str, int, str]] = field(default_factory=list)
    """(place, number of images, why they are left out): a line of ``problems`` each once the scan is over, see :meth:`close`."""

    @property
    def ignored(self) -> int:
        """How many files are no images by their names."""
        return len(self.others)

    def ignore(self, folder: Folder, root: str, known: tuple[str, ...] = ()) -> None:
        """Count the files of one folder that are no images; names that end in one of ``known`` belong to the dataset."""
        self.others += [
            relative(f"{folder.path}{os.sep}{name}", root) for name in folder.others if not (known and name.lower().endswith(known))
        ]

    def leave_out(self, place: str, images: int, why: str) -> None:
        """Count images that lie where this layout has none; ``place`` is relative to the root. Nothing is said of places without any."""
        if images:
            self.refused += images
            self.places.append((place, images, why))

    def leave_out_tree(self, path: str, root: str, why: str) -> int:
        """The same for a whole folder, however deep; returns the number of images."""
        number = 0
        for folder in tree(path, root):
            number += len(folder.images)
            self.ignore(folder, root)
        self.leave_out(relative(path, root), number, why)
        return number

    def close(self) -> None:
        """Turn the places into problems: one line for each of the first :data:`MOST_PLACES`, and one for the rest."""
        first, rest = self.places[:MOST_PLACES], self.places[MOST_PLACES:]
        self.problems += [f"{place}: {plural(number, 'image')} left out: {why}" for place, number, why in first]
        if rest:
            images = plural(sum(number for _, number, _ in rest), "image")
            self.problems.append(f"{plural(len(rest), 'more such place')} with {images}, the next one {rest[0][0]}")
        self.places = []


MOST_PLACES = 20


@dataclass
class Folder:
    """One level of a folder: subfolders and images by name, how many other files there are, and those names."""

    path: str
    folders: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
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
                (found.images if dot + end.lower() in EXTENSIONS else found.others).append(name)
    except OSError:
        return found
    found.folders.sort()
    found.images.sort()
    return found


def tree(path: str, root: str) -> Iterator[Folder]:
    """``path`` and every folder below it, in order of their names.

    Links are followed, but no folder is given twice and none that holds ``path`` (from ``root`` on), so loops end. At most
    :data:`MOST_FOLDERS`.
    """
    seen: set[tuple[int, int]] = set()
    above = path
    while len(above) > len(root.rstrip(os.sep)):
        above = os.path.dirname(above)  # noqa: PTH120
        seen.add(_inode(above))
    waiting = [path]
    while waiting and len(seen) < MOST_FOLDERS:
        place = waiting.pop()
        inode = _inode(place)
        if inode in seen:
            continue
        seen.add(inode)
        folder = look(place)
        yield folder
        waiting += [f"{place}{os.sep}{name}" for name in reversed(folder.folders)]


MOST_FOLDERS = 50_000


def _inode(path: str) -> tuple[int, int]:
    try:
        info = os.stat(path)  # noqa: PTH116
    except OSError:
        return (-1, -1)
    return info.st_dev, info.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def loose_are_probes(listing: Listing) -> None:
    """Make probes of the images without a role whose person has a reference already, with a line for each person.

    What lies beside ``GT`` (or has the role ``auto`` in a table that gives the person a reference) must not become a second reference.
    """
    given = {member.identity for member in listing.members if member.role == REFERENCE}
    turned: dict[str, list[str]] = {}
    for place, member in enumerate(listing.members):
        if member.role == AUTO and member.identity in given:
            listing.members[place] = member._replace(role=PROBE)
            turned.setdefault(member.identity, []).append(member.image_id)
    lines = [
        f"{identity}: {plural(len(names), 'image')} without a role (not in GT or Angle) beside a given reference, taken as "
        f"{'a probe' if len(names) == 1 else 'probes'}: {some(names)}"
        for identity, names in turned.items()
    ]
    listing.problems += lines[:MOST_PLACES]
    if len(lines) > MOST_PLACES:
        listing.problems.append(f"{len(lines) - MOST_PLACES:,} more people with such images, taken as probes")


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


def find_base(
    listing: Listing, root: str, nested: Iterable[str], fits: Callable[[str], bool], sure: Callable[[str], bool] | None = None
) -> str | None:
    """The folder that holds the dataset; None when none does. Notes in ``listing`` where it looked and what it found.

    The first of ``root/<nested>`` (in order), then ``root`` itself, that satisfies ``fits(path)``; else the one folder nearest below ``root``,
    at most :data:`DEEPEST` levels down, that satisfies ``sure(path)`` (default: ``fits``). Raises :class:`BadInput` when several do.
    """
    for name in (*nested, ""):
        path = os.path.join(root, *name.split("/")) if name else root  # noqa: PTH118
        listing.looked.append(name or ".")
        if os.path.isdir(path) and fits(path):  # noqa: PTH112
            listing.base = path
            return path
    level = [root]
    tried = 0
    for _ in range(DEEPEST):
        level = [f"{path}{os.sep}{name}" for path in level for name in look(path).folders][: MOST_TRIED - tried]
        tried += len(level)
        found = [path for path in level if (sure or fits)(path)]
        if len(found) > 1:
            names = [relative(path, root) for path in found]
            raise BadInput(
                f"{root}: {len(names)} folders could be this dataset ({some(names)}); name one as root, or in options: {{folders: [{names[0]}]}}"
            )
        if found:
            listing.base = found[0]
            return found[0]
    listing.looked.append(f"every folder {DEEPEST} levels down")
    return None


DEEPEST = 3
MOST_TRIED = 2_000


def beside_base(listing: Listing, root: str) -> None:
    """Count images that lie in ``root`` but neither in the folder the dataset was found in nor in one of its companions."""
    base = listing.base
    while base is not None and len(base) > len(root.rstrip(os.sep)):
        base, own = os.path.split(base)
        folder = look(base)
        why = f"they lie beside the dataset, which is {relative(listing.base or '', root)}"
        listing.leave_out(relative(base, root) or ".", len(folder.images), why)
        for name in folder.folders:
            if name != own and name.lower() not in listing.companions:
                path = f"{base}{os.sep}{name}"
                listing.leave_out(relative(path, root), sum(len(inner.images) for inner in tree(path, root)), why)


def relative(path: str, root: str) -> str:
    """``path`` below ``root`` as text with forward slashes."""
    return text_of(path[len(root.rstrip(os.sep)) + 1 :]).replace(os.sep, "/")


def plural(number: int, what: str, many: str | None = None) -> str:
    """``1 image``, ``2,000 images``."""
    return f"{number:,} {what if number == 1 else many or what + 's'}"


def by_ending(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by their ending in small letters (``.txt``; ``no ending``), the most frequent ending first."""
    found: dict[str, list[str]] = {}
    for name in names:
        ending = os.path.splitext(name)[1].lower() or "no ending"  # noqa: PTH122
        found.setdefault(ending, []).append(name)
    return dict(sorted(found.items(), key=lambda item: (-len(item[1]), item[0])))


def some(names: Iterable[str], number: int = 3) -> str:
    """The first few names, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - number} more" if len(listed) > number else ""
    return ", ".join(listed[:number]) + more

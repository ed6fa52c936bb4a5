"""A delivery: a folder of results that another system made, and which photograph each file is the result of.

Files are joined to photographs by their names alone, before any is opened. A photograph's name is its path below the dataset's folder (``source`` in
the images tables) or its ``image_id``. A file is taken for a photograph when, in this order,

1. a mapping says so (a CSV file with the columns ``file`` and ``photo`` or ``image_id``; then it alone decides), or
2. its path is the photograph's name, or that name with an ending added (``ann/Angle/1.jpg.png``), or
3. its path without the ending is the photograph's name without its ending, and no other photograph is called so.

Folders that all photographs lie in may be left out.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from frontalbench.catalogue import cards, validation
from frontalbench.catalogue.cards import ModelCard
from frontalbench.compare.derived import turned_id
from frontalbench.datasets.members import relative, some, tree
from frontalbench.errors import BadConfig, BadInput
from frontalbench.files import sheet
from frontalbench.images import EXTENSIONS

FAMILY = "made_elsewhere"
KEY = "delivered"
"""The key of a card of this family that says where the folder is and who made it."""
MAPPING = "mapping.csv"
MAPPINGS = (MAPPING, "mapping.tsv", "index.csv", "index.tsv")
"""What a mapping may be called, capitals aside; the first that is there counts."""
_SHEETS = ("mapping.xlsx", "mapping.xls", "mapping.ods")
"""Names under which a mapping is found in the folder."""
FRONTALS = "FRONTALS"
RESULTS = "results"
"""The folder of a handed-out set in which the results are to lie."""


class Photo(NamedTuple):
    """A photograph by its two names."""

    image_id: str
    source: str


@dataclass(frozen=True)
class Joined:
    """``files``: ``image_id`` -> path of its result; ``absent``: ``image_id`` -> a sentence, for a file that the mapping names and that is not there;
    ``unmatched``: image files that are nobody's result, and lines of the mapping that name no photograph; ``others``: files that are no images by
    their names. All names but ``files`` are relative to the folder, for people."""

    files: Mapping[str, str]
    absent: Mapping[str, str] = field(default_factory=dict)
    unmatched: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


_EXPECTED = frozenset({*MAPPINGS, "rows.csv", "README.txt"})
"""Files beside images that are none and need no word."""


def folder_of(card: ModelCard) -> Path:
    """The folder that a card names; a relative one starts at the project's folder. Raises :class:`BadConfig` for a card of another family."""
    if card.family != FAMILY:
        raise BadConfig(f"{card.path}: family '{card.family}' names no folder of results; expected a card of family {FAMILY}")
    path = Path(card.data[KEY]["folder"]).expanduser()
    return path if path.is_absolute() else card.root.parent.parent / path


def turned_by(card: ModelCard) -> ModelCard | None:
    """The second card that brings references turned to the probes' yaw: the one of this family that ``card`` names in ``uses``, or None."""
    found = [used for used in card.used_cards() if used.family == FAMILY]
    if len(found) > 1:
        raise BadConfig(f"{card.path}: uses: {found[0].name} and {found[1].name} both bring turned references; name one of them")
    return found[0] if found else None


def turned_photo(photo: Photo, yaw: int) -> Photo:
    """A reference turned to ``yaw`` degrees as a photograph of its own: ``ann/GT/1.jpg`` is ``ann/GT/1@+30.jpg``."""
    path = PurePosixPath(photo.source)
    stem = photo.source.removesuffix(path.suffix)
    return Photo(turned_id(photo.image_id, yaw), f"{turned_id(stem, yaw)}{path.suffix}")


def base_of(folder: Path, dataset: str, others: Iterable[str] = ()) -> Path | None:
    """Where in ``folder`` the results of ``dataset`` lie: ``FRONTALS/<dataset>``, ``<dataset>``, ``results``, or the folder itself.

    None where it is laid out by datasets (``others``: the names of all datasets) and has nothing of this one. Raises :class:`BadInput` when there is
    no such folder.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder}: the folder of results is not there; put it there, or name another in the card ('delivered: folder:')")
    for below in (f"{FRONTALS}/{dataset}", dataset, RESULTS):
        if (folder / below).is_dir():
            return folder / below
    if (folder / FRONTALS).is_dir() or any((folder / other).is_dir() for other in others):
        return None
    return folder


def join(card: ModelCard, dataset: str, photos: Sequence[Photo], others: Iterable[str] = ()) -> Joined:
    """The results of one dataset in the folder of a card; opens no image.

    ``photos``: all photographs of the dataset, of every shard. Raises :class:`BadInput`, a line with both files, where two claim one photograph,
    where a file could be of several photographs, and for a mapping that cannot be read or leads out of the folder.
    """
    folder = folder_of(card)
    base = base_of(folder, dataset, others)
    if base is None:
        return Joined({})
    return join_folder(folder, base, photos, card.data[KEY].get("mapping"))


def join_folder(folder: Path, base: Path, photos: Sequence[Photo], mapping: str | None = None) -> Joined:
    """:func:`join` of a folder without a card; ``base`` as :func:`base_of` gives it, ``mapping``: the mapping's name below ``folder``."""
    top = str(base)
    images: dict[str, str] = {}
    rest: list[str] = []
    for place in tree(top, top):
        for name in place.images:
            path = f"{place.path}{os.sep}{name}"
            images[relative(path, top)] = path
        rest += [relative(f"{place.path}{os.sep}{name}", top) for name in place.others if name not in _EXPECTED]
    names = _Names(photos)
    listed = _mapping(folder, base, mapping)
    if listed is not None:
        return _by_mapping(listed, base, images, names, [name for name in rest if base / name != listed])
    claims: dict[str, list[str]] = {}
    unmatched = []
    for name in sorted(images):
        source = names.of_file(name, folder)
        if source is None:
            unmatched.append(name)
        else:
            claims.setdefault(source, []).append(name)
    _refuse_twice(claims, base)
    found = {image_id: images[files[0]] for source, files in claims.items() for image_id in names.ids[source]}
    return Joined(found, {}, tuple(unmatched), tuple(sorted(rest)))


def _refuse_twice(claims: Mapping[str, Sequence[str]], base: Path) -> None:
    twice = [(source, sorted(set(files))) for source, files in sorted(claims.items()) if len(files) > 1]
    if twice:
        source, files = twice[0]
        more = f" (and {len(twice) - 1} more such photographs)" if len(twice) > 1 else ""
        raise BadInput(
            f"{base}: {' and '.join(files[:2])} both claim to be the result of '{source}'{more}; leave one of them, or write a {MAPPING}"
        )


class _Names:
    """Photographs by the names that a file may have. ``ids``: source -> the ``image_id`` of everything cut from that file."""

    def __init__(self, photos: Sequence[Photo]) -> None:
        self.ids: dict[str, list[str]] = {}
        self.exact: dict[str, str] = {}
        self.stems: dict[str, set[str]] = {}
        for photo in photos:
            self.ids.setdefault(photo.source, []).append(photo.image_id)
        for photo in photos:
            for name in (photo.source, photo.image_id):
                self.exact.setdefault(_plain(name), photo.source)
                self.stems.setdefault(_stem(_plain(name)), set()).add(photo.source)
        folders = [PurePosixPath(_plain(source)).parts[:-1] for source in self.ids]
        shared: list[str] = []
        for level in zip(*folders, strict=False):
            if len(set(level)) > 1:
                break
            shared.append(level[0])
        self.above = "".join(f"{part}/" for part in shared)

    def of_file(self, name: str, where: Path) -> str | None:
        """The source that a file called ``name`` (relative) is the result of; None for none. Raises BadInput where it could be of several."""
        plain = _plain(name)
        for one in dict.fromkeys((plain, self.above + plain)):
            source = self.exact.get(one) or self.exact.get(_stem(one))
            if source is not None:
                return source
            several = sorted(self.stems.get(_stem(one), ()))
            if len(several) > 1:
                better = f"{several[0]}{PurePosixPath(name).suffix}"
                raise BadInput(f"{where}: {name} could be the result of {some(several, 2)}; call it {better}, or write a {MAPPING}")
            if several:
                return several[0]
        return None

    def photo(self, name: str) -> str | None:
        """The source of a photograph that a mapping names."""
        plain = _plain(name.removeprefix("./"))
        return self.exact.get(plain) or self.exact.get(self.above + plain)


def _plain(name: str) -> str:
    """Names as they are compared: some systems write accents apart from their letters."""
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


def _stem(name: str) -> str:
    """A name without the ending of an image; other endings (``1.5``) belong to the name."""
    start, dot, end = name.rpartition(".")
    return start if dot and f".{end.lower()}" in EXTENSIONS else name


def _mapping(folder: Path, base: Path, named: str | None) -> Path | None:
    if named:
        path = folder / named
        if not path.is_file():
            raise BadInput(f"{path}: the mapping that the card names is not there; put it there, or take 'mapping:' out of the card")
        return path
    sheets: list[Path] = []
    for place in dict.fromkeys((base, folder)):
        found = {path.name.lower(): path for path in sorted(place.iterdir()) if path.name.lower() in (*MAPPINGS, *_SHEETS)}
        text = next((found[name] for name in MAPPINGS if name in found and found[name].is_file()), None)
        if text is not None:
            return text
        sheets += [found[name] for name in _SHEETS if name in found]
    if sheets:
        raise BadInput(f"{sheets[0]}: a spreadsheet is not read; save it as {MAPPING} (CSV in UTF-8), or take it out of the folder")
    return None


def _by_mapping(path: Path, base: Path, images: Mapping[str, str], names: _Names, rest: Sequence[str]) -> Joined:
    """Files as a mapping names them: relative to the mapping's own folder or to the results' folder, the ending as it is or another image's."""
    by_stem: dict[str, list[str]] = {}
    for name in images:
        by_stem.setdefault(_stem(_plain(name)), []).append(name)
    by_name = {_plain(name): name for name in images}
    below = f"{_plain(base.relative_to(path.parent).as_posix())}/" if base != path.parent and base.is_relative_to(path.parent) else ""
    claims: dict[str, list[str]] = {}
    used: set[str] = set()
    absent: dict[str, str] = {}
    unmatched = []
    for line, file, photo in _lines(path):
        if not file:
            continue
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
            raise BadInput(f"{path}: line {line}: '{file}' leads out of the folder; give a path inside of it")
        source = names.photo(photo)
        if source is None:
            known = validation.did_you_mean(photo, names.exact)
            unmatched.append(f"{path.name} line {line}: no photograph '{photo}'{known}")
            continue
        wanted = _plain(file.removeprefix("./")).removeprefix(below)
        ways = dict.fromkeys(
            (wanted, wanted.removeprefix(f"{RESULTS}/"))
        )  # the mapping may have come without the folder around the results
        found = next(([by_name[way]] for way in ways if way in by_name), []) or next(
            (by_stem[_stem(way)] for way in ways if _stem(way) in by_stem), []
        )
        if len(found) > 1:
            raise BadInput(f"{path}: line {line}: '{file}' is not there, and {' and '.join(sorted(found)[:2])} could both be meant")
        claims.setdefault(source, []).append(found[0] if found else file)
        used.update(found)
        if not found:
            absent |= dict.fromkeys(names.ids[source], f"{path.name} names {file}, which is not there")
    _refuse_twice(claims, base)
    files = {image_id: images[one[0]] for source, one in claims.items() if one[0] in used for image_id in names.ids[source]}
    unmatched += sorted(name for name in images if name not in used)
    return Joined(files, absent, tuple(unmatched), tuple(sorted(rest)))


def _lines(path: Path) -> list[tuple[int, str, str]]:
    """(line number, file, photograph) of a mapping. Raises :class:`BadInput`."""
    wanted = "'file' and 'photo' (or 'image_id')"
    table = sheet.read(path, ["file"], expected=wanted)
    key = next((name for name in ("photo", "image_id") if name in table.columns), None)
    if key is None:
        raise BadInput(f"{path}: line 1: column 'photo' is missing; expected {wanted}; it has: {', '.join(table.columns)}")
    return [(row.line, row.cells["file"].replace("\\", "/"), row.cells[key]) for row in table]


def all_datasets() -> list[str]:
    """Names of the dataset cards, for :func:`join`."""
    return sorted(path.stem for path in (cards.project_root() / "config" / "datasets").glob("*.yaml"))

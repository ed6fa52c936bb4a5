"""Layout ``csv``: a table ``index.csv`` that names each image with its identity and role.

Columns ``image`` (path below the dataset's root, forward slashes), ``identity``, ``role`` (reference, probe, auto or unused); optional
``yaw``, ``pitch``, ``roll`` (degrees, project's convention, empty where unknown), ``subject``, ``sequence``. UTF-8. Columns are separated by
commas, or by semicolons or tabs as spreadsheets of some countries write them (numbers may then have a decimal comma); capitals and blanks in
the header do not matter.
"""

from __future__ import annotations

import math
import os
import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from frontalbench.catalogue.validation import did_you_mean
from frontalbench.datasets.card import DatasetCard, shard_of_identity
from frontalbench.datasets.filecache import FileCache
from frontalbench.datasets.members import AUTO, PROBE, REFERENCE, ROLES, Listing, Member, look, plural, relative, some, text_of, tree
from frontalbench.errors import BadInput
from frontalbench.files import sheet
from frontalbench.images import EXTENSIONS

NEEDED = ("image", "identity", "role")
ANGLES = ("yaw", "pitch", "roll")
OPTIONAL = (*ANGLES, "subject", "sequence")
ALIASES = {"gt": REFERENCE, "angle": PROBE, "": AUTO}
DEFAULT = "index.csv"
SHEETS = (".xlsx", ".xls", ".ods")

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
FEW = 5
"""From this many turned images on, angles that are all small enough for radians are worth a line."""


def index_path(root: str, card: DatasetCard) -> str:
    """Where the card says that the table is."""
    return os.path.join(root, card.options.get("index", DEFAULT))  # noqa: PTH118


def find_index(root: str, card: DatasetCard) -> str | None:
    """The table of a dataset: the card's name for it, else the one file that differs only in capitals or is called ``index.tsv``.

    Raises :class:`BadInput` when there is more than one of these, or only a spreadsheet that is no text.
    """
    path = index_path(root, card)
    if os.path.isfile(path):  # noqa: PTH113
        return path
    others = look(root).others
    found = sorted(name for name in others if name.lower() in _also(card))
    if len(found) > 1:
        raise BadInput(
            f"{root}: {' and '.join(found)}: which table counts? Keep one, or name it in the card: options: {{index: {found[0]}}}"
        )
    sheets = sorted(name for name in others if name.lower().endswith(SHEETS) and os.path.splitext(name.lower())[0] == "index")  # noqa: PTH122
    if sheets and not found:
        raise BadInput(f"{root}/{text_of(sheets[0])}: a spreadsheet; save it as {DEFAULT} (CSV, UTF-8) beside it and move it away")
    return f"{root}{os.sep}{found[0]}" if found else None


def _also(card: DatasetCard) -> set[str]:
    name = str(card.options.get("index", DEFAULT)).lower()
    return {name, "index.tsv"} if name == DEFAULT else {name}


@dataclass
class _Table:
    """What all rows of one table share."""

    path: str
    root: str
    card: DatasetCard
    shard: str | None
    listing: Listing
    columns: Mapping[str, int]
    header: tuple[str, ...]
    separator: str
    lines: dict[str, int] = field(default_factory=dict)
    """Image -> the line that gave it."""
    rewritten: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    rows: int = 0
    names: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Folder -> spelling without capitals -> names in it."""


def scan(root: str, card: DatasetCard, cache: FileCache, shard: str | None = None) -> Listing:
    """List the rows of the index. A row that cannot be used is refused with a line that says why; a file that is not there stays (as
    unreadable; the line says what file is nearly of that name).

    Raises :class:`BadInput` when the index itself cannot be used.
    """
    listing = Listing(looked=[os.path.basename(index_path(root, card))])  # noqa: PTH119
    path = find_index(root, card)
    if path is None:
        return listing
    also = sorted(name for name in look(root).others if name.lower() in _also(card) and name != os.path.basename(path))  # noqa: PTH119
    if also:
        listing.problems.append(f"{some(also)}: not read, {os.path.basename(path)} is the table that counts")  # noqa: PTH119
    text = sheet.decoded(Path(path), advice="save it as UTF-8")
    separator, header = _header(path, text)
    table = _Table(path, root, card, shard, listing, _columns(path, header, listing), header, separator)
    for line, cells in sheet.lines(path, text, separator, header):
        table.rows += 1
        _add(table, cells, line)
    _summarize(table)
    return listing


def _header(path: str, text: str) -> tuple[str, tuple[str, ...]]:
    """(separator, names of the columns) from the first line with text."""
    wanted = f"expected {', '.join(NEEDED)} and maybe {', '.join(OPTIONAL)}"
    found = sheet.headers(text)
    if found is None:
        raise BadInput(f"{path}: empty; {wanted} in the first line")
    for separator, columns in found.items():
        if set(NEEDED) <= set(columns):
            return separator, columns
    if not found:
        raise BadInput(f"{path}: line 1: not readable as CSV; {wanted}")
    separator = max(found, key=lambda name: len(found[name]))
    missing = next(name for name in NEEDED if name not in found[separator])
    raise BadInput(
        f"{path}: column '{missing}' is missing{did_you_mean(missing, found[separator])}; {wanted}; "
        f"the first line, read as separated by {sheet.SEPARATORS[separator]}, has: {', '.join(found[separator])[:200]}"
    )


def _columns(path: str, header: Sequence[str], listing: Listing) -> dict[str, int]:
    known = (*NEEDED, *OPTIONAL)
    twice = [name for name in known if header.count(name) > 1]
    if twice:
        raise BadInput(f"{path}: column '{twice[0]}' is there {header.count(twice[0])} times; keep one")
    free = [name for name in known if name not in header]
    for name in header:
        meant = did_you_mean(name, free) if name and name not in known else ""
        if meant:
            listing.problems.append(f"{os.path.basename(path)}: column '{name}' is not used{meant}")  # noqa: PTH119
    return {name: header.index(name) for name in known if name in header}


def _add(table: _Table, cells: Sequence[str], line: int) -> None:
    columns, listing, card = table.columns, table.listing, table.card
    values = {name: cells[place] for name, place in columns.items() if place < len(cells)}
    written = values.get("image", "")
    file = _file_of(table, written)
    image = unicodedata.normalize("NFC", file)
    identity = unicodedata.normalize("NFC", values.get("identity", "").strip())
    role = values.get("role", "").strip().lower()
    role = ALIASES.get(role, role)
    angles = {name: _angle(values.get(name), table.separator) for name in ANGLES}
    why = (
        _misshapen(table, cells, values)
        or _refusal(image, identity, role, values, angles)
        or (f"image '{image}' was already given in line {table.lines[image]}" if image in table.lines else None)
    )
    if why is not None:
        listing.refused += 1
        listing.problems.append(" ".join(f"{_name(table)}: line {line}: {why}; left out".split()))
        return
    table.lines[image] = line
    listing.identities.add(identity)
    place = shard_of_identity(identity, card.shards)
    if table.shard is not None and place != table.shard:
        return
    path = os.path.join(table.root, *file.split("/"))  # noqa: PTH118
    detail = ""
    if file != written:
        table.rewritten.append(f"line {line}: {written!r}")
    if not os.path.exists(path):  # noqa: PTH110
        near = _nearly(table, file)
        if near is not None and text_of(near) == image:  # the same characters, composed otherwise
            path = os.path.join(table.root, *near.split("/"))  # noqa: PTH118
        elif near is not None:
            detail = f"there is '{text_of(near)}'"
            table.hints.append(f"line {line}: '{image}' ({detail})")
    known = angles["yaw"] is not None
    listing.members.append(
        Member(
            image,
            identity,
            path,
            image,
            role=role,
            subject=values.get("subject", "").strip() or identity,
            sequence=values.get("sequence", "").strip(),
            yaw=angles["yaw"],
            pitch=angles["pitch"],
            roll=angles["roll"],
            pose_source=card.data["pose_source"] if known else "",
            detail=detail,
            shard=place,
        )
    )


def _name(table: _Table) -> str:
    return os.path.basename(table.path)  # noqa: PTH119


def _file_of(table: _Table, written: str) -> str:
    """The path that a cell means: as it is written when that file is there, else without blanks around it and with ``/`` for ``\\``."""
    if "\0" in written:
        return written
    plain = written.strip()
    if "\\" in plain:
        plain = plain.replace("\\", "/")
    if plain == written or os.path.lexists(os.path.join(table.root, *written.split("/"))):  # noqa: PTH118
        return written
    return plain


def _nearly(table: _Table, file: str) -> str | None:
    """The one file that differs from ``file`` only in capitals, in the way characters are composed, or in its ending; None for none."""
    parts = file.split("/")
    here = ""
    for depth, part in enumerate(parts):
        names = _spellings(table, here)
        found = names.get(_spelling(part), [])
        if depth == len(parts) - 1 and not found:
            stem = os.path.splitext(part)[0] if os.path.splitext(part)[1].lower() in EXTENSIONS else part  # noqa: PTH122
            found = [name for ending in sorted(EXTENSIONS) for name in names.get(_spelling(stem) + ending, [])]
        if len(found) != 1:
            return None
        here = f"{here}/{found[0]}" if here else found[0]
    return here


def _spellings(table: _Table, folder: str) -> dict[str, list[str]]:
    if folder not in table.names:
        inside = look(os.path.join(table.root, *folder.split("/")))  # noqa: PTH118
        names: dict[str, list[str]] = {}
        for name in (*inside.folders, *inside.images, *inside.others):
            names.setdefault(_spelling(name), []).append(name)
        table.names[folder] = names
    return table.names[folder]


def _spelling(name: str) -> str:
    return text_of(name).casefold()


def _misshapen(table: _Table, cells: Sequence[str], values: Mapping[str, str]) -> str | None:
    """Why a row does not have the header's form."""
    if sheet.beyond(cells, table.header):
        columns = plural(len(list(filter(None, table.header))), "column")
        return (
            f"{len(cells)} cells for {columns}; a value that holds '{table.separator}' goes into double quotes, "
            f"a number has a decimal point, and no '{table.separator}' stands at the end of a line"
        )
    absent = [name for name in NEEDED if name not in values]
    return f"cut off: {plural(len(cells), 'cell')}, '{absent[0]}' is missing; image and identity must not be empty" if absent else None


def _refusal(image: str, identity: str, role: str, values: Mapping[str, str], angles: Mapping[str, float | None]) -> str | None:
    parts = image.split("/")
    if not image or not identity:
        return "image and identity must not be empty"
    holed = [name for name, value in values.items() if "\0" in value]
    if holed:
        return f"{holed[0]} holds a NUL character" if holed[0] != "image" else f"image '{image}' must be a path inside the dataset's folder"
    if image.startswith("/") or (len(image) > 1 and image[1] == ":") or ".." in parts:
        return f"image '{image}' must be a path inside the dataset's folder (not absolute, no '..')"
    if "." in parts or "" in parts:
        return f"image '{image}' must be written plainly (no './', no '//')"
    if role not in ROLES:
        return f"role '{role}' is not known; expected one of {', '.join(ROLES)}"
    for name, value in angles.items():
        if value is not None and not -180.0 <= value <= 180.0:
            return f"{name} must be a number of degrees from -180 to 180 (as 35.5), got '{values[name].strip()[:20]}'"
    if angles["yaw"] is None and (angles["pitch"] is not None or angles["roll"] is not None):
        return "pitch or roll without yaw; give yaw too, or leave all three empty"
    return None


def _angle(text: str | None, separator: str) -> float | None:
    """Degrees; None for an empty cell; NaN (refused later) for what is no number."""
    text = (text or "").strip()
    if not text:
        return None
    if separator != "," and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    return float(text) if _NUMBER.fullmatch(text) else math.nan


def _summarize(table: _Table) -> None:
    """The lines on the table as a whole. Raises :class:`BadInput` when no row of it can be used."""
    listing, name = table.listing, _name(table)
    if not listing.identities:
        if not table.rows:
            raise BadInput(f"{table.path}: a header and no rows; one row for each image is expected")
        raise BadInput(f"{table.path}: none of {plural(table.rows, 'row')} can be used; the first: {listing.problems[0]}")
    if table.rewritten:
        listing.problems.append(
            f"{name}: {plural(len(table.rewritten), 'image')} written with backslashes or blanks around, taken without: {some(table.rewritten)}"
        )
    if table.hints:
        number = plural(len(table.hints), "image is not there, but a file", "images are not there, but files")
        listing.problems.append(f"{name}: {number} of nearly that name; write it exactly as the file's: {some(table.hints)}")
    yaws = [abs(member.yaw) for member in listing.members if member.yaw]
    if len(yaws) >= FEW and max(yaws) <= math.pi / 2:
        listing.problems.append(f"{name}: no yaw is beyond {max(yaws):.2f}; angles are read as degrees, are these radians?")
    if table.shard is None:
        used = {member.path for member in listing.members}
        free = [
            relative(path, table.root)
            for folder in tree(table.root, table.root)
            for path in (f"{folder.path}{os.sep}{file}" for file in folder.images)
            if path not in used
        ]
        if free:
            listing.problems.append(f"{plural(len(free), 'image')} in this folder not named in {name}, so not used: {some(free)}")

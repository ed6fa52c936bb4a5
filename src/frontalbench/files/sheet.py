"""Tables of text as people have them after a look in a spreadsheet: commas, semicolons, tabs or bars, a byte order mark, Excel's ``sep=;``, capitals
and blanks in the header, quoted cells, blank lines."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from frontalbench.errors import BadInput

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_SAYS_SEPARATOR = re.compile(r"\"?sep=.\"?", re.IGNORECASE)


class Row(NamedTuple):
    """``line``: where it ends in the file, from 1; ``cells``: column -> text without blanks around ("" where the line is too short)."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True)
class Sheet:
    """``columns``: the header in small letters, as it stands; iterating gives the rows, blank ones left out."""

    path: str
    columns: tuple[str, ...]
    separator: str
    _text: str

    def __iter__(self) -> Iterator[Row]:
        """Raises :class:`BadInput` with the line for one with cells that are in no column (an unquoted separator in a name), or is no CSV."""
        for line, cells in lines(self.path, self._text, self.separator, self.columns):
            if beyond(cells, self.columns):
                raise BadInput(
                    f"{self.path}: line {line}: {len(cells)} cells, the header names {len(list(filter(None, self.columns)))}; "
                    f"put names with {SEPARATORS[self.separator]} in quotes"
                )
            padded = [*cells, *[""] * (len(self.columns) - len(cells))]
            yield Row(line, {name: cell.strip() for name, cell in zip(self.columns, padded, strict=False) if name})


def beyond(cells: Sequence[str], columns: Sequence[str]) -> bool:
    """Whether a line has more cells than there are ``columns``, or text under a column without a name.

    Empty cells count: in ``35,5,`` with two columns, an unquoted ``35,5`` has pushed the others to the right.
    """
    return len(cells) > len(columns) or any(cell.strip() for cell, name in zip(cells, columns, strict=False) if not name)


def lines(path: str, text: str, separator: str, header: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """(where it ends in the file, from 1; its cells as they stand) of each line below ``header`` that is not blank.

    Raises :class:`BadInput` with the line where the text is no CSV.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    started = False
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if started:
                yield reader.line_num, cells
            started = started or clean(cells) == tuple(header)
    except csv.Error as error:
        raise BadInput(f"{path}: line {reader.line_num}: not readable as CSV ({error})") from None


def read(path: str | os.PathLike[str], needed: Sequence[str], *, expected: str = "") -> Sheet:
    """The table in a file whose header has the columns ``needed`` (small letters).

    ``expected``: the columns in words, where more than those may stand there. Raises :class:`BadInput` where it is no UTF-8, no CSV, or lacks a
    column, and :class:`FileNotFoundError`.
    """
    text = decoded(Path(path))
    wanted = expected or ", ".join(needed)
    found = headers(text)
    if found is None:
        raise BadInput(f"{path}: line 1: nothing there; expected the columns {wanted}")
    if not found:
        raise BadInput(f"{path}: line 1: not readable as CSV; expected the columns {wanted}")
    separator = max(found, key=lambda each: (sum(name in found[each] for name in needed), len(found[each])))
    columns = found[separator]
    missing = [name for name in needed if name not in columns]
    if missing:
        has = ", ".join(filter(None, columns))[:200] or "nothing"
        raise BadInput(f"{path}: line 1: column '{missing[0]}' is missing; expected {wanted}; it has, by {SEPARATORS[separator]}: {has}")
    twice = [name for name in columns if name and columns.count(name) > 1]
    if twice:
        raise BadInput(f"{path}: line 1: column '{twice[0]}' stands there {columns.count(twice[0])} times; which one counts?")
    return Sheet(str(path), columns, separator, text)


def headers(text: str) -> dict[str, tuple[str, ...]] | None:
    """The first line with text (Excel's ``sep=;`` is passed over), in small letters, by each separator that can read it; None where there is none."""
    first = next((line for line in text.splitlines() if line.strip() and not _SAYS_SEPARATOR.fullmatch(line.strip())), "")
    if not first:
        return None
    found = {}
    for separator in SEPARATORS:
        try:
            found[separator] = clean(next(csv.reader([first], delimiter=separator, strict=True)))
        except csv.Error:
            continue
    return found


def decoded(path: Path, *, advice: str = "save it as CSV in UTF-8") -> str:
    """The text of a file, a byte order mark left out. Raises :class:`BadInput` with ``advice`` where it is no UTF-8."""
    data = path.read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        kind = "UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else f"byte {error.start}"
        raise BadInput(f"{path}: not UTF-8 text ({kind}); {advice}") from None


def clean(cells: Sequence[str]) -> tuple[str, ...]:
    """Cells of a header as they are compared: small letters, single blanks."""
    return tuple(" ".join(cell.split()).lower() for cell in cells)

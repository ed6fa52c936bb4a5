"""Text lists of protocols, and the images of a table that their pairs name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from frontalbench.errors import BadInput
from frontalbench.images import EXTENSIONS
from frontalbench.protocols.verification import Pair


class Line(NamedTuple):
    """A line of a file by its number, from 1, with nothing blank around its text."""

    number: int
    text: str


def read_lines(file: Path, get: str) -> list[Line]:
    """The lines of ``file`` that hold text; a byte order mark and blanks at the ends of lines do not matter.

    Raises :class:`BadInput` when the file is not there (``get`` says where it comes from), is no UTF-8, or does not end with a line break: the
    published lists do, and one that was cut off inside its last number would name another image.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BadInput(f"{file}: not there; {get}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{file}: not UTF-8 text; {get}") from None
    if text and not text.endswith("\n"):
        last = text.count("\n") + 1
        raise BadInput(
            f"{file}: line {last}: does not end with a line break, so it may be cut off inside a number; {get} (or end the line, if it is whole)"
        )
    return [Line(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def present(pairs: Iterable[Pair], image_ids: Iterable[str]) -> tuple[list[Pair], list[str]]:
    """(pairs whose two images are there, under the names they have there; names of images that are not, sorted).

    An image counts as there when only the ending differs (``.png`` for ``.jpg``: most aligned copies), as long as one alone does.
    """
    names: dict[str, str | None] = {}
    for name in image_ids:
        names[name] = name
        stem = without_ending(name)
        if stem != name:
            names[stem] = None if stem in names and names[stem] != name else name
    kept, absent = [], set()
    for pair in pairs:
        found = [names.get(name) or names.get(without_ending(name)) for name in pair[:2]]
        lacking = {name for name, there in zip(pair[:2], found, strict=True) if there is None}
        absent |= lacking
        if found[0] is not None and found[1] is not None:
            kept.append(pair._replace(first=found[0], second=found[1]))
    return kept, sorted(absent)


def without_ending(name: str) -> str:
    """``a/b.c.jpg`` -> ``a/b.c``; a name that does not end like an image stays."""
    stem, dot, ending = name.rpartition(".")
    return stem if dot + ending.lower() in EXTENSIONS else name

"""Everything that is written from cards and code for people to read: tables of README and docs, captions of the report."""

from __future__ import annotations

from pathlib import Path

from frontalbench.catalogue import modeltable
from frontalbench.catalogue.pages import Parts, put
from frontalbench.figures import documented as figures
from frontalbench.files import atomic
from frontalbench.tabulate import documented as columns

CAPTIONS = "reports/captions"


def pages() -> dict[str, Parts]:
    """Every page with parts made here, relative to the project folder."""
    return {**modeltable.pages(), "docs/statistics.md": columns.parts(), "docs/figures.md": figures.parts()}


def files() -> dict[str, str]:
    """Every file that is made as a whole, relative to the project folder, and its text."""
    return {f"{CAPTIONS}/{name}": text for name, text in figures.captions().items()}


def write(root: Path, *, check: bool = False) -> list[str]:
    """Bring pages and files below ``root`` up to date; returns those that were not. ``check``: write nothing.

    Raises :class:`BadInput` when a page lacks its marks.
    """
    late = [page for page, parts in pages().items() if not put(root / page, parts, check=check)]
    for name, text in files().items():
        path = root / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            late.append(name)
            if not check:
                atomic.write_text(path, text)
    return late

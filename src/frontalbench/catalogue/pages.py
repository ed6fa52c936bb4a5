"""Parts of a page that a program writes: between two marks, the rest is a person's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from frontalbench.errors import BadInput
from frontalbench.files import atomic

SCRIPT = "workflow/scripts/write_pages.py"
"""What writes them all."""

Parts = Mapping[tuple[str, str], str]
"""(first mark, last mark) -> what stands between them."""


def marks(what: str) -> tuple[str, str]:
    """The marks around the part of this name."""
    return f"<!-- {what}: made by {SCRIPT} -->", f"<!-- end of {what} -->"


def put(page: Path, parts: Parts, *, check: bool = False) -> bool:
    """Replace what stands between the marks of ``page``; returns whether it was up to date. ``check``: write nothing.

    Raises :class:`BadInput` when marks are not there.
    """
    text = new = page.read_text(encoding="utf-8")
    for (begin, end), part in parts.items():
        before, found, rest = new.partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise BadInput(f"{page}: the marks '{begin}' and '{end}' are not there; put them where the table belongs")
        new = f"{before}{begin}\n{part}\n{end}{after}"
    if new == text:
        return True
    if not check:
        atomic.write_text(page, new)
    return False

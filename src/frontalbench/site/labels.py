"""Headings for cells: on a phone a table's rows become cards, in which every value says what it is (``data-label``, shown by the style sheet)."""

from __future__ import annotations

from html import escape
from html.parser import HTMLParser


def labelled(page: str) -> str:
    """``page`` with ``data-label`` in every cell of a table's body: the text of the column's heading. Tables without a head stay as they are."""
    found = _Cells(page)
    parts, done = [], 0
    for place, label in found.labels:
        parts += [page[done:place], f' data-label="{escape(label, quote=True)}"']
        done = place
    return "".join([*parts, page[done:]])


class _Cells(HTMLParser):
    """Where the tags of body cells end (offset of the place behind the tag's name), with the text of their column's heading."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.labels: list[tuple[int, str]] = []
        self._starts = [0]
        for line in page.split("\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)
        self._heads: list[str] = []
        self._inside = ""
        self._silent = False
        self._column = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self._heads, self._inside = [], ""
        elif tag in ("thead", "tbody"):
            self._inside = tag
        elif tag == "span" and self._inside == "thead" and "hidden" in (dict(attrs).get("class") or ""):
            self._silent = True  # a heading for readers who do not see: the cell needs none beside it
        elif tag == "tr":
            self._column = 0
        elif tag in ("th", "td"):
            if self._inside == "thead":
                self._heads.append("")
            elif self._inside == "tbody":
                line, column = self.getpos()
                wide = int(dict(attrs).get("colspan") or 1)
                if wide == 1 and self._column < len(self._heads) and self._heads[self._column].strip():
                    self.labels.append((self._starts[line - 1] + column + 1 + len(tag), " ".join(self._heads[self._column].split())))
                self._column += wide

    def handle_endtag(self, tag: str) -> None:
        if tag in ("thead", "tbody"):
            self._inside = ""
        elif tag == "span":
            self._silent = False

    def handle_data(self, data: str) -> None:
        if self._inside == "thead" and self._heads and not self._silent:
            self._heads[-1] += data

"""Image grids: faces with values under them, as a matplotlib figure of exact pixel size.

Images are ``uint8 (H, W, 3)`` RGB of any size, or None where there is none (a grey field that says so); they are fitted into their cell with
their proportions kept.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.patches import Rectangle

from frontalbench.errors import BadInput
from frontalbench.figures import style
from frontalbench.figures.examples import shrink
from frontalbench.images import RGB

CELL = 168
"""Side of an image cell in pixels (at :data:`frontalbench.figures.style.DPI`)."""
_GAP = 8
_LINE = 15
_FONT = 8.5


@dataclass(frozen=True)
class Tile:
    """One cell: an image (or None), up to three short lines under it, a frame colour and bold first line when it is marked."""

    image: RGB | None
    lines: tuple[str, ...] = ()
    marked: bool = False
    missing: str = "no image"


def sheet(
    rows: Sequence[Sequence[Tile]],
    *,
    title: str = "",
    notice: str = "",
    columns: Sequence[str] = (),
    heads: Sequence[Sequence[str]] = (),
    notes: Sequence[str] = (),
    credit: str = "",
    cell: int = CELL,
    wrap: int = 1,
) -> Figure:
    """Rows of tiles with optional column headings and row headings (``heads``: lines of each, the first one bold).

    ``notes`` are sentences under the title, ``credit`` is a line at the foot (what a licence asks for). Text under a tile takes up to ``wrap`` lines;
    what is longer is cut with an ellipsis at the width of its cell.
    Raises :class:`BadInput` when there is no tile.
    """
    width = max((len(row) for row in rows), default=0)
    if not width:
        raise BadInput("image grid: nothing to show; no image fits this figure")
    if wrap > 1:
        rows = [
            [
                replace(tile, lines=tuple(part for line in tile.lines for part in _wrap(style.readable(line), cell, _FONT, wrap)))
                for tile in row
            ]
            for row in rows
        ]
    lines = max(len(tile.lines) for row in rows for tile in row)
    left = 120 if any(heads) else 0
    above = 20 if columns else 0
    row_height = cell + lines * _LINE + 2 * _GAP
    full_width = max(left + _GAP + width * (cell + _GAP), 420)
    heading = [(part, 10.5, True, "black") for part in _wrap(style.readable(title), full_width - 2 * _GAP, 10.5, 3)]
    warning = style.notice(notice)
    heading += [(warning, 10, True, style.NOTICE_COLOUR)] * bool(warning)
    for note in notes:
        heading += [(part, 9, False, "black") for part in _wrap(style.readable(note), full_width - 2 * _GAP, 9, 3)]
    top = 8 + 18 * len(heading) + 4
    foot = _wrap(style.readable(credit), full_width - 2 * _GAP, 8, 3) if credit else []
    full_height = top + above + len(rows) * row_height + 6 + 14 * len(foot)
    with style.drawing():
        made = style.figure(full_width / style.DPI, full_height / style.DPI, arranged=False)
        pen = _Pen(made, full_width, full_height)
        for number, (text, size, bold, tint) in enumerate(heading):
            pen.write(text, _GAP, 8 + 18 * number, size=size, bold=bold, tint=tint)
        for number, text in enumerate(foot):
            pen.write(text, _GAP, full_height - 14 * (len(foot) - number), size=8, tint="#5A5A5A")
        for number, name in enumerate(columns):
            pen.write(fit(name, cell, 9.5), left + _GAP + number * (cell + _GAP) + cell / 2, top, size=9.5, centre=True, bold=True)
        for y, row in enumerate(rows):
            upper = top + above + y * row_height
            if y < len(heads):
                for number, line in enumerate(heads[y]):
                    pen.write(
                        fit(line, left - _GAP, _FONT),
                        _GAP,
                        upper + cell / 2 + (number - len(heads[y]) / 2) * _LINE,
                        size=_FONT,
                        bold=number == 0,
                    )
            for x, tile in enumerate(row):
                pen.tile(tile, left + _GAP + x * (cell + _GAP), upper, cell)
    return made


class _Pen:
    """Draws at pixel positions counted from the upper left corner."""

    def __init__(self, made: Figure, width: int, height: int) -> None:
        self.figure, self.width, self.height = made, width, height

    def write(self, text: str, x: float, y: float, *, size: float, bold: bool = False, centre: bool = False, tint: str = "black") -> None:
        self.figure.text(
            x / self.width,
            1 - y / self.height,
            text,
            fontsize=size,
            fontweight="bold" if bold else "normal",
            ha="center" if centre else "left",
            va="top",
            color=tint,
        )

    def box(self, x: float, y: float, width: float, height: float, *, face: str, edge: str, line: float) -> None:
        self.figure.add_artist(
            Rectangle(
                (x / self.width, 1 - (y + height) / self.height),
                width / self.width,
                height / self.height,
                facecolor=face,
                edgecolor=edge,
                linewidth=line,
                transform=self.figure.transFigure,
            )
        )

    def tile(self, tile: Tile, x: int, y: int, cell: int) -> None:
        tint = style.OWN_COLOUR if tile.marked else "black"
        if tile.image is None:
            self.box(x, y, cell, cell, face="#EFEFEF", edge="#C8C8C8", line=0.8)
            parts = _wrap(style.readable(tile.missing), cell - 12, _FONT, 6)
            for number, part in enumerate(parts):
                self.write(part, x + cell / 2, y + cell / 2 + (number - len(parts) / 2) * _LINE, size=_FONT, centre=True, tint="#5A5A5A")
        else:
            height, width = tile.image.shape[:2]
            factor = cell / max(height, width)
            wide, high = max(1, round(width * factor)), max(1, round(height * factor))
            # Twice the cell: sharp in the PNG, which has more pixels per inch than the screen.
            axes = self.figure.add_axes(
                ((x + (cell - wide) / 2) / self.width, 1 - (y + (cell + high) / 2) / self.height, wide / self.width, high / self.height)
            )
            axes.imshow(shrink(tile.image, 2 * cell), interpolation="antialiased", aspect="auto")
            axes.set_axis_off()
        if tile.marked:
            self.box(x - 1.5, y - 1.5, cell + 3, cell + 3, face="none", edge=style.OWN_COLOUR, line=2.6)
        for number, line in enumerate(tile.lines):
            self.write(
                fit(line, cell, _FONT),
                x + cell / 2,
                y + cell + 4 + number * _LINE,
                size=_FONT,
                bold=tile.marked and number == 0,
                centre=True,
                tint=tint,
            )


def fit(text: str, width: float, size: float) -> str:
    """``text`` cut with an ellipsis to ``width`` pixels at ``size`` points."""
    shown = style.readable(text)
    if text_width(shown, size) <= width:
        return shown
    low, high = 0, len(shown)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(shown[:middle].rstrip() + "…", size) <= width:
            low = middle
        else:
            high = middle - 1
    return shown[:low].rstrip() + "…"


@functools.lru_cache(maxsize=4096)
def text_width(text: str, size: float) -> float:
    """Width of ``text`` in pixels at ``size`` points, bold, in the figures' font."""
    font = get_font(findfont(FontProperties(family="DejaVu Sans", weight="bold")))
    font.set_size(size, style.DPI)
    with style.drawing():
        font.set_text(text, 0.0)
    return float(font.get_width_height()[0]) / 64


def _wrap(text: str, width: float, size: float, most: int) -> list[str]:
    """``text`` in at most ``most`` lines of ``width`` pixels, broken at spaces and at the marks that names have."""
    lines: list[str] = []
    rest = text
    while rest and len(lines) < most:
        if text_width(rest, size) <= width or len(lines) == most - 1:
            lines.append(fit(rest, width, size))
            break
        cut = len(fit(rest, width, size)) - 1
        places = [rest.rfind(mark, 0, cut + 1) + (mark != " ") for mark in " _./-+"]
        best = max(places)
        cut = best if best > cut // 3 else max(1, cut)
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return lines

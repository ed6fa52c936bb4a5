"""Charts as inline SVG. Colours come from the style sheet (classes), so that they follow the reader's light or dark mode.

Every chart carries a title that says in words what it shows; the numbers stand in a table beside it, so a reader who does not see it misses nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from markupsafe import Markup, escape

from frontalbench.figures import palette


class Point(NamedTuple):
    """``y`` at ``x`` with the ends of its interval (None: there is none) and the number of people behind it."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    people: int | None = None

    @property
    def open(self) -> bool:
        """Without an interval: its mark is hollow."""
        return self.low is None or self.high is None


@dataclass(frozen=True)
class Series:
    """A line: its variant's name (the look follows from it), points in rising x."""

    name: str
    points: Sequence[Point]
    band: bool = False  # a shaded band instead of bars
    gap: float = math.inf  # nothing is drawn between points further apart than this

    def runs(self) -> list[list[Point]]:
        """The points in pieces that a line may connect."""
        pieces: list[list[Point]] = []
        for point in self.points:
            if pieces and point[0] - pieces[-1][-1][0] <= self.gap * (1 + 1e-9):
                pieces[-1].append(point)
            else:
                pieces.append([point])
        return pieces


def look(name: str) -> str:
    """The CSS class of a variant's colour."""
    number = palette.hue(name)
    return f"hue-{number}" if number >= 0 else "hue-grey"


def interval_bar(value: float, low: float | None, high: float | None, limits: tuple[float, float], name: str) -> Markup:
    """A dot on a line from ``low`` to ``high`` over an axis with a mark at zero, hollow where there is no interval; an arrow at the edge for what
    lies beyond the ``limits``. Hidden from screen readers, the numbers stand beside it."""
    start, end = limits

    def x(number: float) -> float:
        return 4 + 192 * (min(end, max(start, number)) - start) / (end - start)

    parts = [f'<line class="zero" x1="{x(0.0):.1f}" x2="{x(0.0):.1f}" y1="0" y2="24"/>'] if start <= 0 <= end else []
    if not start <= value <= end:
        tip, back = (0.0, 12.0) if value < start else (200.0, 188.0)
        parts.append(f'<polygon class="mark" points="{tip:g},12 {back:g},6 {back:g},18"/>')
    else:
        if low is not None and high is not None:
            parts.append(f'<line class="stroke" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="12" y2="12"/>')
        parts.append(_mark(name, x(value), 12.0, 5.0, hollow=low is None or high is None))
    return Markup('<svg class="bar {}" viewBox="0 0 200 24" aria-hidden="true" focusable="false">{}</svg>').format(
        look(name), Markup("".join(parts))
    )


def limits(values: Sequence[float | None], *, zero: bool = True) -> tuple[float, float]:
    """Round axis limits that hold all ``values`` (and zero) with a little room."""
    known = [v for v in values if v is not None and math.isfinite(v)] + [0.0] * zero
    low, high = min(known, default=0.0), max(known, default=1.0)
    room = 0.06 * (high - low) or 0.05
    return low - room, high + room


def limits_of_ranking(rows: Sequence[tuple[float | None, float | None, float | None]]) -> tuple[float, float]:
    """Axis limits for (value, low, high), best first: of the better half, four times as wide at most for the rest, so that one row far away does not
    squeeze the others into a point."""
    whole = limits([number for row in rows for number in row])
    half = limits([number for row in rows[: max(3, (len(rows) + 1) // 2)] for number in row])
    reach = 4.0 * max(abs(half[0]), abs(half[1]))
    return max(whole[0], -reach), min(whole[1], reach)


@dataclass(frozen=True)
class _Frame:
    """Where a panel's axes lie (pixels of its viewBox) and what they show."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, point: Sequence[float | None], which: int = 1) -> tuple[float, float]:
        """Pixels of a point; ``which``: 1 its height, 2 the lower end of its interval, 3 the upper one."""
        across = (float(point[0] or 0.0) - self.x[0]) / (self.x[1] - self.x[0])
        up = (float(point[which] or 0.0) - self.y[0]) / (self.y[1] - self.y[0])
        return self.left + (self.width - self.left - self.right) * across, self.height - self.bottom - (
            self.height - self.top - self.bottom
        ) * up


def lines(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    zero: bool = True,
    ticks: Sequence[tuple[float, str]] = (),
    behind: Series | None = None,
) -> Markup:
    """A chart for every line, all on the same axes, each with its name over it: lines of one colour could not be told apart in one chart.

    ``ticks``: places and words on the x axis, where numbers do not say it; ``behind``: a line that is drawn in each of them for comparison.
    A mark is hollow where there is no interval, and the number of people stands beside it.
    """
    everything = [*series, *([behind] if behind else [])]
    points = [point for one in everything for point in one.points]
    if not any(one.points for one in series):
        return Markup("")
    x_low, x_high = min(p.x for p in points), max(p.x for p in points)
    if x_low == x_high or ticks:  # room for the words below the outer places
        x_low, x_high = x_low - 0.45, x_high + 0.45
    y_range = limits([v for p in points for v in p[1:4]], zero=zero)
    single = len(series) == 1
    size = (640.0, 340.0, 82.0, 24.0, 12.0, 54.0) if single else (400.0, 250.0, 88.0, 16.0, 10.0, 46.0)
    frame = _Frame(*size, x=(x_low, x_high), y=y_range)
    panels = "".join(_panel(one, frame, title, x_label, y_label, ticks, behind) for one in series)
    keys = []
    if any(p.open for one in series if not one.band for p in one.points):
        keys.append("Hollow: too few people for an interval; the number beside it says how many.")
    if behind:
        keys.append("Grey: the angled photographs.")
    words = Markup('<figcaption class="keys">{}</figcaption>').format(" ".join(keys)) if keys else ""
    kind = "chart" if single else "chart panels"
    return Markup('<figure class="{}"><div>{}</div>{}</figure>').format(kind, Markup(panels), words)


def _panel(
    one: Series, frame: _Frame, title: str, x_label: str, y_label: str, ticks: Sequence[tuple[float, str]], behind: Series | None
) -> str:
    (x_low, x_high), (y_low, y_high) = frame.x, frame.y
    parts = []
    for tick in _ticks(y_low, y_high):
        _, y = frame.at((x_low, tick))
        parts.append(
            f'<line class="{"zero" if tick == 0 else "rule"}" x1="{frame.left}" x2="{frame.width - frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text x="{frame.left - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(tick)}</text>')
    below = list(ticks) or [(tick, _short(tick)) for tick in _ticks(x_low, x_high)]
    step = math.ceil(
        max(1, sum(len(words) + 2 for _, words in below)) * 9.0 / (frame.width - frame.left - frame.right)
    )  # words must not touch
    for place, words in below[::step]:
        x, _ = frame.at((place, y_low))
        parts.append(f'<text x="{x:.1f}" y="{frame.height - frame.bottom + 19}" text-anchor="middle">{escape(words)}</text>')
    for line in [*([behind] if behind else []), one]:
        parts.append(f'<g class="{look(line.name)}{"" if line is one else " behind"}">{_drawn(line, frame)}</g>')
    middle = (frame.left + frame.width - frame.right) / 2
    parts.append(f'<text x="{middle}" y="{frame.height - 6}" text-anchor="middle">{escape(x_label)}</text>')
    turned = f"translate(15 {(frame.top + frame.height - frame.bottom) / 2}) rotate(-90)"
    parts.append(f'<text transform="{turned}" text-anchor="middle">{escape(y_label)}</text>')
    return str(
        Markup(
            '<div class="panel"><p class="name"><span class="dot {}" aria-hidden="true"></span> <bdi>{}</bdi></p>'
            '<svg viewBox="0 0 {:g} {:g}" role="img" aria-label="{}: {}">{}</svg></div>'
        ).format(look(one.name), one.name, frame.width, frame.height, title, one.name, Markup("".join(parts)))
    )


def _drawn(line: Series, frame: _Frame) -> str:
    parts = []
    dashes = ",".join(f"{2.2 * d:g}" for d in palette.dash(line.name))
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    for run in line.runs():
        known = [p for p in run if not p.open]
        if line.band and len(known) > 1:
            upper = " ".join("{:.1f},{:.1f}".format(*frame.at(p, 3)) for p in known)
            lower = " ".join("{:.1f},{:.1f}".format(*frame.at(p, 2)) for p in reversed(known))
            parts.append(f'<polygon class="band" points="{upper} {lower}"/>')
        elif not line.band:
            for p in known:
                (x, y1), (_, y2) = frame.at(p, 2), frame.at(p, 3)
                parts.append(f'<line class="stroke thin" x1="{x:.1f}" x2="{x:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>')
        path = " ".join("{:.1f},{:.1f}".format(*frame.at(p)) for p in run)
        parts.append(f'<polyline class="line" points="{path}"{dashed}/>')
        if line.band and len(run) == 1:  # between two gaps there is no line to be seen
            parts.append(_mark(line.name, *frame.at(run[0]), 2.5))
    if not line.band:
        parts += [_mark(line.name, *frame.at(p), 4.5, hollow=p.open) for p in line.points]
        for p in line.points:
            if p.open and p.people is not None:
                x, y = frame.at(p)
                end = x > frame.width - frame.right - 24
                place = f'x="{x - 9:.1f}" text-anchor="end"' if end else f'x="{x + 9:.1f}"'
                parts.append(f'<text class="count" {place} y="{y - 6:.1f}">{p.people}</text>')
    return "".join(parts)


def shade(value: float | None, low: float, high: float) -> int:
    """How strongly a table cell is tinted, 0 to 100, for a value between ``low`` and ``high``."""
    if value is None or not high > low:
        return 0
    return round(100 * min(1.0, max(0.0, (value - low) / (high - low))))


def _mark(name: str, x: float, y: float, r: float, *, hollow: bool = False) -> str:
    look_of = "mark hollow" if hollow else "mark"
    shapes = {
        "o": f'<circle class="{look_of}" cx="{x:.1f}" cy="{y:.1f}" r="{r}"/>',
        "s": f'<rect class="{look_of}" x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r}" height="{2 * r}"/>',
    }
    corners = {
        "^": ((0, -1.2), (1.1, 0.9), (-1.1, 0.9)),
        "v": ((0, 1.2), (1.1, -0.9), (-1.1, -0.9)),
        "D": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
        "d": ((0, -1.4), (0.8, 0), (0, 1.4), (-0.8, 0)),
        "p": ((0, -1.2), (1.15, -0.35), (0.7, 1), (-0.7, 1), (-1.15, -0.35)),
    }
    plus = (
        (-0.4, -1.2),
        (0.4, -1.2),
        (0.4, -0.4),
        (1.2, -0.4),
        (1.2, 0.4),
        (0.4, 0.4),
        (0.4, 1.2),
        (-0.4, 1.2),
        (-0.4, 0.4),
        (-1.2, 0.4),
        (-1.2, -0.4),
    )
    kind = palette.marker(name)
    if kind in shapes:
        return shapes[kind]
    turned: tuple[tuple[float, float], ...] = (*plus, (-0.4, -0.4))
    if kind == "X":
        turned = tuple(((a - b) * math.sqrt(0.5), (a + b) * math.sqrt(0.5)) for a, b in turned)
    points = " ".join(f"{x + r * a:.1f},{y + r * b:.1f}" for a, b in corners.get(kind, turned))
    return f'<polygon class="{look_of}" points="{points}"/>'


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers between ``low`` and ``high``."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(f * power for f in (1.0, 2.0, 2.5, 5.0, 10.0) if f * power >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 10) + 0.0 for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _short(value: float) -> str:
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")

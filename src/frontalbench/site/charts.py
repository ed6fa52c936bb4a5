"""Charts as inline SVG. Colours come from the style sheet (classes), so that they follow the reader's light or dark mode.

Every chart carries a title that says in words what it shows; the numbers stand in a table beside it, so a reader who does not see it misses nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from frontalbench.figures import palette


@dataclass(frozen=True)
class Series:
    """A line: its variant's name (the look follows from it), points (x, y, low, high) in rising x; None for an unknown bound."""

    name: str
    points: Sequence[tuple[float, float, float | None, float | None]]
    band: bool = False  # a shaded band instead of bars
    gap: float = math.inf  # nothing is drawn between points further apart than this

    def runs(self) -> list[list[tuple[float, float, float | None, float | None]]]:
        """The points in pieces that a line may connect."""
        pieces: list[list[tuple[float, float, float | None, float | None]]] = []
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
    """A dot on a line from ``low`` to ``high`` over an axis with a mark at zero; hidden from screen readers, the numbers stand beside it."""
    start, end = limits

    def x(number: float) -> float:
        return 4 + 192 * (number - start) / (end - start)

    parts = [f'<line class="zero" x1="{x(0.0):.1f}" x2="{x(0.0):.1f}" y1="0" y2="24"/>'] if start <= 0 <= end else []
    if low is not None and high is not None:
        parts.append(f'<line class="stroke" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="12" y2="12"/>')
    parts.append(_mark(name, x(value), 12.0, 5.0))
    return Markup('<svg class="bar {}" viewBox="0 0 200 24" aria-hidden="true" focusable="false">{}</svg>').format(
        look(name), Markup("".join(parts))
    )


def limits(values: Sequence[float | None], *, zero: bool = True) -> tuple[float, float]:
    """Round axis limits that hold all ``values`` (and zero) with a little room."""
    known = [v for v in values if v is not None and math.isfinite(v)] + [0.0] * zero
    low, high = min(known, default=0.0), max(known, default=1.0)
    room = 0.06 * (high - low) or 0.05
    return low - room, high + room


def lines(
    series: Sequence[Series], *, title: str, x_label: str, y_label: str, zero: bool = True, ticks: Sequence[tuple[float, str]] = ()
) -> Markup:
    """A line chart, 640 x 340, with axis labels and a legend in text; ``ticks``: places and words on the x axis, where numbers do not say it."""
    width, height, left, right, top, bottom = 640.0, 340.0, 82.0, 24.0, 12.0, 54.0
    xs = [p[0] for s in series for p in s.points]
    if not xs:
        return Markup("")
    x_low, x_high = min(xs), max(xs)
    if x_low == x_high:
        x_low, x_high = x_low - 1, x_high + 1
    y_low, y_high = limits([v for s in series for p in s.points for v in p[1:]], zero=zero)

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            left + (width - left - right) * (x - x_low) / (x_high - x_low),
            height - bottom - (height - top - bottom) * (y - y_low) / (y_high - y_low),
        )

    parts = []
    for tick in _ticks(y_low, y_high):
        _, y = at(x_low, tick)
        parts.append(f'<line class="{"zero" if tick == 0 else "rule"}" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(tick)}</text>')
    for place, words in ticks or [(tick, _short(tick)) for tick in _ticks(x_low, x_high)]:
        x, _ = at(place, y_low)
        parts.append(f'<text x="{x:.1f}" y="{height - bottom + 20}" text-anchor="middle">{escape(words)}</text>')
    for one in series:
        parts.append(f'<g class="{look(one.name)}">')
        dashes = ",".join(f"{2.2 * d:g}" for d in palette.dash(one.name))
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        for run in one.runs():
            known = [p for p in run if p[2] is not None and p[3] is not None]
            if one.band and len(known) > 1:
                upper = " ".join("{:.1f},{:.1f}".format(*at(p[0], float(p[3] or 0.0))) for p in known)
                lower = " ".join("{:.1f},{:.1f}".format(*at(p[0], float(p[2] or 0.0))) for p in reversed(known))
                parts.append(f'<polygon class="band" points="{upper} {lower}"/>')
            elif not one.band:
                for p in known:
                    (x, y1), (_, y2) = at(p[0], float(p[2] or 0.0)), at(p[0], float(p[3] or 0.0))
                    parts.append(f'<line class="stroke thin" x1="{x:.1f}" x2="{x:.1f}" y1="{y1:.1f}" y2="{y2:.1f}"/>')
            path = " ".join("{:.1f},{:.1f}".format(*at(p[0], p[1])) for p in run)
            parts.append(f'<polyline class="line" points="{path}"{dashed}/>')
        if not one.band:
            parts += [_mark(one.name, *at(p[0], p[1]), 4.5) for p in one.points]
        parts.append("</g>")
    parts.append(f'<text x="{(left + width - right) / 2}" y="{height - 6}" text-anchor="middle">{escape(x_label)}</text>')
    parts.append(f'<text transform="translate(16 {(top + height - bottom) / 2}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>')
    legend = "".join(
        f'<li><svg class="{look(s.name)}" viewBox="0 0 34 12" aria-hidden="true" focusable="false"><polyline class="line" points="0,6 34,6"'
        + (f' stroke-dasharray="{",".join(f"{2.2 * d:g}" for d in palette.dash(s.name))}"' if palette.dash(s.name) else "")
        + f"/>{'' if s.band else _mark(s.name, 17.0, 6.0, 4.5)}</svg> <bdi>{escape(s.name)}</bdi></li>"
        for s in series
    )
    return Markup(
        '<figure class="chart"><svg viewBox="0 0 {w:g} {h:g}" role="img" aria-label="{title}">{parts}</svg><ul class="legend">{legend}</ul></figure>'
    ).format(w=width, h=height, title=title, parts=Markup("".join(parts)), legend=Markup(legend))


def shade(value: float | None, low: float, high: float) -> int:
    """How strongly a table cell is tinted, 0 to 100, for a value between ``low`` and ``high``."""
    if value is None or not high > low:
        return 0
    return round(100 * min(1.0, max(0.0, (value - low) / (high - low))))


def _mark(name: str, x: float, y: float, r: float) -> str:
    shapes = {
        "o": f'<circle class="mark" cx="{x:.1f}" cy="{y:.1f}" r="{r}"/>',
        "s": f'<rect class="mark" x="{x - r:.1f}" y="{y - r:.1f}" width="{2 * r}" height="{2 * r}"/>',
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
    return f'<polygon class="mark" points="{points}"/>'


def _ticks(low: float, high: float) -> list[float]:
    """About five round numbers between ``low`` and ``high``."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(f * power for f in (1.0, 2.0, 2.5, 5.0, 10.0) if f * power >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [round(k * step, 10) + 0.0 for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _short(value: float) -> str:
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")

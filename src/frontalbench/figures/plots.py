"""Plots: numbers in, a matplotlib figure out. Every mean comes with its 95 % interval, every group with its n."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from frontalbench.errors import BadInput
from frontalbench.figures import palette, style
from frontalbench.figures.series import (
    METRICS,
    CellValue,
    Group,
    Interval,
)
from frontalbench.plan.variant import ORIGINAL
from frontalbench.types import Float

_MOST_FOR_DENSITY = 20_000


def distributions(groups: Sequence[Group], *, title: str = "", notice: str = "") -> Figure:
    """Similarity distributions: a row for GT vs GT, one for the angled photographs and one per variant, with each group's mean, interval and n.

    In a row, filled: against the own GT (references); outlined: against the angled photographs (of the same person; for a variant, the one it was
    made from); grey: impostors. ``groups`` as :func:`frontalbench.figures.series.groups` gives them. Raises :class:`BadInput` when there is none.
    """
    if not groups:
        raise BadInput("distributions: no similarity to draw; every row failed or has no reference")
    rows: dict[str, list[Group]] = {}
    for group in groups:
        rows.setdefault("GT" if group.kind == "reference" else group.variant, []).append(group)
    with style.drawing():
        made = style.figure(9.6, 1.75 + 0.72 * len(rows))
        axes = made.subplots()
        for row, (name, members) in enumerate(rows.items()):
            drawn = {group.kind: group for group in members}
            for kind in ("impostor", "to_original", "within", "variant", "original", "reference"):
                if kind in drawn:
                    _density(axes, -row, drawn[kind])
            axes.annotate(
                _distribution_text(drawn),
                (1.01, -row + 0.3),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=7.5,
                linespacing=1.4,
            )
            heading = {"GT": "GT", ORIGINAL: "angled photographs"}.get(name, name)
            axes.annotate(
                style.readable(heading), (-0.01, -row + 0.3), xycoords=("axes fraction", "data"), ha="right", va="center", fontsize=9.5
            )
        axes.set_yticks([])
        axes.set_ylim(-len(rows) + 0.7, 0.98)
        axes.set_xlim(min(-0.1, min(float(g.values.min()) for g in groups) - 0.02), 1.02)
        axes.set_xlabel("cosine similarity")
        axes.spines["left"].set_visible(False)
        ink = palette.ORIGINAL_COLOUR
        keys = [
            Patch(facecolor=ink, alpha=0.55, label="against the own GT"),
            Patch(facecolor="none", edgecolor=ink, label="against the angled photograph"),
            Patch(facecolor=style.IMPOSTOR_COLOUR, alpha=0.55, label="impostor (mean over all others, per image)"),
            Line2D([], [], color=ink, marker="D", markeredgecolor="white", linewidth=3, label="mean, 95 % interval"),
        ]
        made.legend(handles=keys, loc="outside lower center", ncols=4, fontsize=8, handlelength=1.6, columnspacing=1.4)
        return style.finished(made, title, notice)


def _density(axes: Axes, y: float, group: Group) -> None:
    tint = {"reference": style.REFERENCE_COLOUR, "impostor": style.IMPOSTOR_COLOUR}.get(group.kind, palette.colour(group.variant))
    filled = group.kind not in ("to_original", "within")
    values = group.values
    if len(values) > _MOST_FOR_DENSITY:  # evenly spaced quantiles keep the shape; a density over a million values takes minutes
        values = np.quantile(values, np.linspace(0, 1, _MOST_FOR_DENSITY))
    if len(values) > 1 and float(np.ptp(values)) > 1e-6:
        parts = axes.violinplot(values, positions=[y], orientation="horizontal", side="high", widths=1.6, showextrema=False, points=256)
        bodies: Any = parts["bodies"]
        for body in bodies:
            body.set(facecolor=tint if filled else "none", edgecolor=tint, alpha=0.5 if filled else 1.0, linewidth=1.1)
    else:
        axes.plot(values, np.full(len(values), y + 0.1), "|", color=tint, markersize=12)
    interval = group.interval
    if np.isfinite(interval.low):
        axes.plot([interval.low, interval.high], [y, y], color=tint, linewidth=3, solid_capstyle="butt")
    hollow = not np.isfinite(interval.low)  # too few people for an interval
    ends: dict[str, Any] = {"markerfacecolor": "white", "markeredgecolor": tint} if hollow else {"markeredgecolor": "white"}
    axes.plot([interval.mean], [y], marker="D", color=tint, markersize=5, markeredgewidth=0.7, **ends)


def _distribution_text(drawn: Mapping[str, Group]) -> str:
    words = {
        "reference": "GT vs GT",
        "original": "vs GT",
        "variant": "vs GT",
        "within": "vs Angled",
        "to_original": "vs Angled",
        "impostor": "impostor",
    }
    lines = []
    for kind, word in words.items():
        if kind in drawn:
            interval = drawn[kind].interval
            lines.append(f"{word} {_signed(interval, plus=False)}, n = {interval.n:,}")
    people = next(iter(drawn.values())).interval.subjects
    return "\n".join([*lines[:-1], f"{lines[-1]}, {people:,} {'person' if people == 1 else 'people'}"])


def heatmap(cells: Sequence[CellValue], metric: str, *, title: str = "", notice: str = "") -> Figure:
    """Detectors (rows) x backbones (columns); every field says mean, interval, n and FTA. A cell that was not run stays empty."""
    if not cells:
        raise BadInput("heat map: no cell to draw")
    if metric not in METRICS:
        raise BadInput(f"heat map metric '{metric}' is not known; use: {', '.join(METRICS)}")
    detectors = sorted({c.detector for c in cells})
    backbones = sorted({c.backbone for c in cells})
    grid = pd.DataFrame(np.nan, detectors, backbones)
    words = pd.DataFrame("", detectors, backbones)
    gain = metric in ("net_gain", "identity_gain")
    for cell in cells:
        grid.loc[cell.detector, cell.backbone] = cell.value.mean
        count = f"n = {cell.value.n:,}, FTA {100 * cell.fta:.1f} %"
        words.loc[cell.detector, cell.backbone] = f"{_number(cell.value.mean, plus=gain)}\n{_range(cell.value, plus=gain)}\n{count}"
    finite = grid.to_numpy()[np.isfinite(grid.to_numpy())]
    # Wider than the values, so that the deepest colours, on which text is hard to read, are not used.
    reach = 1.5 * max(float(np.abs(finite).max(initial=0.0)), 0.01)
    low, high = (-reach, reach) if gain else (float(finite.min(initial=1.0)) - 0.02, float(finite.max(initial=0.0)) + 0.02)
    with style.drawing():
        made = style.figure(max(5.2, 2.6 + 1.65 * len(backbones)), 1.5 + 0.95 * len(detectors))
        axes = made.subplots()
        seaborn.heatmap(
            grid,
            annot=words,
            fmt="",
            annot_kws={"fontsize": 9, "linespacing": 1.4},
            vmin=low,
            vmax=high,
            cmap="PuOr" if gain else "cividis",
            linewidths=3,
            cbar_kws={"label": METRICS[metric], "fraction": 0.05, "pad": 0.02},
            xticklabels=[style.readable(name) for name in backbones],
            yticklabels=[style.readable(name) for name in detectors],
            ax=axes,
        )
        for cell in cells:
            if not cell.value.n:  # a field without a value has neither colour nor annotation
                place = backbones.index(cell.backbone) + 0.5, detectors.index(cell.detector) + 0.5
                axes.text(*place, f"n = 0, FTA {100 * cell.fta:.1f} %", ha="center", va="center", fontsize=9)
        axes.set_xlabel("backbone")
        axes.set_ylabel("detector")
        axes.grid(visible=False)
        axes.tick_params(length=0, rotation=0)
        return style.finished(made, title, notice)


def cost(seconds: Mapping[str, Float], *, title: str = "", notice: str = "") -> Figure:
    """Seconds per image of each frontalizer or variant: median (mark), 5th to 95th percentile (bar), n; fastest on top, logarithmic axis."""
    shown = {name: values[values > 0] for name, values in seconds.items() if (values > 0).any()}
    if not shown:
        raise BadInput("cost: no row with status ok has a time")
    order = sorted(shown, key=lambda name: (float(np.median(shown[name])), name))
    with style.drawing():
        made = style.figure(8.6, 1.35 + 0.42 * len(order))
        axes = made.subplots()
        for row, name in enumerate(order):
            low, middle, high = np.quantile(shown[name], [0.05, 0.5, 0.95])
            axes.plot([low, high], [-row, -row], color=palette.colour(name), linewidth=5, alpha=0.45, solid_capstyle="butt")
            axes.plot([middle], [-row], marker=palette.marker(name), color=palette.colour(name), markersize=8, markeredgecolor="white")
            axes.annotate(
                f"{_seconds(middle)}   n = {len(shown[name]):,}",
                (1.01, -row),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=8.5,
            )
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks([-row for row in range(len(order))], [style.readable(name) for name in order])
        axes.set_ylim(-len(order) + 0.4, 0.6)
        axes.set_xlabel("seconds per image in the model, without finding faces (median; bar: 5th to 95th percentile)")
        axes.grid(axis="y", visible=False)
        return style.finished(made, title, notice)


def nothing(reason: str, *, title: str = "", notice: str = "") -> Figure:
    """A figure that says why there is nothing to draw, so that a report has no hole."""
    with style.drawing():
        made = style.figure(8.0, 1.6)
        axes = made.subplots()
        axes.set_axis_off()
        axes.text(0.0, 0.5, textwrap.fill(style.readable(reason), 100), va="center", fontsize=10, transform=axes.transAxes)
        return style.finished(made, title, notice)


def _number(value: float, *, plus: bool) -> str:
    if not np.isfinite(value):
        return "-"
    return (f"{value:+.3f}" if plus else f"{value:.3f}").replace("-", "\N{MINUS SIGN}")


def _range(interval: Interval, *, plus: bool) -> str:
    if not np.isfinite(interval.low):
        return f"no interval ({interval.subjects:,} {'person' if interval.subjects == 1 else 'people'})"
    return f"[{_number(interval.low, plus=plus)}, {_number(interval.high, plus=plus)}]"


def _signed(interval: Interval, *, plus: bool) -> str:
    return f"{_number(interval.mean, plus=plus)} {_range(interval, plus=plus)}"


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.2f} s" if value < 100 else f"{value:.0f} s"

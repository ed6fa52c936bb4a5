"""Plots: numbers in, a matplotlib figure out. Every mean comes with its 95 % interval, every group with its n."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from frontalbench.compare import curves
from frontalbench.compare.gates import Step
from frontalbench.compare.kernel import group_of
from frontalbench.errors import BadInput
from frontalbench.figures import palette, style
from frontalbench.figures.series import (
    FEWEST_PLACES,
    FEWEST_PROBES,
    METRICS,
    Bin,
    CellValue,
    Gains,
    Group,
    Interval,
    Reliability,
    Turned,
    curve_drawable,
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
        return _finish(made, title, notice)


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


def gain_by_yaw(variants: Mapping[str, Sequence[Bin]], *, title: str = "", notice: str = "") -> Figure:
    """Identity gain (full colour) and Net Gain (pale, dashed) by bin of \\|yaw\\|, a panel per variant on common axes, with
    95 % intervals over people.

    ``variants``: name -> bins (:func:`frontalbench.figures.series.by_yaw`), all with the same edges. Under each bin stands the variant's n. Bins
    without any probe are left out, and no line crosses them; a hollow mark has too few people for an interval.
    """
    names = list(variants)
    if not names or not any(b.net.n for bins in variants.values() for b in bins):
        raise BadInput("gain by yaw: no probe with a known yaw has an embedding both before and after frontalization")
    edges = [(b.low, b.high) for b in variants[names[0]]]
    if any([(b.low, b.high) for b in bins] != edges for bins in variants.values()):
        raise BadInput("gain by yaw: the variants have different yaw bins")
    filled = [i for i in range(len(edges)) if any(bins[i].net.n for bins in variants.values())]
    with style.drawing():
        made, panels = _panels(len(names))
        places = [float(k + skipped) for k, skipped in enumerate(np.cumsum([0, *(b - a > 1 for a, b in itertools.pairwise(filled))]))]
        for axes, name in zip(panels, names, strict=True):
            bins = [variants[name][i] for i in filled]
            for key, (look, offset) in _LOOKS.items():
                _gain_line(axes, name, [getattr(one, key) for one in bins], places, offset, look)
            _panel_title(axes, name, sum(one.alone for one in variants[name]))
            words = [f"{one.low:g}{'° +' if one.high == np.inf else f'-{one.high:g}°'}\n{one.net.n:,}" for one in bins]
            axes.set_xticks(places, words, fontsize=7 if len(filled) > 5 else 8)
            axes.set_xlim(-0.6, places[-1] + 0.6)
            axes.grid(axis="x", visible=False)
        hollow = any(b.net.n and not np.isfinite(b.net.low) for bins in variants.values() for b in bins)
        _panel_words(made, panels, "|yaw| of the probe, and number of probes", hollow=hollow)
        return _finish(made, title, notice)


_LOOKS: dict[str, tuple[dict[str, Any], float]] = {
    "net": ({"linestyle": (0, (4, 2)), "alpha": 0.5, "linewidth": 1.2}, -0.12),
    "identity": ({"linestyle": "solid"}, 0.12),
}
"""How Net Gain and identity gain are drawn, and how far beside their bin."""
_ACROSS = 3


def _panels(n: int) -> tuple[Figure, list[Axes]]:
    """A figure with ``n`` panels on common axes: variants of one colour on one pair of axes could not be told apart."""
    across = min(n, _ACROSS)
    down = -(-n // across)
    made = style.figure(7.0 if n == 1 else 3.6 * across, 4.3 if n == 1 else 1.1 + 2.3 * down)
    grid = made.subplots(down, across, sharex=False, sharey=True, squeeze=False)
    panels: list[Axes] = list(grid.ravel())
    for axes in panels[n:]:
        axes.set_axis_off()
    for axes in panels[:n]:
        axes.axhline(0, color=palette.ORIGINAL_COLOUR, linewidth=1)
    return made, panels[:n]


def _panel_title(axes: Axes, name: str, alone: int) -> None:
    lines = textwrap.wrap(style.readable(name), 38)[:2] + [f"{alone:,} with one image only left out"] * bool(alone)
    axes.set_title("\n".join(lines), fontsize=9)


def _panel_words(made: Figure, panels: Sequence[Axes], x_label: str, *, hollow: bool = False, band: bool = False) -> None:
    for i, axes in enumerate(panels):
        if i % _ACROSS == 0:
            axes.set_ylabel(
                "change of similarity" if len(panels) > 1 else "change of similarity (0 = as the angled photograph)", fontsize=9
            )
        if i + _ACROSS >= len(panels):
            axes.set_xlabel(x_label if len(panels) == 1 else x_label.replace(" of the probe, and number of", ";"), fontsize=9)
    low, high = panels[0].get_ylim()
    panels[0].set_yticks([tick for tick in panels[0].get_yticks() if low <= tick <= high])
    ink = palette.ORIGINAL_COLOUR
    spread = "band" if band else "bars"
    keys = [
        Line2D([], [], color=ink, label=f"identity gain ({spread}: 95 % interval)"),
        Line2D([], [], color=ink, label="Net Gain", **_LOOKS["net"][0]),
    ]
    if hollow:
        keys.append(
            Line2D([], [], color=ink, marker="o", markerfacecolor="white", linestyle="none", label="too few people for an interval")
        )
    made.legend(handles=keys, loc="outside lower center", ncols=len(keys), fontsize=8)


def _gain_line(
    axes: Axes, name: str, intervals: Sequence[Interval], places: Sequence[float], offset: float, look: Mapping[str, Any]
) -> None:
    """A line through the bins of a variant; broken where a bin is empty."""
    nothing = Interval(np.nan, np.nan, np.nan, 0, 0)
    x, shown = [], []
    for k, (place, interval) in enumerate(zip(places, intervals, strict=True)):
        if k and place - places[k - 1] > 1:
            x.append(place - 1 + offset)
            shown.append(nothing)
        x.append(place + offset)
        shown.append(interval)
    tint = palette.colour(name)
    axes.plot(x, [i.mean for i in shown], color=tint, **look)
    for place, interval in zip(x, shown, strict=True):
        if not interval.n:
            continue
        known = bool(np.isfinite(interval.low))
        if known:
            spread = [[interval.mean - interval.low], [interval.high - interval.mean]]
            axes.errorbar([place], [interval.mean], yerr=spread, color=tint, elinewidth=1.3, capsize=2.5, alpha=look.get("alpha"))
        face = tint if known else "white"
        axes.plot([place], [interval.mean], marker=palette.marker(name), color=tint, markerfacecolor=face, alpha=look.get("alpha"))


def gain_curve(variants: Mapping[str, Gains], *, title: str = "", notice: str = "") -> Figure:
    """Identity gain (with a band of 95 % over people) and Net Gain (pale, dashed) as smooth curves over \\|yaw\\|, a panel per variant on common axes
    (:func:`frontalbench.compare.curves.smooth`).

    Drawn only where probes are near (:func:`frontalbench.compare.curves.near`), a fusion only over probes that had both images.
    Raises :class:`BadInput` when no variant has enough of them at enough different angles.
    """
    usable = {name: made.drawn() for name, made in variants.items() if curve_drawable(made.drawn())}
    if not usable:
        raise BadInput(
            f"gain curve: needs {FEWEST_PROBES} probes of known yaw at {FEWEST_PLACES} different degrees or more; see the bins (gain_by_yaw)"
        )
    degrees = np.arange(0.0, max(float(np.nanmax(np.abs(made.yaw))) for made in usable.values()) + 1.0, 1.5)
    with style.drawing():
        made, panels = _panels(len(usable))
        for axes, (name, gains) in zip(panels, usable.items(), strict=True):
            near = curves.near(np.abs(gains.yaw), degrees)
            for key, (look, _) in _LOOKS.items():
                curve = _curve(gains, key, degrees)
                if key == "identity":
                    axes.fill_between(
                        curve.yaw, curve.low, curve.high, color=palette.colour(name), where=near.tolist(), alpha=0.18, linewidth=0
                    )
                axes.plot(curve.yaw, np.where(near, curve.mean, np.nan), color=palette.colour(name), label=f"_{key}", **look)
            _panel_title(axes, f"{name} (n = {int(np.isfinite(gains.yaw).sum()):,})", int(variants[name].alone.sum()))
        _panel_words(made, panels, "|yaw| of the probe in degrees", band=True)
        return _finish(made, title, notice)


def _curve(gains: Gains, key: str, degrees: Float) -> curves.Curve:
    """Smooth curve of Net Gain or identity gain; the band of the latter leaves strangers' references out too, none where they are not known."""
    yaw, values = np.abs(gains.yaw), getattr(gains, key)
    if key != "identity":
        return curves.smooth(yaw, values, gains.subject, degrees)
    if gains.moves is None or gains.person is None:
        curve, nothing = curves.smooth(yaw, values, gains.subject, degrees), np.full(len(degrees), np.nan)
        return replace(curve, low=nothing, high=nothing)
    people = gains.moves.shape[1]
    return curves.smooth(yaw, values, group_of(gains.person, people), degrees, people=people, moves=-gains.moves)


def gate_sweep(
    variants: Mapping[str, Sequence[Step]], control: Mapping[str, Sequence[Step]] | None = None, *, title: str = "", notice: str = ""
) -> Figure:
    """Mean identity gain over all probes, with a band of 95 % over people, against the share of them whose frontal is taken: one gate per point.

    ``variants``: name -> steps (:func:`frontalbench.figures.series.gate_steps`); ``control``: the same of each one's control, pale and dashed.
    Raises :class:`BadInput` when no gate turns anything.
    """
    usable = {name: list(steps) for name, steps in variants.items() if any(step.share > 0 for step in steps)}
    if not usable:
        raise BadInput("gate sweep: no probe of known yaw has an embedding both before and after frontalization")
    with style.drawing():
        made, panels = _panels(len(usable))
        for axes, (name, steps) in zip(panels, usable.items(), strict=True):
            share = [100 * step.share for step in steps]
            tint = palette.colour(name)
            axes.fill_between(share, [step.low for step in steps], [step.high for step in steps], color=tint, alpha=0.18, linewidth=0)
            beside = (control or {}).get(name, ())
            if beside:
                axes.plot([100 * s.share for s in beside], [s.gain for s in beside], color=palette.ORIGINAL_COLOUR, **_LOOKS["net"][0])
            axes.plot(share, [step.gain for step in steps], color=tint, marker=palette.marker(name), markersize=3)
            best = max(steps, key=lambda step: (step.gain, step.angle))
            axes.annotate(
                f"{best.angle:g}°", (100 * best.share, best.gain), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=8
            )
            axes.set_title("\n".join(textwrap.wrap(style.readable(name), 38)[:2]), fontsize=9)
        for i, axes in enumerate(panels):
            if i % _ACROSS == 0:
                axes.set_ylabel("identity gain over all probes", fontsize=9)
            if i + _ACROSS >= len(panels):
                axes.set_xlabel("% of the probes turned", fontsize=9)
            axes.set_xlim(-4, 104)
            axes.set_xticks(range(0, 101, 25))
        low, high = panels[0].get_ylim()
        panels[0].set_yticks([tick for tick in panels[0].get_yticks() if low <= tick <= high])
        ink = palette.ORIGINAL_COLOUR
        keys = [
            Line2D([], [], color=ink, marker="o", markersize=3, label="gates from 90° (left) to 0° in steps of 5° (band: 95 % interval)")
        ]
        if control:
            keys.append(Line2D([], [], color=ink, label="the control: the same over mirror images", **_LOOKS["net"][0]))
        made.legend(handles=keys, loc="outside lower center", ncols=1, fontsize=8)
        return _finish(made, title, notice)


_TURN_CHARTS = (("similarity", "similarity to GT"), ("identity", "identity gain"), ("dprime", "d'"))


def turn_curve(
    curves: Mapping[str, Mapping[tuple[float, float], Sequence[Turned]]],
    photograph: Mapping[tuple[float, float], Sequence[Turned]],
    *,
    title: str = "",
    notice: str = "",
) -> Figure:
    """Similarity, identity gain and d' (columns) against the share of the yaw that stays, by bin of \\|yaw\\| (rows), a line per method.

    ``curves``: name -> bin -> points (:func:`frontalbench.figures.series.turn_curve`); ``photograph``: the same of the photographs alone, one point.
    Raises :class:`BadInput` when no bin has a probe.
    """
    bins = sorted({one for points in curves.values() for one in points})
    if not bins:
        raise BadInput("turn curve: no probe of known yaw has an embedding at every share of its angle")
    with style.drawing():
        made = style.figure(10.0, 1.4 + 2.1 * len(bins))
        grid = made.subplots(len(bins), len(_TURN_CHARTS), sharex=True, squeeze=False)
        hollow = False
        for row, one in zip(grid, bins, strict=True):
            for axes, (key, words) in zip(row, _TURN_CHARTS, strict=True):
                before = photograph.get(one, ())
                axes.axhline(
                    getattr(before[0], key).mean if before else 0.0, color=palette.ORIGINAL_COLOUR, linestyle=(0, (4, 2)), linewidth=1.2
                )
                for k, (name, points) in enumerate(curves.items()):
                    shown = points.get(one, ())
                    look = {"linestyle": "solid" if ":" not in name else (0, (1, 1)), "linewidth": 1.4}
                    shift = 0.6 * (k - (len(curves) - 1) / 2)
                    axes.plot([100 * p.share + shift for p in shown], [getattr(p, key).mean for p in shown], color=_turn_colour(k), **look)
                    for point in shown:
                        value = getattr(point, key)
                        known = bool(np.isfinite(value.low))
                        hollow |= not known
                        if known:
                            spread = [[value.mean - value.low], [value.high - value.mean]]
                            axes.errorbar(
                                [100 * point.share + shift], [value.mean], yerr=spread, color=_turn_colour(k), elinewidth=1, capsize=2
                            )
                        axes.plot(
                            [100 * point.share + shift],
                            [value.mean],
                            marker="o",
                            markersize=4,
                            color=_turn_colour(k),
                            markerfacecolor=_turn_colour(k) if known else "white",
                        )
                axes.set_xlim(104, -4)
                axes.set_ylabel(words, fontsize=9)
            low, high = one
            n = max((points[one][0].similarity.n for points in curves.values() if one in points), default=0)
            people = max((points[one][0].similarity.subjects for points in curves.values() if one in points), default=0)
            row[0].set_title(
                f"|yaw| {low:g}{'° and more' if high == np.inf else f' to {high:g}°'}: {n:,} probes of {people:,} people", fontsize=9
            )
        for axes in grid[-1]:
            axes.set_xlabel("% of the yaw that stays", fontsize=9)
        keys = [Line2D([], [], color=palette.ORIGINAL_COLOUR, linestyle=(0, (4, 2)), label="the photograph")]
        keys += [
            Line2D(
                [],
                [],
                color=_turn_colour(k),
                marker="o",
                markersize=4,
                linestyle="solid" if ":" not in name else (0, (1, 1)),
                label=style.readable(name),
            )
            for k, name in enumerate(curves)
        ]
        if hollow:
            ink = palette.ORIGINAL_COLOUR
            keys.append(
                Line2D([], [], color=ink, marker="o", markerfacecolor="white", linestyle="none", label="too few people for an interval")
            )
        made.legend(handles=keys, loc="outside lower center", ncols=min(4, len(keys)), fontsize=8)
        return _finish(made, title, notice)


def _turn_colour(place: int) -> str:
    """Lines of one chart are told apart by their place here, since a method and its fusions would have one colour."""
    return palette.HUES[place % len(palette.HUES)]


def gate_calibration(gates: Mapping[str, Reliability], *, title: str = "", notice: str = "") -> Figure:
    """Share of probes whose frontal was the better one against the chance that a learned gate gave them, a mark for each bin with its 95 % interval.

    ``gates``: name -> :func:`frontalbench.figures.series.reliability`. Raises :class:`BadInput` when no gate gave a chance.
    """
    usable = {name: found for name, found in gates.items() if found.bins}
    if not usable:
        raise BadInput(
            "gate calibration: no probe has a chance from a learned gate (too few probes to learn from, or no gate_learned in the grid)"
        )
    with style.drawing():
        made, panels = _panels(len(usable))
        for axes, (name, found) in zip(panels, usable.items(), strict=True):
            tint = palette.colour(name)
            axes.plot([0, 1], [0, 1], color=palette.ORIGINAL_COLOUR, **_LOOKS["net"][0])
            for one, share in found.bins:
                if np.isfinite(share.low):
                    axes.plot([one.expected, one.expected], [max(0.0, share.low), min(1.0, share.high)], color=tint, linewidth=1)
                axes.annotate(f"{one.n:,}", (one.expected, one.found), xytext=(5, -10), textcoords="offset points", fontsize=7)
            axes.plot(
                [one.expected for one, _ in found.bins], [one.found for one, _ in found.bins], color=tint, marker=palette.marker(name)
            )
            axes.set_title("\n".join([*textwrap.wrap(style.readable(name), 38)[:2], f"Brier score {found.brier:.3f}"]), fontsize=9)
        for i, axes in enumerate(panels):
            axes.set_xlim(-0.02, 1.02)
            axes.set_ylim(-0.05, 1.05)
            if i % _ACROSS == 0:
                axes.set_ylabel("share whose frontal was better", fontsize=9)
            if i + _ACROSS >= len(panels):
                axes.set_xlabel("chance that the gate gave", fontsize=9)
        keys = [
            Line2D([], [], color=palette.ORIGINAL_COLOUR, label="the chances come true", **_LOOKS["net"][0]),
            Line2D(
                [], [], color=palette.ORIGINAL_COLOUR, linewidth=1, label="95 % interval over people; the number of probes beside each mark"
            ),
        ]
        made.legend(handles=keys, loc="outside lower center", ncols=1, fontsize=8)
        return _finish(made, title, notice)


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
        return _finish(made, title, notice)


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
        return _finish(made, title, notice)


def _finish(made: Figure, title: str, notice: str) -> Figure:
    style.add_title(made, title, style.notice(notice))
    return made


def nothing(reason: str, *, title: str = "", notice: str = "") -> Figure:
    """A figure that says why there is nothing to draw, so that a report has no hole."""
    with style.drawing():
        made = style.figure(8.0, 1.6)
        axes = made.subplots()
        axes.set_axis_off()
        axes.text(0.0, 0.5, textwrap.fill(style.readable(reason), 100), va="center", fontsize=10, transform=axes.transAxes)
        return _finish(made, title, notice)


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

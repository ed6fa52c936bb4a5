"""Plots over an angle, a panel for each variant: gains over \\|yaw\\|, gates over the share that they turn, what every degree of turning costs.

Every mean comes with its 95 % interval, every group with its n; :mod:`frontalbench.figures.plots` draws the others.
"""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from frontalbench.compare import curves
from frontalbench.compare.gates import Step
from frontalbench.compare.kernel import group_of
from frontalbench.errors import BadInput
from frontalbench.figures import palette, style
from frontalbench.figures.series import (
    FEWEST_PLACES,
    FEWEST_PROBES,
    Bin,
    Gains,
    Interval,
    Reliability,
    Turned,
    curve_drawable,
)
from frontalbench.types import Float


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
        return style.finished(made, title, notice)


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

    Drawn only where probes are near (:func:`frontalbench.compare.curves.near`), a fusion only over probes that had both embeddings.
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
        return style.finished(made, title, notice)


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
        return style.finished(made, title, notice)


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
        return style.finished(made, title, notice)


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
        return style.finished(made, title, notice)

"""Which of a dataset's figures the report shows, by what they weigh: it has to stay a file that opens on any machine. The site has them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from frontalbench.figures import dataset, series
from frontalbench.figures.dataset import Request
from frontalbench.plan.variant import ORIGINAL, parse


@dataclass(frozen=True)
class ReportEntry:
    """What a rule says of one file: its path under the dataset's figure folder, and how the report shows it.

    ``caption``: a file in ``reports/captions``, "" for what the report leaves out; ``labels`` have the same keys in the same subcategory, as the
    report's tables want.
    """

    path: str
    caption: str
    subcategory: str
    labels: dict[str, str]


REPORT_KILOBYTES = 3400
"""What the figures of a report may weigh in all: the file also holds 3 MB of Snakemake's own, and everything as letters (4 for 3 bytes), and should
stay below 8 MB, so that it opens on any machine and fits a mail. The site has every figure."""
_CELL_KILOBYTES = 1.5
"""What the tables in the report weigh for each cell, in letters; its rows of table 1, of `missing` where it failed, its part of table 2."""
_REST_KILOBYTES = 7900 - 3100 - 400
"""For figures and tables, in letters: less Snakemake's own and the charts of jobs (:data:`.report.JOBS`)."""


def figure_kilobytes(cells: int) -> float:
    """What the figures of a report of so many cells may weigh in all."""
    return max(0.0, min(REPORT_KILOBYTES, 0.75 * (_REST_KILOBYTES - _CELL_KILOBYTES * cells)))


def _kilobytes(request: Request, variants: int) -> int:
    """About how much a figure of so many variants weighs (measured on the demo)."""
    plot = dataset.named(request.name)
    return plot.kilobytes + plot.per_variant * (variants + 2)


def _for_report(wanted: Sequence[Request], variants: int, kilobytes: float) -> set[Request]:
    """The figures of the first judge that fit: the first of every kind, then the others, variants without enhancement first."""
    judge = next((one.judge for one in wanted if one.judge[0]), ("", ""))
    fit = [one for one in wanted if one.judge in (("", ""), judge)]
    fit.sort(key=lambda one: one.variant not in ("", ORIGINAL) and not parse(one.variant).is_plain)
    first = [
        next((one for one in fit if one.name == name), None)
        for name in ("triples", "failures", "heatmap", "gain_by_yaw", "distributions", *dataset.NAMES)
    ]
    chosen: set[Request] = set()
    for one in [*filter(None, first), *fit]:
        size = _kilobytes(one, variants)
        if one not in chosen and size <= kilobytes:
            chosen.add(one)
            kilobytes -= size
    return chosen


def report_entries(variants: Sequence[str], judges: Sequence[tuple[str, str]], datasets: int = 1) -> list[ReportEntry]:
    """Every file of :func:`frontalbench.figures.dataset.stems` with its place in the report, as far as :func:`figure_kilobytes` allows, shared by so
    many ``datasets``."""
    entries = []
    wanted = list(dataset.requests(variants, judges))
    datasets = max(1, datasets)
    chosen = _for_report(wanted, len(variants), figure_kilobytes(len(variants) * len(judges) * datasets) / datasets)
    for request in wanted:
        plot = dataset.named(request.name)
        labels = {"figure": request.name.replace("_", " ")}
        if plot.values:
            labels |= {"variant": request.variant, "value": series.METRICS[request.metric]}
        elif request.judge[0]:
            labels |= {"judge": {}, "variant": {"variant": request.variant}, "dataset": {"variant": "all"}}[plot.about]
            labels |= {"detector": request.judge[0], "backbone": request.judge[1]}
        for kind in request.formats:
            shown = request in chosen and kind == request.formats[0]  # of a plot the PNG, a third of the SVG's bytes
            entries.append(ReportEntry(f"{request.stem}.{kind}", request.name if shown else "", plot.subcategory, labels))
    return entries

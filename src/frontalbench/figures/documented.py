"""What stands about figures outside of the code, made of their declarations: the table of ``docs/figures.md`` and the captions of the report."""

from __future__ import annotations

from collections.abc import Sequence

from frontalbench.catalogue.pages import Parts, marks
from frontalbench.figures.dataset import PLOTS
from frontalbench.figures.plot import Plot


def parts(plots: Sequence[Plot] = PLOTS) -> Parts:
    """The table of ``docs/figures.md``."""
    return {marks("figures"): table(plots)}


def table(plots: Sequence[Plot] = PLOTS) -> str:
    """A row per figure: its name, what it needs, what it shows."""
    rows = [(f"`{plot.name}`", plot.needs, plot.shows) for plot in plots]
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in (("figure", "needs", "shows"), *rows)]
    return "\n".join([lines[0], "|---|---|---|", *lines[1:]])


def captions(plots: Sequence[Plot] = PLOTS) -> dict[str, str]:
    """``NAME.rst`` -> its text, for every figure: what Snakemake reads the caption from."""
    return {f"{plot.name}.rst": f"{plot.caption}\n" for plot in plots}

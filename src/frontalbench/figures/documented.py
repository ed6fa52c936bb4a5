"""What stands about figures outside of the code, made of their declarations: the table of ``docs/figures.md`` and the captions of the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from frontalbench.catalogue.modeltable import put_all
from frontalbench.figures.dataset import PLOTS, Plot
from frontalbench.files import atomic

BEGIN, END = "<!-- figures: made by workflow/scripts/figure_pages.py -->", "<!-- end of figures -->"


def table(plots: Sequence[Plot] = PLOTS) -> str:
    """A row per figure: its name, what it needs, what it shows."""
    rows = [(f"`{plot.name}`", plot.needs, plot.shows) for plot in plots]
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in (("figure", "needs", "shows"), *rows)]
    return "\n".join([lines[0], "|---|---|---|", *lines[1:]])


def captions(plots: Sequence[Plot] = PLOTS) -> dict[str, str]:
    """``NAME.rst`` -> its text, for every figure: what Snakemake reads the caption from."""
    return {f"{plot.name}.rst": f"{plot.caption}\n" for plot in plots}


def write(page: Path, folder: Path, *, check: bool = False) -> list[Path]:
    """Bring the table of ``page`` and the captions in ``folder`` up to date; returns the files that were not. ``check``: write nothing."""
    late = [] if put_all(page, {(BEGIN, END): table()}, check=check) else [page]
    for name, text in captions().items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            late.append(path)
            if not check:
                atomic.write_text(path, text)
    return late

"""The tables of columns and measures in ``docs/statistics.md``, made of the code so that they cannot disagree with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from frontalbench.catalogue.pages import Parts, marks
from frontalbench.quality import measures
from frontalbench.tabulate.columns import CELL, TABLES, Column


def parts() -> Parts:
    """Markdown of every table: the cell's columns, those of each table of a run, and the measures of quality."""
    made = {"the cell": _columns(CELL)}
    made |= {name: _table(columns) for name, columns in TABLES.items()}
    made["the measures"] = _measures()
    return {marks(f"columns of {name}"): text for name, text in made.items()}


def _table(columns: Mapping[str, Column]) -> str:
    """The columns of one table; those that are as in the cell are named only."""
    shared = [name for name, column in columns.items() if CELL.get(name) == column]
    own = {name: column for name, column in columns.items() if name not in shared}
    head = f"Of the cell: {', '.join(f'`{name}`' for name in shared)}. And:\n\n" if shared else ""
    return head + _columns(own)


def _columns(columns: Mapping[str, Column]) -> str:
    rows = [(f"`{name}`", text, kind.range, kind.better) for name, (kind, text) in columns.items()]
    return _markdown(("column", "meaning", "range", "better"), rows)


def _measures() -> str:
    rows = [
        (f"`{measure.word}`", f"`{name}`", column.better, column.what)
        for measure in measures.MEASURES
        for name, column in measure.columns.items()
    ]
    return _markdown(("asked for by", "measure", "better", "what"), rows)


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    first, *rest = (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in (head, *rows))
    return "\n".join([first, "|" + "---|" * len(head), *rest])

"""With what a run was computed: a row per library, told from the provenance of its similarity tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from frontalbench import tables
from frontalbench.plan.grid import Cell
from frontalbench.upkeep import environment


def software_rows(cells: Sequence[Cell]) -> list[dict[str, Any]]:
    """Rows of the table ``software``: a library (or the kind of processor), the versions behind the cells, in how many cells each had a part.

    Raises :class:`BadInput` for a damaged similarity table.
    """
    counts: dict[str, dict[str, int]] = {}
    for cell in cells:
        for word, versions in environment.of_record(tables.provenance(cell.similarity), cell.similarity).items():
            for version in versions:
                found = counts.setdefault(word, {})
                found[version] = found.get(version, 0) + 1
    rows = []
    for word, found in sorted(counts.items()):
        note = ""
        if len(found) > 1:
            note = (
                "the comparison mixes versions; check_results.py --mixed names the tables, with --mend they are made anew by the next run"
            )
        rows += [
            {"software": word, "version": version, "n_cells": n, "mixed": len(found) > 1, "note": note}
            for version, n in sorted(found.items())
        ]
    return rows

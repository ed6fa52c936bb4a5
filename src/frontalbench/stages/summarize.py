"""similarity tables of a run -> master tables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from frontalbench import tabulate
from frontalbench.tabulate import TableSettings
from frontalbench.tabulate.facts import from_cards


def summarize(
    similarity: Iterable[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    settings: TableSettings | None = None,
    expected: Iterable[str | os.PathLike[str]] = (),
    yaw_bins: Mapping[str, Sequence[float]] | None = None,
    measured: Iterable[str | os.PathLike[str]] = (),
    sets: Iterable[str | os.PathLike[str]] = (),
) -> list[Path]:
    """Write ``results/master/RUN`` from similarity tables named ``.../<dataset>/<variant>/<detector>/<backbone>.parquet`` (scores beside them).

    ``expected``: tables that the grid asks for; those that do not exist are listed in the table ``missing``. ``yaw_bins``: dataset -> edges in
    degrees that replace the card's. ``measured``: quality tables named ``.../<dataset>/<variant>/<detector>.parquet``; ``sets``: tables of FID and
    KID named alike. Returns the files written.
    """
    cells = sorted({tabulate.cell_of(path) for path in similarity})
    known = set(cells)
    missing = [
        {
            **{"dataset": cell.dataset, "variant": cell.variant, "detector": cell.detector, "backbone": cell.backbone},
            "status": "not_made",
            "n_images": None,
            "reason": f"{cell.similarity} does not exist; run the workflow for it",
        }
        for cell in sorted({tabulate.cell_of(path) for path in expected})
        if cell not in known
    ]
    return tabulate.summarize(
        cells,
        out,
        facts=from_cards(cells, yaw_bins),
        settings=settings,
        missing=missing,
        measured=[Path(p) for p in measured],
        sets=[Path(p) for p in sets],
    )

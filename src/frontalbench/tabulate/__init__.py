"""The master table and the paper tables.

:func:`summarize` turns the similarity tables of a run into ``results/master/RUN``; :func:`load_master` reads that folder into pandas.
Every column is listed in :mod:`.columns` and explained in ``docs/statistics.md``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frontalbench.errors import BadInput
from frontalbench.files import atomic
from frontalbench.plan.grid import Cell, cell_of
from frontalbench.tabulate import facts as facts_module
from frontalbench.tabulate import judges, master, paper, paper_text, published, quality, software, verification, write
from frontalbench.tabulate.columns import TABLES
from frontalbench.tabulate.dataset import TableSettings, read_datasets
from frontalbench.tabulate.facts import Facts

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TABLES", "Cell", "Facts", "TableSettings", "cell_of", "load_master", "run_folder", "summarize", "tables_of"]

_SHAPED = ("table2_enhancement", "table3_backbones")  # their CSV has the study's shape


def tables_of(
    cells: Sequence[Cell],
    facts: Facts | None = None,
    settings: TableSettings | None = None,
    missing: Sequence[dict[str, Any]] = (),
    measured: Sequence[Path] = (),
    sets: Sequence[Path] = (),
) -> dict[str, list[dict[str, Any]]]:
    """Rows of every table of :data:`TABLES` for the given cells.

    ``facts``: what the cards say (read from the cards when None); ``missing``: further rows for the table ``missing`` (cells that were never
    made); ``measured``: quality tables; ``sets``: tables of FID and KID. Raises :class:`BadInput` when cells do not fit together.
    """
    if not cells:
        raise BadInput("summarize: no similarity table given; run the comparison first")
    settings = settings or TableSettings()
    facts = facts if facts is not None else facts_module.from_cards(cells)
    out: dict[str, list[dict[str, Any]]] = {name: [] for name in TABLES}
    for dataset in read_datasets(cells):
        long_rows = master.master_rows(dataset, facts, settings)
        master.adjust_master(long_rows)
        out["master"] += long_rows
        gains = paper.net_gain_rows(long_rows)
        paper.hold_against_mirror(gains, dataset, settings)
        paper.say_of_gates(gains, dataset)
        paper.mark_best_gain(gains, dataset, facts, settings)
        out["table1_net_gain"] += gains
        out["table2_enhancement"] += paper.enhancement_rows(dataset, facts, settings)
        out["table3_backbones"] += paper.backbone_rows(dataset, facts, settings)
        for name, rows in verification.verification_tables(dataset, facts, settings).items():
            out[name] += rows
        for name, found in zip(("judges", "judge_pairs"), judges.judge_rows(dataset, facts, settings), strict=True):
            out[name] += found
        out["identities"] += master.identity_rows(dataset, facts)
        out["wins"] += master.win_rows(dataset, facts, settings)
        out["counts"] += master.count_rows(dataset, facts, settings.edges)
        out["missing"] += master.missing_rows(dataset)
    out["missing"] += [dict(row) for row in missing]
    out["quality"] = quality.quality_rows(measured, facts, settings, sets)
    out["software"] = software.software_rows(cells)
    out["published"] = published.published_rows(out["master"])
    return out


def summarize(
    cells: Sequence[Cell],
    out: str | os.PathLike[str],
    *,
    facts: Facts | None = None,
    settings: TableSettings | None = None,
    missing: Sequence[dict[str, Any]] = (),
    measured: Sequence[Path] = (),
    sets: Sequence[Path] = (),
) -> list[Path]:
    """Write every table into the folder ``out`` (.parquet and .csv, the paper tables also as .md); returns the paths."""
    rows = tables_of(cells, facts, settings, missing, measured, sets)
    folder = Path(out)
    paths: list[Path] = []
    record = write.record(cell.similarity for cell in cells)
    for name in TABLES:
        paths += write.write_table(folder, name, rows[name], provenance=record, with_csv=name not in _SHAPED)
    texts = {
        "table1_net_gain.md": paper_text.net_gain_markdown(rows["table1_net_gain"]),
        "table2_enhancement.md": paper_text.enhancement_markdown(rows["table2_enhancement"]),
        "table2_enhancement.csv": paper_text.wide_csv(rows["table2_enhancement"], ("dataset", "synthetic", "frontalizer", "enhancement")),
        "table3_backbones.md": paper_text.backbone_markdown(rows["table3_backbones"]),
        "table3_backbones.csv": paper_text.wide_csv(rows["table3_backbones"], ("dataset", "synthetic", "group")),
    }
    for name, text in texts.items():
        atomic.write_text(folder / name, text)
        paths.append(folder / name)
    return paths


def run_folder(path: str | os.PathLike[str]) -> Path:
    """The folder with a run's tables: ``path`` itself, or the only run in it. Raises :class:`BadInput` where there is none, or more than one."""
    folder = Path(path)
    if not folder.is_dir():
        raise BadInput(f"{folder}: not a folder; give the folder that summarize.py wrote, such as results/master/demo")
    of_runs = sorted(path.parent for path in folder.glob("*/master.parquet"))
    loose = (folder / "master.parquet").is_file()
    if len(of_runs) + loose > 1:
        beside = " beside tables of an older version" if loose else ""
        raise BadInput(f"{folder}: tables of {len(of_runs)} run(s){beside}; give one: {', '.join(map(str, of_runs))}")
    return of_runs[0] if of_runs else folder


def load_master(path: str | os.PathLike[str]) -> dict[str, pd.DataFrame]:
    """The tables of a run (``results/master/RUN``) as tidy pandas frames, by name; columns as in :data:`TABLES`.

    ``results/master`` itself will do as long as there is one run. Raises :class:`BadInput` when the folder or one of its tables is missing or broken,
    and when it holds several runs.
    """
    from frontalbench import tables
    from frontalbench.tabulate.columns import schema

    folder = run_folder(path)
    return {name: tables.read(folder / f"{name}.parquet", schema(name)).to_pandas() for name in TABLES}

"""Tables to files, byte for byte the same for the same numbers: fixed columns, fixed number format, rows in the order given."""

from __future__ import annotations

import csv
import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from frontalbench import __version__, tables
from frontalbench.files import atomic
from frontalbench.tabulate.columns import TABLES, schema

Row = Mapping[str, Any]
DIGITS = 6
"""Decimals kept everywhere: finer differences are rounding of matrix products."""


def tidy(value: Any, kind: pa.DataType) -> Any:
    """A value as it is stored: rounded, NaN and infinity as None."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return None
    if pa.types.is_floating(kind):
        number = round(float(value), DIGITS)
        return number + 0.0 if math.isfinite(number) else None  # + 0.0 turns -0.0 into 0.0
    if pa.types.is_integer(kind):
        return int(value)
    if pa.types.is_boolean(kind):
        return bool(value)
    return str(value)


def as_table(name: str, rows: Sequence[Row]) -> pa.Table:
    """Rows as an Arrow table with the documented columns; missing keys become null, unknown keys are an error."""
    columns = TABLES[name]
    for row in rows:
        unknown = set(row) - set(columns)
        if unknown:
            raise KeyError(f"{name}: undocumented columns {sorted(unknown)}")
    return pa.table(
        {key: pa.array([tidy(r.get(key), kind.arrow) for r in rows], kind.arrow) for key, (kind, _) in columns.items()}, schema=schema(name)
    )


def text(value: Any) -> str:
    """A stored value in a CSV file: six decimals for numbers, yes / no, empty for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{DIGITS}f}"
    return str(value)


def _is_formula(cell: str) -> bool:
    if cell[:1] not in ("=", "+", "-", "@"):
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return False


def csv_text(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """CSV with ``\\n`` line ends; a text cell that a spreadsheet would run as a formula gets a leading apostrophe."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        writer.writerow(["'" + cell if isinstance(cell, str) and _is_formula(cell) else text(cell) for cell in row])
    return buffer.getvalue()


def csv_rows(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """CSV of ``rows`` by name of column; what a row lacks and numbers that are not finite are empty."""
    return csv_text(columns, [[_finite(row.get(column)) for column in columns] for row in rows])


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def record(inputs: Iterable[str | os.PathLike[str]]) -> dict[str, Any]:
    """The provenance record of the master tables: no clock, and inputs by their content, so that the same numbers give the same bytes."""
    digests = {str(path): tables.CONTENT + tables.content_digest(path) for path in inputs}
    return {"stage": "summarize", "tool": f"frontalbench {__version__}", "inputs": digests}


def write_table(
    folder: str | os.PathLike[str], name: str, rows: Sequence[Row], *, provenance: Mapping[str, Any], with_csv: bool = True
) -> list[Path]:
    """Write ``<name>.parquet`` (and ``.csv``) into ``folder``; returns the paths."""
    table = as_table(name, rows)
    paths = [Path(folder, f"{name}.parquet")]
    tables.write(paths[0], table, provenance, row_group_size=65536)
    if with_csv:
        paths.append(Path(folder, f"{name}.csv"))
        columns = [table.column(key).to_pylist() for key in table.column_names]
        atomic.write_text(paths[-1], csv_text(table.column_names, list(zip(*columns, strict=True))))
    return paths


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; vertical bars in cells are escaped."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    return "\n".join([line(header), "|" + "---|" * len(header), *(line(row) for row in rows)]) + "\n"


def number(value: float | None, digits: int = 3) -> str:
    """A number for people; empty when unknown, never ``-0.000``."""
    if value is None or not math.isfinite(value):
        return ""
    shown = f"{value:.{digits}f}"
    return shown[1:] if float(shown) == 0 and shown.startswith("-") else shown


def signed(value: float | None, digits: int = 3) -> str:
    """As :func:`number`, with a sign."""
    shown = number(value, digits)
    return shown if not shown or shown.startswith("-") or float(shown) == 0 else "+" + shown


def interval(value: float | None, low: float | None, high: float | None, digits: int = 3, *, sign: bool = False) -> str:
    """``0.512 [0.480, 0.541]``; the bracket is left out where there is no interval."""
    show = signed if sign else number
    shown = show(value, digits)
    ends = [show(end, digits) for end in (low, high)]
    return f"{shown} [{ends[0]}, {ends[1]}]" if shown and all(ends) else shown


def save(folder: Path, of: Iterable[tuple[str, Sequence[str], Sequence[Row]]]) -> list[str]:
    """Write (file name, columns, rows) as CSV files into ``folder``; a line for each: which file, how many rows."""
    lines = []
    for name, columns, rows in of:
        atomic.write_text(folder / name, csv_rows(columns, rows))
        lines.append(f"{folder / name}: {len(rows)} rows")
    return lines

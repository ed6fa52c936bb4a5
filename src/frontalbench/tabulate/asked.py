"""Tables that a run makes only where its configuration asks for them: their names, and reading them back for the pages."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from frontalbench.errors import BadInput

SEARCH = ("open_set", "lineup", "thresholds", "det")
SLICES = ("slices", "slice_pairs")
OVER_TIME = ("over_time", "sequences", "frames")
WORDS = (
    "dataset",
    "variant",
    "detector",
    "backbone",
    "by",
    "measure",
    "slice",
    "other",
    "note",
    "supported",
    "subject",
    "sequence",
    "image",
)
"""Columns of text; all others are numbers."""


def read(folder: Path, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Table by name -> rows; numbers as floats, None where a field is empty.

    Raises :class:`BadInput` for a table that is not there or is another one.
    """
    found = {}
    for name in names:
        path = folder / f"{name}.csv"
        try:
            with path.open(encoding="utf-8", newline="") as handle:
                found[name] = [{key: _value(path, key, text) for key, text in row.items()} for row in csv.DictReader(handle)]
        except FileNotFoundError:
            raise BadInput(f"{path}: not there; run the workflow with search, slices or over_time in its configuration") from None
        except (UnicodeDecodeError, csv.Error) as error:
            raise BadInput(f"{path}: no CSV file of Frontalbench ({error})") from None
    return found


def _value(path: Path, key: str, text: str | None) -> Any:
    if key in WORDS:
        return text or ""
    try:
        number = float(text) if text else math.nan
    except ValueError:
        raise BadInput(f"{path}: column '{key}': '{text}' is no number") from None
    return number if math.isfinite(number) else None

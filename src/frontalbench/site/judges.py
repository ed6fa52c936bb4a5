"""The page of the judges: the photographs alone under every detector and backbone, and which judge is the most robust, measure by measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from frontalbench.plan.variant import ORIGINAL
from frontalbench.site import charts
from frontalbench.site.master import Master, Row
from frontalbench.tabulate.judges import COMPARED_ON_SCALE

GROUPS = ("Angled vs GT", "GT vs GT", "Angled vs Angled")
TRUST = {
    "fnmr": "it counts the errors that a user of a face recognition system would meet",
    "z_area": "it says how far above strangers the right person lies over all angles",
    "z_slope": "it says only how fast a judge falls with the angle; one that is poor everywhere has little to lose",
}
"""The measures by which judges with different backbones may be compared, the one to believe first on top, and why."""


def of_dataset(master: Master, dataset: str) -> dict[str, Any]:
    """What the page shows of a dataset but for its notice."""
    tables = []
    for group in GROUPS:
        rows = [r for r in master.rows("table3_backbones", dataset=dataset, group=group) if r["mean"] is not None]
        if rows:
            tables.append({"group": group, **_crossed(rows)})
    return {
        "dataset": dataset,
        "tables": tables,
        "judges": (robust := robust_judges(master, dataset)),
        "winners": winners(robust),
        "pairs": master.rows("judge_pairs", dataset=dataset),
        "verification": [r for r in master.rows("verification", dataset=dataset) if r["variant"] == ORIGINAL],
    }


def robust_judges(master: Master, dataset: str) -> list[dict[str, Any]]:
    """Measure by measure: the judges that may be compared, best first."""
    found: dict[tuple[str, str], list[Row]] = {}
    for row in master.rows("judges", dataset=dataset):
        group = "" if row["measure"] in COMPARED_ON_SCALE else row["backbone"]
        found.setdefault((row["measure"], group), []).append(row)
    parts = []
    for (measure, backbone), rows in found.items():
        if len(rows) > 1:
            bounds = charts.limits([row[key] for row in rows for key in ("value", "low", "high")], zero=False)
            order = sorted(rows, key=lambda r: (r["place"], r["detector"], r["backbone"]))
            parts.append({"measure": measure, "backbone": backbone, "rows": order, "limits": bounds})
    return parts


def winners(robust: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Which judge each comparable measure puts first, where they do not agree: the measure to believe and why; else None."""
    first = {part["measure"]: part["rows"][0] for part in robust if part["measure"] in TRUST and part["rows"][0]["value"] is not None}
    names = {measure: (row["detector"], row["backbone"]) for measure, row in first.items()}
    if len(set(names.values())) < 2:
        return None
    believed = next(measure for measure in TRUST if measure in first)
    return {"names": names, "believed": believed, "why": TRUST[believed], "tied": first[believed]["last"] - first[believed]["first"]}


def _crossed(rows: Sequence[Row]) -> dict[str, Any]:
    columns: dict[str, list[float]] = {}
    for row in rows:
        columns.setdefault(row["backbone"], []).append(row["mean"])
    return {
        "detectors": list(dict.fromkeys(r["detector"] for r in rows)),
        "backbones": list(dict.fromkeys(r["backbone"] for r in rows)),
        "cells": {(r["detector"], r["backbone"]): r for r in rows},
        # Similarities of different backbones are not on one scale: a column is tinted by its own range.
        "ranges": {b: (min(v) - 0.02, max(v) + 0.02) for b, v in columns.items()},
    }

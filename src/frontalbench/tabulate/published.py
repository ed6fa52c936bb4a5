"""The study's printed numbers, what does not add up in them, and our values of the same cells where they were run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

import yaml

from frontalbench.plan.variant import ORIGINAL

Row = dict[str, Any]
SPREAD = 0.05
"""Two printed means of one group, dataset and N that differ by more than this cannot both describe the same measurement."""


def read() -> dict[str, Any]:
    """The printed numbers: ``data/published.yaml``."""
    text = resources.files("frontalbench.tabulate").joinpath("data/published.yaml").read_text(encoding="utf-8")
    data: dict[str, Any] = yaml.safe_load(text)
    return data


def check(row: Mapping[str, Any], everything: Sequence[Mapping[str, Any]]) -> str:
    """What does not add up about one printed value, seen beside all others; empty when nothing was found."""
    found = []
    value, decimals = float(row["value"]), len(row["value"].partition(".")[2])
    if row["group"] == "Net Gain":
        beside = {r["group"]: r["value"] for r in everything if _same(r, row, ("table", "frontalizer", "dataset"))}
        before, after = beside["Angled vs GT"], beside["Frontal vs GT"]
        true = float(after) - float(before)
        if abs(true - value) > 0.5 * 10.0**-decimals + 1e-9:
            found.append(f"printed {row['value']}, but {after} - {before} = {true:.2f}")
    failures = row.get("failures")
    if failures is not None and failures > row["n"]:
        found.append(f"{failures} faces not detected do not fit in N {row['n']}")
    if failures is not None:
        others = sorted(r["value"] for r in everything if _same(r, row, ("table", "enhancement", "group")) and r.get("failures") is None)
        if others:
            found.append(f"a mean over the faces that were still found; not comparable with {' and '.join(others)} beside it")
    if row.get("dataset"):
        rivals = [r for r in everything if _same(r, row, ("dataset", "group", "n")) and r["table"] != row["table"]]
        apart = [r for r in rivals if abs(float(r["value"]) - value) > SPREAD]
        if apart:
            values = sorted({r["value"] for r in apart})
            shown = values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"
            found.append(f"table {apart[0]['table']} prints {shown} for the same group and N")
    return "; ".join(found)


def _same(one: Mapping[str, Any], two: Mapping[str, Any], keys: Sequence[str]) -> bool:
    return all(one.get(key) == two.get(key) for key in keys)


def published_rows(master: Sequence[Mapping[str, Any]]) -> list[Row]:
    """One row per printed value, with its check and, where that very cell is in ``master``, our value over the images that both gave."""
    data = read()
    printed = [{**row, "table": table["table"]} for table in data["tables"] for row in table["rows"]]
    ours = {
        (r["dataset"], r["variant"], r["detector"], r["backbone"], r["group"]): r
        for r in master
        if r["yaw_axis"] == "all" and r["subset"] == ("own" if r["variant"] == ORIGINAL else "common")
    }
    out = []
    for row in printed:
        names = ("table", "frontalizer", "enhancement", "dataset", "judge", "group")
        line: Row = {name: row.get(name, "") for name in names}
        line |= {"printed": row["value"], "printed_n": row["n"], "printed_failures": row.get("failures"), "check": check(row, printed)}
        match = next((ours[key] for key in _keys(row, data) if key in ours), None)
        if match is not None:
            line |= {
                "rerun": match["mean"],
                "rerun_low": match["ci_low"],
                "rerun_high": match["ci_high"],
                "rerun_n": match["n_images"],
                "rerun_cell": ", ".join(match[key] for key in ("dataset", "variant", "detector", "backbone")),
            }
        out.append(line)
    return out


def _keys(row: Mapping[str, Any], data: Mapping[str, Any]) -> list[tuple[str, str, str, str, str]]:
    """Keys of the cells that repeat a printed value, best match first."""
    datasets = data["datasets"][row["dataset"]] if row.get("dataset") else [name for names in data["datasets"].values() for name in names]
    judges = [data["judges"][row["judge"]]] if row.get("judge") else list(data["judges"].values())
    if row["group"] in ("Angled vs Angled", "GT vs GT") or row["table"] == "3":
        variants = [ORIGINAL]
    else:
        enhancement = data["enhancements"][row.get("enhancement", "Base")]
        variants = [f"{name}.{enhancement}" for name in data["frontalizers"][row.get("frontalizer", "LivePortrait")]]
    return [
        (dataset, variant, detector, backbone, row["group"])
        for dataset in datasets
        for variant in variants
        for judge in judges
        for detector in judge["detectors"]
        for backbone in judge["backbones"]
    ]

"""The pages that only some sites have, of tables made on request: the search, slices, sequences over time.

Each function gives the blocks of a page, one for each dataset and judge. ``about``: dataset -> the notice and the credit that go with its images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from frontalbench.plan.variant import ORIGINAL
from frontalbench.site import charts, moving
from frontalbench.site.master import Row

Tables = Mapping[str, Sequence[Row]]
About = Callable[[str], dict[str, Any]]
Strip = Callable[[str, Sequence[str], Sequence[str]], moving.Shown]
"""(dataset, its images, variants) -> these frames as files of the site."""
SEQUENCES = 3
"""Sequences of a dataset that are shown frame by frame."""
IN_A_STRIP = 6
"""Variants below the photographs of a strip."""


def searched(tables: Tables, about: About) -> list[dict[str, Any]]:
    """Of every dataset and judge: the tables of the search, and the DET curve of every variant with that of the photographs behind it."""
    blocks = []
    for dataset, judge in _judged(tables["open_set"]):
        mine = {name: [row for row in rows if _of(row) == (dataset, judge)] for name, rows in tables.items()}
        curves: dict[str, list[charts.Point]] = {}
        for row in mine["det"]:
            point = charts.Point(math.log10(row["fmr_target"]), row["fnmr"], row["fnmr_low"], row["fnmr_high"])
            curves.setdefault(row["variant"], []).append(point)
        series = {name: charts.Series(name, sorted(points), band=True) for name, points in curves.items()}
        places = sorted({point.x for points in curves.values() for point in points})
        chart = charts.lines(
            [one for name, one in series.items() if name != ORIGINAL] or list(series.values()),
            title=f"DET curve on {dataset}: FNMR against FMR",
            x_label="false match rate",
            y_label="false non-match rate",
            ticks=[(float(d), f"{100 * 10.0**d:g} %") for d in range(-5, 0) if places and places[0] - 0.1 <= d <= places[-1] + 0.1],
            behind=series.get(ORIGINAL) if len(series) > 1 else None,
        )
        blocks.append(
            {
                "dataset": dataset,
                "judge": judge,
                **about(dataset),
                "chart": chart,
                **mine,
            }
        )
    return blocks


def sliced(tables: Tables, about: About) -> list[dict[str, Any]]:
    """Of every dataset, judge and kind of slices: a part for each variant, with the differences that hold."""
    blocks = []
    for dataset, judge in _judged(tables["slices"]):
        mine = {name: [row for row in rows if _of(row) == (dataset, judge)] for name, rows in tables.items()}
        parts = []
        for key in dict.fromkeys((row["by"], row["variant"]) for row in mine["slices"]):
            rows, pairs = ([row for row in mine[name] if (row["by"], row["variant"]) == key] for name in ("slices", "slice_pairs"))
            parts.append({"by": key[0], "variant": key[1], "rows": rows, "pairs": pairs})
        blocks.append({"dataset": dataset, "judge": judge, **about(dataset), "parts": parts})
    return blocks


def over_time(tables: Tables, about: About, strip: Strip) -> list[dict[str, Any]]:
    """Of every dataset and judge: the measures of every variant, and the first sequences with strip, curve and clips."""
    blocks = []
    for dataset, judge in _judged(tables["over_time"]):
        mine = {name: [row for row in rows if _of(row) == (dataset, judge)] for name, rows in tables.items()}
        variants = list(dict.fromkeys(row["variant"] for row in mine["over_time"]))
        of = {(row["variant"], row["measure"]): row for row in mine["over_time"]}
        measures = list(dict.fromkeys(row["measure"] for row in mine["over_time"]))
        first = mine["over_time"][0]
        chosen = list(dict.fromkeys((row["subject"], row["sequence"]) for row in mine["sequences"]))[:SEQUENCES]
        blocks.append(
            {
                "dataset": dataset,
                "judge": judge,
                **about(dataset),
                "rows": [{"variant": v, **{m: of[v, m] for m in measures}} for v in variants],
                "people": int(first["n_subjects"]),
                "sequences": int(first["n_sequences"]),
                "note": first["note"],
                "shown": [_sequence(dataset, key, variants, mine["frames"], strip) for key in chosen],
            }
        )
    return blocks


def _sequence(dataset: str, key: tuple[str, str], variants: Sequence[str], rows: Sequence[Row], strip: Strip) -> dict[str, Any]:
    mine = [row for row in rows if (row["subject"], row["sequence"]) == key]
    frames = [row["image"] for row in mine if row["variant"] == variants[0]]
    series = {
        variant: charts.Series(
            variant,
            [charts.Point(row["number"], row["similarity"]) for row in mine if row["variant"] == variant and row["similarity"] is not None],
            band=True,
            gap=1.0,
        )
        for variant in variants
    }
    chart = charts.lines(
        [one for name, one in series.items() if name != ORIGINAL],
        title=f"Similarity to the references over the frames of {key[1]}, with that of the photographs",
        x_label="frame",
        y_label="similarity to GT",
        zero=False,
        behind=series.get(ORIGINAL),
    )
    shown = [variant for variant in variants if variant != ORIGINAL][:IN_A_STRIP]
    return {"subject": key[0], "sequence": key[1], "frames": len(frames), "chart": chart, "strip": strip(dataset, frames, shown)}


def _of(row: Row) -> tuple[str, tuple[str, str]]:
    return row["dataset"], (row["detector"], row["backbone"])


def _judged(rows: Iterable[Row]) -> list[tuple[str, tuple[str, str]]]:
    """The (dataset, judge) of a table, in its order."""
    return list(dict.fromkeys(map(_of, rows)))

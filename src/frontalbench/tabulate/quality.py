"""Quality of the images, summarized: a mean per variant and measure, its interval over people, and its change against the photographs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frontalbench import status, tables
from frontalbench.compare import jackknife
from frontalbench.compare.subjects import people_of
from frontalbench.errors import BadInput
from frontalbench.plan.variant import ORIGINAL, parse
from frontalbench.quality import measures
from frontalbench.quality.measures import Measure
from frontalbench.tabulate.dataset import SYNTHETIC_NOTE, TableSettings, join_notes, sign_note, weight_note
from frontalbench.tabulate.facts import Facts
from frontalbench.types import Bool, Float, Words

Row = dict[str, Any]

MEASURES = measures.columns()
"""Measure of images -> which way is better, and what it is."""
SETS = measures.columns(of_sets=True)
"""The same of the measures of a set: FID and KID of aligned crops, so not comparable with published ones of whole images."""
ASKED: Mapping[str, Measure] = {name: measure for measure in measures.MEASURES if measure.card for name in measure.columns}
"""Measure that is only taken when it is asked for -> its declaration."""
NOT_MEASURED: Mapping[str, str] = {
    "lpips": "the AlexNet that LPIPS stands on is in no package that could be found; st_lpips_alex is another measure, with other numbers",
}
"""Measures that stand in the table without a value, and why."""


@dataclass(frozen=True)
class Measured:
    """One quality table. ``role``, ``subject``, ``status`` (n,); ``values``: measure -> float64 (n,), NaN where it was not measured; ``missing``: the
    words of measures that were asked for in vain."""

    dataset: str
    variant: str
    detector: str
    image_id: Words
    role: Words
    subject: Words
    status: Words
    values: Mapping[str, Float]
    missing: frozenset[str]


def read(path: Path) -> Measured:
    """The table ``.../<dataset>/<variant>/<detector>.parquet``. Raises :class:`BadInput` when it is none."""
    table = tables.read(path, tables.QUALITY)

    def words(name: str) -> Words:
        return np.array([value or "" for value in table.column(name).to_pylist()], dtype=np.str_)

    def numbers(name: str) -> Float:
        values: Float = table.column(name).to_numpy().astype(np.float64)
        return values

    values = {name: np.abs(numbers(c.magnitude_of)) if c.magnitude_of else numbers(name) for name, c in MEASURES.items()}
    dataset, variant = path.parts[-3:-1]
    missing = frozenset(tables.provenance(path).get("missing", {}))
    return Measured(dataset, variant, path.stem, words("image_id"), words("role"), words("subject"), words("status"), values, missing)


def quality_rows(paths: Iterable[Path], facts: Facts, settings: TableSettings, sets: Iterable[Path] = ()) -> list[Row]:
    """Rows of the table ``quality``; ``sets``: tables of FID and KID.

    Raises :class:`BadInput` when tables of one dataset are not of the same images.
    """
    found = [read(path) for path in paths]
    of_set = {(*path.parts[-3:-1], path.stem): tables.read(path, tables.DISTRIBUTION).to_pylist() for path in sets}
    bases = {(one.dataset, one.detector): one for one in found if one.variant == ORIGINAL}
    out: list[Row] = []
    for one in sorted(found, key=lambda j: (j.dataset, j.detector, j.variant != ORIGINAL, j.variant)):
        base = bases.get((one.dataset, one.detector))
        if base is None or len(base.image_id) != len(one.image_id) or (base.image_id != one.image_id).any():
            raise BadInput(
                f"quality of {one.dataset}, {one.variant}: not the same images as that of variant 'original'; measure both again"
            )
        for role in ("probe", "reference") if one.variant == ORIGINAL else ("probe",):
            chosen = (one.role == role) & ((one.status == status.OK) | np.isin(one.status, sorted(status.FAILURE_TO_ACQUIRE)))
            for measure in MEASURES:
                row = _row(one, base, measure, chosen, settings, synthetic=one.dataset in facts.synthetic)
                if row is not None:
                    out.append({**_head(one, facts), "role": role, **row})
        here = of_set.get((one.dataset, one.variant, one.detector), [])
        out += [{**_head(one, facts), "role": "probe", **_set_row(row, synthetic=one.dataset in facts.synthetic)} for row in here]
    for (dataset, detector), base in sorted(bases.items()):
        beside = [one for one in found if (one.dataset, one.detector) == (dataset, detector)]
        taken = {m for one in beside for m, values in one.values.items() if np.isfinite(values).any()}
        taken |= {m for one in beside if (dataset, one.variant, detector) in of_set for m in SETS}
        out += [
            {**_head(base, facts), "role": "probe", "measure": measure, "better": "", "n_images": 0, "note": reason}
            for measure, reason in [*_not_taken(taken, frozenset().union(*(one.missing for one in beside))), *NOT_MEASURED.items()]
        ]
    return out


def _not_taken(taken: set[str], missing: frozenset[str]) -> list[tuple[str, str]]:
    """(measure, why it has no value) of what was not taken."""
    out = []
    for name, measure in ASKED.items():
        if name not in taken:
            word, card = measure.word, "/".join(measure.card or ())
            brought = f"the weights are not here: python workflow/scripts/fetch_weights.py --card {card} (with --from FILE: a file brought by hand)"
            brought = f"what it runs in is not here: {measure.bring}" if measure.bring else brought
            out.append((name, brought if word in missing else f"not asked for: add {word} to quality.measures in the configuration"))
    return out


def _set_row(row: Row, *, synthetic: bool) -> Row:
    """FID or KID of one variant; ``mean`` is its value."""
    column = SETS[row["measure"]]
    note = join_notes(row["detail"] or column.what, SYNTHETIC_NOTE if synthetic else "")
    counts = {key: row[key] for key in ("n_images", "n_subjects", "n_references")}
    return {
        "measure": row["measure"],
        "better": column.better,
        **counts,
        "mean": row["value"],
        "ci_low": row["low"],
        "ci_high": row["high"],
        "note": note,
    }


def _head(one: Measured, facts: Facts) -> Row:
    of = parse(one.variant)
    return {
        "dataset": one.dataset,
        "synthetic": one.dataset in facts.synthetic,
        "variant": one.variant,
        "frontalizer": of.frontalizer,
        "enhancement": of.enhancement,
        "detector": one.detector,
    }


def _row(one: Measured, base: Measured, measure: str, chosen: Bool, settings: TableSettings, *, synthetic: bool) -> Row | None:
    """None when the measure was not taken."""
    values = np.where(chosen, one.values[measure], np.nan)
    if not np.isfinite(values).any():
        return None
    own = values[np.isfinite(values)]
    low, high, n_subjects = _interval(values, one.subject, settings)
    who = people_of(values, one.subject)
    n_fta = int((chosen & (one.status != status.OK)).sum())
    row: Row = {
        "measure": measure,
        "better": MEASURES[measure].better,
        "n_images": len(own),
        "n_subjects": n_subjects,
        "n_eligible": int(chosen.sum()),
        "n_fta": n_fta,
        "mean": float(own.mean()),
        "ci_low": low,
        "ci_high": high,
        "median": float(np.median(own)),
        "mean_people": who.mean,
        "n_effective": who.effective,
    }
    signs = ""
    change = values - base.values[measure]
    if one.variant != ORIGINAL and np.isfinite(change).any():
        low, high, _ = _interval(change, one.subject, settings, jackknife.KURTOSIS_OF_CHANGES)
        both = change[np.isfinite(change)]
        row |= {"n_common": len(both), "change": float(both.mean()), "change_low": low, "change_high": high}
        signs = sign_note("the change", row["change"], people_of(change, one.subject))
    row["note"] = join_notes(MEASURES[measure].what, weight_note(who), signs, SYNTHETIC_NOTE if synthetic else "")
    return row


def _interval(values: Float, subject: Words, settings: TableSettings, kurtosis: float = jackknife.KURTOSIS) -> tuple[float, float, int]:
    """(low, high, people): 95 % interval of the mean over people; NaN below two."""
    here = np.isfinite(values)
    names, code = np.unique(subject[here], return_inverse=True)
    if len(names) < 2:
        return math.nan, math.nan, len(names)
    found = jackknife.mean_estimate(values[here], code, kurtosis)
    return found.low, found.high, len(names)

"""Quality of the pictures, summarised: a mean per variant and measure, its interval over people, and its change against the photographs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from frontalbench import status, tables
from frontalbench.compare import bootstrap
from frontalbench.errors import BadInput
from frontalbench.tabulate.dataset import SYNTHETIC_NOTE, Settings, join_notes
from frontalbench.tabulate.facts import ORIGINAL, Facts

Row = dict[str, Any]
Floats = npt.NDArray[np.float64]
Words = npt.NDArray[np.str_]

MEASURES: Mapping[str, tuple[str, str]] = {
    "ssim": ("higher", "luminance of the whole crop"),
    "psnr": ("higher", "dB, colours of the whole crop"),
    "ssim_face": ("higher", "inside the face mask"),
    "psnr_face": ("higher", "dB, inside the face mask"),
    "sharpness": ("", "variance of the Laplacian inside the face mask; noise and halos count as sharpness"),
    "abs_yaw": ("lower", "degrees, residual |yaw|"),
    "abs_pitch": ("lower", "degrees, residual |pitch|"),
    "pose_error": ("lower", "degrees between the picture's pose and the frontal one"),
    "expression": ("lower", "mean difference of 51 blendshapes to the photograph"),
}
"""Measure -> (which way is better, what it is)."""
NOT_MEASURED: Mapping[str, str] = {
    "lpips": "no weight of LPIPS can be fetched and checked here (the packaged shift-tolerant one is another metric)",
    "fid": "no Inception here was validated against a published FID; frontalbench.quality.distribution computes it of given features",
    "kid": "as fid",
    "face_quality": "the weights of eDifFIQA are in no package; a card would need them checked against the authors' code",
    "no_reference": "no no-reference score with published parameters could be checked here; sharpness is the nearest",
}
"""Measures that stand in the table without a value, and why."""


@dataclass(frozen=True)
class Judged:
    """One quality table. ``role``, ``subject``, ``status`` (n,); ``values``: measure -> float64 (n,), NaN where it was not measured."""

    dataset: str
    variant: str
    detector: str
    image_id: Words
    role: Words
    subject: Words
    status: Words
    values: Mapping[str, Floats]


def read(path: Path) -> Judged:
    """The table ``.../<dataset>/<variant>/<detector>.parquet``. Raises :class:`BadInput` when it is none."""
    table = tables.read(path, tables.QUALITY)

    def words(name: str) -> Words:
        return np.array([value or "" for value in table.column(name).to_pylist()], dtype=np.str_)

    def numbers(name: str) -> Floats:
        values: Floats = table.column(name).to_numpy().astype(np.float64)
        return values

    values = {name: numbers(name) for name in ("ssim", "psnr", "ssim_face", "psnr_face", "sharpness", "pose_error", "expression")}
    values |= {f"abs_{name}": np.abs(numbers(name)) for name in ("yaw", "pitch")}
    dataset, variant = path.parts[-3:-1]
    return Judged(dataset, variant, path.stem, words("image_id"), words("role"), words("subject"), words("status"), values)


def quality_rows(paths: Iterable[Path], facts: Facts, settings: Settings) -> list[Row]:
    """Rows of the table ``quality``. Raises :class:`BadInput` when tables of one dataset are not of the same images."""
    found = [read(path) for path in paths]
    bases = {(one.dataset, one.detector): one for one in found if one.variant == ORIGINAL}
    out: list[Row] = []
    for one in sorted(found, key=lambda j: (j.dataset, j.detector, j.variant != ORIGINAL, j.variant)):
        base = bases.get((one.dataset, one.detector))
        if base is None or len(base.image_id) != len(one.image_id) or (base.image_id != one.image_id).any():
            raise BadInput(f"quality of {one.dataset}, {one.variant}: not the same images as that of variant 'original'; judge both again")
        for role in ("probe", "reference") if one.variant == ORIGINAL else ("probe",):
            chosen = (one.role == role) & ((one.status == status.OK) | np.isin(one.status, sorted(status.FAILURE_TO_ACQUIRE)))
            for measure in MEASURES:
                row = _row(one, base, measure, chosen, settings, synthetic=one.dataset in facts.synthetic)
                if row is not None:
                    out.append({**_head(one, facts), "role": role, **row})
        if one.variant == ORIGINAL:
            out += [
                {**_head(one, facts), "role": "probe", "measure": name, "better": "", "n_images": 0, "note": reason}
                for name, reason in NOT_MEASURED.items()
            ]
    return out


def _head(one: Judged, facts: Facts) -> Row:
    frontalizer, _, enhancement = ("", "", "") if one.variant == ORIGINAL else one.variant.partition(".")
    return {
        "dataset": one.dataset,
        "synthetic": one.dataset in facts.synthetic,
        "variant": one.variant,
        "frontalizer": frontalizer,
        "enhancement": enhancement,
        "detector": one.detector,
    }


def _row(one: Judged, base: Judged, measure: str, chosen: npt.NDArray[np.bool_], settings: Settings, *, synthetic: bool) -> Row | None:
    """None when the measure was not taken."""
    values = np.where(chosen, one.values[measure], np.nan)
    if not np.isfinite(values).any():
        return None
    own = values[np.isfinite(values)]
    low, high, n_subjects = _interval(values, one.subject, settings)
    n_fta = int((chosen & (one.status != status.OK)).sum())
    row: Row = {
        "measure": measure,
        "better": MEASURES[measure][0],
        "n_images": len(own),
        "n_subjects": n_subjects,
        "n_eligible": int(chosen.sum()),
        "n_fta": n_fta,
        "mean": float(own.mean()),
        "ci_low": low,
        "ci_high": high,
        "median": float(np.median(own)),
        "note": join_notes(MEASURES[measure][1], SYNTHETIC_NOTE if synthetic else ""),
    }
    change = values - base.values[measure]
    if one.variant != ORIGINAL and np.isfinite(change).any():
        low, high, _ = _interval(change, one.subject, settings)
        both = change[np.isfinite(change)]
        row |= {"n_common": len(both), "change": float(both.mean()), "change_low": low, "change_high": high}
    return row


def _interval(values: Floats, subject: Words, settings: Settings) -> tuple[float, float, int]:
    """(low, high, people): 95 % interval of the mean over people; NaN below two."""
    here = np.isfinite(values)
    names, code = np.unique(subject[here], return_inverse=True)
    if len(names) < 2:
        return math.nan, math.nan, len(names)
    sums, numbers = np.bincount(code, values[here]).astype(np.float64), np.bincount(code).astype(np.float64)
    low, high = bootstrap.mean_intervals(sums[:, None], numbers[:, None], resamples=settings.resamples, seed=settings.seed)
    return float(low[0]), float(high[0]), len(names)

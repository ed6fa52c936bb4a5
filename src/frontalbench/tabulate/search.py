"""embeddings of finished cells -> open-set search, line-ups, thresholds with intervals of their own."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from frontalbench import status, tables
from frontalbench.compare import gates, jackknife, lineup, open_set, rates, significance, templates, thresholds
from frontalbench.compare import scores as pair_scores
from frontalbench.compare.galleries import reference_gallery
from frontalbench.compare.jackknife import Estimate, LeftOut
from frontalbench.compare.metadata import Metadata, read_metadata
from frontalbench.compare.recipes import recipe_of
from frontalbench.compare.rows import read_rows
from frontalbench.compare.shards import read_all, with_mirrored, with_originals
from frontalbench.compare.two_sets import Faces
from frontalbench.errors import BadInput
from frontalbench.plan.grid import Cell, Selection
from frontalbench.plan.variant import LEARNED, ORIGINAL, parse
from frontalbench.tabulate import beside
from frontalbench.types import Bool

HEAD = ("dataset", "variant", "detector", "backbone")
OPEN_SET = (
    *HEAD,
    *("fpir_target", "supported", "threshold", "fpir", "fnir", "fnir_low", "fnir_high"),
    *("n_mated", "n_nonmated", "n_enrolled", "draws"),
)
LINEUP = (
    *HEAD,
    *("n_images", "n_fta", "n_identities", "right", "right_low", "right_high", "right_of_all"),
    *("n_common", "right_common", "right_original", "difference", "difference_low", "difference_high", "p", "p_holm"),
)
THRESHOLDS = (*HEAD, "fmr_target", "supported", "threshold", "threshold_low", "threshold_high", "fmr", "fnmr", "fnmr_low", "fnmr_high")
DET = THRESHOLDS
"""Columns of the points of DET curves: those of thresholds, at the false match rates :data:`DET_GRID` down to one pair in all."""
DET_GRID = tuple(10.0 ** (-step / 4.0) for step in range(1, 21))
"""False match rates from 56 % down to 0.001 %, four in a decade."""
NOT_SEARCHED = ("fuse_max", "fuse_score", "pose_matched", "feature_frontal")
"""Recipes that are no single embedding of an image, or need a file besides the embeddings."""


@dataclass
class Found:
    """Rows of the four tables, and what was left out, a line each."""

    open_set: list[dict[str, Any]] = field(default_factory=list)
    lineup: list[dict[str, Any]] = field(default_factory=list)
    thresholds: list[dict[str, Any]] = field(default_factory=list)
    det: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def search_results(
    results: Path,
    *,
    grid: Selection | None = None,
    datasets: Sequence[str] = (),
    variants: Sequence[str] = (),
    draws: int = open_set.DRAWS,
    enrolled: float = open_set.ENROLLED,
    seed: int = 0,
) -> Found:
    """Search, line up and find thresholds for the finished cells below ``results`` (all, or those of ``datasets`` and ``variants``).

    ``grid``: the cells of a run's grid and no others that lie there.

    Raises :class:`BadInput` when nothing fits, or tables do not belong together.
    """
    cells = [
        cell
        for cell in (beside.cells_in(results) if grid is None else grid.cells())
        if (not datasets or cell.dataset in datasets) and (not variants or cell.variant in (*variants, ORIGINAL))
    ]
    asked = [name for name in variants if name not in {cell.variant for cell in cells}]
    if asked or not cells:
        raise BadInput(f"{results}: no finished cell of {', '.join(asked) or ', '.join(datasets)}; run the workflow for it first")
    found = Found()
    for dataset in sorted({cell.dataset for cell in cells}):
        for judge in sorted({cell.judge for cell in cells if cell.dataset == dataset}):
            mine = [cell for cell in cells if cell.dataset == dataset and cell.judge == judge]
            _search(results, mine, found, draws, enrolled, seed)
    known = [row for row in found.lineup if math.isfinite(row["p"])]
    for row, p in zip(known, significance.holm([row["p"] for row in known]), strict=True):
        row["p_holm"] = float(p)
    return found


def _search(results: Path, cells: Sequence[Cell], found: Found, draws: int, enrolled: float, seed: int) -> None:
    """The cells of one dataset and judge."""
    base = next((cell for cell in cells if cell.variant == ORIGINAL), None)
    if base is None:
        raise BadInput(f"{cells[0].similarity}: the cell of variant '{ORIGINAL}' with the same detector and backbone is needed beside it")
    meta = metadata_of(results, base)
    originals = read_all(shards_of(results, base, ORIGINAL))
    gallery, places = reference_gallery(meta, originals)
    if not len(gallery):
        found.notes.append(f"{base.dataset}, {base.detector} + {base.backbone}: left out; no reference has an embedding")
        return
    people = int(meta.subject_code.max(initial=-1)) + 1
    known = Faces(np.asarray(gallery.vectors, np.float32), gallery.subject)
    present = np.unique(gallery.subject)
    drawn = open_set.galleries(present, people, draws, enrolled, seed)
    lined = lineup.lineups(known, people)
    answers: dict[str, tuple[Bool, Bool]] = {}
    for cell in sorted(cells, key=lambda one: (one.variant != ORIGINAL, one.variant)):
        head = dict(zip(HEAD, (cell.dataset, cell.variant, cell.detector, cell.backbone), strict=True))
        named = parse(cell.variant)
        if named.recipe in NOT_SEARCHED:
            found.notes.append(f"{cell.dataset}/{cell.variant}: left out; {named.recipe} is no single embedding of an image")
            continue
        given = originals if named.is_original else read_all(shards_of(results, cell, named.base))
        shards = with_originals(meta, given, None if named.is_original else originals)
        if named.second:
            shards = with_mirrored(shards, given, read_all(shards_of(results, cell, named.second)))
        recipe = recipe_of(meta, named, shards, originals, gallery, own=given, gate=_decided(cell) if named.recipe == LEARNED else None)
        vectors, ok = np.zeros((len(meta), known.vectors.shape[1]), np.float32), np.zeros(len(meta), np.bool_)
        for shard in map(recipe, shards):
            vectors[shard.rows], ok[shard.rows] = np.where(shard.ok[:, None], shard.vectors[0], np.float32(0.0)), shard.ok
        probe = (meta.role == "probe") & (meta.status != status.NOT_USED)
        faces = Faces(vectors[probe], meta.subject_code[probe])
        enrolled_as = known
        if named.is_template:
            one_each, _ = templates.gallery(meta, (gallery, places), templates.weights_of(named.recipe, meta, originals))
            enrolled_as = Faces(np.asarray(one_each.vectors, np.float32), one_each.subject)
        for row in open_set.rates(open_set.search(enrolled_as, faces, drawn, ok[probe])):
            found.open_set.append(
                {
                    **{**head, "fpir_target": row.target, "supported": row.supported, "threshold": row.threshold, "fpir": row.fpir},
                    **{"fnir": row.fnir.value, "fnir_low": row.fnir.low, "fnir_high": row.fnir.high, "n_mated": row.n_mated},
                    **{"n_nonmated": row.n_nonmated, "n_enrolled": row.gallery, "draws": draws},
                }
            )
        mask = lined.asked[faces.person]
        answers[cell.variant] = lineup.chosen_rightly(enrolled_as, faces, lined), ok[probe] & mask
        found.lineup.append({**head, **_lineup_row(answers, cell.variant, faces.person, mask, people)})
        rows, curve = _threshold_rows(cell)
        found.thresholds += [{**head, **row} for row in rows]
        found.det += [{**head, **row} for row in curve]


def metadata_of(results: Path, base: Cell) -> Metadata:
    """Who is who, and in which role: as the finished cell of the originals says it. Raises :class:`BadInput` where its files are not there."""
    folder = results / "metadata" / base.dataset
    rows = read_rows(base.similarity)
    images = folder / "images.parquet"
    if not images.is_file():
        raise BadInput(f"{images}: not there; a run of this version writes it (snakemake results)")
    pose = [folder / "pose.parquet"] if (folder / "pose.parquet").is_file() else []
    meta = read_metadata([images], pose)
    if meta.image_id.tolist() != [str(name) for name in rows.image_id]:
        raise BadInput(f"{images} and {base.similarity}: other images in one than in the other; run the workflow again")
    yaw, pitch = rows.yaw.astype(np.float32), rows.pitch.astype(np.float32)
    return dataclasses.replace(meta, role=rows.role.astype(np.str_), yaw=yaw, pitch=pitch)


def _decided(cell: Cell) -> gates.Gate:
    """What a learned gate decided when its cell was compared."""
    detail = read_rows(cell.similarity).detail
    turned, _ = gates.decided([str(words) for words in detail])
    return gates.Gate(turned, detail)


def shards_of(results: Path, cell: Cell, variant: str) -> list[Path]:
    """The embeddings of ``variant`` by the judge of ``cell``. Raises :class:`BadInput` where there are none."""
    folder = results / "embeddings" / cell.dataset / variant / cell.detector / cell.backbone
    found = sorted(folder.glob("*.parquet"))
    if not found:
        raise BadInput(f"{folder}: no embeddings; they are kept beside the tables of a run, and were taken away here")
    return found


def _share(hit: Bool, asked: Bool, person: Any, people: int) -> tuple[Estimate, LeftOut]:
    hits = np.bincount(person[asked], hit[asked].astype(np.float64), minlength=people).astype(np.float64)[:, None]
    numbers = np.bincount(person[asked], minlength=people).astype(np.float64)[:, None]
    some = numbers[:, 0] > 0
    if not some.any():
        nothing = np.zeros(0)
        return Estimate(math.nan, math.nan, math.nan), LeftOut(math.nan, nothing, nothing)
    low, high = jackknife.rate_intervals(hits[some], numbers[some])
    value, without, share = jackknife.mean_left_out(hits[some], numbers[some])
    return Estimate(float(value[0]), float(low[0]), float(high[0])), LeftOut(float(value[0]), without[:, 0], share[:, 0])


def _lineup_row(answers: dict[str, tuple[Bool, Bool]], variant: str, person: Any, mask: Bool, people: int) -> dict[str, Any]:
    right, usable = answers[variant]
    own, _ = _share(right, usable, person, people)
    row: dict[str, Any] = {
        **{"n_images": int(usable.sum()), "n_fta": int((mask & ~usable).sum()), "n_identities": len(np.unique(person[usable]))},
        **{"right": own.value, "right_low": own.low, "right_high": own.high},
        **{"right_of_all": float((right & usable).sum() / mask.sum()) if mask.any() else math.nan, "p": math.nan, "p_holm": math.nan},
    }
    if variant != ORIGINAL:
        before, there = answers[ORIGINAL]
        common = usable & there
        after_share, after = _share(right, common, person, people)
        before_share, at_first = _share(before, common, person, people)
        change = after - at_first
        estimate = change.estimate()
        row |= {"n_common": int(common.sum()), "right_common": after_share.value, "right_original": before_share.value}
        row |= {"difference": estimate.value, "difference_low": estimate.low, "difference_high": estimate.high, "p": change.p_value()}
    return row


def _threshold_rows(cell: Cell) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(recommended thresholds, points of the DET curve) from the pair scores of a cell; none where the cell has no scores."""
    if cell.scores is None:
        return [], []
    genuine, impostors = pair_scores.from_table(tables.read(cell.scores, pair_scores.SCORES))
    if not len(genuine.scores) or not impostors.n:
        return [], []
    names = np.unique(read_rows(cell.similarity).subject.astype(np.str_))
    subject = np.searchsorted(names, genuine.subject.astype(np.str_)).astype(np.int64)
    targets = [*rates.FMR_TARGETS, *DET_GRID]
    points = [rates.operating_point(impostors, target) for target in targets]
    misses = rates.miss_rates(genuine.scores, subject, impostors, [point.threshold for point in points]).estimates()
    # no interval for a threshold that few pairs stand behind
    bands = thresholds.of_impostors(impostors, [point.threshold if point.supported else math.nan for point in points], targets)
    rows = []
    for point, fnmr, band in zip(points, misses, bands, strict=True):
        rows.append(
            {
                **{"fmr_target": point.target, "supported": point.supported, "threshold": point.threshold, "fmr": point.fmr},
                **{"threshold_low": band.low, "threshold_high": band.high},
                **{"fnmr": fnmr.value, "fnmr_low": fnmr.low, "fnmr_high": fnmr.high},
            }
        )
    n = len(rates.FMR_TARGETS)
    curve = [row for row in rows[n:] if row["fmr_target"] * impostors.n >= 1.0]
    return rows[:n], curve

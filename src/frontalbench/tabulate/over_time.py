"""Sequences judged over time: does a recording keep the person from frame to frame, does it tremble, and does any frontal beat the plain template?

A sequence is what the dataset calls one (a clip, a folder of numbered images, a recording): its probes, in the order of the numbers in their names.
The control is the mean of the photographs' embeddings weighted by cos(yaw), without any frontalization; a frontal of several views counts only if it
beats that.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyarrow.parquet as pq

from frontalbench import images, tables
from frontalbench.compare import jackknife
from frontalbench.compare.metadata import Metadata, places_of
from frontalbench.compare.rows import read_rows
from frontalbench.compare.shards import read_all
from frontalbench.compare.templates import weights_by_yaw
from frontalbench.errors import BadInput, Unreadable
from frontalbench.images import RGB
from frontalbench.plan.grid import Cell, Selection, images_path, quality_path
from frontalbench.plan.variant import ORIGINAL
from frontalbench.sequences.order import by_number
from frontalbench.sequences.overtime import over_time, residual_pose, template, unit, warp_error
from frontalbench.tabulate import beside
from frontalbench.tabulate.search import metadata_of, shards_of
from frontalbench.types import Bool, Float

HEAD = ("dataset", "variant", "detector", "backbone")
MEASURES: Mapping[str, str] = {
    "identity_mean": "similarity of the frames to the template of the person's references, mean over the sequence",
    "identity_worst": "of its worst frame",
    "identity_spread": "standard deviation over the sequence",
    "template": "similarity of the sequence's own template (the mean of its frames' embeddings) to that of the references",
    "control": "the same of the photographs, weighted by cos(yaw): no frontalization",
    "over_control": "template - control: above zero, the frontals beat the plain template",
    "embedding_jitter": "1 - similarity of neighbouring frames, mean",
    "warp_error": "grey levels between neighbouring frames after the first was moved onto the second by their optical flow, mean",
    "residual_mean": "degrees that the heads are turned, the largest of yaw, pitch and roll, mean (photographs: as they were taken)",
    "residual_worst": "of the worst frame",
    "expression": "mean difference of 51 blendshapes to the photograph (where the run measures expression)",
    "expression_landmarks": "mean distance of 68 landmarks to the photograph's, in distances of the outer eye corners (FSGAN 2019); turning counts",
    "expression_landmarks_turned": "the same after the photograph's landmarks were turned in space to look as the image does",
}
"""Every measure over time and what it is; of one sequence, then the mean over people."""
EXPRESSIONS = ("expression", "expression_landmarks", "expression_landmarks_turned")
"""Columns of the quality table whose mean over a sequence is taken."""
OF_QUALITY = ("residual_mean", "residual_worst", *EXPRESSIONS)
"""Measures that the quality table decides: it may not hold them."""
OVER_TIME = (*HEAD, "measure", "mean", "low", "high", "n_sequences", "n_subjects", "n_images", "n_fta", "note")
SEQUENCES = (*HEAD, "subject", "sequence", "n_images", "n_fta", *MEASURES)
FRAMES = (*HEAD, "subject", "sequence", "number", "image", "similarity")
LEAST = 2
"""Frames that make a sequence."""
FLOW_SIDE = 256
"""Longer side in pixels at which optical flow is taken."""


@dataclass
class Found:
    """Rows of the three tables, and what was left out, a line each."""

    over_time: list[dict[str, Any]] = field(default_factory=list)
    sequences: list[dict[str, Any]] = field(default_factory=list)
    frames: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def of_results(
    results: str | os.PathLike[str], *, grid: Selection | None = None, datasets: Sequence[str] = (), pixels: bool = True
) -> Found:
    """The sequences of the finished cells of every variant with pixels of its own. ``pixels``: also the warp error, which decodes every image.

    Datasets without sequences are left out with a note. Raises :class:`BadInput` where a file of a cell is not there.
    """
    root = Path(results)
    cells = [cell for cell in (beside.cells_in(results) if grid is None else grid.cells()) if not datasets or cell.dataset in datasets]
    if not cells:
        raise BadInput(f"{results}: no finished cell; run the workflow first")
    found = Found()
    judged: dict[tuple[str, str, str], list[Cell]] = {}
    for cell in sorted(cells, key=lambda one: (one.dataset, one.judge, one.variant != ORIGINAL, one.variant)):
        if cell.of.has_pixels:
            judged.setdefault((cell.dataset, *cell.judge), []).append(cell)
    warped: dict[tuple[str, str], dict[tuple[str, str], float]] = {}
    for (dataset, detector, backbone), mine in judged.items():
        if mine[0].variant != ORIGINAL:
            raise BadInput(
                f"{mine[0].similarity}: the cell of variant '{ORIGINAL}' with the same detector and backbone is needed beside it"
            )
        meta = metadata_of(root, mine[0])
        groups_of = sequences_of(meta)
        if not groups_of:
            found.notes.append(f"{dataset}, {detector} + {backbone}: left out; no sequence of {LEAST} or more probes")
            continue
        whole = _embeddings(root, mine[0], ORIGINAL, meta)
        for cell in mine:
            own = whole if cell.variant == ORIGINAL else _embeddings(root, cell, cell.variant, meta)
            measured = _measured(root, cell, meta)
            key = (dataset, cell.variant)
            if pixels and key not in warped:
                warped[key] = warp_errors(_images(root, cell, grid), groups_of, meta)
            _cell(found, cell, meta, groups_of, own, whole, measured, warped.get(key, {}))
    return found


def sequences_of(meta: Metadata) -> dict[tuple[str, str], list[int]]:
    """(person, sequence) -> places of its probes in ``meta``, in the order of the numbers in their names; those of :data:`LEAST` or more."""
    found: dict[tuple[str, str], list[int]] = {}
    for place in np.flatnonzero((meta.role == "probe") & (meta.sequence != "")).tolist():
        found.setdefault((str(meta.subject[place]), str(meta.sequence[place])), []).append(place)
    return {
        key: sorted(places, key=lambda place: by_number(str(meta.image_id[place])))
        for key, places in sorted(found.items())
        if len(places) >= LEAST
    }


def _embeddings(results: Path, cell: Cell, variant: str, meta: Metadata) -> Float:
    """(N, D) of all images, NaN where there is none."""
    read = read_all(shards_of(results, cell, variant))
    out = np.full((len(meta), read[0].vectors.shape[1]), np.nan)
    for one in read:
        places = places_of(meta, one.image_id, one.path)
        out[places[one.ok]] = one.vectors[one.ok]
    return out


def _measured(results: Path, cell: Cell, meta: Metadata) -> dict[str, Float]:
    """yaw, pitch, roll (of the images of the variant, degrees) and :data:`EXPRESSIONS` of all images, NaN where they were not measured."""
    names = ("yaw", "pitch", "roll", *EXPRESSIONS)
    out = {name: np.full(len(meta), np.nan) for name in names}
    path = results / Path(quality_path(cell.dataset, cell.variant, cell.detector)).relative_to("results")
    if path.is_file():
        table = tables.read(path)
        places = places_of(meta, np.array(table.column("image_id").to_pylist(), dtype=np.str_), path)
        for name in names:
            values = table.column(name).to_pylist() if name in table.column_names else [None] * len(table)
            out[name][places] = [math.nan if value is None else value for value in values]
    return out


def _images(results: Path, cell: Cell, grid: Selection | None) -> list[Path]:
    if grid is not None:
        return [
            results / Path(images_path(cell.dataset, cell.variant, shard)).relative_to("results") for shard in grid.datasets[cell.dataset]
        ]
    return sorted((results / Path(images_path(cell.dataset, cell.variant, "0000")).relative_to("results")).parent.glob("*.parquet"))


def warp_errors(shards: Sequence[Path], sequences: Mapping[tuple[str, str], Sequence[int]], meta: Metadata) -> dict[tuple[str, str], float]:
    """Mean warp error between the neighbours of each sequence; NaN where no two neighbours have images of one size.

    ``shards``: tables with the columns image_id and image; a sequence lies in one of them. Of each sequence one image is held decoded.
    """
    step_of = {str(meta.image_id[place]): (key, step) for key, places in sequences.items() for step, place in enumerate(places)}
    sums: dict[tuple[str, str], list[float]] = {key: [] for key in sequences}
    for shard in shards:
        waiting: dict[tuple[str, str], dict[int, bytes | None]] = {}
        turn: dict[tuple[str, str], int] = {}
        before: dict[tuple[str, str], RGB | None] = {}
        for image_id, data in _rows(shard):
            if image_id not in step_of:
                continue
            key, step = step_of[image_id]
            waiting.setdefault(key, {})[step] = data
            # Names that are not padded come in another order than in time.
            while (now := turn.get(key, 0)) in waiting[key]:
                image = _small(waiting[key].pop(now))
                last = before.get(key)
                if image is not None and last is not None and image.shape == last.shape:
                    error = warp_error(last, image, last, image)
                    sums[key] += [error] if math.isfinite(error) else []
                before[key], turn[key] = image, now + 1
                if now + 1 == len(sequences[key]):
                    before.pop(key)
    return {key: float(np.mean(values)) if values else math.nan for key, values in sums.items()}


def _rows(shard: Path) -> Iterator[tuple[str, bytes | None]]:
    try:
        with pq.ParquetFile(shard) as file:
            for batch in file.iter_batches(batch_size=16, columns=["image_id", "image"]):
                yield from zip(batch.column("image_id").to_pylist(), batch.column("image").to_pylist(), strict=True)
    except FileNotFoundError:
        raise BadInput(f"{shard}: not found; run the stage that writes it first") from None


def _small(data: bytes | None) -> RGB | None:
    if data is None:
        return None
    try:
        image = images.decode(data)
    except Unreadable:
        return None
    scale = FLOW_SIDE / max(image.shape[:2])
    if scale >= 1.0:
        return image
    size = (max(16, round(image.shape[1] * scale)), max(16, round(image.shape[0] * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _cell(
    found: Found,
    cell: Cell,
    meta: Metadata,
    sequences: Mapping[tuple[str, str], Sequence[int]],
    own: Float,
    original: Float,
    measured: Mapping[str, Float],
    warped: Mapping[tuple[str, str], float],
) -> None:
    head = dict(zip(HEAD, (cell.dataset, cell.variant, cell.detector, cell.backbone), strict=True))
    failed = _failed(cell)
    references = {
        str(subject): _template(original[(meta.subject == subject) & (meta.role == "reference")])
        for subject in {key[0] for key in sequences}
    }
    rows = []
    for (subject, sequence), places in sequences.items():
        at = np.array(places)
        row: dict[str, Any] = {**head, "subject": subject, "sequence": sequence, "n_images": len(at), "n_fta": int(failed[at].sum())}
        reference = references[subject]
        if reference is not None:
            judged = over_time(own[at], reference)
            row |= {name: getattr(judged, name) for name in ("identity_mean", "identity_worst", "identity_spread", "embedding_jitter")}
            mine = _template(own[at])
            control = _template(original[at], weights_by_yaw(meta.yaw[at]))
            row["template"] = math.nan if mine is None else float(mine @ reference)
            row["control"] = math.nan if control is None else float(control @ reference)
            row["over_control"] = row["template"] - row["control"]
            for number, place in enumerate(places):
                value = float(unit(own[place]) @ reference) if np.isfinite(own[place]).all() else math.nan
                frame = {"number": number, "image": str(meta.image_id[place]), "similarity": value}
                found.frames.append({**head, "subject": subject, "sequence": sequence, **frame})
        row["residual_mean"], row["residual_worst"] = residual_pose(*(measured[name][at] for name in ("yaw", "pitch", "roll")))
        for name in EXPRESSIONS:
            known = measured[name][at]
            row[name] = float(known[np.isfinite(known)].mean()) if np.isfinite(known).any() else math.nan
        row["warp_error"] = warped.get((subject, sequence), math.nan)
        rows.append(row)
    found.sequences += rows
    found.over_time += [{**head, **_summed(rows, measure)} for measure in MEASURES]


def _failed(cell: Cell) -> Bool:
    return read_rows(cell.similarity).fta


def _template(embeddings: Float, weights: Float | None = None) -> Float | None:
    """(D,) the mean of the rows that are known, of length 1; None where none is."""
    known = np.isfinite(embeddings).all(axis=1)
    if not known.any():
        return None
    if weights is None:
        return template(embeddings)
    made: Float = unit((unit(embeddings[known]) * weights[known, None]).sum(axis=0))
    return made


def _summed(rows: Sequence[Mapping[str, Any]], measure: str) -> dict[str, Any]:
    """The mean over people of the mean over each one's sequences, with its interval over people."""
    of: dict[str, list[float]] = {}
    for row in rows:
        value = row.get(measure, math.nan)
        if math.isfinite(value):
            of.setdefault(row["subject"], []).append(value)
    counted = {
        "measure": measure,
        "n_sequences": sum(map(len, of.values())),
        "n_subjects": len(of),
        "n_images": sum(row["n_images"] for row in rows),
        "n_fta": sum(row["n_fta"] for row in rows),
    }
    if not of:
        why = "no image was measured for it" if measure in OF_QUALITY else "no sequence has a value"
        return {**counted, "mean": math.nan, "low": math.nan, "high": math.nan, "note": why}
    means = np.array([[np.mean(values)] for values in of.values()])
    low, high = jackknife.mean_intervals(means, np.ones_like(means))
    few = len(of) < jackknife.MIN_PEOPLE
    note = f"{len(of)} {'person' if len(of) == 1 else 'people'}: too few for an interval" if few else ""
    ends = (math.nan, math.nan) if few else (float(low[0]), float(high[0]))
    return {**counted, "mean": float(means.mean()), "low": ends[0], "high": ends[1], "note": note}

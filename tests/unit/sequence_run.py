"""A small finished run of sequences: seven people who turn in four frames, the photographs and one frontalizer; its tables and its site."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from frontalbench import images, status, tables
from frontalbench.figures import inputs
from frontalbench.site import build, master
from frontalbench.tabulate import asked, over_time
from frontalbench.tabulate.write import csv_rows
from tests.unit import site_run

PEOPLE, NAME = 7, site_run.NAME
ANGLES = {"original": (60.0, 30.0, 20.0, 50.0), "turned.none": (10.0, -20.0, 10.0, -20.0)}
"""Degrees between the embedding of each frame and that of the reference, in one plane."""
YAWS = (70.0, 30.0, 0.0, 60.0)
FRAMES = ("walk_1", "walk_2", "walk_10", "walk_11")
"""In the order of time, which is not that of their names."""


def vector(degrees: float) -> list[float]:
    return [math.cos(math.radians(degrees)), math.sin(math.radians(degrees)), 0.0, 0.0]


def face(shift: int) -> bytes:
    """A soft pattern, moved to the right."""
    pattern = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (96, 120), dtype=np.uint8), (0, 0), 4)
    wide = cv2.normalize(pattern, None, 20, 235, cv2.NORM_MINMAX)
    return images.encode_png(np.repeat(np.roll(wide, shift, axis=1)[:, 12:108, None], 3, axis=2))


def write(root: Path) -> Path:
    """The results folder ``root`` of the run."""
    people = [f"p{k}" for k in range(PEOPLE)]
    names = [(person, f"{person}/{frame}.png", frame) for person in people for frame in ("GT", *FRAMES)]
    names.sort(key=lambda one: one[1])
    listed: list[dict[str, Any]] = []
    for person, image_id, frame in names:
        reference = frame == "GT"
        row = {"image_id": image_id, "identity": person, "subject": person, "role": "reference" if reference else "probe"}
        row |= {"sequence": "" if reference else f"{person}/walk", "source": image_id, "sha256": image_id, "status": "ok", "detail": ""}
        yaw = 0.0 if reference else YAWS[FRAMES.index(frame)]
        listed.append({**row, "width": 96, "height": 96, "yaw": yaw, "pitch": 0.0, "roll": 0.0, "pose_source": "ground_truth"})
    images = [{**row, "image": face(0 if "GT" in row["image_id"] else FRAMES.index(row["image_id"][3:-4]))} for row in listed]
    tables.write(root / "metadata" / NAME / "images.parquet", tables.from_rows(listed, tables.LISTED))
    tables.write(root / "images" / NAME / "0000.parquet", tables.from_rows(images, tables.IMAGES))
    frontals = [{**row, "image": face(0)} for row in images]
    tables.write(root / "frontals" / NAME / "turned" / "0000.parquet", tables.from_rows([_head(row) for row in frontals], tables.FRONTALS))
    for variant, angles in ANGLES.items():
        similar, embedded, quality = [], [], []
        for row, (_, _, frame) in zip(listed, names, strict=True):
            lost = variant != "original" and row["image_id"] == "p0/walk_2.png"
            word = status.NO_FACE if lost else "ok"
            head = {key: row[key] for key in ("image_id", "identity", "role", "subject")} | {"status": word, "detail": ""}
            similar.append({**head, "yaw": row["yaw"], "pitch": 0.0, "roll": 0.0, "yaw_source": "ground_truth"})
            degrees = 0.0 if frame == "GT" else angles[FRAMES.index(frame)]
            embedded.append({**head, "score": 1.0, "norm": 20.0, "embedding": None if lost else vector(degrees)})
            turned = {"yaw": degrees, "pitch": 1.0, "roll": -3.0, "expression": 0.25 if variant != "original" else None}
            turned |= {"expression_landmarks_turned": 0.02 * FRAMES.index(frame) if variant != "original" and frame != "GT" else None}
            quality.append(head if lost else {**head, **turned})
        where = Path(NAME, variant, "scrfd_500m")
        tables.write(root / "similarity" / where / "w600k_mbf.parquet", tables.from_rows(similar, tables.SIMILARITY))
        rows = [{key: value for key, value in row.items() if key != "subject"} for row in embedded]
        tables.write(root / "embeddings" / where / "w600k_mbf" / "0000.parquet", tables.from_rows(rows, tables.embeddings_schema(4)))
        tables.write(root / "quality" / f"{where}.parquet", tables.from_rows(quality, tables.QUALITY))
    return root


def _head(row: dict[str, Any]) -> dict[str, Any]:
    return {key: row[key] for key in ("image_id", "identity", "role", "status", "detail", "image")}


def build_site(results: Path, folder: Path) -> Path:
    """The site of the run with the page of its sequences, in ``folder``; returns the site's folder."""
    found = over_time.of_results(results)
    tables_of_it = folder / "tables"
    tables_of_it.mkdir()
    for name, columns, rows in (
        ("over_time", over_time.OVER_TIME, found.over_time),
        ("sequences", over_time.SEQUENCES, found.sequences),
        ("frames", over_time.FRAMES, found.frames),
    ):
        (tables_of_it / f"{name}.csv").write_text(csv_rows(columns, rows), encoding="utf-8")
    site_run.write_run(folder / "run")
    site, given = folder / "site", asked.read(tables_of_it, asked.OVER_TIME)
    build.Site(master.read(folder / "run" / "master"), site, inputs=image_files(results), over_time=given).build()  # type: ignore[arg-type]
    return site


def image_files(results: Path) -> dict[str, inputs.Inputs]:
    """The images of the run, as the site is given them."""
    return inputs.by_dataset(
        [path for stage in ("images", "frontals", "similarity") for path in sorted((results / stage).rglob("*.parquet"))]
    )

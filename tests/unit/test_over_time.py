"""Sequences over time from the finished cells of a run: closed forms, order, failures, the control, and the page with strip, curve and clip."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from frontalbench import images, status, tables
from frontalbench.errors import BadInput
from frontalbench.figures import inputs
from frontalbench.plan.plan import Plan
from frontalbench.site import build, master, moving
from frontalbench.tabulate import asked, over_time
from frontalbench.tabulate.write import csv_rows
from tests.unit import site_run
from tests.unit.test_config_and_grid import SMALL

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


@pytest.fixture
def results(tmp_path: Path) -> Path:
    root = tmp_path / "results"
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
    pictures = [{**row, "image": face(0 if "GT" in row["image_id"] else FRAMES.index(row["image_id"][3:-4]))} for row in listed]
    tables.write(root / "metadata" / NAME / "images.parquet", tables.from_rows(listed, tables.LISTED))
    tables.write(root / "images" / NAME / "0000.parquet", tables.from_rows(pictures, tables.IMAGES))
    frontals = [{**row, "image": face(0)} for row in pictures]
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


def cos(degrees: float) -> float:
    return math.cos(math.radians(degrees))


def test_measures_of_a_sequence_are_those_of_its_frames_in_the_order_of_time(results: Path) -> None:
    found = over_time.of_results(results)
    rows = {(row["variant"], row["subject"]): row for row in found.sequences}
    photographs, fronts = rows["original", "p3"], rows["turned.none", "p3"]
    assert photographs["identity_mean"] == pytest.approx(np.mean([cos(a) for a in ANGLES["original"]]), abs=1e-6)
    assert photographs["identity_worst"] == pytest.approx(cos(60.0), abs=1e-6)
    assert photographs["identity_spread"] == pytest.approx(np.std([cos(a) for a in ANGLES["original"]]), abs=1e-6)
    # 60, 30, 20, 50 degrees: steps of 30, 10 and 30. By their names the frames would be 60, 20, 50, 30.
    assert photographs["embedding_jitter"] == pytest.approx(np.mean([1 - cos(30), 1 - cos(10), 1 - cos(30)]), abs=1e-6)
    assert fronts["template"] == pytest.approx(cos(5.0), abs=1e-3), "10 and -20, twice each: their mean lies at -5"
    weights = np.array([cos(yaw) for yaw in YAWS])
    mean = (weights[:, None] * np.array([vector(a) for a in ANGLES["original"]])).sum(axis=0)
    assert photographs["control"] == fronts["control"] == pytest.approx(mean[0] / np.linalg.norm(mean), abs=1e-6)
    assert fronts["over_control"] == pytest.approx(fronts["template"] - fronts["control"])
    assert (fronts["residual_mean"], fronts["residual_worst"], fronts["expression"]) == pytest.approx((15.0, 20.0, 0.25))
    assert fronts["expression_landmarks_turned"] == pytest.approx(0.03) and math.isnan(fronts["expression_landmarks"])
    numbers = [row for row in found.frames if (row["variant"], row["subject"]) == ("turned.none", "p3")]
    assert [row["image"] for row in numbers] == [f"p3/{frame}.png" for frame in FRAMES] and [row["number"] for row in numbers] == [
        0,
        1,
        2,
        3,
    ]


def test_a_lost_frame_is_counted_and_leaves_a_gap_in_the_curve(results: Path) -> None:
    found = over_time.of_results(results, pixels=False)
    (lost,) = [row for row in found.sequences if (row["variant"], row["subject"]) == ("turned.none", "p0")]
    assert (lost["n_images"], lost["n_fta"]) == (4, 1)
    assert lost["embedding_jitter"] == pytest.approx(1 - cos(30.0), abs=1e-6), "only the last two frames are neighbours with a face"
    curve = [row["similarity"] for row in found.frames if (row["variant"], row["subject"]) == ("turned.none", "p0")]
    assert math.isnan(curve[1]) and np.isfinite([curve[0], curve[2], curve[3]]).all()
    assert math.isnan(lost["warp_error"]), "pictures were not asked for"


def test_means_are_over_people_and_have_intervals_over_them(results: Path) -> None:
    found = over_time.of_results(results)
    row = next(row for row in found.over_time if (row["variant"], row["measure"]) == ("turned.none", "identity_mean"))
    values = [one["identity_mean"] for one in found.sequences if one["variant"] == "turned.none"]
    assert row["mean"] == pytest.approx(np.mean(values)) and row["low"] <= row["mean"] <= row["high"]
    assert (row["n_sequences"], row["n_subjects"], row["n_images"], row["n_fta"]) == (PEOPLE, PEOPLE, 4 * PEOPLE, 1)
    few = over_time._summed(found.sequences[:3], "identity_mean")
    assert math.isnan(few["low"]) and few["note"] == "3 people: too few for an interval"


def test_what_moves_smoothly_has_hardly_a_warp_error_and_what_flickers_has_one(results: Path) -> None:
    rows = {(row["variant"], row["subject"]): row["warp_error"] for row in over_time.of_results(results).sequences}
    assert rows["turned.none", "p3"] == 0.0, "the same picture four times"
    assert 0.0 < rows["original", "p3"] < 2.0, "moved by a pixel or eight, which the flow undoes"
    path = results / "frontals" / NAME / "turned" / "0000.parquet"
    table = tables.read(path).to_pylist()
    for row in table:
        if row["image_id"] == "p3/walk_2.png":
            row["image"] = images.encode_png(np.clip(images.decode(row["image"]).astype(int) + 60, 0, 255).astype(np.uint8))
    tables.write(path, tables.from_rows(table, tables.FRONTALS))
    rows = {(row["variant"], row["subject"]): row["warp_error"] for row in over_time.of_results(results).sequences}
    assert rows["turned.none", "p3"] > 20.0 and rows["turned.none", "p4"] == 0.0


def test_a_dataset_without_sequences_is_left_out_with_a_note_and_missing_files_are_one_line(results: Path) -> None:
    path = results / "metadata" / NAME / "images.parquet"
    whole = tables.read(path).to_pylist()
    tables.write(path, tables.from_rows([{**row, "sequence": ""} for row in whole], tables.LISTED))
    found = over_time.of_results(results)
    assert not found.sequences and "no sequence of 2 or more probes" in found.notes[0]
    with pytest.raises(BadInput, match="no finished cell"):
        over_time.of_results(results, datasets=["other"])


def test_it_is_made_only_where_the_configuration_asks_for_it() -> None:
    plain, whole = Plan({**SMALL, "if_npm": {}}), Plan({**SMALL, "if_npm": {}, "over_time": True})
    assert plain.files.asked_tables() == [] and not plain.config.over_time
    assert [Path(path).name for path in whole.files.asked_tables()] == ["over_time.csv", "sequences.csv", "frames.csv"]
    assert whole.files.asked_folders()[0].startswith("--over-time results/over_time/")


def test_the_page_shows_the_table_a_strip_the_curve_and_the_clip(results: Path, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the package av writes the clips of the page")
    found = over_time.of_results(results)
    folder = tmp_path / "tables"
    folder.mkdir()
    for name, columns, rows in (
        ("over_time", over_time.OVER_TIME, found.over_time),
        ("sequences", over_time.SEQUENCES, found.sequences),
        ("frames", over_time.FRAMES, found.frames),
    ):
        (folder / f"{name}.csv").write_text(csv_rows(columns, rows), encoding="utf-8")
    files = inputs.by_dataset(
        [path for stage in ("images", "frontals", "similarity") for path in sorted((results / stage).rglob("*.parquet"))]
    )
    site_run.write_run(tmp_path / "run")

    site, given = tmp_path / "site", asked.read(folder, asked.OVER_TIME)
    build.Site(master.read(tmp_path / "run" / "master"), site, inputs=files, over_time=given).build()  # type: ignore[arg-type]
    page = (site / "sequences.html").read_text(encoding="utf-8")
    assert "p0/walk" in page and "Over the control" in page and "<svg" in page and "SYNTHETIC" in page
    assert page.count("<video") == build.SEQUENCES and page.count('class="strip"') == build.SEQUENCES
    clips = sorted((site / "sequences").rglob("*.webm"))
    assert len(clips) == build.SEQUENCES and all(f"{clip.parent.name}/{clip.name}" in page for clip in clips)
    assert 'href="sequences.html"' in (site / "index.html").read_text(encoding="utf-8")
    frames = [f"p0/{frame}.png" for frame in FRAMES]
    again = moving.show(files[NAME], frames, ["turned.none"], tmp_path / "again", f"sequences/{NAME}").rows[1].clip
    assert (site / again).read_bytes() == (tmp_path / "again" / again).read_bytes(), "the same inputs give the same bytes"


def test_of_a_long_sequence_frames_are_spread_over_the_whole() -> None:
    assert moving.spread(5, 10) == [0, 1, 2, 3, 4]
    places = moving.spread(1000, 120)
    assert (len(places), places[0], places[-1]) == (120, 0, 999) and np.ptp(np.diff(places)) <= 1

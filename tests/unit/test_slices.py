"""Results by slices of a dataset: means, intervals, differences between slices, and columns that are no slices."""

from __future__ import annotations

import csv
import math
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from frontalbench import tables
from frontalbench.errors import BadInput
from frontalbench.plan.grid import cell_of
from frontalbench.tabulate import slices
from tests.unit.test_compare_cell import World, crowd

PEOPLE = 14


@pytest.fixture
def results(tmp_path: Path) -> tuple[Path, World]:
    """Cells of `original` and `turned.none`; the dataset's table says camera (by image) and glasses (by person)."""
    world = World(tmp_path / "world", crowd(PEOPLE, 1, 4), seed=1)
    world.failed["turned.none"] = {"s02_p1": "no_face"}
    for variant in ("original", "turned.none"):
        cell = world.cell(variant)
        tables.write(tmp_path / "results" / "similarity" / "toy" / variant / "d" / "b.parquet", cell.similarity)
    lines = ["image,identity,camera,glasses,alone"]
    for row in world.rows:
        name, person = row["image_id"], int(row["subject"][1:])
        lines.append(
            f"{name},{row['subject']},{'left' if name[-1] in '01' else 'right'},{'yes' if person < 6 else 'no'},{'x' if person else 'y'}"
        )
    (tmp_path / "index.csv").write_text("\n".join(lines) + "\n")
    return tmp_path, world


def run(folder: Path, by: str) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    found = slices.of_results(folder / "results", by, indexes=[folder / "index.csv"])
    return found.slices, found.pairs


def test_a_slice_is_the_mean_of_its_own_images(results: tuple[Path, World]) -> None:
    folder, world = results
    rows, pairs = run(folder, "camera")
    before, after = (
        {r["image_id"]: r for r in tables.read(folder / "results" / "similarity" / "toy" / v / "d" / "b.parquet").to_pylist()}
        for v in ("original", "turned.none")
    )
    for row in rows:
        names = [
            r["image_id"]
            for r in world.rows
            if r["role"] == "probe" and (r["image_id"][-1] in "01") == (row["slice"] == "left") and after[r["image_id"]]["status"] == "ok"
        ]
        if row["variant"] == "turned.none":
            gain = [after[n]["genuine"] - after[n]["impostor"] - before[n]["genuine"] + before[n]["impostor"] for n in names]
            assert (row["measure"], row["n_images"]) == ("identity_gain", len(names)) and row["mean"] == pytest.approx(
                np.mean(gain), abs=1e-6
            )
            assert row["n_fta"] == (1 if row["slice"] == "left" else 0)
        else:
            assert row["measure"] == "margin" and row["n_images"] == 28
        assert row["low"] < row["mean"] < row["high"] and row["n_identities"] == PEOPLE  # type: ignore[operator]
    for pair in pairs:
        mean = {row["slice"]: row["mean"] for row in rows if row["variant"] == pair["variant"]}
        assert pair["difference"] == pytest.approx(mean[pair["slice"]] - mean[pair["other"]])  # type: ignore[operator]
        assert pair["n_in_both"] == PEOPLE and pair["low"] < pair["difference"] < pair["high"] and 0 < pair["p"] <= 1  # type: ignore[operator]


def test_slices_of_different_people_are_compared_too(results: tuple[Path, World]) -> None:
    folder, _ = results
    _, pairs = run(folder, "glasses")
    assert {(pair["n_identities"], pair["n_in_both"]) for pair in pairs} == {(PEOPLE, 0)}
    assert all(math.isfinite(pair["p"]) for pair in pairs)  # type: ignore[arg-type]


def test_a_slice_of_one_person_has_no_interval_and_says_why(results: tuple[Path, World]) -> None:
    folder, _ = results
    rows, pairs = run(folder, "alone")
    one = next(row for row in rows if row["slice"] == "y")
    assert one["n_identities"] == 1 and math.isnan(one["low"]) and one["note"] == "1 person: too few for an interval"  # type: ignore[arg-type]
    assert all(math.isnan(pair["p"]) and "too few" in str(pair["note"]) for pair in pairs)  # type: ignore[arg-type]


def test_bins_of_pitch_and_yaw_need_no_table() -> None:
    assert slices.binned(np.array([-31.0, -10.0, 0.0, 12.0, 90.0, np.nan]), slices.EDGES["pitch"], unsigned=False) == [
        *("-90..-30", "-10..10", "-10..10", "10..30", "30..90"),
        slices.NOT_SAID,
    ]
    assert slices.binned(np.array([-31.0, 14.9]), slices.EDGES["yaw"], unsigned=True) == ["30..45", "0..15"]


def test_differences_are_corrected_within_a_cell(results: tuple[Path, World]) -> None:
    folder, world = results
    values = {row["image_id"]: f"c{row['image_id'][-1]}" for row in world.rows}
    cells = [cell_of(path) for path in sorted((folder / "results").rglob("b.parquet"))]
    _, pairs = slices.slices(cells, "image", values)
    assert len(pairs) == 12 and all(pair["p_holm"] >= pair["p"] for pair in pairs)


@pytest.mark.parametrize(
    ("by", "text", "said"),
    [
        ("hat", None, "column 'hat' is missing; expected image, hat; it has, by commas: image, identity, camera, glasses, alone"),
        ("camera", "identity,camera\na,b\n", "column 'image' is missing"),
        ("camera", "image,camera\nx,left\nx,right\n", "line 3: image 'x' stands there twice"),
        ("camera", "image,camera\nx,left\n", "names none of its images"),
        ("camera", "", "line 1: nothing there; expected the columns image, camera"),
        ("pitch", None, "every image is in one slice"),
    ],
)
def test_what_is_no_slice_is_one_line(results: tuple[Path, World], by: str, text: str | None, said: str) -> None:
    folder, _ = results
    if text is not None:
        (folder / "index.csv").write_text(text)
    with pytest.raises(BadInput, match=said) as caught:
        slices.of_results(folder / "results", by, indexes=[] if by == "pitch" else [folder / "index.csv"])
    assert "\n" not in str(caught.value)


def test_a_name_is_no_slice(results: tuple[Path, World]) -> None:
    folder, _ = results
    many = World(folder / "many", crowd(62, 1, 1))
    tables.write(folder / "more" / "similarity" / "toy" / "original" / "d" / "b.parquet", many.cell().similarity)
    (folder / "index.csv").write_text("image,name\n" + "".join(f"{row['image_id']},{row['subject']}\n" for row in many.rows))
    with pytest.raises(BadInput, match="62 different values; a slice is one of few"):
        slices.of_results(folder / "more", "name", indexes=[folder / "index.csv"])


@pytest.mark.slow
def test_the_command_writes_both_tables(results: tuple[Path, World], project_root: Path) -> None:
    folder, _ = results
    command = [
        sys.executable,
        project_root / "workflow" / "scripts" / "slice_results.py",
        "results",
        "--by",
        "camera",
        "--index",
        "index.csv",
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, columns in (("slices", slices.SLICES), ("slice_pairs", slices.PAIRS)):
        with (folder / "results" / "slices" / f"{name}.csv").open() as handle:
            assert tuple(csv.DictReader(handle).fieldnames or ()) == columns
    done = subprocess.run([*command[:4], "camera"], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "give the dataset's table with --index" in done.stderr


def test_only_the_datasets_that_are_asked_for_are_sliced_and_one_without_cells_is_named(results: tuple[Path, World]) -> None:
    folder, _ = results
    cells, index = folder / "results" / "similarity", [f"{name}={folder / 'index.csv'}" for name in ("toy", "other")]
    shutil.copytree(cells / "toy", cells / "other")
    for asked in (["toy"], ["toy", "other"], []):
        given = [one for one in index if not asked or one.partition("=")[0] in asked]
        found = slices.of_results(folder / "results", "camera", datasets=asked, indexes=given)
        assert {row["dataset"] for row in found.slices} == set(asked or ["toy", "other"])
    with pytest.raises(BadInput, match="no finished cell of dataset lfw, frll; run the workflow"):
        slices.of_results(folder / "results", "camera", datasets=["lfw", "frll"], indexes=index)

"""Sequences over time from the finished cells of a run: closed forms, order, failures, the control, and the page with strip, curve and clip."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from frontalbench import images, tables
from frontalbench.errors import BadInput
from frontalbench.plan.plan import Plan
from frontalbench.site import asked as asked_pages
from frontalbench.site import moving
from frontalbench.tabulate import over_time
from tests.unit.sequence_run import ANGLES, FRAMES, NAME, PEOPLE, YAWS, build_site, image_files, vector, write
from tests.unit.test_config_and_grid import SMALL


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return write(tmp_path / "results")


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
    assert math.isnan(lost["warp_error"]), "images were not asked for"


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
    assert rows["turned.none", "p3"] == 0.0, "the same image four times"
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


@pytest.mark.slow
def test_the_page_shows_the_table_a_strip_the_curve_and_the_clip(results: Path, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="the package av writes the clips of the page")
    site = build_site(results, tmp_path)
    page = (site / "sequences.html").read_text(encoding="utf-8")
    assert "p0/walk" in page and "Over the control" in page and "<svg" in page and "SYNTHETIC" in page
    assert page.count("<video") == asked_pages.SEQUENCES and page.count('class="strip"') == asked_pages.SEQUENCES
    clips = sorted((site / "sequences").rglob("*.webm"))
    assert len(clips) == asked_pages.SEQUENCES and all(f"{clip.parent.name}/{clip.name}" in page for clip in clips)
    assert 'href="sequences.html"' in (site / "index.html").read_text(encoding="utf-8")
    frames = [f"p0/{frame}.png" for frame in FRAMES]
    again = moving.show(image_files(results)[NAME], frames, ["turned.none"], tmp_path / "again", f"sequences/{NAME}").rows[1].clip
    assert (site / again).read_bytes() == (tmp_path / "again" / again).read_bytes(), "the same inputs give the same bytes"


def test_of_a_long_sequence_frames_are_spread_over_the_whole() -> None:
    assert moving.spread(5, 10) == [0, 1, 2, 3, 4]
    places = moving.spread(1000, 120)
    assert (len(places), places[0], places[-1]) == (120, 0, 999) and np.ptp(np.diff(places)) <= 1

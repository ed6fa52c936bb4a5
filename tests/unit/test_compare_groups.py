"""Pair groups: paired gains, yaw bins, failures, the mean-shift control."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from frontalbench import tables
from frontalbench.compare import groups, significance
from frontalbench.compare.groups import summarize_cell
from frontalbench.compare.rows import Rows, YawBins, read_rows

from .test_compare_cell import World, crowd, unit


def row(name: str, subject: str, genuine: float | None, impostor: float | None = 0.1, **more: Any) -> dict[str, Any]:
    """One row of a similarity table; ``genuine`` None: no face."""
    base: dict[str, Any] = {
        "image_id": name,
        "identity": subject,
        "subject": subject,
        "role": "probe",
        "yaw_source": "ground_truth",
        "yaw": 10.0,
    }
    ok = genuine is not None
    base |= {"status": "ok" if ok else "no_face", "detail": "", "genuine": genuine, "impostor": impostor if ok else None}
    base |= {
        "genuine_sd": 0.0,
        "impostor_sd": 0.05,
        "n_references": 2 if ok else 0,
        "n_impostors": 8 if ok else 0,
        "rank": 1 if ok else None,
    }
    return {**base, "n_within": 0, "n_same_photo": 0, **more}


def reference(subject: str) -> dict[str, Any]:
    return row(f"{subject}_r", subject, 0.9, role="reference", yaw=0.0)


def rows_of(lines: list[dict[str, Any]], folder: Path) -> Rows:
    path = folder / f"{len(list(folder.iterdir()))}.parquet"
    tables.write(path, tables.from_rows(lines, tables.SIMILARITY))
    return read_rows(path)


def pick(found: list[dict[str, Any]], group: str, subset: str, axis: str = "all", label: str = "all") -> dict[str, Any]:
    return next(r for r in found if (r["group"], r["subset"], r["yaw_axis"], r["yaw_bin"]) == (group, subset, axis, label))


def example(folder: Path) -> tuple[Rows, Rows]:
    """(frontal, angled): c's frontal failed; the hardest image is lost."""
    refs = [reference(s) for s in "abc"]
    angled = [
        row("a1", "a", 0.5, 0.10, yaw=10.0),
        row("a2", "a", 0.6, 0.20, yaw=-20.0),
        row("b1", "b", 0.7, 0.10, yaw=40.0),
        row("c1", "c", 0.1, 0.10, yaw=80.0),
    ]
    frontal = [
        row("a1", "a", 0.4, 0.15, to_original=0.8),
        row("a2", "a", 0.5, 0.30, to_original=0.9),
        row("b1", "b", 0.7, 0.20, to_original=0.7),
        row("c1", "c", None),
    ]
    return rows_of([*frontal, *refs], folder), rows_of([*angled, *refs], folder)


def test_gains_are_paired_and_taken_over_the_images_that_both_gave(tmp_path: Path) -> None:
    frontal, angled = example(tmp_path)
    found = summarize_cell(frontal, angled, is_original=False, bins=YawBins())
    assert pick(found, "Angled vs GT", "common")["mean"] == pytest.approx(0.6)
    assert pick(found, "Frontal vs GT", "common")["mean"] == pytest.approx(1.6 / 3)
    net = pick(found, "Net Gain", "common")
    assert net["mean"] == pytest.approx(-0.2 / 3) and net["n_images"] == 3 and net["n_subjects"] == 2
    assert pick(found, "impostor gain", "common")["mean"] == pytest.approx(0.25 / 3)
    assert pick(found, "identity gain", "common")["mean"] == pytest.approx(-0.45 / 3)
    assert pick(found, "Frontal vs Angled", "common")["mean"] == pytest.approx(0.8)
    assert (net["n_eligible"], net["n_fta"], net["fta_rate"]) == (4, 1, 0.25)
    assert net["share_gaining"] == 0.0


def test_penalised_counts_a_failure_as_a_stranger(tmp_path: Path) -> None:
    frontal, angled = example(tmp_path)
    found = summarize_cell(frontal, angled, is_original=False, bins=YawBins())
    stranger = np.mean([0.15, 0.30, 0.20])
    assert pick(found, "Frontal vs GT", "penalised")["mean"] == pytest.approx((0.4 + 0.5 + 0.7 + stranger) / 4, abs=1e-6)
    assert pick(found, "Angled vs GT", "penalised")["mean"] == pytest.approx((0.5 + 0.6 + 0.7 + 0.1) / 4, abs=1e-6)
    assert pick(found, "Net Gain", "penalised")["mean"] == pytest.approx((-0.1 - 0.1 + 0.0 + stranger - 0.1) / 4, abs=1e-6)


def test_losing_the_hard_image_raises_the_own_mean_but_not_the_common_one(tmp_path: Path) -> None:
    frontal, angled = example(tmp_path)
    own = pick(summarize_cell(angled, angled, is_original=True, bins=YawBins()), "Angled vs GT", "own")["mean"]
    found = summarize_cell(frontal, angled, is_original=False, bins=YawBins())
    assert pick(found, "Frontal vs GT", "own")["mean"] > own
    assert pick(found, "Net Gain", "common")["mean"] < 0


def test_yaw_bins_take_every_probe_once(tmp_path: Path) -> None:
    _, angled = example(tmp_path)
    found = [
        r for r in summarize_cell(angled, angled, is_original=True, bins=YawBins()) if (r["group"], r["subset"]) == ("Angled vs GT", "own")
    ]
    assert {r["yaw_bin"]: r["n_images"] for r in found if r["yaw_axis"] == "abs"} == {
        "0 to 15": 1,
        "15 to 30": 1,
        "30 to 45": 1,
        "75 to 90": 1,
    }
    assert {r["yaw_bin"] for r in found if r["yaw_axis"] == "signed"} == {"0 to 15", "-30 to -15", "30 to 45", "75 to 90"}


@pytest.mark.parametrize(
    ("yaw", "absolute", "signed"),
    [
        (0.0, "0 to 15", "0 to 15"),
        (15.0, "15 to 30", "15 to 30"),
        (-15.0, "15 to 30", "-30 to -15"),
        (-0.1, "0 to 15", "-15 to 0"),
        (90.0, "90 and more", "90 and more"),
        (-120.0, "90 and more", "-90 and less"),
        (float("nan"), "unknown", None),
    ],
)
def test_bin_of_a_yaw(yaw: float, absolute: str, signed: str | None) -> None:
    bins = YawBins()
    a, s = bins.codes(np.array([yaw]))
    assert bins.labels[a[0]][:2] == ("abs", absolute)
    assert (None if s[0] < 0 else bins.labels[s[0]][1]) == signed


def test_probes_without_reference_and_left_out_images_do_not_count(tmp_path: Path) -> None:
    lines = [
        reference("a"),
        row("a1", "a", 0.5),
        row("z1", "z", None),
        row("a2", "a", None, status="not_used"),
        row("y1", "y", 0.3, status="no_reference"),
    ]
    rows = rows_of(lines, tmp_path)
    found = pick(summarize_cell(rows, rows, is_original=True, bins=YawBins()), "Angled vs GT", "own")
    assert (found["n_images"], found["n_eligible"], found["n_fta"]) == (1, 1, 0)


def test_interval_is_over_people(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    refs = [reference(f"s{i:02d}") for i in range(12)]
    lines = [row(f"s{i:02d}_{j}", f"s{i:02d}", float(0.5 + 0.1 * rng.normal()) if j == 0 else 0.5) for i in range(12) for j in range(3)]
    rows = rows_of([*refs, *lines], tmp_path)
    found = pick(summarize_cell(rows, rows, is_original=True, bins=YawBins()), "Angled vs GT", "own")
    assert found["ci_low"] < found["mean"] < found["ci_high"] and found["n_subjects"] == 12
    again = pick(summarize_cell(rows, rows, is_original=True, bins=YawBins()), "Angled vs GT", "own")
    np.testing.assert_equal(again, found)


def test_column_test_equals_the_single_one() -> None:
    rng = np.random.default_rng(3)
    means = rng.normal(0.1, 0.3, (40, 3))
    means[5:, 2] = np.nan
    got = groups.sign_flip_columns(means)
    assert got[2] == significance.sign_flip_p(means[:5, 2])
    for column in (0, 1):
        assert got[column] == pytest.approx(significance.sign_flip_p(means[:, column]), abs=0.015)
    assert np.isnan(groups.sign_flip_columns(np.full((5, 1), np.nan))).all()


def summary(world: World, variant: str, tmp_path: Path) -> list[dict[str, Any]]:
    paths = []
    for name in (variant, "original"):
        paths.append(tmp_path / f"{name.replace(':', '_')}.parquet")
        tables.write(paths[-1], world.cell(name).similarity)
    return summarize_cell(read_rows(paths[0]), read_rows(paths[1]), is_original=False, bins=YawBins())


def test_drifting_towards_one_face_is_net_gain_but_no_identity_gain(tmp_path: Path) -> None:
    """The reason for identity gain: a method that moves everybody towards the average face raises Net Gain, and must not come out as a success."""
    world = World(tmp_path / "world", crowd(40, 2, 4), seed=11)
    rng = np.random.default_rng(0)
    face = unit(rng.normal(size=32))
    for name, vector in world.original.items():  # the references are frontal: near the average frontal face; the probes less so
        world.original[name] = unit(vector + (0.8 if "_r" in name else 0.2) * face)
    world.turned = {name: unit(vector + 0.6 * face) for name, vector in world.original.items()}
    for variant in ("turned.none", "control_meanshift:turned.none"):
        found = summary(world, variant, tmp_path)
        assert pick(found, "Net Gain", "common")["ci_low"] > 0.02
        assert pick(found, "impostor gain", "common")["ci_low"] > 0.02
        assert pick(found, "identity gain", "common")["mean"] <= 0.0
        assert pick(found, "identity gain", "common")["p_value"] <= 1.0


def test_a_real_gain_in_identity_is_found(tmp_path: Path) -> None:
    world = World(tmp_path / "world", crowd(30, 2, 4), seed=2)
    for name in world.turned:
        own = [world.original[f"{name[:3]}_r{i}"] for i in range(2)]
        world.turned[name] = unit(world.original[name] + 0.4 * sum(own))
    found = summary(world, "turned.none", tmp_path)
    assert pick(found, "identity gain", "common")["ci_low"] > 0.05
    assert pick(found, "identity gain", "common")["p_value"] < 0.001
    assert pick(found, "Net Gain", "common")["share_gaining"] > 0.95


def test_reading_another_table_is_refused(tmp_path: Path) -> None:
    from frontalbench.errors import BadInput

    tables.write(tmp_path / "x.parquet", pa.table({"a": [1]}))
    with pytest.raises(BadInput, match="image_id"):
        read_rows(tmp_path / "x.parquet")

"""Two images and the question whether they show one person."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from frontalbench import api, tables
from frontalbench.errors import BadInput
from frontalbench.tabulate.columns import schema

JUDGE = {"detector": "scrfd_500m", "backbone": "w600k_mbf"}


def write_master(folder: Path) -> Path:
    """Tables of a run with two datasets, written into ``folder``; the smallest FMR is supported by neither."""

    def write(name: str, rows: list[dict[str, Any]]) -> None:
        fields = schema(name)
        tables.write(
            folder / f"{name}.parquet", pa.Table.from_pylist([{key: row.get(key) for key in fields.names} for row in rows], fields)
        )

    rates, means = [], []
    for dataset, threshold in (("easy", 0.2), ("hard", 0.3)):
        head = {**JUDGE, "dataset": dataset, "variant": "original", "synthetic": dataset == "easy"}
        for target in (1e-2, 1e-3, 1e-4):
            row = {**head, "fmr_target": target, "supported": target > 5e-4, "threshold": threshold, "fmr": target, "fnmr": 0.1}
            rates += [row, {**row, "variant": "mesh.none", "threshold": 0.9}]
        for group, mean in (("Angled vs GT", 0.6), ("Angled vs other GT", 0.01)):
            means.append({**head, "group": group, "mean": mean, "yaw_axis": "all", "subset": "own"})
    write("error_rates", rates)
    write("master", means)
    return folder


@pytest.fixture
def master(tmp_path: Path) -> Path:
    return write_master(tmp_path)


def test_a_threshold_comes_from_the_photographs_of_a_run_and_of_several_datasets_it_is_the_strictest(master: Path) -> None:
    found = api.find_threshold(master, **JUDGE, fmr=1e-3)
    assert (found.threshold, found.fmr, found.fnmr, found.own, found.strangers) == (0.3, 1e-3, 0.1, 0.6, 0.01)
    assert "hard in" in found.basis and "do not exist" not in found.basis
    named = api.find_threshold(master, **JUDGE, fmr=1e-3, dataset="easy")
    assert named.threshold == 0.2 and "do not exist" in named.basis


def test_the_folder_of_all_runs_stands_for_the_only_one_in_it_and_of_several_one_must_be_named(tmp_path: Path) -> None:
    for name in ("mine", "other"):
        (tmp_path / name).mkdir()
    write_master(tmp_path / "mine")
    assert api.find_threshold(tmp_path, **JUDGE, fmr=1e-3).threshold == 0.3
    write_master(tmp_path / "other")
    several = api.find_threshold(tmp_path, **JUDGE, fmr=1e-3)
    assert several.threshold is None and "give one: " in several.basis and str(tmp_path / "other") in several.basis
    assert api.find_threshold(tmp_path / "other", **JUDGE, fmr=1e-3).threshold == 0.3


def test_what_was_not_measured_gives_no_threshold_and_says_what_to_do(master: Path, tmp_path: Path) -> None:
    assert api.find_threshold(tmp_path / "nowhere", **JUDGE, fmr=1e-3).threshold is None
    other = api.find_threshold(master, "yunet", "sface", 1e-3)
    assert other.threshold is None and "run the benchmark on your kind of images" in other.basis
    small = api.find_threshold(master, **JUDGE, fmr=1e-4)
    assert small.threshold is None and "supported: 0.01, 0.001" in small.basis
    with pytest.raises(BadInput, match="not measured; use one of"):
        api.find_threshold(master, **JUDGE, fmr=0.05)
    with pytest.raises(BadInput, match="no dataset 'mine'; it has: easy, hard"):
        api.find_threshold(master, **JUDGE, fmr=1e-3, dataset="mine")

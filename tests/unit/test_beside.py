"""Results of two folders: what differs, and what may stand in one table."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from frontalbench import tables
from frontalbench.compare.jackknife import KURTOSIS
from frontalbench.errors import BadInput
from frontalbench.tabulate import beside

Change = Callable[[dict[str, Any]], None]
SOFTWARE = {"opencv": ["5.0.0"], "numpy": ["2.4.6"], "cpu": ["x86_64 avx2"]}
PEOPLE = 9


def write(results: Path, variant: str = "mirror.none", change: Change | None = None, software: Any = None, drop: int = 0) -> Path:
    """A cell of nine people: a reference and three probes each."""
    rng = np.random.default_rng(0)
    rows = []
    for person in range(PEOPLE):
        for k in range(4):
            row = {
                "image_id": f"p{person}/{k}.jpg",
                "identity": f"p{person}",
                "subject": f"p{person}",
                "role": "probe" if k else "reference",
            }
            row |= {"status": "ok", "detail": "", "yaw_source": "", "genuine": float(rng.uniform(0.4, 0.9)), "impostor": 0.1, "rank": 1}
            if change is not None:
                change(row)
            rows.append(row)
    path = results / "similarity" / "synthetic" / variant / "scrfd_500m" / "sface.parquet"
    tables.write(path, tables.from_rows(rows[drop:], tables.SIMILARITY), {"software": SOFTWARE if software is None else software})
    return path


def one_row(a: Path, b: Path) -> dict[str, Any]:
    (row,) = beside.differences(a, b)
    return row


def test_equal_cells_are_the_same_and_rounding_is_no_difference(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", change=lambda row: row.update(genuine=row["genuine"] + 3e-5))
    row = one_row(tmp_path / "a", tmp_path / "b")
    assert row["same"] and row["n_common"] == 27 and row["n_identities"] == PEOPLE and row["n_other_status"] == 0
    assert beside.lines([row]) == ["1 cells in both: 1 the same, 0 differ; 0 only in A, 0 only in B"]


def test_differences_are_paired_by_image_with_an_interval_over_people(tmp_path: Path) -> None:
    def higher(row: dict[str, Any]) -> None:
        person = int(row["subject"][1:])
        row.update(genuine=row["genuine"] + 0.02 + 0.003 * person, impostor=row["impostor"] + 0.01)

    write(tmp_path / "a")
    write(tmp_path / "b", change=higher)
    row = one_row(tmp_path / "a", tmp_path / "b")
    gain = 0.02 + 0.003 * np.arange(PEOPLE)
    freedom = 2.0 / (2.0 / (PEOPLE - 1) + KURTOSIS / PEOPLE)  # fewer than PEOPLE - 1, as people are not normal
    low, high = scipy_stats.t.interval(0.95, freedom, gain.mean(), scipy_stats.sem(gain))
    assert not row["same"] and row["difference"] == pytest.approx(gain.mean(), abs=1e-6)
    assert (row["difference_low"], row["difference_high"]) == pytest.approx((low, high), abs=1e-6)
    assert row["identity_difference"] == pytest.approx(gain.mean() - 0.01, abs=1e-6)
    p = 2.0 * scipy_stats.t.sf((gain.mean() - 0.01) / scipy_stats.sem(gain), freedom)
    assert row["p"] == pytest.approx(p, rel=1e-4) and row["p_holm"] == row["p"]


def test_only_probes_that_both_have_are_compared(tmp_path: Path) -> None:
    def fail(row: dict[str, Any]) -> None:
        if row["image_id"] == "p3/1.jpg":
            row.update(status="no_face", genuine=None, impostor=None)

    write(tmp_path / "a", drop=1)
    write(tmp_path / "b", change=fail)
    row = one_row(tmp_path / "a", tmp_path / "b")
    assert (row["n_a"], row["n_b"], row["n_only_b"], row["n_only_a"], row["n_other_status"]) == (35, 36, 1, 0, 1)
    assert row["n_common"] == 26 and row["difference"] == 0 and not row["same"]
    said = beside.lines([row])[1]
    assert "1 images with another status" in said and "0 images only in A, 1 only in B" in said


def test_a_value_on_one_side_alone_is_a_difference(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", change=lambda row: row.update(impostor=None) if row["image_id"] == "p0/1.jpg" else None)
    assert not one_row(tmp_path / "a", tmp_path / "b")["same"]


def test_another_role_is_a_difference(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", change=lambda row: row.update(role="unused") if row["image_id"] == "p0/1.jpg" else None)
    row = one_row(tmp_path / "a", tmp_path / "b")
    assert not row["same"] and row["n_other_role"] == 1 and row["n_common"] == 26


def test_cells_of_one_side_are_named_and_versions_that_differ_are_said(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "a", "mesh.none")
    write(tmp_path / "b", software={**SOFTWARE, "opencv": ["4.12.0"]})
    rows = beside.differences(tmp_path / "a", tmp_path / "b")
    assert [(row["variant"], row["where"]) for row in rows] == [("mesh.none", "only A"), ("mirror.none", "both")]
    assert rows[1]["same"] and (rows[1]["software_a"], rows[1]["software_b"]) == ("opencv 5.0.0", "opencv 4.12.0")
    assert "only A: synthetic/mesh.none/scrfd_500m/sface" in beside.lines(rows)


def test_a_cell_of_one_side_alone_is_never_the_same(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "a", "mesh.none", drop=3)
    write(tmp_path / "b")
    write(tmp_path / "b", "tddfa.none")
    rows = {row["variant"]: row for row in beside.differences(tmp_path / "a", tmp_path / "b")}
    assert (rows["mesh.none"]["same"], rows["mesh.none"]["n_a"]) == (False, 33)
    assert (rows["tddfa.none"]["same"], rows["tddfa.none"]["n_b"]) == (False, 36)


def test_the_largest_difference_is_told_first_and_of_many_cells_on_one_side_three_are_named() -> None:
    def row(variant: str, where: str, **more: Any) -> dict[str, Any]:
        head = {"dataset": "d", "variant": variant, "detector": "e", "backbone": "b", "where": where, "same": False}
        numbers = dict.fromkeys((key for key in beside.COLUMNS if key not in head), 0)
        return {**numbers, "software_a": "", "software_b": "", **head, **more}

    changed = [row("small", "both", difference=0.01), row("down", "both", difference=-0.3), row("up", "both", difference=0.2)]
    three, four = ([row(f"only{i}", "only A") for i in range(n)] for n in (3, 4))
    said = beside.lines([*changed, *three])
    assert [line.split("/")[1] for line in said[1:4]] == ["down", "up", "small"]
    assert said[4] == "only A: d/only0/e/b; d/only1/e/b; d/only2/e/b"
    assert beside.lines([*changed, *four])[4].endswith("d/only2/e/b and 1 more")
    assert beside.lines([*changed, *three], most=2)[3] == "... and 1 more that differ"


def test_folders_without_cells_or_without_one_in_common_are_one_line(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", "mesh.none")
    (tmp_path / "empty").mkdir()
    for other, said in (("b", "have no cell in common"), ("empty", "holds no cells"), ("nowhere", "not a folder")):
        with pytest.raises(BadInput, match=said) as caught:
            beside.differences(tmp_path / "a", tmp_path / other)
        assert "\n" not in str(caught.value)


# Joining --------------------------------------------------------------------------------------------------------------------


def test_cells_of_several_folders_are_joined_and_the_same_cell_is_taken_once(tmp_path: Path) -> None:
    write(tmp_path / "a", "original")
    write(tmp_path / "b", "original")
    write(tmp_path / "b", "mirror.none")
    found = beside.joined([tmp_path / "a", tmp_path / "b"])
    assert [(cell.variant, cell.similarity.is_relative_to(tmp_path / "a")) for cell in found.cells] == [
        ("mirror.none", False),
        ("original", True),
    ]
    assert found.notes == ["1 cells are in more than one folder and the same: the first was taken"]


def test_one_cell_with_two_results_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", change=lambda row: row.update(genuine=0.5))
    with pytest.raises(BadInput, match=r"one cell, and two results; see how they differ \(frontalbench diff"):
        beside.joined([tmp_path / "a", tmp_path / "b"])


def test_versions_of_libraries_are_not_mixed_unless_one_says_so(tmp_path: Path) -> None:
    write(tmp_path / "a", "original")
    write(tmp_path / "b", "mirror.none", software={**SOFTWARE, "opencv": ["4.12.0"]})
    with pytest.raises(
        BadInput, match=r"opencv differs: 4\.12\.0 in .*b; 5\.0\.0 in .*a\. A difference between cells could be one between versions"
    ):
        beside.joined([tmp_path / "a", tmp_path / "b"])
    found = beside.joined([tmp_path / "a", tmp_path / "b"], mixed=True)
    assert len(found.cells) == 2 and "opencv differs" in found.notes[0]


@pytest.mark.parametrize("software", [{"opencv": "5.0.0"}, {"opencv": [5]}, ["opencv"], {"opencv": None}])
def test_versions_that_are_no_list_are_one_line_with_the_table_and_are_not_spelled_letter_by_letter(tmp_path: Path, software: Any) -> None:
    write(tmp_path / "a", "original")
    write(tmp_path / "b", "mirror.none", software=software)
    with pytest.raises(
        BadInput, match=r"mirror\.none.*parquet: software should be a list of versions for each library, is .*make the table anew"
    ):
        beside.joined([tmp_path / "a", tmp_path / "b"])


def test_another_processor_is_noted(tmp_path: Path) -> None:
    write(tmp_path / "a", "original")
    write(tmp_path / "b", "mirror.none", software={**SOFTWARE, "cpu": ["aarch64 asimd"]})
    found = beside.joined([tmp_path / "a", tmp_path / "b"])
    assert len(found.cells) == 2 and found.notes[0].startswith("cpu differs") and "last digits" in found.notes[0]


def test_a_dataset_with_other_images_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a", "original")
    write(tmp_path / "b", "mirror.none", drop=4)
    with pytest.raises(BadInput, match=r"synthetic has 32 images in one, 36 in the other, such as p0/0\.jpg"):
        beside.joined([tmp_path / "a", tmp_path / "b"])
    with pytest.raises(BadInput, match="give at least two"):
        beside.joined([tmp_path / "a"])


@pytest.mark.slow
def test_the_commands_write_tables_and_say_by_their_exit_code_what_they_found(tmp_path: Path, project_root: Path) -> None:
    write(tmp_path / "a", "original")
    shutil.copytree(tmp_path / "a", tmp_path / "same")
    write(tmp_path / "b", "original", change=lambda row: row.update(genuine=0.5))
    write(tmp_path / "c", "mirror.none")
    scripts = project_root / "workflow" / "scripts"

    def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, scripts / name, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)

    assert run("diff_results.py", "a", "same").returncode == 0
    assert run("diff_results.py", "a", "b", "--out", "diff.csv").returncode == 1
    assert (tmp_path / "diff.csv").read_text().splitlines()[0] == ",".join(beside.COLUMNS)
    done = run("diff_results.py", "a", "nowhere")
    assert done.returncode == 2 and done.stderr == "error: nowhere: not a folder; give the folder that a run wrote, usually results\n"
    done = run("join_results.py", "a", "c", "--out", "tables")
    assert done.returncode == 0, done.stderr
    master = tables.read(tmp_path / "tables" / "master.parquet").to_pylist()
    assert {row["variant"] for row in master} == {"original", "mirror.none"}

"""Whole runs that something happens to: afterwards the tables are byte for byte those of an undisturbed run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.project import Project, kill_tree

from .conftest import unfinished

pytestmark = [pytest.mark.e2e, pytest.mark.weights]

Fresh = Callable[..., Project]
TABLES = "summarize"
"""The target of runs of which only the master tables are looked at: everything up to them."""
CROPS = "results/crops/tiny/mirror.none/scrfd_500m/0000.parquet"
EMBEDDINGS = "results/embeddings/tiny/mirror.none/scrfd_500m/w600k_mbf/0000.parquet"
SIMILARITY = "results/similarity/tiny/mirror.none/scrfd_500m/w600k_mbf.parquet"


def check_results(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "workflow/scripts/check_results.py", *arguments]
    return subprocess.run(command, cwd=project.folder, env=project.environment, capture_output=True, text=True, check=False)


def rot(path: Path, change: Callable[[bytes], bytes]) -> None:
    """Change what a file holds and leave its date, as a failing disk does."""
    before = path.stat()
    path.write_bytes(change(path.read_bytes()))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_damaged_tables_are_found_and_made_anew(fresh: Fresh) -> None:
    project = fresh()
    before = project.tables()
    assert check_results(project).returncode == 0
    middle = (project.folder / CROPS).stat().st_size // 3
    rot(project.folder / CROPS, lambda data: data[:middle] + bytes([data[middle] ^ 0x40]) + data[middle + 1 :])
    rot(project.folder / SIMILARITY, lambda data: data[:1000])
    (project.folder / "results" / "crops" / ".0000.parquet.x.part").write_text("half")
    assert project.planned() == {}, "Snakemake itself does not look into files"
    told = check_results(project)
    assert told.returncode == 3
    lines = told.stderr.splitlines()
    assert sum(line.startswith(f"damaged: {CROPS}") for line in lines) == 1
    assert re.search(rf"damaged: {CROPS}.*; \d+ tables hang on it", told.stderr)
    assert {line.split(":")[0] for line in lines} <= {"damaged", "unfinished", "stale", "to mend"}
    assert "--mend --configfile mine.yaml)" in check_results(project, "--configfile", "mine.yaml").stderr
    mended = check_results(project, "--mend").stdout.split()
    assert {CROPS, SIMILARITY} <= set(mended)
    project.snakemake(*mended)
    project.snakemake()
    assert project.tables() == before
    assert check_results(project).returncode == 0
    assert not unfinished(project.folder / "results")


def test_a_clock_that_was_wrong_is_found_by_content_and_set_right(fresh: Fresh) -> None:
    project = fresh()
    before = project.tables()
    # Images were prepared by a machine whose clock ran a day ahead: where they are larger than a megabyte (smaller ones Snakemake knows by their
    # content) all that hangs on them would run again for ever.
    for path in (project.folder / "results" / "images").rglob("*.parquet"):
        os.utime(path, (time.time() + 86400, time.time() + 86400))
    told = check_results(project)
    assert told.returncode == 3
    assert all(line.startswith(("future: results/images/tiny/", "to mend: ")) for line in told.stderr.splitlines())
    assert check_results(project, "--mend").stdout == ""
    assert not [line for line in check_results(project).stderr.splitlines() if line.startswith("future")]
    # A table of another run comes back with an old date: Snakemake sees nothing, the content tells.
    shutil.copy2(project.folder / EMBEDDINGS.replace("mirror", "identity"), project.folder / EMBEDDINGS)
    os.utime(project.folder / EMBEDDINGS, (1e9, 1e9))
    told = check_results(project)
    assert told.returncode == 3
    assert f"stale: {SIMILARITY}: made from another version of {EMBEDDINGS}" in told.stderr
    assert project.tables() == before


def test_cleaning_keeps_numbers_and_makes_nothing_run(fresh: Fresh) -> None:
    project = fresh()
    before = project.tables()
    project.snakemake("clean_pictures")
    for stage in ("crops", "frontals", "variants"):
        assert not (project.folder / "results" / stage).exists()
    assert (project.folder / EMBEDDINGS).is_file()
    assert project.tables() == before
    assert project.planned() == {}
    # What a new model needs is made again, and only then.
    project.configure(backbones=["w600k_mbf", "edgeface_s"])
    jobs = project.planned()
    assert (jobs["detect"], jobs["frontalize"]) == (6, 4)
    assert "prepare" not in jobs


def test_a_second_run_is_refused_and_ctrl_c_leaves_nothing_half_written(finished_run: Project, fresh: Fresh) -> None:
    project = fresh(results=False)
    first = project.start(TABLES)
    deadline = time.monotonic() + 600
    while not list((project.folder / "results").rglob("*.parquet")):
        assert time.monotonic() < deadline and first.poll() is None, "the first run wrote nothing"
        time.sleep(0.2)
    second = project.snakemake(TABLES, check=False)
    assert second.returncode != 0
    assert "lock" in (second.stdout + second.stderr).lower()
    assert first.poll() is None, "the second run disturbed the first"
    kill_tree(first, signal.SIGINT)
    assert not unfinished(project.folder / "results")
    assert check_results(project).returncode == 0
    project.snakemake(TABLES)
    assert project.tables() == finished_run.tables()


def test_broken_records_of_snakemake_are_survived(finished_run: Project, fresh: Fresh) -> None:
    project = fresh()
    records = [path for path in (project.folder / ".snakemake" / "metadata").rglob("*") if path.is_file()]
    assert records
    for position, path in enumerate(records):
        path.write_bytes(path.read_bytes()[: position % 40])
    done = project.snakemake(check=False)
    if done.returncode != 0:  # then it must be cured by what docs/cluster.md says
        shutil.rmtree(project.folder / ".snakemake" / "metadata")
        project.snakemake()
    assert project.tables() == finished_run.tables()

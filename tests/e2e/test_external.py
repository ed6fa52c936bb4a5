"""A foreign system in a run: missing it costs its own cells and says what to do; what changes reruns, and only that."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from frontalbench import status, tables
from tests.project import TINY, Project
from tests.unit.externalkit import adapter, card

pytestmark = [pytest.mark.e2e, pytest.mark.weights]

Fresh = Callable[..., Project]
MIRROR = """
import cv2
for asked in manifest["pictures"]:
    cv2.imwrite(str(job / "out" / (asked["name"] + ".png")), cv2.imread(str(job / asked["file"]))[:, ::-1])
    say(asked["name"], ok=True, seconds=0.01)
"""


def words(project: Project) -> set[str]:
    shards = sorted((project.folder / "results" / "frontals" / "tiny" / "stranger").glob("*.parquet"))
    assert shards
    return {row["status"] for path in shards for row in tables.read(path).to_pylist()}


def test_a_foreign_system_is_a_frontalizer_like_any_other(fresh: Fresh) -> None:
    project = fresh()
    adapter(project.folder, MIRROR)
    contract = {"face": True, "target_pose": "frontal", "gives": "photograph", "deterministic": True}
    card(project.folder, contract=contract, params={"seconds_to_start": 60, "size": "photograph"})
    project.environment["FRONTALBENCH_ENVIRONMENTS"] = str(project.folder / "environments")
    project.configure(frontalizers=[*TINY["frontalizers"], "stranger"], enhancements=["none"])

    done = project.snakemake("--keep-going", check=False)
    said = done.stderr + done.stdout + "".join(path.read_text() for path in (project.folder / "logs" / "check_weights").glob("*.log"))
    assert done.returncode != 0 and "frontalbench prepare-environments stranger" in said and "Traceback" not in said
    assert words(project) == {status.ENVIRONMENT_MISSING}
    table = (project.master / "missing.csv").read_text()
    assert "environment_missing" in table and "stranger" in table
    assert project.planned() == {"check_weights": 1, "all": 1}

    # Its own Python with the packages of this one: made by hand, as no network is needed to see what follows.
    made = subprocess.run(
        [sys.executable, "workflow/scripts/prepare_environments.py", "stranger"],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    python = next((project.folder / "environments").glob("stranger-*/bin/python"))
    python.unlink()
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    assert project.planned("summarize")["frontalize_external"] == 2
    project.snakemake("all")
    assert words(project) == {status.OK}
    rows = tables.read(project.master / "table1_net_gain.parquet").to_pylist()
    stranger, mirror = (next(row for row in rows if row["frontalizer"] == name) for name in ("stranger", "mirror"))
    assert stranger["net_gain"] == mirror["net_gain"] and stranger["n_images"] == mirror["n_images"]
    assert project.planned() == {}

    # Texts for people change nothing; the adapter's bytes do.
    (project.folder / "adapters" / "stranger" / "README.md").write_text("how to install it")
    assert project.planned() == {}
    adapter(project.folder, MIRROR + "# another\n")
    assert project.planned()["frontalize_external"] == 2

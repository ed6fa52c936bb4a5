"""The workflow through a real SLURM: jobs run there, GPUs are asked for, faults are survived, and the tables are those of a local run."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.project import Project, copy_checkout, people, write_card
from tests.slurm.cluster import Cluster, why_not

pytestmark = [pytest.mark.slurm, pytest.mark.e2e, pytest.mark.weights, pytest.mark.slow, pytest.mark.xdist_group("e2e")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with Cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


def cluster_profile(project: Project) -> None:
    """profiles/slurm as shipped, with the waits of a test and a GPU for the pose jobs (not for grouped ones: a group asks for the sum)."""
    path = project.folder / "profiles" / "slurm" / "config.yaml"
    profile = yaml.safe_load(path.read_text())
    profile.update({"latency-wait": 5, "slurm-init-seconds-before-status-checks": 4, "jobs": 6})
    profile["set-resources"]["measure_pose"] = {"mem_mb": 1500, "gpu": 1, "slurm_partition": "gpu"}
    path.write_text(yaml.safe_dump(profile))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = copy_checkout(tmp_path / "project")
    write_card(made, "tiny", people(made.folder / "data" / "tiny", identities=3))
    made.configure(frontalizers=[{"name": "mirror", "enhancements": ["none"]}])
    cluster_profile(made)
    return made


def test_a_run_through_slurm_gives_the_tables_of_a_local_run(cluster: Cluster, project: Project, tmp_path: Path) -> None:
    local = tmp_path / "local"
    shutil.copytree(project.folder, local)
    card = local / "config" / "datasets" / "tiny.yaml"
    card.write_text(card.read_text().replace(str(project.folder), str(local)))
    here = Project(local, dict(project.environment, PYTHONPATH=str(local / "src")))
    here.snakemake()
    before = {job["JobId"] for job in cluster.jobs()}

    project.snakemake("--profile", "profiles/slurm", "--keep-going")

    assert project.tables() == here.tables()
    jobs = [job for job in cluster.jobs() if job["JobId"] not in before]
    assert jobs
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    # Snakemake asks per job, people often per node: TresPerJob, TresPerNode, TRES.
    with_gpu = [job for job in jobs if any("gpu" in value for key, value in job.items() if key.upper().startswith("TRES"))]
    assert with_gpu, f"no job asked for a GPU: {jobs[:2]}"
    assert {job["Partition"] for job in with_gpu} == {"gpu"}
    assert {job["NodeList"] for job in with_gpu} == {"g1"}
    assert any(job["NodeList"] == "c1" for job in jobs)


def test_scancel_a_drained_node_and_a_killed_snakemake_are_survived(cluster: Cluster, project: Project) -> None:
    running = project.start("--profile", "profiles/slurm")
    _wait_for(lambda: any(job["JobState"] == "RUNNING" for job in cluster.jobs()), 90)
    victim = next(job["JobId"] for job in cluster.jobs() if job["JobState"] == "RUNNING")
    cluster.ask("scancel", victim)  # the profile's retries start it again
    cluster.ask("scontrol", "update", "NodeName=g1", "State=DRAIN", "Reason=test")
    time.sleep(3)
    cluster.ask("scontrol", "update", "NodeName=g1", "State=RESUME")
    time.sleep(3)
    running.send_signal(signal.SIGKILL)
    running.wait(timeout=30)

    # Jobs of the dead Snakemake go on; they are found by their run and cancelled before a new one starts.
    done = subprocess.run(
        [sys.executable, "workflow/scripts/cancel_run.py"],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not [job for job in cluster.jobs() if job["JobState"] in ("RUNNING", "PENDING")]
    project.snakemake("--profile", "profiles/slurm", "--unlock")
    project.snakemake("--profile", "profiles/slurm", "--rerun-incomplete")
    assert project.tables()


def _wait_for(condition: object, seconds: float) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)

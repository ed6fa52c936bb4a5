"""The workflow through a real SLURM: jobs run there, GPUs are asked for, faults are survived, and the tables are those of a local run."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.project import Project, copy_checkout, people, write_card
from tests.slurm.cluster import LOOKING_OFTEN, MARK, Cluster, why_not

pytestmark = [pytest.mark.slurm, pytest.mark.e2e, pytest.mark.weights, pytest.mark.slow, pytest.mark.xdist_group("slurm")]

PROFILE = ("--profile", "profiles/slurm")
GRID = {"frontalizers": [{"name": "mirror", "enhancements": ["none"]}], "quality": {"measures": []}}
TABLES = "summarize"
"""The target: everything up to the master tables. Figures and pages are jobs like others, and take as long as all that is asked here."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with Cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture(scope="module")
def project(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Project:
    made = copy_checkout(tmp_path_factory.mktemp("clustered") / "project")
    made.environment.update({MARK: cluster.environment[MARK]})  # whatever fails, the cluster ends what runs with it
    write_card(made, "tiny", people(made.folder / "data" / "tiny", identities=2), shards=1)
    made.configure(**GRID)
    # profiles/slurm as shipped, with the waits of a test, a GPU for the pose jobs (not for grouped ones: a group asks for the sum), and too little
    # memory for the first attempt of one rule.
    path = made.folder / "profiles" / "slurm" / "config.yaml"
    profile = yaml.safe_load(path.read_text())
    profile.update({"latency-wait": 5, "slurm-init-seconds-before-status-checks": 1, "jobs": 6})
    profile["set-resources"]["measure_pose"] = {"mem_mb": 1500, "runtime": 60, "gpu": 1, "slurm_partition": "gpu"}
    profile["set-resources"]["prepare"] = {"mem_mb": "160 if attempt == 1 else 1000"}
    path.write_text(yaml.safe_dump(profile))
    return made


def local_run(project: Project, folder: Path) -> tuple[Project, subprocess.Popen[str]]:
    """The same without SLURM, going on beside it."""
    shutil.copytree(project.folder, folder)
    card = folder / "config" / "datasets" / "tiny.yaml"
    card.write_text(card.read_text().replace(str(project.folder), str(folder)))
    here = Project(folder, dict(project.environment, PYTHONPATH=str(folder / "src")))
    return here, here.start(TABLES)


def test_a_run_that_everything_happens_to_gives_the_tables_of_a_local_run(cluster: Cluster, project: Project, tmp_path: Path) -> None:
    cluster.ask("scontrol", "update", "NodeName=g1", "State=DRAIN", "Reason=test")
    first = project.start(TABLES, *PROFILE, program=LOOKING_OFTEN)
    here, running_here = local_run(project, tmp_path / "local")

    # Killed by its memory limit, tried again with more: the profile's retries.
    wait_for(lambda: has(cluster, "rule_prepare", "COMPLETED"))
    attempts = [(job["JobState"], megabytes(job)) for job in jobs_of(cluster, "rule_prepare")]
    assert ("COMPLETED", 1000) in attempts
    assert {(state, size) for state, size in attempts if state != "COMPLETED"} <= {("FAILED", 160), ("OUT_OF_MEMORY", 160)}
    assert len(attempts) == 2

    # One job is cancelled by somebody: tried again too.
    wait_for(lambda: has(cluster, "rule_detect", "RUNNING"))
    victim = next(job["JobId"] for job in jobs_of(cluster, "rule_detect") if job["JobState"] == "RUNNING")
    cluster.ask("scancel", victim)
    wait_for(lambda: any(job["JobId"] != victim for job in jobs_of(cluster, "rule_detect")))
    assert {job["JobState"] for job in jobs_of(cluster, "rule_detect") if job["JobId"] == victim} == {"CANCELLED"}

    # Snakemake dies; its jobs go on, and are found by their run and cancelled before a new one starts.
    first.send_signal(signal.SIGKILL)
    first.wait(timeout=30)
    command = [sys.executable, "workflow/scripts/cancel_run.py"]
    done = subprocess.run(command, cwd=project.folder, env=project.environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not [job for job in cluster.jobs() if job["JobState"] in ("RUNNING", "PENDING")]
    project.snakemake(*PROFILE, "--unlock")

    # Started again, with a model more that fails for ever: it costs its own cells only. A group is finished or lost as a whole, so the jobs go one by
    # one (docs/cluster.md).
    add_broken_backbone(project)
    project.configure(**GRID, backbones=["w600k_mbf", "broken"])
    alone = ("--group-components", "embeddings=1", "similarities=1")
    second = project.start(TABLES, *PROFILE, "--rerun-incomplete", "--keep-going", "--retries", "0", *alone, program=LOOKING_OFTEN)

    # The node with the GPU was taken out: its job waits, and runs when the node is back.
    wait_for(lambda: has(cluster, "rule_measure_pose", "PENDING"))
    cluster.ask("scontrol", "update", "NodeName=g1", "State=RESUME")
    assert second.wait(timeout=900) == 1
    cells = project.folder / "results" / "similarity" / "tiny"
    assert len(list(cells.rglob("w600k_mbf.parquet"))) == 2
    assert not list(cells.rglob("broken*"))
    said = "".join(path.read_text() for path in (project.folder / "logs" / "embed").rglob("broken/*.log"))
    assert "the card says dimension 100, the file gives 512" in said
    assert not project.tables(), "tables were made without all of their cells"

    # Without it only the tables are left to make, and they are those of a run that nothing happened to.
    project.configure(**GRID)
    assert set(project.planned(TABLES)) == {"summarize"}
    project.snakemake(TABLES, *PROFILE, program=LOOKING_OFTEN)
    assert running_here.wait(timeout=900) == 0
    assert project.tables() == here.tables()
    assert here.tables()

    # Snakemake asks per job, people often per node: TresPerJob, TresPerNode, TRES.
    with_gpu = [job for job in cluster.jobs() if any("gpu" in value for key, value in job.items() if key.upper().startswith("TRES"))]
    assert with_gpu
    assert {(job["Partition"], job["NodeList"], job["JobState"]) for job in with_gpu} == {("gpu", "g1", "COMPLETED")}
    assert any(job["NodeList"] == "c1" and job["JobState"] == "COMPLETED" for job in cluster.jobs())


def add_broken_backbone(project: Project) -> None:
    folder = project.folder / "config" / "models" / "backbones"
    card = yaml.safe_load((folder / "w600k_mbf.yaml").read_text())
    card.update(name="broken", title="A backbone whose card does not fit its file")
    card["params"]["dimension"] = 100
    (folder / "broken.yaml").write_text(yaml.safe_dump(card))


def jobs_of(cluster: Cluster, rule: str) -> list[dict[str, str]]:
    """Jobs whose comment starts with a rule's name, oldest first."""
    return [job for job in cluster.jobs() if job.get("Comment", "").startswith(rule)]


def has(cluster: Cluster, rule: str, state: str) -> bool:
    return any(job["JobState"] == state for job in jobs_of(cluster, rule))


def megabytes(job: dict[str, str]) -> int:
    """Memory that a job asked for, a node."""
    return int(job["MinMemoryNode"].removesuffix("M"))


def wait_for(condition: Callable[[], bool]) -> None:
    """A deadline that a busy machine does not reach either; where all goes well nothing takes so long."""
    deadline = time.monotonic() + 600
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.5)

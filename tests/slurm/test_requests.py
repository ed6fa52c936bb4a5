"""What is asked of SLURM for every group of short jobs: as much as its jobs use, which run one after another."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.project import ROOT
from tests.slurm.cluster import ETC, Cluster, marked, why_not

pytestmark = [pytest.mark.slurm, pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("e2e")]

SHIPPED: dict[str, Any] = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())
GROUPED = dict(entry.split("=") for entry in SHIPPED["groups"])
COMPONENTS = {name: int(number) for name, number in (entry.split("=") for entry in SHIPPED["group-components"])}
JOBS = 40
"""Of every rule, so that every group is full at least once."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A node that pretends to have 64 CPUs, so that no request is cut to what there is."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with Cluster(tmp_path_factory.mktemp("requests"), cpus=64, memory=256_000) as running:
        yield running


@pytest.fixture
def grouped(cluster: Cluster, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """``grouped(rule, wait=.., **changes)``: a workflow of ``JOBS`` jobs with the name of one of our rules, the shipped profile; started.

    Without --cores, as docs/cluster.md says: it would be the most that one job may ask for.
    """

    def make(rule: str, *, jobs: int = JOBS, wait: float = 600.0, threads: int = 1, **changes: Any) -> subprocess.Popen[str]:
        profile = {**SHIPPED, "latency-wait": 5, "slurm-init-seconds-before-status-checks": 5, "retries": 0, **changes}
        profile["set-resources"] = {rule: SHIPPED["set-resources"][rule]}
        profile["groups"] = [f"{rule}={GROUPED[rule]}"]
        profile["group-components"] = [f"{GROUPED[rule]}={min(COMPONENTS[GROUPED[rule]], jobs)}"]
        (tmp_path / "profiles").mkdir()
        (tmp_path / "profiles" / "config.yaml").write_text(yaml.safe_dump(profile))
        own = f"    threads: {threads}\n    resources: mem_mb=1, runtime=1"
        text = f'rule all:\n    input: expand("out/{{n}}", n=range({jobs}))\n    localrule: True\nrule {rule}:\n    output: "out/{{n}}"\n{own}\n'
        text += f'    shell: "date +%s.%N > {{output}}; sleep {wait}; date +%s.%N >> {{output}}"\n'
        (tmp_path / "Snakefile").write_text(text)
        command = [sys.executable, "-m", "snakemake", "--profile", "profiles"]
        return subprocess.Popen(
            command, cwd=tmp_path, env=cluster.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    return make


def requests(cluster: Cluster, rule: str, count: int) -> list[dict[str, str]]:
    """The jobs that a run has asked for once there are ``count`` of them, cancelled afterwards."""
    deadline = time.monotonic() + 90
    while (
        len(found := [job for job in cluster.jobs() if rule in job.get("Comment", "") and job["JobState"] in ("RUNNING", "PENDING")])
        < count
    ):
        assert time.monotonic() < deadline, f"{len(found)} of {count} jobs were asked for: {cluster.jobs()}"
        time.sleep(0.5)
    cluster.ask("scancel", "-u", "root")
    return found


def minutes(job: dict[str, str]) -> int:
    days, _, clock = job["TimeLimit"].rpartition("-")
    hours, mins, _ = (int(part) for part in clock.split(":"))
    return (int(days or 0) * 24 + hours) * 60 + mins


def first_attempt(rule: str, key: str) -> int:
    return int(SHIPPED["set-resources"][rule][key].removesuffix(" * attempt"))


@pytest.mark.parametrize("rule", sorted(GROUPED))
def test_a_group_asks_for_one_of_its_jobs_at_a_time_and_for_the_minutes_of_all(
    cluster: Cluster, grouped: Callable[..., subprocess.Popen[str]], rule: str
) -> None:
    size = COMPONENTS[GROUPED[rule]]
    run = grouped(rule)
    try:
        asked = requests(cluster, rule, -(-JOBS // size))
    finally:
        run.kill()
        run.wait(timeout=60)
    sizes = sorted([size] * (JOBS // size) + ([JOBS % size] if JOBS % size else []))
    assert sorted((minutes(job), job["NumCPUs"], job["MinMemoryNode"]) for job in asked) == [
        (number * first_attempt(rule, "runtime"), "1", f"{first_attempt(rule, 'mem_mb')}M") for number in sizes
    ]
    assert max(minutes(job) for job in asked) <= 240, "a short job for the queue of any cluster"


def test_more_threads_for_a_rule_are_more_cpus_for_its_group(cluster: Cluster, grouped: Callable[..., subprocess.Popen[str]]) -> None:
    run = grouped("embed", jobs=4, **{"set-threads": {"embed": 4}})
    try:
        (job,) = requests(cluster, "embed", 1)
    finally:
        run.kill()
        run.wait(timeout=60)
    assert (job["NumCPUs"], job["MinMemoryNode"], minutes(job)) == ("4", "1500M", 4 * first_attempt("embed", "runtime"))


def test_the_jobs_of_a_group_really_run_one_after_another(grouped: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """If a later version of the plugin runs them side by side, the request has to follow."""
    run = grouped("compare", jobs=2, wait=1.5)
    said = run.communicate(timeout=180)[1]
    assert run.returncode == 0, said[-3000:]
    spans = sorted(tuple(float(line) for line in path.read_text().split()) for path in (tmp_path / "out").iterdir())
    assert len(spans) == 2
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))


def test_a_failing_test_leaves_no_process_behind(tmp_path: Path) -> None:
    """A pytest of its own fails while Snakemake waits for a job that runs; one more is killed, and the next one clears up after it."""
    reason = why_not()
    if reason:
        pytest.skip(reason)
    text = f"""
import subprocess, sys, time
from pathlib import Path
from tests.slurm.cluster import Cluster

def test_it(tmp_path):
    with Cluster(Path({str(tmp_path / "slurm")!r})) as cluster:
        subprocess.Popen(["setsid", "sleep", "987"], env=cluster.environment)
        subprocess.run(["sbatch", "--wrap", "setsid sleep 986 & sleep 985"], env=cluster.environment, check=True, cwd=tmp_path)
        while not any(job["JobState"] == "RUNNING" for job in cluster.jobs()):
            time.sleep(0.2)
        Path({str(tmp_path / "reached")!r}).touch()
        if sys.argv[-1].endswith("killed.py"):
            time.sleep(600)
        raise RuntimeError("a test that fails")
"""
    environment = {"PYTHONPATH": str(ROOT), **{key: value for key, value in Cluster(tmp_path).environment.items() if key != "PYTHONPATH"}}

    def begin(name: str) -> subprocess.Popen[str]:
        (tmp_path / name).write_text(text)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(tmp_path),
            "-c",
            "/dev/null",
            str(tmp_path / name),
        ]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)

    failing = begin("test_failing.py")
    assert "a test that fails" in failing.communicate(timeout=120)[0]
    assert marked(tmp_path / "slurm") == []
    assert not (ETC / "slurm.conf").is_symlink()

    (tmp_path / "reached").unlink()
    killed = begin("test_killed.py")
    deadline = time.monotonic() + 60
    while not (tmp_path / "reached").exists():
        assert time.monotonic() < deadline, "the SLURM did not start"
        time.sleep(0.2)
    killed.kill()
    killed.wait(timeout=60)
    assert marked(tmp_path / "slurm")
    shutil.rmtree(tmp_path / "another", ignore_errors=True)
    assert not why_not()
    with Cluster(tmp_path / "another"):
        assert marked(tmp_path / "slurm") == []
    assert marked(tmp_path / "another") == []
    states = subprocess.run(["ps", "-e", "-o", "stat=,comm="], capture_output=True, text=True, check=True).stdout.splitlines()
    assert not [line for line in states if line.split()[1].startswith(("slurm", "munge")) and not line.startswith("Z")]

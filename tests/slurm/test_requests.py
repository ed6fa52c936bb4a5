"""What is asked of SLURM for every group of short jobs: as much as its jobs use, which run one after another."""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.project import ROOT
from tests.slurm.cluster import LOOKING_OFTEN, Cluster, why_not

pytestmark = [pytest.mark.slurm, pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("slurm")]

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

    def make(
        rule: str, *, jobs: int = JOBS, wait: str = "600", asked: dict[str, Any] | None = None, **changes: Any
    ) -> subprocess.Popen[str]:
        profile = {**SHIPPED, "latency-wait": 5, "slurm-init-seconds-before-status-checks": 1, "retries": 0, **changes}
        profile["set-resources"] = {rule: {**SHIPPED["set-resources"][rule], **(asked or {})}}
        profile["groups"] = [f"{rule}={GROUPED[rule]}"]
        profile["group-components"] = [f"{GROUPED[rule]}={min(COMPONENTS[GROUPED[rule]], jobs)}"]
        (tmp_path / "profiles").mkdir()
        (tmp_path / "profiles" / "config.yaml").write_text(yaml.safe_dump(profile))
        own = "    resources: mem_mb=1, runtime=1, gpu=0"
        text = f'rule all:\n    input: expand("out/{{n}}", n=range({jobs}))\n    localrule: True\nrule {rule}:\n    output: "out/{{n}}"\n{own}\n'
        text += f'    shell: "date +%s.%N > {{output}}; sleep {wait}; date +%s.%N >> {{output}}"\n'
        (tmp_path / "Snakefile").write_text(text)
        command = [sys.executable, *LOOKING_OFTEN, "--profile", "profiles"]
        return subprocess.Popen(
            command, cwd=tmp_path, env=cluster.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    return make


def requests(cluster: Cluster, run: subprocess.Popen[str], folder: Path, count: int) -> list[dict[str, str]]:
    """The jobs that a run in ``folder`` has asked for once there are ``count`` of them; they are cancelled and the run ended."""
    deadline = time.monotonic() + 300
    try:
        while len(found := asked_in(cluster, folder)) < count:
            assert time.monotonic() < deadline, f"{len(found)} of {count} jobs were asked for: {cluster.jobs()}"
            assert run.poll() is None, run.communicate()[1][-3000:]
            time.sleep(0.5)
    finally:
        cluster.ask("scancel", "-u", "root")
        run.kill()
        run.communicate(timeout=60)
    return found


def asked_in(cluster: Cluster, folder: Path) -> list[dict[str, str]]:
    """Jobs sent from a folder, oldest first."""
    return sorted((job for job in cluster.jobs() if job.get("WorkDir") == str(folder)), key=lambda job: int(job["JobId"]))


def minutes(job: dict[str, str]) -> int:
    days, _, clock = job["TimeLimit"].rpartition("-")
    hours, mins, _ = (int(part) for part in clock.split(":"))
    return (int(days or 0) * 24 + hours) * 60 + mins


def first_attempt(rule: str, key: str) -> int:
    return int(SHIPPED["set-resources"][rule][key].removesuffix(" * attempt"))


@pytest.mark.parametrize("rule", sorted(GROUPED))
def test_a_group_asks_for_one_of_its_jobs_at_a_time_and_for_the_minutes_of_all(
    cluster: Cluster, grouped: Callable[..., subprocess.Popen[str]], tmp_path: Path, rule: str
) -> None:
    size = COMPONENTS[GROUPED[rule]]
    run = grouped(rule)
    asked = requests(cluster, run, tmp_path, -(-JOBS // size))
    sizes = sorted([size] * (JOBS // size) + ([JOBS % size] if JOBS % size else []))
    assert sorted((minutes(job), job["NumCPUs"], job["MinMemoryNode"]) for job in asked) == [
        (number * first_attempt(rule, "runtime"), "1", f"{first_attempt(rule, 'mem_mb')}M") for number in sizes
    ]
    assert max(minutes(job) for job in asked) <= 240, "a short job for the queue of any cluster"


def test_more_threads_for_a_rule_are_more_cpus_for_its_group(
    cluster: Cluster, grouped: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    run = grouped("embed", jobs=4, **{"set-threads": {"embed": 4}})
    (job,) = requests(cluster, run, tmp_path, 1)
    wanted = ("4", f"{first_attempt('embed', 'mem_mb')}M", 4 * first_attempt("embed", "runtime"))
    assert (job["NumCPUs"], job["MinMemoryNode"], minutes(job)) == wanted


def test_a_group_of_gpu_jobs_asks_for_one_gpu(cluster: Cluster, grouped: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    run = grouped("embed", jobs=4, asked={"gpu": 1, "slurm_partition": "gpu"})
    (job,) = requests(cluster, run, tmp_path, 1)
    assert job["Partition"] == "gpu"
    assert [value for key, value in job.items() if key.startswith("TresPer")] == ["gres:gpu:1"]


def test_a_job_that_failed_asks_for_more_memory_and_time_up_to_the_limit_of_a_partition(
    cluster: Cluster, grouped: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """``min(.. * attempt, ..)`` is what the documentation gives for partitions with a limit."""
    run = grouped("compare", jobs=1, wait="0; false", asked={"runtime": "min(100 * attempt, 250)"}, retries=2)
    run.communicate(timeout=600)
    assert [(minutes(job), job["MinMemoryNode"], job["JobState"]) for job in asked_in(cluster, tmp_path)] == [
        (100, "2000M", "FAILED"),
        (200, "4000M", "FAILED"),
        (250, "6000M", "FAILED"),
    ]


def test_the_jobs_of_a_group_really_run_one_after_another(grouped: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """If a later version of the plugin runs them side by side, the request has to follow."""
    run = grouped("compare", jobs=2, wait="1.5")
    said = run.communicate(timeout=600)[1]
    assert run.returncode == 0, said[-3000:]
    spans = sorted(tuple(float(line) for line in path.read_text().split()) for path in (tmp_path / "out").iterdir())
    assert len(spans) == 2
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))

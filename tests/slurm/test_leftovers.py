"""A SLURM test that fails, or is killed, leaves no process behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.project import ROOT
from tests.slurm.cluster import ETC, Cluster, marked, why_not

pytestmark = [pytest.mark.slurm, pytest.mark.e2e, pytest.mark.slow, pytest.mark.xdist_group("slurm")]


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
    assert "a test that fails" in failing.communicate(timeout=300)[0]
    assert marked(tmp_path / "slurm") == []
    assert not (ETC / "slurm.conf").is_symlink()

    (tmp_path / "reached").unlink()
    killed = begin("test_killed.py")
    deadline = time.monotonic() + 300
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

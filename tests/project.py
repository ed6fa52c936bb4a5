"""Whole runs of the workflow in a copy of the checkout, on a few synthetic people."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests import warm

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "demo" / "synthetic"
COLD = ("-m", "snakemake")
"""What Python is given to run Snakemake as everybody does."""

TINY: dict[str, Any] = {
    "name": "tiny",
    "datasets": ["tiny"],
    "frontalizers": ["identity", {"name": "mirror", "enhancements": ["none"]}],
    "enhancements": ["none"],
    "detectors": ["scrfd_500m"],
    "backbones": ["w600k_mbf"],
    "derived": [],
    "if_npm": {"backbones": [], "enhancements": []},
    "statistics": {"resamples": 1000},
    "examples": 2,
}


@dataclass
class Project:
    """A copy of the checkout with its own results; the weight store is shared, so nothing is fetched twice."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    def configure(self, **changes: Any) -> None:
        """Write config/config.yaml: the tiny grid with some keys changed."""
        (self.folder / "config" / "config.yaml").write_text(yaml.safe_dump({**TINY, **changes}))

    def snakemake(self, *arguments: str, check: bool = True, program: Sequence[str] | None = None) -> subprocess.CompletedProcess[str]:
        """In a fork of a process that has the libraries loaded (:mod:`tests.warm`), or by what Python is given to run it (``COLD``)."""
        given = ["--cores", "2", *arguments]
        if program is None:
            code, printed, said = warm.call(given, self.folder, self.environment, seconds=1800)
            done = subprocess.CompletedProcess(given, code, printed, said)
        else:
            command = [sys.executable, *program, *given]
            done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=1800, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}")
        return done

    def start(self, *arguments: str, program: Sequence[str] = COLD) -> subprocess.Popen[str]:
        """Snakemake in the background, in a process group of its own; ``program``: what Python is given to run it."""
        command = [sys.executable, *program, "--cores", "2", *arguments]
        # An own session, so that a test can kill Snakemake together with the jobs it runs.
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )

    def planned(self, *arguments: str) -> dict[str, int]:
        """What a dry run would do: rule -> number of jobs (empty: nothing)."""
        done = self.snakemake("--dry-run", *arguments)
        text = done.stdout + done.stderr
        jobs = {}
        match = re.search(r"Job stats:\n(.*?)\n\s*\n", text, re.S)
        if match:
            for line in match[1].splitlines()[2:]:
                name, count = line.split()
                if name != "total":
                    jobs[name] = int(count)
        return jobs

    @property
    def master(self) -> Path:
        """The folder of the tiny grid's master tables."""
        return self.folder / "results" / "master" / TINY["name"]

    def tables(self) -> dict[str, bytes]:
        """The master tables, by name."""
        folder = self.master
        return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def kill_tree(process: subprocess.Popen[str], how: signal.Signals = signal.SIGKILL) -> None:
    """End a process group that :meth:`Project.start` made, at once."""
    os.killpg(process.pid, how)
    process.wait(timeout=600)


def copy_checkout(target: Path) -> Project:
    """What git tracks (and what is new and not ignored), copied; ``src`` of the copy is what its jobs import."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    for name in filter(None, listed):
        if name.startswith(("tests/", "benchmarks/", "docs/", "demo/")) or not (ROOT / name).is_file():
            continue
        destination = target / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, destination)
    return at(target)


def at(target: Path) -> Project:
    """The project that :func:`copy_checkout` made in a folder."""
    environment = dict(os.environ)
    environment.update(
        PYTHONPATH=str(target / "src"),
        FRONTALBENCH_STORE=os.environ.get("FRONTALBENCH_STORE") or str(ROOT / "weights"),
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        OMP_NUM_THREADS="1",
    )
    environment.pop("FRONTALBENCH_HOME", None)
    return Project(target, environment)


def people(folder: Path, identities: int = 4, angles: int = 2) -> Path:
    """A folder dataset ``root/identity/{GT,Angle}/*.jpg`` cut from the synthetic people."""
    for person in sorted(p for p in DEMO.iterdir() if p.is_dir())[:identities]:
        for role, count in (("GT", 2), ("Angle", angles)):
            for image in sorted((person / role).glob("*.jpg"))[:count]:
                destination = folder / person.name / role / image.name
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(image, destination)
    return folder


def write_card(project: Project, name: str, root: Path, **more: Any) -> None:
    """A dataset card of layout ``folder``."""
    card = yaml.safe_load((project.folder / "config" / "datasets" / "folder.yaml").read_text())
    card.update({"name": name, "root": str(root), "shards": 2, **more})
    (project.folder / "config" / "datasets" / f"{name}.yaml").write_text(yaml.safe_dump(card))


def usages(folder: Path, *commands: str) -> list[str]:
    """What ``frontalbench COMMAND --help`` prints for each command, all in one process, as most of a start is loading the libraries."""
    code = (
        "import sys\nfrom frontalbench.console.main import main\nfor name in sys.argv[1:]:\n"
        "    try:\n        main([name, '--help'])\n    except SystemExit as end:\n        assert not end.code\n    print('\\0', end='')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *commands], capture_output=True, text=True, cwd=folder, check=True)
    return done.stdout.split("\0")[: len(commands)]

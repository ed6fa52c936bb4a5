"""Every stage as its command line, on two synthetic people, with the results of undisturbed runs to compare with."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from frontalbench import tables
from tests.project import ROOT, people

ORDER = ("prepare", "detect", "pose", "people", "frontalize", "enhance", "embed", "compare", "quality", "summarize", "figures", "export")


@dataclass
class Stages:
    """``folder``: tables of an undisturbed run of all stages; ``seconds``: how long each took."""

    folder: Path
    images: Path
    seconds: dict[str, float] = field(default_factory=dict)

    def outputs(self, stage: str, folder: Path) -> list[Path]:
        """What a stage writes into ``folder`` (files, or one folder)."""
        if stage == "compare":
            cell = folder / "similarity" / "folder" / "original" / "scrfd_500m"
            return [cell / "w600k_mbf.parquet", cell / "w600k_mbf.scores.parquet"]
        if stage == "people":
            return [folder / "people" / f"{name}.parquet" for name in ("images", "pose")]
        if stage in ("summarize", "figures", "export"):
            return [folder / stage]
        return [folder / f"{stage}.parquet"]

    def command(self, stage: str, out: Path) -> list[str]:
        """The command line of a stage that reads the undisturbed tables and writes into ``out``."""
        made = {name: str(self.outputs(name, self.folder)[0]) for name in ORDER}
        target = [str(path) for path in self.outputs(stage, out)]
        shard = ["--threads", "1", "--in"]
        arguments = {
            "prepare": ["prepare_dataset.py", "--dataset", "folder", "--root", str(self.images), "--shard", "0000", "--out", *target],
            "detect": ["preprocess.py", *shard, made["prepare"], "--out", *target],
            "pose": ["measure_pose.py", "--estimator", "tddfa_pose", *shard, made["prepare"], "--faces", made["detect"], "--out", *target],
            "people": [
                *("collect_metadata.py", "--images", made["prepare"], "--pose", made["pose"]),
                *("--images-out", target[0], "--pose-out", target[-1]),
            ],
            "frontalize": ["frontalize.py", "--model", "mirror", *shard, made["prepare"], "--faces", made["detect"], "--out", *target],
            "enhance": ["enhance.py", "--chain", "sharp", *shard, made["frontalize"], "--out", *target],
            "embed": ["extract_embeddings.py", "--backbone", "w600k_mbf", *shard, made["detect"], "--out", *target],
            "compare": [
                *("compare_cell.py", "--threads", "1", "--images", made["people"], "--embeddings", made["embed"]),
                *("--references", made["embed"], "--out", target[0], "--scores-out", target[-1]),
            ],
            "quality": [
                *("measure_quality.py", "--images", made["people"], "--crops", made["detect"], "--original-crops", made["detect"]),
                *("--out", *target),
            ],
            "summarize": ["summarize.py", "--in", made["compare"], "--out", *target],
            "figures": [
                "viz.py",
                "--figure",
                "distributions",
                "--in",
                made["compare"],
                "--out",
                f"{target[0]}/drawn",
            ],
            "export": ["export.py", "--in", made["prepare"], "--out", *target],
        }[stage]
        return [sys.executable, str(ROOT / "workflow" / "scripts" / arguments[0]), *arguments[1:]]

    def start(self, stage: str, out: Path, **options: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(stage, out), cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options
        )

    def run(self, stage: str, out: Path, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(stage, out),
            cwd=ROOT,
            env={**ENVIRONMENT, **options.pop("env", {})},
            capture_output=True,
            text=True,
            check=False,
            **options,
        )

    def content(self, stage: str, folder: Path) -> dict[str, str]:
        """Digest of every finished file of a stage: of the values of tables (their records hold the time), of the bytes of all else.

        Raises BadInput for a table that is not whole.
        """
        found = {}
        for output in self.outputs(stage, folder):
            for path in [output] if output.is_file() else sorted(p for p in output.rglob("*") if p.is_file()):
                if not path.name.endswith(".part"):
                    digest = tables.content_digest if path.suffix == ".parquet" and stage != "summarize" else tables.file_sha256
                    found[path.relative_to(folder).as_posix()] = digest(path)
        return found


ENVIRONMENT = dict(os.environ, FRONTALBENCH_HOME=str(ROOT), OMP_NUM_THREADS="1", PYTHONPATH=str(ROOT / "src"))


def unfinished(folder: Path) -> list[str]:
    """Names of unfinished files and folders anywhere in ``folder``."""
    return sorted(path.name for path in folder.rglob("*") if path.suffix in (".part", ".new"))


@pytest.fixture(scope="session")
def stages(tmp_path_factory: pytest.TempPathFactory, weight: object) -> Stages:
    assert callable(weight)
    for kind, name, key in (("detector", "scrfd_500m", "model"), ("backbone", "w600k_mbf", "model")):
        weight(kind, name, key)
    base = tmp_path_factory.mktemp("stages")
    made = Stages(base / "undisturbed", people(base / "pictures", identities=2))
    for stage in ORDER:
        began = time.perf_counter()
        done = made.run(stage, made.folder)
        made.seconds[stage] = time.perf_counter() - began
        assert done.returncode == 0, f"{stage}: {done.stderr}"
        assert made.content(stage, made.folder), f"{stage} wrote nothing"
    return made

"""A folder of results that another system made goes from the files to its row in the tables, and only what changed runs again."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from frontalbench import images, status, tables
from tests.project import TINY, Project

pytestmark = [pytest.mark.e2e, pytest.mark.weights]

Fresh = Callable[..., Project]


def deliver_mirrored(project: Project, folder: Path) -> list[Path]:
    """What `mirror` makes, as somebody else's files: every probe flipped, as PNG under its own name."""
    root = project.folder / "data" / "tiny"
    made = []
    for photo in sorted(root.glob("*/Angle/*.jpg")):
        target = folder / photo.relative_to(root).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(images.encode_png(images.decode(photo.read_bytes())[:, ::-1].copy()))
        made.append(target)
    return made


def judge(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "workflow/scripts/judge.py", "given", "--as", "tool", "--dataset", "tiny", "--cores", "2", *arguments]
    return subprocess.run(command, cwd=project.folder, env=project.environment, capture_output=True, text=True, timeout=1800, check=False)


def words(project: Project) -> list[str]:
    shards = sorted((project.folder / "results" / "frontals" / "tiny" / "tool").glob("*.parquet"))
    return [row["status"] for path in shards for row in tables.read(path).to_pylist() if row["role"] == "probe"]


def test_files_made_elsewhere_are_judged_as_the_same_images_made_here(fresh: Fresh) -> None:
    project = fresh()
    made = deliver_mirrored(project, project.folder / "given")
    done = judge(project, "--made-by", "a mirror", "--beside", "mirror")
    assert done.returncode == 0, done.stderr[-3000:]
    ours, theirs = ([line for line in part.splitlines() if line.startswith("tiny")] for part in done.stdout.split("mirror.none\n"))
    assert len(ours) == 1 and ours == theirs
    table = tables.read(project.folder / "results" / "master" / "judge_tool" / "table1_net_gain.parquet").to_pylist()
    tool, mirror = ({**row, "verified": ""} for name in ("tool", "mirror") for row in table if row["frontalizer"] == name)
    numbers = [key for key in tool if key.startswith(("angled", "frontal_", "net_gain", "identity_gain", "impostor", "n_"))]
    assert len(numbers) > 15 and [tool[key] for key in numbers] == [mirror[key] for key in numbers]
    # In the everyday grid it is a frontalizer like any other: with enhancements and in fusions, and what was computed is used again.
    grid = [*TINY["frontalizers"], {"name": "tool", "enhancements": ["none", "sharp"]}]
    project.configure(frontalizers=grid, derived=["fuse_mean:tool.none"])
    jobs = project.planned("summarize")
    assert jobs == {"enhance": 2, "detect": 2, "embed": 2, "compare": 2, "measure_quality": 1, "summarize": 1}
    project.snakemake("results")
    assert (
        "tool.sharp" in (project.master / "master.csv").read_text() and "fuse_mean:tool.none" in (project.master / "master.csv").read_text()
    )
    project.snakemake("all")
    page = project.folder / "reports" / "tiny" / "site" / "frontalizers" / "tool.html"
    assert "Made elsewhere" in page.read_text() and "a mirror" in page.read_text()
    assert project.planned() == {}
    # One file changes and one is gone: their shards alone are taken in again, and who has none is counted.
    made[0].write_bytes(made[1].read_bytes())
    first = project.planned("summarize")
    assert first["take_delivery"] == 1 and first["detect"] == 2
    made[-1].unlink()
    (project.folder / "given" / "stranger.png").write_bytes(made[1].read_bytes())
    again = judge(project)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "7 of 8 probes delivered" in again.stderr and "1 file of no photograph, not used: stranger.png" in again.stderr
    assert sorted(set(words(project))) == [status.NOT_DELIVERED, status.OK] and words(project).count(status.NOT_DELIVERED) == 1
    assert "1 (12.5 %)" in again.stdout


def test_what_cannot_be_judged_is_one_line_before_anything_runs(fresh: Fresh) -> None:
    project = fresh()
    made = deliver_mirrored(project, project.folder / "given")
    assert judge(project, "--print").returncode == 0
    project.configure(frontalizers=[*TINY["frontalizers"], "tool"], derived=["pose_matched:tool.none"])
    done = project.snakemake("--dry-run", check=False)
    assert done.returncode != 0 and "results made elsewhere turn no references" in done.stderr + done.stdout
    project.configure(frontalizers=[*TINY["frontalizers"], "tool"])
    made[0].with_suffix(".webp").write_bytes(made[0].read_bytes())
    done = project.snakemake("--dry-run", check=False)
    assert done.returncode != 0 and "both claim to be the result of" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout

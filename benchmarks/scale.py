"""100,000 synthetic frames planned, and 1 % of them prepared, detected, embedded and compared for real; then tables of 1,000 cells in one summary.

    python benchmarks/scale.py [--images 100000] [--cells 1000]

Three parts, each printed when it is there: the stages on 1 % of the frames with the time that the whole would take (processor seconds of one core); a
dry run of a small grid over all frames (every file is there, 1 % of them by content, the rest linked to those); and `summarize` of so many cells,
each with the rows of that 1 %. Peak memory beside each: compare and summarize should stay below 1 GB.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.dag import environment  # noqa: E402
from benchmarks.growth import STAGES, frames  # noqa: E402
from benchmarks.peak import most_until_its_end  # noqa: E402

LEAST = 1024
"""Megabytes that comparing and summarizing may take."""
SHARDS = 100
GRID = {
    "datasets": ["many"],
    "detectors": ["scrfd_500m"],
    "backbones": ["w600k_mbf", "edgeface_s"],
    "frontalizers": ["mesh", "mirror"],
    "enhancements": ["none", "sharp"],
    "quality": {"measures": []},
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000, metavar="N")
    parser.add_argument("--cells", type=int, default=1000, metavar="N")
    args = parser.parse_args()
    few = args.images // 100
    print(f"load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        frames(folder / "pictures", few)
        most = {}
        for stage in STAGES:
            command = [str(ROOT / "benchmarks" / "growth.py"), "measure", "--stage", stage, "--folder", str(folder)]
            seconds, most[stage], _ = measured(command)
            whole = f"{args.images:,}: {100 * seconds / 3600:.2f} core hours"
            print(f"{stage:10}{few:9,} frames{seconds:9.1f} s{most[stage]:7.0f} MB   {whole}", flush=True)
        print(plan(folder, args.images), flush=True)
        started = time.perf_counter()
        megabytes = summary(folder, args.cells)
    print(f"summarize {args.cells:,} cells of {few:,} images: {time.perf_counter() - started:.0f} s of wall, {megabytes:.0f} MB")
    small = max(most["compare"], megabytes) < LEAST
    print(f"compare and summarize below {LEAST} MB: {'yes' if small else 'NO'}")
    return 0 if small else 1


def measured(command: list[str], cwd: Path = ROOT, env: dict[str, str] | None = None) -> tuple[float, float, str]:
    """(processor seconds, most megabytes, what it said) of a Python program of its own; ends with its message where it fails."""
    with tempfile.TemporaryFile("w+") as said:
        single = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        process = subprocess.Popen([sys.executable, *command], cwd=cwd, env={**(env or os.environ), **single}, stdout=said, stderr=said)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        megabytes = most_until_its_end(process)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        said.seek(0)
        text = said.read()
    if process.returncode:
        sys.exit(f"{' '.join(command[:3])}: {text[-3000:]}")
    return used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime, megabytes, text


def plan(folder: Path, images: int) -> str:
    """The line of a dry run over ``images`` frames: those that lie in ``folder``, linked again and again."""
    project, root = folder / "project", folder / "many"
    project.mkdir()
    shutil.copy2(ROOT / "Snakefile", project)
    for name in ("rules", "config", "profiles", "workflow", "src", "envs", "reports"):
        shutil.copytree(ROOT / name, project / name)
    files = sorted((folder / "pictures").rglob("*.jpg"))
    for number, path in zip(range(images), itertools.cycle(files), strict=False):
        one = root / f"{path.parent.parent.name}_{number // len(files):03}" / path.parent.name / path.name
        one.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, one)
    card = yaml.safe_load((ROOT / "config" / "datasets" / "folder.yaml").read_text())
    card.update(name="many", root=str(root), shards=SHARDS)
    (project / "config" / "datasets" / "many.yaml").write_text(yaml.safe_dump(card))
    (project / "config" / "config.yaml").write_text(yaml.safe_dump(GRID))
    started = time.perf_counter()
    seconds, megabytes, text = measured(["-m", "snakemake", "--cores", "2", "--dry-run", "--quiet", "rules"], project, environment(project))
    wall = time.perf_counter() - started
    jobs = re.findall(r"^total +(\d+)$", text, re.MULTILINE)
    return (
        f"plan      {images:9,} frames{seconds:9.1f} s{megabytes:7.0f} MB   {int(jobs[0]):,} jobs in {SHARDS} shards, {wall:.0f} s of wall"
    )


def summary(folder: Path, cells: int) -> float:
    """Most megabytes of ``summarize`` over so many cells, all with the similarities that the last stage made."""
    detectors, backbones = (
        sorted(path.stem for path in (ROOT / "config" / "models" / kind).glob("*.yaml")) for kind in ("detectors", "backbones")
    )
    judges = list(itertools.product(detectors[:5], backbones[:8]))
    variants = ["original", "mirror.none", *(f"mesh@0.{i:02}.none" for i in range(1, 99))][: max(2, cells // len(judges))]
    listed = []
    for variant, (detector, backbone) in itertools.product(variants, judges):
        place = folder / "similarity" / "folder" / variant / detector
        place.mkdir(parents=True, exist_ok=True)
        for source, suffix in (("similarity", ""), ("scores", ".scores")):
            os.link(folder / f"{source}.parquet", place / f"{backbone}{suffix}.parquet")
        listed.append(str(place / f"{backbone}.parquet"))
    names = folder / "cells.txt"
    names.write_text("\n".join(listed))
    command = [str(ROOT / "workflow" / "scripts" / "summarize.py"), "--in", f"@{names}", "--out", str(folder / "master")]
    return measured(command)[1]


if __name__ == "__main__":
    sys.exit(main())

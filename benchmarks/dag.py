"""How long Snakemake plans the paper's grid: a dry run of config/paper.yaml beside a bare Snakefile, in one run.

The bare one has as many jobs in rules of the same shape (wildcards, inputs, log, benchmark, resources, params), and none of our code.

The datasets are stand-ins: a few images each, cut into as many shards as the cards of BIWI and LFW say, which gives the jobs of the real thing.
Then all files of the grid are made (empty, no model runs) and one backbone is added: what is planned has to be its cells and nothing else.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
ADDED = "edgeface_s"
MODELS = ("prepare", "detect", "frontalize", "enhance", "measure_pose", "embed", "compare")
BARE = """
SHARDS = [f"{{i:04}}" for i in range({shards})]
CELLS = dict(dataset=["a", "b"], variant=["original", *(f"v{{i}}.none" for i in range(36))], detector=["x", "y"], backbone=list("klmn"))
rule all:
    input: expand("similarity/{{dataset}}/{{variant}}/{{detector}}/{{backbone}}.parquet", **CELLS)
rule prepare:
    output: "images/{{dataset}}/{{shard}}.parquet"
    log: "logs/prepare/{{dataset}}/{{shard}}.log"
    params: code=lambda wildcards: "0123456789abcdef"
    shell: "true {{output:q}} 2> {{log:q}}"
rule detect:
    input: images="images/{{dataset}}/{{shard}}.parquet", weights=lambda wildcards: []
    output: "crops/{{dataset}}/{{variant}}/{{detector}}/{{shard}}.parquet"
    log: "logs/detect/{{dataset}}/{{variant}}/{{detector}}/{{shard}}.log"
    benchmark: "benchmarks/detect/{{dataset}}/{{variant}}/{{detector}}/{{shard}}.tsv"
    threads: 1
    resources: mem_mb=1500, runtime=60
    params: code=lambda wildcards: "0123456789abcdef", card=lambda wildcards: wildcards.detector
    shell: "true {{wildcards.detector:q}} {{input.images:q}} {{output:q}} 2> {{log:q}}"
rule embed:
    input: crops="crops/{{dataset}}/{{variant}}/{{detector}}/{{shard}}.parquet", weights=lambda wildcards: []
    output: "embeddings/{{dataset}}/{{variant}}/{{detector}}/{{backbone}}/{{shard}}.parquet"
    log: "logs/embed/{{dataset}}/{{variant}}/{{detector}}/{{backbone}}/{{shard}}.log"
    benchmark: "benchmarks/embed/{{dataset}}/{{variant}}/{{detector}}/{{backbone}}/{{shard}}.tsv"
    threads: 1
    resources: mem_mb=1500, runtime=60
    params: code=lambda wildcards: "0123456789abcdef", card=lambda wildcards: wildcards.backbone
    shell: "true {{wildcards.backbone:q}} {{input.crops:q}} {{output:q}} 2> {{log:q}}"
rule compare:
    input:
        images=lambda w: [f"images/{{w.dataset}}/{{s}}.parquet" for s in SHARDS],
        embeddings=lambda w: [f"embeddings/{{w.dataset}}/{{w.variant}}/{{w.detector}}/{{w.backbone}}/{{s}}.parquet" for s in SHARDS],
        references=lambda w: [f"embeddings/{{w.dataset}}/original/{{w.detector}}/{{w.backbone}}/{{s}}.parquet" for s in SHARDS],
    output: "similarity/{{dataset}}/{{variant}}/{{detector}}/{{backbone}}.parquet"
    log: "logs/compare/{{dataset}}/{{variant}}/{{detector}}/{{backbone}}.log"
    threads: 1
    resources: mem_mb=2000, runtime=60
    params: code=lambda wildcards: "0123456789abcdef", roles="{{}}"
    shell: "true {{wildcards.variant:q}} {{input.images:q}} {{input.embeddings:q}} {{input.references:q}} {{output:q}} 2> {{log:q}}"
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, metavar="N", help="dry runs of each (default: 3)")
    parser.add_argument(
        "--times", type=float, default=1.0, metavar="F", help="so many times the shards: 1.8 gives 30,000 jobs (default: 1)"
    )
    args = parser.parse_args()
    repeats, most = args.repeats, 30_000 * max(1.0, args.times)
    with tempfile.TemporaryDirectory() as work:
        project, bare = Path(work, "project"), Path(work, "bare")
        copy_project(project, args.times)
        grid = yaml.safe_load((project / "config" / "paper.yaml").read_text())
        grid["if_npm"] = {"backbones": [], "enhancements": []}
        configure(project, grid)
        print(f"{'':36}{'jobs':>8}{'CPU s: min':>14}{'median':>9}{'max':>9}{'ms a job':>10}   load {os.getloadavg()[0]:.1f}")
        jobs = sum(dry_run(project)[0].values())  # warms the caches of Python and of the datasets' fingerprints
        bare.mkdir()
        (bare / "Snakefile").write_text(BARE.format(shards=round(jobs / (2 * 37 * 2 * 5))))
        bare_jobs = sum(dry_run(bare)[0].values())
        ours, theirs = [], []
        for _ in range(repeats):  # by turns, so that both meet the same load
            ours.append(dry_run(project)[1])
            theirs.append(dry_run(bare)[1])
        per_job = line("paper grid", jobs, ours)
        ratio = per_job / line("bare Snakefile", bare_jobs, theirs)
        print(f"ratio {ratio:.2f} (at most 1.20); jobs at most {most:,.0f}")

        grid["backbones"] = [name for name in grid["backbones"] if name != ADDED]
        configure(project, grid)
        make_all_files(project)
        left, seconds = dry_run(project)
        line("everything there", sum(left.values()), [seconds])
        grid["backbones"].append(ADDED)
        configure(project, grid)
        planned, seconds = dry_run(project)
        line("one backbone added", sum(planned.values()), [seconds])
        wanted = expected(project, grid, args.times)
        models = {rule: n for rule, n in planned.items() if rule in MODELS}
        print(f"planned {models}, expected {wanted}; under 60 s: {'yes' if seconds < 60 else 'NO'}")
        return 0 if ratio <= 1.2 and jobs <= most and not left and models == wanted and seconds < 60 else 1


def copy_project(target: Path, times: float = 1.0) -> None:
    """The workflow, with two datasets of the real shard counts (``times`` as many) and a few images per shard."""
    target.mkdir()
    shutil.copy2(ROOT / "Snakefile", target)
    for name in ("rules", "config", "profiles", "workflow", "src", "envs", "reports"):
        shutil.copytree(ROOT / name, target / name)
    images = sorted((ROOT / "demo").rglob("*.jpg"))
    for name in ("biwi", "lfw"):
        shards = round(times * shards_of(ROOT, name))
        folder = target / "data" / name
        for i in range(shards * 8):
            for role in ("GT", "Angle"):
                copy = folder / f"person{i:03d}" / role / f"{role}.jpg"
                copy.parent.mkdir(parents=True)
                shutil.copyfile(images[i % len(images)], copy)
        card = yaml.safe_load((ROOT / "config" / "datasets" / "folder.yaml").read_text())
        card.update(name=f"{name}_sized", root=str(folder), shards=shards)
        (target / "config" / "datasets" / f"{name}_sized.yaml").write_text(yaml.safe_dump(card))


def shards_of(project: Path, dataset: str) -> int:
    return int(yaml.safe_load((project / "config" / "datasets" / f"{dataset}.yaml").read_text())["shards"])


def configure(project: Path, grid: dict[str, Any]) -> None:
    (project / "config" / "config.yaml").write_text(yaml.safe_dump({**grid, "datasets": ["biwi_sized", "lfw_sized"]}))


def environment(project: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(project / "src"), "FRONTALBENCH_HOME": str(project)}


def dry_run(project: Path) -> tuple[dict[str, int], float]:
    """(jobs by rule, processor seconds: a dry run is one busy thread, and others on the machine do not change this figure much)."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "2", "--dry-run", "--quiet", "rules"],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if done.returncode:
        sys.exit(f"dry run failed:\n{done.stdout[-1000:]}{done.stderr[-2000:]}")
    found = re.search(r"job +count\n[- ]+\n(.*?)\n\n", done.stdout + done.stderr + "\n\n", re.S)
    counts = dict(row.split() for row in found[1].splitlines()) if found else {}
    return {rule: int(count) for rule, count in counts.items() if rule != "total"}, seconds


def line(label: str, jobs: int, seconds: Sequence[float]) -> float:
    """Print a row; returns the median milliseconds a job."""
    ordered = sorted(seconds)
    median = ordered[len(ordered) // 2]
    per_job = median / max(1, jobs) * 1e3
    print(f"{label:36}{jobs:8,}{ordered[0]:14.1f}{median:9.1f}{ordered[-1]:9.1f}{per_job:10.2f}", flush=True)
    return per_job


def make_all_files(project: Path) -> None:
    """Every file that the grid asks for, empty, all of the same time."""
    listed = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", "--dry-run", "--summary"],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    now = time.time()
    for row in listed.splitlines()[1:]:
        name = row.split("\t")[0]
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.suffix:
            path.mkdir(exist_ok=True)
        elif path.name == "complete":
            path.touch()
        else:
            path.write_text('{"status": "ok"}' if path.suffix == ".json" else "")
        os.utime(path, (now, now))


def expected(project: Path, grid: dict[str, Any], times: float) -> dict[str, int]:
    """Jobs of one more backbone: an embedding per variant (turned references too), detector and shard; a comparison per dataset, variant (with the
    derived ones) and detector."""
    sys.path.insert(0, str(project / "src"))
    from frontalbench.catalogue import config
    from frontalbench.plan.grid import variants
    from frontalbench.plan.variant import parse

    chosen = config.parse({**grid, "datasets": ["biwi_sized", "lfw_sized"]}, npm=False, where="config")
    shards = sum(round(times * shards_of(project, name)) for name in ("biwi", "lfw"))
    pixels, judges = len(variants(chosen)), len(chosen.detectors)
    turned = len({parse(name).turned for name in chosen.derived} - {""})
    return {"embed": (pixels + turned) * judges * shards, "compare": 2 * (pixels + len(chosen.derived)) * judges}


if __name__ == "__main__":
    raise SystemExit(main())

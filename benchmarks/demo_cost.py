"""What a first look costs: processor seconds and wall of the demo grid of this working tree and of an earlier commit, both run here, in turn.

    python benchmarks/demo_cost.py --before 53d635a                 # whole: as long as both demos take
    python benchmarks/demo_cost.py --before 53d635a --report        # and report.html: all of `make run` but the installation
    python benchmarks/demo_cost.py --before 53d635a --people 2      # a small one: the fixed part of every job weighs more

Weights are taken from where they are (FRONTALBENCH_WEIGHTS, FRONTALBENCH_STORE, this checkout's weights/), so that no download is measured. Without
``--people`` that is the grid of `make run` as it is. Exit code 1 when the share of processor seconds is above ``--at-most``.
"""

from __future__ import annotations

import argparse
import io
import os
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--before", required=True, metavar="COMMIT", help="what is compared with")
    parser.add_argument("--people", type=int, metavar="N", help="only so many people (default: as the configuration says)")
    parser.add_argument("--cores", type=int, default=2, metavar="N", help="(default: 2)")
    parser.add_argument("--report", action="store_true", help="and make report.html, as `make run` does")
    parser.add_argument("--at-most", type=float, default=0.6, metavar="SHARE", help="the share that is allowed (default: 0.6)")
    parser.add_argument("--folder", type=Path, metavar="DIR", help="where both are run, kept afterwards (default: a temporary folder)")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        base = (args.folder or Path(temporary)).resolve()
        spent = {}
        for name in ("before", "after"):
            folder = base / name
            folder.mkdir(parents=True)
            before(folder, args.before) if name == "before" else after(folder)
            spent[name] = run(folder, args.cores, args.people, report=args.report)
            seconds, wall, jobs = spent[name]
            print(f"{name}: {seconds:.0f} processor seconds, {wall:.0f} s, {jobs} jobs, load {os.getloadavg()[0]:.1f}", flush=True)
    share = spent["after"][0] / spent["before"][0]
    print(f"share: {share:.2f} (at most {args.at_most:.2f}), of the wall {spent['after'][1] / spent['before'][1]:.2f}")
    return 0 if share <= args.at_most else 1


def before(folder: Path, commit: str) -> None:
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data") if hasattr(tarfile, "data_filter") else archive.extractall(folder)  # our own commit


def after(folder: Path) -> None:
    """The working tree, with what is not yet committed."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    packed = subprocess.run(
        ["tar", "--create", "--null", "--files-from=-", "--ignore-failed-read"], cwd=ROOT, input=names, stdout=subprocess.PIPE, check=True
    ).stdout
    subprocess.run(["tar", "--extract"], cwd=folder, input=packed, check=True)


def run(folder: Path, cores: int, people: int | None, *, report: bool) -> tuple[float, float, int]:
    """Processor seconds (of Snakemake and every job), seconds, jobs with a benchmark."""
    environment = dict(os.environ, PYTHONPATH=str(folder / "src"), PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    environment.setdefault("FRONTALBENCH_STORE", str(ROOT / "weights"))
    environment.pop("FRONTALBENCH_HOME", None)
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores), "--quiet", "progress", "rules", "host", "reason"]
    fewer = ["--configfile", "fewer.yaml"] if people is not None else []
    if people is not None:
        (folder / "fewer.yaml").write_text(f"datasets: [{{name: synthetic, limit: {people}}}]\n")
    start, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([*command, *fewer], cwd=folder, env=environment, check=True)
    if report:
        subprocess.run(["bash", "workflow/scripts/make_report.sh", *fewer], cwd=folder, env=environment, check=True)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    jobs = sum(1 for _ in (folder / "logs" / "benchmarks").rglob("*.tsv"))
    return end.ru_utime + end.ru_stime - start.ru_utime - start.ru_stime, time.monotonic() - clock, jobs


if __name__ == "__main__":
    sys.exit(main())

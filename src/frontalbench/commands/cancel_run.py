"""Cancel the SLURM jobs that a killed Snakemake left behind, before starting it again.

Snakemake names all jobs of a run alike and writes that name at its start. Without arguments the runs logged in .snakemake/log are looked up.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from frontalbench import cli
from frontalbench.errors import BadInput

NAME = re.compile(r"SLURM run ID: (\S+)")


def main() -> int:
    parser = cli.parser(__doc__)
    parser.add_argument("runs", nargs="*", metavar="RUN", help="run ids (default: all of .snakemake/log)")
    parser.add_argument(
        "--wait", type=cli.positive, default=60, metavar="SECONDS", help="how long to wait until the jobs are gone (default: 60)"
    )
    args = parser.parse_args()
    if shutil.which("scancel") is None:
        raise BadInput("scancel is not on this machine: run this where SLURM's commands are")
    runs = args.runs or logged_runs(Path(".snakemake/log"))
    if not runs:
        print("no SLURM runs are logged in .snakemake/log: nothing to cancel")
        return cli.EXIT_OK
    before = alive(runs)
    for run in runs:
        subprocess.run(["scancel", "--name", run], check=True)
    deadline = time.monotonic() + args.wait
    while alive(runs):
        if time.monotonic() > deadline:
            raise BadInput(f"jobs are still there after {args.wait} s: squeue --name {','.join(runs)}")
        time.sleep(1)
    print(
        f"cancelled {len(before)} job(s) of {len(runs)} run(s); now: snakemake --unlock, then start again with --rerun-incomplete",
        file=sys.stderr,
    )
    return cli.EXIT_OK


def logged_runs(folder: Path) -> list[str]:
    """Run ids in Snakemake's logs, newest log last."""
    found: dict[str, None] = {}
    for path in sorted(folder.glob("*.log")):
        found.update(dict.fromkeys(NAME.findall(path.read_text(encoding="utf-8", errors="replace"))))
    return list(found)


def alive(runs: list[str]) -> list[str]:
    """Job ids of these runs that wait, run or are ending."""
    done = subprocess.run(["squeue", "-h", "--name", ",".join(runs), "-o", "%i"], capture_output=True, text=True, check=True)
    return done.stdout.split()

"""The tiny grid again and again with something bad happening each time: afterwards the tables must be the same bytes, and nothing may pile up.

Each round starts from nothing or from the finished results, meets one fault (kill, SIGTERM, Ctrl-C, a flipped bit, a cut table, a lost table, a full
disk's half file, a changed setting and back), is brought to its end by the commands of docs/cluster.md, and is compared with the first run.
Prints a line a round with the peak memory and the most open files of the whole process tree.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.project import Project, copy_checkout, people, write_card


class Watched:
    """Peak memory (MB, resident, summed) and most open files of a process tree while it runs."""

    def __init__(self) -> None:
        self.memory, self.files = 0.0, 0

    def wait(self, process: subprocess.Popen[str], seconds: float) -> bool:
        """Look at ``process`` until it ends (True) or ``seconds`` are over (False)."""
        deadline = time.monotonic() + seconds
        while process.poll() is None:
            if time.monotonic() > deadline:
                return False
            memory, files = 0.0, 0
            for each in _tree(process.pid):
                try:
                    memory += each.memory_info().rss / 1e6
                    files += each.num_fds()
                except psutil.Error:  # it ended in the meantime
                    continue
            self.memory, self.files = max(self.memory, memory), max(self.files, files)
            time.sleep(0.2)
        return True


def _tree(pid: int) -> list[psutil.Process]:
    try:
        top = psutil.Process(pid)
        return [top, *top.children(recursive=True)]
    except psutil.Error:
        return []


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15, metavar="N", help="how long (default: 15)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the faults (default: 0)")
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    deadline = time.monotonic() + 60 * arguments.minutes
    with tempfile.TemporaryDirectory() as work:
        project = copy_checkout(Path(work, "project"))
        write_card(project, "tiny", people(project.folder / "data" / "tiny", identities=2), shards=1)
        project.configure()
        began = time.monotonic()
        project.snakemake()
        whole = time.monotonic() - began
        wanted, before = project.tables(), set(Path(tempfile.gettempdir()).iterdir())
        rounds, failures = 0, 0
        peaks: dict[str, list[float]] = {}
        while time.monotonic() < deadline:
            name, fault = rng.choice(list(FAULTS.items()))
            watched = Watched()
            fault(project, watched, rng, whole)
            bring_to_its_end(project, watched)
            left = [str(path) for path in (project.folder / "results").rglob("*.part")]
            good = project.tables() == wanted and not left
            rounds, failures = rounds + 1, failures + (not good)
            peaks.setdefault(name, []).append(watched.memory)
            said = "same tables" if good else f"DIFFERENT tables or leftovers {left}"
            print(f"{rounds:4} {name:10} {said}; peak {watched.memory:.0f} MB, {watched.files} open files", flush=True)
        new = {path.name for path in set(Path(tempfile.gettempdir()).iterdir()) - before}
    print(f"{rounds} rounds, {failures} failures, load {os.getloadavg()[0]:.1f}; new in the temporary folder: {sorted(new) or 'nothing'}")
    for name, each in sorted(peaks.items()):  # of one fault with itself: different faults run different jobs
        print(f"{name:10} peak memory in MB, round by round: {', '.join(f'{value:.0f}' for value in each)}")
    return 1 if failures else 0


def bring_to_its_end(project: Project, watched: Watched) -> None:
    """What docs/cluster.md says to do after anything: unlock, check and mend, run."""
    project.snakemake("--unlock")
    command = [sys.executable, "workflow/scripts/check_results.py", "--mend"]
    if (project.folder / "results").is_dir():
        found = subprocess.run(
            command, cwd=project.folder, env=project.environment, capture_output=True, text=True, check=True
        ).stdout.split()
        if found:
            project.snakemake("--rerun-incomplete", *found)
    running = project.start("--rerun-incomplete")
    if not watched.wait(running, 600) or running.returncode:
        sys.exit(f"the run after the fault ended with {running.returncode}")


def interrupted(number: signal.Signals) -> Callable[[Project, Watched, random.Random, float], None]:
    def fault(project: Project, watched: Watched, rng: random.Random, whole: float) -> None:
        if rng.random() < 0.7:
            shutil.rmtree(project.folder / "results", ignore_errors=True)
        else:
            shutil.rmtree(project.folder / "results" / rng.choice(["embeddings", "similarity", "master"]), ignore_errors=True)
        running = project.start("--rerun-incomplete")
        if not watched.wait(running, rng.uniform(1, whole)):
            os.killpg(running.pid, number)
            watched.wait(running, 120)

    return fault


def damaged(how: Callable[[Path, random.Random], None]) -> Callable[[Project, Watched, random.Random, float], None]:
    def fault(project: Project, watched: Watched, rng: random.Random, whole: float) -> None:
        path = rng.choice(sorted((project.folder / "results").rglob("*.parquet")))
        dates = path.stat()
        how(path, rng)
        if path.exists():
            os.utime(path, ns=(dates.st_atime_ns, dates.st_mtime_ns))

    return fault


def flip(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def half(path: Path, rng: random.Random) -> None:
    path.with_name(f".{path.name}.abcdefgh.part").write_bytes(path.read_bytes()[:100])


def changed(project: Project, watched: Watched, rng: random.Random, whole: float) -> None:
    project.configure(frontalizers=["identity"])
    watched.wait(project.start(), 600)
    project.configure()


FAULTS = {
    "kill": interrupted(signal.SIGKILL),
    "SIGTERM": interrupted(signal.SIGTERM),
    "Ctrl-C": interrupted(signal.SIGINT),
    "flip": damaged(flip),
    "cut": damaged(lambda path, rng: os.truncate(path, rng.randrange(path.stat().st_size))),
    "lost": damaged(lambda path, rng: path.unlink()),
    "half file": damaged(half),
    "changed": changed,
}

if __name__ == "__main__":
    raise SystemExit(main())

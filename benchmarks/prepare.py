"""Prepare a dataset of LFW's size beside a bare loop that only reads and hashes the same files, on the same cores, in one run.

Makes 13,233 JPEG files of LFW's mean size (lfw.tgz: 13 kB an image) in a temporary folder (or takes --in DIR, laid out like LFW). Beside the bare
loop stands one that also keeps the bytes, as prepare does: written one after the other to one file, which is flushed to the disk.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from frontalbench import datasets, images
from frontalbench.datasets import listing
from frontalbench.stages import prepare

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.peak import most  # noqa: E402


def make_tree(root: Path) -> None:
    """5,749 people, 13,233 images of 250 x 250; 64 different images, told apart by their last bytes."""
    generator = np.random.default_rng(0)
    encoded = []
    for _ in range(64):
        small = generator.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        encoded.append(images.encode_jpeg(np.ascontiguousarray(np.kron(small, np.ones((7, 7, 1), np.uint8))[:250, :250]), quality=31))
    number = 0
    for person in range(5749):
        folder = root / f"Person_{person:04d}"
        folder.mkdir(parents=True)
        for image in range(1 + (person < 1680) * (4 + (person < 764))):
            (folder / f"Person_{person:04d}_{image + 1:04d}.jpg").write_bytes(encoded[number % 64] + b"\n%d" % number)
            number += 1


def bare(paths: list[str], threads: int) -> float:
    """Seconds to read and hash all files with ``threads`` threads (1: a plain loop)."""

    def some(part: list[str]) -> None:
        for path in part:
            with open(path, "rb") as handle:  # noqa: PTH123
                hashlib.sha256(handle.read()).hexdigest()

    start = time.perf_counter()
    if threads == 1:
        some(paths)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(some, [paths[i : i + 256] for i in range(0, len(paths), 256)]))
    return time.perf_counter() - start


def kept(paths: list[str], out: Path) -> float:
    """Seconds of the plain loop when it also writes what it read to ``out`` and flushes that."""
    out.unlink(missing_ok=True)
    start = time.perf_counter()
    with out.open("wb", buffering=1 << 20) as sink:
        for path in paths:
            with open(path, "rb") as handle:  # noqa: PTH123
                data = handle.read()
            hashlib.sha256(data).hexdigest()
            sink.write(data)
        sink.flush()
        os.fsync(sink.fileno())
    return time.perf_counter() - start


def prepared(card: datasets.DatasetCard, out: Path) -> float:
    """Seconds to prepare all shards (one thread reads, one writes)."""
    shutil.rmtree(out, ignore_errors=True)  # letting go of 180 MB of an earlier table is not part of the work
    start = time.perf_counter()
    for shard in datasets.shard_names(card):
        prepare.prepare_shard(card, None, shard, out / card.name / f"{shard}.parquet")
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--in", dest="folder", help="a folder laid out like LFW (default: made in a temporary folder)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--shards", type=int, default=16)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        root = Path(arguments.folder) if arguments.folder else Path(work) / "lfw"
        if not arguments.folder:
            make_tree(root)
        card = datasets.find("lfw").with_options({"root": str(root), "shards": arguments.shards})
        paths = [member.path for member in listing.list_members(card)]
        size = sum(Path(path).stat().st_size for path in paths)
        sides: dict[str, Callable[[], float]] = {
            "bare read + sha256, plain loop": lambda: bare(paths, 1),
            f"bare read + sha256, {arguments.threads} threads": lambda: bare(paths, arguments.threads),
            "plain loop that keeps the bytes": lambda: kept(paths, Path(work) / "kept"),
            "prepare (read, sha256, header, table on disk)": lambda: prepared(card, Path(work) / "out"),
        }
        bare(paths, 1)
        gc.freeze()  # as every command line of the project does
        wall: dict[str, list[float]] = {label: [] for label in sides}
        processor: dict[str, list[float]] = {label: [] for label in sides}
        for _ in range(arguments.repeat):  # by turns, so that all meet the same load from other programs
            for label, side in sides.items():
                start = time.process_time()
                wall[label].append(side())
                processor[label].append(time.process_time() - start)
        peak = most()
    turns = f"{arguments.shards} shards, {arguments.repeat} turns, load of the machine {os.getloadavg()[0]:.1f}"
    print(f"{len(paths):,} files, {size / 1e6:.0f} MB, {turns}")
    *others, ours = sides
    for label in sides:
        best = min(wall[label])
        print(
            f"{label}: {best:.3f} s at best ({len(paths) / best:,.0f} files/s), {statistics.median(wall[label]):.3f} s in the median,",
            end=" ",
        )
        print(f"{min(processor[label]):.3f} s of processors")
    for label in others:
        best = min(wall[label]) / min(wall[ours])
        median = statistics.median(a / b for a, b in zip(wall[label], wall[ours], strict=True))
        print(f"prepare reaches {best:.0%} of the {label} (best of each; {median:.0%} in the median turn)")
    print(f"peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What the road through files and another environment costs: tddfa as it is against tddfa as a foreign system, same images, in turn.

  benchmarks/external.py --images 100 --rounds 3
  benchmarks/external.py --processor               processor seconds instead, which neighbours disturb less: what 100 images cost more than 10

Both write a whole shard of the synthetic people, by the functions that the workflow's jobs call. Left out is the start: loading the model on either
side, and the start of the foreign process until its first image is begun; it is printed beside. The machine's load is printed, too: with others at
work the two roads are disturbed by turns, so the rounds alternate and the smallest of each counts.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from frontalbench import tables
from frontalbench.catalogue import cards
from frontalbench.external.job import Job
from frontalbench.frontalize import external, load_frontalizer
from frontalbench.plain import folders
from frontalbench.stages.external import frontalize_external
from frontalbench.stages.frontalize import frontalize_shard

PEOPLE = Path(__file__).resolve().parents[1] / "demo" / "synthetic"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processor", action="store_true", help="processor seconds: of --images, less those of a tenth of them")
    args = parser.parse_args()
    native, stranger = cards.find("frontalizer", "tddfa"), cards.find("frontalizer", "tddfa_external")
    if args.processor:
        _processor(args.images, args.rounds, native, stranger)
        return
    with tempfile.TemporaryDirectory() as name:
        chosen = _people(Path(name, "pictures"), args.images)
        with folders.with_faces(chosen, "*", "scrfd_500m", threads=1, device="cpu") as (shard, faces, temporary):
            rounds = []
            for number in range(args.rounds):
                ours = _native(shard, faces, temporary / "native.parquet", native)
                theirs, start = _external(shard, faces, temporary / "stranger.parquet", stranger)
                rounds.append((ours, theirs, start))
                load = os.getloadavg()[0]
                print(
                    f"round {number + 1}: native {1000 * ours / args.images:.1f} ms an image, external {1000 * theirs / args.images:.1f}"
                    f" (start left out: {start:.1f} s), load {load:.1f} on {os.cpu_count()} cores"
                )
            same = [row["image"] for row in tables.read(temporary / "native.parquet").to_pylist()] == [
                row["image"] for row in tables.read(temporary / "stranger.parquet").to_pylist()
            ]
    ours, theirs = min(r[0] for r in rounds), min(r[1] for r in rounds)
    print(
        f"{args.images} images, the smallest of {args.rounds}: native {1000 * ours / args.images:.1f} ms, external"
        f" {1000 * theirs / args.images:.1f} ms, ratio {theirs / ours:.3f} (at most 1.15 wanted); same bytes: {same}"
    )


def _people(folder: Path, number: int) -> Path:
    """A folder of ``number`` photographs of the synthetic people."""
    folder.mkdir()
    every = sorted(PEOPLE.rglob("*.jpg"))
    for i in range(number):
        (folder / f"{i:04d}.jpg").symlink_to(every[i % len(every)])
    return folder


def _processor(images: int, rounds: int, native: cards.ModelCard, stranger: cards.ModelCard) -> None:
    """Print the processor seconds of an image on both roads. What a start costs, of either side's, is in ``few`` and ``many`` alike."""
    few = images // 10
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        made = {}
        for number in (few, images):
            chosen = _people(Path(name, str(number)), number)
            made[number] = stack.enter_context(folders.with_faces(chosen, "*", "scrfd_500m", threads=1, device="cpu"))
        least: dict[tuple[str, int], float] = {}
        for _ in range(rounds):
            for number, (shard, faces, temporary) in made.items():
                for road in ("native", "external"):
                    before = _spent()
                    if road == "native":
                        frontalize_shard(shard, faces, temporary / "n.parquet", native, lambda: load_frontalizer(native))
                    else:
                        frontalize_external(shard, faces, temporary / "e.parquet", stranger, lambda: external.load(stranger))
                    spent = _spent() - before
                    least[road, number] = min(least.get((road, number), spent), spent)
    each = {road: (least[road, images] - least[road, few]) / (images - few) for road in ("native", "external")}
    starts = {road: least[road, few] - few * each[road] for road in each}
    ratio = each["external"] / each["native"]
    print(f"processor milliseconds of an image ({images} less {few} images, least of {rounds} rounds), load {os.getloadavg()[0]:.1f}:")
    print(f"native {1000 * each['native']:.1f}, external {1000 * each['external']:.1f}, ratio {ratio:.3f} (at most 1.15 wanted)")
    print(f"start, in seconds: native {starts['native']:.1f}, external {starts['external']:.1f}")


def _spent() -> float:
    """Processor seconds so far, of this process and of those that it started and that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _native(shard: Path, faces: Path, out: Path, card: cards.ModelCard) -> float:
    frontalize_shard(shard, faces, out, card, lambda: load_frontalizer(card, threads=1))
    return float(tables.run_record(out)["work_seconds"])


def _external(shard: Path, faces: Path, out: Path, card: cards.ModelCard) -> tuple[float, float]:
    """Seconds of work, and of them those until the foreign process began its first image: until its first line, less what that image took."""
    starts: list[float] = []
    sealed = [0.0]
    seal = Job.seal

    def noted(self: Job, names: object = None) -> None:
        seal(self, names)  # type: ignore[arg-type]
        sealed[0] = time.time()

    Job.seal = noted  # type: ignore[assignment,method-assign]
    try:
        with tempfile.TemporaryDirectory() as kept:
            frontalize_external(shard, faces, out, card, lambda: external.load(card, threads=1, keep=Path(kept)))
            status = next(Path(kept).glob("*/out/status.jsonl"))
            first = json.loads(status.read_text().splitlines()[0])
            # The file is made when the model has been loaded, before the first image.
            starts.append(_born(status) - sealed[0])
            assert first["seconds"] > 0
    finally:
        Job.seal = seal  # type: ignore[method-assign]
    return float(tables.run_record(out)["work_seconds"]) - starts[0], starts[0]


def _born(status: Path) -> float:
    """When the file was made: its folder was last changed by that, or by the first result that came after; the earlier of the two results' times."""
    first = min(path.stat().st_mtime for path in status.parent.glob("*.png"))
    line = json.loads(status.read_text().splitlines()[0])
    return first - float(line["seconds"])


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""What the road through files and another environment costs: tddfa as it is against tddfa as a foreign system, same pictures, in turn.

  benchmarks/external.py --pictures 100 --rounds 3

Both write a whole shard of the synthetic people, by the functions that the workflow's jobs call. Left out is the start: loading the model on either
side, and the start of the foreign process until its first picture is begun; it is printed beside. The machine's load is printed, too: with others at
work the two roads are disturbed by turns, so the rounds alternate and the smallest of each counts.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
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
    parser.add_argument("--pictures", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    native, stranger = cards.find("frontalizer", "tddfa"), cards.find("frontalizer", "tddfa_external")
    with tempfile.TemporaryDirectory() as name:
        chosen = Path(name, "pictures")
        chosen.mkdir()
        every = sorted(PEOPLE.rglob("*.jpg"))
        for i in range(args.pictures):
            (chosen / f"{i:04d}.jpg").symlink_to(every[i % len(every)])
        with folders.with_faces(chosen, "*", "scrfd_500m", threads=1, device="cpu") as (shard, faces, temporary):
            rounds = []
            for number in range(args.rounds):
                ours = _native(shard, faces, temporary / "native.parquet", native)
                theirs, start = _external(shard, faces, temporary / "stranger.parquet", stranger)
                rounds.append((ours, theirs, start))
                load = os.getloadavg()[0]
                print(
                    f"round {number + 1}: native {1000 * ours / args.pictures:.1f} ms a picture, external {1000 * theirs / args.pictures:.1f}"
                    f" (start left out: {start:.1f} s), load {load:.1f} on {os.cpu_count()} cores"
                )
            same = [row["image"] for row in tables.read(temporary / "native.parquet").to_pylist()] == [
                row["image"] for row in tables.read(temporary / "stranger.parquet").to_pylist()
            ]
    ours, theirs = min(r[0] for r in rounds), min(r[1] for r in rounds)
    print(
        f"{args.pictures} pictures, the smallest of {args.rounds}: native {1000 * ours / args.pictures:.1f} ms, external"
        f" {1000 * theirs / args.pictures:.1f} ms, ratio {theirs / ours:.3f} (at most 1.15 wanted); same bytes: {same}"
    )


def _native(shard: Path, faces: Path, out: Path, card: cards.ModelCard) -> float:
    frontalize_shard(shard, faces, out, card, lambda: load_frontalizer(card, threads=1))
    return float(tables.run_record(out)["work_seconds"])


def _external(shard: Path, faces: Path, out: Path, card: cards.ModelCard) -> tuple[float, float]:
    """Seconds of work, and of them those until the foreign process began its first picture: until its first line, less what that picture took."""
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
            # The file is made when the model has been loaded, before the first picture.
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

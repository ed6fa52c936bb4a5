#!/usr/bin/env python3
"""Intervals over people for 200 cells: every group, subset and bin of yaw of a cell, people left out on both sides, with permutation tests.

Prints the processor seconds of 200 cells (under 60). With fewer cells than 200 it says what 200 would take.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from frontalbench.compare.rows import Rows, YawBins


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", type=int, default=200)
    parser.add_argument("--images", type=int, default=15678, help="images of a cell (default: 15678, as in the study's BIWI tables)")
    parser.add_argument("--people", type=int, default=24)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)
    import numpy as np

    from frontalbench.compare import groups

    rng = np.random.default_rng(0)
    n = arguments.images
    subject = np.array([f"s{i:05d}" for i in np.sort(rng.integers(0, arguments.people, n))], dtype=object)
    role = np.where(rng.random(n) < 0.1, "reference", "probe").astype(object)
    words = {"image_id": np.array([f"{i:06d}" for i in range(n)], dtype=object), "identity": subject, "subject": subject, "role": role}
    yaw = rng.uniform(-75, 75, n)

    def rows(seed: int) -> Rows:
        draw = np.random.default_rng(seed)
        status = np.where(draw.random(n) < 0.02, "no_face", "ok").astype(object)
        value = {name: draw.normal(0.4, 0.1, n) for name in ("genuine", "impostor", "to_original", "within")}
        fixed = {name: np.full(n, 100.0) for name in ("n_references", "n_impostors", "n_within")}
        empty = np.full(n, "", dtype=object)
        moves = draw.normal(0.0, 1e-3, (n, arguments.people)).astype(np.float16)
        return Rows(**words, status=status, detail=empty, yaw_source=empty, numbers={**value, **fixed, "yaw": yaw}, moves=moves)

    original, bins = rows(-1 % 2**32), YawBins()
    start = time.process_time()
    made = 0
    for cell in range(arguments.cells):
        made += len(groups.summarize_cell(rows(cell), original, is_original=False, bins=bins))
    ours = (time.process_time() - start) * 200 / arguments.cells
    per_cell = made // arguments.cells
    sys.stdout.write(
        f"{arguments.cells} cells of {n} images and {arguments.people} people, {arguments.threads} thread(s)\n"
        f"summaries of 200     {ours:8.1f} s   ({made:,} rows with interval, {per_cell} a cell; at most 60 s)\n"
    )
    return 0 if ours <= 60 else 1


if __name__ == "__main__":
    sys.exit(main())

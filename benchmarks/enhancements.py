"""What enhancements cost, beside what they may cost at most: images a second of the light corrections, seconds of a refinement, and GFPGAN's network
as it is run here beside the eager official layers.

    python benchmarks/enhancements.py                      # exits with 1 where one misses its figure
    python benchmarks/enhancements.py sharp color frame --turns 9

Images are the shipped people who do not exist, enlarged to 512 x 512, each with another photograph of the same person beside it. Times are
processor seconds; the median and the least of all turns are printed. Light corrections and refinements run on one thread. GFPGAN (random weights, one
face at a time, --threads) takes turns with the eager layers, so that a disturbance meets both, and is compared by the median of the turns' ratios of
elapsed time: that is what threads are for.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from frontalbench import images, status
from frontalbench.enhance import load_enhancement
from frontalbench.enhance.base import apply
from frontalbench.images import RGB

DEMO = Path(__file__).resolve().parents[1] / "demo" / "synthetic"
SIDE = 512
AT_LEAST = {"sharp": 100.0, "color": 100.0, "frame": 100.0}
"""Images a second."""
AT_MOST = {"identity_refine": 10.0}
"""Seconds an image."""
GFPGAN = ("gfpgan", 1.5)
"""So many times the eager layers' speed."""


def people(number: int) -> list[tuple[RGB, RGB]]:
    """Images of people who do not exist, and another photograph of each."""
    found = []
    for folder in sorted(DEMO.glob("*/"))[:number]:
        files = sorted((folder / "Angle").glob("*.jpg"))
        pair = [cv2.resize(images.decode(file.read_bytes()), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for file in (files[0], files[-1])]
        found.append((np.asarray(pair[0], np.uint8), np.asarray(pair[1], np.uint8)))
    return found


def cost(name: str, pairs: list[tuple[RGB, RGB]], turns: int) -> list[float]:
    """Processor seconds an image of every turn."""
    enhancement = load_enhancement(name, threads=1)
    shown, beside = [one for one, _ in pairs], [other for _, other in pairs]
    apply(enhancement, shown[:1], beside[:1])
    seconds = []
    for _ in range(turns):
        began = time.process_time()
        outcomes = apply(enhancement, shown, beside)
        seconds.append((time.process_time() - began) / len(pairs))
        failed = [one.detail for one in outcomes if one.status != status.OK]
        if failed:
            raise SystemExit(f"{name}: {failed[0]}")
    return seconds


def gfpgan(turns: int, threads: int) -> tuple[float, float, float]:
    """Median seconds of the eager layers and of ours, and the median of the turns' ratios."""
    import torch

    from frontalbench.networks.gfpgan import Gfpgan, ready

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    eager, other = (Gfpgan().eval().requires_grad_(False) for _ in range(2))
    for value in eager.state_dict().values():  # as they come, deep layers overflow
        fan = value[0].numel() if value.ndim > 1 else 1
        value.copy_(torch.randn_like(value) * (0.5 * (2.0 / fan) ** 0.5 if value.ndim > 1 else 0.02))
    other.load_state_dict(eager.state_dict())
    sides: tuple[Callable[[torch.Tensor], torch.Tensor], ...] = (eager, ready(other))
    face = torch.rand(1, 3, SIDE, SIDE) * 2 - 1
    with torch.inference_mode():
        first, second = (side(face) for side in sides)
        apart = float((first - second).abs().max() / first.abs().max())
        if not apart < 1e-3:
            raise SystemExit(f"gfpgan: the results differ by {apart:.1e} of the largest value")
        seconds: list[list[float]] = [[], []]
        for turn in range(turns):
            for place in (0, 1) if turn % 2 else (1, 0):
                began = time.perf_counter()
                sides[place](face)
                seconds[place].append(time.perf_counter() - began)
    ratios = [before / after for before, after in zip(*seconds, strict=True)]
    return statistics.median(seconds[0]), statistics.median(seconds[1]), statistics.median(ratios)


def main() -> int:
    names = [*AT_LEAST, *AT_MOST, GFPGAN[0]]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=names, metavar="NAME", help=f"cards, or gfpgan (default: {', '.join(names)})")
    parser.add_argument("--turns", type=int, default=5, metavar="N", help="(default: 5)")
    parser.add_argument("--people", type=int, default=10, metavar="N", help="for light corrections (default: 10); a refinement takes 3")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of GFPGAN's network (default: 2)")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    missed = []
    for name in args.names:
        if name == GFPGAN[0]:
            before, after, ratio = gfpgan(args.turns, args.threads)
            fine = ratio >= GFPGAN[1]
            said = f"{after:.2f} s a face, eager layers {before:.2f} s: {ratio:.2f} times (at least {GFPGAN[1]})"
        else:
            heavy = name in AT_MOST
            seconds = cost(name, people(3 if heavy else args.people), 1 if heavy else args.turns)
            middle, least = statistics.median(seconds), min(seconds)
            if heavy:
                fine, said = middle <= AT_MOST[name], f"{middle:.2f} s an image (at most {AT_MOST[name]:g})"
            else:
                wanted = AT_LEAST.get(name)
                fine = wanted is None or 1 / least >= wanted
                said = f"{1 / middle:.0f} images a second, at best {1 / least:.0f}" + (f" (at least {wanted:g})" if wanted else "")
        if not fine:
            missed.append(name)
        sys.stdout.write(f"{name}: {said}{'' if fine else ' MISSED'}\n")
        sys.stdout.flush()
    sys.stdout.write(f"load {os.getloadavg()[0]:.1f}; {'all reached' if not missed else 'missed: ' + ', '.join(missed)}\n")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())

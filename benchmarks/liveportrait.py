"""Speed and memory of the LivePortrait networks under synthetic weights, beside this machine's own peaks measured in the same run.

    python benchmarks/liveportrait.py [--threads 2] [--rounds 5] [--batch 4] [--algorithm minimal|direct] [--device cpu|cuda] [--precision float32]
                                     [--clock wall|cpu]

Every round times everything once, so that another program's load falls on all of it; the best of the rounds is printed. GMAC are those of the
published formulas (654.7 in all): work that is saved by rearranging counts as done. Peak: the better of the rounds' F.conv2d 512 -> 512 at 64 x 64,
in the precision of the run (and in float32, to compare).
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

from frontalbench.liveportrait.pipeline import LivePortrait, Source

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.peak import most
from tests.golden import fills

GMAC = {"appearance": 32.06, "motion": 5.82, "warping": 171.04, "generator": 445.79}
OFFICIAL_MS = {"appearance": 231, "motion": 89, "warping": 1523, "generator": 3225}
"""Official modules, two CPU threads, float32, best case, as stated for another machine."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--algorithm", choices=["minimal", "direct"], default=None)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["float32", "float16", "bfloat16"], default="float32")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall", help="cpu: processor time, with --threads 1 on a busy machine")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clock = time.process_time if arguments.clock == "cpu" else time.perf_counter
    portrait = LivePortrait(
        fills.liveportrait,
        device=arguments.device,
        precision=arguments.precision,
        algorithm=arguments.algorithm,
        compiled=arguments.compiled,
    )
    where = f"{arguments.device}, {arguments.precision}, {arguments.threads} threads"
    print(f"{where}, {arguments.clock} clock, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")

    with torch.inference_mode():
        single = steps(portrait, 1)
        for step in single.values():
            step()
        memory = peak_megabytes(portrait.device)
        several = steps(portrait, arguments.batch)
        several["end to end"]()
        work = {**peaks(portrait), **single, f"batch of {arguments.batch}": several["end to end"]}
        best = dict.fromkeys(work, float("inf"))
        for _ in range(arguments.rounds):
            for name, step in work.items():
                best[name] = min(best[name], seconds(step, portrait.device, clock))
    report(best, arguments.batch, memory, on_cpu=portrait.device.type == "cpu")


def steps(portrait: LivePortrait, count: int) -> dict[str, Callable[[], object]]:
    """What is timed, for ``count`` images at a time."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(count, *shape, generator=generator).to(portrait.device)

    image = torch.rand(count, 3, 256, 256, generator=generator).to(portrait.device)
    volume, features, source = normal(32, 16, 64, 64) * 0.5, normal(256, 64, 64) * 0.5, normal(21, 3) * 0.3
    driving = source + 0.05

    def end_to_end() -> object:
        seen = Source(portrait.appearance(image), None, source.cpu())  # type: ignore[arg-type]
        portrait.motion_network(image)
        return portrait.render(seen, driving.cpu())

    return {
        "appearance": lambda: portrait.appearance(image),
        "motion": lambda: portrait.motion_network(image),
        "warping": lambda: portrait.warping(volume, driving, source),
        "generator": lambda: portrait.generator(features),
        "end to end": end_to_end,
    }


def peaks(portrait: LivePortrait) -> dict[str, Callable[[], object]]:
    def of(dtype: torch.dtype) -> tuple[Callable[[], object], Callable[[], object]]:
        kind = {"device": portrait.device, "dtype": dtype}
        a, b = torch.randn(2048, 2048, **kind), torch.randn(2048, 2048, **kind)  # type: ignore[call-overload]
        x = torch.randn(1, 512, 64, 64, **kind).contiguous(memory_format=torch.channels_last)  # type: ignore[call-overload]
        w = torch.randn(512, 512, 3, 3, **kind).contiguous(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return lambda: a @ b, lambda: F.conv2d(x, w, padding=1)

    matmul, conv = of(getattr(torch, portrait.precision))
    same = portrait.precision == "float32"
    return {"matmul peak": matmul, "conv peak": conv, **({} if same else {"float32 conv": of(torch.float32)[1]})}


CONV_GMAC = 512 * 512 * 9 * 64 * 64 / 1e9
PEAK_GMAC = {"matmul peak": 2048**3 / 1e9, "conv peak": CONV_GMAC, "float32 conv": CONV_GMAC}


def seconds(step: Callable[[], object], device: torch.device, clock: Callable[[], float]) -> float:
    start = clock()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - start


def peak_megabytes(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return most()


def report(best: dict[str, float], batch: int, memory: float, *, on_cpu: bool) -> None:
    total = sum(GMAC.values())
    work = {**PEAK_GMAC, **GMAC, "end to end": total, f"batch of {batch}": total * batch}
    conv = PEAK_GMAC["conv peak"] / best["conv peak"]
    print(f"{'':14}{'ms':>10}{'GMAC/s':>10}{'of conv peak':>14}{'official ms':>13}")
    for name, taken in best.items():
        rate = work[name] / taken
        official = OFFICIAL_MS.get(name, sum(OFFICIAL_MS.values()) if name == "end to end" else None)
        stated = f"{official:>13}" if official is not None and on_cpu else ""
        print(f"{name:14}{taken * 1e3:>10.1f}{rate:>10.1f}{rate / conv:>13.0%} {stated}")
    gain = batch * best["end to end"] / best[f"batch of {batch}"]
    print(f"images per second: {1 / best['end to end']:.2f} one by one, {gain:.2f} times that in batches of {batch}")
    print(f"peak memory, one by one: {memory:,.0f} MB ({'process' if on_cpu else 'GPU allocations'}; loading included)")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Networks on a GPU under synthetic weights: equal to the CPU's results, images per second, share of the peak, and how long the device waits.

    python benchmarks/gpu.py --device cuda                        # everything (about two minutes)
    python benchmarks/gpu.py --device cuda --only gfpgan retinaface_r50 --no-check
    python benchmarks/gpu.py --device cpu --only scaleway          # the same script on a CPU, whose spans are those of the calls

Each network in float32 (TF32 off) and float16, one image and a batch at a time. Peak: the faster of two 3 x 3 convolutions in the same precision.
``busy``: share of the time between the first kernel and the last in which a kernel or a copy ran; ``gap``: the longest time without. Both are from
the device's own time line (torch.profiler) over a second of work in steady state. ``stage`` rows are the product's calls, from crops to PNG bytes.
Exit code 1 where float32 differs from the CPU by more than 1e-3 of the largest value.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from tests.golden import fills  # noqa: E402

from frontalbench import images  # noqa: E402
from frontalbench.liveportrait.pipeline import LivePortrait  # noqa: E402
from frontalbench.networks.gfpgan import Gfpgan  # noqa: E402
from frontalbench.networks.retinaface import RetinaFaceNet  # noqa: E402
from frontalbench.runtime.sessions import torch_device  # noqa: E402
from networks import NETWORKS, used  # noqa: E402

BOUND = 1e-3
Span = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """How busy the device was: share of the time from the first span's begin to the last one's end, longest time without a span in milliseconds."""

    busy: float
    longest_gap: float


def timeline(spans: Iterable[Span]) -> Line:
    """``spans``: begin and end in microseconds, in any order, overlapping or not. Raises ValueError without a span."""
    ordered = sorted(spans)
    if not ordered:
        raise ValueError("the device did nothing")
    first, reached = ordered[0]
    busy, gap = reached - first, 0.0
    for begin, end in ordered[1:]:
        gap = max(gap, begin - reached)
        busy += max(0.0, end - max(begin, reached))
        reached = max(reached, end)
    return Line(busy / max(reached - first, 1e-9), gap / 1e3)


class Peak:
    """Billion multiply-adds per second of one large convolution, per precision."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.known = device, dict[torch.dtype, float]()

    def of(self, dtype: torch.dtype) -> float:
        if dtype not in self.known:
            self.known[dtype] = max(self._conv(dtype, 256, 128), self._conv(dtype, 512, 64))
        return self.known[dtype]

    def _conv(self, dtype: torch.dtype, channels: int, side: int) -> float:
        count = 1 if self.device.type == "cpu" else 16
        layout: dict[str, Any] = {"device": self.device, "dtype": dtype, "memory_format": torch.channels_last}
        conv = nn.Conv2d(channels, channels, 3, padding=1).to(**layout)
        x = torch.rand(count, channels, side, side).to(**layout)
        with torch.inference_mode():
            each = seconds(lambda: conv(x), self.device, least=0.2)
        return count * channels * channels * 9 * side * side / 1e9 / each


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(call: Callable[[], object], device: torch.device, *, least: float = 0.5) -> float:
    """Seconds of a call in steady state: three to warm up, then as many as fill ``least`` seconds, waited for once."""
    for _ in range(3 if device.type == "cuda" else 1):
        call()
    wait(device)
    done, started = 0, time.perf_counter()
    while True:
        for _ in range(4 if device.type == "cuda" else 1):
            call()
            done += 1
        wait(device)
        if time.perf_counter() - started > least:
            return (time.perf_counter() - started) / done


def watched(call: Callable[[], object], device: torch.device, times: int) -> Line:
    """The device's time line over ``times`` calls one after the other; on a CPU the calls themselves are the spans."""
    if device.type != "cuda":
        spans = []
        for _ in range(times):
            begin = time.perf_counter()
            call()
            spans.append((begin * 1e6, time.perf_counter() * 1e6))
        return timeline(spans)
    wait(device)
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        for _ in range(times):
            call()
        wait(device)
    found = seen.profiler.kineto_results.events()  # type: ignore[union-attr]
    return timeline((e.start_ns() / 1e3, (e.start_ns() + e.duration_ns()) / 1e3) for e in found if "CUDA" in str(e.device_type()))


def gfpgan() -> nn.Module:
    return fills.filled(Gfpgan, "GFPGANv1Clean", "C")


def retinaface_r50() -> nn.Module:
    torch.manual_seed(0)
    return RetinaFaceNet("resnet50").eval().requires_grad_(False)


def tensors(value: object) -> list[Tensor]:
    """The tensors in a network's answer, in order."""
    if isinstance(value, Tensor):
        return [value]
    parts: Iterable[object] = (
        value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else vars(value).values()
    )
    return [tensor for part in parts for tensor in tensors(part)]


MORE: dict[str, tuple[float, tuple[int, ...], Callable[[], nn.Module]]] = {
    "gfpgan": (0.0, (3, 512, 512), gfpgan),
    "retinaface_r50": (0.0, (3, 640, 640), retinaface_r50),
}


KNOWN = {**NETWORKS, **MORE}


def build(name: str) -> nn.Module:
    """A network as the product uses it; anew each time, as weights that were packed for one device do not move to another."""
    made = KNOWN[name][2]()
    return made if name in MORE else used(made)


def multiply_adds(network: nn.Module, x: Tensor) -> float:
    """Billions, counted while the network runs once."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(x)
    return counter.get_total_flops() / 2e9


def network_rows(name: str, device: torch.device, peak: Peak, batch: int, *, check: bool) -> float:
    """Prints the rows of one network; returns how far float32 is from the CPU's result (0 unchecked)."""
    shape = KNOWN[name][1]
    network = build(name)
    x = torch.rand((batch, *shape), generator=torch.Generator().manual_seed(0))
    apart = 0.0
    with torch.inference_mode():
        here = tensors(build(name)(x[:1])) if check else []
        network = network.to(device)
        if check:
            there = tensors(network(x[:1].to(device)))
            apart = max(float((a.cpu() - b).abs().max() / b.abs().max().clamp_min(1e-12)) for a, b in zip(there, here, strict=True))
    work = multiply_adds(network, x[:1].to(device))
    for dtype in (torch.float32, torch.float16) if device.type == "cuda" else (torch.float32,):
        for count in (1, batch):
            inputs = x[:count].to(device)

            def call(inputs: Tensor = inputs, dtype: torch.dtype = dtype) -> object:
                with torch.inference_mode(), torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
                    return network(inputs)

            row(name, dtype, count, call, work, device, peak, apart if dtype == torch.float32 and count == 1 and check else None)
    return apart


def row(
    name: str,
    dtype: torch.dtype,
    count: int,
    call: Callable[[], object],
    work: float,
    device: torch.device,
    peak: Peak,
    apart: float | None,
) -> None:
    each = seconds(call, device)
    line = watched(call, device, max(3, min(50, int(1.0 / each))) if device.type == "cuda" else 2)
    share = work * count / each / peak.of(dtype)
    memory = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else 0.0
    print(
        f"{name:22}{str(dtype)[6:]:>9}{count:>4}{each / count * 1e3:>9.2f}{count / each:>10.1f}{work:>8.1f}{share:>7.0%}{line.busy:>7.0%}"
        f"{line.longest_gap:>8.2f}{memory:>8.0f}" + ("" if apart is None else f"{apart:>10.1e}"),
        flush=True,
    )
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def liveportrait_rows(device: torch.device, peak: Peak, batch: int) -> None:
    """The product's own calls: crops in, PNG bytes out, in both ways of putting work beside the device."""
    random = np.random.default_rng(0)
    crops = [random.integers(0, 256, (512, 512, 3), dtype=np.uint8) for _ in range(batch)]
    for precision in ("float32", "float16") if device.type == "cuda" else ("float32",):
        portrait = LivePortrait(fills.liveportrait, device=str(device), precision=precision)  # type: ignore[arg-type]
        dtype = getattr(torch, precision)
        for count in (1, batch):
            seen = portrait.observe(crops[:count])
            driving = portrait.drive(seen)

            def network(seen: Any = seen, driving: Any = driving, count: int = count, portrait: Any = portrait) -> object:
                portrait.observe(crops[:count])
                return portrait.render(seen, driving)

            row("liveportrait", dtype, count, network, 654.7, device, peak, None)
        stage_rows(portrait, crops, dtype, device, peak)


def stage_rows(portrait: LivePortrait, crops: Sequence[images.RGB], dtype: torch.dtype, device: torch.device, peak: Peak) -> None:
    batch = len(crops)

    def turned() -> list[Any]:
        seen = portrait.observe(crops)
        return portrait.render(seen, portrait.drive(seen))

    def plain() -> object:
        return [images.encode_png(image) for image in turned() if image is not None]

    with ThreadPoolExecutor(4) as pool:
        waiting: list[Any] = []

        def overlapped() -> object:
            for one in waiting:
                one.result()
            waiting[:] = [pool.submit(images.encode_png, image) for image in turned() if image is not None]
            return waiting

        for name, call in (("stage, PNG after", plain), ("stage, PNG beside", overlapped)):
            row(name, dtype, batch, call, 654.7, device, peak, None)


def main() -> int:
    known = [*KNOWN, "liveportrait"]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=8, metavar="N")
    parser.add_argument("--only", nargs="+", choices=known, default=known, metavar="NAME", help=", ".join(known))
    parser.add_argument("--no-check", action="store_true", help="do not run each network on the CPU first")
    args = parser.parse_args()
    device = torch_device(args.device)
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    print(f"{where}, torch {torch.__version__}, load {os.getloadavg()[0]:.1f}")
    print(f"{'':22}{'':>9}{'N':>4}{'ms each':>9}{'images/s':>10}{'GMAC':>8}{'peak':>7}{'busy':>7}{'gap ms':>8}{'MB':>8}{'from CPU':>10}")
    peak, worst = Peak(device), 0.0
    for name, _ in itertools.groupby(args.only):
        try:
            if name == "liveportrait":
                liveportrait_rows(device, peak, args.batch)
            else:
                worst = max(worst, network_rows(name, device, peak, args.batch, check=not args.no_check))
        except Exception as error:  # noqa: BLE001 - the other networks are measured all the same; the exit code says it
            print(f"{name:22}FAILED: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}", flush=True)
            worst = float("inf")
    print("peaks, TMAC/s: " + ", ".join(f"{str(dtype)[6:]} {rate / 1e3:.2f}" for dtype, rate in peak.known.items()))
    print(f"float32 against the CPU: {worst:.1e} of the largest value, bound {BOUND:g}: {'ok' if worst <= BOUND else 'FAILED'}")
    return 0 if worst <= BOUND else 1


if __name__ == "__main__":
    sys.exit(main())

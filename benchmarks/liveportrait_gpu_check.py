"""The LivePortrait networks on a GPU against the same networks on the CPU, under synthetic weights; ends with 1 when float32 disagrees.

python benchmarks/liveportrait_gpu_check.py [--device cuda|cpu]     # cpu: what half precision costs there
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import torch

from frontalbench.liveportrait.pipeline import LivePortrait
from frontalbench.runtime.sessions import torch_device

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.golden import fills

BOUND = 1e-3


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    device = str(torch_device(parser.parse_args().device))  # as the product chooses it: without TF32
    states: dict[str, Any] = {}

    def state(name: str) -> Any:
        if name not in states:
            states[name] = fills.liveportrait(name)
        return states[name]

    expected = results(LivePortrait(state, algorithm="direct"))
    worst = 0.0
    for precision in ("float32", "float16", "bfloat16"):
        actual = results(LivePortrait(state, device=device, precision=precision))  # type: ignore[arg-type]
        for name, value in expected.items():
            difference = (actual[name] - value).abs() / value.abs().max()
            error = float(difference.max())
            print(f"{precision:10}{name:12} largest difference {error:.2e} of the largest value, mean {float(difference.mean()):.2e}")
            worst = max(worst, error) if precision == "float32" else worst
    print(f"float32: {worst:.2e}, bound {BOUND:g}: {'ok' if worst <= BOUND else 'FAILED'}")
    return 0 if worst <= BOUND else 1


def results(portrait: LivePortrait) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, 3, 256, 256, generator=generator).to(portrait.device)
    source = (torch.randn(2, 21, 3, generator=generator) * 0.3).to(portrait.device)
    with torch.inference_mode():
        volume = portrait.appearance(image)
        motion = portrait.motion_network(image)
        features = portrait.warping(volume, source + 0.05, source)
        out = {"volume": volume, **motion, "features": features, "image": portrait.generator(features)}
    return {name: value.float().cpu() for name, value in out.items()}


if __name__ == "__main__":
    sys.exit(main())

"""Where the time of the geometric frontalizers goes: processor milliseconds an image by step, one core, as a table and drawn as SVG.

    python benchmarks/frontalizer_steps.py [--rounds 6] [--out docs/images/frontalizer_steps.svg]

Functions are timed inside of the frontalizers while they turn the demo's images, enlarged to 512 pixels; a step's time is its own, without that of
the steps inside of it. What is in no step is "rest". Packing the result as PNG, which the stage does afterwards, is the last bar.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import grid_cost, where_time_goes  # noqa: E402

NAMES = ("mesh", "tddfa")
STEPS: dict[str, tuple[str, ...]] = {
    "landmark network": ("landmarks.face_landmarker:FaceLandmarker._run", "landmarks.tddfa:DenseFitter.parameters"),
    "its crop": ("geometry.crop:square_crop", "landmarks.tddfa:_cut"),
    "head": ("frontalize.mesh:MeshFrontalizer._head", "frontalize.tddfa:TddfaFrontalizer._head", "landmarks.tddfa:DenseFitter._decode"),
    "normals": ("frontalize.head:vertex_normals",),
    "rasterizer": ("geometry.raster:rasterize", "geometry.raster:interpolate"),
    "what is seen": tuple(
        f"frontalize.render:{name}" for name in ("prepared", "layer", "spilt", "what_is_seen", "carried", "quality_at", "share_of_mirror")
    ),
    "colours": tuple(
        f"frontalize.render:{name}"
        for name in ("render_seen", "sampled", "filled_in", "tone_between", "_coloured", "laid_over", "lay_plate")
    ),
    "inpainting": ("frontalize.render:inpainted",),
    "crop and background": (
        "frontalize.drawing:cropped",
        *(f"frontalize.surroundings:{name}" for name in ("surrounded", "spread", "partition", "outside")),
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6, metavar="N")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "frontalizer_steps.svg", metavar="SVG")
    args = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)
    spent: dict[str, float] = defaultdict(float)
    for step, functions in STEPS.items():
        for place in functions:
            watch(place, step, spent)
    found = {name: measured(name, args.rounds, spent) for name in NAMES}
    for step in found[NAMES[0]]:
        print(f"{step:22}" + "".join(f"{found[name][step]:8.2f}" for name in NAMES))
    print(f"{'together, ms':22}" + "".join(f"{sum(found[name].values()):8.2f}" for name in NAMES))
    draw(found, args.out)


def watch(place: str, step: str, spent: dict[str, float]) -> None:
    """Put a clock around the function ``module:name`` or ``module:Class.name``, wherever it has been imported to."""
    module_name, _, path = place.partition(":")
    module = importlib.import_module(f"frontalbench.{module_name}")
    owner = functools.reduce(getattr, path.split(".")[:-1], module)
    name = path.rpartition(".")[2]
    plain = getattr(owner, name)
    timed = clocked(plain, step, spent)
    for other in (owner, *(m for n, m in list(sys.modules.items()) if n.startswith("frontalbench"))):
        if getattr(other, name, None) is plain:
            setattr(other, name, timed)


_inner: list[float] = []


def clocked(run: Callable[..., Any], step: str, spent: dict[str, float]) -> Callable[..., Any]:
    @functools.wraps(run)
    def inner(*given: Any, **named: Any) -> Any:
        _inner.append(0.0)
        started = time.process_time()
        try:
            return run(*given, **named)
        finally:
            seconds = time.process_time() - started
            spent[step] += seconds - _inner.pop()
            if _inner:
                _inner[-1] += seconds

    return inner


def measured(name: str, rounds: int, spent: dict[str, float]) -> dict[str, float]:
    """Milliseconds an image of each step."""
    from frontalbench import images

    turn, count = grid_cost.made(f"frontalizer/{name}")
    outcomes = turn()
    spent.clear()
    started = time.process_time()
    for _ in range(rounds):
        turn()
    whole = time.process_time() - started
    steps = {step: spent[step] for step in STEPS}
    steps["rest"] = whole - sum(steps.values())
    started = time.process_time()
    for _ in range(rounds):
        for outcome in outcomes:
            images.encode_png(outcome.image)
    steps["PNG, by the stage"] = time.process_time() - started
    return {step: seconds / rounds / count * 1e3 for step, seconds in steps.items()}


def draw(found: dict[str, dict[str, float]], path: Path) -> None:
    import matplotlib.pyplot as plt

    figure, panels = plt.subplots(1, len(found), figsize=(9, 3.2), layout="constrained", sharey=True, sharex=True)
    for axes, (name, steps) in zip(panels, found.items(), strict=True):
        where_time_goes.bars(axes, steps, decimals=1, room=0.12)
        axes.set_title(f"{name}: {sum(steps.values()):.0f} ms", fontsize=10)
        axes.set_xlabel("processor milliseconds an image")
    where_time_goes.save(figure, path)


if __name__ == "__main__":
    main()

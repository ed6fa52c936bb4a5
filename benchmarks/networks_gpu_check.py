"""Detectors and backbones on a GPU beside the same ones on the CPU: how far the results are apart, and how fast both are.

Takes every detector and backbone card whose weights are on this machine; backbones a second time with float16 on the GPU, against float32 on the CPU.
Without CUDA both columns are the CPU's: nothing was checked then, and the exit code is 2. Exit code 1: something is further apart than float32 in
another order of sums (points 0.1 pixel), or than embeddings may be in either precision (a cosine of 0.9999).
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import ModelCard
from frontalbench.detect import load_detector
from frontalbench.detect.stream import detect_and_align
from frontalbench.embed import load_backbone
from frontalbench.embed.base import normalise
from frontalbench.errors import WeightsMissing
from frontalbench.runtime import sessions as runtime

ROOT = Path(__file__).resolve().parents[1]
LEAST_COSINE, MOST_PIXELS = 0.9999, 0.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--in", dest="source", type=Path, default=ROOT / "demo", metavar="DIR", help="folder of JPEG files (default: demo)")
    parser.add_argument("--images", type=int, default=64, metavar="N")
    arguments = parser.parse_args()
    encoded = [path.read_bytes() for path in sorted(arguments.source.rglob("*.jpg"))[: arguments.images]]
    device = runtime.provider("cuda")
    print(f"{len(encoded)} images, device {device}")
    print(f"{'':28}{'images/s: CPU':>14}{'GPU':>9}   furthest apart")
    rows = [detect_and_align(str(i), data, load_detector(cards.find("detector", "scrfd_500m"))) for i, data in enumerate(encoded)]
    crops = np.stack([row.crop for row in rows if row.crop is not None])
    decoded = [images.decode(data) for data in encoded]
    worst_pixels = max(present(both(cards.all_cards("detector"), lambda card, on: detector(card, on, decoded), pixels_apart, "pixels")))
    found = cards.all_cards("backbone")
    worst_cosine = min(present(both(found, lambda card, on: backbone(card, on, crops), least_cosine, "cosine")))
    print("float16 on the GPU:")
    half = [dataclasses.replace(card, params={**card.params, "precision": "float16"}) for card in found]
    worst_cosine = min(worst_cosine, *both(half, lambda card, on: backbone(card, on, crops), least_cosine, "cosine"))
    if not device.startswith("cuda"):
        print("no CUDA here: nothing was checked")
        return 2
    return 0 if worst_pixels <= MOST_PIXELS and worst_cosine >= LEAST_COSINE else 1


def present(values: Sequence[float]) -> Sequence[float]:
    if not values:
        sys.exit("no weights on this machine; fetch some with workflow/scripts/fetch_weights.py")
    return values


def both(
    found: Sequence[ModelCard], run: Callable[[ModelCard, str], tuple[Any, float]], apart: Callable[[Any, Any], float], unit: str
) -> list[float]:
    """Run every card on both devices; prints a row each, returns how far the results are apart."""
    distances = []
    for card in found:
        try:
            (here, slow), (there, fast) = run(card, "cpu"), run(card, "cuda")
        except WeightsMissing:
            continue
        except ModuleNotFoundError as error:
            print(f"{card.kind + ' ' + card.name:28}left out: {error}")
            continue
        distances.append(apart(here, there))
        print(f"{card.kind + ' ' + card.name:28}{slow:14.1f}{fast:9.1f}   {distances[-1]:.6f} {unit}", flush=True)
    return distances


def detector(card: ModelCard, device: str, decoded: Sequence[images.RGB]) -> tuple[Any, float]:
    loaded = load_detector(card, device=device)
    loaded.detect(decoded[0])  # warms up
    start = time.perf_counter()
    found = [loaded.detect(image) for image in decoded]
    return found, len(decoded) / (time.perf_counter() - start)


def backbone(card: ModelCard, device: str, crops: images.RGB) -> tuple[Any, float]:
    loaded = load_backbone(card, device=device)
    loaded.embed(crops[:2])
    start = time.perf_counter()
    vectors = loaded.embed(crops)
    return normalise(vectors)[0], len(crops) / (time.perf_counter() - start)


def pixels_apart(here: Any, there: Any) -> float:
    """Largest distance of a point of the best face, in pixels; infinite when only one side found a face."""
    if [len(a) > 0 for a in here] != [len(b) > 0 for b in there]:
        return float("inf")
    return max((float(np.abs(a.points[0] - b.points[0]).max()) for a, b in zip(here, there, strict=True) if len(a)), default=0.0)


def least_cosine(here: Any, there: Any) -> float:
    return float((here * there).sum(axis=1).min())


if __name__ == "__main__":
    sys.exit(main())

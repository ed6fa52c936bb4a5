"""Whether GFPGAN's own package and our module of its network give the same pixels: both filled with the same synthetic weights, on the same faces.

    frontalbench prepare-environments gfpgan_full_pkg
    python benchmarks/gfpgan_package.py                 # exits with 1 where a value differs by more than one grey level
    python benchmarks/gfpgan_package.py --weights GFPGANv1.4.pth --images DIR      # with real weights and faces of 512 x 512 pixels

The package runs as it does for the card gfpgan_full_pkg: in its own environment, through adapters/gfpgan_package. Nothing real is needed.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import torch

from frontalbench import images
from frontalbench.catalogue import cards, external
from frontalbench.enhance.base import to_bytes
from frontalbench.enhance.gfpgan import load_network
from frontalbench.enhance.restoration import SIDE
from frontalbench.external.settings import read
from frontalbench.frontalize.base import FRONTAL
from frontalbench.frontalize.external import ExternalFrontalizer, Places
from frontalbench.images import RGB
from frontalbench.networks.gfpgan import Gfpgan
from frontalbench.weights import foreign

CARD = "gfpgan_full_pkg"
TOLERANCE = 1
"""Grey levels: two builds of torch may round to different sides of a half."""


def synthetic(path: Path) -> Path:
    """An official checkpoint whose every tensor is drawn from its name (recipe C of tests/golden/data/README.md)."""
    state = {}
    for key, value in Gfpgan().state_dict().items():
        draw = torch.randn(value.shape, generator=torch.Generator().manual_seed(zlib.crc32(key.encode())))
        fan = draw.numel() / draw.shape[0] if draw.ndim > 1 else 1.0
        state[key] = draw * 0.5 * (2.0 / fan) ** 0.5 if draw.ndim > 1 else 0.02 * draw
    torch.save({"params_ema": state}, path)
    return path


def faces(folder: Path | None, number: int) -> list[RGB]:
    """Faces of 512 x 512 pixels from a folder, or smooth noise."""
    if folder is not None:
        found = [images.decode(path.read_bytes()) for path in sorted(folder.iterdir()) if path.suffix.lower() in images.EXTENSIONS]
        return [np.asarray(cv2.resize(one, (SIDE, SIDE)), np.uint8) for one in found]
    random = np.random.default_rng(0)
    noise = [random.uniform(0, 255, (SIDE, SIDE, 3)).astype(np.float32) for _ in range(number)]
    return [to_bytes(np.clip(127.5 + 6.0 * (cv2.GaussianBlur(one, (0, 0), 5) - 127.5), 0, 255)) for one in noise]


def ours(weights: Path, images: list[RGB], threads: int) -> list[RGB]:
    network = load_network(weights, threads=threads)
    made = []
    for image in images:
        blob = torch.from_numpy(image.astype(np.float32).transpose(2, 0, 1)[None] / 127.5 - 1.0)
        with torch.inference_mode():
            made.append(to_bytes((network(blob)[0].clamp(-1, 1).numpy().transpose(1, 2, 0) + 1.0) * 127.5))
    return made


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="an official checkpoint (default: synthetic)")
    parser.add_argument("--images", type=Path, help="folder of aligned faces (default: smooth noise)")
    parser.add_argument("--number", type=int, default=2, help="of synthetic images")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--python", type=Path, help="interpreter with the package (default: that of prepare-environments)")
    args = parser.parse_args()
    card = cards.find("enhancement", CARD)
    said = external.read(card)
    places = Places(args.python or foreign.interpreter(said), said.program)
    limits = {key: value for key, value in card.params.items() if key != "feather"}
    settings = read(dataclasses.replace(card, params={**limits, "size": SIDE}))
    images = faces(args.images, args.number)
    with tempfile.TemporaryDirectory() as temporary:
        weights = args.weights or synthetic(Path(temporary, "synthetic.pth"))
        own = ours(weights, images, args.threads)
        system = ExternalFrontalizer(CARD, places, settings, weights={"gfpgan_full.model": str(weights)}, threads=args.threads)
        with system.turned((image, None, FRONTAL) for image in images) as done:
            outcomes = [done.outcome(place) for place in range(len(images))]
            sys.stderr.write(done.log())
    worst = 0
    for place, (mine, outcome) in enumerate(zip(own, outcomes, strict=True)):
        if outcome.image is None:
            sys.stdout.write(f"face {place}: the package failed: {outcome.detail}\n")
            return 1
        apart = np.abs(mine.astype(int) - outcome.image)
        worst = max(worst, int(apart.max()))
        spread = f"values {mine.min()} to {mine.max()}"
        sys.stdout.write(
            f"face {place}: largest difference {apart.max()} grey levels, {(apart > 0).mean():.2e} of the values differ; {spread}\n"
        )
    sys.stdout.write(f"{'agree' if worst <= TOLERANCE else 'DIFFER'}: at most {worst} grey levels, {TOLERANCE} allowed\n")
    return int(worst > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())

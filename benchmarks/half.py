#!/usr/bin/env python3
"""Cards in float32 and with ``precision_cpu: bfloat16``: processor milliseconds an image, and how far apart what they give is.

    python benchmarks/half.py [--images FOLDER] [--count 16] [--turns 3] [NAME ...]

Both are loaded as a job loads them, one thread, and take turns; the least of each counts. Without names: every card with its weights at hand whose
family can. Recognisers: the smallest and the median cosine of an image's two embeddings. Detectors and landmarks: how far a point moves, in pixels of
the aligned 112 x 112 crop, and images in which only one of them finds a face. Poses: degrees. Mattes and images: grey levels in the mean and at most.
Measures: relative. Networks of which no weights are at hand: ``networks.py --half``.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
KINDS = ("backbone", "detector", "landmarks", "pose", "matting", "enhancement", "quality", "frontalizer")
SIDE = 256
"""Frontalizers and enhancements are given images of at most this many pixels a side."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="cards (default: all whose weights are at hand)")
    parser.add_argument("--images", type=Path, default=ROOT / "demo" / "synthetic", metavar="FOLDER", help="(default: the shipped people)")
    parser.add_argument("--count", type=int, default=16, metavar="N", help="images (default: 16)")
    parser.add_argument("--turns", type=int, default=3, metavar="N", help="(default: 3)")
    args = parser.parse_args()
    os.environ.setdefault("FRONTALBENCH_STORE", str(ROOT / "weights"))
    import torch

    from frontalbench.catalogue import cards, families
    from frontalbench.runtime.sessions import limit_threads
    from frontalbench.weights import store

    torch.set_num_threads(1)
    limit_threads(1)
    faces = Faces(args.images, args.count)
    print(f"{len(faces.images)} images of {args.images}; load {os.getloadavg()[0]:.1f}")
    for kind in KINDS:
        for card in cards.all_cards(kind):
            if card.family in families.FLOAT32.get(kind, {}) or (args.names and card.name not in args.names):
                continue
            if not store.available(card) or not all(store.available(used) for used in card.used_cards()):
                continue
            print(f"{kind + '/' + card.name:32}{side_by_side(card, faces, args.turns)}", flush=True)
    return 0


class Faces:
    """Images, the face in each, and its aligned crop."""

    def __init__(self, folder: Path, count: int) -> None:
        from frontalbench import images
        from frontalbench.catalogue import cards
        from frontalbench.detect import load_detector
        from frontalbench.detect.select import choose
        from frontalbench.geometry.similarity import align

        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
        self.images, self.faces = [], []
        finder = load_detector(cards.find("detector", "scrfd_500m"))
        for path in paths[:: max(1, len(paths) // count)]:
            image = images.decode(path.read_bytes())
            face = choose(finder.detect(image), (image.shape[1], image.shape[0]))
            if face is not None and len(self.images) < count:
                self.images.append(image)
                self.faces.append(face)
        self.crops = np.stack([align(image, face.points) for image, face in zip(self.images, self.faces, strict=True)])

    def in_crop(self, index: int, points: Any) -> Any:
        """``points`` (N, 2) of an image, in pixels of its aligned crop."""
        from frontalbench.geometry.similarity import ARCFACE_TEMPLATE, apply, estimate_similarity

        return apply(estimate_similarity(self.faces[index].points.astype(np.float64), ARCFACE_TEMPLATE), np.asarray(points, np.float64))


def side_by_side(card: Any, faces: Faces, turns: int) -> str:
    """A line for one card."""
    from frontalbench.catalogue import families
    from frontalbench.errors import FrontalbenchError

    half = dataclasses.replace(card, params={**card.params, "precision_cpu": "bfloat16"})
    try:
        steps = [work(card.kind, families.load(one), faces) for one in (card, half)]
    except FrontalbenchError as error:
        return f"refused: {error}"
    found: list[Any] = [None, None]
    least = [float("inf"), float("inf")]
    for _ in range(turns + 1):
        for side, step in enumerate(steps):
            clock = time.process_time()
            found[side] = step()
            least[side] = min(least[side], time.process_time() - clock)
    one, other = (1000 * seconds / len(faces.images) for seconds in least)
    return f"{one:9.1f}{other:9.1f} ms an image, {one / other:5.2f} times; {apart(card.kind, *found, faces)}"


def work(kind: str, model: Any, faces: Faces) -> Callable[[], Any]:
    """What a turn does: an entry for each image, None where there is none."""
    from frontalbench.detect.select import choose

    pairs = list(zip(faces.images, faces.faces, strict=True))
    if kind == "backbone":
        return lambda: list(model.embed(faces.crops))
    if kind == "detector":
        chosen = [lambda image=image: choose(model.detect(image), (image.shape[1], image.shape[0])) for image in faces.images]
        return lambda: [None if (face := one()) is None else face.points for one in chosen]
    if kind == "landmarks":
        keypoints = model.basis.keypoints
        return lambda: [model.fit(image, face).vertices[keypoints][:, :2] for image, face in pairs]
    if kind == "pose":
        return lambda: [np.array(model.estimate(image, face)[:3]) for image, face in pairs]
    if kind == "matting":
        return lambda: [
            (model.matte if hasattr(model, "matte") else model.probabilities)(image) * np.float32(255.0) for image in faces.images
        ]
    if kind == "quality":
        if hasattr(model, "of"):
            return lambda: list(model.of(faces.crops))
        if hasattr(model, "score"):
            return lambda: [np.array([model.score(crop)]) for crop in faces.crops]
        others = [*faces.crops[1:], faces.crops[0]]
        return lambda: [np.array(model.distance(a, b)) for a, b in zip(faces.crops, others, strict=True)]
    if kind == "enhancement":
        return lambda: [one.image for one in model.enhance(faces.images)]
    from frontalbench.frontalize.base import View

    return lambda: [one.image for one in model.frontalize([View(image, face) for image, face in pairs])]


def apart(kind: str, wanted: list[Any], got: list[Any], faces: Faces) -> str:
    """How far the two are apart."""
    both = [(index, a, b) for index, (a, b) in enumerate(zip(wanted, got, strict=True)) if a is not None and b is not None]
    lost = sum((a is None) != (b is None) for a, b in zip(wanted, got, strict=True))
    only = f", {lost} found by one alone" if lost else ""
    if kind == "backbone":
        cosines = [float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for _, a, b in both]
        return f"cosine at least {min(cosines):.5f}, median {np.median(cosines):.5f}"
    if kind in ("detector", "landmarks"):
        moved = [np.linalg.norm(faces.in_crop(index, a) - faces.in_crop(index, b), axis=1).max() for index, a, b in both]
        return f"points move by at most {max(moved):.2f}, median {np.median(moved):.2f} pixels of 112{only}"
    differ = [np.abs(np.asarray(a, np.float64) - np.asarray(b, np.float64)) for _, a, b in both]
    if kind == "pose":
        return f"{max(one.max() for one in differ):.2f} degrees at most, {np.mean([one.mean() for one in differ]):.2f} in the mean"
    if kind == "quality":
        spread = np.abs([a for _, a, _ in both]).max()
        return f"{max(one.max() for one in differ) / spread:.1e} of the largest value at most"
    return f"{np.mean([one.mean() for one in differ]):.2f} levels in the mean, {max(one.max() for one in differ):.0f} at most{only}"


if __name__ == "__main__":
    sys.exit(main())

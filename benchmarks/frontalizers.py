#!/usr/bin/env python3
"""Frontalizers of two checkouts side by side: processor time and memory per image, and whether the results resemble the person as much.

    benchmarks/frontalizers.py --other ../before mesh tddfa [--images 60] [--testdata ../shared/testdata/frll]

Images: the demo's turned faces, or FRLL's three-quarter views where --testdata is given (512 pixels, not shipped). Each side is a process of its
own under its checkout, one thread; rounds of the two take turns, and the least processor time of a side counts, so that a busy machine disturbs
both alike. Memory: the most that the process held, and what was added to it after loading. Similarity: mean over the images to the same
person's frontal photograph, detected and embedded by this checkout for both sides; the difference with its 95 % interval over images.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.peak import most  # noqa: E402

BACKBONES = ("w600k_mbf", "edgeface_s")
DETECTOR = "scrfd_500m"


def work(names: list[str], given: Path) -> None:
    """One side: a line with a name on standard input is a round over all images; the answer holds seconds per image and megabytes."""
    import cv2

    try:
        from frontalbench.catalogue import cards
    except ImportError:  # checkouts before the rooms
        from frontalbench import cards  # type: ignore[no-redef,attr-defined]
    from frontalbench.detect.select import Face
    from frontalbench.frontalize import load_frontalizer
    from frontalbench.frontalize.base import View

    cv2.setNumThreads(1)
    images = np.load(given, allow_pickle=False)
    count = int(images["count"])
    views = [View(images[f"image{i}"], Face(images[f"box{i}"], float(images[f"score{i}"]), images[f"points{i}"], 1)) for i in range(count)]
    models = {name: load_frontalizer(cards.find("frontalizer", name)) for name in names}
    for model in models.values():
        model.frontalize(views[:1])
    loaded = megabytes()
    for line in sys.stdin:
        asked = json.loads(line)
        started = time.process_time()
        outcomes = models[asked["name"]].frontalize(views)
        seconds = (time.process_time() - started) / count
        if asked.get("out"):
            np.savez(asked["out"], **{str(i): one.image for i, one in enumerate(outcomes) if one.image is not None})
        print(json.dumps({"seconds": seconds, "megabytes": megabytes(), "added": megabytes() - loaded}), flush=True)


def megabytes() -> float:
    return most()


def collected(testdata: Path | None, most: int) -> list[tuple[Path, Path]]:
    """(turned image, frontal image of the same person): FRLL's three-quarter views where they are given, else the demo's."""
    found = []
    if testdata:
        fronts = {path.name.split("_")[0]: path for path in sorted(testdata.glob("neutral_front/*.jpg"))}
        turned = sorted(testdata.glob("neutral_*3quarter/*.jpg"))
        found = [(path, fronts[path.name.split("_")[0]]) for path in turned if path.name.split("_")[0] in fronts]
    else:
        for person in sorted((ROOT / "demo" / "synthetic").glob("synth_*")):
            front = sorted((person / "GT").glob("*.jpg"))
            found += [(path, front[0]) for path in sorted((person / "Angle").glob("*.jpg")) if front]
    return found[:: max(1, len(found) // most)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME", help="frontalizer cards")
    parser.add_argument("--other", type=Path, help="another checkout, to compare with")
    parser.add_argument("--testdata", type=Path, help="FRLL's folder")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        work(args.names, args.work)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(args, Path(folder))


def compare(args: argparse.Namespace, folder: Path) -> None:
    from frontalbench import images
    from frontalbench.catalogue import cards
    from frontalbench.detect import choose, load_detector
    from frontalbench.detect.select import Face
    from frontalbench.embed import load_backbone
    from frontalbench.embed.base import normalise
    from frontalbench.geometry.similarity import align
    from frontalbench.images import RGB

    detector = load_detector(cards.find("detector", DETECTOR))
    backbones = [load_backbone(cards.find("backbone", name)) for name in BACKBONES]

    def face_of(image: RGB) -> Face | None:
        return choose(detector.detect(image), (image.shape[1], image.shape[0]))

    def embedded(image: RGB) -> list[Any] | None:
        face = face_of(image)
        return None if face is None else [normalise(one.embed(align(image, face.points)[None]))[0][0] for one in backbones]

    kept: list[tuple[RGB, Face, list[Any]]] = []
    for turned, front in collected(args.testdata, args.images):
        image, reference = images.decode(turned.read_bytes()), embedded(images.decode(front.read_bytes()))
        face = face_of(image)
        if face is not None and reference is not None:
            kept.append((image, face, reference))
    arrays: dict[str, Any] = {"count": np.array(len(kept))}
    for i, (image, face, _) in enumerate(kept):
        arrays |= {f"image{i}": image, f"box{i}": face.box, f"points{i}": face.points, f"score{i}": np.array(face.score)}
    np.savez(folder / "given.npz", **arrays)
    checkouts = {"this": ROOT, **({"other": args.other.resolve()} if args.other else {})}
    sides = {}
    for side, root in checkouts.items():
        environment = {**os.environ, "PYTHONPATH": str(root / "src"), "FRONTALBENCH_HOME": str(root), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, *args.names, "--work", str(folder / "given.npz")]
        sides[side] = subprocess.Popen(command, cwd=root, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    print(f"{len(kept)} images, load {os.getloadavg()[0]:.1f}, least of {args.rounds} rounds, one thread")
    print(f"{'frontalizer':20}{'side':>8}{'ms':>8}{'images/s':>10}{'MB':>8}{'added MB':>10}   similarity ({', '.join(BACKBONES)})")
    for name in args.names:
        answers: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
        for number in range(args.rounds):
            for side, process in sides.items():
                assert process.stdin is not None and process.stdout is not None
                out = str(folder / f"{name}.{side}.npz") if number == 0 else None
                process.stdin.write(json.dumps({"name": name, "out": out}) + "\n")
                process.stdin.flush()
                answers[side].append(json.loads(process.stdout.readline()))
        scores = {}
        for side, found in answers.items():
            drawn = np.load(folder / f"{name}.{side}.npz")
            rows = np.full((len(kept), len(backbones)), np.nan)
            for i, (_, _, reference) in enumerate(kept):
                own = embedded(drawn[str(i)]) if str(i) in drawn.files else None
                if own is not None:
                    rows[i] = [float(a @ b) for a, b in zip(own, reference, strict=True)]
            scores[side] = rows
            least = min(one["seconds"] for one in found)
            means = "  ".join(f"{value:.4f}" for value in np.nanmean(rows, axis=0))
            failed = int(np.isnan(rows[:, 0]).sum())
            print(
                f"{name:20}{side:>8}{1000 * least:8.1f}{1 / least:10.1f}{found[-1]['megabytes']:8.0f}{found[-1]['added']:10.0f}   {means}"
                f"{f'  ({failed} without a face)' if failed else ''}",
                flush=True,
            )
        if "other" in scores:
            off = scores["this"] - scores["other"]
            off = off[~np.isnan(off).any(axis=1)]
            words = [
                f"{m:+.4f} +- {1.96 * s:.4f}" for m, s in zip(off.mean(axis=0), off.std(axis=0, ddof=1) / len(off) ** 0.5, strict=True)
            ]
            ratio = min(one["seconds"] for one in answers["other"]) / min(one["seconds"] for one in answers["this"])
            print(f"{name:20}{ratio:8.2f} times as fast; similarity {', '.join(words)}", flush=True)
    print(f"load at the end {os.getloadavg()[0]:.1f}")
    for process in sides.values():
        assert process.stdin is not None
        process.stdin.close()
        process.wait()


if __name__ == "__main__":
    main()

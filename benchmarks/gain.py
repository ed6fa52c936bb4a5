"""The verdict of docs/gain.md: identity gain, d' and FNMR of the cheap frontal views and of feature_frontal, on real people, beside flip fusion.

    python benchmarks/gain.py --part verdict --cache results/gain     # the people that nothing was chosen on
    python benchmarks/gain.py --part validation --cache results/gain  # the fixed list that numbers were chosen on

References: FRLL the neutral front; CFP the frontal images; LFW of every person the image nearest to the front. Intervals: 95 %, people drawn.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.compare import feature, jackknife, separation
from frontalbench.compare.derived import fuse_mean
from frontalbench.detect import choose, load_detector
from frontalbench.detect.yaw_alignment import aligned_for
from frontalbench.embed import load_backbone
from frontalbench.embed.base import normalise
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View
from frontalbench.geometry.similarity import align
from frontalbench.pose import load_pose
from frontalbench.types import Bool, Float, Float32, Int, UInt8, Words

DETECTOR, POSE = "scrfd_500m", "tddfa_pose"
CFP_VALIDATION = 30
FMR = 1e-3
CONDITIONS = ("FRLL three-quarter", "FRLL profile", "CFP profile", "LFW")


def photographs(shared: Path) -> list[tuple[str, str, str, Path]]:
    """(set, person, view, file) of every test image."""
    root = shared / "testdata"
    found = [("FRLL", path.stem.split("_")[0], path.parent.name, path) for path in sorted(root.glob("frll/*/*.jpg"))]
    found += [("CFP", path.parts[-3], path.parts[-2], path) for path in sorted(root.glob("cfp/Data/Images/*/*/*.jpg"))]
    found += [("LFW", path.parts[-2], "", path) for path in sorted(root.glob("lfw/*/*.jpg"))]
    return found


def validation(row: tuple[str, str, str, Path]) -> bool:
    """Whether an image is of the fixed list that numbers were chosen on."""
    return (row[0] == "FRLL" and int(row[1]) % 2 == 0) or (row[0] == "CFP" and int(row[1]) <= CFP_VALIDATION)


class Embedder:
    """Embeddings of a variant of many images, kept in a folder."""

    def __init__(self, rows: list[tuple[str, str, str, Path]], cache: Path, backbones: list[str]) -> None:
        self.rows, self.cache, self.backbones = rows, cache, backbones
        self.detector = load_detector(cards.find("detector", DETECTOR))

    def pose(self) -> Float:
        """(n, 3) measured angles of the images; NaN without a face."""
        return self._kept("pose", self._measure)

    def embeddings(self, variant: str, backbone: str, needed: Bool) -> Float32:
        """Unit-length (n, D) of the ``needed`` images through frontalizer ``variant`` ("original": as they are); zero without a face."""

        def make() -> Float:
            crops, found = self._crops(variant, needed)
            rows = normalise(load_backbone(cards.find("backbone", backbone)).embed(crops))[0]
            result = np.zeros((len(self.rows), rows.shape[1]))
            result[needed] = rows * found[:, None]
            return result

        return self._kept(f"{variant}-{int(needed.sum())}-{backbone}", make).astype(np.float32)

    def _crops(self, variant: str, needed: Bool) -> tuple[UInt8, Bool]:
        path = self.cache / f"{variant}-{int(needed.sum())}.npz"
        if not path.is_file():
            made = list(self._detect(variant, needed))
            np.savez(path, crops=np.stack([crop for crop, _ in made]), found=np.array([found for _, found in made]))
        with np.load(path) as kept:
            return kept["crops"], kept["found"]

    def _detect(self, variant: str, needed: Bool) -> Iterator[tuple[UInt8, bool]]:
        card = None if variant == "original" else cards.find("frontalizer", variant)
        model = None if card is None else load_frontalizer(card)
        aligner = self.detector if card is None else aligned_for(card, self.detector)
        for place in np.flatnonzero(needed):
            image: UInt8 | None = images.decode(self.rows[place][3].read_bytes())
            if model is not None and image is not None:
                face = choose(self.detector.detect(image), (image.shape[1], image.shape[0]))
                image = model.frontalize([View(image, face)])[0].image
            face = None if image is None else choose(aligner.detect(image), (image.shape[1], image.shape[0]))
            yield (np.zeros((112, 112, 3), np.uint8), False) if image is None or face is None else (align(image, face.points), True)

    def _measure(self) -> Float:
        estimator, result = load_pose(cards.find("pose", POSE)), np.full((len(self.rows), 3), np.nan)
        for place, row in enumerate(self.rows):
            image = images.decode(row[3].read_bytes())
            face = choose(self.detector.detect(image), (image.shape[1], image.shape[0]))
            if face is not None:
                result[place] = estimator.estimate(image, face)[:3]
        return result

    def _kept(self, name: str, make: Callable[[], Float]) -> Float:
        path = self.cache / f"{name}.npy"
        if not path.is_file():
            self.cache.mkdir(parents=True, exist_ok=True)
            np.save(path, make())
        kept: Float = np.load(path)
        return kept


def roles(rows: list[tuple[str, str, str, Path]], pose: Float, name: str) -> tuple[Int, Int]:
    """(probes, references) of a condition, as places in ``rows``."""
    if name == "LFW":
        people: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            if row[0] == "LFW":
                people.setdefault(row[1], []).append(place)
        nearest = {min(places, key=lambda place: np.abs(pose[place]).sum()) for places in people.values()}
        return np.array([p for places in people.values() for p in places if p not in nearest]), np.array(sorted(nearest))
    kind, view = name.split(" ")
    ends = {"three-quarter": "3quarter", "profile": "profile"}[view]
    front = "neutral_front" if kind == "FRLL" else "frontal"
    probes = [place for place, row in enumerate(rows) if row[0] == kind and row[2].endswith(ends)]
    return np.array(probes), np.array([place for place, row in enumerate(rows) if row[0] == kind and row[2] == front])


def moments(scores: Float32, who: Words, other: Words) -> separation.PairMoments:
    """Mean, spread and number of genuine and impostor pairs per probe, and what every person's references do to the impostor mean."""
    same = who[:, None] == other[None]
    columns = []
    for where in (same, ~same):
        masked = np.ma.masked_array(scores.astype(np.float64), ~where)
        columns += [masked.mean(1).filled(np.nan), masked.std(1).filled(np.nan), where.sum(1).astype(np.float64)]
    belongs = other[:, None] == np.unique(who)[None]
    strangers = np.where(same, 0.0, scores.astype(np.float64))
    number = np.maximum((~same).sum(1)[:, None] - (~same).astype(float) @ belongs, 1.0)
    moves = (strangers.sum(1)[:, None] - strangers @ belongs) / number - columns[3][:, None]
    return separation.PairMoments(*columns, moves=moves.astype(np.float16), references=belongs.sum(0).astype(np.float64))


def line(
    label: str,
    backbone: str,
    name: str,
    scores: tuple[Float32, Float32, Float32],
    missing: float,
    who: Words,
    other: Words,
) -> str:
    """One row of the table; ``scores`` (probes, references) of the image alone, of flip fusion and of the view;
    ``missing``: share of the probes in whose view no face was found (the image alone stands in)."""
    same = who[:, None] == other[None]
    before, control, after = scores
    own = [np.where(same, s, 0).sum(1) / same.sum(1) for s in scores]
    strangers = [np.where(same, 0, s).sum(1) / (~same).sum(1) for s in scores]
    apart = [mine - theirs for mine, theirs in zip(own, strangers, strict=True)]
    people, code = np.unique(who, return_inverse=True)
    numbers = np.bincount(code).astype(float)[:, None]

    def over(place: int, base: Float32) -> str:
        gain = apart[2] - apart[place]
        low, high = jackknife.mean_intervals(np.bincount(code, gain)[:, None], numbers)
        change = separation.dprime_change(moments(after, who, other), moments(base, who, other), who)
        return f"{gain.mean():+.4f} [{low[0]:+.4f}, {high[0]:+.4f}] | {change.value:+.2f} [{change.low:+.2f}, {change.high:+.2f}]"

    thresholds = [float(np.quantile(s[~same], 1 - FMR)) for s in (before, after)]
    missed = [float((s[same] < t).mean()) for s, t in zip((before, after), thresholds, strict=True)]
    cells = [backbone, name, label, f"{own[0].mean():.3f} -> {own[2].mean():.3f}", f"{strangers[2].mean() - strangers[0].mean():+.4f}"]
    cells += [over(0, before), "| " if after is control else over(1, control)]
    cells += [f"{100 * missed[0]:.2f} -> {100 * missed[1]:.2f} %", f"{100 * missing:.1f} %", f"{len(people)}"]
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shared", type=Path, default=Path(os.environ.get("FRONTALBENCH_SHARED", "../shared")), help="folder with testdata/"
    )
    parser.add_argument("--part", choices=("verdict", "validation"), default="verdict")
    parser.add_argument("--backbones", nargs="+", default=["w600k_mbf", "edgeface_s", "sface", "arcface_y1"])
    parser.add_argument(
        "--frontalizers", nargs="+", default=["stretch", "stretch_mirror", "mirror_ahead"], help="beside mirror, the control"
    )
    parser.add_argument(
        "--weights", type=float, nargs="+", default=[0.5], metavar="W", help="of the view in its fusions with the image (0.5: the mean)"
    )
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=CONDITIONS)
    parser.add_argument("--cache", type=Path, required=True, help="folder where embeddings are kept")
    arguments = parser.parse_args()
    rows = [row for row in photographs(arguments.shared) if validation(row) == (arguments.part == "validation")]
    maker = Embedder(rows, arguments.cache / arguments.part, arguments.backbones)
    pose = maker.pose()
    who = np.array([row[1] for row in rows])
    everything = np.isfinite(pose[:, 0])
    probes_of = {name: roles(rows, pose, name) for name in arguments.conditions}
    probe = np.zeros(len(rows), bool)
    for probes, _ in probes_of.values():
        probe[probes] = True
    sys.stdout.write(
        "| backbone | images | view | genuine | impostor | identity gain | d' | identity gain over the control | d' over the control"
        " | FNMR at FMR 0.1 % | no face | people |\n" + "|---" * 12 + "|\n"
    )
    for backbone in arguments.backbones:
        original = maker.embeddings("original", backbone, everything)
        views = {name: maker.embeddings(name, backbone, probe & everything) for name in ("mirror", *arguments.frontalizers)}
        maps = [card for card in cards.all_cards(feature.KIND) if card.name == feature.card_name(backbone)]
        found = feature.load(maps[0]) if maps else None
        for name, (probes, references) in probes_of.items():
            probes = probes[everything[probes]]
            references = references[everything[references]]
            goal, before = original[references], original[probes]
            fused = fuse_mean(before, views["mirror"][probes])
            shown = [("mirror, fused (control)", fused, 0.0)]
            for view in arguments.frontalizers:
                lost = ~views[view][probes].any(1)
                alone = np.where(lost[:, None], before, views[view][probes])
                missing = float(lost.mean())
                shown.append((view, alone, missing))
                for weight in arguments.weights:
                    label = f"{view}, fused" if weight == 0.5 else f"{view}, fused at {weight:g}"
                    shown.append((label, fuse_mean(before, alone, weight), missing))
                if found is not None and view == "stretch_mirror":
                    shown.append(("feature_frontal", found.apply(before, alone, pose[probes, 0]), missing))
            control = fused @ goal.T
            for label, after, missing in shown:
                if label not in ("stretch_mirror", "mirror_ahead"):
                    scores = (before @ goal.T, control, control if after is fused else after @ goal.T)
                    text = line(label, backbone, name, scores, missing, who[probes], who[references])
                    sys.stdout.write(text + "\n")
                    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

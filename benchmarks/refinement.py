"""What identity_refine gains under its own refiner, and under judges that never looked: the tables of docs/enhancement.md.

    python benchmarks/refinement.py --part ablation --out results/refinement   # FRLL, even numbers: settings are compared
    python benchmarks/refinement.py --part verdict --out results/refinement    # FRLL odd, CFP 031 to 100: once, with what was chosen

Frontals by tddfa. A gain is the difference that the refinement makes: similarity to the person's reference, and that less the same for the
references of all others (identity gain); over the plain frontal, and over the photograph. Intervals: 95 % over people. Every image's
numbers are kept in a CSV file, so a run that was stopped goes on; --tabulate refines nothing more.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import itertools
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.compare import jackknife
from frontalbench.detect import choose, load_detector
from frontalbench.embed import load_backbone
from frontalbench.embed.base import normalise
from frontalbench.enhance import identity_refine
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View
from frontalbench.geometry.similarity import align
from frontalbench.images import RGB
from frontalbench.types import Float, Float32

SETTINGS: dict[str, dict[str, Any]] = {
    "default": {},
    "steps 8": {"steps": 8},
    "radius 2": {"radius": 2},
    "radius 24": {"radius": 24},
    "grid 8": {"grid": 8},
    "grid 112": {"grid": 112},
    "free": {"grid": 112, "smooth": 0, "alike": 0},
    "views 4": {"views": 4},
    "two": {"card": "identity_refine_two"},
    "two, grid 8": {"card": "identity_refine_two", "grid": 8},
    "two, grid 8, radius 24, views 4": {"card": "identity_refine_two", "grid": 8, "radius": 24, "views": 4},
}
JUDGES = ("w600k_mbf", "sface", "arcface_y1", "edgeface_s")
BESIDE = ("set", "person", "image", "judge", "genuine", "impostor")
HEADER = ("set", "setting", "person", "image", "judge", "genuine", "impostor", "changed", "to_photograph")


def probes(shared: Path, part: str, people: int) -> list[tuple[str, str, Path, Path]]:
    """(set, person, probe, reference)."""
    root, found = shared / "testdata", []
    odd = part == "verdict"
    faces = sorted(path.stem.split("_")[0] for path in (root / "frll" / "neutral_front").glob("*.jpg"))
    for person in [name for name in faces if int(name) % 2 == odd][:people]:
        reference = root / "frll" / "neutral_front" / f"{person}_03.jpg"
        for view, number in (("neutral_left_3quarter", "02"), ("neutral_right_profile", "05")):
            probe = root / "frll" / view / f"{person}_{number}.jpg"
            if probe.is_file():
                found.append(("FRLL", person, probe, reference))
    for folder in cfp(root, people) if odd else []:
        found.append(("CFP", folder.name, sorted((folder / "profile").glob("*.jpg"))[0], sorted((folder / "frontal").glob("*.jpg"))[0]))
    sets = [[row for row in found if row[0] == kind] for kind in ("FRLL", "CFP")]
    return [
        row for pair in itertools.zip_longest(*sets) for row in pair if row is not None
    ]  # mixed: a run that was stopped has some of both


def cfp(root: Path, people: int) -> list[Path]:
    """Folders of people 031 to 100."""
    return [one for one in sorted((root / "cfp" / "Data" / "Images").glob("*")) if 31 <= int(one.name) <= 100][:people]


class Measurer:
    """Images in, crops and embeddings out."""

    def __init__(self, judges: list[str]) -> None:
        self.detector = load_detector(cards.find("detector", "scrfd_500m"))
        self.frontalizer = load_frontalizer(cards.find("frontalizer", "tddfa"))
        self.judges = {name: load_backbone(cards.find("backbone", name)) for name in judges}

    def frontal(self, photograph: RGB) -> RGB | None:
        face = choose(self.detector.detect(photograph), photograph.shape[1::-1])
        return self.frontalizer.frontalize([View(photograph, face)])[0].image

    def embeddings(self, image: RGB) -> dict[str, Float32] | None:
        face = choose(self.detector.detect(image), image.shape[1::-1])
        if face is None:
            return None
        crop = align(image, face.points)[None]
        return {name: normalise(judge.embed(crop))[0][0] for name, judge in self.judges.items()}


def measure(args: argparse.Namespace) -> None:
    """Fill the CSV file with what is not in it."""
    path = args.out / f"{args.part}.csv"
    done = set()
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as handle:
            done = {(row["set"], row["setting"], row["person"], row["image"]) for row in csv.DictReader(handle)}
    rows = probes(args.shared, args.part, args.people)
    measurer = Measurer(args.judges)
    references = {(kind, person): measurer.embeddings(images.decode(path.read_bytes())) for kind, person, _, path in rows}
    frontals: dict[Path, RGB | None] = {}
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        if new:
            writer.writerow(HEADER)
        models = {setting: loaded(setting, args.threads) for setting in args.settings}
        for kind, person, probe, _ in rows:
            for setting, model in models.items():
                if (kind, setting, person, probe.name) in done:
                    continue
                photograph = images.decode(probe.read_bytes())
                if probe not in frontals:
                    frontals[probe] = measurer.frontal(photograph)
                frontal = frontals[probe]
                if frontal is None:
                    continue
                made = model.enhance_beside([frontal], [photograph])[0].image
                if made is None:
                    continue
                seen = [measurer.embeddings(one) for one in (frontal, made, photograph)]
                if any(one is None for one in seen):
                    continue
                changed = float(np.abs(made.astype(int) - frontal).mean())
                for judge in args.judges:
                    before, after, photo = (one[judge] for one in seen if one is not None)
                    others = [r[judge] for (k, p), r in references.items() if k == kind and p != person and r is not None]
                    own = references[kind, person]
                    if own is None:
                        continue
                    step = after - before
                    row = [
                        kind,
                        setting,
                        person,
                        probe.name,
                        judge,
                        step @ own[judge],
                        float(np.mean(np.stack(others) @ step)),
                        changed,
                        step @ photo,
                    ]
                    writer.writerow(row)
                handle.flush()


def plain(args: argparse.Namespace) -> None:
    """What the plain frontal gains over its photograph, of every image in the CSV file: no refinement is run for it."""
    with (args.out / f"{args.part}.csv").open(newline="", encoding="utf-8") as handle:
        wanted = {(row["set"], row["person"], row["image"]) for row in csv.DictReader(handle)}
    path = args.out / f"{args.part}_plain.csv"
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as handle:
            wanted -= {(row["set"], row["person"], row["image"]) for row in csv.DictReader(handle)}
    rows = probes(args.shared, args.part, args.people)
    if not any((kind, person, probe.name) in wanted for kind, person, probe, _ in rows):
        return
    measurer = Measurer(args.judges)
    references = {(kind, person): measurer.embeddings(images.decode(own.read_bytes())) for kind, person, _, own in rows}
    new = not path.is_file()
    with path.open("a", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        if new:
            writer.writerow(BESIDE)
        for kind, person, probe, _ in rows:
            photograph = images.decode(probe.read_bytes())
            frontal = measurer.frontal(photograph) if (kind, person, probe.name) in wanted else None
            if frontal is None:
                continue
            before, after = measurer.embeddings(photograph), measurer.embeddings(frontal)
            own = references[kind, person]
            if before is None or after is None or own is None:
                continue
            for judge in args.judges:
                step = after[judge] - before[judge]
                others = [r[judge] for (k, p), r in references.items() if k == kind and p != person and r is not None]
                writer.writerow([kind, person, probe.name, judge, step @ own[judge], float(np.mean(np.stack(others) @ step))])
            handle.flush()


def loaded(setting: str, threads: int) -> identity_refine.Refine:
    """The enhancement of a setting."""
    told = dict(SETTINGS[setting])
    card = cards.find("enhancement", str(told.pop("card", "identity_refine")))
    return identity_refine.load(dataclasses.replace(card, params={**card.params, **told}), threads=threads)


def interval(values: Float, people: list[str]) -> str:
    """Mean over images with its 95 % interval over people, as everywhere in the project."""
    _, place = np.unique(people, return_inverse=True)
    sums, counts = np.bincount(place, values).astype(np.float64), np.bincount(place).astype(np.float64)
    low, high = jackknife.mean_intervals(sums[:, None], counts[:, None])
    return f"{values.mean():+.4f} [{low[0]:+.4f}, {high[0]:+.4f}]"


def tabulate(path: Path) -> str:
    """Markdown: a row per setting and judge."""
    with path.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    with path.with_name(f"{path.stem}_plain.csv").open(newline="", encoding="utf-8") as handle:
        over = {(r["set"], r["person"], r["image"], r["judge"]): float(r["genuine"]) - float(r["impostor"]) for r in csv.DictReader(handle)}
    lines = [
        "| images | setting | judge | looked at every step | to the photograph | to the reference | identity gain | plain over the "
        "photograph | refined over the photograph | n | people |",
        "|" + "---|" * 11,
    ]
    for kind in dict.fromkeys(row["set"] for row in rows):
        for setting in dict.fromkeys(row["setting"] for row in rows if row["set"] == kind):
            refiners = cards.find("enhancement", str(SETTINGS[setting].get("card", "identity_refine"))).trained_with
            for judge in dict.fromkeys(row["judge"] for row in rows):
                part = [row for row in rows if (row["set"], row["setting"], row["judge"]) == (kind, setting, judge)]
                if not part:
                    continue
                who = [row["person"] for row in part]
                genuine, impostor, photo = (np.array([float(row[key]) for row in part]) for key in ("genuine", "impostor", "to_photograph"))
                base = np.array([over.get((row["set"], row["person"], row["image"], row["judge"]), np.nan) for row in part])
                cells = [kind, setting, judge, "yes" if judge in refiners else "no"]
                cells += [
                    interval(photo, who),
                    interval(genuine, who),
                    interval(genuine - impostor, who),
                    interval(base, who),
                    interval(base + genuine - impostor, who),
                    str(len(part)),
                    str(len(set(who))),
                ]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shared", type=Path, default=Path(os.environ.get("FRONTALBENCH_SHARED", "../shared")), help="folder with testdata/"
    )
    parser.add_argument("--part", choices=("ablation", "verdict"), required=True)
    parser.add_argument("--settings", nargs="+", choices=tuple(SETTINGS), default=list(SETTINGS))
    parser.add_argument("--judges", nargs="+", default=list(JUDGES))
    parser.add_argument("--people", type=int, default=1000, help="of each set at most")
    parser.add_argument("--tabulate", action="store_true", help="refine nothing more")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True, help="folder for the numbers of every image")
    args = parser.parse_args()
    if not args.tabulate:
        measure(args)
    plain(args)
    sys.stdout.write(tabulate(args.out / f"{args.part}.csv") + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

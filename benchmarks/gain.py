"""Every way to a gain, on real people, beside flip fusion: the tables of docs/gain.md and docs/gain_ways.md.

    python benchmarks/gain.py --part validation --cache results/gain                  # the fixed list that numbers are chosen on
    python benchmarks/gain.py --part verdict --cache results/gain --csv benchmarks/gain_ways.csv    # the people that nothing was chosen on
    python benchmarks/gain.py --csv benchmarks/gain_ways.csv --table docs/gain.md docs/gain_ways.md  # the tables of the pages, nothing is measured

A way is a variant by its name in the grid: `tddfa@0.9.none`, `fuse_mean:tddfa@0.9.none`, `gate_fuse@60:tddfa@0.9.none`. References: FRLL the neutral
front; CFP the frontal images; LFW of every person the image nearest to the front. Intervals: 95 %, people left out on both sides, as in the
workflow's tables. Everything measured is kept in --cache, so a run that was stopped (--minutes) goes on.
"""

from __future__ import annotations

import argparse
import csv
import functools
import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from frontalbench import images, status
from frontalbench.catalogue import cards
from frontalbench.compare import derived, feature, gates, groups, jackknife, separation
from frontalbench.detect import choose, load_detector
from frontalbench.detect.yaw_alignment import aligned_for
from frontalbench.embed import load_backbone
from frontalbench.embed.base import normalise
from frontalbench.enhance import load_enhancement
from frontalbench.enhance.base import apply
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View
from frontalbench.geometry.similarity import align
from frontalbench.plan import variant as names
from frontalbench.pose import load_pose
from frontalbench.types import Bool, Float, Float32, UInt8, Words

DETECTOR, POSE = "scrfd_500m", "tddfa_pose"
CFP_VALIDATION = 30
FMR = 1e-3
CONDITIONS = ("FRLL three-quarter", "FRLL profile", "CFP profile", "LFW")
BACKBONES = ("w600k_mbf", "edgeface_s", "sface", "arcface_y1")
CONTROL = f"fuse_mean:{names.MIRRORED}"
HEADLINE = "gate_flip@60:tddfa@0.9.none"
"""What was chosen on the validation list: docs/gain.md begins with it."""
BY_YAW = ("mesh.none", "tddfa.none", "hassner.none", "tddfa@0.9.none", "fuse_flip:tddfa@0.9.none")
"""The ways that the table by yaw shows."""
EDGES = (0, 15, 30, 45, 60, 75, 90)
KEPT_EVERY = 40
Row = tuple[str, str, str, Path]


class Stopped(Exception):
    """The time is over; what was measured is kept."""


def photographs(shared: Path) -> list[Row]:
    """(set, person, view, file) of every test image."""
    root = shared / "testdata"
    found = [("FRLL", path.stem.split("_")[0], path.parent.name, path) for path in sorted(root.glob("frll/*/*.jpg"))]
    found += [("CFP", path.parts[-3], path.parts[-2], path) for path in sorted(root.glob("cfp/Data/Images/*/*/*.jpg"))]
    found += [("LFW", path.parts[-2], "", path) for path in sorted(root.glob("lfw/*/*.jpg"))]
    return found


def validation(row: Row) -> bool:
    """Whether an image is of the fixed list that numbers were chosen on."""
    return (row[0] == "FRLL" and int(row[1]) % 2 == 0) or (row[0] == "CFP" and int(row[1]) <= CFP_VALIDATION)


class Store:
    """Arrays by the place of an image in the list, in a file; what is missing is made, and kept every now and then."""

    def __init__(self, path: Path, end: float) -> None:
        self.path, self._end = path, end
        self.kept: dict[int, Any] = {}
        self._load()

    def _load(self) -> None:
        if self.path.is_file():
            with np.load(self.path) as found:
                self.kept = dict(zip(found["places"].tolist(), found["values"], strict=True)) | self.kept

    def fill(self, places: Sequence[int], make: Callable[[Sequence[int]], Iterator[Any]]) -> None:
        """Raises :class:`Stopped`."""
        missing = [place for place in places if place not in self.kept]
        if not missing:
            return  # no model is loaded for nothing
        for place, (count, value) in zip(missing, enumerate(make(missing), 1), strict=True):
            self.kept[place] = value
            if count % KEPT_EVERY == 0 or count == len(missing):
                self._save()
            if time.monotonic() > self._end and count < len(missing):
                self._save()
                raise Stopped

    def _save(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._load()  # another run may have kept some since
        half = self.path.with_name(f"{self.path.stem}.{os.getpid()}.npz")
        np.savez(half, places=np.array(list(self.kept), np.int64), values=np.stack(list(self.kept.values())))
        half.replace(self.path)


class Measurer:
    """Poses of the images, and embeddings of their variants, kept in a folder."""

    def __init__(self, rows: list[Row], cache: Path, end: float) -> None:
        self.rows, self.cache, self.end = rows, cache, end
        self.detector = load_detector(cards.find("detector", DETECTOR))

    def pose(self, places: Sequence[int]) -> Float:
        """(N, 3) measured angles of the images at ``places``, NaN elsewhere and without a face."""
        store = Store(self.cache / "pose.npz", self.end)
        store.fill(places, self._poses)
        result = np.full((len(self.rows), 3), np.nan)
        for place in places:
            result[place] = store.kept[place]
        return result

    def embeddings(self, variant: str, backbone: str, places: Sequence[int]) -> Float32:
        """Unit-length (N, D) of the images at ``places`` through a variant with pixels of its own; zero elsewhere and without a face."""
        crops = Store(self.cache / f"{variant}.npz", self.end)
        crops.fill(places, lambda missing: self._crops(variant, missing))
        store = Store(self.cache / f"{variant}-{backbone}.npz", self.end)

        def embed(missing: Sequence[int]) -> Iterator[Any]:
            model = load_backbone(cards.find("backbone", backbone)) if missing else None
            for start in range(0, len(missing), KEPT_EVERY):
                some = np.stack([crops.kept[place] for place in missing[start : start + KEPT_EVERY]])
                assert model is not None
                yield from (normalise(model.embed(some))[0] * some.any((1, 2, 3))[:, None]).astype(np.float32)

        store.fill(places, embed)
        result = np.zeros((len(self.rows), len(next(iter(store.kept.values())))), np.float32)
        for place in places:
            result[place] = store.kept[place]
        return result

    def _crops(self, variant: str, places: Sequence[int]) -> Iterator[UInt8]:
        """Aligned crops; black without a face."""
        one = names.parse(variant)
        card = None if one.is_original else cards.find("frontalizer", one.frontalizer)
        model = None if card is None else load_frontalizer(card)
        chain = None if card is None or one.is_plain else load_enhancement(one.enhancement)
        aligner = self.detector if card is None else aligned_for(card, self.detector)
        for place in places:
            photograph = images.decode(self.rows[place][3].read_bytes())
            image: UInt8 | None = photograph
            if model is not None:
                face = choose(self.detector.detect(photograph), (photograph.shape[1], photograph.shape[0]))
                outcome = model.frontalize([View(photograph, face)])[0]
                image = outcome.image
                if outcome.status == status.MODEL_ERROR:  # a fault must not pass for a face that is not there
                    sys.stderr.write(f"{self.rows[place][3]}: {variant}: {outcome.detail}\n")
            if chain is not None and image is not None:
                image = apply(chain, [image], [photograph])[0].image
            face = None if image is None else choose(aligner.detect(image), (image.shape[1], image.shape[0]))
            yield np.zeros((112, 112, 3), np.uint8) if image is None or face is None else align(image, face.points)

    def _poses(self, places: Sequence[int]) -> Iterator[Float]:
        estimator = load_pose(cards.find("pose", POSE))
        for place in places:
            image = images.decode(self.rows[place][3].read_bytes())
            face = choose(self.detector.detect(image), (image.shape[1], image.shape[0]))
            yield np.full(3, np.nan) if face is None else np.array(estimator.estimate(image, face)[:3])


def of_condition(rows: list[Row], name: str) -> tuple[list[int], list[int]]:
    """(probes, references) of a condition, as places in ``rows``; of LFW's images nobody knows yet which one is the reference: all, none."""
    if name == "LFW":
        return [place for place, row in enumerate(rows) if row[0] == "LFW"], []
    kind, view = name.split(" ")
    ends = {"three-quarter": "3quarter", "profile": "profile"}[view]
    front = "neutral_front" if kind == "FRLL" else "frontal"
    probes = [place for place, row in enumerate(rows) if row[0] == kind and row[2].endswith(ends)]
    return probes, [place for place, row in enumerate(rows) if row[0] == kind and row[2] == front]


def nearest_apart(rows: list[Row], pose: Float, places: Sequence[int]) -> tuple[list[int], list[int]]:
    """(probes, references) of images of which each person's nearest to the front is the reference."""
    people: dict[str, list[int]] = {}
    for place in places:
        if np.isfinite(pose[place, 0]):
            people.setdefault(rows[place][1], []).append(place)
    nearest = {min(mine, key=lambda place: np.abs(pose[place]).sum()) for mine in people.values()}
    return [place for place in places if np.isfinite(pose[place, 0]) and place not in nearest], sorted(nearest)


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


@dataclass(frozen=True)
class Result:
    """A way, judged: means of similarity to the own references and to strangers'; ``net``: ends of Net Gain, the difference of the former; ``gain``,
    ``over``: identity gain over the photograph and over flip fusion; d' alike; ``missing``:
    share of the images that the way asks for in whose view no face was found (the photograph stands in).
    """

    part: str
    condition: str
    way: str
    backbone: str
    n: int
    people: int
    turned: int
    missing: float
    genuine_before: float
    genuine: float
    impostor_before: float
    impostor: float
    net_low: float
    net_high: float
    gain: float
    gain_low: float
    gain_high: float
    over: float
    over_low: float
    over_high: float
    dprime_before: float
    dprime: float
    dprime_low: float
    dprime_high: float
    dprime_over: float
    dprime_over_low: float
    dprime_over_high: float
    fnmr_before: float
    fnmr: float


def judged(
    label: tuple[str, str, str, str], scores: tuple[Float32, Float32, Float32], turned: int, missing: float, who: Words, other: Words
) -> Result:
    """``scores`` (probes, references) of the photograph alone, of flip fusion and of the way."""
    same = who[:, None] == other[None]
    before, control, after = (moments(one, who, other) for one in scores)
    _, code = np.unique(who, return_inverse=True)

    def over(base: separation.PairMoments) -> tuple[float, float, float]:
        assert after.moves is not None and base.moves is not None
        gain = (after.genuine - after.impostor) - (base.genuine - base.impostor)
        moved = base.moves.astype(np.float64) - after.moves.astype(np.float64)
        found = groups.mean_estimate(gain, code, moved)
        return found.value, found.low, found.high

    def net() -> tuple[float, float]:
        own = np.bincount(code, after.genuine - before.genuine)[:, None]
        low, high = jackknife.mean_intervals(own, np.bincount(code).astype(np.float64)[:, None])
        return float(low[0]), float(high[0])

    def apart(base: separation.PairMoments) -> tuple[float, float, float]:
        found = separation.dprime_change(after, base, code)
        return found.value, found.low, found.high

    own = separation.dprime_estimate(before, code).value
    thresholds = [float(np.quantile(one[~same], 1 - FMR)) for one in (scores[0], scores[2])]
    missed = [float((one[same] < t).mean()) for one, t in zip((scores[0], scores[2]), thresholds, strict=True)]
    means = [float(one.mean()) for one in (before.genuine, after.genuine, before.impostor, after.impostor)]
    return Result(
        *label,
        len(who),
        int(code.max()) + 1,
        turned,
        missing,
        *means,
        *net(),
        *over(before),
        *over(control),
        own,
        *apart(before),
        *apart(control),
        missed[0],
        missed[1],
    )


class Ways:
    """Embeddings of the probes of a condition by any way."""

    def __init__(self, measurer: Measurer, backbone: str, probes: list[int], yaw: Float) -> None:
        self._measurer, self._backbone, self._probes, self._yaw = measurer, backbone, probes, yaw
        self.photographs = measurer.embeddings(names.ORIGINAL, backbone, probes)[probes]

    def of(self, way: str) -> tuple[Float32, int, float]:
        """((n, D), how many images are another than the photograph, share of these without a face)."""
        one = names.parse(way)
        if one.is_original:
            return self.photographs, 0, 0.0
        opened = gates.by_yaw(self._yaw, one.angle or 0.0).turned if one.recipe in names.GATES else np.ones(len(self._probes), bool)
        frontal, there = self._view(one.base, opened)
        if one.recipe in names.FLIPS:
            mirrored = self._view(one.second, np.ones(len(opened), bool))[0]
            weight = derived.BESIDE_FLIP if one.weight is None else one.weight
            three = derived.fuse_flip(self.photographs, mirrored, frontal, weight)
            found = np.where((opened & there)[:, None], three, derived.fuse_mean(self.photographs, mirrored))
        else:
            found = np.where(opened[:, None], self._made(one, frontal), self.photographs)
        return found, int(opened.sum()), float((opened & ~there).sum() / max(1, opened.sum()))

    def _view(self, variant: str, wanted: Bool) -> tuple[Float32, Bool]:
        """((n, D), (n,) whether a face was found): of the ``wanted`` probes through a variant with pixels; the photograph elsewhere."""
        places = [place for place, one in zip(self._probes, wanted, strict=True) if one]
        found = self._measurer.embeddings(variant, self._backbone, places)[self._probes] if places else np.zeros_like(self.photographs)
        there = found.any(1)
        return np.where(there[:, None], found, self.photographs), there

    def _made(self, one: names.Variant, frontal: Float32) -> Float32:
        if not one.recipe or one.recipe == "gate":
            return frontal
        if one.recipe == "feature_frontal":
            maps = [card for card in cards.all_cards(feature.KIND) if card.name == feature.card_name(self._backbone)]
            return feature.load(maps[0]).apply(self.photographs, frontal, self._yaw) if maps else np.full_like(frontal, np.nan)
        if one.recipe == "fuse_yaw":
            return derived.fuse_mean(self.photographs, frontal, derived.weight_by_yaw(self._yaw)[:, None])
        if one.recipe not in (names.WEIGHTED, "gate_fuse"):
            raise SystemExit(f"{one.name}: this program does not know {one.recipe}")
        return derived.fuse_mean(self.photographs, frontal, derived.HALF if one.weight is None else one.weight)


DEFAULT_WAYS = (
    CONTROL,
    "fuse_mean:mirror_ahead.none",
    "tddfa@0.9.none",
    "fuse_mean:tddfa@0.9.none",
    "gate_fuse@60:tddfa@0.9.none",
    "fuse_flip:tddfa@0.9.none",
    HEADLINE,
)


def measured(arguments: argparse.Namespace) -> Iterator[Result]:
    rows = [row for row in photographs(arguments.shared) if validation(row) == (arguments.part == "validation")]
    measurer = Measurer(rows, arguments.cache / arguments.part, time.monotonic() + 60.0 * arguments.minutes)
    who = np.array([row[1] for row in rows])
    for condition in arguments.conditions:
        probes, references = of_condition(rows, condition)
        pose = measurer.pose([*probes, *references])
        seen = np.isfinite(pose[:, 0])
        if not references:
            probes, references = nearest_apart(rows, pose, probes)
        probes, references = ([place for place in places if seen[place]] for places in (probes, references))
        if arguments.one_each:
            first = {row[1]: place for place, row in reversed(list(enumerate(rows))) if place in set(probes)}
            probes = sorted(first.values())
        for backbone in arguments.backbones:
            ways = Ways(measurer, backbone, probes, pose[probes, 0])
            goal = measurer.embeddings(names.ORIGINAL, backbone, references)[references]
            control = ways.of(arguments.against)[0] @ goal.T
            for way in arguments.ways:
                after, turned, missing = ways.of(way)
                if np.isnan(after).any():
                    continue
                scores = (ways.photographs @ goal.T, control, after @ goal.T)
                yield judged((arguments.part, condition, way, backbone), scores, turned, missing, who[probes], who[references])
                for name, inside in in_bins(np.abs(pose[probes, 0])) if arguments.by_yaw else []:
                    mine = who[probes][inside]
                    if len(set(mine.tolist())) >= jackknife.MIN_PEOPLE:
                        label = (arguments.part, f"{condition}, {name}", way, backbone)
                        some = (scores[0][inside], scores[1][inside], scores[2][inside])
                        yield judged(label, some, turned, missing, mine, who[references])


def in_bins(yaw: Float) -> Iterator[tuple[str, Bool]]:
    """(name, which) of the bins of |yaw| in degrees; the last one ends nowhere."""
    for low, high in itertools.pairwise(EDGES):
        yield f"{low} to {high}", (yaw >= low) & ((yaw < high) | (high == EDGES[-1]))


Row = TypeVar("Row")


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """The rows of a CSV file of :func:`write_rows`. ``kind``: a dataclass of strings, whole numbers and numbers."""
    kinds = {"str": str, "int": int, "float": float}
    with path.open(newline="", encoding="utf-8") as handle:
        return [kind(**{f.name: kinds[str(f.type)](row[f.name]) for f in fields(kind)}) for row in csv.DictReader(handle)]


def write_rows(path: Path, rows: Iterable[Row], kind: type[Row]) -> None:
    """``rows`` of ``kind`` as a CSV file, whole or not at all."""
    half = path.with_suffix(".half")
    with half.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow([f.name for f in fields(kind)])
        for row in rows:
            writer.writerow([f"{value:.5f}" if isinstance(value, float) else value for value in asdict(row).values()])
    half.replace(path)


def read(path: Path) -> list[Result]:
    """The rows of a CSV file of this program."""
    return read_rows(path, Result) if path.is_file() else []


def ordered(results: Sequence[Result]) -> list[Result]:
    """By way (as the file names them first), then by backbone; of a way that was judged on fewer images too, what was judged on most."""
    places = {way: place for place, way in enumerate(dict.fromkeys(r.way for r in results))}
    most: dict[tuple[str, str, str], Result] = {}
    for r in results:
        key = (r.condition, r.way, r.backbone)
        if key not in most or r.n > most[key].n:
            most[key] = r
    return sorted(most.values(), key=lambda r: (places[r.way], BACKBONES.index(r.backbone)))


def keep(path: Path, new: Sequence[Result]) -> None:
    """Rows with the same part, images, way and backbone are replaced; n too, so that a judgment of fewer images stands beside that of all."""
    kept = {(r.part, r.condition, r.way, r.backbone, r.n): r for r in (*read(path), *new)}
    write_rows(path, kept.values(), Result)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shared", type=Path, default=Path(os.environ.get("FRONTALBENCH_SHARED", "../shared")), help="folder with testdata/"
    )
    parser.add_argument("--part", choices=("verdict", "validation"), default="verdict")
    parser.add_argument("--backbones", nargs="+", default=list(BACKBONES))
    parser.add_argument("--ways", nargs="+", default=list(DEFAULT_WAYS), metavar="VARIANT", help="as the grid names them")
    parser.add_argument(
        "--frontalizers", nargs="+", default=[], metavar="F", help="beside the ways: each alone and fused with the photograph"
    )
    parser.add_argument("--conditions", nargs="+", default=list(CONDITIONS), choices=CONDITIONS)
    parser.add_argument("--by-yaw", action="store_true", help="every bin of |yaw| by itself too")
    parser.add_argument(
        "--against", default=CONTROL, metavar="VARIANT", help="held against this in the place of flip fusion; printed, not kept in --csv"
    )
    parser.add_argument("--one-each", action="store_true", help="of every person's images the first alone, for what is slow")
    parser.add_argument("--cache", type=Path, help="folder where crops and embeddings are kept")
    parser.add_argument("--minutes", type=float, default=math.inf, metavar="M", help="stop after this long; the same command goes on")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="keep the results in this file; rows that are in it already are replaced")
    parser.add_argument(
        "--table", type=Path, nargs="+", metavar="PAGE.md", help="make the tables of these pages from --csv; nothing is measured"
    )
    arguments = parser.parse_args()
    if arguments.table:
        if arguments.csv is None:
            parser.error("--csv: give the file that the tables are made from")
        results = ordered([r for r in read(arguments.csv) if r.part == "verdict"])
        for page in arguments.table:
            page.write_text(with_tables(page.read_text(encoding="utf-8"), results, page), encoding="utf-8")
        return 0
    if arguments.cache is None:
        parser.error("--cache: give a folder")
    if arguments.csv is not None and arguments.against != CONTROL:
        parser.error("--csv: holds what was held against flip fusion; leave it out beside --against")
    arguments.ways = [*arguments.ways, *(way for f in arguments.frontalizers for way in (names.made(f), f"fuse_mean:{names.made(f)}"))]
    done = []
    try:
        for result in measured(arguments):
            done.append(result)
            sys.stdout.write(said(result, arguments.against) + "\n")
            sys.stdout.flush()
    except Stopped:
        sys.stdout.write("stopped: the time is over; the same command goes on\n")
        return 3
    finally:
        if arguments.csv is not None and done:
            keep(arguments.csv, done)
    return 0


def said(r: Result, against: str) -> str:
    """One line of what was measured."""
    over = f"over {against} {ends(r.over, r.over_low, r.over_high)}, d' {spread(r.dprime_over, r.dprime_over_low, r.dprime_over_high)}"
    gain = f"{ends(r.gain, r.gain_low, r.gain_high)}, d' {spread(r.dprime, r.dprime_low, r.dprime_high)}"
    return f"{r.condition} | {r.n} | {r.way} | {r.backbone} | {gain} | {over}"


def ends(value: float, low: float, high: float) -> str:
    return f"{value:+.4f} [{low:+.4f}, {high:+.4f}]"


def spread(value: float, low: float, high: float) -> str:
    return f"{value:+.2f} [{low:+.2f}, {high:+.2f}]"


# The pages ------------------------------------------------------------------------------------------------------------------------------------

JUDGE = {"w600k_mbf": "w600k", "edgeface_s": "EdgeFace", "sface": "SFace", "arcface_y1": "arcface_y1"}


def took_part(r: Result) -> bool:
    """Whether the judge was asked while the way's image, or what made it, was made; so it is no judge of it."""
    return names.parse(r.way).recipe == "feature_frontal" or r.backbone in asked(r.way)


@functools.cache
def asked(way: str) -> frozenset[str]:
    """The backbones that were asked while a way's models were made."""
    one = names.parse(way)
    chain = [("frontalizer", one.frontalizer), *(("enhancement", step) for step in one.steps if step != names.PLAIN)]
    return frozenset(backbone for kind, name in chain for backbone in cards.find(kind, name).trained_with)


def marked(value: float, low: float, high: float) -> str:
    """Bold where the interval lies above 0, in brackets where it lies below."""
    text = f"{value if abs(value) >= 0.0005 else 0.0:+.3f}"
    return f"**{text}**" if low > 0 else f"({text})" if high < 0 else text


def headline_table(results: Sequence[Result]) -> str:
    """The chosen way alone: where it stands, with intervals."""
    lines = [
        "| images | backbone | flip fusion | `" + HEADLINE + "` | over flip fusion | d' | d' over flip fusion |",
        "|---" * 7 + "|",
    ]
    control = {(r.condition, r.backbone): r for r in results if r.way == CONTROL}
    for condition in (*CONDITIONS[1:3], CONDITIONS[0], CONDITIONS[3]):
        for r in (r for r in results if r.way == HEADLINE and r.condition == condition):
            cells = [
                f"{condition}, {r.people} people",
                r.backbone,
                f"{control[condition, r.backbone].gain:+.4f}",
                bold(ends(r.gain, r.gain_low, r.gain_high), r.gain_low),
                bold(ends(r.over, r.over_low, r.over_high), r.over_low),
                bold(spread(r.dprime, r.dprime_low, r.dprime_high), r.dprime_low),
                bold(spread(r.dprime_over, r.dprime_over_low, r.dprime_over_high), r.dprime_over_low),
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def bold(text: str, low: float) -> str:
    return f"**{text}**" if low > 0 else text


def short_tables(results: Sequence[Result]) -> str:
    """One row a way, one column a condition and judge: identity gain over the photograph, then over flip fusion."""
    blocks = []
    for pair in (CONDITIONS[1:3], (CONDITIONS[0], CONDITIONS[3])):
        rows = {(r.way, r.condition, r.backbone): r for r in results if r.condition in pair}
        columns = [(condition, judge) for condition in pair for judge in BACKBONES]
        heads = [f"{condition}: {JUDGE[judge]}" if judge == BACKBONES[0] else JUDGE[judge] for condition, judge in columns]
        lines = ["| way | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
        for way in dict.fromkeys(way for way, _, _ in rows):
            cells = []
            for condition, judge in columns:
                r = rows.get((way, condition, judge))
                if r is None:
                    cells.append("")
                    continue
                over = "control" if way == CONTROL else marked(r.over, r.over_low, r.over_high)
                cells.append(f"{marked(r.gain, r.gain_low, r.gain_high)}, {over}{' (took part)' if took_part(r) else ''}")
            lines.append(f"| `{way}` | " + " | ".join(cells) + " |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def long_tables(results: Sequence[Result]) -> str:
    """Everything, a table a condition."""
    blocks = []
    for condition in CONDITIONS:
        lines = [
            f"### {condition}",
            "",
            "| way | backbone | images, people | turned | genuine | impostor | identity gain | d' | identity gain over flip fusion | d' over it"
            " | FNMR at FMR 0.1 % | no face |",
            "|---" * 12 + "|",
        ]
        for r in (r for r in results if r.condition == condition):
            control = r.way == CONTROL
            cells = [
                f"`{r.way}`",
                f"{r.backbone}{' (took part)' if took_part(r) else ''}",
                f"{r.n}, {r.people}",
                str(r.turned),
                f"{r.genuine_before:.3f} -> {r.genuine:.3f}",
                f"{r.impostor - r.impostor_before:+.4f}",
                ends(r.gain, r.gain_low, r.gain_high),
                spread(r.dprime, r.dprime_low, r.dprime_high),
                "control" if control else ends(r.over, r.over_low, r.over_high),
                "control" if control else spread(r.dprime_over, r.dprime_over_low, r.dprime_over_high),
                f"{100 * r.fnmr_before:.2f} -> {100 * r.fnmr:.2f} %",
                f"{100 * r.missing:.1f} %",
            ]
            lines.append("| " + " | ".join(cells) + " |")
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def yaw_table(results: Sequence[Result]) -> str:
    """Net Gain and identity gain in every bin of |yaw|."""
    lines = [
        "| images, yaw | way | backbone | images, people | Net Gain | identity gain | over flip fusion |",
        "|---" * 7 + "|",
    ]
    for condition in CONDITIONS:
        for name in dict.fromkeys(r.condition for r in results if r.condition.startswith(f"{condition}, ")):
            for r in (r for r in results if r.condition == name and r.way in BY_YAW):
                cells = [
                    *(name, f"`{r.way}`", f"{r.backbone}{' (took part)' if took_part(r) else ''}", f"{r.n}, {r.people}"),
                    ends(r.genuine - r.genuine_before, r.net_low, r.net_high),
                    *(ends(r.gain, r.gain_low, r.gain_high), ends(r.over, r.over_low, r.over_high)),
                ]
                lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


TABLES: Mapping[str, Callable[[Sequence[Result]], str]] = {
    "headline": headline_table,
    "ways": short_tables,
    "every row": long_tables,
    "by yaw": yaw_table,
}


def with_tables(text: str, results: Sequence[Result], page: Path) -> str:
    """``text`` with what stands between its marks made anew. Raises SystemExit for a page without marks."""
    found = False
    for name, make in TABLES.items():
        begin, end = f"<!-- gain.py: {name} -->\n", f"<!-- gain.py: end of {name} -->"
        if begin in text and end in text:
            found = True
            head, _, rest = text.partition(begin)
            text = head + begin + "\n" + make(results) + "\n" + end + rest.partition(end)[2]
    if not found:
        raise SystemExit(f"{page}: no '<!-- gain.py: ways -->' in it, so there is no place for a table")
    return text


if __name__ == "__main__":
    sys.exit(main())

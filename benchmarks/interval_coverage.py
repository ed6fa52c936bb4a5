#!/usr/bin/env python3
"""How often the printed intervals hold the truth, in worlds whose truth is known.

Each experiment draws people anew: unit embeddings of people with goats (hard to match), lambs and wolves (alike to others), probes whose deviation is
shared by their genuine and impostor scores, a yaw, and a frontalization whose effect varies by person. Its tables are made by the product's own
functions. A mean's truth is the average of its estimates over all experiments (they are unbiased); that of d', EER and FNMR, which are not, is the
average over a few large populations (and over experiments of 200 people, where these are judged). The rank-1 rate of a gallery of n people is held
against that of galleries of n people.

Prints coverage in percent, mean width and the share of experiments in which the interval is printed (`-` where it never is). `--csv` keeps all this
in a file (a world and number of people that is in it already is replaced), and `--table docs/statistics.md` makes the table there from such a file,
without simulating anything.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from frontalbench import tables
from frontalbench.compare import curves, groups, jackknife, rates, scores, separation
from frontalbench.compare.rows import YawBins
from frontalbench.compare.scores import MASKED, Impostors, ImpostorSink
from frontalbench.stages.compare import compare
from frontalbench.tabulate import Facts, TableSettings, cell_of
from frontalbench.tabulate.dataset import read_datasets
from frontalbench.tabulate.verification import YAW_GRID, verification_tables
from frontalbench.types import Float

PEOPLE = (10, 20, 35, 68, 200)
DIMENSION = 64
EDGES = (0.0, 30.0, 60.0, 90.0)


@dataclass(frozen=True)
class World:
    """What people and images are like. Shares of people are 0 .. 1, the rest is in units of the length of an embedding.

    ``probes``: how many each person has; ``references``: the fewest and the most that a person has; ``goats``: share of people who are hard to match,
    and by what factor; ``lambs``: share of people whose references are alike to everybody, and by how much; ``wolves``: the same of probes;
    ``spread``: of people's strength; ``gain``: mean and spread over people of what the frontalization adds at 90 degrees; ``for_goats``: how much
    more for goats; ``tails``: degrees of freedom of the noise, 0 for normal; ``steps``: coordinates are rounded to so many steps, 0 for none;
    ``lost``: log odds that a frontal gets lost, at 0 and at 90 degrees (None: none does), ``lost_originals``: the same of photographs; ``noise``: of
    every image; ``camps``: people of so many kinds, alike within; ``families``: so many, drawn anew; ``sessions``: noise that the images of a
    person of one of three days share; ``siblings``: share of people who have a sibling among them; ``turning``: spread (of the logarithm) of how much
    a person loses by turning; ``skewed``: people's strength falls off exponentially, lambs are log-normal, half of the people gain and half
    lose, yaw is that of three-quarter and profile views.
    """

    about: str
    probes: str = "12"
    references: tuple[int, int] = (2, 2)
    goats: tuple[float, float] = (0.1, 0.6)
    lambs: tuple[float, float] = (0.1, 0.3)
    wolves: tuple[float, float] = (0.1, 0.3)
    spread: float = 0.08
    gain: tuple[float, float] = (0.08, 0.12)
    for_goats: float = 0.0
    tails: int = 0
    steps: int = 0
    lost: tuple[float, float] | None = None
    lost_originals: tuple[float, float] | None = None
    noise: float = 0.6
    camps: int = 0
    families: int = 0
    sessions: float = 0.0
    siblings: float = 0.0
    turning: float = 0.0
    skewed: bool = False
    dimension: int = DIMENSION


WORLDS = {
    "base": World("12 probes a person"),
    "unequal": World("few people bring most probes", probes="gamma"),
    "dominant": World("one person has 60 % of the probes", probes="dominant"),
    "fta": World("hard images get lost", lost=(-4.0, 0.0)),
    "frames": World("100 probes a person", probes="100"),
    "zoo": World("many strong goats, lambs and wolves", goats=(0.2, 0.45), lambs=(0.2, 0.5), wolves=(0.2, 0.5)),
    "few": World("1 to 6 probes and 1 to 3 references a person", probes="few", references=(1, 3)),
    "lossy": World("originals get lost too, and 30 % of the frontals", lost=(-2.0, 0.5), lost_originals=(-4.0, -1.5), probes="few"),
    "tails": World("heavy tails of people and images", tails=3, goats=(0.0, 1.0), lambs=(0.0, 0.0), wolves=(0.0, 0.0), spread=0.1),
    "steps": World("similarities in coarse steps", steps=2, dimension=16),
    "mixed": World("helps goats, harms others", gain=(-0.05, 0.2), for_goats=0.5, goats=(0.15, 0.6)),
    # made last, to break what had held in the others
    "camps": World("three kinds of people, alike within; very unequal numbers of probes", camps=3, probes="lognormal"),
    "kin": World("families: people who look alike, so that people are not independent", families=12),
    "easy": World(
        "hardly an error: a goat in thirty brings them all", noise=0.25, goats=(0.03, 0.5), lambs=(0.03, 0.3), wolves=(0.03, 0.3)
    ),
    # made when the estimators were done, run once, nothing changed after them
    "sessions": World("three days a person, images of a day hang together; 1 to 6 probes", sessions=0.5, probes="few"),
    "skewed": World(
        "strengths, lambs and gains far from normal, two views", skewed=True, goats=(0.0, 1.0), lambs=(0.0, 0.0), wolves=(0.0, 0.0)
    ),
    # made when rates got the intervals of what their images are worth, run once, nothing changed after them
    "siblings": World("half of the people have a sibling, noise with heavy tails", siblings=0.5, tails=4),
    "turning": World(
        "people lose very unequally by turning; 1 to 6 references, unequal probes",
        turning=0.6,
        references=(1, 6),
        probes="gamma",
        gain=(0.1, 0.25),
    ),
}


@dataclass(frozen=True)
class Experiment:
    """One draw of a world: vectors (N, D) of `original` and of `turned.none`, what is known of each image, which are lost."""

    subject: npt.NDArray[np.int64]
    reference: npt.NDArray[np.bool_]
    yaw: Float
    original: Float
    turned: Float
    lost: npt.NDArray[np.bool_]
    lost_originals: npt.NDArray[np.bool_]


def probes_of(kind: str, people: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """How many probes each person has."""
    if kind == "gamma":
        return 1 + rng.poisson(rng.gamma(1.0, 11.0, people))
    if kind == "few":
        return rng.integers(1, 7, people)
    if kind == "lognormal":
        return np.ceil(8 * np.exp(rng.normal(size=people))).astype(np.int64)
    if kind == "dominant":
        probes = np.full(people, 12)
        probes[0] = round(1.5 * 12 * (people - 1))
        return probes
    return np.full(people, int(kind))


def draw(name: str, people: int, seed: int) -> Experiment:
    """One experiment."""
    world = WORLDS[name]
    rng = np.random.default_rng([seed, people, list(WORLDS).index(name)])
    probes = probes_of(world.probes, people, rng)
    references = np.full(people, 2)
    if world.references != (2, 2):
        references = rng.integers(world.references[0], world.references[1] + 1, people)
    subject = np.r_[np.repeat(np.arange(people), references), np.repeat(np.arange(people), probes)]
    reference = np.arange(len(subject)) < references.sum()
    n, d = len(subject), world.dimension

    def noise(size: int) -> Float:
        if not world.tails:
            return rng.normal(size=(size, d)) / math.sqrt(d)
        long = np.sqrt(rng.chisquare(world.tails, size) / (world.tails - 2.0))  # one factor per image: whole images are bad
        return rng.normal(size=(size, d)) / math.sqrt(d) / long[:, None]

    def wide(size: int) -> Float:
        return rng.normal(size=size) if not world.tails else rng.standard_t(world.tails, size) * math.sqrt((world.tails - 2) / world.tails)

    face = noise(people)
    if world.camps:
        kinds = np.random.default_rng(world.camps).normal(size=(world.camps, d)) / math.sqrt(d)  # the same in every experiment
        face = face + 0.7 * kinds[rng.integers(0, world.camps, people)]
    if world.families:
        face = face + 0.7 * noise(world.families)[rng.integers(0, world.families, people)]
    if world.siblings:
        first = np.arange(0, round(world.siblings * people) - 1, 2)
        parents = noise(len(first))
        face[first], face[first + 1] = face[first] + parents, face[first + 1] + parents
    face /= np.linalg.norm(face, axis=1, keepdims=True)
    common = np.zeros(d)
    common[0] = 1.0
    kind = rng.random(people)
    goat, lambs, wolves = kind < world.goats[0], world.lambs[0], world.wolves[0]
    strength = np.where(goat, world.goats[1], 1.0) * (1.0 + world.spread * wide(people))
    first = world.goats[0]
    lamb = np.where((kind > first) & (kind < first + lambs), world.lambs[1], 0.0) + 0.25 + 0.08 * wide(people)
    middle = first + lambs / 2  # half of the lambs are wolves too
    wolf = np.where((kind > middle) & (kind < middle + wolves), world.wolves[1], 0.0) + 0.25 + 0.08 * wide(people)
    gain = world.gain[0] + world.gain[1] * wide(people) + world.for_goats * goat
    yaw = np.where(reference, 0.0, rng.uniform(-80, 80, n))
    if world.skewed:
        strength = np.maximum(1.1 - rng.exponential(0.15, people), 0.2)
        lamb, wolf = (0.15 * rng.lognormal(0.0, 0.6, people) for _ in range(2))
        gain = np.where(rng.random(people) < 0.5, 0.25, -0.1)
        yaw = np.where(reference, 0.0, np.where(rng.random(n) < 0.5, 40.0, 75.0) + rng.normal(0.0, 4.0, n))
    turn = np.abs(yaw) / 90
    loss = 0.45 * turn
    if world.turning:
        loss = np.minimum(loss * rng.lognormal(0.0, world.turning, people)[subject], 0.95)
    own = strength[subject] * (1.0 - loss)
    shared = np.where(reference, lamb[subject], wolf[subject] + 0.12 * wide(n))
    own = own + np.where(reference, 0.0, 0.1 * wide(n) - 0.3 * np.maximum(0.12 * wide(n), 0))
    original = own[:, None] * face[subject] + shared[:, None] * common + (world.noise + 0.5 * turn)[:, None] * noise(n)
    if world.sessions:
        day = 3 * subject + rng.integers(0, 3, n)
        original = original + world.sessions * noise(3 * people)[day]
    turned = original + ((gain[subject] + 0.05 * wide(n)) * turn)[:, None] * face[subject]
    turned = turned + 0.1 * turn[:, None] * common + 0.25 * noise(n)
    if world.steps:
        original, turned = (np.rint(v * world.steps) / world.steps + 1e-3 for v in (original, turned))

    def losses(odds: tuple[float, float] | None) -> npt.NDArray[np.bool_]:
        if odds is None:
            return np.zeros(n, np.bool_)
        return ~reference & (rng.random(n) < 1 / (1 + np.exp(-odds[0] - (odds[1] - odds[0]) * turn - 1.5 * goat[subject])))

    return Experiment(subject, reference, yaw, original, turned, losses(world.lost), losses(world.lost_originals))


def write(experiment: Experiment, folder: Path) -> dict[str, Path]:
    """The tables of an experiment, from which the product goes on; returns the similarity table of each variant."""
    n = len(experiment.subject)
    ids = [f"i{i:06d}" for i in range(n)]
    names = [f"s{s:05d}" for s in experiment.subject]
    role = np.where(experiment.reference, "reference", "probe").tolist()
    head = {"image_id": ids, "identity": names, "role": role}

    def table(schema: pa.Schema, columns: dict[str, Any]) -> pa.Table:
        return pa.table([columns[f.name] if f.name in columns else pa.nulls(n, f.type) for f in schema], schema=schema)

    words = {"status": ["ok"] * n, "detail": [""] * n}
    images = folder / "images.parquet"
    more = {"subject": names, "sha256": ids, "yaw": pa.array(experiment.yaw, pa.float32()), "pose_source": ["ground_truth"] * n}
    tables.write(images, table(tables.IMAGES, {**head, **words, **more}))
    out = {}
    paths = {}
    for variant, vectors, lost in (
        ("original", experiment.original, experiment.lost_originals),
        ("turned.none", experiment.turned, experiment.lost),
    ):
        unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        schema = tables.embeddings_schema(unit.shape[1])
        flat = pa.FixedSizeListArray.from_arrays(pa.array(unit.reshape(-1)), unit.shape[1])
        columns = {**head, "status": np.where(lost, "no_face", "ok").tolist(), "detail": [""] * n, "embedding": flat}
        paths[variant] = folder / f"{variant}.parquet"
        tables.write(paths[variant], table(schema, columns))
        path = folder / "similarity" / "world" / variant / "detector" / "backbone.parquet"
        compare([images], [paths[variant]], [paths["original"]], path, path.with_name("backbone.scores.parquet"), variant=variant)
        out[variant] = path
    return out


def estimates(experiment: Experiment) -> Iterator[tuple[str, float, float, float]]:
    """(name, value, low, high) of everything that is printed with an interval."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        paths = write(experiment, Path(folder))
        cells = [cell_of(path) for path in paths.values()]
        dataset = next(iter(read_datasets(cells)))
        rows = {cell.variant: dataset.rows[cell] for cell in cells}
        for variant in rows:
            is_original = variant == "original"
            for row in groups.summarize_cell(rows[variant], rows["original"], is_original=is_original, bins=YawBins(EDGES)):
                if is_original and row["subset"] != "own":
                    continue
                label = f"{row['group']} ({row['subset']})"
                if row["yaw_axis"] == "abs" and row["yaw_bin"] == "30 to 60" and row["subset"] == "common":
                    yield f"{row['group']}, 30 to 60 degrees", row["mean"], row["ci_low"], row["ci_high"]
                if row["yaw_axis"] == "all":
                    yield label, row["mean"], row["ci_low"], row["ci_high"]
                    if math.isfinite(row["share_gaining"]):
                        yield f"share gaining: {label}", row["share_gaining"], row["share_gaining_low"], row["share_gaining_high"]
        found = verification_tables(dataset, Facts(), TableSettings(edges=EDGES))
        for row in found["verification"]:
            for name in ("dprime", "dprime_change", "eer", "rank1", "rank5", "slope", "area"):
                if f"{name}_low" in row:
                    yield f"{name} [{row['variant']}]", row[name], row[f"{name}_low"], row[f"{name}_high"]
        for row in found["error_rates"]:
            if row["supported"]:
                for name in ("fnmr", "fnmr_change"):
                    if f"{name}_low" in row:
                        label = f"{name} at {row['fmr_target']:g} [{row['variant']}]"
                        yield label, row[name], row[f"{name}_low"], row[f"{name}_high"]
        for row in found["fnmr_by_yaw"]:
            if row["yaw_bin"] == "60 to 90" and row["variant"] == "original":
                yield f"fnmr at {row['fmr_target']:g}, 60 to 90 degrees", row["fnmr"], row["fnmr_low"], row["fnmr_high"]
        for row in found["curves"]:
            if row["yaw"] in (15.0, 70.0) and row["variant"] == "original":
                yield f"curve at {row['yaw']:g} degrees", row["mean"], row["ci_low"], row["ci_high"]
        det = [row for row in found["det"] if row["variant"] == "original"]
        for place in (10, 30):
            if len(det) > place:
                row = det[place]
                yield f"det at FMR {row['fmr']:.1e}", row["fnmr"], row["fnmr_low"], row["fnmr_high"]


# Without tables: four times as many experiments in the same time ------------------------------------------------------------------


@dataclass(frozen=True)
class Pairs:
    """What a comparison gives for each probe, as in the similarity tables: mean, standard deviation and number of its genuine and impostor pairs, how
    the impostor mean changes without each person's references (n, people), the rank; and its scores (n, references), ``own`` NaN for strangers,
    ``strangers`` MASKED for the own person."""

    genuine: Float
    genuine_sd: Float
    n_genuine: Float
    impostor: Float
    impostor_sd: Float
    n_impostor: Float
    moves: Float
    rank: npt.NDArray[np.int64]
    own: Float
    strangers: Float


def pairs_of(probes: Float, person: npt.NDArray[np.int64], references: Float, other: npt.NDArray[np.int64], people: int) -> Pairs:
    """Of unit vectors (n, D) of ``person`` (n,) and references (m, D) of ``other`` (m,)."""
    score = (probes.astype(np.float32) @ references.astype(np.float32).T).astype(np.float64)
    same = person[:, None] == other[None]
    belongs = (other[:, None] == np.arange(people)).astype(np.float64)

    def moments(which: npt.NDArray[np.bool_]) -> tuple[Float, Float, Float]:
        number = which.sum(axis=1).astype(np.float64)
        mean = np.where(which, score, 0.0).sum(axis=1) / number
        return mean, np.sqrt(np.maximum((np.where(which, score, 0.0) ** 2).sum(axis=1) / number - mean**2, 0.0)), number

    with np.errstate(invalid="ignore", divide="ignore"):
        genuine, genuine_sd, n_genuine = moments(same)
        impostor, impostor_sd, n_impostor = moments(~same)
        number = (~same).astype(np.float64) @ belongs
        rest = n_impostor[:, None] - number
        left = (np.where(same, 0.0, score).sum(axis=1)[:, None] - np.where(same, 0.0, score) @ belongs) / rest
        moves = np.where((rest > 0) & (number > 0), left - impostor[:, None], 0.0)
    first = np.flatnonzero(np.r_[True, other[1:] != other[:-1]])
    nearest = np.maximum.reduceat(np.where(same, -2.0, score), first, axis=1)
    rank = 1 + (nearest >= np.where(same, score, -2.0).max(axis=1)[:, None] - scores.TIE).sum(axis=1)
    own, strangers = np.where(same, score, np.nan), np.where(same, MASKED, score).astype(np.float32)
    return Pairs(genuine, genuine_sd, n_genuine, impostor, impostor_sd, n_impostor, moves, rank, own, strangers)


def without_tables(experiment: Experiment) -> Iterator[tuple[str, float, float, float]]:
    """(name, value, low, high) as in :func:`estimates`, by the same estimators, straight from the vectors: those figures that the rest is like."""
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (experiment.original, experiment.turned)]
    subject, reference = experiment.subject, experiment.reference
    people, probe = int(subject.max()) + 1, ~reference
    who, other, yaw = subject[probe], subject[reference], np.abs(experiment.yaw[probe])
    n_references = np.bincount(other, minlength=people).astype(np.float64)
    original, turned = (pairs_of(v[probe], who, unit[0][reference], other, people) for v in unit)
    there, here = ~experiment.lost_originals[probe], ~experiment.lost[probe]
    both = there & here

    def mean(name: str, values: Float, chosen: npt.NDArray[np.bool_], moves: Float | None = None, person: Any = who) -> Any:
        values, person = values[chosen], person[chosen]
        tails = jackknife.KURTOSIS_OF_CHANGES if name.partition(" (")[0] in groups.SYMMETRIC else jackknife.KURTOSIS
        known = np.isfinite(values)
        if moves is None:
            return estimate(name, jackknife.mean_estimate(values[known], person[known], tails))
        found = groups.mean_estimate(values, person, moves[chosen], tails)
        return name, found.value, found.low, found.high

    known: dict[tuple[int, bytes], Impostors] = {}

    def of_strangers(found: Pairs, ok: npt.NDArray[np.bool_]) -> Impostors:
        key = id(found), ok.tobytes()
        if key not in known:
            known[key] = impostors_of(found, ok, who, other, people)
        return known[key]

    def estimate(name: str, found: jackknife.Estimate) -> tuple[str, float, float, float]:
        return name, found.value, found.low, found.high

    net, stranger = turned.genuine - original.genuine, turned.impostor - original.impostor
    yield mean("Angled vs GT (own)", original.genuine, there)
    yield mean("Angled vs GT, 30 to 60 degrees", original.genuine, both & (yaw >= 30) & (yaw < 60))
    yield mean("Frontal vs GT (common)", turned.genuine, both)
    yield mean("Frontal vs Angled (common)", (unit[0] * unit[1]).sum(axis=1)[probe], both)
    yield mean("Angled vs other GT (own)", original.impostor, there, original.moves)
    yield mean("Frontal vs other GT (common)", turned.impostor, both, turned.moves)
    yield mean("Net Gain (common)", net, both)
    yield mean("impostor gain (common)", stranger, both, turned.moves - original.moves)
    yield mean("identity gain (common)", net - stranger, both, original.moves - turned.moves)
    if n_references.min() > 1:
        gallery = unit[0][reference]
        among = pairs_of(gallery, other, gallery, other, people)
        everybody = np.ones(len(other), np.bool_)
        np.fill_diagonal(among.own, np.nan)
        yield mean("GT vs GT (own)", np.nanmean(among.own, axis=1), everybody, person=other)
        yield mean("GT vs other GT (own)", among.impostor, everybody, among.moves, other)
    gained = np.bincount(who[both], net[both] > scores.TIE, minlength=people)[:, None].astype(np.float64)
    number = np.bincount(who[both], minlength=people)[:, None].astype(np.float64)
    (low,), (high,) = jackknife.rate_intervals(gained, number)
    yield "share gaining: Net Gain (common)", float(gained.sum() / number.sum()), float(low), float(high)
    for variant, found, ok in (("original", original, there), ("turned.none", turned, here)):
        yield estimate(f"dprime [{variant}]", separation.dprime_left_out(in_moments(found, ok, n_references), who).estimate())
        ranks = rates.cmc_estimates(found.rank[ok], who[ok], 5)
        yield estimate(f"rank1 [{variant}]", ranks[0])
        yield estimate(f"rank5 [{variant}]", ranks[4])
        values = np.where(ok, found.genuine, np.nan)
        yield estimate(f"slope [{variant}]", curves.slope(yaw, values, who))
        curve = curves.smooth(yaw, values, who, YAW_GRID)
        yield estimate(f"area [{variant}]", curve.area.estimate())
        if variant == "original":
            for degrees in (15.0, 70.0):
                place = int(np.flatnonzero(degrees == YAW_GRID)[0])
                if np.isfinite(curve.mean[place]):
                    yield f"curve at {degrees:g} degrees", *(float(x[place]) for x in (curve.mean, curve.low, curve.high))
        impostors = of_strangers(found, ok)
        row, column = np.nonzero(np.isfinite(found.own) & ok[:, None])
        genuine = found.own[row, column].astype(np.float32)
        yield estimate(f"eer [{variant}]", rates.eer_estimate(genuine, who[row], impostors))
        for target in rates.FMR_TARGETS[:3]:
            point = rates.operating_point(impostors, target)
            if point.supported:
                rate = rates.fnmr_estimate(genuine, point.threshold, who[row], impostors)
                yield estimate(f"fnmr at {target:g} [{variant}]", rate)
    yield from changes_of_fnmr(turned, original, both, who, [of_strangers(found, both) for found in (turned, original)])
    moments = [in_moments(found, both, n_references) for found in (turned, original)]
    change = separation.dprime_left_out(moments[0], who) - separation.dprime_left_out(moments[1], who)
    yield estimate("dprime_change [turned.none]", change.estimate())


def impostors_of(
    found: Pairs, ok: npt.NDArray[np.bool_], who: npt.NDArray[np.int64], other: npt.NDArray[np.int64], people: int
) -> Impostors:
    """Strangers' pairs of the probes ``ok``."""
    sink = ImpostorSink()
    sink.add(found.strangers[ok], None, who[ok], other)
    sink.add_people(found.strangers[ok], who[ok], other, people)
    return sink.result(len(np.unique(who[ok])) * (people - 1))  # everybody has references


def changes_of_fnmr(
    turned: Pairs, original: Pairs, both: npt.NDArray[np.bool_], who: npt.NDArray[np.int64], strangers: list[Impostors]
) -> Iterator[tuple[str, float, float, float]]:
    """The changes of FNMR over the probes that both gave, where their ``strangers`` support the FMR."""
    for target in rates.FMR_TARGETS[:3]:
        points = [rates.operating_point(one, target) for one in strangers]
        if all(point.supported for point in points):
            sides: list[Any] = []
            for found, point in zip((turned, original), points, strict=True):
                row, column = np.nonzero(np.isfinite(found.own) & both[:, None])
                sides += [found.own[row, column].astype(np.float32), point.threshold, who[row]]
            change = rates.fnmr_change(*sides, impostors=(strangers[0], strangers[1]))
            yield f"fnmr_change at {target:g} [turned.none]", change.value, change.low, change.high


def in_moments(found: Pairs, chosen: npt.NDArray[np.bool_], references: Float) -> separation.PairMoments:
    """The pairs of the images ``chosen``, as d' takes them."""
    of = {key: np.where(chosen, getattr(found, key), np.nan) for key in ("genuine", "genuine_sd", "n_genuine")}
    of |= {key: np.where(chosen, getattr(found, key), np.nan) for key in ("impostor", "impostor_sd", "n_impostor")}
    return separation.PairMoments(**of, moves=np.where(chosen[:, None], found.moves, 0.0).astype(np.float16), references=references)


BIASED = ("dprime", "eer", "fnmr")
LARGE = 200
"""Experiments with so many people tell the truth of those as well as the large populations do."""


def run(world: str, people: int, experiments: int, first: int = 0, *, quick: bool = False) -> dict[str, Float]:
    """Name -> (experiments, 3): value, low, high; NaN where it was not there. ``quick``: :func:`without_tables`."""
    found: dict[str, list[tuple[float, float, float]]] = {}
    for i in range(experiments):
        for name, *numbers in (without_tables if quick else estimates)(draw(world, people, first + i)):
            found.setdefault(name, []).append((numbers[0], numbers[1], numbers[2]))
    return {name: np.array(values, dtype=np.float64) for name, values in found.items()}


def truths(world: str, people: int, runs: int, *, quick: bool = False) -> dict[str, float]:
    """The values that do not depend on the number of people, from ``runs`` large populations. How many images each person has changes none of them,
    only how well a population shows it, so everybody gets as many."""
    WORLDS["equal"] = replace(WORLDS[world], probes="12")
    try:
        found = run("equal", people, runs, first=1_000_000, quick=quick)
    finally:
        del WORLDS["equal"]
    return {name: float(np.nanmean(values[:, 0])) for name, values in found.items()}


def with_large_ones(found: dict[str, Float], truth: dict[str, float], experiments: int, runs: int) -> dict[str, float]:
    """``truth`` of ``runs`` populations together with that of as large ``experiments``: few populations do not show a value as exactly as an interval
    of so many people does. d' is taken less its bias."""
    out = dict(truth)
    for name in (name for name in found if name.startswith(BIASED) and name in truth):
        middle = found[name][:, 1:].mean(axis=1)
        own = np.where(np.isfinite(middle) & name.startswith("dprime"), middle, found[name][:, 0])
        out[name] = (runs * truth[name] + experiments * float(np.nanmean(own))) / (runs + experiments)
    return out


def coverage(found: dict[str, Float], truth: dict[str, float], experiments: int) -> Iterator[tuple[str, float, float, float, float, float]]:
    """(name, truth, coverage, mean width, share printed, spread of the estimates) of every interval."""
    for name, values in found.items():
        right = truth[name] if name.startswith(BIASED) and name in truth else float(np.nanmean(values[:, 0]))
        printed = np.isfinite(values[:, 1]) & np.isfinite(values[:, 2])
        if name.startswith("det at"):  # its false match rates differ from experiment to experiment
            continue
        part = values[printed]
        inside = (part[:, 1] <= right + 1e-12) & (right - 1e-12 <= part[:, 2])
        width = float((part[:, 2] - part[:, 1]).mean()) if len(part) else math.nan
        yield name, right, float(inside.mean()) if len(part) else math.nan, width, len(part) / experiments, float(np.nanstd(values[:, 0]))


RESULTS = Path(__file__).with_suffix(".csv")
COLUMNS = ("world", "people", "experiments", "value", "truth", "covers", "width", "sd", "printed")
KINDS = (  # heading, what the names begin with
    ("genuine means", r"(GT|Angled|Frontal) vs (GT|Angled|Frontal)"),
    ("impostor means", r"\w+ vs other GT"),
    ("Net Gain, identity gain", r"(Net Gain|identity gain)"),
    ("impostor gain", "impostor gain"),
    ("share gaining", "share gaining"),
    ("d'", r"dprime \["),
    ("change of d'", "dprime_change"),
    ("slope, area", "(slope|area)"),
    ("curve at 15, 70", "curve"),
    ("EER", "eer"),
    ("rank-1, -5", "rank"),
    ("FNMR at 1e-1", r"fnmr(_change)? at 0\.1\b"),
    ("at 1e-2", r"fnmr(_change)? at 0\.01\b"),
    ("at 1e-3", r"fnmr(_change)? at 0\.001\b"),
)
RATES = r"share gaining|eer|rank|fnmr at"
RARE = 6.0
"""A rate whose rarer outcome is worth fewer people than this stands near 0 or 1 (:func:`near_the_end`)."""
OFTEN = 50
"""In fewer experiments than these a coverage is not told."""
MARK = "<!-- {} of coverage: made by benchmarks/interval_coverage.py --table -->"


def keep(path: Path, new: list[dict[str, str]]) -> None:
    """Put rows of one world and number of people into the file, in place of what it has of them."""
    old = read_results(path) if path.exists() else []
    done = {(row["world"], row["people"]) for row in new}
    rows = [row for row in old if (row["world"], row["people"]) not in done] + new
    rows.sort(key=lambda row: (list(WORLDS).index(row["world"]), int(row["people"])))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_results(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def near_the_end(row: dict[str, str]) -> bool:
    """Whether this is a rate whose rarer outcome is worth fewer than :data:`RARE` people: its interval has an exact end, or nearly so. Such ends
    hold more than they say, as nobody can be missed by half."""
    truth = float(row["truth"])
    return bool(re.match(RATES, row["value"])) and int(row["people"]) * min(truth, 1.0 - truth) < RARE


def told(row: dict[str, str]) -> bool:
    """Whether the interval was printed often enough."""
    return float(row["printed"]) * int(row["experiments"]) >= OFTEN


def table_of(results: list[dict[str, str]]) -> list[str]:
    """Lines of a Markdown table: a row per world and number of people, the lowest and the highest coverage of each kind of value in percent; then how
    many figures lie outside the aim."""
    heads = [*(head for head, _ in KINDS), "rates near 0 or 1"]
    out = [f"| world | people | experiments | {' | '.join(heads)} |", "|---" * (3 + len(heads)) + "|"]
    for world, people in dict.fromkeys((row["world"], row["people"]) for row in results):
        rows = [row for row in results if (row["world"], row["people"]) == (world, people) and told(row)]
        kinds = [[row for row in rows if re.match(pattern, row["value"]) and not near_the_end(row)] for _, pattern in KINDS]
        cells = []
        for chosen in (*kinds, [row for row in rows if near_the_end(row)]):
            found = [100 * float(row["covers"]) for row in chosen]
            low, high = (f"{min(found):.0f}", f"{max(found):.0f}") if found else ("", "")
            cells.append(low if low == high else f"{low} to {high}")
        numbers = sorted({int(row["experiments"]) for row in results if (row["world"], row["people"]) == (world, people)})
        out.append(f"| {world} | {people} | {' and '.join(map(str, numbers))} | {' | '.join(cells)} |")
    return [*out, "", *counts_of(results)]


def exact_coverage(people: int, rate: float) -> float:
    """How often the exact ends (Clopper and Pearson 1934) of so many independent answers hold the rate."""
    from scipy.stats import beta, binom

    hits = np.arange(people + 1)
    low, high = np.nan_to_num(beta.ppf(0.025, hits, people - hits + 1)), np.nan_to_num(beta.ppf(0.975, hits + 1, people - hits), nan=1.0)
    return float(binom.pmf(hits, people, rate)[(low <= rate) & (rate <= high)].sum())


def counts_of(results: list[dict[str, str]]) -> list[str]:
    """Lines of a Markdown table: how many figures lie outside the aim, and how many would by chance if each interval covered 95 % exactly."""
    from scipy.stats import binom

    head = "| | figures | mean | below | by more than 2 SE | by chance | above | by more than 2 SE | by chance |"
    out = [head, "|---" * 9 + "|"]
    for few in (True, False):
        low, high = (0.91, 0.98) if few else (0.93, 0.97)
        for rare in (False, True):
            rows = [row for row in results if told(row) and (int(row["people"]) < 35) == few and near_the_end(row) == rare]
            if not rows:
                continue
            number = np.array([round(float(row["printed"]) * int(row["experiments"])) for row in rows])
            share = np.array([float(row["covers"]) for row in rows])
            hits = np.rint(share * number)
            error = np.sqrt(np.array([low * (1 - low), high * (1 - high)])[:, None] / number)
            under, over = hits < low * number - 1e-9, hits > high * number + 1e-9
            chance = binom.cdf(np.ceil(low * number - 1e-9) - 1, number, 0.95), binom.sf(np.floor(high * number + 1e-9), number, 0.95)
            cells = [under.sum(), (share < low - 2 * error[0]).sum(), round(chance[0].sum())]
            cells += [over.sum(), (share > high + 2 * error[1]).sum(), round(chance[1].sum())]
            people = "fewer than 35 people" if few else "35 people and more"
            name = f"{people} (aim {100 * low:.0f} to {100 * high:.0f} %)"
            if rare:
                exact = np.mean([exact_coverage(int(row["people"]), float(row["truth"])) for row in rows])
                name += f", rates near 0 or 1 (exact ends of as many independent people: {100 * exact:.1f})"
            out.append(f"| {name} | {len(rows)} | {100 * share.mean():.1f} | {' | '.join(str(int(c)) for c in cells)} |")
    return out


def into(text: str, lines: list[str]) -> str:
    """``text`` of a page with the table between its two marks."""
    begin, end = MARK.format("table"), MARK.format("end")
    before, rest = text.split(begin)
    return f"{before}{begin}\n" + "\n".join(lines) + f"\n{end}{rest.split(end)[1]}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=list(WORLDS))
    parser.add_argument("--people", nargs="+", type=int, default=list(PEOPLE))
    parser.add_argument("--experiments", type=int, default=300)
    parser.add_argument(
        "--first", type=int, default=0, help="number of the first experiment: others are drawn from another one on (default: 0)"
    )
    parser.add_argument("--truth-people", type=int, default=300)
    parser.add_argument("--truth-runs", type=int, default=8)
    parser.add_argument("--quick", action="store_true", help="straight from the vectors: fewer figures, four times as many experiments")
    parser.add_argument(
        "--csv", type=Path, help=f"keep the results in this file; those of docs/statistics.md are in {RESULTS.name} beside this script"
    )
    parser.add_argument("--table", type=Path, metavar="PAGE", help="simulate nothing; make the table of this page from --csv")
    parser.add_argument("--join", type=Path, nargs="+", metavar="FILE", help="simulate nothing; put the results in these files into --csv")
    given = parser.parse_args(arguments)
    for path in given.join or []:
        keep(given.csv or RESULTS, read_results(path))
    if given.table:
        given.table.write_text(into(given.table.read_text(), table_of(read_results(given.csv or RESULTS))))
    if given.table or given.join:
        return 0
    for world in given.worlds:
        truth = truths(world, given.truth_people, given.truth_runs, quick=given.quick)
        for people in given.people:
            start = time.perf_counter()
            found = run(world, people, given.experiments, given.first, quick=given.quick)
            seconds = time.perf_counter() - start
            sys.stdout.write(f"\n## {world}, {people} people, {given.experiments} experiments ({seconds:.0f} s)\n")
            large = with_large_ones(found, truth, given.experiments, given.truth_runs) if people >= LARGE else truth
            lines = list(coverage(found, large, given.experiments))
            if given.csv:
                short = [
                    (world, str(people), str(given.experiments), name, *(f"{x:.4f}" for x in (right, share, width, spread, printed)))
                    for name, right, share, width, printed, spread in lines
                ]
                keep(given.csv, [dict(zip(COLUMNS, row, strict=True)) for row in short])
            for name, right, share, width, printed, spread in lines:
                cover = f"{100 * share:5.1f}" if printed > 0 else "    -"
                sys.stdout.write(
                    f"{name:45s} truth {right:8.4f} covers {cover}  width {width:7.4f} sd {spread:7.4f} printed {100 * printed:4.0f} %\n"
                )
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())

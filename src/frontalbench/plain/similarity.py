"""Two folders, one question: do the images of the second show the people of the first?

Called CSIM, identity similarity or IDS in papers on reenactment, face swapping and frontalization, and ID retrieval. Images meet by name or by
person; every backbone that is installed judges; failures are rows and are counted. The statistics are in :mod:`frontalbench.compare.two_sets`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from frontalbench import images, status, tables
from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import ModelCard
from frontalbench.compare import two_sets
from frontalbench.compare.jackknife import Estimate
from frontalbench.compare.shards import read_embeddings
from frontalbench.compare.two_sets import Faces, Scores, Threshold
from frontalbench.detect.select import DEFAULT_POLICY
from frontalbench.enhance.chain import JOIN
from frontalbench.errors import BadInput
from frontalbench.files import atomic
from frontalbench.plain import folders
from frontalbench.protocols.lists import without_ending
from frontalbench.tabulate.facts import same_networks
from frontalbench.types import Float32, Int

if TYPE_CHECKING:
    from frontalbench.figures import grids

MATCHES = ("auto", "name", "identity")
RULES = ("auto", "folder", "top_folder", "name")
FMR = 1e-3
SUMMARY = (
    *("backbone", "detector", "leak", "matched_by", "n_images", "n_pairs", "n_identities", "n_failed", "n_not_delivered", "n_no_reference"),
    *("mean", "mean_low", "mean_high", "strangers", "strangers_low", "strangers_high", "above_strangers", "above_low", "above_high"),
    *("fmr", "threshold", "threshold_from", "passed", "passed_low", "passed_high", "passed_of_all"),
    *("retrieved", "retrieved_low", "retrieved_high"),
)
"""Columns of summary.csv; docs/folders.md says what they mean."""
PAIRS = (
    *("backbone", "image_id", "identity", "reference", "n_references", "similarity", "strangers", "nearest", "nearest_identity"),
    *("n_passed", "status", "detail"),
)
"""Columns of pairs.csv."""
FILES = ("summary.csv", "pairs.csv", "worst.png")


@dataclass(frozen=True)
class Wanted:
    """What is asked for. ``match``: one of :data:`MATCHES`; ``identity``: one of :data:`RULES` or a regular expression with a group; ``threshold``:
    the caller's; ``master``, ``dataset``: tables of a run to take thresholds from; ``trained_with``: judges that took part in making B."""

    detector: str = "scrfd_500m"
    backbones: tuple[str, ...] = ()
    policy: str = DEFAULT_POLICY
    match: str = "auto"
    identity: str = "auto"
    fmr: float = FMR
    threshold: float | None = None
    master: str = ""
    dataset: str = ""
    trained_with: tuple[str, ...] = ()
    worst: int = 12


@dataclass
class Found:
    """What :func:`compare_folders` found: rows of :data:`SUMMARY` and :data:`PAIRS`, what a person should know, and the files written."""

    summary: list[dict[str, Any]] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)


@dataclass(frozen=True)
class Side:
    """The images of one folder in ``image_id`` order: name of the photograph without ending (``key``), person, sha256 of the file, and per
    backbone status, detail and embeddings (n, D); ``frontalizer``, ``enhancement``: what made an image, by ``image_id``, where its ``rows.csv``
    says it."""

    folder: Path
    image_id: list[str]
    key: list[str]
    person: list[str]
    sha256: list[str]
    frontalizer: Mapping[str, str]
    status: Mapping[str, Sequence[str]]
    detail: Mapping[str, Sequence[str]]
    vectors: Mapping[str, Float32]
    enhancement: Mapping[str, str] = field(default_factory=dict)


def installed_backbones() -> list[ModelCard]:
    """The backbone cards whose weights are on this machine. Raises :class:`BadInput` when there are none."""
    from frontalbench.weights import store

    found = [card for card in cards.all_cards("backbone") if store.available(card)]
    if not found:
        raise BadInput(
            "no backbone is installed; fetch one with python workflow/scripts/fetch_weights.py --card backbone/w600k_mbf, or name one with --backbone"
        )
    return found


def person_rule(rule: str) -> Callable[[str], str]:
    """``image_id`` -> person. Raises :class:`BadInput` for a rule that is no word of :data:`RULES` and no regular expression with a group."""
    if rule in ("auto", "top_folder"):
        return lambda name: name.partition("/")[0] if "/" in name else without_ending(name)
    if rule == "folder":
        return lambda name: PurePosixPath(name).parent.name or without_ending(name)
    if rule == "name":
        return lambda name: PurePosixPath(without_ending(name)).name
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise BadInput(f"--identity {rule}: not a regular expression ({error}); or use one of {', '.join(RULES)}") from None
    if pattern.groups < 1:
        raise BadInput(f"--identity {rule}: needs one group in parentheses, around the person; or use one of {', '.join(RULES)}")

    def person(name: str) -> str:
        match = pattern.search(name)
        if match is None or match.group(1) is None:
            raise BadInput(f"--identity {rule}: does not match '{name}'; its first group has to find the person in every name")
        return match.group(1)

    return person


def read_side(folder: Path, wanted: Wanted, backbones: Sequence[ModelCard], **machine: Any) -> Side:
    """Detect and embed a folder with every backbone."""
    from frontalbench.embed import load_backbone
    from frontalbench.stages.embed import embed_shard

    person = person_rule(wanted.identity)
    with folders.with_faces(folder, "*", wanted.detector, policy=wanted.policy, for_backbone=True, **machine) as (shard, crops, temporary):
        about = tables.read(shard, tables.IMAGES, ["image_id", "source", "sha256"]).to_pylist()
        made, enhanced = folders.frontalizers_of(shard), folders.enhancements_of(shard)
        words, details, vectors = {}, {}, {}
        for card in backbones:
            out = temporary / f"{card.name}.parquet"
            embed_shard(crops, out, card, lambda card=card: load_backbone(card, **machine), **machine)  # type: ignore[misc]
            read = read_embeddings(out)
            if read.image_id.tolist() != [row["image_id"] for row in about]:
                raise BadInput(f"{folder}: changed while it was read; run again")
            words[card.name], details[card.name], vectors[card.name] = read.status.tolist(), read.detail.tolist(), read.vectors
    return Side(
        folder,
        [row["image_id"] for row in about],
        [without_ending(row["source"]) for row in about],
        [person(row["source"]) for row in about],
        [row["sha256"] for row in about],
        made,
        words,
        details,
        vectors,
        enhanced,
    )


def matched(a: Side, b: Side, how: str) -> tuple[str, list[tuple[int, int]]]:
    """(``name`` or ``identity``, pairs (place in B, place in A)). ``auto`` takes the way that finds a partner for more images of B, by name where
    both find as many. Raises :class:`BadInput` when nothing meets."""
    by_name: dict[str, list[int]] = {}
    by_person: dict[str, list[int]] = {}
    for i, (key, person) in enumerate(zip(a.key, a.person, strict=True)):
        by_name.setdefault(key, []).append(i)
        by_person.setdefault(person, []).append(i)
    named = sum(key in by_name for key in b.key)
    known = sum(person in by_person for person in b.person)
    way = how if how != "auto" else "name" if named >= known else "identity"
    if not (named if way == "name" else known):
        raise BadInput(
            f"{a.folder} and {b.folder}: no image of the second has a partner in the first by {'name or identity' if how == 'auto' else way}: the "
            f"first begins with '{a.image_id[0]}' (person '{a.person[0]}'), the second with '{b.image_id[0]}' (person '{b.person[0]}'); give them "
            "the same names or folders, or say with --identity where the person stands"
        )
    if way == "name":
        twice = next((places for key, places in by_name.items() if len(places) > 1 and key in set(b.key)), None)
        if twice is not None:
            both = " and ".join(f"'{a.image_id[i]}'" for i in twice)
            raise BadInput(f"{a.folder}: {both} have one name but for the ending, so neither can be told to be the partner; remove one")
        return way, [(i, by_name[key][0]) for i, key in enumerate(b.key) if key in by_name]
    return way, [(i, j) for i, person in enumerate(b.person) for j in by_person.get(person, ())]


def compare_folders(first: Path, second: Path, wanted: Wanted, out: Path | None = None, *, threads: int = 1, device: str = "cpu") -> Found:
    """Compare the images of ``second`` with those of ``first``, the references; write :data:`FILES` into ``out`` where it is given.

    Raises :class:`BadInput`, :class:`~frontalbench.errors.BadConfig`, :class:`~frontalbench.errors.WeightsMissing`.
    """
    if wanted.match not in MATCHES:
        raise BadInput(f"--match {wanted.match}: expected one of {', '.join(MATCHES)}")
    if not 0.0 < wanted.fmr < 1.0:
        raise BadInput(f"--fmr {wanted.fmr:g}: expected a share between 0 and 1, such as 0.001")
    person_rule(wanted.identity)
    for folder in (first, second):
        folders.images_in(folder)
    backbones = [cards.find("backbone", name) for name in wanted.backbones] or installed_backbones()
    if wanted.threshold is not None and len(backbones) > 1:
        names = ", ".join(card.name for card in backbones)
        raise BadInput(
            f"--threshold {wanted.threshold:g}: a threshold belongs to one backbone, there are several ({names}); add --backbone"
        )
    for name in wanted.trained_with:
        cards.find("backbone", name)
    folders.need_weights(*backbones)
    machine = {"threads": threads, "device": device}
    a, b = (read_side(folder, wanted, backbones, **machine) for folder in (first, second))
    found = judge(a, b, wanted, [card.name for card in backbones])
    found.notes += leak_notes(found, b, wanted)
    if out is not None:
        _write(out, found, first, second, wanted.worst)
    return found


def judge(a: Side, b: Side, wanted: Wanted, backbones: Sequence[str]) -> Found:
    """The rows of :data:`SUMMARY` and :data:`PAIRS` of two sides that were read; nothing is said of leaks yet."""
    way, joined = matched(a, b, wanted.match)
    found = Found(notes=_notes(a, b, way, joined, wanted.identity))
    absent = sorted(set(range(len(a.image_id))) - {j for _, j in joined}) if way == "name" else []
    names = sorted({*a.person, *b.person})
    code = {name: i for i, name in enumerate(names)}
    pairs_of: dict[int, list[int]] = {}
    for i, j in joined:
        pairs_of.setdefault(i, []).append(j)
    persons = [np.array([code[person] for person in side.person], np.int64) for side in (a, b)]
    for backbone in backbones:
        usable = [np.array([word == status.OK for word in side.status[backbone]], np.bool_) for side in (a, b)]
        rows_a, rows_b = np.flatnonzero(usable[0]), np.flatnonzero(usable[1])
        at_a, at_b = np.cumsum(usable[0]) - 1, np.cumsum(usable[1]) - 1
        good = [(i, j) for i, j in joined if usable[1][i] and usable[0][j]]
        pair: Int = np.array([at_b[i] for i, _ in good], np.int64)
        other: Int = np.array([at_a[j] for _, j in good], np.int64)
        references = Faces(a.vectors[backbone][rows_a], persons[0][rows_a])
        scores = two_sets.compare(references, Faces(b.vectors[backbone][rows_b], persons[1][rows_b]), pair, other, len(names))
        threshold, where = _threshold(references, wanted, backbone)
        rows = _pair_rows(a, b, backbone, pairs_of, scores, rows_a, at_b, usable, threshold)
        rows += [
            {
                **{"backbone": backbone, "image_id": "", "identity": a.person[j], "reference": a.image_id[j], "n_references": 0},
                **{"status": status.NOT_DELIVERED, "detail": f"{b.folder} has no image of this name"},
            }
            for j in absent
        ]
        made = two_sets.summarize(scores, len(names), threshold)
        counts = Counter(row["status"] for row in rows)
        failed = sum(counts[word] for word in status.FAILURE_TO_ACQUIRE - {status.NOT_DELIVERED})
        hits = int((scores.score >= threshold).sum()) if math.isfinite(threshold) else 0
        lost = sum(max(1, len(pairs_of.get(i, ()))) for i in range(len(b.image_id)) if not usable[1][i]) + len(absent)
        lost += sum(1 for i, j in joined if usable[1][i] and not usable[0][j])
        everything = made.n_pairs + lost
        found.rows += rows
        found.summary.append(
            {
                **{"backbone": backbone, "detector": wanted.detector, "leak": False, "matched_by": way, "n_images": made.n_probes},
                **{"n_pairs": made.n_pairs, "n_identities": made.n_people, "n_failed": failed},
                **{"n_not_delivered": counts[status.NOT_DELIVERED], "n_no_reference": counts[status.NO_REFERENCE]},
                **_columns("mean", "mean", made.mean),
                **_columns("strangers", "strangers", made.strangers),
                **_columns("above_strangers", "above", made.above),
                **{"fmr": wanted.fmr, "threshold": threshold, "threshold_from": where},
                **_columns("passed", "passed", made.passed),
                "passed_of_all": hits / everything if math.isfinite(threshold) and everything else math.nan,
                **_columns("retrieved", "retrieved", made.retrieved),
            }
        )
    return found


def _columns(name: str, stem: str, value: Estimate) -> dict[str, float]:
    return {name: value.value, f"{stem}_low": value.low, f"{stem}_high": value.high}


def _pair_rows(
    a: Side,
    b: Side,
    backbone: str,
    pairs_of: Mapping[int, Sequence[int]],
    scores: Scores,
    rows_a: Int,
    at_b: Int,
    usable: Sequence[Any],
    threshold: float,
) -> list[dict[str, Any]]:
    """A row per image of B."""
    out = []
    passed = np.bincount(scores.pair[scores.score >= threshold], minlength=len(scores.own))
    for i, name in enumerate(b.image_id):
        partners = pairs_of.get(i, ())
        row: dict[str, Any] = {"backbone": backbone, "image_id": name, "identity": b.person[i], "n_references": 0}
        row["shown"] = a.image_id[partners[0]] if len(partners) else ""
        row["reference"] = row["shown"] if len(partners) == 1 else ""
        at = int(at_b[i])
        if not usable[1][i]:
            row |= {"status": b.status[backbone][i], "detail": b.detail[backbone][i]}
        elif not scores.n_own[at]:
            bad = next(iter(partners), None)
            why = (
                "no partner in the first folder"
                if bad is None
                else f"{a.image_id[bad]}: {a.detail[backbone][bad] or a.status[backbone][bad]}"
            )
            row |= {"status": status.NO_REFERENCE, "detail": why}
        else:
            row |= {"n_references": int(scores.n_own[at]), "similarity": float(scores.own[at]), "status": status.OK, "detail": ""}
            row["n_passed"] = int(passed[at]) if math.isfinite(threshold) else None
        if usable[1][i] and scores.nearest[at] >= 0:
            j = int(rows_a[scores.nearest[at]])
            row |= {"strangers": float(scores.strangers[at]), "nearest": a.image_id[j], "nearest_identity": a.person[j]}
        out.append(row)
    return out


def _threshold(references: Faces, wanted: Wanted, backbone: str) -> tuple[float, str]:
    """(threshold, where it comes from): the caller's, else from the strangers of the first folder, else from the tables of a run, else NaN."""
    from frontalbench import api

    if wanted.threshold is not None:
        return wanted.threshold, "given"
    own: Threshold = two_sets.threshold_among(references, wanted.fmr)
    if math.isfinite(own.value):
        return own.value, f"strangers in the first folder ({own.pairs} pairs)"
    why = f"not supported by n: {own.pairs_of_people} pairs of people, FMR {wanted.fmr:g} needs {own.needed}"
    if wanted.master:
        point = api.find_threshold(wanted.master, wanted.detector, backbone, wanted.fmr, wanted.dataset)
        if point.threshold is not None:
            return point.threshold, point.basis
        why = f"{why}; {point.basis}"
    return math.nan, why


def _notes(a: Side, b: Side, way: str, joined: Sequence[tuple[int, int]], rule: str) -> list[str]:
    notes = []
    same = [(i, j) for i, j in joined if a.sha256[j] and a.sha256[j] == b.sha256[i]]
    if same:
        i, j = same[0]
        notes.append(
            f"{len(same)} of {len(joined)} pairs are twice the same file ({b.image_id[i]} and {a.image_id[j]}): their similarity is 1"
        )
    met = {i for i, _ in joined}
    if len(met) < len(b.image_id):
        lonely = next(i for i in range(len(b.image_id)) if i not in met)
        notes.append(
            f"{len(b.image_id) - len(met)} of {len(b.image_id)} images of {b.folder} have no partner by {way}: {b.image_id[lonely]}"
        )
    if way == "name" and (absent := len(a.image_id) - len({j for _, j in joined})):
        notes.append(f"{absent} of {len(a.image_id)} images of {a.folder} have no image of their name in {b.folder}: counted as failures")
    if rule == "auto" and len(a.image_id) > 1 and len(set(a.person)) == len(a.image_id) and not any("/" in name for name in a.image_id):
        notes.append(
            f"every image of {a.folder} is taken for a person of its own, as there are no folders for people; if some show one person, say with "
            "--identity where the person stands in the names"
        )
    return notes


def leak_notes(found: Found, b: Side, wanted: Wanted) -> list[str]:
    """Marks the rows of judges that took part in training what made B (``leak``); a line for each, and for makers that are not known here."""
    known = {card.name: card for kind in ("frontalizer", "enhancement") for card in cards.all_cards(kind)}
    made = sorted({*b.frontalizer.values(), *(step for chain in b.enhancement.values() for step in chain.split(JOIN))})
    taught: dict[str, set[str]] = {name: {"--trained-with"} for name in wanted.trained_with}
    notes = []
    for name in made:
        if name not in known:
            notes.append(
                f"{b.folder}: made by {name}, of which there is no card here: whether a judge took part in its training is not known"
            )
            continue
        for backbone in trained_with(known[name]):
            taught.setdefault(backbone, set()).add(name)
    same = same_networks(cards.all_cards("backbone"))  # the same file under another card is the same judge
    for row in found.summary:
        by = {who for name in same.get(row["backbone"], {row["backbone"]}) for who in taught.get(name, ())}
        row["leak"] = bool(by)
        if by:
            who = ", ".join(sorted(by - {"--trained-with"})) or "what made the second folder"
            notes.append(f"{row['backbone']} took part in training or making {who}: its similarity is flattered; believe another judge")
    return notes


def trained_with(card: ModelCard) -> Collection[str]:
    """Backbones that took part in training the card or a card that it uses."""
    found = set(card.trained_with)
    for used in card.used_cards():
        found |= set(trained_with(used))
    return found


def _write(out: Path, found: Found, first: Path, second: Path, worst: int) -> None:
    from frontalbench.tabulate.write import csv_rows

    if out.exists() and not out.is_dir():
        raise BadInput(f"{out}: not a folder; give another name")
    for name, columns, rows in ((FILES[0], SUMMARY, found.summary), (FILES[1], PAIRS, found.rows)):
        atomic.write_text(out / name, csv_rows(columns, rows))
        found.files.append(out / name)
    if worst and draw_worst(found, first, second, out / FILES[2], worst):
        found.files.append(out / FILES[2])


def worst_rows(found: Found, number: int) -> list[tuple[dict[str, Any], dict[str, float]]]:
    """The ``number`` worst images: (a row, similarity by backbone). Judges have scales of their own, so images are in order of their mean place
    over the judges."""
    places: dict[str, list[float]] = {}
    values: dict[str, dict[str, float]] = {}
    rows: dict[str, dict[str, Any]] = {}
    for backbone in dict.fromkeys(row["backbone"] for row in found.rows):
        good = sorted(
            (row for row in found.rows if row["backbone"] == backbone and row["status"] == status.OK),
            key=lambda row: (row["similarity"], row["image_id"]),
        )
        for place, row in enumerate(good):
            places.setdefault(row["image_id"], []).append(place)
            values.setdefault(row["image_id"], {})[backbone] = row["similarity"]
            rows.setdefault(row["image_id"], row)
    order = sorted(places, key=lambda name: (sum(places[name]) / len(places[name]), name))
    return [(rows[name], values[name]) for name in order[:number]]


def draw_worst(found: Found, first: Path, second: Path, path: Path, number: int) -> bool:
    """The worst pairs side by side, the first folder's image left; False when no image has a similarity."""
    from frontalbench.figures import grids, style

    tiles = []
    for row, values in worst_rows(found, number):
        lowest = min(values, key=lambda name: (values[name], name))
        several = len(values) > 1
        lines = (
            row["image_id"],
            f"mean of {len(values)} judges: {sum(values.values()) / len(values):.3f}" if several else f"{lowest} {values[lowest]:.3f}",
            f"{lowest} {values[lowest]:.3f}" if several else f"nearest: {row.get('nearest_identity', '')}",
        )
        tiles.append([_tile(first, row["shown"], (row["shown"], row["identity"])), _tile(second, row["image_id"], lines)])
    if not tiles:
        return False
    across = min(3, len(tiles))
    rows = [[tile for pair in tiles[start : start + across] for tile in pair] for start in range(0, len(tiles), across)]
    with style.drawing():
        made = grids.sheet(rows, title="The least alike", notice="own", columns=("reference", "judged") * across)
        style.save(made, path, ("png",))
    return True


def _tile(folder: Path, name: str, lines: tuple[str, ...]) -> grids.Tile:
    from frontalbench.figures import grids
    from frontalbench.figures.examples import shrink

    path = folder / name
    return grids.Tile(shrink(images.decode(path.read_bytes()), 2 * grids.CELL) if path.is_file() else None, lines)


def table(found: Found) -> str:
    """The summary for a terminal."""
    from tabulate import tabulate

    from frontalbench.tabulate.write import interval, number

    head = ["backbone", "N", "people", "failed", "mean [95 %]", "strangers", "above threshold", "ID retrieval", "threshold"]
    body = [
        [
            f"{row['backbone']}{' (LEAK)' if row['leak'] else ''}",
            row["n_images"],
            row["n_identities"],
            row["n_failed"] + row["n_not_delivered"],
            interval(row["mean"], row["mean_low"], row["mean_high"]),
            number(row["strangers"]),
            _share(row["passed"]),
            _share(row["retrieved"]),
            number(row["threshold"]),
        ]
        for row in found.summary
    ]
    return f"{tabulate(body, headers=head, disable_numparse=True)}\n"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %" if math.isfinite(value) else ""

"""Pair groups of plain folders: a ``pairs.yaml``, a folder of embeddings, and out comes one line per image and group.

Works on what ``extract_embeddings.py`` writes, without any workflow. The pairs file is checked against ``config/schemas/pairs.schema.yaml``;
``docs/folders.md`` explains it and every column.

Groups of views are compared *by image*: views of the same photograph meet under its name (:mod:`.paired`), so that a method that fails on hard
photographs is not held against one that does not.
"""

from __future__ import annotations

import fnmatch
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from frontalbench import status
from frontalbench.catalogue import validation
from frontalbench.compare.kernel import Batch, Gallery, ImpostorSums, add_impostors, genuine_pairs, n_groups
from frontalbench.compare.shards import read_embeddings
from frontalbench.errors import BadConfig, BadInput
from frontalbench.files import atomic, sheet
from frontalbench.types import Bool, Float32, Int, Words

METRICS = (
    *("group", "image_id", "identity", "other", "n_pairs", "similarity", "lowest", "highest", "impostor", "n_impostors"),
    *("photo", "family", "base", "status", "detail", "impostor_moves"),
)
"""Columns of metrics.csv: one row per image and group (per pair, with ``other`` filled in, where pairs are listed)."""
REPORT = ("group", "n_images", "n_pairs", "n_identities", "n_fta", "fta_rate", "n_no_reference")
REPORT_NUMBERS = ("mean", "ci_low", "ci_high", "median", "sd", "lowest", "highest")
REPORT_PAIRED = (
    *("base", "n_common", "n_common_identities", "mean_common", "mean_common_low", "mean_common_high"),
    *("net_gain", "net_gain_low", "net_gain_high", "impostor_gain"),
    *("identity_gain", "identity_gain_low", "identity_gain_high", "note"),
)


@dataclass(frozen=True)
class Group:
    """One pair group: patterns for probes and references, or ``within`` one set, or listed ``pairs``; ``people``: "same" or "others";
    ``of``: the group of the photographs that the probes are views of, where no ``rows.csv`` says it."""

    name: str
    probe: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    pairs: tuple[tuple[str, str], ...] = ()
    people: str = "same"
    of: str = ""


@dataclass(frozen=True)
class Spec:
    """A checked pairs file: its groups, and where an image's person comes from (``auto``, ``column``, ``folder``, ``top_folder``, ``name``, or a
    regex)."""

    groups: tuple[Group, ...]
    identity: str
    regex: re.Pattern[str] | None
    path: str

    def person(self, image_id: str, column: str) -> str:
        """The person in an image. Raises :class:`BadConfig` when the regular expression does not match."""
        way = PurePosixPath(image_id)
        if self.identity == "auto":
            patterns = [pattern for group in self.groups for pattern in (*group.probe, *group.reference, *group.within)]
            below = PurePosixPath(below_prefix(image_id, patterns))
            return below.parts[0] if len(below.parts) > 1 else below.stem
        if self.regex is not None:
            match = self.regex.search(image_id)
            if match is None or match.group(1) is None:
                raise BadConfig(
                    f"{self.path}: identity.regex: does not match '{image_id}'; its first group has to find the person in every name"
                )
            return match.group(1)
        if self.identity == "folder":
            return way.parent.name
        if self.identity == "top_folder":
            return way.parts[0] if len(way.parts) > 1 else way.stem
        return way.stem if self.identity == "name" else column


def folder_prefix(pattern: str) -> str:
    """The folders of a pattern before its first wildcard: ``Angle/`` of ``Angle/*/x*.jpg``."""
    plain = re.split(r"[*?\[]", pattern, maxsplit=1)[0]
    return plain[: plain.rfind("/") + 1]


def below_prefix(name: str, patterns: Sequence[str], of: str = "") -> str:
    """``name`` without the folders that the pattern which ``of`` (by default ``name``) matches begins with; the longest of several."""
    fitting = [folder_prefix(pattern) for pattern in patterns if fnmatch.fnmatchcase(of or name, pattern)]
    return name.removeprefix(max(fitting, key=len, default=""))


@dataclass(frozen=True)
class Embedded:
    """Images with their embeddings: arrays (n,) and ``vectors`` float32 (n, D), in ``image_id`` order. ``photo``: the photograph at the beginning
    of a view's chain as a ``rows.csv`` says it, else the image itself; ``made``: a ``rows.csv`` names a frontalizer, so it is a view."""

    image_id: Words
    identity: Words
    status: Words
    detail: Words
    vectors: Float32
    photo: Words
    made: Bool

    @property
    def ok(self) -> Bool:
        usable: Bool = self.status == status.OK
        return usable


def read_spec(path: str | os.PathLike[str]) -> Spec:
    """Read and check a pairs file. Raises :class:`BadConfig`, one line per problem: file, key, what is wrong, what is allowed."""
    from frontalbench.catalogue.cards import project_root

    schema_path = project_root() / "config" / "schemas" / "pairs.schema.yaml"
    data = validation.read_yaml(Path(path))
    lines = validation.problems(data, validation.read_yaml(schema_path))
    if not lines:
        lines = _cross_checks(data)
    if lines:
        raise BadConfig("\n".join(f"{path}: {line}" for line in lines))
    given = data.get("identity", "auto")
    regex = re.compile(given["regex"]) if isinstance(given, dict) else None
    identity = "regex" if regex is not None else str(given)
    groups = tuple(
        Group(
            name=item["name"],
            probe=_patterns(item.get("probe")),
            reference=_patterns(item.get("reference")),
            within=_patterns(item.get("within")),
            pairs=tuple((a, b) for a, b in item.get("pairs", [])),
            people=item.get("people", "same"),
            of=item.get("of", ""),
        )
        for item in data["groups"]
    )
    return Spec(groups, identity, regex, str(path))


def _patterns(value: str | list[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


def _cross_checks(data: Mapping[str, Any]) -> list[str]:
    lines = []
    names = [item["name"] for item in data["groups"]]
    for i, item in enumerate(data["groups"]):
        given = {key for key in ("probe", "reference", "within", "pairs") if key in item}
        if given not in ({"probe", "reference"}, {"within"}, {"pairs"}):
            lines.append(
                f"groups.{i} ({item['name']}): give probe and reference, or within, or pairs; found {', '.join(sorted(given)) or 'none of them'}"
            )
        if "pairs" in given and "people" in item:
            lines.append(f"groups.{i} ({item['name']}): people: has no meaning for listed pairs; leave it out")
        if "of" in item:
            base = next((other for other in data["groups"] if other["name"] == item["of"] and other is not item), None)
            fits = base is not None and "probe" in item and all(item.get(key) == base.get(key) for key in ("reference", "people"))
            if not fits or (base is not None and ("of" in base or "probe" not in base)):
                lines.append(
                    f"groups.{i} ({item['name']}): of: '{item['of']}' should be a group of photographs with the same reference and people"
                )
        if names.index(item["name"]) != i:
            lines.append(f"groups.{i}.name: '{item['name']}' is given twice")
    identity = data.get("identity")
    if isinstance(identity, dict):
        try:
            if re.compile(identity["regex"]).groups < 1:
                lines.append("identity.regex: needs one group in parentheses, around the person")
        except re.error as error:
            lines.append(f"identity.regex: not a regular expression ({error})")
    return lines


def read_folder(folder: str | os.PathLike[str], spec: Spec) -> Embedded:
    """All embeddings tables under ``folder``. Raises :class:`BadInput` when there are none, or when they do not belong to one judge."""
    top = Path(folder)
    if not top.is_dir():
        raise BadInput(f"{top}: not a folder; give the folder that extract_embeddings.py wrote")
    files = sorted(path for path in top.rglob("*.parquet") if not path.name.startswith("."))
    if not files:
        raise BadInput(f"{top}: no .parquet file in it; run extract_embeddings.py --out {top} first")
    parts, columns = [read_embeddings(file) for file in files], [_identities(file) for file in files]
    widths = {part.vectors.shape[1] for part in parts}
    if len(widths) > 1:
        raise BadInput(f"{top}: embeddings of different lengths ({sorted(widths)}); give a folder with the tables of one backbone")
    image_id = np.concatenate([part.image_id for part in parts])
    order = np.argsort(image_id, kind="stable")
    image_id = image_id[order]
    twice = np.flatnonzero(image_id[1:] == image_id[:-1])
    if len(twice):
        raise BadInput(
            f"{top}: '{image_id[twice[0]]}' occurs in more than one table; give a folder with the tables of one detector and backbone"
        )
    column = np.concatenate(columns)[order]
    listed = _listed_photos(files)
    return Embedded(
        image_id,
        np.array([spec.person(str(name), str(person)) for name, person in zip(image_id, column, strict=True)], dtype=np.str_),
        np.concatenate([part.status for part in parts])[order],
        np.concatenate([part.detail for part in parts])[order],
        np.concatenate([part.vectors for part in parts])[order],
        np.array([listed.get(str(name), (str(name), ""))[0] for name in image_id], dtype=np.str_),
        np.array([bool(listed.get(str(name), ("", ""))[1]) for name in image_id], dtype=np.bool_),
    )


def _listed_photos(files: Sequence[Path]) -> dict[str, tuple[str, str]]:
    """``image_id`` -> (photograph, frontalizer) from the ``rows.csv`` files beside embeddings tables."""
    found: dict[str, tuple[str, str]] = {}
    for folder in sorted({file.parent for file in files}):
        path = folder / "rows.csv"
        if not path.is_file():
            continue
        try:
            for _, row in sheet.read(path, ["image_id", "photo", "frontalizer"]):
                found[row["image_id"]] = (row["photo"] or row["image_id"], row["frontalizer"])
        except BadInput:
            raise BadInput(f"{path}: not the list that extract_embeddings.py writes beside its table; run it again") from None
    return found


def _identities(file: Path) -> Words:
    from frontalbench import tables

    return np.array([value or "" for value in tables.read(file, columns=["identity"]).column("identity").to_pylist()], dtype=np.str_)


def _chosen(data: Embedded, patterns: Sequence[str], where: str) -> Int:
    rows = np.flatnonzero([any(fnmatch.fnmatchcase(str(name), pattern) for pattern in patterns) for name in data.image_id])
    if not len(rows):
        example = f"; the first is '{data.image_id[0]}'" if len(data.image_id) else ""
        raise BadInput(
            f"{where}: no image matches {' or '.join(repr(p) for p in patterns)} among {len(data.image_id)} embedded ones{example}"
        )
    return rows


def group_rows(group: Group, data: Embedded, where: str = "pairs") -> list[dict[str, Any]]:
    """Rows (:data:`METRICS`) of one group, failures included. An image is never compared with itself.

    Raises :class:`BadInput` when a pattern matches nothing or a listed image does not exist.
    """
    place = f"{where}: group '{group.name}'"
    if group.pairs:
        return _listed_rows(group, data, place)
    probes = _chosen(data, group.within or group.probe, place)
    references = probes if group.within else _chosen(data, group.reference, place)
    usable = references[data.ok[references]]
    everybody, code = np.unique(data.identity, return_inverse=True)
    code = code.astype(np.int64)
    usable = usable[np.argsort(code[usable], kind="stable")]
    gallery = Gallery(data.vectors[usable], code[usable], usable)
    ready = probes[data.ok[probes]]
    batch = Batch((data.vectors[ready],), code[ready], ready)
    n = len(ready)
    lowest = np.full(n, np.nan)
    strangers = ImpostorSums.zeros(n, n_groups(len(everybody)))
    if not group.within or group.people == "others":
        add_impostors(batch, gallery, np.full(n, np.nan, np.float32), strangers, None)
    if group.people == "same":
        at, _, score = genuine_pairs(batch, gallery)
        number = np.bincount(at, minlength=n)
        total = np.bincount(at, score.astype(np.float64), minlength=n).astype(np.float64)
        highest = np.full(n, -np.inf)
        lowest = np.full(n, np.inf)
        np.maximum.at(highest, at, score)
        np.minimum.at(lowest, at, score)
    else:
        number, total, highest = strangers.count, strangers.total, strangers.maximum.astype(np.float64)
    found = dict(zip(ready.tolist(), range(n), strict=True))
    moves = strangers.moves()
    out = []
    for row in probes.tolist():
        line: dict[str, Any] = {"group": group.name, "image_id": str(data.image_id[row]), "identity": str(data.identity[row]), "other": ""}
        i = found.get(row)
        if i is None:
            out.append({**line, "n_pairs": 0, "status": str(data.status[row]), "detail": str(data.detail[row])})
        elif number[i] == 0:
            reason = "no other usable image to compare it with" if group.within else "no usable reference to compare it with"
            out.append({**line, "n_pairs": 0, "status": status.NO_REFERENCE, "detail": reason})
        else:
            values: dict[str, Any] = {"similarity": float(total[i] / number[i]), "lowest": float(lowest[i]), "highest": float(highest[i])}
            if group.people == "same" and strangers.count[i] > 0:
                values |= {"impostor": float(strangers.total[i] / strangers.count[i]), "n_impostors": int(strangers.count[i])}
            if strangers.count[i] > 0:
                values["impostor_moves"] = f"{code[row]}: " + " ".join(f"{move:.6f}" for move in moves[i])
            out.append({**line, "n_pairs": int(number[i]), **values, "status": status.OK, "detail": ""})
    return out


def _listed_rows(group: Group, data: Embedded, place: str) -> list[dict[str, Any]]:
    where = {str(name): i for i, name in enumerate(data.image_id)}
    out = []
    for one, two in group.pairs:
        for name in (one, two):
            if name not in where:
                raise BadInput(f"{place}: '{name}' has no embedding{validation.did_you_mean(name, list(where))}")
        a, b = where[one], where[two]
        line: dict[str, Any] = {"group": group.name, "image_id": one, "identity": str(data.identity[a]), "other": two}
        bad = next((i for i in (a, b) if not data.ok[i]), None)
        if bad is not None:
            out.append({**line, "n_pairs": 0, "status": str(data.status[bad]), "detail": f"{data.image_id[bad]}: {data.detail[bad]}"})
        else:
            value = float(data.vectors[a].astype(np.float64) @ data.vectors[b].astype(np.float64))
            strange = {"impostor": value, "n_impostors": 1} if data.identity[a] != data.identity[b] else {}
            out.append(
                {**line, "n_pairs": 1, "similarity": value, "lowest": value, "highest": value, **strange, "status": status.OK, "detail": ""}
            )
    return out


def write_metrics(pairs: str | os.PathLike[str], embeddings: str | os.PathLike[str], out: str | os.PathLike[str]) -> Metrics:
    """Compare the embeddings of a folder as a pairs file says, write metrics.csv; returns rows per group and what a person should know.

    Raises :class:`BadInput` when no image of any group has a reference of its own person: then the persons are read wrongly.
    """
    from frontalbench.compare import paired
    from frontalbench.tabulate.write import csv_rows

    spec = read_spec(pairs)
    data = read_folder(embeddings, spec)
    rows = {group.name: group_rows(group, data, str(pairs)) for group in spec.groups}
    notes = _without_references(spec, data, rows)
    notes += paired.pair_rows(spec.groups, data, rows, str(pairs))
    lines = [row for group in spec.groups for row in rows[group.name]]
    atomic.write_text(out, csv_rows(METRICS, lines))
    return Metrics({name: len(found) for name, found in rows.items()}, notes)


@dataclass(frozen=True)
class Metrics:
    """What :func:`write_metrics` did: rows per group; ``notes``: one line each."""

    rows: Mapping[str, int]
    notes: Sequence[str]


def _without_references(spec: Spec, data: Embedded, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[str]:
    """A note for every group of one's own references in which no image found one; raises when that is all of them."""
    asked = [group for group in spec.groups if group.probe and group.people == "same"]
    lonely = []
    for group in asked:
        words = [row["status"] for row in rows[group.name]]
        if status.NO_REFERENCE in words and status.OK not in words:
            lonely.append(group)
    if not lonely:
        return []
    group = lonely[0]
    probe = next(row for row in rows[group.name] if row["status"] == status.NO_REFERENCE)
    reference = int(_chosen(data, group.reference, group.name)[0])
    line = (
        f"{spec.path}: group '{group.name}': no image found a reference of its own person: '{probe['image_id']}' is taken for person "
        f"'{probe['identity']}', the reference '{data.image_id[reference]}' for '{data.identity[reference]}'; say with 'identity:' where the person "
        "stands in the names (docs/folders.md)"
    )
    if len(lonely) == len(asked):
        raise BadInput(line)
    return [line, *(f"group '{other.name}': the same" for other in lonely[1:])]


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Rows of a metrics.csv. Raises :class:`BadInput` naming the line and column that is wrong."""
    try:
        rows: list[dict[str, Any]] = []
        for number, cells in sheet.read(path, METRICS, expected="the file that this version's compute_similarity.py writes"):
            line: dict[str, Any] = dict(cells)
            try:
                line["n_pairs"] = int(line["n_pairs"])
                for name in ("similarity", "lowest", "highest", "impostor"):
                    line[name] = float(line[name]) if line[name] else math.nan
                place, _, moves = line["impostor_moves"].partition(":")
                line["person"] = int(place) if place else -1
                line["impostor_moves"] = [float(move) for move in moves.split()]
            except (TypeError, ValueError):
                wanted = "n_pairs, similarity, lowest, highest, impostor, impostor_moves"
                raise BadInput(f"{path}: line {number}: expected numbers in {wanted}") from None
            rows.append(line)
        return rows
    except FileNotFoundError:
        raise BadInput(f"{path}: not found; compute_similarity.py writes it") from None


def report_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row per group: counts, failures, mean with 95 % interval over people, median, spread, extremes.

    In groups against other people's references people are left out on both sides; listed pairs of different people have no interval, since the list
    does not say what else the second one is compared with.
    """
    from frontalbench.compare import paired

    out = []
    for name in dict.fromkeys(row["group"] for row in rows):
        chosen = [row for row in rows if row["group"] == name]
        good = [row for row in chosen if row["status"] == status.OK]
        failed = sum(row["status"] in status.FAILURE_TO_ACQUIRE for row in chosen)
        values = np.array([row["similarity"] for row in good], dtype=np.float64)
        people = {row["identity"] for row in good}
        mean, low, high = paired.interval(values, good, **paired.sides_of(good))
        out.append(
            {
                "group": name,
                "n_images": len(good),
                "n_pairs": sum(row["n_pairs"] for row in good),
                "n_identities": len(people),
                "n_fta": failed,
                "fta_rate": failed / len(chosen),
                "n_no_reference": sum(row["status"] == status.NO_REFERENCE for row in chosen),
                "mean": mean,
                "ci_low": low,
                "ci_high": high,
                "median": float(np.median(values)) if len(values) else math.nan,
                "sd": float(values.std(ddof=1)) if len(values) > 1 else math.nan,
                "lowest": float(values.min()) if len(values) else math.nan,
                "highest": float(values.max()) if len(values) else math.nan,
            }
        )
    return out


def write_report(metrics: str | os.PathLike[str], out: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Summarize a metrics.csv into a report CSV; returns its rows, by image too (:func:`.paired.compare`)."""
    from frontalbench.compare import paired
    from frontalbench.tabulate.write import csv_rows

    rows = read_metrics(metrics)
    if not rows:
        raise BadInput(f"{metrics}: holds no rows; compute_similarity.py found nothing to compare")
    made = report_rows(rows)
    by_group = paired.compare(rows)
    for row in made:
        row |= by_group.get(row["group"], {})
    columns = (*REPORT, *REPORT_NUMBERS, *REPORT_PAIRED)
    atomic.write_text(out, csv_rows(columns, made))
    return made

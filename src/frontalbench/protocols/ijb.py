"""IJB-B and IJB-C: templates of images and video frames, compared one to one and searched one to many (Whitelam et al. 2017; Maze et al. 2018).

Read are the files in which both are passed on for evaluation::

    meta/ijbc_face_tid_mid.txt         image template medium        1.jpg 1 69544
    meta/ijbc_template_pair_label.txt  template template label        1 11065 1
    meta/ijbc_1N_gallery_G1.csv, G2    TEMPLATE_ID,SUBJECT_ID,...     (IJB-B: S1, S2)
    meta/ijbc_1N_probe_mixed.csv       TEMPLATE_ID,SUBJECT_ID,...
    loose_crop/1.jpg                   the images

A template's embedding: unit embeddings of the images, averaged within a medium (a video's frames are one medium), the media's means added up, made
unit length again. An image without a face is left out of its medium; a template without any is a failure to acquire and is counted.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from frontalbench.compare import listed, open_set
from frontalbench.compare.listed import ErrorRate, Listed
from frontalbench.compare.open_set import OpenSet
from frontalbench.compare.two_sets import Faces
from frontalbench.errors import BadInput
from frontalbench.files import sheet
from frontalbench.protocols.lists import read_lines
from frontalbench.types import Bool, Float, Float32, Int

GALLERIES: Mapping[str, tuple[str, str]] = MappingProxyType({"ijbb": ("S1", "S2"), "ijbc": ("G1", "G2")})
RANKS = (1, 5, 10)
_GET = "it is part of what NIST hands out on request; unpack the whole of it"
_CHUNK = 100_000


@dataclass(frozen=True)
class Templates:
    """Which images make which template: names (n,), and codes (n,) of template and medium (whole numbers as in the file)."""

    image: tuple[str, ...]
    template: Int
    medium: Int


@dataclass(frozen=True)
class Protocol:
    """What was read. ``pairs`` (m, 2) template numbers and ``same`` (m,); ``galleries`` and ``probes``: template number -> subject, the galleries by
    name (empty where the files are not there)."""

    root: Path
    templates: Templates
    pairs: Int
    same: Bool
    galleries: Mapping[str, Mapping[int, str]]
    probes: Mapping[int, str]


@dataclass(frozen=True)
class Pooled:
    """Template embeddings: numbers (t,) in ascending order, unit vectors float32 (t, D), and whether any image of it had a face (t,)."""

    template: Int
    vectors: Float32
    ok: Bool

    def places(self, wanted: Int) -> Int:
        """Where each wanted template stands; -1 where there is none of that number."""
        at = np.minimum(np.searchsorted(self.template, wanted), len(self.template) - 1)
        return np.where(self.template[at] == wanted, at, -1).astype(np.int64)


def read(root: str | os.PathLike[str], name: str) -> Protocol:
    """Read the lists of ``ijbb`` or ``ijbc`` below ``root`` (the folder that holds ``meta``, or the one above it).

    Raises :class:`BadInput` with file and line.
    """
    if name not in GALLERIES:
        raise BadInput(f"no protocol '{name}'; expected one of {', '.join(GALLERIES)}")
    folder = Path(root)
    places = [folder, folder / name.upper(), folder / name]
    base = next((place for place in places if (place / "meta").is_dir()), None)
    if base is None:
        raise BadInput(f"{folder / 'meta'}: not there (nor in {', '.join(str(place) for place in places[1:])}); {_GET}")
    meta = base / "meta"
    templates = _templates(meta / f"{name}_face_tid_mid.txt")
    pairs, same = _pairs(meta / f"{name}_template_pair_label.txt", set(np.unique(templates.template).tolist()))
    known = set(np.unique(templates.template).tolist())
    galleries = {}
    for gallery in GALLERIES[name]:
        file = meta / f"{name}_1N_gallery_{gallery}.csv"
        if file.is_file():
            galleries[gallery] = _subjects(file, known)
    file = meta / f"{name}_1N_probe_mixed.csv"
    probes = _subjects(file, known) if file.is_file() else {}
    return Protocol(base, templates, pairs, same, galleries, probes)


def _numbers(file: Path, number: int, words: Sequence[str], what: str) -> list[int]:
    if not all(word.isdecimal() for word in words):
        raise BadInput(f"{file}: line {number}: expected {what}, got '{' '.join(words)[:80]}'")
    return [int(word) for word in words]


def _templates(file: Path) -> Templates:
    names, template, medium = [], [], []
    for line in read_lines(file, _GET):
        words = line.text.split()
        if len(words) != 3 or ".." in words[0].split("/") or words[0].startswith("/"):
            raise BadInput(f"{file}: line {line.number}: expected 'image template medium', got '{line.text[:80]}'")
        a, b = _numbers(file, line.number, words[1:], "'image template medium' with two whole numbers")
        names.append(words[0])
        template.append(a)
        medium.append(b)
    if not names:
        raise BadInput(f"{file}: holds no templates; {_GET}")
    return Templates(tuple(names), np.array(template, np.int64), np.array(medium, np.int64))


def _pairs(file: Path, known: set[int]) -> tuple[Int, Bool]:
    pairs, same = [], []
    for line in read_lines(file, _GET):
        words = line.text.replace(",", " ").split()
        if len(words) != 3 or words[2] not in ("0", "1"):
            raise BadInput(f"{file}: line {line.number}: expected 'template template label' with label 0 or 1, got '{line.text[:80]}'")
        one, two = _numbers(file, line.number, words[:2], "two template numbers")
        for number in (one, two):
            if number not in known:
                raise BadInput(f"{file}: line {line.number}: template {number} has no images in {file.parent.name}'s list of templates")
        pairs.append((one, two))
        same.append(words[2] == "1")
    if not pairs:
        raise BadInput(f"{file}: holds no pairs; {_GET}")
    return np.array(pairs, np.int64), np.array(same, np.bool_)


def _subjects(file: Path, known: set[int]) -> dict[int, str]:
    """Template -> subject; a line per image, so templates repeat."""
    found: dict[int, str] = {}
    for line, row in sheet.read(file, ["template_id", "subject_id"], expected="TEMPLATE_ID and SUBJECT_ID"):
        subject = row["subject_id"]
        (number,) = _numbers(file, line, [row["template_id"]], "a template number in TEMPLATE_ID")
        if number not in known:
            raise BadInput(f"{file}: line {line}: template {number} has no images in the list of templates")
        if found.setdefault(number, subject) != subject:
            raise BadInput(f"{file}: line {line}: template {number} is given to subject {subject} and to {found[number]}")
    if not found:
        raise BadInput(f"{file}: holds no templates; {_GET}")
    return found


def pool(templates: Templates, vectors: Float32, ok: Bool, weight: Float | None = None) -> Pooled:
    """Template embeddings of images' unit embeddings ``vectors`` (n, D), in the order of the list; images that are not ``ok`` are left out.

    ``weight`` (n,): of an image within its medium and of a medium by the mean of its images' (quality, cos yaw); equal without it.
    """
    numbers, place = np.unique(templates.template, return_inverse=True)
    sums = np.zeros((len(numbers), vectors.shape[1]))
    used = np.flatnonzero(ok)
    if len(used):
        order = used[np.lexsort((templates.medium[used], templates.template[used]))]
        key = np.stack([place.reshape(-1)[order], templates.medium[order]], axis=1)
        first = np.flatnonzero(np.r_[True, (key[1:] != key[:-1]).any(axis=1)])
        number = np.diff(np.r_[first, len(order)]).astype(np.float64)
        share = np.ones(len(order)) if weight is None else np.asarray(weight, np.float64)[order]
        for start in range(0, vectors.shape[1], 64):  # bounds the float64 copy
            part = vectors[order, start : start + 64].astype(np.float64) * share[:, None]
            means = np.add.reduceat(part, first, axis=0) / number[:, None]
            np.add.at(sums[:, start : start + 64], key[first, 0], means)
    length = np.linalg.norm(sums, axis=1)
    there = length > 1e-12
    return Pooled(numbers, (sums / np.where(there, length, 1.0)[:, None]).astype(np.float32), there)


def pair_scores(protocol: Protocol, pooled: Pooled) -> Float:
    """(m,) similarity of every template pair, NaN where a template has no face."""
    score = np.full(len(protocol.pairs), np.nan)
    for start in range(0, len(score), _CHUNK):
        at = pooled.places(protocol.pairs[start : start + _CHUNK].reshape(-1)).reshape(-1, 2)
        usable = (at >= 0).all(axis=1) & pooled.ok[at].all(axis=1)
        value = np.einsum("ij,ij->i", pooled.vectors[at[:, 0]], pooled.vectors[at[:, 1]])
        score[start : start + _CHUNK] = np.where(usable, value, np.nan)
    return score


@dataclass(frozen=True)
class OneToOne:
    """Error rates over the template pairs, intervals over subjects; ``missing``: pairs without a score (a template without a face), of which
    ``missing_same`` show one person."""

    rates: list[ErrorRate]
    pairs: int
    subjects: int
    missing: int
    missing_same: int


def verify_templates(protocol: Protocol, pooled: Pooled, targets: Sequence[float], **options: Any) -> OneToOne:
    """The 1:1 protocol. Who is who comes from the 1:N lists, else from the pairs (what they call one person is one)."""
    score = pair_scores(protocol, pooled)
    there = np.isfinite(score)
    first, second, people = _people(protocol)
    pairs = Listed(score[there], protocol.same[there], first[there], second[there], people)
    rates = listed.error_rates(pairs, targets, **options)
    return OneToOne(rates, int(there.sum()), people, int((~there).sum()), int((~there & protocol.same).sum()))


def _people(protocol: Protocol) -> tuple[Int, Int, int]:
    subject: dict[int, str] = dict(protocol.probes)
    for gallery in protocol.galleries.values():
        subject |= gallery
    numbers = np.unique(protocol.pairs)
    if all(int(number) in subject for number in numbers):
        names = sorted({subject[int(number)] for number in numbers})
        code = {name: i for i, name in enumerate(names)}
        of = np.array([code[subject[int(number)]] for number in numbers], np.int64)
        sides = of[np.searchsorted(numbers, protocol.pairs)]
        wrong = np.flatnonzero((sides[:, 0] == sides[:, 1]) != protocol.same)
        if len(wrong):
            one, two = protocol.pairs[wrong[0]]
            raise BadInput(
                f"{protocol.root}: the label of templates {one} and {two} is not what their subjects say ({len(wrong)} such pairs)"
            )
        return sides[:, 0], sides[:, 1], len(names)
    words = [[str(number) for number in side] for side in protocol.pairs.T.tolist()]
    return listed.people_of(words[0], words[1], protocol.same.tolist(), str(protocol.root))


@dataclass(frozen=True)
class OneToMany:
    """What the 1:N protocol reports.

    ``closed``: rank -> share of probes whose subject is among so many best, over both galleries together, with intervals over subjects; ``open``:
    FNIR at FPIR per gallery (probes of subjects who are not in it are non-mated). ``missing``: probe templates without a face, counted as not found.
    """

    closed: Mapping[int, Any]
    open: Mapping[str, list[OpenSet]]
    probes: int
    missing: int


def search_templates(protocol: Protocol, pooled: Pooled, targets: Sequence[float] = open_set.FPIR_TARGETS) -> OneToMany:
    """The 1:N protocol. Raises :class:`BadInput` when its lists are not there."""
    from frontalbench.compare.jackknife import Estimate, rate_intervals

    if not protocol.galleries or not protocol.probes:
        raise BadInput(f"{protocol.root / 'meta'}: no lists of galleries and probes (..._1N_gallery_*.csv, ..._1N_probe_mixed.csv); {_GET}")
    names = sorted({*protocol.probes.values(), *(name for gallery in protocol.galleries.values() for name in gallery.values())})
    code = {name: i for i, name in enumerate(names)}
    probes, usable = _faces(protocol.probes, pooled, code)
    closed: dict[int, Any] = {}
    everybody: dict[int, str] = {}
    for gallery in protocol.galleries.values():
        everybody |= gallery
    references = _usable(*_faces(everybody, pooled, code))
    rank = np.where(usable, _ranks(references, probes, len(names)), 0)
    enrolled = np.isin(probes.person, [code[name] for name in everybody.values()])
    numbers = np.bincount(probes.person[enrolled], minlength=len(names)).astype(np.float64)[:, None]
    some = numbers[:, 0] > 0
    if not some.any():
        raise BadInput(f"{protocol.root / 'meta'}: no probe's subject is in a gallery; the lists are not of one protocol")
    for r in RANKS:
        hits = np.bincount(probes.person[(rank > 0) & (rank <= r)], minlength=len(names)).astype(np.float64)[:, None]
        low, high = rate_intervals(hits[some], numbers[some])
        closed[r] = Estimate(float(hits.sum() / numbers.sum()), float(low[0]), float(high[0]))
    found = {}
    for name, gallery in protocol.galleries.items():
        mine, good = _faces(gallery, pooled, code)
        chosen = np.zeros((1, len(names)), np.bool_)
        chosen[0, mine.person] = True
        found[name] = open_set.rates(open_set.search(_usable(mine, good), probes, chosen, usable), targets)
    return OneToMany(closed, found, len(probes), int((~usable).sum()))


def _faces(of: Mapping[int, str], pooled: Pooled, code: Mapping[str, int]) -> tuple[Faces, Bool]:
    """(all templates, which of them have a face)."""
    numbers = np.array(sorted(of), np.int64)
    at = pooled.places(numbers)
    usable = (at >= 0) & pooled.ok[at]
    person = np.array([code[of[int(number)]] for number in numbers], np.int64)
    return Faces(np.where(usable[:, None], pooled.vectors[at], np.float32(0.0)), person), usable


def _usable(faces: Faces, good: Bool) -> Faces:
    return Faces(faces.vectors[good], faces.person[good])


def _ranks(references: Faces, probes: Faces, people: int) -> Int:
    """(n,): the rank of each probe's own subject, ties against it; 0 where the subject has no usable template."""
    order = np.argsort(references.person, kind="stable")
    present, first = np.unique(references.person[order], return_index=True)
    place = np.full(people, -1, np.int64)
    place[present] = np.arange(len(present))
    rank = np.zeros(len(probes), np.int64)
    for start in range(0, len(probes), 2048):
        part = slice(start, start + 2048)
        each = np.maximum.reduceat(probes.vectors[part] @ references.vectors[order].T, first, axis=1)
        at = place[probes.person[part]]
        own = each[np.arange(len(each)), np.maximum(at, 0)]
        rank[part] = np.where(at >= 0, (each >= own[:, None] - 1e-6).sum(axis=1), 0)
    return rank

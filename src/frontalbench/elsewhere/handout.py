"""Photographs handed out to somebody who frontalizes them elsewhere, with the names that the results are to have."""

from __future__ import annotations

import csv
import os
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from frontalbench import status
from frontalbench.compare.derived import turned_references
from frontalbench.compare.metadata import read_metadata
from frontalbench.datasets import layouts, licence, listing
from frontalbench.datasets.card import DatasetCard
from frontalbench.datasets.members import AUTO, PROBE, Member, plural
from frontalbench.elsewhere.delivery import MAPPING, RESULTS, Photo, turned_photo
from frontalbench.errors import BadInput, Unreadable
from frontalbench.files import folderswap
from frontalbench.plain.export import safe_name
from frontalbench.plain.unpacking import write_rows

PROBES = "probes"
REFERENCES = "references"
README = "README.txt"
HEADER = ["photo", "image_id", "given", "file"]
"""Columns of the mapping: the photograph's name, its name in the tables, its copy that was handed out, and what its result is to be called."""


@dataclass(frozen=True)
class HandedOut:
    """``images``: copies written; ``undecided``: the roles were not known, so every photograph was written."""

    images: int
    undecided: bool


def hand_out(card: DatasetCard, out: Path, *, everything: bool = False, people: tuple[Path, Path] | None = None) -> HandedOut:
    """Write ``out/probes`` (copies, byte for byte), an empty ``out/results``, the mapping and a README.

    ``everything``: the references too, which protocols of listed pairs need. ``people``: tables of all images and of their measured pose, where the
    workflow has made them, for datasets whose roles the pose decides; without them every photograph of such a dataset is written. An earlier
    hand-out in ``out`` is replaced as long as nothing was put into it. Raises :class:`BadInput` otherwise, and when nothing is to be written.
    """
    members = [member for member in listing.scan(card).members if member.status == status.OK]
    roles = {member.image_id: member.role for member in members}
    if AUTO in roles.values() and people is not None and all(path.is_file() for path in people):
        meta = read_metadata([people[0]], [people[1]], card.roles)
        roles |= dict(zip(meta.image_id.tolist(), meta.role.tolist(), strict=True))
    chosen = [member for member in members if everything or roles[member.image_id] in (PROBE, AUTO)]
    undecided = not everything and any(roles[member.image_id] == AUTO for member in chosen)
    chosen = list({member.source: member for member in reversed(chosen)}.values())[::-1]
    if not chosen:
        raise BadInput(f"{card.root}: dataset {card.name} has no probe to hand out")
    frames = layouts.frames_of(card.layout)
    with folderswap.replacing(out, MAPPING, _listed) as folder:
        rows = []
        (folder / RESULTS).mkdir()
        for member, result in zip(chosen, results_of(chosen), strict=True):
            given = f"{PROBES}/{given_name(member.source)}"
            target = folder / given
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(member, target, frames)
            rows.append([member.source, member.image_id, given, f"{RESULTS}/{result}"])
        (folder / README).write_text(readme(card, rows), encoding="utf-8")
        write_rows(folder / MAPPING, HEADER, rows)
    return HandedOut(len(chosen), undecided)


def _copy(member: Member, target: Path, frames: layouts.Frames | None) -> None:
    """A photograph byte for byte, a frame of a clip as PNG (a damaged one as an empty file, so that none is missing)."""
    if member.frame < 0:
        shutil.copyfile(member.path, target)
        return
    assert frames is not None
    try:
        target.write_bytes(frames.image(member.path, member.frame))
    except Unreadable:
        target.write_bytes(b"")


def hand_out_references(card: DatasetCard, out: Path, people: tuple[Path, Path]) -> HandedOut:
    """Write the references that are to be turned to the probes' yaw: ``out/references``, an empty ``out/results``, the mapping with a line for each
    reference and angle, and a README.

    ``people``: tables of all images and of their measured pose, which the workflow makes. Raises :class:`BadInput` without them, where no probe is
    turned enough, and for an ``out`` that is somebody's.
    """
    if not all(path.is_file() for path in people):
        raise BadInput(
            f"{people[1]}: not there, and the measured pose says which angles the references are wanted at; run the workflow for this dataset first"
        )
    angles, names = turned_references(read_metadata([people[0]], [people[1]], card.roles), card.yaw_bins)
    members = {member.image_id: member for member in listing.scan(card).members}
    chosen = [members[name] for name in names if name in members]
    if not chosen or not angles:
        raise BadInput(f"{card.root}: dataset {card.name} has no reference to turn, or no probe that is turned enough to turn one for")
    frames = layouts.frames_of(card.layout)
    with folderswap.replacing(out, MAPPING, _listed) as folder:
        (folder / RESULTS).mkdir()
        rows = []
        for member in chosen:
            given = f"{REFERENCES}/{given_name(member.source)}"
            target = folder / given
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(member, target, frames)
            for yaw in angles:
                photo = turned_photo(Photo(member.image_id, member.source), yaw)
                result = f"{RESULTS}/{os.path.splitext(given_name(photo.source))[0]}.png"  # noqa: PTH122 - a name with slashes, no path
                rows.append([photo.source, photo.image_id, given, result, str(yaw)])
        (folder / README).write_text(readme_turned(card, len(chosen), rows), encoding="utf-8")
        write_rows(folder / MAPPING, [*HEADER, "yaw"], rows)
    return HandedOut(len(chosen), undecided=False)


def readme_turned(card: DatasetCard, references: int, rows: Sequence[Sequence[str]]) -> str:
    """What to do with a folder of references."""
    may = ""
    if licence.notice(card.data) == "research":
        may = "\nThese images, and what is made of them, must not be published or passed on.\n"
    return (
        f"{plural(references, 'photograph')} of the dataset '{card.name}' ({card.title}), each to be turned to some angles: {len(rows)} results.\n\n"
        f"1. {MAPPING} has a line for each: turn the face in the column 'given' to the 'yaw' (degrees; above 0: towards the left edge of the\n"
        "   image; looking straight otherwise: pitch and roll 0), the same person, nothing else changed.\n"
        f"2. The first:             {rows[0][2]}  to a yaw of {rows[0][4]}\n   under the name          {rows[0][3]}\n"
        "3. Where no result came out, leave it out; that reference is then not compared at that angle.\n"
        f"4. Send back {RESULTS}/ (and {MAPPING}) and say: which system, which version, when, with which settings.\n\n"
        f"Licence: {card.data['licence']['terms']}\n{may}"
    )


def given_name(source: str) -> str:
    """The name of a photograph's copy: its own, or a safe one where that is no plain relative path."""
    path = PurePosixPath(source)
    plain = not path.is_absolute() and all(part not in ("", ".", "..") and part.isprintable() for part in source.split("/"))
    return source if plain and "\\" not in source and ":" not in source else f"{safe_name(source)}{path.suffix.lower()}"


def results_of(members: Sequence[Member]) -> list[str]:
    """The names of the results, in order: the photograph's without its ending and ``.png``; with it where two photographs differ in nothing else."""
    given = [given_name(member.source) for member in members]
    several = Counter(os.path.splitext(name)[0] for name in given)  # noqa: PTH122 - a name with slashes, no path
    return [f"{stem if several[stem := os.path.splitext(name)[0]] == 1 else name}.png" for name in given]  # noqa: PTH122


def readme(card: DatasetCard, rows: Sequence[Sequence[str]]) -> str:
    """What to do with the folder, for somebody who knows nothing of this project."""
    may = ""
    if licence.notice(card.data) == "research":
        may = "\nThese images, and what is made of them, must not be published or passed on.\n"
    credit = licence.credit(card.data)
    return (
        f"{plural(len(rows), 'photograph')} of the dataset '{card.name}' ({card.title}), to be turned to the front.\n\n"
        f"1. Turn each face in {PROBES}/ to the front: the same person, looking into the camera, nothing else changed.\n"
        f"2. Put the result of      {rows[0][2]}\n   under the name          {rows[0][3]}\n"
        "   and so on: the same folders, the same name. Any ending will do (.png is best, .jpg, .webp, ...), any size.\n"
        f"   {MAPPING} lists them all, photograph by photograph. To use other names, write them into its column 'file'.\n"
        "3. Where no result came out, leave it out. It is counted as a failure: do not put the photograph in its place, do not pick\n"
        "   the best of several tries by hand (or say so in the notes).\n"
        f"4. Send back {RESULTS}/ (and {MAPPING} if you changed it) and say: which system, which version, when, with which settings.\n\n"
        f"Licence: {card.data['licence']['terms']}\n{f'{credit}{chr(10)}' if credit else ''}{may}"
    )


def _listed(index: Path) -> set[str]:
    try:
        with index.open(newline="", encoding="utf-8") as handle:
            return {README, *(row["given"] for row in csv.DictReader(handle))}
    except (KeyError, UnicodeDecodeError, csv.Error):
        return set()

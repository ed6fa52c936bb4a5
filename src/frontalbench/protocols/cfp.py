"""CFP: frontal-frontal and frontal-profile verification, 10 folds of 350 same and 350 different pairs each (Sengupta et al. 2016)."""

from __future__ import annotations

import os
from pathlib import Path

from frontalbench.errors import BadInput
from frontalbench.protocols.lists import Line, read_lines
from frontalbench.protocols.verification import Pair

KINDS = {"FF": ("F", "F"), "FP": ("F", "P")}
LISTS = {"F": "Pair_list_F.txt", "P": "Pair_list_P.txt"}
FOLDS = 10
EACH = 350
"""Pairs of each kind in every fold."""
SIZES = {"F": 5000, "P": 2000}
GET = "unpack the whole of cfp-dataset.zip anew"


def find_protocol(root: str | os.PathLike[str]) -> Path:
    """The folder ``Protocol`` of the dataset. Raises :class:`BadInput`."""
    folder = Path(root)
    places = (folder / "Protocol", folder / "cfp-dataset" / "Protocol", folder, folder.parent / "Protocol")
    for place in places:
        if (place / LISTS["F"]).is_file():
            return place
    looked = ", ".join(str(place) for place in places[1:])
    raise BadInput(f"{places[0] / LISTS['F']}: not there (nor in {looked}); unpack the whole of cfp-dataset.zip into {folder}")


def read_pairs(root: str | os.PathLike[str], kind: str) -> list[Pair]:
    """Pairs of protocol ``kind`` (``FF`` or ``FP``), images as ``001/frontal/01.jpg`` (the ``image_id`` of layout ``cfp``), folds from 0.

    ``root`` is the dataset's folder or its ``Protocol``. Raises :class:`BadInput` with file and line.
    """
    if kind not in KINDS:
        raise BadInput(f"CFP has no protocol '{kind}'; expected FF or FP")
    protocol = find_protocol(root)
    first, second = (_read_list(protocol / LISTS[side], SIZES[side]) for side in KINDS[kind])
    pairs = []
    fold_of: dict[str, int] = {}
    for fold in range(FOLDS):
        for same, name in ((True, "same.txt"), (False, "diff.txt")):
            file = protocol / "Split" / kind / f"{fold + 1:02d}" / name
            lines = read_lines(file, GET)
            if len(lines) != EACH:
                raise BadInput(f"{file}: {len(lines):,} pairs, expected {EACH}; the file is cut off or changed: {GET}")
            for line in lines:
                pair = _pair(file, line, first, second, same, fold)
                for image in pair[:2]:
                    person = _person(image)
                    if fold_of.setdefault(person, fold) != fold:
                        raise BadInput(
                            f"{file}: line {line.number}: person {person} belongs to fold {fold_of[person] + 1}, and folds have people of their "
                            f"own; {GET}"
                        )
                pairs.append(pair)
    return pairs


def _pair(file: Path, line: Line, first: dict[int, str], second: dict[int, str], same: bool, fold: int) -> Pair:
    words = line.text.split(",")
    if len(words) != 2 or not all(word.strip().isdecimal() for word in words):
        raise BadInput(f"{file}: line {line.number}: expected two numbers 'i,j', got '{line.text[:60]}'")
    i, j = int(words[0]), int(words[1])
    if i not in first or j not in second:
        raise BadInput(f"{file}: line {line.number}: no image {i if i not in first else j} in {LISTS['F']} or {LISTS['P']}")
    if (_person(first[i]) == _person(second[j])) != same:
        what = "two people" if same else "one person"
        raise BadInput(f"{file}: line {line.number}: {first[i]} and {second[j]} show {what}, which does not belong in {file.name}; {GET}")
    return Pair(first[i], second[j], same, fold)


def _person(image: str) -> str:
    return image.split("/")[0]


def _read_list(file: Path, size: int) -> dict[int, str]:
    """Number -> image_id from lines ``1 ../Data/Images/001/frontal/01.jpg``."""
    result: dict[int, str] = {}
    for line in read_lines(file, GET):
        words = line.text.split()
        parts = words[1].split("/")[-3:] if len(words) == 2 else []
        if len(parts) != 3 or not words[0].isdecimal() or ".." in parts:
            raise BadInput(f"{file}: line {line.number}: expected '1 ../Data/Images/001/frontal/01.jpg', got '{line.text[:80]}'")
        number = int(words[0])
        if number in result:
            raise BadInput(f"{file}: line {line.number}: number {number} was already given for {result[number]}; {GET}")
        result[number] = "/".join(parts)
    if len(result) != size:
        raise BadInput(f"{file}: {len(result):,} images, expected {size:,}; the file is cut off or changed: {GET}")
    return result

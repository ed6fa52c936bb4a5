"""Lists of labelled pairs: those of CPLFW and CALFW, and the plain ones that come with unpacked packs (AgeDB-30, CFP-FP).

* CPLFW and CALFW: ``pairs_CPLFW.txt``, two lines per pair, ``image label``, the label (1: one person) the same on both.
* Plain: one line per pair, ``image image label``.

Neither says folds; :func:`~frontalbench.protocols.packs.tenths` makes ten.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np

from frontalbench.errors import BadInput
from frontalbench.protocols.lists import Line, read_lines
from frontalbench.protocols.packs import tenths
from frontalbench.protocols.verification import Pair

NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "cplfw": ("pairs_CPLFW.txt",),
        "calfw": ("pairs_CALFW.txt",),
        "agedb-30": ("agedb_30_pair.txt", "agedb_30_pairs.txt", "pairs.txt"),
        "list": ("pairs.txt",),
    }
)
"""Protocol -> names of its list."""
GET: Mapping[str, str] = MappingProxyType(
    {
        "cplfw": "it comes with the dataset (http://www.whdeng.cn/CPLFW/)",
        "calfw": "it comes with the dataset (http://www.whdeng.cn/CALFW/)",
        "agedb-30": "make it of agedb_30.bin with unpack_pairs.py",
        "list": "expected lines 'image image 1'",
    }
)


def find_list(root: str | os.PathLike[str], protocol: str) -> Path:
    """The list of ``protocol`` in the dataset's folder or beside it; ``root`` may be the list itself. Raises :class:`BadInput`."""
    folder = Path(root)
    if folder.is_file():
        return folder
    places = [place / name for place in (folder, folder.parent) for name in NAMES[protocol]]
    for place in places:
        if place.is_file():
            return place
    looked = ", ".join(str(place) for place in places[1:])
    raise BadInput(f"{places[0]}: not there (nor {looked}); {GET[protocol]}")


def read_pairs(path: str | os.PathLike[str], get: str = GET["list"]) -> list[Pair]:
    """The pairs of either form, told apart by their first line; images are named as in the list.

    Raises :class:`BadInput` with file and line.
    """
    file = Path(path)
    lines = read_lines(file, get)
    if not lines:
        raise BadInput(f"{file}: holds no pairs; {get}")
    words = len(lines[0].text.split())
    found = _two_lines(file, lines) if words == 2 else _one_line(file, lines)
    fold = tenths(np.array([same for _, _, same in found], np.bool_))
    return [Pair(first, second, same, int(k)) for (first, second, same), k in zip(found, fold, strict=True)]


def _label(file: Path, line: Line, word: str) -> bool:
    if word not in ("0", "1", "-1"):
        raise BadInput(f"{file}: line {line.number}: expected 1 (one person) or 0 at its end, got '{word[:40]}'")
    return word == "1"


def _two_lines(file: Path, lines: list[Line]) -> list[tuple[str, str, bool]]:
    if len(lines) % 2:
        raise BadInput(f"{file}: {len(lines):,} lines; expected two for each pair, so it is cut off or changed")
    found = []
    for one, two in zip(lines[::2], lines[1::2], strict=True):
        parts = []
        for line in (one, two):
            words = line.text.split()
            if len(words) != 2:
                raise BadInput(f"{file}: line {line.number}: expected 'image label', got '{line.text[:80]}'")
            parts.append((words[0], _label(file, line, words[1])))
        if parts[0][1] != parts[1][1]:
            raise BadInput(f"{file}: lines {one.number} and {two.number}: the labels of one pair differ; a line is missing above")
        found.append((parts[0][0], parts[1][0], parts[0][1]))
    return found


def _one_line(file: Path, lines: list[Line]) -> list[tuple[str, str, bool]]:
    found = []
    for line in lines:
        words = line.text.replace(",", " ").split()
        if len(words) != 3:
            raise BadInput(f"{file}: line {line.number}: expected 'image image label', got '{line.text[:80]}'")
        found.append((words[0], words[1], _label(file, line, words[2])))
    return found

"""LFW, image-restricted protocol with outside data: 6,000 pairs in 10 folds (``pairs.txt``), threshold from the other nine folds (Huang et
al. 2007)."""

from __future__ import annotations

import os
from pathlib import Path

from frontalbench.errors import BadInput
from frontalbench.protocols.lists import Line, read_lines
from frontalbench.protocols.verification import Pair

NAMES = {"lfw": "pairs.txt", "xqlfw": "xqlfw_pairs.txt"}
GET = {
    "lfw": "https://umass-vis-lfw.github.io/",
    "xqlfw": "https://github.com/Martlgap/xqlfw/releases/download/1.0/xqlfw_pairs.txt",
}
VERSIONS = ("lfw", "xqlfw", "images")
"""How the folders begin in which copies of the dataset keep the images, and some the list."""


def find_pairs(root: str | os.PathLike[str], protocol: str = "lfw") -> Path:
    """``pairs.txt`` (XQLFW: ``xqlfw_pairs.txt``) in the dataset's folder, in the folder of a version inside it (``lfw_funneled``), or beside it;
    ``root`` may be the list itself. Raises :class:`BadInput` that says where it was looked for and where it comes from."""
    folder, name = Path(root), NAMES[protocol]
    if folder.is_file():
        return folder
    inside = sorted(path for path in folder.iterdir() if path.name.startswith(VERSIONS) and path.is_dir()) if folder.is_dir() else []
    places = [folder, *inside, folder.parent]
    for place in places:
        if (place / name).is_file():
            return place / name
    looked = ", ".join(str(place) for place in places[1:])
    raise BadInput(f"{folder / name}: not there (nor in {looked}); fetch it from {GET[protocol]} into this folder")


def read_pairs(path: str | os.PathLike[str]) -> list[Pair]:
    """The pairs of a file in LFW's format, images as ``Name/Name_0001.jpg`` (the ``image_id`` of layout ``lfw``), folds from 0.

    Line 1: folds and pairs per kind (``10 300``; files of one fold, like pairsDevTest.txt, give one number). Then per fold that many lines
    ``name i j`` and as many ``name1 i name2 j``, tab-separated. Empty lines, blanks at the ends of lines and a byte order mark do not matter.
    Raises :class:`BadInput` with file and line.
    """
    file = Path(path)
    lines = read_lines(file, "fetch it from https://umass-vis-lfw.github.io/")
    first = lines[0] if lines else Line(1, "")
    header = first.text.split()
    if not 1 <= len(header) <= 2 or not all(word.isdecimal() for word in header):
        raise BadInput(
            f"{file}: line {first.number}: expected the number of folds and of pairs per kind (like '10 300'), got '{' '.join(header)[:60]}'"
        )
    folds, each = (1, int(header[0])) if len(header) == 1 else (int(header[0]), int(header[1]))
    body = lines[1:]
    if len(body) != folds * each * 2:
        raise BadInput(f"{file}: {len(body):,} pairs, line 1 announces {folds * each * 2:,}; the file is cut off or changed")
    return [_pair(file, line, (place // each) % 2 == 0, place // (2 * each)) for place, line in enumerate(body)]


def _pair(file: Path, line: Line, same: bool, fold: int) -> Pair:
    words = [word.strip() for word in (line.text.split("\t") if "\t" in line.text else line.text.split())]
    if same and len(words) == 3 and words[1].isdecimal() and words[2].isdecimal():
        return Pair(image_id(words[0], int(words[1])), image_id(words[0], int(words[2])), True, fold)
    if not same and len(words) == 4 and words[1].isdecimal() and words[3].isdecimal():
        return Pair(image_id(words[0], int(words[1])), image_id(words[2], int(words[3])), False, fold)
    wanted = "name i j" if same else "name1 i name2 j"
    raise BadInput(f"{file}: line {line.number}: expected '{wanted}', got '{line.text[:80]}'")


def image_id(name: str, number: int) -> str:
    """``George_W_Bush/George_W_Bush_0010.jpg``."""
    return f"{name}/{name}_{number:04d}.jpg"

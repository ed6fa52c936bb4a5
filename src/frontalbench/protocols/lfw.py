"""LFW, image-restricted protocol with outside data: 6,000 pairs in 10 folds (``pairs.txt``), threshold from the other nine folds (Huang et
al. 2007)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from frontalbench.errors import BadInput
from frontalbench.protocols.verification import Pair


def find_pairs(root: str | os.PathLike[str]) -> Path:
    """``pairs.txt`` in the dataset's folder or beside it. Raises :class:`BadInput` that says where it comes from."""
    folder = Path(root)
    for place in (folder, folder / "lfw", folder.parent):
        if (place / "pairs.txt").is_file():
            return place / "pairs.txt"
    raise BadInput(f"{folder}/pairs.txt: not there; fetch it from https://umass-vis-lfw.github.io/ into this folder")


def read_pairs(path: str | os.PathLike[str]) -> list[Pair]:
    """The pairs of a file in LFW's format, images as ``Name/Name_0001.jpg`` (the ``image_id`` of layout ``lfw``), folds from 0.

    Line 1: folds and pairs per kind (``10 300``; files of one fold, like pairsDevTest.txt, give one number). Then per fold that many lines
    ``name i j`` and as many ``name1 i name2 j``, tab-separated. Raises :class:`BadInput` with file and line.
    """
    file = Path(path)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise BadInput(f"{file}: not there; fetch it from https://umass-vis-lfw.github.io/") from None
    except UnicodeDecodeError:
        raise BadInput(f"{file}: not UTF-8 text; fetch it anew") from None
    header = lines[0].split() if lines else []
    if not 1 <= len(header) <= 2 or not all(word.isdecimal() for word in header):
        raise BadInput(f"{file}: line 1: expected the number of folds and of pairs per kind (like '10 300'), got '{' '.join(header)[:60]}'")
    folds, each = (1, int(header[0])) if len(header) == 1 else (int(header[0]), int(header[1]))
    body = [line for line in lines[1:] if line.strip()]
    if len(body) != folds * each * 2:
        raise BadInput(f"{file}: {len(body):,} pairs, line 1 announces {folds * each * 2:,}; the file is cut off or changed")
    return [_pair(file, number, line, (number // each) % 2 == 0, number // (2 * each)) for number, line in enumerate(body)]


def _pair(file: Path, number: int, line: str, same: bool, fold: int) -> Pair:
    words = line.split("\t") if "\t" in line else line.split()
    if same and len(words) == 3 and words[1].isdecimal() and words[2].isdecimal():
        return Pair(image_id(words[0], int(words[1])), image_id(words[0], int(words[2])), True, fold)
    if not same and len(words) == 4 and words[1].isdecimal() and words[3].isdecimal():
        return Pair(image_id(words[0], int(words[1])), image_id(words[2], int(words[3])), False, fold)
    wanted = "name i j" if same else "name1 i name2 j"
    raise BadInput(f"{file}: line {number + 2}: expected '{wanted}', got '{line.strip()[:80]}'")


def image_id(name: str, number: int) -> str:
    """``George_W_Bush/George_W_Bush_0010.jpg``."""
    return f"{name}/{name}_{number:04d}.jpg"


def present(pairs: Iterable[Pair], image_ids: Iterable[str]) -> tuple[list[Pair], list[str]]:
    """(pairs whose two images are there, names of images that are not, sorted)."""
    known = set(image_ids)
    kept, absent = [], set()
    for pair in pairs:
        lacking = {pair.first, pair.second} - known
        if lacking:
            absent |= lacking
        else:
            kept.append(pair)
    return kept, sorted(absent)

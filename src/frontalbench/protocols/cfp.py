"""CFP: frontal-frontal and frontal-profile verification, 10 folds of 350 same and 350 different pairs each (Sengupta et al. 2016)."""

from __future__ import annotations

import os
from pathlib import Path

from frontalbench.errors import BadInput
from frontalbench.protocols.verification import Pair

KINDS = {"FF": ("F", "F"), "FP": ("F", "P")}
LISTS = {"F": "Pair_list_F.txt", "P": "Pair_list_P.txt"}
FOLDS = 10


def find_protocol(root: str | os.PathLike[str]) -> Path:
    """The folder ``Protocol`` of the dataset. Raises :class:`BadInput`."""
    folder = Path(root)
    for place in (folder / "Protocol", folder / "cfp-dataset" / "Protocol", folder):
        if (place / LISTS["F"]).is_file():
            return place
    raise BadInput(f"{folder}/Protocol/{LISTS['F']}: not there; unpack the whole of cfp-dataset.zip into this folder")


def read_pairs(root: str | os.PathLike[str], kind: str) -> list[Pair]:
    """Pairs of protocol ``kind`` (``FF`` or ``FP``), images as ``001/frontal/01.jpg`` (the ``image_id`` of layout ``cfp``), folds from 0.

    ``root`` is the dataset's folder or its ``Protocol``. Raises :class:`BadInput` with file and line.
    """
    if kind not in KINDS:
        raise BadInput(f"CFP has no protocol '{kind}'; expected FF or FP")
    protocol = find_protocol(root)
    first, second = (_read_list(protocol / LISTS[side]) for side in KINDS[kind])
    pairs = []
    for fold in range(FOLDS):
        for same, name in ((True, "same.txt"), (False, "diff.txt")):
            file = protocol / "Split" / kind / f"{fold + 1:02d}" / name
            for line, text in enumerate(_lines(file), start=1):
                words = text.split(",")
                if len(words) != 2 or not all(word.strip().isdecimal() for word in words):
                    raise BadInput(f"{file}: line {line}: expected two numbers 'i,j', got '{text[:60]}'")
                i, j = int(words[0]), int(words[1])
                if i not in first or j not in second:
                    raise BadInput(f"{file}: line {line}: no image {i if i not in first else j} in {LISTS['F']} or {LISTS['P']}")
                pairs.append(Pair(first[i], second[j], same, fold))
    return pairs


def _read_list(file: Path) -> dict[int, str]:
    """Number -> image_id from lines ``1 ../Data/Images/001/frontal/01.jpg``."""
    result = {}
    for line, text in enumerate(_lines(file), start=1):
        words = text.split()
        parts = words[1].split("/")[-3:] if len(words) == 2 else []
        if len(parts) != 3 or not words[0].isdecimal() or ".." in parts:
            raise BadInput(f"{file}: line {line}: expected '1 ../Data/Images/001/frontal/01.jpg', got '{text[:80]}'")
        result[int(words[0])] = "/".join(parts)
    return result


def _lines(file: Path) -> list[str]:
    try:
        return [line for line in file.read_text(encoding="ascii").splitlines() if line.strip()]
    except FileNotFoundError:
        raise BadInput(f"{file}: not there; unpack the whole of cfp-dataset.zip") from None
    except UnicodeDecodeError:
        raise BadInput(f"{file}: not plain text; unpack it anew") from None

"""Images that are one photograph, found by their pixels: stored anew, scaled or aligned a little otherwise, their bytes differ.

Each image becomes a small grey one without its coarse light and dark (which studio images of different people share); two images are
near-identical when these correlate by at least :data:`ALIKE`. Measured on 68 people of the Face Research Lab London Set, 100 of CFP and 30 of LFW:
the largest correlation between two people is .83, .68 and .73; an image stored anew as JPEG of quality 40 at 0.4 of its size keeps at least .91
(of quality 30 at full size: .98). An image turned by two degrees falls to about .7 and is not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from frontalbench import images
from frontalbench.errors import Unreadable
from frontalbench.types import Float32, Int

SIDE = 48
COARSE = 3.0
"""Standard deviation in pixels of the small image beyond which light and dark do not count."""
ALIKE = 0.9
MOST = 40_000
"""More images than this are not compared (the work grows with the square)."""
_BLOCK = 1024


@dataclass(frozen=True)
class Near:
    """Two near-identical images by their places in the list (first < second), and their correlation."""

    first: int
    second: int
    correlation: float


@dataclass(frozen=True)
class Found:
    """``across``: pairs with two people's names, in order of their places, at most :data:`MOST_PAIRS`; ``apart``: how many there are in all;
    ``within``: how many pairs show one person; ``frames``: how many more are of one sequence, where neighbours are expected to be alike."""

    across: tuple[Near, ...]
    apart: int
    within: int
    frames: int = 0


MOST_PAIRS = 10_000


def signature(data: bytes) -> Float32:
    """Unit vector ``(SIDE * SIDE,)`` of an encoded image; zeros for one without any detail. Raises :class:`Unreadable`."""
    grey = cv2.cvtColor(images.decode(data, max_side=256), cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    fine = (small - cv2.GaussianBlur(small, (0, 0), COARSE)).ravel()
    fine -= fine.mean()
    length = float(np.linalg.norm(fine))
    flat = length < SIDE  # on average one grey level
    return np.zeros_like(fine) if flat else np.asarray(fine / length, np.float32)


def signature_or_reason(data: bytes) -> Float32 | str:
    """:func:`signature`, or why the image cannot be decoded."""
    try:
        return signature(data)
    except Unreadable as error:
        return str(error)


def pairs(signatures: Float32, people: Sequence[str], sequences: Sequence[str] = (), alike: float = ALIKE) -> Found:
    """The near-identical pairs among ``signatures (N, SIDE * SIDE)``; ``people`` says who is on each image, ``sequences`` of which recording it
    is a frame (empty: of none)."""
    who, recording = _numbered(people), _numbered(sequences or [""] * len(people))
    alone = np.array([not name for name in sequences or [""] * len(people)], np.bool_)
    across: list[Near] = []
    apart = within = frames = 0
    for start in range(0, len(signatures), _BLOCK):
        block = signatures[start : start + _BLOCK]
        correlation = block @ signatures[start:].T
        rows, columns = np.nonzero(np.triu(correlation >= alike, 1))
        other = who[start + rows] != who[start + columns]
        neighbours = ~other & (recording[start + rows] == recording[start + columns]) & ~alone[start + rows]
        frames += int(neighbours.sum())
        within += int((~other & ~neighbours).sum())
        apart += int(other.sum())
        for row, column in zip(rows[other][: MOST_PAIRS - len(across)], columns[other], strict=False):
            across.append(Near(start + int(row), start + int(column), float(correlation[row, column])))
    return Found(tuple(across), apart, within, frames)


def _numbered(names: Sequence[str]) -> Int:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], np.int64)

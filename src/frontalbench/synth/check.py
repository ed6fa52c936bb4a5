"""What the instruments say about a finished image set: how far identity holds while a head turns, and how distinct its people are."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frontalbench import images
from frontalbench.errors import BadInput
from frontalbench.synth.image_set import COLUMNS
from frontalbench.synth.people import Instruments
from frontalbench.types import Float32


@dataclass(frozen=True)
class Line:
    """The images of one step, ``lost`` of them without a face; NaN where all are.

    ``yaw``: mean and standard deviation in degrees; per backbone the mean similarity to the frontal image of the same person (``genuine``) and
    the share of images whose person is the nearest of all frontal images (``rank1``).
    """

    step: str
    count: int
    lost: int
    yaw: tuple[float, float]
    genuine: tuple[float, ...]
    rank1: tuple[float, ...]


@dataclass(frozen=True)
class Check:
    """``impostor``: per backbone mean and largest similarity of the frontal images of two people."""

    lines: tuple[Line, ...]
    impostor: tuple[tuple[float, float], ...]


def read_index(folder: str | os.PathLike[str]) -> list[dict[str, str]]:
    """The rows of a set's ``index.csv``. Raises :class:`BadInput`."""
    path = Path(folder) / "index.csv"
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"{path}: not a readable index ({error}); expected the index.csv of a synthetic image set") from error
    if not rows or any(column not in rows[0] for column in COLUMNS):
        raise BadInput(f"{path}: expected the columns {', '.join(COLUMNS)}")
    return rows


def check(folder: str | os.PathLike[str], instruments: Instruments) -> Check:
    """Measure every image of a set anew. Raises :class:`BadInput` for a broken index or a frontal image without a face."""
    root = Path(folder)
    found: dict[tuple[str, str], tuple[float, tuple[Float32, ...]] | None] = {}
    for row in read_index(root):
        measured = instruments.measure(images.decode((root / row["image"]).read_bytes()))
        found[row["identity"], row["nominal_step"]] = None if measured is None else (measured.pose[0], measured.embeddings)
    people = sorted({identity for identity, _ in found})
    frontal = [found.get((identity, "0")) for identity in people]
    for identity, view in zip(people, frontal, strict=True):
        if view is None:
            raise BadInput(f"{root}: no face in the frontal image of {identity}")
    gallery = [np.stack([view[1][k] for view in frontal if view is not None]) for k in range(len(instruments.backbones))]
    steps = sorted({step for _, step in found}, key=lambda step: (step == "b", float(step) if step != "b" else 0.0))
    return Check(tuple(_line(step, [found.get((who, step)) for who in people], gallery) for step in steps), tuple(map(_impostor, gallery)))


def _line(step: str, views: Sequence[tuple[float, tuple[Float32, ...]] | None], gallery: Sequence[Float32]) -> Line:
    kept = [(place, view) for place, view in enumerate(views) if view is not None]
    if not kept:
        nothing = (float("nan"),) * len(gallery)
        return Line(step, 0, len(views), (float("nan"), float("nan")), nothing, nothing)
    places = np.array([place for place, _ in kept])
    yaws = np.array([view[0] for _, view in kept])
    genuine, rank1 = [], []
    for k, frontal in enumerate(gallery):
        scores = np.stack([view[1][k] for _, view in kept]) @ frontal.T
        genuine.append(float(scores[np.arange(len(places)), places].mean()))
        rank1.append(float((scores.argmax(axis=1) == places).mean()))
    return Line(step, len(kept), len(views) - len(kept), (float(yaws.mean()), float(yaws.std())), tuple(genuine), tuple(rank1))


def _impostor(frontal: Float32) -> tuple[float, float]:
    scores = (frontal @ frontal.T)[np.triu_indices(len(frontal), 1)]
    return (float(scores.mean()), float(scores.max())) if len(scores) else (0.0, 0.0)


def as_markdown(result: Check, backbones: Sequence[str]) -> str:
    """A table for people."""
    names = [f"{what} {name}" for name in backbones for what in ("genuine", "rank-1")]
    rows = [["step", "images", "no face", "measured yaw", *names]]
    for line in result.lines:
        if not line.count:
            rows.append([line.step, "0", str(line.lost), *["-"] * (1 + len(names))])
            continue
        scores = [f"{value:.2f}" for pair in zip(line.genuine, line.rank1, strict=True) for value in pair]
        rows.append([line.step, str(line.count), str(line.lost), f"{line.yaw[0]:+.1f} +- {line.yaw[1]:.1f}", *scores])
    text = [f"| {' | '.join(row)} |" for row in rows]
    text.insert(1, "|" + "---|" * len(rows[0]))
    for name, (mean, largest) in zip(backbones, result.impostor, strict=True):
        text.append(f"\nTwo people's frontal images, {name}: mean {mean:.2f}, largest {largest:.2f}.")
    return "\n".join(text) + "\n"

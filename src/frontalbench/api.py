"""Two images, one question: the same person? For scripts and notebooks; :mod:`frontalbench` gives :func:`verify` under its own name.

A threshold belongs to a detector, a backbone and the kind of images it was measured on. None is built in: it comes from the tables of a run
(``results/master``), which also say how often strangers pass it, or from the caller.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frontalbench import status, tables
from frontalbench.catalogue import cards
from frontalbench.compare.rates import FMR_TARGETS
from frontalbench.detect import DEFAULT_POLICY, load_detector
from frontalbench.detect.stream import detect_and_align
from frontalbench.embed import load_backbone
from frontalbench.embed.base import normalise, points_in_crop
from frontalbench.errors import BadInput
from frontalbench.plan.variant import ORIGINAL
from frontalbench.types import Float32

Image = str | os.PathLike[str] | bytes
"""A file, or the bytes of one."""


@dataclass(frozen=True)
class Point:
    """A threshold with what is known of it.

    ``fmr``: its false match rate, ``fnmr``: its false non-match rate, None where they are not known. ``own`` and ``strangers``: mean similarity of
    two photographs of one person and of two people where the threshold was measured, so that a number has a scale. ``basis``: where all this comes
    from, in words.
    """

    threshold: float | None
    fmr: float | None
    fnmr: float | None
    own: float | None
    strangers: float | None
    basis: str


@dataclass(frozen=True)
class Verification(Point):
    """What :func:`verify` found: a :class:`Point`, and ``similarity``: cosine, -1 .. 1. ``same``: at or above ``threshold``; None where none is
    known."""

    similarity: float
    same: bool | None


class Verifier:
    """A detector and a backbone, loaded once, for many images. Raises what loading raises (:class:`~frontalbench.errors.WeightsMissing`)."""

    def __init__(
        self,
        detector: str = "scrfd_500m",
        backbone: str = "w600k_mbf",
        *,
        policy: str = DEFAULT_POLICY,
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        self.names = detector, backbone
        self._policy = policy
        self._detector = load_detector(cards.find("detector", detector), device=device)
        self._backbone = load_backbone(cards.find("backbone", backbone), threads=threads, device=device)

    def embed(self, image: Image) -> Float32:
        """The embedding (D,), of length 1, of the face in an image (of several faces the one that ``policy`` chooses).

        Raises :class:`~frontalbench.errors.BadInput` when the image cannot be read or shows no face.
        """
        name = "image" if isinstance(image, bytes) else os.fspath(image)
        try:
            data = image if isinstance(image, bytes) else Path(image).read_bytes()
        except OSError as error:
            raise BadInput(f"{name}: {error.strerror or 'cannot be read'}") from None
        found = detect_and_align(name, data, self._detector, self._policy)
        if found.status != status.OK or found.crop is None:
            raise BadInput(f"{name}: {found.detail or found.status}; give an image in which one face is large and lit")
        points = None if found.points is None else points_in_crop(found.points)[None]
        vectors, norms = normalise(self._backbone.embed(found.crop[None], points))
        if not np.isfinite(norms[0]) or norms[0] == 0:
            raise BadInput(f"{name}: {self.names[1]} gave no usable embedding")
        one: Float32 = vectors[0]
        return one

    def similarity(self, first: Image, second: Image) -> float:
        """Cosine similarity of the faces in two images."""
        return float(self.embed(first) @ self.embed(second))


_verifier = functools.lru_cache(maxsize=2)(Verifier)


def verify(
    first: Image,
    second: Image,
    *,
    detector: str = "scrfd_500m",
    backbone: str = "w600k_mbf",
    threshold: float | None = None,
    fmr: float = 1e-3,
    master: str | os.PathLike[str] = "results/master",
    dataset: str = "",
    threads: int = 1,
    device: str = "cpu",
) -> Verification:
    """Compare the faces in two images and say whether they are one person.

    ``threshold``: yours; without it the one that kept the false match rate at ``fmr`` (0.1, 0.01, ...) on ``dataset`` in the tables of ``master``
    (the folder of a run, or the one that holds a single run), of several datasets the highest. Where nothing was measured for this detector and
    backbone, ``same`` is None and ``basis`` says what to do.
    Raises :class:`~frontalbench.errors.BadInput` for an image without a face, an unknown ``fmr`` or ``dataset``, and a damaged table.
    """
    point = Point(threshold, None, None, None, None, "the threshold that was given") if threshold is not None else None
    point = point or find_threshold(master, detector, backbone, fmr, dataset)
    similarity = _verifier(detector, backbone, threads=threads, device=device).similarity(first, second)
    same = None if point.threshold is None else similarity >= point.threshold
    return Verification(**vars(point), similarity=similarity, same=same)


def find_threshold(master: str | os.PathLike[str], detector: str, backbone: str, fmr: float, dataset: str = "") -> Point:
    """The threshold of a judge for unchanged photographs at a false match rate, from the tables of a run. As :func:`verify` says."""
    from frontalbench.tabulate import run_folder
    from frontalbench.tabulate.columns import schema

    if not any(np.isclose(fmr, target, rtol=1e-6) for target in FMR_TARGETS):
        raise BadInput(f"fmr {fmr:g}: not measured; use one of {', '.join(f'{target:g}' for target in FMR_TARGETS)}")
    judge = f"{detector} + {backbone}"
    unknown = f"no threshold is known for {judge}: give one, or run the benchmark on your kind of images (looked in {master})"
    if Path(master).is_dir():
        try:
            master = run_folder(master)
        except BadInput as several:
            return Point(None, None, None, None, None, f"which run's threshold? {several}")
    path = Path(master, "error_rates.parquet")
    if not path.is_file():
        return Point(None, None, None, None, None, unknown)
    rows = [row for row in tables.read(path, schema("error_rates")).to_pylist() if row["variant"] == ORIGINAL]
    if dataset and dataset not in {row["dataset"] for row in rows}:
        raise BadInput(f"{path}: no dataset '{dataset}'; it has: {', '.join(sorted({row['dataset'] for row in rows})) or 'none'}")
    measured = [row for row in rows if (row["detector"], row["backbone"]) == (detector, backbone) and dataset in ("", row["dataset"])]
    at = [row for row in measured if row["supported"] and np.isclose(row["fmr_target"], fmr, rtol=1e-6)]
    if not at:
        if measured:
            usable = sorted({row["fmr_target"] for row in measured if row["supported"]}, reverse=True)
            unknown = f"FMR {fmr:g} is not supported by the number of pairs in {master}; supported: " + (
                ", ".join(f"{target:g}" for target in usable) or "none"
            )
        return Point(None, None, None, None, None, unknown)
    row = max(at, key=lambda one: (one["threshold"], one["dataset"]))
    about = f"{row['dataset']} in {master}" + (", whose people do not exist: not for decisions about real ones" if row["synthetic"] else "")
    own, strangers = _means(Path(master), row)
    return Point(row["threshold"], row["fmr"], row["fnmr"], own, strangers, f"measured with {judge} on {about}")


def _means(master: Path, judged: dict[str, Any]) -> tuple[float | None, float | None]:
    """Mean similarity of (one person, two people) over the photographs of a judge."""
    from frontalbench.tabulate.columns import schema

    keys: Sequence[str] = ("dataset", "variant", "detector", "backbone")
    found = {
        row["group"]: row["mean"]
        for row in tables.read(master / "master.parquet", schema("master")).to_pylist()
        if all(row[key] == judged[key] for key in keys) and (row["yaw_axis"], row["subset"]) == ("all", "own")
    }
    return found.get("Angled vs GT"), found.get("Angled vs other GT")

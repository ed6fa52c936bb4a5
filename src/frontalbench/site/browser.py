"""The probe browser: some people of a dataset, their references, their probes and every variant of these, with similarities."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from frontalbench import images, status
from frontalbench.figures import examples, series
from frontalbench.figures.inputs import Inputs
from frontalbench.images import RGB
from frontalbench.plan import grid
from frontalbench.plan.variant import ORIGINAL, parse

THUMB = 168
"""Longer side of an image in pixels."""
PROBES = 4
"""Probes shown per person, spread over the angles."""
DERIVED = "made of embeddings, no image of its own"


@dataclass(frozen=True)
class Image:
    """One tile: what it is, where its file lies ("" when there is none, ``why`` says why), its similarity to the GT by every judge (None: ``without``
    says why)."""

    name: str
    file: str
    why: str = ""
    without: str = "no value"
    similarity: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class Probe:
    """A probe with its yaw (None: unknown), the photograph first, then every variant."""

    image_id: str
    yaw: float | None
    images: tuple[Image, ...]


@dataclass(frozen=True)
class Person:
    """A subject with one reference and some probes."""

    anchor: str
    subject: str
    reference: Image
    probes: tuple[Probe, ...] = field(default=())


def browse(files: Inputs, out: Path, folder: str, *, people: int = 12) -> list[Person]:
    """Choose ``people`` subjects and write their images as ``out/folder/*.jpg`` (names are hashes); returns what the page shows.

    Subjects are taken evenly from the sorted list of those that have a usable reference and a probe, so that another run shows the same.
    """
    judges = files.judges
    original = series.read_similarity(files.similarity_of(ORIGINAL, judges[0]))
    pool = examples.references(original)
    probes = _probes(original)
    singles = {ids[0] for ids in pool.values() if len(ids) == 1}
    names = sorted(set(pool) & set(probes))
    chosen = [names[i] for i in sorted({round(i) for i in np.linspace(0, len(names) - 1, min(people, len(names)))})] if names else []
    ids = {subject: probes[subject] for subject in chosen}
    wanted = [i for subject in chosen for i in (pool[subject][0], *ids[subject])]
    shown: dict[str, dict[str, RGB | None]] = {ORIGINAL: examples.pixels_of(files.images.get(ORIGINAL, ()), wanted)}
    scores: dict[str, list[dict[str, float]]] = {}
    reasons: dict[str, dict[str, str]] = {}
    variants = [v for v in files.variants if all(grid.cell(files.dataset, v, *judge) in files.similarity for judge in judges)]
    for variant in [ORIGINAL, *variants]:
        cells = [series.read_similarity(files.similarity_of(variant, judge)) for judge in judges]
        scores[variant] = [dict(zip(series.strings(t, "image_id"), series.numbers(t, "genuine"), strict=True)) for t in cells]
        reasons[variant] = dict(zip(series.strings(cells[0], "image_id"), series.strings(cells[0], "status"), strict=True))
        if variant != ORIGINAL:
            shown[variant] = examples.pixels_of(files.images.get(variant, ()), wanted)

    def image(variant: str, image_id: str) -> Image:
        pixels = shown[variant].get(image_id)
        state = reasons[variant].get(image_id, "missing")
        values = tuple(_known(table.get(image_id)) for table in scores[variant])
        failed = "" if state == status.OK else state.replace("_", " ")
        alone = "the only GT" if image_id in singles else "no value"
        why = failed or ("no image" if parse(variant).has_pixels else DERIVED)
        return Image(
            variant, write(pixels, out, folder, f"{variant}/{image_id}") if pixels is not None else "", why, failed or alone, values
        )

    yaw = dict(zip(series.strings(original, "image_id"), series.numbers(original, "yaw"), strict=True))
    made = []
    for subject in chosen:
        reference = image(ORIGINAL, pool[subject][0])
        rows = tuple(Probe(i, _known(yaw.get(i)), tuple(image(v, i) for v in (ORIGINAL, *variants))) for i in ids[subject])
        made.append(Person(f"p-{hashlib.sha256(subject.encode('utf-8', 'surrogatepass')).hexdigest()[:12]}", subject, reference, rows))
    return made


def _probes(original: pa.Table) -> dict[str, list[str]]:
    """Up to :data:`PROBES` probes per subject, spread over the yaw."""
    keep = (series.strings(original, "role") == "probe") & (series.strings(original, "status") == status.OK)
    found: dict[str, list[tuple[float, str]]] = {}
    columns = (series.strings(original, "subject")[keep], series.numbers(original, "yaw")[keep], series.strings(original, "image_id")[keep])
    for subject, yaw, image_id in zip(*columns, strict=True):
        found.setdefault(str(subject), []).append((0.0 if np.isnan(yaw) else float(yaw), str(image_id)))
    return {
        subject: [sorted(rows)[i][1] for i in sorted({round(i) for i in np.linspace(0, len(rows) - 1, min(PROBES, len(rows)))})]
        for subject, rows in found.items()
    }


def _known(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(float(value), 4)


def write(pixels: RGB, out: Path, folder: str, name: str) -> str:
    """An image as ``out/folder/HASH.jpg``, at most twice :data:`THUMB` long; returns its path below ``out``."""
    path = f"{folder}/{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}.jpg"
    (out / folder).mkdir(parents=True, exist_ok=True)
    (out / path).write_bytes(images.encode_jpeg(examples.shrink(pixels, 2 * THUMB), quality=84))
    return path

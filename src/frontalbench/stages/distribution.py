"""aligned crops of a variant and of `original` -> FID and KID of the variant's probes against the photographed references."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Protocol

import numpy as np

from frontalbench import images, status, tables
from frontalbench.compare.metadata import Metadata, read_metadata
from frontalbench.compare.rates import NOT_SUPPORTED
from frontalbench.errors import WeightsMissing
from frontalbench.images import RGB
from frontalbench.quality import distribution
from frontalbench.stages.common import IMAGES, Row, provenance
from frontalbench.types import Float32, Int, StrPath, UInt8

FEWEST_FID: Final = 2048
"""Below this many images on either side the covariance of 2,048 features has no full rank, and the bias of FID is as large as what it shows."""
FEWEST_KID: Final = 20
_BATCH: Final = 64


class Network(Protocol):
    """Features of crops."""

    def of(self, crops: UInt8) -> Float32:
        """float32 (N, D) of crops uint8 (N, H, W, 3) RGB."""
        ...


def measure_distribution(
    images_tables: Sequence[StrPath],
    crops: Sequence[StrPath],
    original_crops: Sequence[StrPath],
    original_pose: Sequence[StrPath],
    out: StrPath,
    make: Callable[[], Network],
    *,
    roles: Mapping[str, Any] | None = None,
    resamples: int = 2000,
    seed: int = 0,
    threads: int = 1,
    device: str = "cpu",
) -> None:
    """Write schema ``tables.DISTRIBUTION``, a row for FID and one for KID.

    A value is null, and ``detail`` says why, where the images are too few or the weights are missing.
    """
    meta = read_metadata(images_tables, original_pose, roles)
    inputs = dict.fromkeys(str(path) for path in (*crops, *original_crops))
    record = provenance("distribution", inputs, threads=threads, device=device)
    try:
        network = make()
        found = [_features(paths, role, meta, network) for paths, role in ((crops, "probe"), (original_crops, "reference"))]
        rows = [_row(measure, *found[0], *found[1], resamples=resamples, seed=seed) for measure in ("fid", "kid")]
    except WeightsMissing as error:
        rows = [{"measure": measure, "status": status.WEIGHTS_MISSING, "detail": str(error)} for measure in ("fid", "kid")]
    tables.write(out, tables.from_rows(rows, tables.DISTRIBUTION), record)


def _features(paths: Sequence[StrPath], role: str, meta: Metadata, network: Network) -> tuple[Float32, Int]:
    """Features (n, D) of the usable crops of ``role`` in ``image_id`` order, and the person of each."""
    place = {name: i for i, name in enumerate(meta.image_id.tolist())}
    at: list[int] = []
    parts: list[Float32] = []
    for where, crops in _batches(paths, role, meta, place):
        at += where
        parts.append(network.of(np.stack(crops)))
    if not parts:
        return np.zeros((0, 0), np.float32), np.zeros(0, np.int64)
    order = np.argsort(at)
    return np.concatenate(parts)[order], meta.subject_code[np.array(at)[order]].astype(np.int64)


def _batches(paths: Sequence[StrPath], role: str, meta: Metadata, place: Mapping[str, int]) -> Iterator[tuple[list[int], list[RGB]]]:
    for path in paths:
        for rows in tables.iterate(path, IMAGES, batch=_BATCH):
            usable = [(place[row["image_id"]], row["image"]) for row in rows if row["status"] == status.OK]
            usable = [(i, data) for i, data in usable if meta.role[i] == role]
            if usable:
                yield [i for i, _ in usable], [images.decode(data) for _, data in usable]


def _row(measure: str, a: Float32, p: Int, b: Float32, q: Int, *, resamples: int, seed: int) -> Row:
    fewest = FEWEST_FID if measure == "fid" else FEWEST_KID
    row: Row = {"measure": measure, "status": status.OK, "detail": "", "n_images": len(a), "n_subjects": len(np.unique(p))}
    row |= {"n_references": len(b), "n_reference_subjects": len(np.unique(q))}
    if min(len(a), len(b)) < fewest:
        return {**row, "detail": f"{NOT_SUPPORTED}: fewer than {fewest:,} images on one side"}
    if measure == "fid":
        return {**row, "value": distribution.fid(a, b)}
    found = distribution.kid(a, b, p, q, resamples=resamples, seed=seed)
    known = {"low": found.low, "high": found.high} if np.isfinite(found.low) else {}
    return {**row, "value": found.value, **known}

"""aligned crops -> embeddings."""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from frontalbench import images, status, tables
from frontalbench.catalogue import families
from frontalbench.catalogue.cards import ModelCard
from frontalbench.catalogue.params import Params
from frontalbench.embed.base import PRECISIONS, Backbone, normalise, points_in_crop
from frontalbench.errors import raise_if_memory_ran_out
from frontalbench.images import RGB
from frontalbench.runtime.sessions import limit_threads, real_precision
from frontalbench.stages.common import Row, failed, head, passed_through, provenance, run_shard
from frontalbench.types import Float32

BATCH = 64
_COLUMNS = pa.schema(
    [tables.CROPS.field(name) for name in ("image_id", "identity", "role", "status", "detail", "score", "points", "image")]
)


def embed_shard(
    crops: str | os.PathLike[str],
    out: str | os.PathLike[str],
    card: ModelCard,
    make: Callable[[], Backbone],
    *,
    threads: int = 1,
    device: str = "cpu",
) -> dict[str, int]:
    """Embed every crop of a shard; returns rows by status. Embeddings are L2-normalised, ``norm`` keeps the length before."""
    params = Params(card)
    dimension = params.integer("dimension")  # so that a table can be written also when the weights are missing
    precision = real_precision(params.choice("precision", PRECISIONS, PRECISIONS[0]), device)
    if precision == PRECISIONS[0]:
        precision = families.precision(card, device)
    record = provenance("embed", [crops], card=card.name, card_digest=card.digest(), threads=threads, device=device, precision=precision)
    limit_threads(threads)

    def work(backbone: Backbone, rows: list[Row]) -> list[Row]:
        usable = [row for row in rows if row["status"] == status.OK]
        if not usable:
            return [passed_through(row) for row in rows]
        points = [points_in_crop(np.reshape(row["points"], (5, 2))) for row in usable] if backbone.takes_points else None
        results = iter(_embed(backbone, [images.decode(row["image"]) for row in usable], points))
        return [_row(row, next(results)) if row["status"] == status.OK else passed_through(row) for row in rows]

    return run_shard(crops, out, tables.embeddings_schema(dimension), record, make, work, batch=BATCH, columns=_COLUMNS)


def _embed(backbone: Backbone, crops: list[RGB], points: list[Float32] | None) -> list[Float32 | str]:
    """An embedding (not normalised) per crop, or what the network said when it failed on it.

    Networks take a whole batch or refuse it; after a refusal each crop is tried by itself, so that one bad crop costs one row.
    """
    try:
        return list(backbone.embed(np.stack(crops), None if points is None else np.stack(points)))
    except Exception as error:  # noqa: BLE001 - whatever a network's runtime raises must not end the shard
        raise_if_memory_ran_out(error)
        if len(crops) == 1:
            return [f"{backbone.name}: {error}"]
    each = [None] * len(crops) if points is None else [[one] for one in points]
    return [result for crop, point in zip(crops, each, strict=True) for result in _embed(backbone, [crop], point)]


def _row(row: Row, result: Float32 | str) -> Row:
    if isinstance(result, str):
        return failed(row, status.MODEL_ERROR, result)
    vectors, norms = normalise(result[None])
    norm = float(norms[0])
    if not np.isfinite(norm) or norm == 0:
        return failed(row, status.MODEL_ERROR, "the embedding is zero or not finite")
    return {
        **head(row),
        "status": status.OK,
        "detail": row["detail"],
        "score": row["score"],
        "norm": norm,
        "embedding": vectors[0].tolist(),
    }

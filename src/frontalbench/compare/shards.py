"""Embeddings from their tables, and rows of a variant with the photographs' embeddings beside them.

A table is read once, into :class:`Embeddings`; everything after it takes values and gives values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from frontalbench import status, tables
from frontalbench.compare.metadata import Metadata, places_of, words_of
from frontalbench.errors import BadInput
from frontalbench.types import Bool, Float, Float32, Int, StrPath, Words


@dataclass(frozen=True)
class Embeddings:
    """One embeddings table, row by row as it is in the file (all arrays (n,) but ``vectors``).

    ``vectors`` float32 (n, D), L2-normalised, zero where ``status`` is not ``ok``; ``score`` of the detector, ``norm`` of the embedding before it was
    normalised: NaN where they are not known.
    """

    path: StrPath
    image_id: Words
    status: Words
    detail: Words
    vectors: Float32
    score: Float
    norm: Float

    def __len__(self) -> int:
        return len(self.image_id)

    @property
    def ok(self) -> Bool:
        usable: Bool = self.status == status.OK
        return usable


@dataclass(frozen=True)
class Shard:
    """Rows of a variant, at their places in the metadata.

    ``vectors``: one float32 (n, D), or the two whose similarities are combined; ``original`` float32 (n, D), ``original_ok`` bool (n,): the
    same images in variant `original`; None where this is that variant. ``mirrored``, ``mirrored_ok``: the same of the mirrored photographs, for the
    recipes that ask for them, else None.
    """

    rows: Int
    status: Words
    detail: Words
    vectors: tuple[Float32, ...]
    original: Float32 | None
    original_ok: Bool
    mirrored: Float32 | None = None
    mirrored_ok: Bool | None = None

    @property
    def ok(self) -> Bool:
        usable: Bool = self.status == status.OK
        return usable


def read_embeddings(path: StrPath) -> Embeddings:
    """One embeddings table. A row whose embedding is not finite becomes ``model_error``.

    Raises :class:`BadInput` when it is no embeddings table, or the vectors are not L2-normalised.
    """
    table = tables.read(path)
    for name in ("image_id", "status", "detail", "embedding"):
        if name not in table.column_names:
            raise BadInput(f"{path}: column '{name}' is missing; expected an embeddings table (extract_embeddings.py writes them)")
    if not pa.types.is_fixed_size_list(table.schema.field("embedding").type):
        raise BadInput(f"{path}: column 'embedding' should be a list of fixed size, is {table.schema.field('embedding').type}")
    words, detail = words_of(table, "status").astype("<U32"), words_of(table, "detail").astype("<U300")
    vectors = tables.embedding_matrix(table)
    ok = words == status.OK
    broken = ok & ~np.isfinite(vectors).all(axis=1)
    words[broken], detail[broken] = status.MODEL_ERROR, "the embedding is not finite"
    ok &= ~broken
    vectors[~ok] = 0.0
    if ok.any():
        length = np.linalg.norm(vectors[ok], axis=1)
        if np.abs(length - 1.0).max() > 1e-3:
            raise BadInput(
                f"{path}: embeddings should have length 1, found {length[np.abs(length - 1.0).argmax()]:.4g}; normalise them first"
            )
    return Embeddings(path, words_of(table, "image_id"), words, detail, vectors, _numbers(table, "score"), _numbers(table, "norm"))


def _numbers(table: pa.Table, name: str) -> Float:
    """(n,) a column of numbers; NaN where a value, or the column, is missing."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return np.asarray(table.column(name).to_numpy(zero_copy_only=False), np.float64)


def read_all(paths: Sequence[StrPath]) -> list[Embeddings]:
    """The tables of a variant, one each shard. Raises :class:`BadInput`, also when they hold embeddings of different lengths."""
    read = [read_embeddings(path) for path in paths]
    check_width(read)
    return read


def check_width(read: Sequence[Embeddings]) -> None:
    """Raises :class:`BadInput` when these are the embeddings of more than one backbone, as far as their lengths tell."""
    other = next((one for one in read if one.vectors.shape[1] != read[0].vectors.shape[1]), None)
    if other is not None:
        raise BadInput(
            f"{other.path}: embeddings of length {other.vectors.shape[1]}, but {read[0].vectors.shape[1]} in {read[0].path}; "
            "give tables of one backbone"
        )


def with_originals(meta: Metadata, variant: Sequence[Embeddings], originals: Sequence[Embeddings] | None) -> list[Shard]:
    """The shards of a variant with the embeddings of variant `original` beside them; ``originals`` None: this is that variant.

    Raises :class:`BadInput` for an image that the metadata does not have.
    """
    places = [places_of(meta, one.image_id, one.path) for one in variant]
    if originals is None:
        return [
            Shard(rows, one.status, one.detail, (one.vectors,), None, np.zeros(len(one), np.bool_))
            for rows, one in zip(places, variant, strict=True)
        ]
    return [
        Shard(rows, one.status, one.detail, (one.vectors,), *there)
        for rows, one, there in zip(places, variant, _same_images(variant, originals), strict=True)
    ]


def with_mirrored(shards: Sequence[Shard], variant: Sequence[Embeddings], mirrored: Sequence[Embeddings]) -> list[Shard]:
    """The ``shards`` of ``variant`` with the embeddings of the mirrored photographs beside them."""
    found = _same_images(variant, mirrored)
    return [replace(shard, mirrored=vectors, mirrored_ok=ok) for shard, (vectors, ok) in zip(shards, found, strict=True)]


def _same_images(variant: Sequence[Embeddings], originals: Sequence[Embeddings]) -> list[tuple[Float32, Bool]]:
    """(vectors, ok) in ``originals`` of the images of every shard of ``variant``; zero and False where there are none."""
    if len(variant) == len(originals) and all(
        len(one) == len(other) and (one.image_id == other.image_id).all() for one, other in zip(variant, originals, strict=True)
    ):
        return [(one.vectors, one.ok) for one in originals]
    names = np.concatenate([one.image_id for one in originals])
    order = np.argsort(names)
    names, ok = names[order], np.concatenate([one.ok for one in originals])[order]
    vectors = np.concatenate([one.vectors for one in originals])[order]
    found = []
    for one in variant:
        places = np.minimum(np.searchsorted(names, one.image_id), len(names) - 1)
        there = names[places] == one.image_id
        found.append((np.where(there[:, None], vectors[places], np.float32(0.0)), ok[places] & there))
    return found

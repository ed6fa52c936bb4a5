"""The embeddings of a variant as they come, shard by shard, and what derived variants make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from frontalbench import status, tables
from frontalbench.compare import derived as recipes
from frontalbench.compare.feature import FeatureMap
from frontalbench.compare.gates import Gate
from frontalbench.compare.metadata import Metadata, Path, places_of, words_of
from frontalbench.errors import BadInput
from frontalbench.plan.variant import Variant
from frontalbench.types import Bool, Float, Float32, Int, Words


@dataclass(frozen=True)
class Shard:
    rows: Int  # places in the metadata
    status: Words
    detail: Words
    vectors: tuple[Float32, ...]
    original: Float32 | None  # the same images in variant `original`
    original_ok: Bool

    @property
    def ok(self) -> Bool:
        usable: Bool = self.status == status.OK
        return usable


def read_embeddings(path: Path) -> tuple[Words, Words, Words, Float32]:
    """(image_id, status, detail, vectors (n, D)) of one embeddings shard; rows that are not ok are zero.

    A row whose embedding is not finite becomes ``model_error``. Raises :class:`BadInput` when the vectors are not L2-normalised.
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
    return words_of(table, "image_id"), words, detail, vectors


class Originals:
    """Embeddings of the variant `original`, by shard where the shards correspond, else all at once."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._all: tuple[Words, Bool, Float32] | None = None

    def take(self, number: int, n_shards: int, ids: Words) -> tuple[Float32, Bool]:
        """(vectors, ok) of the images ``ids`` of shard ``number``."""
        if self._all is None and n_shards == len(self._paths):
            found, words, _, vectors = read_embeddings(self._paths[number])
            if len(found) == len(ids) and (found == ids).all():
                return vectors, words == status.OK
        if self._all is None:
            parts = [read_embeddings(path) for path in self._paths]
            found = np.concatenate([part[0] for part in parts])
            order = np.argsort(found)
            ok = np.concatenate([part[1] == status.OK for part in parts])
            self._all = found[order], ok[order], np.concatenate([part[3] for part in parts])[order]
        found, ok, vectors = self._all
        places = np.minimum(np.searchsorted(found, ids), len(found) - 1)
        there = found[places] == ids
        return np.where(there[:, None], vectors[places], np.float32(0.0)), ok[places] & there


def plain_shards(meta: Metadata, paths: Sequence[Path], originals: Originals | None) -> Iterator[Shard]:
    for number, path in enumerate(paths):
        ids, words, detail, vectors = read_embeddings(path)
        rows = places_of(meta, ids, path)
        if originals is None:
            yield Shard(rows, words, detail, (vectors,), None, np.zeros(len(ids), np.bool_))
        else:
            original, there = originals.take(number, len(paths), ids)
            yield Shard(rows, words, detail, (vectors,), original, there)


def derive(shard: Shard, recipe: Variant, shift: Float | None, feature: FeatureMap | None, yaw: Float32, gate: Gate | None = None) -> Shard:
    original, frontal, ok, there = shard.original, shard.vectors[0], shard.ok, shard.original_ok
    assert original is not None
    words, detail = shard.status.copy(), shard.detail.copy()
    if recipe.recipe == "control_meanshift":
        assert shift is not None
        keep = ok & there
        words[ok & ~there], detail[ok & ~there] = status.NO_FACE, "no embedding of the original"
        vectors: tuple[Float32, ...] = (np.where(keep[:, None], recipes.mean_shift(original, shift), np.float32(0.0)),)
        return Shard(shard.rows, words, detail, vectors, original, there)
    words[there] = status.OK
    detail[there & ~ok] = f"{recipes.ALONE[0]}: the frontal has no embedding"
    detail[ok & ~there] = f"{recipes.ALONE[1]}: the original has no embedding"
    detail[ok & there] = ""
    first = np.where(there[:, None], original, frontal)
    second = np.where(ok[:, None], frontal, original)
    if gate is not None:
        turned, both = gate.turned[shard.rows], ok & there
        detail[both] = gate.words[shard.rows][both]
        # where the photograph is meant to stay, a frontal that is missing is not missed
        stays = there & ~turned
        detail[stays] = gate.words[shard.rows][stays]
        taken = recipes.fuse_mean(first, second) if recipe.recipe == "gate_fuse" else second
        vectors = (np.where(turned[:, None], taken, first),)
    elif recipe.recipe == "feature_frontal":
        if feature is None:
            usable = words == status.OK
            words[usable], detail[usable] = status.WEIGHTS_MISSING, "no feature map of this backbone"
        vectors = (np.zeros_like(first) if feature is None else feature.apply(first, second, yaw[shard.rows]),)
    else:
        weight: float | Float = recipes.HALF if recipe.weight is None else recipe.weight
        if recipe.recipe == "fuse_yaw":
            weight = recipes.weight_by_yaw(yaw[shard.rows])[:, None]
        vectors = (first, second) if recipes.combine(recipe.recipe) else (recipes.fuse_mean(first, second, weight),)
    return Shard(shard.rows, words, detail, vectors, original, there)


def mean_shift_of(meta: Metadata, shards: Iterator[Shard]) -> Float:
    """Mean frontal minus mean angled embedding over the probes that have both."""
    total: Float | None = None
    n = 0
    for shard in shards:
        assert shard.original is not None
        both = shard.ok & shard.original_ok & (meta.role[shard.rows] == "probe")
        part = (shard.vectors[0][both].astype(np.float64) - shard.original[both]).sum(axis=0)
        total, n = part if total is None else total + part, n + int(both.sum())
    if total is None:
        raise BadInput("embeddings: no table given")
    return total / max(n, 1)

"""Templates: several images of a person as one (ISO/IEC 2382-37: a biometric reference may be made of several samples).

``template:<variant>``       a person's references are one template: the mean of their unit embeddings, of length 1 again; so are the probes of
                             one recording (the column ``sequence``), in the embeddings of the variant
``template_yaw:<variant>``   the same mean weighted by cos(yaw) of the photograph (our own formula, after the
                             idea of Jung et al. 2025, arXiv 2505.09256, to weigh what is aggregated)
``template_norm:<variant>``  weighted by the length of the embedding before it was normalised, which grows with the quality of the image (Meng
                             et al. 2021; Kim et al. 2022)

Every image keeps its row, with the similarity of its template; an image without a face has no weight, and a template in which no image has
one is a failure of all of them. Probes without a recording are templates of one. A reference with the bytes of a probe is in no template: the
probe would be compared with itself. References among themselves are compared one by one, as in every other variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from frontalbench import status
from frontalbench.compare.kernel import Gallery, by_columns
from frontalbench.compare.metadata import Metadata, places_of
from frontalbench.compare.shards import Embeddings, Shard
from frontalbench.types import Bool, Float, Float32, Int

LEAST = 0.01
"""No image with a face weighs less than this: a template of profiles alone would have no direction."""


def weights_by_yaw(yaw: Float32) -> Float:
    """(N,) cos(yaw), at least :data:`LEAST`; where the yaw (degrees) is not known, the mean of the others, 1 where none is."""
    turn = np.maximum(np.cos(np.radians(np.asarray(yaw, np.float64))), LEAST)
    known = np.isfinite(turn)
    return np.where(known, turn, turn[known].mean() if known.any() else 1.0)


def weights_by_norm(meta: Metadata, embeddings: Sequence[Embeddings]) -> Float:
    """(N,) the length that each embedding had before it was normalised; 1 where it is not known."""
    found = np.ones(len(meta))
    for one in embeddings:
        found[places_of(meta, one.image_id, one.path)] = np.maximum(np.nan_to_num(one.norm, nan=1.0), 1e-9)
    return found


def weights_of(recipe: str, meta: Metadata, embeddings: Sequence[Embeddings]) -> Float:
    """(N,) the weights of a recipe of templates for the images whose ``embeddings`` are given."""
    if recipe == "template_yaw":
        return weights_by_yaw(meta.yaw)
    return weights_by_norm(meta, embeddings) if recipe == "template_norm" else np.ones(len(meta))


def recordings(meta: Metadata) -> Int:
    """(N,) a code for each template of probes: the recording within a person, an image without one for itself."""
    alone = np.char.add("image:", meta.image_id.astype(np.str_))
    named = np.char.add("recording:", meta.sequence.astype(np.str_))
    own = np.where(meta.sequence == "", alone, named)
    keys = np.stack([meta.subject_code.astype(np.str_), own], axis=1)
    _, code = np.unique(keys, axis=0, return_inverse=True)
    return code.reshape(-1).astype(np.int64)


def gallery(meta: Metadata, plain: tuple[Gallery, Int], weight: Float) -> tuple[Gallery, Int]:
    """One template per person out of the references ``plain`` (their gallery and their places in ``meta``), weighted by ``weight`` (N,).

    Returned: the gallery, and for every template the place of the person's first reference. People all of whose references are photographs of
    probes have none.
    """
    references, rows = plain
    probes = np.unique(meta.photo[meta.role == "probe"])
    own = ~np.isin(references.photo, probes)
    vectors = np.asarray(references.vectors, np.float64)[own] * weight[rows[own], None]
    people, first, code = np.unique(references.subject[own], return_index=True, return_inverse=True)
    sums = np.zeros((len(people), np.asarray(references.vectors).shape[1]))
    np.add.at(sums, code.reshape(-1), vectors)
    length = np.linalg.norm(sums, axis=1)
    there = length > 1e-12
    made = (sums[there] / length[there, None]).astype(np.float32)
    nobody = -1 - np.arange(int(there.sum()))  # a template is nobody's photograph
    return Gallery(by_columns(made), people[there], nobody), rows[own][first[there]]


@dataclass
class _Sums:
    total: Float
    used: Int


def pooled(meta: Metadata, shards: Sequence[Shard], weight: Float) -> tuple[Float32, Bool, Int]:
    """Templates of probes by the codes of :func:`recordings`: (vectors (t, D) of length 1, whether any image has a face, number of those)."""
    code = recordings(meta)
    sums: _Sums | None = None
    for shard in shards:
        if sums is None:
            n = int(code.max(initial=-1)) + 1
            sums = _Sums(np.zeros((n, shard.vectors[0].shape[1])), np.zeros(n, np.int64))
        take = shard.ok & (meta.role[shard.rows] == "probe")
        rows = shard.rows[take]
        np.add.at(sums.total, code[rows], shard.vectors[0][take].astype(np.float64) * weight[rows, None])
        sums.used += np.bincount(code[rows], minlength=len(sums.used))
    if sums is None:
        return np.zeros((0, 1), np.float32), np.zeros(0, np.bool_), np.zeros(0, np.int64)
    length = np.linalg.norm(sums.total, axis=1)
    there = length > 1e-12
    return (sums.total / np.where(there, length, 1.0)[:, None]).astype(np.float32), there, sums.used


def replaced(meta: Metadata, shard: Shard, templates: tuple[Float32, Bool, Int]) -> Shard:
    """``shard`` with every probe that has a face given the template of its recording; all other rows stay as they are."""
    vectors, there, used = templates
    code = recordings(meta)[shard.rows]
    chosen = shard.ok & (meta.role[shard.rows] == "probe") & there[code] if len(there) else np.zeros(len(shard.rows), np.bool_)
    detail = shard.detail.copy()
    detail[chosen] = [f"template of {n} image{'s' if n > 1 else ''}" for n in used[code[chosen]].tolist()]
    own = np.where(chosen[:, None], vectors[np.where(chosen, code, 0)] if len(vectors) else shard.vectors[0], shard.vectors[0])
    return replace(shard, detail=detail, vectors=(own,), status=np.where(chosen, status.OK, shard.status).astype(shard.status.dtype))

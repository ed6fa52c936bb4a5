"""One cell: embeddings of a variant against the original references -> one row per image, and the pair scores.

References are always the *original* images of role ``reference``, judged by the same detector and backbone.

The way of an embedding: its table is read once (:mod:`.shards`), the photograph's is put beside it, the references are gathered
(:mod:`.galleries`), the recipe of the variant is applied (:mod:`.recipes`), the result is compared with a gallery (:mod:`.scoring`, by the matrix
products of :mod:`.kernel`), and what was found becomes the two tables here. In memory are the embeddings of the variant and of `original`, 4 bytes a
number, and some numbers per image; pair scores never are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from frontalbench import status, tables
from frontalbench.compare import derived, gates, templates
from frontalbench.compare.feature import FeatureMap
from frontalbench.compare.galleries import Galleries, reference_gallery, shares, turned_galleries
from frontalbench.compare.kernel import Gallery
from frontalbench.compare.metadata import Metadata, read_measured, read_metadata
from frontalbench.compare.recipes import recipe_of
from frontalbench.compare.scores import TAIL
from frontalbench.compare.scoring import ROLES, CellScores, SubjectSums
from frontalbench.compare.shards import Shard, check_width, read_all, with_mirrored, with_originals
from frontalbench.errors import BadInput
from frontalbench.plan.variant import LEARNED, MATCHED, parse
from frontalbench.types import Int, StrPath, Words

_PASS = 2048  # probes handed to the kernel at once; bounds the genuine pairs held while they are made


@dataclass(frozen=True)
class CellResult:
    """``similarity`` with schema ``tables.SIMILARITY``, ``scores`` with schema ``scores.SCORES``, and counts for the provenance record."""

    similarity: pa.Table
    scores: pa.Table
    report: dict[str, int]


def compare_cell(
    images: Sequence[StrPath],
    embeddings: Sequence[StrPath],
    references: Sequence[StrPath],
    *,
    pose: Sequence[StrPath] = (),
    roles: Mapping[str, Any] | None = None,
    variant: str = "",
    feature: FeatureMap | None = None,
    turned: Sequence[StrPath] = (),
    edges: Sequence[float] = (),
    quality: StrPath | None = None,
    mirrored: Sequence[StrPath] = (),
    tail: int = TAIL,
) -> CellResult:
    """Compare the embeddings of a variant with the original references.

    ``images``: images tables of the dataset (metadata columns only are read); ``embeddings``: shards of the variant; ``references``: shards of
    variant ``original`` of the same detector and backbone; ``pose``: measured pose of the originals; ``roles``: the dataset's role rule, needed
    when a role is ``auto``; ``variant``: the variant's name, needed only for derived ones (``fuse_mean:<variant>``, see :mod:`.derived`;
    ``embeddings`` are then those of ``<variant>``); ``feature``: the backbone's map, for ``feature_frontal``: without it every row of such a variant
    is ``weights_missing``; ``turned``: embeddings of the turned references, for ``pose_matched``, whose ``embeddings`` are
    the originals, and ``edges`` the edges of the bins of \\|yaw\\| to whose middles they were turned; ``quality``: the quality table of the
    originals, for ``gate_learned``, which without it does not see how sharp and how good a photograph is; ``mirrored``: embeddings of the mirrored
    photographs, which ``fuse_flip`` and ``gate_flip`` need.

    Returns one row per image, whatever became of it, and the pair scores of probes and of references (:mod:`.scores`). A genuine pair is two
    different photographs (by content) of one subject; a pair with equal content is neither genuine nor impostor.
    Raises :class:`BadInput` when tables do not belong together.
    """
    meta = read_metadata(images, pose, roles)
    if not embeddings:
        raise BadInput("embeddings: no table given; expected the embeddings of the variant")
    named = parse(variant)
    matched = named.recipe == MATCHED
    originals = read_all(references)
    same = [str(p) for p in embeddings] == [str(p) for p in references]
    given = originals if same else read_all(embeddings)
    rotated = read_all(turned) if matched else []
    if named.second and not mirrored:
        raise BadInput(f"variant '{variant}': needs the embeddings of {named.second} too; give them as --mirrored")
    flips = read_all(mirrored) if named.second else []
    check_width([*originals, *given, *rotated, *flips])
    plain = reference_gallery(meta, originals)
    galleries = turned_galleries(meta, plain, rotated, edges) if matched else Galleries([plain], np.zeros(len(meta), np.int64))
    if named.is_template:
        one_each = templates.gallery(meta, plain, templates.weights_of(named.recipe, meta, originals))
        galleries = Galleries([plain, one_each], np.where(meta.role == "probe", 1, 0))
    shards = with_originals(meta, given, None if same and named.has_pixels else originals)
    if flips:
        shards = with_mirrored(shards, given, flips)
    _check_complete(meta, shards, embeddings[0])
    measured = read_measured(meta, quality, gates.MEASURED) if quality is not None and named.recipe == LEARNED else None
    recipe = recipe_of(meta, named, shards, originals, plain[0], feature, own=given, measured=measured)
    combine = derived.combine(named.recipe)
    # The probes of one recording have one template: among themselves there is nothing to compare.
    sums = None if combine or named.is_template else SubjectSums.over(meta, map(recipe, shards))

    words, detail = np.full(len(meta), "", "<U32"), np.full(len(meta), "", "<U300")
    scores = CellScores.of(meta, combine, sums, tail, len(plain[0]))
    for shard in map(recipe, shards):
        words[shard.rows], detail[shard.rows] = shard.status, shard.detail
        scores.add_uncommon(shard, plain[0])
        for gallery, role, chosen in shares(meta, shard, galleries):
            for start in range(0, len(chosen), _PASS):
                scores.add(shard, chosen[start : start + _PASS], role, *gallery)
    if matched:
        _say_what_was_not_turned(meta, words, detail, scores.count["n_references"], plain[0], galleries)
    report = _finish(meta, words, detail, scores.count["n_references"], plain[0])
    similarity = _similarity_table(meta, words, detail, scores)
    return CellResult(similarity, pa.concat_tables([*(scores.table(role, plain[0]) for role in ROLES), *scores.uncommon()]), report)


def _check_complete(meta: Metadata, shards: Sequence[Shard], path: StrPath) -> None:
    """Raises :class:`BadInput` unless every image of the dataset has one row in the shards; ``path``: the first of their tables."""
    times = np.bincount(np.concatenate([shard.rows for shard in shards]), minlength=len(meta))
    if (times > 1).any():
        raise BadInput(f"{path}: image '{meta.image_id[times > 1][0]}' occurs twice in the embeddings")
    if (times == 0).any():
        raise BadInput(
            f"{path}: {int((times == 0).sum())} images of the dataset have no row in the embeddings, e.g. '{meta.image_id[times == 0][0]}'; "
            "make the embeddings of every shard"
        )


def _say_what_was_not_turned(meta: Metadata, words: Words, detail: Words, n_references: Int, plain: Gallery, galleries: Galleries) -> None:
    """Give the rows of a ``pose_matched`` cell that had no turned reference their status."""
    fit = words == status.OK
    if galleries.missing is not None:
        words[fit], detail[fit] = galleries.missing
        return
    lost = fit & (galleries.which > 0) & (n_references == 0) & np.isin(meta.subject_code, plain.subject)
    words[lost], detail[lost] = status.MODEL_ERROR, "none of the subject's references could be turned to this pose"


def _finish(meta: Metadata, words: Words, detail: Words, n_references: Int, gallery: Gallery) -> dict[str, int]:
    """Set the statuses that only a whole cell can know; returns the counts."""
    ok = words == status.OK
    unused = ok & (meta.role != "probe") & (meta.role != "reference")
    words[unused], detail[unused] = status.NOT_USED, "role " + meta.role[unused].astype("<U20").astype(object)
    n_subjects = meta.n_subjects
    probe, reference = meta.role == "probe", meta.role == "reference"
    declared = np.bincount(meta.subject_code[reference], minlength=n_subjects)
    usable = np.bincount(gallery.subject, minlength=n_subjects) if len(gallery) else np.zeros(n_subjects, np.int64)
    lonely = ok & probe & (n_references == 0)
    words[lonely] = status.NO_REFERENCE
    for row in np.flatnonzero(lonely):
        code = meta.subject_code[row]
        if declared[code] == 0:
            detail[row] = "no reference image of this subject"
        elif usable[code] == 0:
            detail[row] = f"none of the subject's {declared[code]} references has a usable face"
        else:
            detail[row] = "the subject's only reference is the same photograph"
    has_probe = np.bincount(meta.subject_code[probe], minlength=n_subjects) > 0
    present = np.bincount(meta.subject_code[probe | reference], minlength=n_subjects) > 0
    _, copies = np.unique(meta.photo, return_counts=True)
    return {
        "n_images": len(meta),
        "n_probes": int(probe.sum()),
        "n_references": int(reference.sum()),
        "n_references_usable": len(gallery),
        "n_fta_probes": int((probe & np.isin(words, sorted(status.FAILURE_TO_ACQUIRE))).sum()),
        "n_no_reference": int(lonely.sum()),
        "n_subjects": int(present.sum()),
        "n_subjects_without_reference": int((present & (declared == 0)).sum()),
        "n_subjects_without_probe": int((present & ~has_probe).sum()),
        "n_images_with_a_double": int(copies[copies > 1].sum()),
    }


def _similarity_table(meta: Metadata, words: Words, detail: Words, scores: CellScores) -> pa.Table:
    value, count = scores.value, scores.count

    def numbers(values: npt.NDArray[Any]) -> pa.Array:
        return pa.array(values.astype(np.float32), pa.float32(), from_pandas=True)  # NaN becomes null

    _, copies = np.unique(meta.photo, return_counts=True)
    columns: dict[str, Any] = {
        name: pa.array(getattr(meta, name).tolist(), pa.string()) for name in ("image_id", "identity", "subject", "role")
    }
    columns |= {name: numbers(getattr(meta, name)) for name in ("yaw", "pitch", "roll", "nominal_yaw")}
    columns["yaw_source"] = pa.array(meta.yaw_source.tolist(), pa.string())
    columns["status"] = pa.array(words.tolist(), pa.string())
    columns["detail"] = pa.array(detail.tolist(), pa.string())
    columns |= {name: numbers(array) for name, array in value.items()}
    columns |= {name: pa.array(array.astype(np.int32)) for name, array in count.items()}
    ends = np.cumsum(np.append(0, np.where(count["n_impostors"] > 0, scores.groups, 0)))
    moves = pa.array(scores.moves[count["n_impostors"] > 0].reshape(-1), pa.float16())
    nothing = pa.array(count["n_impostors"] == 0)
    columns["impostor_moves"] = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), moves, mask=nothing)
    columns["rank"] = pa.array(count["rank"].astype(np.int32), mask=count["rank"] == 0)
    columns["n_same_photo"] = pa.array((copies[meta.photo] - 1).astype(np.int32))
    return pa.table([columns[field.name] for field in tables.SIMILARITY], schema=tables.SIMILARITY)

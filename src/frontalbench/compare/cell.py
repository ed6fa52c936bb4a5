"""One cell: embeddings of a variant against the original references -> one row per image, and the pair scores.

References are always the *original* pictures of role ``reference``, judged by the same detector and backbone. Embeddings are streamed shard by
shard; what stays in memory are the references, one sum per subject and some numbers per image.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from frontalbench import status, tables
from frontalbench.compare import derived as recipes
from frontalbench.compare.derived import Derived
from frontalbench.compare.feature import FeatureMap
from frontalbench.compare.kernel import Batch, Gallery, ImpostorSums, add_impostors, genuine_pairs
from frontalbench.compare.scores import SCORES, TAIL, Float32Array, FloatArray, Genuine, ImpostorSink, IntArray, to_table
from frontalbench.errors import BadInput

Path = str | os.PathLike[str]
Words = npt.NDArray[np.str_]

NO_REFERENCE = "no_reference"
"""Status of a probe whose subject has no usable reference: there is nothing to compare it with."""

_METADATA = [name for name in tables.IMAGES.names if name != "image"]
_PASS = 2048  # probes handed to the kernel at once; bounds the genuine pairs held while they are made


@dataclass(frozen=True)
class Metadata:
    """What is known of every image of a dataset, in ``image_id`` order (all arrays (N,)); see :func:`read_metadata`."""

    image_id: Words
    identity: Words
    subject: Words
    role: Words
    status: Words
    detail: Words
    photo: IntArray  # equal where the file's bytes are equal
    subject_code: IntArray
    yaw: Float32Array
    pitch: Float32Array
    roll: Float32Array
    yaw_source: Words
    nominal_yaw: Float32Array

    def __len__(self) -> int:
        return len(self.image_id)


@dataclass(frozen=True)
class CellResult:
    """``similarity`` with schema ``tables.SIMILARITY``, ``scores`` with schema ``scores.SCORES``, and counts for the provenance record."""

    similarity: pa.Table
    scores: pa.Table
    report: dict[str, int]


@dataclass(frozen=True)
class _Shard:
    rows: IntArray  # places in the metadata
    status: Words
    detail: Words
    vectors: tuple[Float32Array, ...]
    original: Float32Array | None  # the same images in variant `original`
    original_ok: npt.NDArray[np.bool_]

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        usable: npt.NDArray[np.bool_] = self.status == status.OK
        return usable


def _words(table: pa.Table, name: str) -> Words:
    return np.array([value or "" for value in table.column(name).to_pylist()], dtype=np.str_)


def _floats(table: pa.Table, name: str) -> Float32Array:
    return np.array([np.nan if value is None else value for value in table.column(name).to_pylist()], dtype=np.float32)


def read_metadata(images: Sequence[Path], pose: Sequence[Path] = (), roles: Mapping[str, Any] | None = None) -> Metadata:
    """Metadata of a dataset from its images tables, the measured pose and the dataset's role rule.

    The yaw (pitch, roll) used for bins is the ground truth where there is one, else the measured pose, else the nominal one; ``yaw_source`` says
    which. Roles that are ``auto`` are decided by :func:`frontalbench.datasets.roles.resolve` with the rule ``roles``. Raises :class:`BadInput`
    when the shards repeat an image.
    """
    if not images:
        raise BadInput("images: no table given; expected the images tables of the dataset")
    table = tables.concatenate(images, tables.IMAGES, _METADATA)
    image_id = _words(table, "image_id")
    order = np.argsort(image_id, kind="stable")
    table, image_id = table.take(order), image_id[order]
    twice = np.flatnonzero(image_id[1:] == image_id[:-1])
    if len(twice):
        raise BadInput(f"{images[0]}: image_id '{image_id[twice[0]]}' occurs twice in the images tables; every image needs its own name")
    given = {name: _floats(table, name) for name in ("yaw", "pitch", "roll")}
    source = _words(table, "pose_source")
    truth, nominal = source == "ground_truth", source == "nominal"
    angles = {name: np.where(truth | nominal, values, np.nan).astype(np.float32) for name, values in given.items()}
    yaw_source = np.where(np.isfinite(angles["yaw"]), source, "").astype("<U16")
    nominal_yaw = np.where(nominal, given["yaw"], np.nan).astype(np.float32)
    measured = tables.concatenate(pose, tables.POSE) if pose else None
    if measured is not None:
        ids = _words(measured, "image_id")
        usable = (_words(measured, "status") == status.OK) & np.isfinite(_floats(measured, "yaw"))
        places = np.minimum(np.searchsorted(image_id, ids), len(image_id) - 1)
        usable &= image_id[places] == ids
        usable &= ~(truth & np.isfinite(given["yaw"]))[places]
        for name in angles:
            angles[name][places[usable]] = _floats(measured, name)[usable]
        yaw_source[places[usable]] = "measured"
    subject = _words(table, "subject")
    identity = _words(table, "identity")
    subject = np.where(subject == "", identity, subject)
    digest = _words(table, "sha256")
    _, photo = np.unique(np.where(digest == "", np.char.add("id:", image_id), digest), return_inverse=True)
    _, subject_code = np.unique(subject, return_inverse=True)
    words = _words(table, "status")
    role = _words(table, "role")
    if (role == "auto").any():
        from frontalbench.datasets.roles import resolve

        role = np.array(resolve(table, measured, roles), dtype=np.str_)
    return Metadata(
        image_id=image_id,
        identity=identity,
        subject=subject,
        role=role,
        status=words,
        detail=_words(table, "detail"),
        photo=photo.astype(np.int64),
        subject_code=subject_code.astype(np.int64),
        yaw=angles["yaw"],
        pitch=angles["pitch"],
        roll=angles["roll"],
        yaw_source=yaw_source,
        nominal_yaw=nominal_yaw,
    )


def read_embeddings(path: Path) -> tuple[Words, Words, Words, Float32Array]:
    """(image_id, status, detail, vectors (n, D)) of one embeddings shard; rows that are not ok are zero.

    A row whose embedding is not finite becomes ``model_error``. Raises :class:`BadInput` when the vectors are not L2-normalised.
    """
    table = tables.read(path)
    for name in ("image_id", "status", "detail", "embedding"):
        if name not in table.column_names:
            raise BadInput(f"{path}: column '{name}' is missing; expected an embeddings table (extract_embeddings.py writes them)")
    if not pa.types.is_fixed_size_list(table.schema.field("embedding").type):
        raise BadInput(f"{path}: column 'embedding' should be a list of fixed size, is {table.schema.field('embedding').type}")
    words, detail = _words(table, "status").astype("<U32"), _words(table, "detail").astype("<U300")
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
    return _words(table, "image_id"), words, detail, vectors


class _Originals:
    """Embeddings of the variant `original`, by shard where the shards correspond, else all at once."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._all: tuple[Words, npt.NDArray[np.bool_], Float32Array] | None = None

    def take(self, number: int, n_shards: int, ids: Words) -> tuple[Float32Array, npt.NDArray[np.bool_]]:
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


def _places(meta: Metadata, ids: Words, path: Path) -> IntArray:
    places = np.minimum(np.searchsorted(meta.image_id, ids), len(meta) - 1)
    unknown = np.flatnonzero(meta.image_id[places] != ids)
    if len(unknown):
        raise BadInput(
            f"{path}: image '{ids[unknown[0]]}' is not in the images tables; the embeddings belong to another version of the dataset"
        )
    return places


def _plain_shards(meta: Metadata, paths: Sequence[Path], originals: _Originals | None) -> Iterator[_Shard]:
    for number, path in enumerate(paths):
        ids, words, detail, vectors = read_embeddings(path)
        rows = _places(meta, ids, path)
        if originals is None:
            yield _Shard(rows, words, detail, (vectors,), None, np.zeros(len(ids), np.bool_))
        else:
            original, there = originals.take(number, len(paths), ids)
            yield _Shard(rows, words, detail, (vectors,), original, there)


def _derive(shard: _Shard, recipe: Derived, shift: FloatArray | None, feature: FeatureMap | None, yaw: Float32Array) -> _Shard:
    original, frontal, ok, there = shard.original, shard.vectors[0], shard.ok, shard.original_ok
    assert original is not None
    words, detail = shard.status.copy(), shard.detail.copy()
    if recipe.recipe == "control_meanshift":
        assert shift is not None
        keep = ok & there
        words[ok & ~there], detail[ok & ~there] = status.NO_FACE, "no embedding of the original"
        vectors: tuple[Float32Array, ...] = (np.where(keep[:, None], recipes.mean_shift(original, shift), np.float32(0.0)),)
        return _Shard(shard.rows, words, detail, vectors, original, there)
    words[there] = status.OK
    detail[there & ~ok] = "original alone: the frontal has no embedding"
    detail[ok & ~there] = "frontal alone: the original has no embedding"
    detail[ok & there] = ""
    first = np.where(there[:, None], original, frontal)
    second = np.where(ok[:, None], frontal, original)
    if recipe.recipe == "feature_frontal":
        if feature is None:
            usable = words == status.OK
            words[usable], detail[usable] = status.WEIGHTS_MISSING, "no feature map of this backbone"
        vectors = (np.zeros_like(first) if feature is None else feature.apply(first, second, yaw[shard.rows]),)
    else:
        vectors = (first, second) if recipe.combine else (recipes.fuse_mean(first, second, recipe.weight),)
    return _Shard(shard.rows, words, detail, vectors, original, there)


def _mean_shift_of(meta: Metadata, shards: Iterator[_Shard]) -> FloatArray:
    """Mean frontal minus mean angled embedding over the probes that have both."""
    total: FloatArray | None = None
    n = 0
    for shard in shards:
        assert shard.original is not None
        both = shard.ok & shard.original_ok & (meta.role[shard.rows] == "probe")
        part = (shard.vectors[0][both].astype(np.float64) - shard.original[both]).sum(axis=0)
        total, n = part if total is None else total + part, n + int(both.sum())
    if total is None:
        raise BadInput("embeddings: no table given")
    return total / max(n, 1)


def read_gallery(meta: Metadata, references: Sequence[Path]) -> tuple[Gallery, IntArray]:
    """The usable references (role ``reference``, status ok, original pictures) sorted by subject, and their places in ``meta``."""
    vectors, rows = [], []
    for path in references:
        ids, words, _, matrix = read_embeddings(path)
        places = _places(meta, ids, path)
        chosen = (words == status.OK) & (meta.role[places] == "reference")
        vectors.append(matrix[chosen])
        rows.append(places[chosen])
    if not rows:
        raise BadInput("references: no table given; expected the embeddings of variant 'original'")
    place = np.concatenate(rows)
    order = np.lexsort((place, meta.subject_code[place]))
    place = place[order]
    return Gallery(np.concatenate(vectors)[order], meta.subject_code[place], meta.photo[place]), place


@dataclass(frozen=True)
class _Galleries:
    """The references that probes are compared with: as they are, then turned to some angles. ``which`` (N,): each image's gallery.

    ``missing``: why there are no turned references at all, "" when there are some.
    """

    each: list[tuple[Gallery, IntArray]]
    which: IntArray
    missing: str = ""


def _turned_galleries(meta: Metadata, plain: tuple[Gallery, IntArray], turned: Sequence[Path], edges: Sequence[float]) -> _Galleries:
    """Galleries of references turned to the middles of the yaw's bins; a reference that could not be turned is left out of them."""
    parts = [read_embeddings(path) for path in turned]
    if not parts:
        raise BadInput("turned: no table given; expected the embeddings of the turned references")
    ids = np.concatenate([part[0] for part in parts])
    words = np.concatenate([part[1] for part in parts])
    details = np.concatenate([part[2] for part in parts])
    vectors = np.concatenate([part[3] for part in parts])
    named = [recipes.split_turned_id(str(name)) for name in ids]
    place = _places(meta, np.array([name for name, _ in named], dtype=np.str_), turned[0]) if named else np.zeros(0, np.int64)
    angle = np.array([yaw for _, yaw in named], np.int64)
    ok = words == status.OK
    missing = str(details[0]) if len(words) and (words == status.WEIGHTS_MISSING).all() else ""
    wanted = np.where(meta.role == "probe", recipes.matched_angles(meta.yaw, edges), 0)
    angles = sorted(set(wanted.tolist()) - {0})
    galleries = [plain]
    for yaw in angles:
        here = np.flatnonzero(ok & (angle == yaw))
        here = here[np.lexsort((place[here], meta.subject_code[place[here]]))]
        rows = place[here]
        galleries.append((Gallery(vectors[here], meta.subject_code[rows], meta.photo[rows]), rows))
    which = np.where(wanted == 0, 0, 1 + np.searchsorted(angles, wanted))
    return _Galleries(galleries, which, missing)


@dataclass
class _SubjectSums:
    """Sums of the probes' embeddings per subject, for means over all other probes of the subject without forming the pairs."""

    total: FloatArray
    count: IntArray
    repeated: dict[tuple[int, int], list[tuple[int, Float32Array]]]  # (subject, photo) of photographs with several names -> (row, vector)

    @staticmethod
    def over(meta: Metadata, shards: Iterator[_Shard]) -> _SubjectSums | None:
        _, counts = np.unique(meta.photo, return_counts=True)
        several = counts > 1
        sums: _SubjectSums | None = None
        n_subjects = int(meta.subject_code.max(initial=-1)) + 1
        for shard in shards:
            vectors = shard.vectors[0]
            if sums is None:
                sums = _SubjectSums(np.zeros((n_subjects, vectors.shape[1])), np.zeros(n_subjects, np.int64), {})
            chosen = np.flatnonzero(shard.ok & (meta.role[shard.rows] == "probe"))
            if not len(chosen):
                continue
            code = meta.subject_code[shard.rows[chosen]]
            order = np.argsort(code, kind="stable")
            found, starts = np.unique(code[order], return_index=True)
            sums.total[found] += np.add.reduceat(vectors[chosen[order]].astype(np.float64), starts, axis=0)
            sums.count += np.bincount(code, minlength=n_subjects)
            for i in chosen[several[meta.photo[shard.rows[chosen]]]]:
                row = int(shard.rows[i])
                sums.repeated.setdefault((int(meta.subject_code[row]), int(meta.photo[row])), []).append((row, vectors[i]))
        return sums

    def within(self, meta: Metadata, rows: IntArray, vectors: Float32Array) -> tuple[FloatArray, IntArray]:
        """(mean similarity to the other probes of the subject, their number) of probes that are part of the sums; NaN where there are none."""
        wide = vectors.astype(np.float64)
        code = meta.subject_code[rows]
        total = np.einsum("ij,ij->i", wide, self.total[code]) - np.einsum("ij,ij->i", wide, wide)
        count = self.count[code] - 1
        if self.repeated:
            for i, row in enumerate(rows):
                for other, vector in self.repeated.get((int(code[i]), int(meta.photo[row])), []):
                    if other != row:  # the same photograph under another name
                        total[i] -= float(wide[i] @ vector.astype(np.float64))
                        count[i] -= 1
        return np.where(count > 0, total / np.maximum(count, 1), np.nan), count


def compare_cell(
    images: Sequence[Path],
    embeddings: Sequence[Path],
    references: Sequence[Path],
    *,
    pose: Sequence[Path] = (),
    roles: Mapping[str, Any] | None = None,
    variant: str = "",
    feature: FeatureMap | None = None,
    turned: Sequence[Path] = (),
    edges: Sequence[float] = (),
    tail: int = TAIL,
) -> CellResult:
    """Compare the embeddings of a variant with the original references.

    ``images``: images tables of the dataset (metadata columns only are read); ``embeddings``: shards of the variant; ``references``: shards of
    variant ``original`` of the same detector and backbone; ``pose``: measured pose of the originals; ``roles``: the dataset's role rule, needed
    when a role is ``auto``; ``variant``: the variant's name, needed only for derived ones (``fuse_mean:<variant>``, see :mod:`.derived`;
    ``embeddings`` are then those of ``<variant>``); ``feature``: the backbone's map, for ``feature_frontal``: without it every row of such a variant
    is ``weights_missing``; ``turned``: embeddings of the turned references, for ``pose_matched``, whose ``embeddings`` are
    the originals, and ``edges`` the edges of the bins of \\|yaw\\| to whose middles they were turned.

    Returns one row per image, whatever became of it, and the pair scores of probes and of references (:mod:`.scores`). A genuine pair is two
    different photographs (by content) of one subject; a pair with equal content is neither genuine nor impostor.
    Raises :class:`BadInput` when tables do not belong together.
    """
    meta = read_metadata(images, pose, roles)
    if not embeddings:
        raise BadInput("embeddings: no table given; expected the embeddings of the variant")
    recipe = recipes.parse(variant)
    plain = read_gallery(meta, references)
    matched = recipe is not None and recipe.recipe == "pose_matched"
    galleries = _turned_galleries(meta, plain, turned, edges) if matched else _Galleries([plain], np.zeros(len(meta), np.int64))
    is_original = recipe is None and [str(p) for p in embeddings] == [str(p) for p in references]
    originals = None if is_original else _Originals(references)
    shift: FloatArray | None = None
    if recipe is not None and recipe.recipe == "control_meanshift":
        shift = _mean_shift_of(meta, _plain_shards(meta, embeddings, originals))

    def shards() -> Iterator[_Shard]:
        for shard in _plain_shards(meta, embeddings, originals):
            yield shard if recipe is None or matched else _derive(shard, recipe, shift, feature, meta.yaw)

    by_score = recipe is not None and bool(recipe.combine)
    sums = None if by_score else _SubjectSums.over(meta, shards())

    n = len(meta)
    seen = np.zeros(n, np.bool_)
    words, detail = np.full(n, "", "<U32"), np.full(n, "", "<U300")
    names = ("genuine", "genuine_sd", "impostor", "impostor_sd", "impostor_max", "to_original", "within")
    value: dict[str, FloatArray] = {name: np.full(n, np.nan) for name in names}
    count: dict[str, IntArray] = {name: np.zeros(n, np.int64) for name in ("n_references", "n_impostors", "n_within", "rank")}
    sinks = {role: ImpostorSink(tail) for role in ("probe", "reference")}
    pairs: dict[str, list[tuple[IntArray, IntArray, Float32Array]]] = {"probe": [], "reference": []}
    combine = recipe.combine if recipe is not None else ""

    for shard in shards():
        if seen[shard.rows].any():
            twice = meta.image_id[shard.rows[np.flatnonzero(seen[shard.rows])[0]]]
            raise BadInput(f"{embeddings[0]}: image '{twice}' occurs twice in the embeddings")
        seen[shard.rows] = True
        words[shard.rows], detail[shard.rows] = shard.status, shard.detail
        for (gallery, gallery_rows), role, chosen in _shares(meta, shard, galleries):
            for start in range(0, len(chosen), _PASS):
                take = chosen[start : start + _PASS]
                rows = shard.rows[take]
                batch = Batch(tuple(v[take] for v in shard.vectors), meta.subject_code[rows], meta.photo[rows], combine)
                at, column, score = genuine_pairs(batch, gallery)
                number = np.bincount(at, minlength=len(rows))
                wide = score.astype(np.float64)
                with np.errstate(invalid="ignore", divide="ignore"):
                    mean = np.bincount(at, wide, minlength=len(rows)) / number
                    value["genuine_sd"][rows] = np.sqrt(np.bincount(at, (wide - mean[at]) ** 2, minlength=len(rows)) / number)
                value["genuine"][rows] = mean
                count["n_references"][rows] = number
                best = np.full(len(rows), -np.inf, np.float32)
                if len(at):  # pairs come sorted by row
                    some_pair = number > 0
                    best[some_pair] = np.maximum.reduceat(score, (np.cumsum(number) - number)[some_pair])
                best[number == 0] = np.nan
                strangers = ImpostorSums.zeros(len(rows))
                add_impostors(batch, gallery, best, strangers, sinks[role])
                some = strangers.count > 0
                with np.errstate(invalid="ignore", divide="ignore"):
                    average = strangers.total / strangers.count
                    spread = np.sqrt(np.maximum(strangers.squares / strangers.count - average**2, 0.0))
                value["impostor"][rows], value["impostor_sd"][rows] = average, spread
                value["impostor_max"][rows] = np.where(some, strangers.maximum, np.nan)
                count["n_impostors"][rows] = strangers.count
                count["rank"][rows] = np.where(number > 0, 1 + strangers.better, 0)
                pairs[role].append((rows[at], gallery_rows[column], score))
                if sums is not None and role == "probe":
                    value["within"][rows], count["n_within"][rows] = sums.within(meta, rows, shard.vectors[0][take])
                if shard.original is not None and not by_score:
                    near = np.einsum("ij,ij->i", shard.vectors[0][take].astype(np.float64), shard.original[take].astype(np.float64))
                    value["to_original"][rows] = np.where(shard.original_ok[take], near, np.nan)
    if not seen.all():
        raise BadInput(
            f"{embeddings[0]}: {int((~seen).sum())} images of the dataset have no row in the embeddings, e.g. '{meta.image_id[~seen][0]}'; "
            "make the embeddings of every shard"
        )
    if galleries.missing:
        fit = words == status.OK
        words[fit], detail[fit] = status.WEIGHTS_MISSING, galleries.missing
    elif matched:
        lost = (words == status.OK) & (galleries.which > 0) & (count["n_references"] == 0) & np.isin(meta.subject_code, plain[0].subject)
        words[lost], detail[lost] = status.MODEL_ERROR, "none of the subject's references could be turned to this pose"
    report = _finish(meta, words, detail, count["n_references"], plain[0])
    similarity = _similarity_table(meta, words, detail, value, count)
    scores = pa.concat_tables([_scores_table(meta, role, pairs[role], sinks[role]) for role in ("probe", "reference")])
    return CellResult(similarity, scores, report)


def _shares(meta: Metadata, shard: _Shard, galleries: _Galleries) -> Iterator[tuple[tuple[Gallery, IntArray], str, IntArray]]:
    """(gallery, role, rows of the shard) for every part of a shard that is compared with one gallery."""
    which = galleries.which[shard.rows]
    for number, gallery in enumerate(galleries.each):
        for role in ("probe", "reference"):
            chosen = np.flatnonzero(shard.ok & (meta.role[shard.rows] == role) & (which == number))
            if len(chosen):
                yield gallery, role, chosen


def _finish(meta: Metadata, words: Words, detail: Words, n_references: IntArray, gallery: Gallery) -> dict[str, int]:
    """Set the statuses that only a whole cell can know; returns the counts."""
    ok = words == status.OK
    unused = ok & (meta.role != "probe") & (meta.role != "reference")
    words[unused], detail[unused] = status.NOT_USED, "role " + meta.role[unused].astype("<U20").astype(object)
    n_subjects = int(meta.subject_code.max(initial=-1)) + 1
    probe, reference = meta.role == "probe", meta.role == "reference"
    declared = np.bincount(meta.subject_code[reference], minlength=n_subjects)
    usable = np.bincount(gallery.subject, minlength=n_subjects) if len(gallery) else np.zeros(n_subjects, np.int64)
    lonely = ok & probe & (n_references == 0)
    words[lonely] = NO_REFERENCE
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


def _similarity_table(
    meta: Metadata, words: Words, detail: Words, value: Mapping[str, FloatArray], count: Mapping[str, IntArray]
) -> pa.Table:
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
    columns["rank"] = pa.array(count["rank"].astype(np.int32), mask=count["rank"] == 0)
    columns["n_same_photo"] = pa.array((copies[meta.photo] - 1).astype(np.int32))
    return pa.table([columns[field.name] for field in tables.SIMILARITY], schema=tables.SIMILARITY)


def _scores_table(meta: Metadata, role: str, pairs: Sequence[tuple[IntArray, IntArray, Float32Array]], sink: ImpostorSink) -> pa.Table:
    nothing = np.zeros(0, np.int64)
    rows = np.concatenate([nothing, *(p[0] for p in pairs)])
    others = np.concatenate([nothing, *(p[1] for p in pairs)])
    score = np.concatenate([np.zeros(0, np.float32), *(p[2] for p in pairs)])
    order = np.lexsort((others, rows))
    rows, others = rows[order], others[order]
    genuine = Genuine(
        score[order], meta.subject[rows].astype(object), meta.image_id[rows].astype(object), meta.image_id[others].astype(object)
    )
    return to_table(role, genuine, sink.result()).cast(SCORES)

"""One cell: embeddings of a variant against the original references -> one row per image, and the pair scores.

References are always the *original* pictures of role ``reference``, judged by the same detector and backbone. Embeddings are streamed shard by
shard; what stays in memory are the references, one sum per subject and some numbers per image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from frontalbench import status, tables
from frontalbench.compare import derived as recipes
from frontalbench.compare import gates, templates
from frontalbench.compare.feature import FeatureMap
from frontalbench.compare.galleries import Galleries, read_gallery, shares, turned_galleries
from frontalbench.compare.kernel import Batch, Gallery, ImpostorSums, add_impostors, genuine_pairs, group_of, n_groups
from frontalbench.compare.metadata import Metadata, Path, places_of, read_metadata, words_of
from frontalbench.compare.scores import SCORES, TAIL, Genuine, ImpostorSink, to_table
from frontalbench.compare.shards import Originals, Shard, derive, mean_shift_of, plain_shards
from frontalbench.errors import BadInput
from frontalbench.plan.variant import GATES, LEARNED, MATCHED, Variant, parse
from frontalbench.types import Bool, Float, Float32, Int, Words

_ROLES = ("probe", "reference")
_SAMPLE = (
    20_000_000  # so many impostor pairs, evenly over each person's images, are counted person by person; all of them where there are fewer
)
_PASS = 2048  # probes handed to the kernel at once; bounds the genuine pairs held while they are made


@dataclass(frozen=True)
class CellResult:
    """``similarity`` with schema ``tables.SIMILARITY``, ``scores`` with schema ``scores.SCORES``, and counts for the provenance record."""

    similarity: pa.Table
    scores: pa.Table
    report: dict[str, int]


@dataclass
class _SubjectSums:
    """Sums of the probes' embeddings per subject, for means over all other probes of the subject without forming the pairs."""

    total: Float
    count: Int
    repeated: dict[tuple[int, int], list[tuple[int, Float32]]]  # (subject, photo) of photographs with several names -> (row, vector)

    @staticmethod
    def over(meta: Metadata, shards: Iterator[Shard]) -> _SubjectSums | None:
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

    def within(self, meta: Metadata, rows: Int, vectors: Float32) -> tuple[Float, Int]:
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


@dataclass
class _Scores:
    """What comparing gives, as it grows: numbers per image ((N,), NaN or 0 where there is nothing to say) and the pair scores of each role."""

    meta: Metadata
    combine: str
    sums: _SubjectSums | None
    value: dict[str, Float]
    count: dict[str, Int]
    pairs: dict[str, list[tuple[Int, Int, Float32]]]
    sinks: dict[str, ImpostorSink]
    groups: int
    moves: npt.NDArray[np.float16]  # (N, groups)
    sampled: Bool
    people: dict[str, Bool]  # (subjects,): those whose probes were compared with strangers

    @staticmethod
    def of(meta: Metadata, combine: str, sums: _SubjectSums | None, tail: int, n_references: int) -> _Scores:
        n = len(meta)
        n_subjects = int(meta.subject_code.max(initial=-1)) + 1
        groups = n_groups(n_subjects)
        return _Scores(
            meta,
            combine,
            sums,
            {
                name: np.full(n, np.nan)
                for name in ("genuine", "genuine_sd", "impostor", "impostor_sd", "impostor_max", "to_original", "within")
            },
            {name: np.zeros(n, np.int64) for name in ("n_references", "n_impostors", "n_within", "rank")},
            {role: [] for role in _ROLES},
            {role: ImpostorSink(tail) for role in _ROLES},
            groups,
            np.zeros((n, groups), np.float16),
            _sample(meta, n_references),
            {role: np.zeros(n_subjects, np.bool_) for role in _ROLES},
        )

    def add(self, shard: Shard, take: Int, role: str, gallery: Gallery, gallery_rows: Int) -> None:
        """Compare the rows ``take`` of a shard, all of one role, with a gallery whose references stand at ``gallery_rows`` of the metadata."""
        rows = shard.rows[take]
        vectors = tuple(v[take] for v in shard.vectors)
        batch = Batch(vectors, self.meta.subject_code[rows], self.meta.photo[rows], self.combine, self.sampled[rows])
        best = self._add_genuine(batch, rows, role, gallery, gallery_rows)
        self._add_strangers(batch, rows, role, gallery, best)
        if self.sums is not None and role == "probe":
            self.value["within"][rows], self.count["n_within"][rows] = self.sums.within(self.meta, rows, shard.vectors[0][take])
        if shard.original is not None and not self.combine:
            near = np.einsum("ij,ij->i", shard.vectors[0][take].astype(np.float64), shard.original[take].astype(np.float64))
            self.value["to_original"][rows] = np.where(shard.original_ok[take], near, np.nan)

    def _add_genuine(self, batch: Batch, rows: Int, role: str, gallery: Gallery, gallery_rows: Int) -> Float32:
        """Returns each row's best genuine similarity, NaN without a pair."""
        at, column, score = genuine_pairs(batch, gallery)
        first = np.searchsorted(at, np.arange(len(rows) + 1, dtype=at.dtype))  # pairs come sorted by row
        number = np.diff(first)
        wide = score.astype(np.float64)
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.bincount(at, wide, minlength=len(rows)) / number
            self.value["genuine_sd"][rows] = np.sqrt(np.bincount(at, (wide - mean[at]) ** 2, minlength=len(rows)) / number)
        self.value["genuine"][rows] = mean
        self.count["n_references"][rows] = number
        self.pairs[role].append((rows[at], gallery_rows[column], score))
        best = np.full(len(rows), np.nan, np.float32)
        if len(at):
            some = number > 0
            best[some] = np.maximum.reduceat(score, first[:-1][some])
        return best

    def _add_strangers(self, batch: Batch, rows: Int, role: str, gallery: Gallery, best: Float32) -> None:
        strangers = ImpostorSums.zeros(len(rows), self.groups)
        add_impostors(batch, gallery, best, strangers, self.sinks[role])
        of_probes = np.bincount(group_of(batch.subject, self.groups), strangers.count, minlength=self.groups)
        self.sinks[role].add_numbers(np.stack([of_probes, strangers.group_count.sum(axis=0)], axis=1).astype(np.int64))
        self.moves[rows] = strangers.moves()
        self.people[role][batch.subject[strangers.count > 0]] = True
        with np.errstate(invalid="ignore", divide="ignore"):
            average = strangers.total / strangers.count
            spread = np.sqrt(np.maximum(strangers.squares / strangers.count - average**2, 0.0))
        self.value["impostor"][rows], self.value["impostor_sd"][rows] = average, spread
        self.value["impostor_max"][rows] = np.where(strangers.count > 0, strangers.maximum, np.nan)
        self.count["n_impostors"][rows] = strangers.count
        self.count["rank"][rows] = np.where(np.isfinite(best), 1 + strangers.better, 0)

    def add_uncommon(self, shard: Shard, gallery: Gallery) -> None:
        """Count the impostor scores of probes that only one of this variant and `original` gave, to be taken out of a comparison of the two."""
        if shard.original is None:
            return
        probe = self.meta.role[shard.rows] == "probe"
        for role, chosen, vectors in (
            ("lost", probe & shard.original_ok & ~shard.ok, (shard.original,)),
            ("gained", probe & shard.ok & ~shard.original_ok, shard.vectors),
        ):
            take = np.flatnonzero(chosen)
            if not len(take):
                continue
            rows = shard.rows[take]
            batch = Batch(
                tuple(v[take] for v in vectors),
                self.meta.subject_code[rows],
                self.meta.photo[rows],
                self.combine if len(vectors) > 1 else "",
            )
            strangers = ImpostorSums.zeros(len(take), self.groups)
            sink = self.sinks.setdefault(role, ImpostorSink(self.sinks["probe"].keep))
            add_impostors(batch, gallery, np.full(len(take), np.nan, np.float32), strangers, sink)
            of_probes = np.bincount(group_of(batch.subject, self.groups), strangers.count, minlength=self.groups)
            sink.add_numbers(np.stack([of_probes, strangers.group_count.sum(axis=0)], axis=1).astype(np.int64))

    def uncommon(self) -> list[pa.Table]:
        """The impostor scores of :meth:`add_uncommon`, of those roles that there are."""
        return [_scores_table(self.meta, role, [], self.sinks[role], 0) for role in ("lost", "gained") if role in self.sinks]

    def table(self, role: str, gallery: Gallery) -> pa.Table:
        """The pair scores of one role, with schema ``scores.SCORES``."""
        people, references = self.people[role], np.zeros(len(self.people[role]), np.bool_)
        references[gallery.subject] = True
        pairs = int(people.sum()) * int(references.sum()) - int((people & references).sum())
        return _scores_table(self.meta, role, self.pairs[role], self.sinks[role], pairs)


def _sample(meta: Metadata, n_references: int) -> Bool:
    """(N,): the images whose impostor scores are counted person by person: every k-th of each person and role, beginning with the first."""
    chosen = np.isin(meta.role, _ROLES)
    step = max(1, -(-int(chosen.sum()) * n_references // _SAMPLE))
    key = np.where(chosen, meta.subject_code * 2 + (meta.role == "probe"), -1)
    order = np.argsort(key, kind="stable")
    place = np.empty(len(key), np.int64)
    place[order] = np.arange(len(key)) - np.searchsorted(key[order], key[order], "left")
    sampled: Bool = chosen & (place % step == 0)
    return sampled


def variant_shards(
    meta: Metadata,
    variant: Variant,
    embeddings: Sequence[Path],
    references: Sequence[Path],
    gallery: Gallery,
    feature: FeatureMap | None = None,
    *,
    original: bool = False,
) -> Callable[[], Iterator[Shard]]:
    """What gives the shards of a variant, derived ones derived, as often as it is called. ``embeddings``, ``references``, ``feature`` as in
    :func:`compare_cell`; ``original``: the variant is `original` itself."""
    originals = None if original else Originals(references)
    plain = variant.has_pixels or variant.recipe == MATCHED
    if variant.is_template:
        made = templates.pooled(meta, plain_shards(meta, embeddings, None), templates.weights_of(variant.recipe, meta, embeddings))
        return lambda: (templates.replaced(meta, shard, made) for shard in plain_shards(meta, embeddings, originals))
    shift: Float | None = None
    gate: gates.Gate | None = None
    if variant.recipe == "control_meanshift":
        shift = mean_shift_of(meta, plain_shards(meta, embeddings, originals))
    elif variant.recipe in GATES:
        gate = gates.by_yaw(meta.yaw, variant.angle or 0.0)
    elif variant.recipe == LEARNED:
        gain = _identity_gain(meta, gallery, plain_shards(meta, embeddings, originals))
        chance = gates.cross_fitted(_seen(meta, references), gain, meta.subject_code)
        gate = gates.learned(np.where(meta.role == "probe", chance, np.nan))

    def shards() -> Iterator[Shard]:
        for shard in plain_shards(meta, embeddings, originals):
            yield shard if plain else derive(shard, variant, shift, feature, meta.yaw, gate)

    return shards


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
    named = parse(variant)
    recipe = None if named.has_pixels else named
    plain = read_gallery(meta, references)
    matched = recipe is not None and recipe.recipe == MATCHED
    galleries = turned_galleries(meta, plain, turned, edges) if matched else Galleries([plain], np.zeros(len(meta), np.int64))
    if named.is_template:
        one_each = templates.gallery(meta, plain, templates.weights_of(named.recipe, meta, references))
        galleries = Galleries([plain, one_each], np.where(meta.role == "probe", 1, 0))
    is_original = recipe is None and [str(p) for p in embeddings] == [str(p) for p in references]
    shards = variant_shards(meta, named, embeddings, references, plain[0], feature, original=is_original)
    combine = recipes.combine(named.recipe)
    sums = None if combine or named.is_template else _SubjectSums.over(meta, shards())  # templates of one recording are one

    n = len(meta)
    seen = np.zeros(n, np.bool_)
    words, detail = np.full(n, "", "<U32"), np.full(n, "", "<U300")
    scores = _Scores.of(meta, combine, sums, tail, len(plain[0]))
    for shard in shards():
        if seen[shard.rows].any():
            twice = meta.image_id[shard.rows[np.flatnonzero(seen[shard.rows])[0]]]
            raise BadInput(f"{embeddings[0]}: image '{twice}' occurs twice in the embeddings")
        seen[shard.rows] = True
        words[shard.rows], detail[shard.rows] = shard.status, shard.detail
        scores.add_uncommon(shard, plain[0])
        for gallery, role, chosen in shares(meta, shard, galleries):
            for start in range(0, len(chosen), _PASS):
                scores.add(shard, chosen[start : start + _PASS], role, *gallery)
    if not seen.all():
        raise BadInput(
            f"{embeddings[0]}: {int((~seen).sum())} images of the dataset have no row in the embeddings, e.g. '{meta.image_id[~seen][0]}'; "
            "make the embeddings of every shard"
        )
    if galleries.missing:
        fit = words == status.OK
        words[fit], detail[fit] = status.WEIGHTS_MISSING, galleries.missing
    elif matched:
        lost = (
            (words == status.OK)
            & (galleries.which > 0)
            & (scores.count["n_references"] == 0)
            & np.isin(meta.subject_code, plain[0].subject)
        )
        words[lost], detail[lost] = status.MODEL_ERROR, "none of the subject's references could be turned to this pose"
    report = _finish(meta, words, detail, scores.count["n_references"], plain[0])
    similarity = _similarity_table(meta, words, detail, scores)
    return CellResult(similarity, pa.concat_tables([*(scores.table(role, plain[0]) for role in _ROLES), *scores.uncommon()]), report)


def _seen(meta: Metadata, references: Sequence[Path]) -> Float:
    """(N, 4) what a learned gate sees of each photograph (:func:`.gates.design`)."""
    score, norm = np.full(len(meta), np.nan), np.full(len(meta), np.nan)
    for path in references:
        table = tables.read(path, columns=["image_id", "score", "norm"])
        rows = places_of(meta, words_of(table, "image_id"), path)
        for name, values in (("score", score), ("norm", norm)):
            values[rows] = [np.nan if value is None else value for value in table.column(name).to_pylist()]
    return gates.design(meta.yaw, meta.pitch, score, norm)


def _identity_gain(meta: Metadata, gallery: Gallery, shards: Iterator[Shard]) -> Float:
    """(N,) of each probe with both embeddings: what its frontal gains on the own references more than on strangers'; NaN elsewhere."""
    n_subjects = int(meta.subject_code.max(initial=-1)) + 1
    sums = np.zeros((n_subjects, gallery.vectors.shape[1]))
    np.add.at(sums, gallery.subject, np.asarray(gallery.vectors, np.float64))
    number = np.bincount(gallery.subject, minlength=n_subjects)
    everybody, n = sums.sum(axis=0), len(gallery.subject)
    gain = np.full(len(meta), np.nan)
    for shard in shards:
        assert shard.original is not None
        code = meta.subject_code[shard.rows]
        own, others = number[code], n - number[code]
        usable = shard.ok & shard.original_ok & (meta.role[shard.rows] == "probe") & (own > 0) & (others > 0)
        moved = (shard.vectors[0].astype(np.float64) - shard.original)[usable]
        mean = sums[code[usable]]
        to_own = np.einsum("ij,ij->i", moved, mean) / own[usable]
        to_others = np.einsum("ij,ij->i", moved, everybody - mean) / others[usable]
        gain[shard.rows[usable]] = to_own - to_others
    return gain


def _finish(meta: Metadata, words: Words, detail: Words, n_references: Int, gallery: Gallery) -> dict[str, int]:
    """Set the statuses that only a whole cell can know; returns the counts."""
    ok = words == status.OK
    unused = ok & (meta.role != "probe") & (meta.role != "reference")
    words[unused], detail[unused] = status.NOT_USED, "role " + meta.role[unused].astype("<U20").astype(object)
    n_subjects = int(meta.subject_code.max(initial=-1)) + 1
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


def _similarity_table(meta: Metadata, words: Words, detail: Words, scores: _Scores) -> pa.Table:
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


def _scores_table(meta: Metadata, role: str, pairs: Sequence[tuple[Int, Int, Float32]], sink: ImpostorSink, n: int) -> pa.Table:
    nothing = np.zeros(0, np.int64)
    rows = np.concatenate([nothing, *(p[0] for p in pairs)])
    others = np.concatenate([nothing, *(p[1] for p in pairs)])
    score = np.concatenate([np.zeros(0, np.float32), *(p[2] for p in pairs)])
    order = np.lexsort((others, rows))
    rows, others = rows[order], others[order]
    genuine = Genuine(
        score[order], meta.subject[rows].astype(object), meta.image_id[rows].astype(object), meta.image_id[others].astype(object)
    )
    return to_table(role, genuine, sink.result(n)).cast(SCORES)

"""Numbers per image and pair scores from shards and galleries: what a cell's table and score file are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from frontalbench.compare.kernel import Batch, Gallery, ImpostorSums, add_impostors, genuine_pairs, group_of, n_groups
from frontalbench.compare.metadata import Metadata
from frontalbench.compare.scores import SCORES, Genuine, ImpostorSink, to_table
from frontalbench.compare.shards import Shard
from frontalbench.types import Bool, Float, Float32, Int

ROLES = ("probe", "reference")
"""Whose images are compared."""
_SAMPLE = 20_000_000
"""So many impostor pairs, evenly over each person's images, are counted person by person; all of them where there are fewer."""


@dataclass
class SubjectSums:
    """Sums of the probes' embeddings per subject, for means over all other probes of the subject without forming the pairs."""

    total: Float
    count: Int
    repeated: dict[tuple[int, int], list[tuple[int, Float32]]]  # (subject, photo) of photographs with several names -> (row, vector)

    @staticmethod
    def over(meta: Metadata, shards: Iterable[Shard]) -> SubjectSums | None:
        _, counts = np.unique(meta.photo, return_counts=True)
        several = counts > 1
        sums: SubjectSums | None = None
        n_subjects = meta.n_subjects
        for shard in shards:
            vectors = shard.vectors[0]
            if sums is None:
                sums = SubjectSums(np.zeros((n_subjects, vectors.shape[1])), np.zeros(n_subjects, np.int64), {})
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
class CellScores:
    """What comparing gives, as it grows: numbers per image ((N,), NaN or 0 where there is nothing to say) and the pair scores of each role."""

    meta: Metadata
    combine: str
    sums: SubjectSums | None
    value: dict[str, Float]
    count: dict[str, Int]
    pairs: dict[str, list[tuple[Int, Int, Float32]]]
    sinks: dict[str, ImpostorSink]
    groups: int
    moves: npt.NDArray[np.float16]  # (N, groups)
    sampled: Bool
    people: dict[str, Bool]  # (subjects,): those whose probes were compared with strangers

    @staticmethod
    def of(meta: Metadata, combine: str, sums: SubjectSums | None, tail: int, n_references: int) -> CellScores:
        n = len(meta)
        n_subjects = meta.n_subjects
        groups = n_groups(n_subjects)
        return CellScores(
            meta,
            combine,
            sums,
            {
                name: np.full(n, np.nan)
                for name in ("genuine", "genuine_sd", "impostor", "impostor_sd", "impostor_max", "to_original", "within")
            },
            {name: np.zeros(n, np.int64) for name in ("n_references", "n_impostors", "n_within", "rank")},
            {role: [] for role in ROLES},
            {role: ImpostorSink(tail) for role in ROLES},
            groups,
            np.zeros((n, groups), np.float16),
            _sample(meta, n_references),
            {role: np.zeros(n_subjects, np.bool_) for role in ROLES},
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
        strangers = _strangers(batch, gallery, best, self.groups, self.sinks[role])
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
            sink = self.sinks.setdefault(role, ImpostorSink(self.sinks["probe"].keep))
            _strangers(batch, gallery, np.full(len(take), np.nan, np.float32), self.groups, sink)

    def uncommon(self) -> list[pa.Table]:
        """The impostor scores of :meth:`add_uncommon`, of those roles that there are."""
        return [_scores_table(self.meta, role, [], self.sinks[role], 0) for role in ("lost", "gained") if role in self.sinks]

    def table(self, role: str, gallery: Gallery) -> pa.Table:
        """The pair scores of one role, with schema ``scores.SCORES``."""
        people, references = self.people[role], np.zeros(len(self.people[role]), np.bool_)
        references[gallery.subject] = True
        pairs = int(people.sum()) * int(references.sum()) - int((people & references).sum())
        return _scores_table(self.meta, role, self.pairs[role], self.sinks[role], pairs)


def _strangers(batch: Batch, gallery: Gallery, best: Float32, groups: int, sink: ImpostorSink) -> ImpostorSums:
    """What the strangers' references say of each row; their scores, and whose they are, are counted in ``sink``."""
    strangers = ImpostorSums.zeros(len(batch), groups)
    add_impostors(batch, gallery, best, strangers, sink)
    of_probes = np.bincount(group_of(batch.subject, groups), strangers.count, minlength=groups)
    sink.add_numbers(np.stack([of_probes, strangers.group_count.sum(axis=0)], axis=1).astype(np.int64))
    return strangers


def _sample(meta: Metadata, n_references: int) -> Bool:
    """(N,): the images whose impostor scores are counted person by person: every k-th of each person and role, beginning with the first."""
    chosen = np.isin(meta.role, ROLES)
    step = max(1, -(-int(chosen.sum()) * n_references // _SAMPLE))
    key = np.where(chosen, meta.subject_code * 2 + (meta.role == "probe"), -1)
    order = np.argsort(key, kind="stable")
    place = np.empty(len(key), np.int64)
    place[order] = np.arange(len(key)) - np.searchsorted(key[order], key[order], "left")
    sampled: Bool = chosen & (place % step == 0)
    return sampled


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

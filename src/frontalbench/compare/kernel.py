"""Pair scores by blocked matrix products: never a Python loop over pairs, memory flat whatever the size of the gallery.

A *gallery* holds reference embeddings sorted by subject, a *batch* holds probe embeddings. All scores are dot products of L2-normalised vectors.
Two images with the same ``photo`` code are one photograph under two names (or the very same row): such a pair is neither genuine nor impostor.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from frontalbench.compare.scores import MASKED, ImpostorSink
from frontalbench.types import Float, Float32, Int

Int32Array = npt.NDArray[np.int32]

BATCH = 512
"""Probes per block."""
BLOCK = 2048
"""References per block (more when one subject has more: blocks never cut a subject)."""

GROUPS = 200
"""People that are left out one by one; with more of them, so many groups of people (:func:`group_of`), which bounds what an image carries."""
TIE = np.float32(1e-6)
"""Two similarities closer than this are a tie: the products' rounding is smaller, and a difference that means something is larger."""

_CHUNK = 1 << 17  # scores of a block whose statistics are taken together


def n_groups(n_subjects: int) -> int:
    """How many groups of people are left out when there are ``n_subjects`` of them."""
    return min(n_subjects, GROUPS)


def group_of(subject: Int, groups: int) -> Int:
    """The group of each subject code (n,): the subject itself while there are no more than :data:`GROUPS`."""
    grouped: Int = subject % groups
    return grouped


@dataclass(frozen=True)
class Gallery:
    """Reference embeddings, sorted by subject.

    ``vectors`` float32 (m, D), best column by column in memory (:func:`by_columns`); ``subject`` int64 (m,) rising; ``photo`` int64 (m,),
    equal where the photograph is the same.
    """

    vectors: Float32
    subject: Int
    photo: Int
    _sums: dict[int, tuple[Float32, Int]] = field(default_factory=dict, repr=False, compare=False)

    def __len__(self) -> int:
        return len(self.subject)

    def by_group(self, groups: int) -> tuple[Float32, Int]:
        """(sums of the references' vectors float32 (groups, D), their numbers (groups,)): a group's sum of scores is one product."""
        if groups not in self._sums:
            sums = np.zeros((groups, self.vectors.shape[1]))
            people, starts = np.unique(self.subject, return_index=True)
            stops = np.append(starts[1:], len(self))
            for subject, start, stop in zip(people, starts, stops, strict=True):
                sums[subject % groups] += self.vectors[start:stop].sum(axis=0, dtype=np.float64)
            self._sums[groups] = sums.astype(np.float32), np.bincount(self.subject % groups, minlength=groups)
        return self._sums[groups]

    def block(self, start: int, stop: int) -> Gallery:
        """Rows ``start`` to ``stop``."""
        return Gallery(self.vectors[start:stop], self.subject[start:stop], self.photo[start:stop])

    def blocks(self, size: int = BLOCK) -> Iterator[tuple[int, Gallery]]:
        """(offset, block) of about ``size`` rows; a subject is never cut in two."""
        start = 0
        while start < len(self):
            stop = min(start + size, len(self))
            if stop < len(self):
                first = int(np.searchsorted(self.subject, self.subject[stop], "left"))
                stop = first if first > start else int(np.searchsorted(self.subject, self.subject[stop], "right"))
            yield start, self.block(start, stop)
            start = stop


def by_columns(vectors: Float32) -> Float32:
    """The same matrix, column by column in memory: products with its transpose take 3 to 7 % less time."""
    return np.asfortranarray(vectors)


@dataclass(frozen=True)
class Batch:
    """Probe embeddings.

    ``vectors``: one float32 (n, D), or two whose scores are combined by ``combine`` ("max" or "mean" of the two similarities);
    ``subject``, ``photo`` int64 (n,); ``sampled`` bool (n,): the rows whose scores are also counted person by person (None: all).
    """

    vectors: tuple[Float32, ...]
    subject: Int
    photo: Int
    combine: str = ""
    sampled: npt.NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.subject)

    def part(self, rows: Int | slice) -> Batch:
        """The given rows."""
        sampled = None if self.sampled is None else self.sampled[rows]
        return Batch(tuple(v[rows] for v in self.vectors), self.subject[rows], self.photo[rows], self.combine, sampled)

    def scores(self, vectors: Float32, out: Float32 | None = None) -> Float32:
        """float32 (n, m): similarity of each probe to each of ``vectors`` (m, D)."""
        scores: Float32 = np.matmul(self.vectors[0], vectors.T, out=out)
        if len(self.vectors) > 1:
            second = np.matmul(self.vectors[1], vectors.T)
            if self.combine == "max":
                np.maximum(scores, second, out=scores)
            elif self.combine == "mean":
                scores += second
                scores *= np.float32(0.5)
            else:
                raise ValueError(f"combine: expected max or mean, got {self.combine!r}")
        return scores


@dataclass(frozen=True)
class ImpostorSums:
    """Per probe: sum, sum of squares, maximum, number of impostor pairs, and how many other subjects score at least as high as the own best.

    ``group_total`` float64 and ``group_count`` int32 (n, groups): sum and number of the pairs with each group of people's references.
    """

    total: Float
    squares: Float
    maximum: Float32
    count: Int
    better: Int
    group_total: Float
    group_count: Int32Array

    @staticmethod
    def zeros(n: int, groups: int = 0) -> ImpostorSums:
        """Nothing seen yet (maximum -2)."""
        return ImpostorSums(
            *(np.zeros(n), np.zeros(n), np.full(n, -2, np.float32), np.zeros(n, np.int64), np.zeros(n, np.int64)),
            *(np.zeros((n, groups)), np.zeros((n, groups), np.int32)),
        )

    @property
    def groups(self) -> int:
        """Into how many groups people are counted; 0: not at all."""
        return int(self.group_total.shape[1])

    def moves(self) -> Float32:
        """float32 (n, groups): by how much a probe's mean changes when a group's references are gone; 0 where none are left or none were there."""
        rest = self.count[:, None] - self.group_count
        with np.errstate(invalid="ignore", divide="ignore"):
            moved = (self.total[:, None] - self.group_total) / rest - (self.total / self.count)[:, None]
        return np.where((rest > 0) & (self.group_count > 0), moved, 0.0).astype(np.float32)


def _own_columns(batch: Batch, gallery: Gallery) -> Iterator[tuple[Int | slice, int, int]]:
    """(rows, first column, end column) for every subject that is in both; rows are a slice where they lie side by side."""
    rising = bool(np.all(batch.subject[1:] >= batch.subject[:-1]))
    order = np.arange(len(batch)) if rising else np.argsort(batch.subject, kind="stable")
    subjects, starts, count = np.unique(batch.subject[order], return_index=True, return_counts=True)
    low = np.searchsorted(gallery.subject, subjects, "left")
    high = np.searchsorted(gallery.subject, subjects, "right")
    for i in np.flatnonzero(high > low):
        start, stop = int(starts[i]), int(starts[i] + count[i])
        yield (slice(start, stop) if rising else order[start:stop]), int(low[i]), int(high[i])


def _ranges(low: Int, count: Int) -> tuple[Int32Array, Int32Array]:
    """(rows, columns), 32 bits since there are many: row i paired with the columns low[i], low[i] + 1, ... (count[i] of them)."""
    rows = np.repeat(np.arange(len(low), dtype=np.int32), count)
    columns = np.repeat((low - (np.cumsum(count) - count)).astype(np.int32), count)
    columns += np.arange(len(rows), dtype=np.int32)
    return rows, columns


def _same_photo(batch: Batch, gallery: Gallery) -> tuple[Int32Array, Int]:
    """(rows, columns) of all pairs of equal photograph."""
    order = np.argsort(gallery.photo, kind="stable")
    photos = gallery.photo[order]
    low = np.searchsorted(photos, batch.photo, "left")
    rows, positions = _ranges(low, np.searchsorted(photos, batch.photo, "right") - low)
    return rows, order[positions]


def genuine_pairs(batch: Batch, gallery: Gallery) -> tuple[Int32Array, Int32Array, Float32]:
    """(rows, columns, scores) of all pairs of the same subject but different photographs, sorted by row, then column.

    One small matrix product per subject present in the batch.
    """
    low = np.searchsorted(gallery.subject, batch.subject, "left")
    count = np.searchsorted(gallery.subject, batch.subject, "right") - low
    first = np.cumsum(count) - count  # where a row's pairs begin
    scores = np.empty(int(count.sum()), np.float32)
    for members, start, stop in _own_columns(batch, gallery):
        block = batch.part(members).scores(gallery.vectors[start:stop])
        if isinstance(members, slice):
            scores[first[members.start] : first[members.start] + block.size] = block.ravel()
        else:
            scores[first[members][:, None] + np.arange(stop - start)] = block
    rows, columns = _ranges(low, count)
    same_rows, same_columns = _same_photo(batch, gallery)
    own = batch.subject[same_rows] == gallery.subject[same_columns]
    if not own.any():
        return rows, columns, scores
    different = np.ones(len(rows), np.bool_)
    different[first[same_rows[own]] + same_columns[own] - low[same_rows[own]]] = False
    return rows[different], columns[different], scores[different]


def add_impostors(batch: Batch, gallery: Gallery, own_best: Float32, sums: ImpostorSums, sink: ImpostorSink | None) -> None:
    """Compare every probe with every reference of other subjects; updates ``sums`` (in place) and ``sink``.

    ``own_best`` float32 (n,): a probe's highest genuine similarity, NaN where it has none (``better`` then stays 0). Ties (:data:`TIE`) count
    against the probe, so that a backbone which maps everything to one vector does not come out as perfect. May be called gallery block by
    gallery block; ``batch`` is taken in blocks of :data:`BATCH`.
    """
    buffer = np.empty(BATCH * BLOCK, np.float32)
    single = len(gallery) == 0 or bool(np.all(gallery.subject[1:] != gallery.subject[:-1]))
    to_beat = own_best - TIE
    for start in range(0, len(batch), BATCH):
        rows = slice(start, min(start + BATCH, len(batch)))
        part = batch.part(rows)
        n = len(part)
        people = _GroupSums(part, gallery, sums.groups) if sums.groups and len(gallery) else None
        for _, block in gallery.blocks():
            m = len(block)
            out = buffer[: n * m].reshape(n, m) if n * m <= buffer.size else None
            scores = part.scores(block.vectors, out)
            masked = np.zeros(n, np.int64)
            same_rows, same_columns = _same_photo(part, block)
            strange = part.subject[same_rows] != block.subject[same_columns]  # the others are own pairs already
            same_rows, same_columns = same_rows[strange], same_columns[strange]
            if people is not None:
                people.see(scores, block, same_rows, same_columns)
            for members, low, high in _own_columns(part, block):
                scores[members, low:high] = MASKED
                masked[members] = high - low
            scores[same_rows, same_columns] = MASKED
            masked += np.bincount(same_rows, minlength=n)
            row_max, ones = np.empty(n, np.float32), np.ones(m, np.float32)
            row_group, column_group = (
                (group_of(part.subject, sums.groups), group_of(block.subject, sums.groups)) if sums.groups else (None, None)
            )
            step = max(1, _CHUNK // m)
            for low in range(0, n, step):  # what is read several times stays in the cache
                high = min(low + step, n)
                chunk, at = scores[low:high], slice(start + low, start + high)
                chunk.max(axis=1, out=row_max[low:high])
                sums.total[at] += chunk @ ones  # three times as fast as sum(axis=1)
                sums.squares[at] += np.vecdot(chunk, chunk)
                if sink is not None:
                    sink.add(chunk, row_max[low:high], None if row_group is None else row_group[low:high], column_group)
            if sink is not None and row_group is not None and column_group is not None:
                chosen = slice(None) if part.sampled is None else np.flatnonzero(part.sampled)
                sink.add_people(scores[chosen], row_group[chosen], column_group, sums.groups)
            sums.total[rows] -= masked * float(MASKED)
            sums.squares[rows] -= masked * float(MASKED) ** 2
            sums.count[rows] += m - masked
            sums.maximum[rows] = np.maximum(sums.maximum[rows], row_max)
            beaten = np.flatnonzero(row_max >= to_beat[rows])
            if len(beaten):
                rivals = scores[beaten]
                if not single:
                    rivals = np.maximum.reduceat(rivals, np.flatnonzero(np.r_[True, block.subject[1:] != block.subject[:-1]]), axis=1)
                sums.better[start + beaten] += (rivals >= to_beat[rows][beaten, None]).sum(axis=1)
        if people is not None:
            sums.group_total[rows] += people.total
            sums.group_count[rows] += people.count


class _GroupSums:
    """Sums and numbers of a part's pairs with each group's references: one small product, less the pairs that do not count."""

    def __init__(self, part: Batch, gallery: Gallery, groups: int) -> None:
        vectors, numbers = gallery.by_group(groups)
        self._part, self._groups = part, groups
        self._own = group_of(part.subject, groups)
        self._alone = bool(gallery.subject[-1] < groups) and (not len(part) or int(part.subject.max()) < groups)  # a group is one person
        self._linear = part.combine != "max"
        rows = np.arange(len(part))
        self.total = part.scores(vectors).astype(np.float64) if self._linear else np.zeros((len(part), groups))
        self.count = np.repeat(numbers[None, :].astype(np.int32), len(part), axis=0)
        if self._alone:
            self.total[rows, self._own], self.count[rows, self._own] = 0.0, 0

    def see(self, scores: Float32, block: Gallery, rows: Int32Array, columns: Int) -> None:
        """Take out of the sums what a block of scores (n, m) holds of own references and, at (rows, columns), of strangers' same photographs."""
        if not self._linear:  # the larger of two similarities is no product with a sum
            starts = np.flatnonzero(np.r_[True, block.subject[1:] != block.subject[:-1]])
            group = group_of(block.subject[starts], self._groups)
            sums = np.add.reduceat(scores, starts, axis=1, dtype=np.float64)
            for person, column in zip(group.tolist(), sums.T, strict=True):
                self.total[:, person] += column
        if self._alone and not self._linear:
            self.total[np.arange(len(self._own)), self._own] = 0.0
        if not self._alone:
            for members, low, high in _own_columns(self._part, block):
                own = self._own[members]
                where = np.arange(len(self._part))[members]
                self.total[where, own] -= scores[members, low:high].sum(axis=1, dtype=np.float64)
                self.count[where, own] -= np.int32(high - low)
        if len(rows):
            group = group_of(block.subject[columns], self._groups)
            np.subtract.at(self.total, (rows, group), scores[rows, columns].astype(np.float64))
            np.subtract.at(self.count, (rows, group), 1)

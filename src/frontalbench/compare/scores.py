"""Pair scores of a cell: genuine scores exactly, impostor scores as a fine histogram with an exact upper tail.

A dataset of 13,000 probes and 5,700 strangers has 75 million impostor pairs: too many to keep, while error rates at small false match rates are
decided by the few highest of them. So every impostor score is counted in one of :data:`BINS` bins of equal width over [-1, 1], and the
:data:`TAIL` highest are kept exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from frontalbench.types import Bool, Float, Float32, Int, Objects

BINS = 8192
"""Bins over [-1, 1]; the width, 0.00024, is the resolution of thresholds outside the exact tail."""
TAIL = 100_000
"""Highest impostor scores that are kept exactly: false match rates up to TAIL / n are exact."""
TIE = 1e-6
"""Two similarities closer than this are a tie."""
PERSON_BINS = 512
"""Coarser bins in which the scores of each person's pairs are counted, for the spread over people of a false match rate outside the exact tail."""
MASKED = np.float32(-1.0 - 3.0 / (BINS / 2))
"""Written over pairs that do not count (own subject, same photograph) before a block is counted."""

_HALF = np.float32(BINS / 2)
_SHIFT = np.float32(BINS / 2 + 4)  # bin k of [-1, 1] is counter k + 4; MASKED falls into counter 1; rounding below -1 into counter 3
_COUNTERS = BINS + 8
_LOWEST = float(MASKED) + 1.0 / BINS  # real scores lie above, masked ones below
_PART = 1 << 15  # scores counted at once: the integer copy stays in the cache, several times faster than a whole block at once

SCORES = pa.schema(
    [
        ("role", pa.string()),  # whose comparisons: probe | reference (GT against GT) | lost | gained (see SCORES)
        ("kind", pa.string()),  # genuine | impostor_bin | impostor_tail | impostor_person | impostor_people
        ("subject", pa.string()),  # genuine only
        ("image_id", pa.string()),  # genuine only
        ("reference_id", pa.string()),  # genuine only
        ("score", pa.float32()),  # similarity; lower edge of the bin for impostor_bin and impostor_person
        ("count", pa.int64()),  # 1, or the pairs in the bin
        ("person", pa.int16()),  # impostor_tail: group of the probe's person; impostor_person: that group
        ("other", pa.int16()),  # impostor_tail: group of the reference's person
    ]
)
"""Schema of ``*.scores.parquet``.
``impostor_tail`` rows repeat the highest scores of ``impostor_bin`` exactly; do not add the two up. Roles ``lost`` (the original images of the
probes that failed in this variant only) and ``gained`` (the probes that failed in ``original`` only) hold impostor scores that are taken out of those
of ``original`` and of this variant, to compare the two over common images.
``impostor_person`` rows count, in :data:`PERSON_BINS` bins, the pairs that have a person of a group on either side; the one ``impostor_people`` row
holds the number of groups (``person``) and of ordered pairs of different people behind the impostor pairs (``count``)."""


def bin_edges() -> Float:
    """float64 (BINS + 1,): edges of the impostor histogram."""
    return np.linspace(-1.0, 1.0, BINS + 1)


@dataclass(frozen=True)
class People:
    """Whose the impostor pairs are: ``counts`` int64 (groups, PERSON_BINS) the pairs that a group has on either side; ``tail`` int16 (K, 2) the
    groups of probe and reference of every score of the tail; ``pairs`` the ordered pairs of different people behind all impostor pairs."""

    counts: Int
    tail: npt.NDArray[np.int16]
    pairs: int

    @property
    def groups(self) -> int:
        """Groups of people (each one person, while they are no more than ``kernel.GROUPS``)."""
        return len(self.counts)


@dataclass(frozen=True)
class Impostors:
    """The impostor distribution: ``counts`` int64 (BINS,) over :func:`bin_edges`, ``tail`` float32 (K,) the highest scores, descending;
    ``people``: whose they are, None where that was not recorded."""

    counts: Int
    tail: Float32
    people: People | None = None

    @property
    def n(self) -> int:
        """Number of impostor pairs."""
        return int(self.counts.sum())

    def without(self, part: Impostors) -> Impostors:
        """The distribution less that of some of its probes, whose scores were computed apart and may differ in the last digits."""
        if part.n == 0:
            return self
        counts = np.maximum(self.counts - part.counts, 0)
        own, other = self.people, part.people
        if own is None or other is None or own.groups != other.groups:
            return Impostors(counts, self.tail[_unmatched(self.tail, None, part.tail, None)])
        keep = _unmatched(self.tail, own.tail, part.tail, other.tail)
        return Impostors(counts, self.tail[keep], People(np.maximum(own.counts - other.counts, 0), own.tail[keep], own.pairs))

    @staticmethod
    def of(scores: npt.ArrayLike, tail: int = TAIL) -> Impostors:
        """The distribution of scores that are all at hand (any shape)."""
        sink = ImpostorSink(tail)
        sink.add(np.atleast_2d(np.asarray(scores, np.float32)).reshape(1, -1))
        return sink.result()


@dataclass
class ImpostorSink:
    """Counts impostor scores block by block; memory stays flat whatever the number of pairs."""

    keep: int = TAIL
    _counters: Int = field(default_factory=lambda: np.zeros(_COUNTERS, np.int64), init=False)
    _kept: list[Float32] = field(default_factory=list, init=False)
    _whose: list[npt.NDArray[np.int16]] = field(default_factory=list, init=False)
    _rows: Int | None = field(default=None, init=False)  # (groups, PERSON_BINS): sampled pairs by the probe's group
    _columns: Int | None = field(default=None, init=False)
    _numbers: Int | None = field(default=None, init=False)  # (groups, 2): all pairs by the group of probe and of reference
    _n_kept: int = field(default=0, init=False)
    _floor: float = field(default=-1.5, init=False)  # only scores above it can still belong to the tail
    _seen: int = field(default=0, init=False)
    _next: int = field(default=0, init=False)  # when so many scores have been seen, the floor is looked at again
    _scaled: Float32 = field(default_factory=lambda: np.empty(_PART, np.float32), init=False)
    _indices: npt.NDArray[np.uint16] = field(default_factory=lambda: np.empty(_PART, np.uint16), init=False)

    def add(
        self,
        block: Float32,
        row_max: Float32 | None = None,
        row_group: Int | None = None,
        column_group: Int | None = None,
    ) -> None:
        """Count float32 (n, m) scores; entries equal to :data:`MASKED` are left out. ``row_max``: the rows' maxima when already known;
        ``row_group`` (n,), ``column_group`` (m,): the people's groups, recorded for the tail."""
        if block.size == 0:
            return
        flat = block.reshape(-1)
        for start in range(0, flat.size, _PART):
            part = flat[start : start + _PART]
            scaled, indices = self._scaled[: part.size], self._indices[: part.size]
            np.multiply(part, _HALF, out=scaled)
            np.add(scaled, _SHIFT, out=scaled)
            np.copyto(indices, scaled, casting="unsafe")  # truncation is floor: all are positive
            self._counters += np.bincount(indices, minlength=_COUNTERS)
        self._seen += flat.size
        self._add_tail(block, block.max(axis=1) if row_max is None else row_max, row_group, column_group)

    def add_people(self, block: Float32, row_group: Int, column_group: Int, groups: int) -> None:
        """Count scores (n, m), a sample of the rows given to :meth:`add`, by the groups of people of rows (n,) and columns (m,)."""
        if self._rows is None or self._columns is None:
            self._rows, self._columns = (np.zeros((groups, PERSON_BINS), np.int64) for _ in range(2))
        if block.size == 0:
            return
        # as in `add`: two counters more at the lower end, the first for masked pairs
        width, half = PERSON_BINS + 4, np.float32(PERSON_BINS / 2)
        step = max(1, _PART // block.shape[1])
        places = np.arange(step)[:, None] * width
        offset = column_group * width
        of_rows, of_columns = np.zeros((len(block), width), np.int64), np.zeros(groups * width, np.int64)
        for start in range(0, len(block), step):
            part = block[start : start + step]
            bins = (part * half + (half + np.float32(2.0))).astype(np.int64)  # truncation is floor: all are positive
            of_columns += np.bincount((bins + offset).reshape(-1), minlength=groups * width)
            bins += places[: len(part)]
            of_rows[start : start + step] = np.bincount(bins.reshape(-1), minlength=len(part) * width).reshape(len(part), width)
        order = np.argsort(row_group, kind="stable")
        present, first = np.unique(row_group[order], return_index=True)
        self._rows[present] += np.add.reduceat(_inner(of_rows)[order], first, axis=0)
        self._columns += _inner(of_columns.reshape(groups, width))

    def add_numbers(self, numbers: Int) -> None:
        """Add the numbers of all pairs (groups, 2) by the group of the probe and of the reference, to which samples are scaled."""
        self._numbers = numbers if self._numbers is None else self._numbers + numbers

    def _add_tail(self, block: Float32, row_max: Float32, row_group: Int | None, column_group: Int | None) -> None:
        if float(row_max.max()) <= self._floor:
            return
        # The counters already know how high the tail begins at least: below the lower edge of the bin that holds the keep-th highest score
        # nothing can belong to it. Without this the first blocks would be kept whole.
        if self._seen >= self._next:
            above = np.cumsum(self._counters[:3:-1])
            counter = _COUNTERS - 1 - int(np.searchsorted(above, self.keep))
            self._floor = max(self._floor, (counter - float(_SHIFT)) / float(_HALF) - 1e-6) if counter > 4 else self._floor
            self._next = self._seen + self._seen // 16
        chosen = _above(block.reshape(-1), np.float32(max(self._floor, _LOWEST)))
        if len(chosen):
            self._kept.append(block.reshape(-1)[chosen])
            if row_group is not None and column_group is not None:
                width = block.shape[1]
                self._whose.append(np.stack([row_group[chosen // width], column_group[chosen % width]], axis=1).astype(np.int16))
            self._n_kept += len(chosen)
        if self._n_kept > 2 * self.keep:
            self._trim()

    def _trim(self) -> None:
        values = np.concatenate(self._kept) if self._kept else np.zeros(0, np.float32)
        whose = np.concatenate(self._whose) if self._whose else np.zeros((0, 2), np.int16)
        if len(values) > self.keep:
            highest = np.argpartition(values, len(values) - self.keep)[len(values) - self.keep :]
            values = values[highest]
            whose = whose[highest] if len(whose) else whose
            self._floor = float(values.min()) if self.keep else 2.0
        self._kept, self._whose, self._n_kept = [values], [whose] if len(whose) else [], len(values)

    def result(self, pairs_of_people: int = 0) -> Impostors:
        """The distribution so far; ``pairs_of_people``: ordered pairs of different people behind it."""
        self._trim()
        counts = self._counters[4 : 4 + BINS].copy()
        counts[0] += self._counters[2:4].sum()  # rounding below -1
        counts[-1] += self._counters[4 + BINS :].sum()  # +1 and rounding above it
        tail = self._kept[0]
        if self._rows is None or self._columns is None or (len(tail) and not self._whose):
            return Impostors(counts, np.sort(tail)[::-1])
        whose = self._whose[0] if self._whose else np.zeros((0, 2), np.int16)
        order = np.lexsort((whose[:, 1], whose[:, 0], -tail))
        sides = [self._rows, self._columns]
        if self._numbers is not None:
            sides = [_scaled(side, self._numbers[:, i]) for i, side in enumerate(sides)]
        return Impostors(counts, tail[order], People(sides[0] + sides[1], whose[order], pairs_of_people))


def _unmatched(tail: Float32, whose: npt.NDArray[np.int16] | None, part: Float32, part_whose: npt.NDArray[np.int16] | None) -> Bool:
    """(K,): scores of ``tail`` that are left when for each of ``part`` the nearest one of the same people is taken out."""

    def key(scores: Float32, people: npt.NDArray[np.int16] | None) -> Float:
        pair = np.zeros(len(scores)) if people is None else people[:, 0].astype(np.float64) * 1024 + people[:, 1]
        return pair * 4.0 + scores

    keep = np.ones(len(tail), np.bool_)
    if len(tail):
        part, part_whose = (part[part >= tail[-1]], None if part_whose is None else part_whose[part >= tail[-1]])
        keys = key(tail, whose)
        order = np.argsort(keys, kind="stable")
        wanted = key(part, part_whose)
        place = np.clip(np.searchsorted(keys[order], wanted), 1, max(len(tail) - 1, 1))
        near = np.minimum(place, len(tail) - 1)
        left = np.maximum(place - 1, 0)
        nearest = np.where(np.abs(keys[order][left] - wanted) <= np.abs(keys[order][near] - wanted), left, near)
        keep[order[nearest]] = False
    return keep


def _inner(counted: Int) -> Int:
    """The bins of [-1, 1] among the counters (n, PERSON_BINS + 4): masked pairs left out, rounding beyond the ends put into the last bins."""
    inner: Int = counted[:, 2 : 2 + PERSON_BINS].copy()
    inner[:, -1] += counted[:, 2 + PERSON_BINS :].sum(axis=1)
    return inner


def _scaled(counts: Int, numbers: Int) -> Int:
    """Counts of a sample (groups, bins), made to add up to ``numbers`` (groups,)."""
    seen = counts.sum(axis=1)
    scaled: Int = np.rint(counts * (numbers / np.maximum(seen, 1))[:, None]).astype(np.int64)
    return scaled


def _above(values: Float32, floor: np.float32) -> Int:
    """Where ``values`` (n,) are above ``floor``; they are few, so eight at a time are looked at."""
    whole = len(values) // 8 * 8
    some = np.flatnonzero((values[:whole] > floor).view(np.uint64) != 0)
    near = np.concatenate([(some[:, None] * 8 + np.arange(8)).reshape(-1), np.arange(whole, len(values))])
    found: Int = near[values[near] > floor]
    return found


@dataclass(frozen=True)
class Genuine:
    """Genuine pairs: ``scores`` float32 (n,), ``subject``, ``image_id``, ``reference_id`` object arrays (n,)."""

    scores: Float32
    subject: Objects
    image_id: Objects
    reference_id: Objects


def to_table(role: str, genuine: Genuine, impostors: Impostors) -> pa.Table:
    """Scores of one role as a table with schema :data:`SCORES`."""
    edges = bin_edges()[:-1].astype(np.float32)
    filled = np.flatnonzero(impostors.counts)
    n_g, n_b, n_t = len(genuine.scores), len(filled), len(impostors.tail)
    people = impostors.people
    who, where = np.nonzero(people.counts) if people is not None else (np.zeros(0, np.int64), np.zeros(0, np.int64))
    n_p, n_last = len(who), int(people is not None)
    nothing = [None] * (n_b + n_t + n_p + n_last)
    kinds = {"genuine": n_g, "impostor_bin": n_b, "impostor_tail": n_t, "impostor_person": n_p, "impostor_people": n_last}
    score = [genuine.scores, edges[filled], impostors.tail, where * (2.0 / PERSON_BINS) - 1.0, np.zeros(n_last)]
    count = [np.ones(n_g, np.int64), impostors.counts[filled], np.ones(n_t, np.int64)]
    person, other = np.full((2, n_g + len(nothing)), -1, np.int16)
    if people is not None:
        count += [people.counts[who, where], np.array([people.pairs])]
        person[n_g + n_b :] = np.concatenate([people.tail[:, 0], who, [people.groups]])
        other[n_g + n_b : n_g + n_b + n_t] = people.tail[:, 1]
    return pa.table(
        [
            pa.array([role] * (n_g + len(nothing)), pa.string()),
            pa.array([kind for kind, number in kinds.items() for _ in range(number)], pa.string()),
            pa.array([*genuine.subject, *nothing], pa.string()),
            pa.array([*genuine.image_id, *nothing], pa.string()),
            pa.array([*genuine.reference_id, *nothing], pa.string()),
            pa.array(np.concatenate(score).astype(np.float32), pa.float32()),
            pa.array(np.concatenate(count), pa.int64()),
            pa.array(person, pa.int16(), mask=person < 0),
            pa.array(other, pa.int16(), mask=other < 0),
        ],
        schema=SCORES,
    )


def from_table(table: pa.Table, role: str = "probe") -> tuple[Genuine, Impostors]:
    """The genuine pairs and the impostor distribution of one role, from a table with schema :data:`SCORES`."""
    import pyarrow.compute as pc

    table = table.filter(pc.equal(table.column("role"), role))

    def part(kind: str) -> pa.Table:
        return table.filter(pc.equal(table.column("kind"), kind))

    pairs, bins, tail = part("genuine"), part("impostor_bin"), part("impostor_tail")
    counts = np.zeros(BINS, np.int64)
    lower = np.asarray(bins.column("score"), dtype=np.float64)
    counts[np.rint((lower + 1.0) * (BINS / 2)).astype(np.int64)] = np.asarray(bins.column("count"))

    def words(name: str) -> Objects:
        coded = pairs.column(name).combine_chunks().dictionary_encode()
        pool: Objects = np.array(coded.dictionary.to_pylist(), dtype=object)
        return pool[np.asarray(coded.indices, dtype=np.int64)] if len(pool) else np.zeros(0, object)

    genuine = Genuine(np.asarray(pairs.column("score"), dtype=np.float32), words("subject"), words("image_id"), words("reference_id"))
    scores = np.asarray(tail.column("score"), dtype=np.float32)
    return genuine, Impostors(counts, scores, _people(part("impostor_people"), part("impostor_person"), tail))


def _people(about: pa.Table, persons: pa.Table, tail: pa.Table) -> People | None:
    if not about.num_rows:
        return None
    counts = np.zeros((about.column("person")[0].as_py(), PERSON_BINS), np.int64)
    bins = np.rint((np.asarray(persons.column("score"), dtype=np.float64) + 1.0) * (PERSON_BINS / 2)).astype(np.int64)
    counts[np.asarray(persons.column("person"), dtype=np.int64), bins] = np.asarray(persons.column("count"))
    whose = np.stack([np.asarray(tail.column(name), dtype=np.int16) for name in ("person", "other")], axis=1)
    return People(counts, whose, about.column("count")[0].as_py())

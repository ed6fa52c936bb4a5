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

FloatArray = npt.NDArray[np.float64]
Float32Array = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

BINS = 8192
"""Bins over [-1, 1]; the width, 0.00024, is the resolution of thresholds outside the exact tail."""
TAIL = 100_000
"""Highest impostor scores that are kept exactly: false match rates up to TAIL / n are exact."""
MASKED = np.float32(-1.0 - 3.0 / (BINS / 2))
"""Written over pairs that do not count (own subject, same photograph) before a block is counted."""

_HALF = np.float32(BINS / 2)
_SHIFT = np.float32(BINS / 2 + 4)  # bin k of [-1, 1] is counter k + 4; MASKED falls into counter 1; rounding below -1 into counter 3
_COUNTERS = BINS + 8
_LOWEST = float(MASKED) + 1.0 / BINS  # real scores lie above, masked ones below
_PART = 1 << 15  # scores counted at once: the integer copy stays in the cache, several times faster than a whole block at once

SCORES = pa.schema(
    [
        ("role", pa.string()),  # whose comparisons: probe | reference (GT against GT)
        ("kind", pa.string()),  # genuine | impostor_bin | impostor_tail
        ("subject", pa.string()),  # genuine only
        ("image_id", pa.string()),  # genuine only
        ("reference_id", pa.string()),  # genuine only
        ("score", pa.float32()),  # similarity; lower edge of the bin for impostor_bin
        ("count", pa.int64()),  # 1, or the pairs in the bin
    ]
)
"""Schema of ``*.scores.parquet``. ``impostor_tail`` rows repeat the highest scores of ``impostor_bin`` exactly; do not add the two up."""


def bin_edges() -> FloatArray:
    """float64 (BINS + 1,): edges of the impostor histogram."""
    return np.linspace(-1.0, 1.0, BINS + 1)


@dataclass(frozen=True)
class Impostors:
    """The impostor distribution: ``counts`` int64 (BINS,) over :func:`bin_edges`, ``tail`` float32 (K,) the highest scores, descending."""

    counts: IntArray
    tail: Float32Array

    @property
    def n(self) -> int:
        """Number of impostor pairs."""
        return int(self.counts.sum())

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
    _counters: IntArray = field(default_factory=lambda: np.zeros(_COUNTERS, np.int64), init=False)
    _kept: list[Float32Array] = field(default_factory=list, init=False)
    _n_kept: int = field(default=0, init=False)
    _floor: float = field(default=-1.5, init=False)  # only scores above it can still belong to the tail
    _seen: int = field(default=0, init=False)
    _next: int = field(default=0, init=False)  # when so many scores have been seen, the floor is looked at again
    _scaled: Float32Array = field(default_factory=lambda: np.empty(_PART, np.float32), init=False)
    _indices: npt.NDArray[np.uint16] = field(default_factory=lambda: np.empty(_PART, np.uint16), init=False)

    def add(self, block: Float32Array, row_max: Float32Array | None = None) -> None:
        """Count float32 (n, m) scores; entries equal to :data:`MASKED` are left out. ``row_max``: the rows' maxima when already known."""
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
        self._add_tail(block, block.max(axis=1) if row_max is None else row_max)

    def _add_tail(self, block: Float32Array, row_max: Float32Array) -> None:
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
            self._kept.append(chosen)
            self._n_kept += len(chosen)
        if self._n_kept > 2 * self.keep:
            self._trim()

    def _trim(self) -> None:
        values = np.concatenate(self._kept) if self._kept else np.zeros(0, np.float32)
        if len(values) > self.keep:
            values = np.partition(values, len(values) - self.keep)[len(values) - self.keep :]
            self._floor = float(values.min()) if self.keep else 2.0
        self._kept, self._n_kept = [values], len(values)

    def result(self) -> Impostors:
        """The distribution so far."""
        self._trim()
        counts = self._counters[4 : 4 + BINS].copy()
        counts[0] += self._counters[2:4].sum()  # rounding below -1
        counts[-1] += self._counters[4 + BINS :].sum()  # +1 and rounding above it
        return Impostors(counts, np.sort(self._kept[0])[::-1])


def _above(values: Float32Array, floor: np.float32) -> Float32Array:
    """Those of ``values`` (n,) that are above ``floor``; they are few, so eight at a time are looked at."""
    whole = len(values) // 8 * 8
    some = np.flatnonzero((values[:whole] > floor).view(np.uint64) != 0)
    near = np.concatenate([values[:whole].reshape(-1, 8)[some].reshape(-1), values[whole:]])
    return near[near > floor]


@dataclass(frozen=True)
class Genuine:
    """Genuine pairs: ``scores`` float32 (n,), ``subject``, ``image_id``, ``reference_id`` object arrays (n,)."""

    scores: Float32Array
    subject: npt.NDArray[np.object_]
    image_id: npt.NDArray[np.object_]
    reference_id: npt.NDArray[np.object_]


def to_table(role: str, genuine: Genuine, impostors: Impostors) -> pa.Table:
    """Scores of one role as a table with schema :data:`SCORES`."""
    edges = bin_edges()[:-1].astype(np.float32)
    filled = np.flatnonzero(impostors.counts)
    n_g, n_b, n_t = len(genuine.scores), len(filled), len(impostors.tail)
    nothing = [None] * (n_b + n_t)
    return pa.table(
        [
            pa.array([role] * (n_g + n_b + n_t), pa.string()),
            pa.array(["genuine"] * n_g + ["impostor_bin"] * n_b + ["impostor_tail"] * n_t, pa.string()),
            pa.array([*genuine.subject, *nothing], pa.string()),
            pa.array([*genuine.image_id, *nothing], pa.string()),
            pa.array([*genuine.reference_id, *nothing], pa.string()),
            pa.array(np.concatenate([genuine.scores, edges[filled], impostors.tail]).astype(np.float32), pa.float32()),
            pa.array(np.concatenate([np.ones(n_g, np.int64), impostors.counts[filled], np.ones(n_t, np.int64)]), pa.int64()),
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

    def words(name: str) -> npt.NDArray[np.object_]:
        coded = pairs.column(name).combine_chunks().dictionary_encode()
        pool: npt.NDArray[np.object_] = np.array(coded.dictionary.to_pylist(), dtype=object)
        return pool[np.asarray(coded.indices, dtype=np.int64)] if len(pool) else np.zeros(0, object)

    genuine = Genuine(np.asarray(pairs.column("score"), dtype=np.float32), words("subject"), words("image_id"), words("reference_id"))
    return genuine, Impostors(counts, np.asarray(tail.column("score"), dtype=np.float32))

"""The rows of a cell's similarity table, read once, and the bins of |yaw| that they are counted in."""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from frontalbench import status, tables
from frontalbench.compare.derived import ALONE
from frontalbench.compare.kernel import group_of
from frontalbench.errors import BadInput
from frontalbench.types import Bool, Float, Int, Objects

_NUMBERS = (
    *("yaw", "pitch", "roll", "nominal_yaw", "genuine", "genuine_sd", "n_references", "impostor", "impostor_sd"),
    *("impostor_max", "n_impostors", "rank", "to_original", "within", "n_within", "n_same_photo"),
)


@dataclass(frozen=True)
class Rows:
    """A similarity table as arrays (n,) in ``image_id`` order; numbers are float64, NaN where the table has null.

    ``moves`` float16 (n, groups): by how much ``impostor`` changes when the references of a group of people (``subject_code % groups``; one person
    each, while there are few enough) are gone; 0 for the own group. None where the table does not say.
    """

    image_id: Objects
    identity: Objects
    subject: Objects
    role: Objects
    status: Objects
    detail: Objects
    yaw_source: Objects
    numbers: dict[str, Float]
    moves: npt.NDArray[np.float16] | None = None

    def __getattr__(self, name: str) -> Float:
        try:
            return self.numbers[name]
        except KeyError:
            raise AttributeError(name) from None

    def __len__(self) -> int:
        return len(self.image_id)

    @property
    def subject_code(self) -> Int:
        """(n,): each row's person, as a place in the sorted names of all people of the table."""
        code: Int = np.unique(self.subject.astype(np.str_), return_inverse=True)[1].astype(np.int64)
        return code

    @property
    def ok(self) -> Bool:
        """Rows with an embedding and something to compare it with."""
        usable: Bool = self.status == status.OK
        return usable

    @property
    def fallback(self) -> Bool:
        """Usable rows of a fusion that rest on one embedding alone, since the other image gave none."""
        alone = np.fromiter((text.startswith(ALONE) for text in self.detail), np.bool_, len(self))
        return self.ok & alone

    @property
    def fta(self) -> Bool:
        """Rows that count as failure to acquire."""
        failed: Bool = np.isin(self.status.astype(np.str_), sorted(status.FAILURE_TO_ACQUIRE))
        return failed


def read_rows(path: str | os.PathLike[str]) -> Rows:
    """Read a similarity table; raises :class:`BadInput` when it is not one."""
    table = tables.read(path, tables.SIMILARITY).combine_chunks()

    def words(name: str) -> Objects:
        coded = table.column(name).combine_chunks().dictionary_encode()
        pool = np.array([*coded.dictionary.to_pylist(), ""], dtype=object)
        found: Objects = pool[coded.indices.fill_null(-1).to_numpy(zero_copy_only=False)]
        return found

    numbers = {name: table.column(name).to_numpy().astype(np.float64) for name in _NUMBERS}
    subject = words("subject")
    return Rows(
        image_id=words("image_id"),
        identity=words("identity"),
        subject=subject,
        role=words("role"),
        status=words("status"),
        detail=words("detail"),
        yaw_source=words("yaw_source"),
        numbers=numbers,
        moves=read_moves(table.column("impostor_moves"), subject, path),
    )


def read_moves(column: pa.ChunkedArray, subject: Objects, path: str | os.PathLike[str] = "table") -> npt.NDArray[np.float16] | None:
    """The column ``impostor_moves`` of a whole table as :attr:`Rows.moves`; ``subject`` (n,)."""
    lists = column.combine_chunks()
    there = np.flatnonzero(np.asarray(lists.is_valid()))
    if not len(there):
        return None
    values = np.asarray(lists.drop_null().flatten(), dtype=np.float16)
    if len(values) % len(there):
        raise BadInput(f"{path}: impostor_moves: lists of different lengths; compare that cell again")
    groups = len(values) // len(there)
    moves = np.zeros((len(lists), groups), np.float16)
    moves[there] = values.reshape(len(there), groups)
    code = np.unique(subject.astype(np.str_), return_inverse=True)[1].astype(np.int64)
    moves[np.arange(len(moves)), group_of(code, groups)] = 0  # with the own group gone the image is gone too
    return moves


@dataclass(frozen=True)
class YawBins:
    """Bins of \\|yaw\\| and of signed yaw in degrees, from rising ``edges`` (0, 15, ...); beyond the last edge lies one more bin."""

    edges: tuple[float, ...] = (0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0)

    @property
    def labels(self) -> list[tuple[str, str, float, float]]:
        """(axis, label, low, high) of every bin: all, then \\|yaw\\|, then signed, then unknown."""
        e = (*self.edges, float("inf"))
        steps = list(itertools.pairwise(e))
        absolute = [("abs", _label(a, b), a, b) for a, b in steps]
        left = [("signed", _label(-b, 0.0 - a), -b, 0.0 - a) for a, b in reversed(steps)]
        right = [("signed", _label(a, b), a, b) for a, b in steps]
        return [("all", "all", float("nan"), float("nan")), *absolute, *left, *right, ("abs", "unknown", float("nan"), float("nan"))]

    def codes(self, yaw: Float) -> tuple[Int, Int]:
        """For each yaw its place in :attr:`labels` among the \\|yaw\\| bins and among the signed ones (-1: in none)."""
        n = len(self.edges)
        known = np.isfinite(yaw)
        step = np.searchsorted(self.edges, np.where(known, np.abs(yaw), -1.0), "right") - 1
        inside = known & (step >= 0)
        absolute = np.where(inside, 1 + step, -1)
        signed = np.where(inside, np.where(yaw < 0, 1 + n + (n - 1 - step), 1 + 2 * n + step), -1)
        return np.where(known, absolute, 1 + 3 * n), signed


def _label(low: float, high: float) -> str:
    if high == float("inf"):
        return f"{low:g} and more"
    if low == float("-inf"):
        return f"{high:g} and less"
    return f"{low:g} to {high:g}"

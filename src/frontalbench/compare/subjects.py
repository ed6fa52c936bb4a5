"""How many people there are, really: whose images a mean stands on, and people's own means with what strangers' references do to them.

Images of one person hang together, so a test takes **one value per person**: the mean of the own images. Where strangers are part of the value,
people matter twice, as probes and as references; :class:`PersonMeans` leaves them out on both sides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.compare import jackknife
from frontalbench.compare.jackknife import LeftOut
from frontalbench.compare.kernel import group_of
from frontalbench.types import Float, Float32, Int


@dataclass(frozen=True)
class People:
    """Whose images a mean per image stands on. ``mean``: of the people's means, everybody counts once; ``effective``: (sum n)^2 / sum n^2 of their
    numbers of images (Kish 1965), as many people as that if all had equally many; ``largest``: share of the one with the most images, 0 .. 1."""

    mean: float
    effective: float
    largest: float


NOBODY = People(math.nan, math.nan, math.nan)


def people_of(values: npt.ArrayLike, subject: npt.ArrayLike) -> People:
    """Of ``values`` (n,) of images of ``subject`` (n,); NaN values are left out."""
    array = np.asarray(values, np.float64)
    known = np.isfinite(array)
    if not known.any():
        return NOBODY
    code = np.unique(np.asarray(subject)[known], return_inverse=True)[1]
    return of_sums(np.bincount(code, array[known])[:, None].astype(np.float64), np.bincount(code)[:, None].astype(np.float64))[0]


def of_sums(sums: Float, numbers: Float) -> list[People]:
    """From sums and numbers of images per person (S, M), one each per column."""
    with np.errstate(invalid="ignore", divide="ignore"):
        total = numbers.sum(axis=0)
        mean = np.nansum(sums / numbers, axis=0) / (numbers > 0).sum(axis=0)
        effective, largest = total**2 / (numbers**2).sum(axis=0), numbers.max(axis=0) / total
    return [People(float(m), float(e), float(s)) if n else NOBODY for m, e, s, n in zip(mean, effective, largest, total, strict=True)]


def sums_by(code: Int, columns: Float | Float32) -> tuple[Int, Float]:
    """(codes that occur, rising (P,); sums of ``columns`` (n, K) over the rows of each (P, K))."""
    if not len(code):
        return code, np.zeros((0, columns.shape[1]))
    if np.any(code[1:] < code[:-1]):
        order = np.argsort(code, kind="stable")
        code, columns = code[order], columns[order]
    present, starts = np.unique(code, return_index=True)
    return present, np.add.reduceat(columns, starts, axis=0).astype(np.float64, copy=False)


@dataclass(frozen=True)
class Moved:
    """What strangers' references do to the images of some people: sums (P, G) over each person's images of how they change when a group's references
    are gone; ``person`` (P,): their codes, rising; ``numbers`` (P,): of images."""

    person: Int
    numbers: Float
    sums: Float

    @staticmethod
    def of(person: Int, moves: Float | Float32) -> Moved:
        """``person`` (n,) and ``moves`` (n, G) of images."""
        present, sums = sums_by(person, np.asarray(moves, np.float32))
        return Moved(present, np.bincount(person, minlength=int(present.max(initial=-1)) + 1)[present].astype(np.float64), sums)

    @property
    def group(self) -> Int:
        return group_of(self.person, self.sums.shape[1])

    def by_group(self, weight: Float) -> tuple[Float, Float]:
        """(sums (G, G), numbers (G,)) of groups of people, each person's sums and number counting ``weight`` (P,) times."""
        groups = self.sums.shape[1]
        sums: Float = np.zeros((groups, groups))
        numbers: Float = np.bincount(self.group, self.numbers * weight, minlength=groups).astype(np.float64)
        present, found = sums_by(self.group, self.sums * weight[:, None])
        sums[present] = found
        return sums, numbers

    def __neg__(self) -> Moved:
        return Moved(self.person, self.numbers, -self.sums)


@dataclass(frozen=True)
class PersonMeans:
    """One mean per person, ``means`` (P,), and what strangers' references do to it (``moved``, of the same people)."""

    means: Float
    moved: Moved

    @staticmethod
    def of(values: Float, person: Int, moves: Float | Float32) -> PersonMeans:
        """Of ``values`` (n,) of images of ``person`` (n,), with how they change without a group's references (n, G)."""
        moved = Moved.of(person, moves)
        return PersonMeans(sums_by(person, values[:, None])[1][:, 0] / moved.numbers, moved)

    def __sub__(self, other: PersonMeans) -> PersonMeans:
        """The difference over the same images."""
        mine, theirs = self.moved, other.moved
        return PersonMeans(self.means - other.means, Moved(mine.person, mine.numbers, mine.sums - theirs.sums))

    def left_out(self) -> LeftOut:
        """The mean over the people, and without each group of them, as probes and as references."""
        moves, numbers = self.moved.by_group(1.0 / self.moved.numbers)
        sums = np.zeros(len(numbers))
        np.add.at(sums, self.moved.group, self.means)
        value, without, share = jackknife.mean_left_out(sums[:, None], numbers[:, None], moves.sum(axis=0)[:, None])
        return LeftOut(float(value[0]), without[:, 0], share[:, 0], jackknife.counted_twice(moves, numbers))


def codes_of(subject: npt.ArrayLike) -> Int:
    """Whole numbers from 0 (n,) in place of subjects (n,), in sorted order."""
    code: Int = np.unique(np.asarray(subject), return_inverse=True)[1].astype(np.int64)
    return code

"""Line-ups: of six references, the own one and five strangers', is the own one the most similar?

The strangers of a person are the :data:`FOILS` people whose references are most like the own ones, as the judge sees the photographs: a line-up is
hard on purpose, and it is the same for every variant, so that variants can be compared by image. A person's references count with their best;
ties count against the right answer. By chance one sixth would be right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from frontalbench.compare.scores import TIE
from frontalbench.compare.two_sets import Faces
from frontalbench.types import Bool, Int

FOILS = 5
_BLOCK = 2048


@dataclass(frozen=True)
class Lineups:
    """``foils`` (people, FOILS): the strangers in everybody's line-up, -1 for people without a reference."""

    foils: Int

    @property
    def asked(self) -> Bool:
        """(people,): who has a line-up."""
        some: Bool = self.foils[:, 0] >= 0
        return some


def lineups(references: Faces, people: int) -> Lineups:
    """The line-ups of everybody with a reference; nobody has one where fewer than :data:`FOILS` + 1 people have references.

    Two people are as similar as the means of their references are.
    """
    sums = np.zeros((people, references.vectors.shape[1]))
    np.add.at(sums, references.person, references.vectors.astype(np.float64))
    present = np.unique(references.person)
    foils = np.full((people, FOILS), -1, np.int64)
    if len(present) > FOILS:
        length = np.linalg.norm(sums[present], axis=1, keepdims=True)
        mean = sums[present] / np.where(length > 0, length, 1.0)
        for start in range(0, len(present), _BLOCK):
            block = mean[start : start + _BLOCK] @ mean.T
            block[np.arange(len(block)), np.arange(start, start + len(block))] = -np.inf
            order = np.argsort(-block, axis=1, kind="stable")[:, :FOILS]
            foils[present[start : start + _BLOCK]] = present[order]
    return Lineups(foils)


def chosen_rightly(references: Faces, probes: Faces, found: Lineups) -> Bool:
    """(n,): whether the own reference is the most similar of the six; False for people without a line-up (see :attr:`Lineups.asked`)."""
    order = np.argsort(references.person, kind="stable")
    vectors, person = references.vectors[order], references.person[order]
    present, first = np.unique(person, return_index=True)
    place = np.full(len(found.foils), -1, np.int64)
    place[present] = np.arange(len(present))
    right = np.zeros(len(probes), np.bool_)
    for start in range(0, len(probes), _BLOCK):
        part = slice(start, start + _BLOCK)
        code = probes.person[part]
        each = np.maximum.reduceat(probes.vectors[part] @ vectors.T, first, axis=1)
        rows = np.arange(len(code))[:, None]
        own = each[rows[:, 0], place[code]]
        others = each[rows, place[found.foils[code]]].max(axis=1)
        right[part] = found.asked[code] & (own > others + TIE)
    return right

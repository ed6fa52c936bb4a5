"""What may be called best, better or different: tests on people's values, and what so few people can decide at all.

Images of one person hang together, so every person gives **one value per question**: the mean of the paired differences of the own images.
The place in a ranking, its test and the sign that must agree all stand on these values; a mean per image beside them must have the same sign.
Where strangers are part of the values, people are drawn as references too: p is then not below that of Student's t with both sides left out.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from frontalbench.compare import groups, significance
from frontalbench.compare.subjects import PersonMeans
from frontalbench.types import Float, Float32, Int

SIGNIFICANT = 0.05
"""A p value (after the family is counted) below this is called a difference."""
DOMINANT = 0.25
"""A person who holds more than this share of the images is named in a note."""
FLIPS = 9999
"""Random sign flips where not all can be tried; more for a family that needs a smaller p."""
FEW = 0.5
"""A candidate that gave less than this share of the most complete one's images is left out of a ranking, so that it does not take all others' images
away; but nothing is called best that is not above it on the images that both gave."""

_CHUNK = 5000  # sign patterns at once

Key = TypeVar("Key", bound=Hashable)


# What a test can decide ------------------------------------------------------------------------------------------------------


def enough_flips(family: int) -> int:
    """Random flips for a family of so many tests: the smallest p times the family stays at .025 or below."""
    return max(FLIPS, 40 * family - 1)


def smallest_p(n_people: int, flips: int = FLIPS) -> float:
    """The smallest two-sided p that a sign-flip test of so many people can give: 2^(1 - n), or 1 / (flips + 1) of random ones. 1 without people."""
    if n_people < 1:
        return 1.0
    exact = 2.0 ** (1 - n_people)
    return exact if n_people <= significance.EXACT_FLIPS else max(exact, 1.0 / (flips + 1))


def decidable(floors: Sequence[float]) -> list[bool]:
    """Whether each test of a family could come out below :data:`SIGNIFICANT` after Holm, if all came out as small as they can (``floors``: their
    smallest possible p). Holm's adjusted p never falls when a p rises, so where this says no, no data could have said yes."""
    return [bool(p < SIGNIFICANT) for p in significance.holm(floors)]


def undecidable_note(n_people: int, family: int) -> str:
    """The words for a test that so few people cannot decide."""
    tests, who = "one test" if family == 1 else f"{family} tests", "person" if n_people == 1 else "people"
    lowest = smallest_p(n_people, enough_flips(family))
    return f"not decidable with {n_people} {who} ({tests}): the smallest possible p of one is {lowest:.2g}"


def sign_flip(differences: Float, *, family: int = 1, seed: int = 0) -> Float:
    """Two-sided sign-flip p values (M,) of people's differences (S, M), NaN where a person has no part; the draws follow the size of the family."""
    p = groups.sign_flip_columns(differences, seed=seed)
    flips = enough_flips(family)
    if flips <= FLIPS:
        return p
    count = np.isfinite(differences).sum(axis=0)
    close = np.flatnonzero(
        (count > significance.EXACT_FLIPS) & (p <= 20 / (FLIPS + 1))
    )  # of the others more draws would not change the answer
    if len(close):
        d = np.nan_to_num(differences[:, close])
        d = (d / np.maximum(np.abs(d).max(axis=0), 1e-300)).astype(np.float32)
        observed = np.abs(d.sum(axis=0)) * (1 - 1e-5)
        beyond = np.zeros(len(close), np.int64)
        rng = np.random.default_rng([seed, family])
        for start in range(0, flips, _CHUNK):
            signs = rng.integers(0, 2, (min(_CHUNK, flips - start), len(d)), dtype=np.int8).astype(np.float32) * 2 - 1
            beyond += (np.abs(signs @ d) >= observed).sum(axis=0)
        p[close] = (beyond + 1) / (flips + 1)
    return p


# Who is best -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ranking(Generic[Key]):
    """Candidates over the images that all of them gave.

    ``order``: best first, by ``value`` (mean of the people's means); ``p``: two-sided sign-flip p of the leader against the rival that it beats least
    clearly, ``rival``; ``against``: a rival below whom the leader lies in the mean per image, None where the signs agree; ``shadowed``: a candidate
    that was left out (:data:`FEW`) and is not below the leader on the images that both gave, None where there is none.
    """

    order: tuple[Key, ...]
    value: Mapping[Key, float]
    n_images: int
    n_people: int
    p: float
    rival: Key
    against: Key | None
    left_out: tuple[Key, ...]
    shadowed: Key | None

    @property
    def leader(self) -> Key:
        return self.order[0]


def complete_enough(values: Mapping[Key, Float]) -> list[Key]:
    """Candidates that gave at least :data:`FEW` of the most complete one's images, in the given order."""
    counts = {key: int(np.isfinite(v).sum()) for key, v in values.items()}
    most = max(counts.values(), default=0)
    return [key for key, n in counts.items() if n > 0 and n >= FEW * most]


def rank(
    values: Mapping[Key, Float],
    subject: npt.ArrayLike,
    *,
    family: int,
    moves: Mapping[Key, Float] | Mapping[Key, Float32] | None = None,
    seed: int = 0,
) -> Ranking[Key] | None:
    """Rank candidates; ``values``: each one's value per image (n,), higher is better, NaN where it gave none; ``subject`` (n,) of the whole table.
    ``family``: how many comparisons of a leader with a rival are made in all. ``moves``: how each value changes without the references of each group
    of people (n, groups), where strangers are part of it; a candidate without any is not moved. None where fewer than two candidates have an image in
    common."""
    chosen = complete_enough(values)
    if len(chosen) < 2:
        return None
    table = np.stack([values[key] for key in chosen], axis=1)
    here = np.flatnonzero(np.isfinite(table).all(axis=1))
    if not len(here):
        return None
    people = np.asarray(subject)
    code = np.unique(people[here], return_inverse=True)[1]
    means = _means(table[here], code)
    overall = means.mean(axis=0)
    order = sorted(range(len(chosen)), key=lambda i: (-overall[i], i))
    first, rest = order[0], order[1:]
    p = sign_flip(means[:, [first]] - means[:, rest], family=family, seed=seed)
    p = _both_sides(p, [(first, i) for i in rest], [(moves or {}).get(key) for key in chosen], table, here, people)
    hardest = int(np.argmax(np.nan_to_num(p, nan=1.0)))
    per_image = table[here].mean(axis=0)
    above = [overall[first] > overall[i] and per_image[first] > per_image[i] for i in rest]
    left_out = tuple(key for key in values if key not in chosen)
    shadowed = None
    for key in left_out:
        difference = significance.subject_means(values[key] - values[chosen[first]], people)
        if len(difference) and difference.mean() >= 0:
            shadowed = key
            break
    return Ranking(
        order=tuple(chosen[i] for i in order),
        value={chosen[i]: float(overall[i]) for i in order},
        n_images=len(here),
        n_people=len(means),
        p=float(p[hardest]),
        rival=chosen[rest[hardest]],
        against=next((chosen[i] for i, fine in zip(rest, above, strict=True) if not fine), None),
        left_out=left_out,
        shadowed=shadowed,
    )


@dataclass(frozen=True)
class Place:
    """``place`` by value among the ranked candidates, and the places ``first`` to ``last`` that significant differences leave open."""

    place: int
    first: int
    last: int


def _both_sides(
    p: Float,
    pairs: Sequence[tuple[int, int]],
    moves: Sequence[Float | Float32 | None],
    table: Float,
    here: Int,
    subject: npt.ArrayLike,
) -> Float:
    """``p`` (M,) of sign flips on the differences of ``pairs`` of columns of ``table`` (n, K) over the images ``here``, not below those of Student's
    t with both sides left out; ``moves`` of each column (n, groups), None: no strangers in it."""
    shape = next((m.shape[1] for m in moves if m is not None), 0)
    if not shape:
        return p
    person = np.unique(np.asarray(subject), return_inverse=True)[1].astype(np.int64)[here]
    still: Float32 = np.zeros((len(here), shape), np.float32)
    means = [PersonMeans.of(table[here, i], person, still if m is None else m[here]) for i, m in enumerate(moves)]
    n_people = len(means[0].means)
    return np.array(
        [groups.not_below(float(q), (means[a] - means[b]).left_out().p_value(), n_people) for q, (a, b) in zip(p, pairs, strict=True)]
    )


def places(
    values: Mapping[Key, Float], subject: npt.ArrayLike, *, moves: Mapping[Key, Float] | Mapping[Key, Float32] | None = None, seed: int = 0
) -> dict[Key, Place]:
    """Places of candidates (arguments as :func:`rank`), over the images that all of them gave, by the mean of the people's means.

    One is behind another where the test on people says so (Holm over all pairs) and the mean over images has the same sign. Empty where no image
    was given by all.
    """
    chosen = complete_enough(values)
    table = np.stack([values[key] for key in chosen], axis=1) if chosen else np.zeros((0, 0))
    here = np.flatnonzero(np.isfinite(table).all(axis=1))
    if not len(here):
        return {}
    means = _means(table[here], np.unique(np.asarray(subject)[here], return_inverse=True)[1])
    overall, per_image = means.mean(axis=0), table[here].mean(axis=0)
    order = sorted(range(len(chosen)), key=lambda i: (-overall[i], i))
    left, right = np.triu_indices(len(chosen), 1)
    ahead, behind = np.zeros(len(chosen), np.int64), np.zeros(len(chosen), np.int64)
    if len(left):
        p = sign_flip(means[:, left] - means[:, right], family=len(left), seed=seed)
        pairs = list(zip(left.tolist(), right.tolist(), strict=True))
        adjusted = significance.holm(_both_sides(p, pairs, [(moves or {}).get(key) for key in chosen], table, here, subject))
        for a, b, p in zip(left, right, adjusted, strict=True):
            better, worse = (a, b) if overall[a] > overall[b] else (b, a)
            if p < SIGNIFICANT and per_image[better] > per_image[worse]:
                ahead[worse], behind[better] = ahead[worse] + 1, behind[better] + 1
    return {chosen[i]: Place(1 + at, 1 + int(ahead[i]), len(chosen) - int(behind[i])) for at, i in enumerate(order)}


def _means(table: Float, code: npt.NDArray[np.int64]) -> Float:
    """Means per person (S, K) of the columns of (n, K)."""
    numbers = np.bincount(code)
    return np.stack([np.bincount(code, column) / numbers for column in table.T], axis=1)


@dataclass(frozen=True)
class Verdict(Generic[Key]):
    """``best``: whether the leader may be called so; ``p``: its p after the family is counted, NaN where not decidable; ``reason``: why it may
    not, empty when it may."""

    ranking: Ranking[Key]
    best: bool
    p: float
    decidable: bool
    reason: str


def decide(ranking: Ranking[Key], family: int, name: Mapping[Key, str]) -> Verdict[Key]:
    """Whether the leader of a ranking is best; ``name``: what the reason calls the candidates.

    It was picked by its value, so its p counts once for every one of the ``family`` comparisons (Bonferroni, the first step of Holm): then a
    leader that is truly no better than some rival passes in at most 5 % of experiments, whatever the other rivals do.
    """
    able = smallest_p(ranking.n_people, enough_flips(family)) * family < SIGNIFICANT
    p = min(1.0, ranking.p * family) if able else math.nan
    reason = ""
    if ranking.against is not None:
        reason = f"it is not above {name[ranking.against]} both in the mean over people and in the mean over images"
    elif not able:
        reason = undecidable_note(ranking.n_people, family).partition(":")[0]
    elif not p < SIGNIFICANT:
        reason = f"not certainly above {name[ranking.rival]} (p {p:.2g})"
    elif ranking.shadowed is not None:
        reason = f"{name[ranking.shadowed]}, left out because it lost most images, is not below it on the images that both gave"
    return Verdict(ranking, not reason, p, able, reason)

"""Accuracy over folds: the threshold comes from the other folds (Huang et al. 2007, section 4; Sengupta et al. 2016, section 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from frontalbench.errors import BadInput
from frontalbench.types import Bool, Float, Float32


class Pair(NamedTuple):
    """Two images, whether they show the same person, and the fold (0, 1, ...) the pair belongs to."""

    first: str
    second: str
    same: bool
    fold: int


@dataclass(frozen=True)
class Verification:
    """What a verification protocol reports.

    ``accuracy``: mean over folds; ``deviation``: standard deviation over folds (n - 1); ``by_fold`` and ``thresholds``: one value per fold;
    ``auc``: area under the ROC of all pairs; ``eer``: equal error rate; ``pairs``: pairs counted; ``missing``: pairs without a score.
    """

    accuracy: float
    deviation: float
    by_fold: tuple[float, ...]
    thresholds: tuple[float, ...]
    auc: float
    eer: float
    pairs: int
    missing: int


def verify(scores: npt.ArrayLike, same: npt.ArrayLike, fold: npt.ArrayLike, *, missing: str = "leave_out") -> Verification:
    """Verification accuracy of similarity ``scores (N,)`` (higher: more alike) with labels ``same (N,)`` and ``fold (N,)``.

    For each fold, the threshold is the one with the best accuracy on all other folds (a pair counts as the same person when its score is at
    least the threshold; candidates are the scores themselves and +infinity; of equally good ones the lowest). NaN scores are pairs where a
    face was not found: ``missing="leave_out"`` leaves them out of everything, ``"different"`` decides "not the same person" for them.
    Raises :class:`BadInput` when there are fewer than two folds, a fold becomes empty, or there are no pairs of one kind.
    """
    values, labels, folds = np.asarray(scores, np.float64), np.asarray(same, np.bool_), np.asarray(fold, np.int64)
    if not values.shape == labels.shape == folds.shape or values.ndim != 1:
        raise BadInput(f"scores, same and fold should have one value per pair, got {values.shape}, {labels.shape}, {folds.shape}")
    if missing not in ("leave_out", "different"):
        raise BadInput(f"missing: '{missing}' is not known; expected leave_out or different")
    absent = np.isnan(values)
    names = np.unique(folds)
    if missing == "leave_out":
        values, labels, folds = values[~absent], labels[~absent], folds[~absent]
    else:
        values = np.where(absent, -np.inf, values)
    if len(names) < 2 or any(not (folds == name).any() for name in names):
        raise BadInput(
            f"accuracy over folds needs at least two folds with pairs in each; there are {len(np.unique(folds))} of {len(names)}; "
            "give the tables of the whole dataset"
        )
    if labels.all() or not labels.any():
        raise BadInput(
            f"{int(labels.sum()):,} pairs of the same person and {int((~labels).sum()):,} of two people can be counted, both needed; "
            "give the tables of the whole dataset"
        )
    thresholds, accuracies = [], []
    for name in names:
        held = folds == name
        threshold = best_threshold(values[~held], labels[~held])
        thresholds.append(threshold)
        accuracies.append(float(np.mean((values[held] >= threshold) == labels[held])))
    return Verification(
        accuracy=float(np.mean(accuracies)),
        deviation=float(np.std(accuracies, ddof=1)),
        by_fold=tuple(accuracies),
        thresholds=tuple(thresholds),
        auc=area_under_roc(values, labels),
        eer=equal_error_rate(values, labels),
        pairs=len(values),
        missing=int(absent.sum()),
    )


def best_threshold(scores: Float, same: Bool) -> float:
    """The threshold with the most right decisions ``score >= threshold``; the lowest of equally good ones (+infinity when accepting none is
    best)."""
    order = np.argsort(scores, kind="stable")
    ascending, labels = scores[order], same[order]
    first = np.flatnonzero(np.r_[True, ascending[1:] != ascending[:-1]])  # one candidate per distinct score
    rejected_right = np.r_[0, np.cumsum(~labels)]
    accepted_right = labels.sum() - np.r_[0, np.cumsum(labels)]
    right = (rejected_right + accepted_right)[np.r_[first, len(scores)]]
    best = int(np.argmax(right))
    return float(ascending[first[best]]) if best < len(first) else float("inf")


def area_under_roc(scores: Float, same: Bool) -> float:
    """Probability that a pair of one person scores higher than a pair of two (ties count half): the Mann-Whitney statistic."""
    from scipy.stats import rankdata

    n_same, n_other = int(same.sum()), int((~same).sum())
    ranks = rankdata(scores)
    return float((ranks[same].sum() - n_same * (n_same + 1) / 2) / (n_same * n_other))


def equal_error_rate(scores: Float, same: Bool) -> float:
    """Where false accepts and false rejects are equally frequent, linear between the thresholds on both sides of it."""
    distinct = np.unique(scores)
    genuine, impostor = np.sort(scores[same]), np.sort(scores[~same])
    # At each threshold (accept score >= threshold), and one above all scores.
    rejects = np.r_[np.searchsorted(genuine, distinct, side="left"), len(genuine)] / len(genuine)
    accepts = 1.0 - np.r_[np.searchsorted(impostor, distinct, side="left"), len(impostor)] / len(impostor)
    gap = rejects - accepts  # rises from -1 (or higher) to 1
    right = int(np.argmax(gap >= 0.0))
    if right == 0 or gap[right] == 0.0:
        return float(rejects[right])
    weight = -gap[right - 1] / (gap[right] - gap[right - 1])
    return float(rejects[right - 1] + weight * (rejects[right] - rejects[right - 1]))


def scores_of(pairs: Sequence[Pair], image_ids: Sequence[str], embeddings: Float32) -> Float:
    """Dot product of the (L2-normalised) embeddings ``(N, D)`` of each pair, NaN where an image is not in ``image_ids`` or its row is
    zero."""
    place = {image_id: index for index, image_id in enumerate(image_ids)}
    usable = np.any(embeddings != 0.0, axis=1)
    first = np.array([place.get(pair.first, -1) for pair in pairs], dtype=np.int64)
    second = np.array([place.get(pair.second, -1) for pair in pairs], dtype=np.int64)
    there = (first >= 0) & (second >= 0)
    there[there] &= usable[first[there]] & usable[second[there]]
    scores = np.full(len(pairs), np.nan)
    if there.any():
        scores[there] = np.einsum("nd,nd->n", embeddings[first[there]].astype(np.float64), embeddings[second[there]].astype(np.float64))
    return scores

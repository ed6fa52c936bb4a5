r"""Gates: for every image either the photograph or its frontal, never both blindly.

``gate@30:<variant>``        the frontal where the measured \|yaw\| is at least 30 degrees, else the photograph; an unknown yaw keeps the photograph
``gate_fuse@30:<variant>``   the fusion of both (``fuse_mean``) in the frontal's place
``gate_learned:<variant>``   the frontal where a logistic regression expects it to be nearer to the person than the photograph

What the regression learns: whether a probe's identity gain (what the frontal gains on the own references more than on strangers') is above zero.
It sees the photograph alone: \|yaw\|, \|pitch\|, the detector's score, the length of the embedding before it was normalised, and what the quality
table says of the photograph (:data:`MEASURED`), where there is such a table. It is fitted five times, each time without a fifth of the people;
everybody is judged by the fit that has not seen them. What is known of no image is not learned from, and :func:`unknown` names it.

The control is the same gate over ``mirror``: what a second look at the same pixels gains under the same gate.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.types import Bool, Float, Int

FOLDS = 5
RIDGE = 1.0
"""Weight of the squared coefficients beside the sum of losses: one of a standard normal prior."""
TURN_FROM = 0.5
"""The frontal is taken where it is expected to be the better one by at least this probability."""
LEAST = 20
"""With fewer probes of one kind to learn from than this (better, not better), nothing is learned and no image is turned."""
MEASURED = ("sharpness", "brisque", "ediffiqa_tiny", "ofiq_unified")
"""Columns of the quality table of the photographs that a learned gate sees: how sharp they are, and how good."""
FEATURES = ("|yaw|", "|pitch|", "detector score", "log length of the embedding", "log sharpness", *MEASURED[1:])
"""What the regression sees, in the order of its columns."""


@dataclass(frozen=True)
class Gate:
    """``turned`` bool (N,): whose frontal is taken; ``words`` (N,): why, for the row's detail."""

    turned: Bool
    words: npt.NDArray[np.object_]


def by_yaw(yaw: npt.ArrayLike, angle: float) -> Gate:
    r"""The gate that opens at \|yaw\| >= ``angle`` degrees; ``yaw`` (N,), NaN where it is unknown."""
    turn = np.abs(np.asarray(yaw, np.float64))
    turned: Bool = np.nan_to_num(turn, nan=-1.0) >= angle
    below, unknown = f"photograph: |yaw| below {angle:g}", "photograph: the yaw is not known"
    words = np.where(turned, f"turned: |yaw| from {angle:g}", np.where(np.isfinite(turn), below, unknown)).astype(object)
    return Gate(turned, words)


def design(
    yaw: npt.ArrayLike, pitch: npt.ArrayLike, score: npt.ArrayLike, norm: npt.ArrayLike, measured: Mapping[str, npt.ArrayLike] | None = None
) -> Float:
    """(N, K) what the regression sees (:data:`FEATURES`); NaN where it is not known. ``measured``: what is there of :data:`MEASURED`, each (N,)."""
    turn = np.abs(np.asarray(yaw, np.float64))
    nothing = np.full(turn.shape, np.nan)
    quality = [np.asarray((measured or {}).get(name, nothing), np.float64) for name in MEASURED]
    with np.errstate(divide="ignore", invalid="ignore"):
        columns = [
            turn,
            np.abs(np.asarray(pitch, np.float64)),
            np.asarray(score, np.float64),
            np.log(np.asarray(norm, np.float64)),
            np.log(quality[0]),
            *quality[1:],
        ]
    return np.where(np.isfinite(columns), columns, np.nan).T


def unknown(seen: Float) -> list[str]:
    """The :data:`FEATURES` that ``seen`` (N, K) of :func:`design` has for no image."""
    return [name for name, column in zip(FEATURES, seen.T, strict=True) if not np.isfinite(column).any()]


def scaled(seen: Float, by: Float) -> Float:
    """``seen`` (n, K) on the scale on which ``by`` (m, K) has mean 0 and standard deviation 1; what is not known becomes 0, the mean."""
    out = np.zeros(seen.shape)
    for k in range(seen.shape[1]):
        known = by[np.isfinite(by[:, k]), k]
        spread = float(known.std()) if len(known) else 0.0
        if spread > 1e-9:
            out[:, k] = np.nan_to_num((seen[:, k] - known.mean()) / spread)
    return out


def fit(seen: Float, better: Bool) -> Float:
    """(K + 1,) intercept and coefficients of the logistic regression of ``better`` (n,) on ``seen`` (n, K): least sum of losses + :data:`RIDGE` / 2
    times the squared coefficients (not the intercept's)."""
    from scipy.optimize import minimize

    x = np.column_stack([np.ones(len(seen)), seen])
    sign = np.where(better, 1.0, -1.0)

    def loss(w: Float) -> tuple[float, Float]:
        margin = sign * (x @ w)
        value = np.logaddexp(0.0, -margin).sum() + RIDGE / 2 * (w[1:] ** 2).sum()
        slope = -(x * (sign * _sigmoid(-margin))[:, None]).sum(axis=0)
        slope[1:] += RIDGE * w[1:]
        return float(value), slope

    found: Float = np.asarray(minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x, np.float64)
    return found


def _sigmoid(values: Float) -> Float:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * values)), np.float64)


def chances(seen: Float, weights: Float) -> Float:
    """(n,) the probability that the regression gives."""
    return _sigmoid(weights[0] + seen @ weights[1:])


def folds(person: Int, number: int = FOLDS, seed: int = 0) -> Int:
    """(n,): the fold of each row; all rows of a person are in one, people are dealt out at random."""
    names, code = np.unique(person, return_inverse=True)
    dealt = np.random.default_rng(seed).permutation(len(names)) % number
    return dealt[code.reshape(-1)].astype(np.int64)


def cross_fitted(seen: Float, gain: npt.ArrayLike, person: Int, *, number: int = FOLDS, seed: int = 0) -> Float:
    """(n,) the chance that each row's frontal is the better one, by a fit on the other folds' people, their scale too.

    ``seen`` (n, K) of :func:`design`; ``gain`` (n,): NaN where it is not known: such rows are judged and not learned from. NaN in folds that have
    fewer than :data:`LEAST` of either kind to learn from.
    """
    value = np.asarray(gain, np.float64)
    known = np.isfinite(value)
    fold = folds(person, number, seed)
    found = np.full(len(value), np.nan)
    for k in range(number):
        held = fold == k
        rest = known & ~held
        better = value[rest] > 0
        if min(int(better.sum()), int((~better).sum())) >= LEAST:
            found[held] = chances(scaled(seen[held], seen[rest]), fit(scaled(seen[rest], seen[rest]), better))
    return found


def learned(chance: Float, unknown: Sequence[str] = ()) -> Gate:
    """The gate that opens where the chance (N,) is at least :data:`TURN_FROM`; NaN keeps the photograph. ``unknown``: what it could not see, for the
    words."""
    blind = f"{_NOT_SEEN}{', '.join(unknown)}" if unknown else ""
    turned: Bool = np.nan_to_num(chance, nan=-1.0) >= TURN_FROM
    words = np.array(
        [
            "photograph: no chance was learned"
            if math.isnan(p)
            else f"{'turned' if p >= TURN_FROM else 'photograph'}: chance {p:.4f}{blind}"
            for p in chance.tolist()
        ],
        dtype=object,
    )
    return Gate(turned, words)


_NOT_SEEN = "; not seen: "
_CHANCE = re.compile(r"chance ([01]\.[0-9]+)")


def decided(detail: Sequence[str]) -> tuple[Bool, Float]:
    """(whether the gate turned the image (n,), the chance that a learned gate gave it (n,), NaN for none) from the ``detail`` of a gate's rows."""
    found = [_CHANCE.search(text) for text in detail]
    turned = np.array([text.startswith("turned") for text in detail], dtype=np.bool_)
    return turned, np.array([float(match[1]) if match else math.nan for match in found], np.float64)


def not_seen(detail: Sequence[str]) -> str:
    """What a learned gate could not see, as the ``detail`` of its rows says it; "" where it saw everything, and of other gates."""
    return next((text.partition(_NOT_SEEN)[2] for text in detail if _NOT_SEEN in text), "")


@dataclass(frozen=True)
class Bin:
    """Rows whose chance lies from ``low`` to ``high``: their number, the mean chance, and the share for which the frontal was the better one."""

    low: float
    high: float
    n: int
    expected: float
    found: float


def calibration(
    chance: npt.ArrayLike, gain: npt.ArrayLike, edges: Sequence[float] = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
) -> tuple[list[Bin], float]:
    """(bins with rows in them, Brier score) of chances (n,) against gains (n,); rows where either is NaN are left out."""
    p, value = np.asarray(chance, np.float64), np.asarray(gain, np.float64)
    known = np.isfinite(p) & np.isfinite(value)
    p, better = p[known], value[known] > 0
    place = np.clip(np.searchsorted(edges, p, "right") - 1, 0, len(edges) - 2)
    bins = []
    for k in range(len(edges) - 1):
        here = place == k
        if here.any():
            bins.append(Bin(edges[k], edges[k + 1], int(here.sum()), float(p[here].mean()), float(better[here].mean())))
    return bins, float(((p - better) ** 2).mean()) if len(p) else math.nan


@dataclass(frozen=True)
class Step:
    r"""A gate of a sweep. ``angle``: it opens at this \|yaw\|; ``share``: of the probes whose frontal is taken; ``gain``, ``low``, ``high``: mean
    identity gain over *all* probes (0 where the photograph stays) with its 95 % interval over people."""

    angle: float
    share: float
    gain: float
    low: float
    high: float


def sweep(yaw: npt.ArrayLike, gain: npt.ArrayLike, person: npt.ArrayLike, angles: Sequence[float]) -> list[Step]:
    """The gates at ``angles`` over probes (n,): their yaw, the frontal's identity gain (NaN: there is none, the photograph stays), the person.

    Everything follows from tables that are there: a gated image is one of the two that were judged.
    """
    from frontalbench.compare import jackknife

    turn, value = np.nan_to_num(np.abs(np.asarray(yaw, np.float64)), nan=-1.0), np.asarray(gain, np.float64)
    _, code = np.unique(np.asarray(person), return_inverse=True)
    numbers = np.bincount(code).astype(np.float64)[:, None]
    taken = (turn[:, None] >= np.asarray(angles, np.float64)) & np.isfinite(value)[:, None]
    sums = np.zeros((len(numbers), len(angles)))
    np.add.at(sums, code, np.where(taken, np.nan_to_num(value)[:, None], 0.0))
    many = np.repeat(numbers, len(angles), axis=1)
    low, high = jackknife.mean_intervals(sums, many)
    n = max(len(value), 1)
    return [
        Step(float(angle), float(taken[:, k].sum() / n), float(sums[:, k].sum() / n), float(low[k]), float(high[k]))
        for k, angle in enumerate(angles)
    ]

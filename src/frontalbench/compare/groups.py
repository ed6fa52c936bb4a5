"""The pair groups of the study and their summary rows.

=======================  ====================================================================================================
``GT vs GT``             a reference and the other references of its subject
``Angled vs GT``         an original probe and its subject's references
``Angled vs Angled``     an original probe and the other original probes of its subject
``Frontal vs GT``        a probe in the variant and its subject's (original) references
``Frontal vs Angled``    a probe in the variant and the same probe in ``original``
``Frontal vs Frontal``   a probe in the variant and the other probes of its subject in the variant
``GT vs other GT``       impostor pairs: a reference and everybody else's references
``Angled vs other GT``   impostor pairs: an original probe and everybody else's references
``Frontal vs other GT``  impostor pairs: a probe in the variant and everybody else's references
``Net Gain``             (Frontal vs GT) - (Angled vs GT), paired per probe
``impostor gain``        (Frontal vs other GT) - (Angled vs other GT), paired per probe
``identity gain``        Net Gain - impostor gain, paired per probe
=======================  ====================================================================================================

Every group is summarized over images; an image's value is the mean over its pairs. Three subsets are kept apart:

* ``own``: all images that this variant gave an embedding for;
* ``common``: images that gave one both in the variant and in ``original``: the only ones whose means may be compared;
* ``penalised``: every image; where no embedding came out (FTA), it counts as the mean similarity to a stranger in that variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from frontalbench.compare import jackknife, scores, significance, subjects
from frontalbench.compare.kernel import group_of
from frontalbench.compare.rows import Rows, YawBins
from frontalbench.compare.subjects import Moved, PersonMeans
from frontalbench.errors import BadInput
from frontalbench.types import Bool, Float, Float32, Int

GAINS = ("Net Gain", "impostor gain", "identity gain")
SYMMETRIC = ("Net Gain", "identity gain")
"""Of these no long tail is assumed that the people do not show (:data:`.jackknife.KURTOSIS_OF_CHANGES`); the impostor gain is about strangers who are
alike to many, in one of two images more than in the other."""


@dataclass(frozen=True)
class _Kind:
    group: str
    subset: str
    values: Float  # NaN where an image has no part in it
    pairs: Float  # pairs behind each value
    eligible: Bool  # images that should have had a value
    failed: Bool  # FTA among them
    moves: Float32 | None = None  # (n, groups): how each value changes without a group's references; None: no strangers in it
    sign: int = 1  # of the moves


def _penalised(values: Float, failed: Bool, stranger: float) -> Float:
    return np.where(failed, stranger, values)


def _mean(values: Float) -> float:
    known = np.isfinite(values)
    return float(values[known].mean()) if known.any() else float("nan")


def _where(mask: Bool, values: Float) -> Float:
    return np.where(mask, values, np.nan)


def eligible_probes(rows: Rows, original: Rows) -> Bool:
    """Probes whose subject has a usable reference and that were not left out: the denominator of the FTA rate."""
    referenced = set(original.subject[(original.role == "reference") & original.ok])
    has = np.fromiter((s in referenced for s in rows.subject), np.bool_, len(rows))
    counted: Bool = (rows.role == "probe") & has & (rows.ok | rows.fta)
    return counted


def _moves(rows: Rows, groups: int) -> Float32:
    """(n, groups) as numbers; NaN where the table does not say, so that no interval is made of it."""
    known = rows.moves is not None and rows.moves.shape[1] == groups
    return rows.moves.astype(np.float32) if known and rows.moves is not None else np.full((len(rows), groups), np.nan, np.float32)


def moves_between(rows: Rows, other: Rows) -> Float32:
    """(n, groups): how ``rows.impostor - other.impostor`` changes without each group's references; NaN where a table does not say."""
    groups = next((r.moves.shape[1] for r in (rows, other) if r.moves is not None), 1)
    return _moves(rows, groups) - _moves(other, groups)


def _stranger_moves(rows: Rows, ok: Bool, moves: Float32) -> Float:
    """(groups,): how the mean impostor similarity of the images ``ok`` changes when a group is gone, its images and its references."""
    group = group_of(rows.subject_code, moves.shape[1])
    known = ok & np.isfinite(rows.impostor)
    if not known.any():
        return np.full(moves.shape[1], np.nan)
    sums = np.bincount(group[known], rows.impostor[known], minlength=moves.shape[1]).astype(np.float64)
    numbers = np.bincount(group[known], minlength=moves.shape[1]).astype(np.float64)
    value, without, _ = jackknife.mean_left_out(sums[:, None], numbers[:, None], moves[known].sum(axis=0)[:, None])
    changed: Float = without[:, 0] - value[0]
    return changed


def references_by_group(original: Rows, groups: int) -> Float:
    """(groups,): usable references of each group of people."""
    usable = (original.role == "reference") & original.ok
    return np.bincount(group_of(original.subject_code[usable], groups), minlength=groups).astype(np.float64)


def _kinds(rows: Rows, original: Rows, is_original: bool) -> list[_Kind]:
    probes = eligible_probes(rows, original)
    failed = probes & rows.fta
    ok = probes & rows.ok
    references = (rows.role == "reference") & (rows.ok | rows.fta)
    stranger = _mean(_where(ok, rows.impostor))
    groups = next((r.moves.shape[1] for r in (rows, original) if r.moves is not None), 1)
    own = group_of(rows.subject_code, groups)

    def of_failures(which: Bool, changed: Float) -> Float32:
        """Float32 of images that count as a stranger's similarity."""
        moves = np.where(which[:, None], changed, 0.0).astype(np.float32)
        moves[np.arange(len(moves)), own] = 0.0
        return moves

    moves = _moves(rows, groups)
    lost = of_failures(failed, _stranger_moves(rows, ok, moves)) if failed.any() else None
    if is_original:
        ref_ok = references & rows.ok
        return [
            _Kind("GT vs GT", "own", _where(ref_ok, rows.genuine), rows.n_references, references, references & rows.fta),
            _Kind("Angled vs GT", "own", _where(ok, rows.genuine), rows.n_references, probes, failed),
            _Kind(
                "Angled vs GT", "penalised", _penalised(_where(ok, rows.genuine), failed, stranger), rows.n_references, probes, failed, lost
            ),
            _Kind("Angled vs Angled", "own", _where(ok, rows.within), rows.n_within, probes, failed),
            _Kind("GT vs other GT", "own", _where(ref_ok, rows.impostor), rows.n_impostors, references, references & rows.fta, moves),
            _Kind("Angled vs other GT", "own", _where(ok, rows.impostor), rows.n_impostors, probes, failed, moves),
        ]
    base_probes = eligible_probes(original, original)
    base_failed = base_probes & original.fta
    base_ok = base_probes & original.ok
    both = ok & base_ok
    base_stranger = _mean(_where(base_ok, original.impostor))
    # Net Gain and impostor gain of every probe; a failure counts as a stranger's similarity, on either side
    known = (ok | failed) & (base_ok | base_failed)
    full = {
        "frontal": _where(known, _penalised(_where(ok, rows.genuine), failed, stranger)),
        "angled": _where(known, _penalised(_where(base_ok, original.genuine), base_failed, base_stranger)),
        "frontal_other": _where(known, _penalised(_where(ok, rows.impostor), failed, stranger)),
        "angled_other": _where(known, _penalised(_where(base_ok, original.impostor), base_failed, base_stranger)),
    }
    net = _where(both, rows.genuine - original.genuine)
    other = _where(both, rows.impostor - original.impostor)
    net_full, other_full = full["frontal"] - full["angled"], full["frontal_other"] - full["angled_other"]
    refs, strangers = rows.n_references, rows.n_impostors
    base_moves = _moves(original, groups)
    base_lost = of_failures(base_failed, _stranger_moves(original, base_ok, base_moves)) if base_failed.any() else None
    net_lost: Float32 | None = None
    if lost is not None or base_lost is not None:
        net_lost = (np.zeros_like(moves) if lost is None else lost) - (np.zeros_like(moves) if base_lost is None else base_lost)
    other_moves = moves - base_moves
    other_lost = other_moves
    if net_lost is not None:
        frontal_lost = moves if lost is None else np.where(failed[:, None], lost, moves)
        angled_lost = base_moves if base_lost is None else np.where(base_failed[:, None], base_lost, base_moves)
        other_lost = frontal_lost - angled_lost
    full_lost, sign = (other_lost, -1) if net_lost is None else (net_lost - other_lost, 1)
    return [
        _Kind("Frontal vs GT", "own", _where(ok, rows.genuine), refs, probes, failed),
        _Kind("Frontal vs GT", "common", _where(both, rows.genuine), refs, probes, failed),
        _Kind("Frontal vs GT", "penalised", full["frontal"], refs, probes, failed, lost),
        _Kind("Angled vs GT", "common", _where(both, original.genuine), original.n_references, probes, failed),
        _Kind("Angled vs GT", "penalised", full["angled"], original.n_references, probes, failed, base_lost),
        _Kind("Frontal vs Angled", "common", _where(both, rows.to_original), np.ones(len(rows)), probes, failed),
        _Kind("Frontal vs Frontal", "own", _where(ok, rows.within), rows.n_within, probes, failed),
        _Kind("Frontal vs other GT", "own", _where(ok, rows.impostor), strangers, probes, failed, moves),
        _Kind("Frontal vs other GT", "common", _where(both, rows.impostor), strangers, probes, failed, moves),
        _Kind("Angled vs other GT", "common", _where(both, original.impostor), original.n_impostors, probes, failed, base_moves),
        _Kind("Net Gain", "common", net, refs, probes, failed),
        _Kind("impostor gain", "common", other, strangers, probes, failed, other_moves),
        _Kind("identity gain", "common", net - other, refs, probes, failed, other_moves, -1),
        _Kind("Net Gain", "penalised", net_full, refs, probes, failed, net_lost),
        _Kind("impostor gain", "penalised", other_full, strangers, probes, failed, other_lost),
        _Kind("identity gain", "penalised", net_full - other_full, refs, probes, failed, full_lost, sign),
    ]


def check_same_images(rows: Rows, original: Rows, where: str) -> None:
    """Raise :class:`BadInput` unless both tables are of the same images."""
    if len(rows) != len(original) or (rows.image_id != original.image_id).any():
        raise BadInput(f"{where}: not the same images as the table of variant 'original'; compare both from the same dataset again")


def summarize_cell(rows: Rows, original: Rows, *, is_original: bool, bins: YawBins, seed: int = 0) -> list[dict[str, Any]]:
    """Summary rows of one cell: every group x subset x yaw bin that holds at least one eligible image.

    ``original``: the table of variant ``original`` of the same dataset, detector and backbone (``rows`` itself when ``is_original``).
    Keys are the columns of the master table from ``group`` on (docs/statistics.md), and ``largest``, the share of the person with the most images.
    The 95 % interval is Student's, from leaving people out (:mod:`.jackknife`), as references too where strangers are part of the value;
    ``p_value`` (gains only) the sign-flip permutation test on people's means, and where strangers are part of them not below that of Student's t with
    both sides left out: sign flips do not know that a reference person moves all of them at once. ``seed`` is that of the random sign
    flips.
    """
    kinds = _kinds(rows, original, is_original)
    labels = bins.labels
    n_bins = len(labels)
    yaw = original.yaw  # pose of the original image, whatever the variant looks like
    absolute, signed = bins.codes(yaw)
    code = original.subject_code
    used = np.unique(code[np.any([kind.eligible for kind in kinds], axis=0)])
    place = np.full(int(code.max(initial=-1)) + 1, -1)
    place[used] = np.arange(len(used))
    n_subjects = len(used)
    identities = np.unique(original.identity.astype(np.str_), return_inverse=True)[1]

    out: list[dict[str, Any]] = []
    sums, squares, numbers, tested, gaining = [], [], [], [], []
    sided: list[tuple[int, Moved]] = []  # (row, what strangers' references do to its images)
    alone = rows.fallback
    mixed: list[int] = []  # rows with fallbacks, and their sums, numbers and changes without those
    rest_sums, rest_squares, rest_numbers = [], [], []
    rest_sided: list[tuple[int, Moved]] = []
    sided_p: dict[int, float] = {}
    seen: dict[tuple[int, bytes], Moved] = {}
    for kind in kinds:
        for axis, (axis_code, chosen) in enumerate(
            (
                (np.zeros(len(rows), np.int64), [0]),
                (absolute, [i for i in range(n_bins) if labels[i][0] == "abs"]),
                (signed, list(range(n_bins))),
            )
        ):
            wanted = set(chosen) if axis < 2 else {i for i in chosen if labels[i][0] == "signed"}
            for b in sorted(wanted):
                inside = axis_code == b
                eligible = inside & kind.eligible
                n_eligible = int(eligible.sum())
                if n_eligible == 0:
                    continue
                here = np.flatnonzero(inside & np.isfinite(kind.values))
                values = kind.values[here]
                who = place[code[here]]
                n_failed = int((inside & kind.failed).sum())
                number = np.bincount(who, minlength=n_subjects).astype(np.float64)
                total = np.bincount(who, values, minlength=n_subjects).astype(np.float64)
                sums.append(total)
                squares.append(np.bincount(who, values**2, minlength=n_subjects).astype(np.float64))
                numbers.append(number)
                single = alone[here]
                if kind.moves is not None:
                    key = id(kind.moves), here.tobytes()
                    if key not in seen:  # several groups move alike over the same images
                        seen[key] = Moved.of(code[here], kind.moves[here])
                    moved = seen[key] if kind.sign > 0 else -seen[key]
                    sided.append((len(out), moved))
                if single.any():
                    if kind.moves is not None:
                        rest = Moved.of(code[here[~single]], kind.moves[here[~single]])
                        rest_sided.append((len(mixed), rest if kind.sign > 0 else -rest))
                    mixed.append(len(out))
                    rest_sums.append(np.bincount(who[~single], values[~single], minlength=n_subjects).astype(np.float64))
                    rest_squares.append(np.bincount(who[~single], values[~single] ** 2, minlength=n_subjects).astype(np.float64))
                    rest_numbers.append(np.bincount(who[~single], minlength=n_subjects).astype(np.float64))
                gain = kind.group in GAINS
                if gain:
                    gaining.append((len(out), np.bincount(who, values > scores.TIE, minlength=n_subjects).astype(np.float64)))
                if gain and labels[b][0] != "signed":
                    tested.append(len(out))
                    if kind.moves is not None and len(here):
                        sided_p[len(out)] = PersonMeans(total[number > 0] / number[number > 0], moved).left_out().p_value()
                out.append(
                    {
                        "group": kind.group,
                        "subset": kind.subset,
                        "yaw_axis": labels[b][0],
                        "yaw_bin": labels[b][1],
                        "yaw_low": labels[b][2],
                        "yaw_high": labels[b][3],
                        "n_images": len(here),
                        "n_pairs": int(np.nansum(kind.pairs[here])),
                        "n_identities": int(np.count_nonzero(np.bincount(identities[here]))),
                        "n_subjects": int((number > 0).sum()),
                        "n_eligible": n_eligible,
                        "n_fta": n_failed,
                        "fta_rate": n_failed / n_eligible,
                        "mean": float(values.mean()) if len(here) else np.nan,
                        "median": float(np.median(values)) if len(here) else np.nan,
                        "sd": float(values.std(ddof=1)) if len(here) > 1 else np.nan,
                        "n_fallback": int(single.sum()),
                        "mean_both": float(values[~single].mean()) if not single.all() else np.nan,
                        "share_gaining": significance.share_gaining(values) if gain else np.nan,
                        "share_gaining_low": np.nan,
                        "share_gaining_high": np.nan,
                        "p_value": np.nan,
                        "cohen_dz": np.nan,
                    }
                )
    if not out:
        return out
    tails = np.array([jackknife.KURTOSIS_OF_CHANGES if row["group"] in SYMMETRIC else jackknife.KURTOSIS for row in out])
    low, high = _mean_intervals(sums, squares, numbers, sided, used, tails)
    whose = subjects.of_sums(np.stack(sums, axis=1), np.stack(numbers, axis=1))
    for row, a, b, those in zip(out, low, high, whose, strict=True):
        row |= {"mean_people": those.mean, "n_effective": those.effective, "largest": those.largest}
        row["ci_low"], row["ci_high"] = float(a), float(b)
        row["both_low"], row["both_high"] = float(a), float(b)
    if mixed:
        low, high = _mean_intervals(rest_sums, rest_squares, rest_numbers, rest_sided, used, tails[mixed])
        for i, a, b in zip(mixed, low, high, strict=True):
            out[i]["both_low"], out[i]["both_high"] = float(a), float(b)
    if gaining:
        low, high = jackknife.rate_intervals(
            np.stack([hits for _, hits in gaining], axis=1), np.stack([numbers[i] for i, _ in gaining], axis=1)
        )
        for (i, _), a, b in zip(gaining, low, high, strict=True):
            out[i]["share_gaining_low"], out[i]["share_gaining_high"] = float(a), float(b)
    if tested:
        with np.errstate(invalid="ignore", divide="ignore"):
            means = np.stack([sums[i] / numbers[i] for i in tested], axis=1)
        for i, p, mean in zip(tested, sign_flip_columns(means, seed=seed), means.T, strict=True):
            out[i]["p_value"] = not_below(float(p), sided_p.get(i), out[i]["n_subjects"])
            out[i]["cohen_dz"] = significance.cohen_dz(mean[np.isfinite(mean)])
    return out


def not_below(p: float, sided: float | None, n_people: int) -> float:
    """``p`` of a sign-flip test, not below that of Student's t with both sides left out (None: no strangers are part of the value).

    With too few people for Student's t no sign-flip test can decide anything either (:func:`.verdict.decidable`).
    """
    return p if sided is None or n_people < jackknife.MIN_PEOPLE else max(p, sided) if np.isfinite(sided) else np.nan


def mean_estimate(values: Float, person: Int, moves: Float | Float32, kurtosis: float = jackknife.KURTOSIS) -> jackknife.Estimate:
    """The mean of ``values`` (n,) of images of ``person`` (n,; codes as in the table) and its interval, people left out on both sides; ``moves``
    (n, groups): how each value changes without a group's references."""
    if not len(values):
        return jackknife.Estimate(np.nan, np.nan, np.nan)
    moved = Moved.of(person, moves)
    sums, squares = subjects.sums_by(person, np.stack([values, values**2], axis=1))[1].T
    low, high = _mean_intervals([sums], [squares], [moved.numbers], [(0, moved)], moved.person, np.array([kurtosis]))
    return jackknife.Estimate(float(values.mean()), float(low[0]), float(high[0]))


def _mean_intervals(
    sums: Sequence[Float],
    squares: Sequence[Float],
    numbers: Sequence[Float],
    sided: Sequence[tuple[int, Moved]],
    used: Int,
    kurtosis: Float,
) -> tuple[Float, Float]:
    """Intervals (M,) of M means from sums, sums of squares and numbers per subject ``used``; ``sided``: (which of them, what strangers' references
    do to its images), for those that both sides are drawn for; ``kurtosis`` (M,) of people."""
    low, high = jackknife.mean_intervals(
        np.stack(sums, axis=1), np.stack(numbers, axis=1), squares=np.stack(squares, axis=1), kurtosis=kurtosis
    )
    if sided:
        groups = sided[0][1].sums.shape[1]
        group = group_of(used, groups)
        merged, moved, excess = np.zeros((3, groups, len(sided))), np.zeros((groups, len(sided))), np.zeros(len(sided))
        for k, (i, what) in enumerate(sided):
            np.add.at(merged[0, :, k], group, sums[i])
            np.add.at(merged[1, :, k], group, numbers[i])
            np.add.at(merged[2, :, k], group, squares[i])
            moves, images = what.by_group(np.ones(len(what.person)))
            moved[:, k], excess[k] = moves.sum(axis=0), jackknife.counted_twice(moves, images)
        places = [i for i, _ in sided]
        low[places], high[places] = jackknife.mean_intervals(
            merged[0], merged[1], moved, excess, squares=merged[2], kurtosis=kurtosis[places]
        )
    return low, high


@lru_cache(maxsize=4)
def _flips(n: int, seed: int) -> npt.NDArray[np.float32]:
    signs = np.random.default_rng(seed).integers(0, 2, (9999, n), dtype=np.int8).astype(np.float32) * 2.0 - 1.0
    signs.setflags(write=False)
    return signs


def sign_flip_columns(means: Float, *, seed: int = 0) -> Float:
    """Two-sided sign-flip p values (M,) of M columns of subject means (n, M), NaN where a subject has no part; as :func:`.significance.sign_flip_p`.

    Columns with few subjects are tested exactly, the others share 9,999 random flips.
    """
    p = np.full(means.shape[1], np.nan)
    known = np.isfinite(means)
    count = known.sum(axis=0)
    for column in np.flatnonzero((count > 0) & (count <= significance.EXACT_FLIPS)):
        p[column] = significance.sign_flip_p(means[known[:, column], column])
    many = np.flatnonzero(count > significance.EXACT_FLIPS)
    if len(many):
        scale = np.nanmax(np.abs(means[:, many]), axis=0)
        d = np.nan_to_num(means[:, many] / np.where(scale > 0, scale, 1.0)).astype(np.float32)
        observed = np.abs(d.sum(axis=0)) * (1 - 1e-5)
        signs = _flips(len(means), seed)
        p[many] = ((np.abs(signs @ d) >= observed).sum(axis=0) + 1) / (len(signs) + 1)
    return p

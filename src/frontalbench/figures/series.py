"""From tables to the numbers that figures draw: groups of similarities, paired gains, cell values, costs. No matplotlib in here.

Gains follow the words of the architecture: Net Gain = genuine(variant) - genuine(original), impostor gain = the same difference of the mean
similarity to all other subjects' references, identity gain = Net Gain - impostor gain; paired per probe, so only probes that gave an embedding in
both variants count. The others are counted as failures to acquire, never dropped in silence.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from frontalbench import status, tables
from frontalbench.compare import gates, jackknife
from frontalbench.compare import groups as pair_groups
from frontalbench.compare.derived import ALONE
from frontalbench.compare.rows import Rows, read_moves
from frontalbench.errors import BadInput
from frontalbench.plan import variant as names
from frontalbench.plan.variant import ORIGINAL, parse, turn_of
from frontalbench.types import Bool, Float, Int, Objects

YAW_EDGES = (0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0)
FEWEST_PROBES, FEWEST_PLACES = 20, 8
"""A curve needs so many probes, at so many different whole degrees: between nominal angles such as 0, 45 and 90 it would be made up."""
_COLUMNS = [
    *("image_id", "subject", "role", "yaw", "status", "detail", "genuine", "impostor", "rank", "to_original", "within"),
    "impostor_moves",
]


@dataclass(frozen=True)
class Interval:
    """A mean with its 95 % interval over people (:mod:`frontalbench.compare.jackknife`); the bounds are NaN where they are worth too few."""

    mean: float
    low: float
    high: float
    n: int
    subjects: int


@dataclass(frozen=True)
class Group:
    """One hill of the distribution figure: ``values`` float64 (N,), their mean with its interval, and which variant's colour it has."""

    label: str
    variant: str
    kind: str  # reference | original | within | variant | to_original | impostor
    values: Float
    interval: Interval


@dataclass(frozen=True)
class Gains:
    """Paired differences of one variant, one entry per probe with an embedding in both: float64 (N,). ``yaw`` may be NaN.

    ``alone`` bool (N,): a fusion that had only one of its two images; such a difference says nothing about the frontal view. ``person`` (N,): the
    subject as a place among all of the table, ``moves`` (N, groups): how ``impostor`` changes without the references of each group of people; None
    where the tables do not say, then identity gain has no interval.
    """

    variant: str
    image_id: Objects
    subject: Objects
    yaw: Float
    net: Float
    impostor: Float
    lost: int  # probes that had an embedding in the original and none in the variant
    probes: int  # probes with an embedding in the original
    alone: Bool = field(default_factory=lambda: np.zeros(0, np.bool_))  # nothing given: none is
    person: Int | None = None
    moves: Float | None = None

    def __post_init__(self) -> None:
        if len(self.alone) != len(self.net):
            object.__setattr__(self, "alone", np.zeros(len(self.net), np.bool_))

    @property
    def identity(self) -> Float:
        """Net Gain - impostor gain, float64 (N,)."""
        return self.net - self.impostor

    def drawn(self) -> Gains:
        """Without the probes whose fusion had one embedding only: what charts over yaw show."""
        keep = ~self.alone
        parts = (self.image_id[keep], self.subject[keep], self.yaw[keep], self.net[keep], self.impostor[keep])
        person = None if self.person is None else self.person[keep]
        moves = None if self.moves is None else self.moves[keep]
        return Gains(self.variant, *parts, lost=self.lost, probes=self.probes, person=person, moves=moves)

    def identity_interval(self, keep: Bool | slice = slice(None)) -> Interval:
        """Mean identity gain of the probes ``keep`` (N,), strangers' references left out too."""
        moves = None if self.moves is None else -self.moves
        return _both_sides(self.identity[keep], self.subject[keep], self.person, moves, keep, jackknife.KURTOSIS_OF_CHANGES)


@dataclass(frozen=True)
class Bin:
    """One |yaw| bin: degrees ``low`` <= |yaw| < ``high`` (infinite in the last bin). ``alone``: probes left out of it, see :class:`Gains`."""

    low: float
    high: float
    net: Interval
    identity: Interval
    alone: int = 0


@dataclass(frozen=True)
class CellValue:
    """One field of the heat map."""

    detector: str
    backbone: str
    value: Interval
    fta: float  # share of the images with a failure to acquire, 0..1


def read_similarity(path: str | Path) -> pa.Table:
    """A similarity table with the columns that figures need."""
    return tables.read(path, tables.SIMILARITY, columns=_COLUMNS)


def groups(original: pa.Table, variants: Mapping[str, pa.Table]) -> list[Group]:
    """The groups of the study, in its order, from the similarity tables of one (dataset, detector, backbone).

    GT vs GT, Angled vs GT, Angled vs Angled; per variant Frontal vs GT and Frontal vs Angled; impostor (angled probes against the references of
    all other subjects, mean per image). Groups without a single value are left out.
    """

    def group(label: str, variant: str, kind: str, table: pa.Table, column: str, role: str = "probe") -> Group:
        values = numbers(table, column)
        keep = (strings(table, "role") == role) & (strings(table, "status") == status.OK) & np.isfinite(values)
        subject = strings(table, "subject")
        if kind == "impostor":
            interval = _both_sides(values[keep], subject[keep], _person(subject), _moves(table), keep)
        else:
            interval = mean_interval(values[keep], subject[keep])
        return Group(label, variant, kind, values[keep], interval)

    made = [
        group("GT vs GT", ORIGINAL, "reference", original, "genuine", "reference"),
        group("Angled vs GT", ORIGINAL, "original", original, "genuine"),
        group("Angled vs Angled", ORIGINAL, "within", original, "within"),
    ]
    for name, table in variants.items():
        made.append(group(f"Frontal vs GT, {name}", name, "variant", table, "genuine"))
        made.append(group(f"Frontal vs Angled, {name}", name, "to_original", table, "to_original"))
    made.append(group("impostor, angled", ORIGINAL, "impostor", original, "impostor"))
    for name, table in variants.items():
        made.append(group(f"impostor, {name}", name, "impostor", table, "impostor"))
    return [one for one in made if len(one.values)]


SWEEP = tuple(float(angle) for angle in range(0, 95, 5))
"""Angles of gates in degrees, in :func:`gate_steps`."""


def gate_steps(original: pa.Table, table: pa.Table, angles: Sequence[float] = SWEEP) -> list[gates.Step]:
    """What gates at ``angles`` give between the photograph and one variant (:func:`frontalbench.compare.gates.sweep`), over all probes whose
    photograph has an embedding; a probe without a frontal keeps the photograph. Strangers' references are left out too, no interval without them."""
    made = gains("", original, table)
    before = _usable(original)
    role, subject, yaw = strings(original, "role"), strings(original, "subject"), numbers(original, "yaw")
    rows = [row for row in before.values() if role[row] == "probe"]
    place = {name: i for i, name in enumerate(made.image_id.tolist())}
    names = strings(original, "image_id")
    at = np.array([place.get(names[row], -1) for row in rows], np.int64)
    gain = np.where(at >= 0, made.identity[np.maximum(at, 0)], np.nan) if len(made.identity) else np.full(len(rows), np.nan)
    steps = gates.sweep(yaw[rows], gain, subject[rows].astype(np.str_), angles)
    if made.moves is None or not len(made.identity):
        return [replace(step, low=np.nan, high=np.nan) for step in steps]
    person, turn = _person(subject)[rows], np.nan_to_num(np.abs(yaw[rows]), nan=-1.0)
    moves = np.where((at >= 0)[:, None], -made.moves[np.maximum(at, 0)], 0.0)
    found = []
    for step in steps:
        taken = (turn >= step.angle) & np.isfinite(gain)
        one = pair_groups.mean_estimate(np.where(taken, np.nan_to_num(gain), 0.0), person, np.where(taken[:, None], moves, 0.0))
        found.append(replace(step, low=one.low, high=one.high))
    return found


@dataclass(frozen=True)
class Reliability:
    """Chances of a learned gate against what came true: ``bins``, each with the 95 % interval of its share over people, and the Brier score."""

    bins: list[tuple[gates.Bin, Interval]]
    brier: float


def reliability(original: pa.Table, gated: pa.Table, frontal: pa.Table) -> Reliability:
    """Of a learned gate's table ``gated`` and that of the variant which it turns to, over the probes with both embeddings and a chance."""
    made = gains("", original, frontal)
    _, chance = gates.decided([str(text) for text in strings(gated, "detail")])
    place = {str(name): i for i, name in enumerate(strings(gated, "image_id"))}
    expected = np.array([chance[place[str(name)]] if str(name) in place else np.nan for name in made.image_id], np.float64)
    bins, brier = gates.calibration(expected, made.identity)
    found = []
    for one in bins:
        last = one.high >= 1.0
        inside = (expected >= one.low) & ((expected < one.high) | last)
        found.append((one, mean_interval((made.identity[inside] > 0).astype(np.float64), made.subject[inside])))
    return Reliability(found, brier)


def gains(variant: str, original: pa.Table, table: pa.Table) -> Gains:
    """Paired gains of ``table`` (one variant) over ``original``, both of the same dataset, detector and backbone."""
    before = _usable(original)
    after = _usable(table)
    ids = sorted(set(before) & set(after))
    subject, yaw, role = strings(original, "subject"), numbers(original, "yaw"), strings(original, "role")
    first, second = np.array([before[i] for i in ids], dtype=np.intp), np.array([after[i] for i in ids], dtype=np.intp)
    probes = {i for i, row in before.items() if role[row] == "probe"}
    moves = [_moves(one) for one in (table, original)]
    known = moves[0] is not None and moves[1] is not None and moves[0].shape[1] == moves[1].shape[1]
    return Gains(
        variant=variant,
        image_id=np.array(ids, dtype=object),
        subject=subject[first],
        yaw=yaw[first],
        net=numbers(table, "genuine")[second] - numbers(original, "genuine")[first],
        impostor=numbers(table, "impostor")[second] - numbers(original, "impostor")[first],
        lost=len(probes - set(after)),
        probes=len(probes),
        alone=np.array([text.startswith(ALONE) for text in strings(table, "detail")[second]], dtype=np.bool_),
        person=_person(subject)[first],
        moves=moves[0][second] - moves[1][first] if known and moves[0] is not None and moves[1] is not None else None,
    )


@dataclass(frozen=True)
class Turned:
    """One point of a turn curve, of the probes of one bin: ``share`` of the yaw that stays (1: drawn, not turned); ``similarity`` to the own GT,
    ``identity`` gain, and ``dprime``, which has pairs in place of a mean of probes."""

    share: float
    similarity: Interval
    identity: Interval
    dprime: Interval


def turn_shares(variants: Iterable[str]) -> dict[str, dict[float, str]]:
    """The variants that differ only in the share of the angle that stays, and the frontal view (0) beside them, by a common name: ``tddfa.none``,
    ``fuse_mean:tddfa.none``. Those that keep a yaw in degrees have no share."""
    found: dict[str, dict[float, str]] = {}
    for name in variants:
        of = parse(name)
        share = 0.0 if of.turn is None else of.turn.share
        if not of.is_original and share is not None:
            plain = names.made(turn_of(of.frontalizer)[0], of.enhancement)
            found.setdefault(f"{of.prefix}:{plain}" if of.recipe else plain, {})[share] = name
    return {name: dict(sorted(shares.items())) for name, shares in found.items() if set(shares) - {0.0}}


def turn_curve(original: Rows, variants: Mapping[float, Rows], edges: Sequence[float]) -> dict[tuple[float, float], list[Turned]]:
    """The points of one curve, by rising share, in every bin of |yaw| that has probes; the last bin ends at infinity. The probes of a bin are those
    that have an embedding in the photograph and in *all* variants, so that points differ by the turn alone."""
    steps, probe = np.asarray(edges, np.float64), original.role == "probe"
    size = np.abs(original.yaw)
    usable = probe & original.ok & np.logical_and.reduce([rows.ok & ~rows.fallback for rows in variants.values()])
    found = {}
    for low, high in itertools.pairwise([*steps, np.inf]):
        keep = usable & (size >= low) & (size < high)
        if keep.any():
            found[(float(low), float(high))] = [_turned(share, rows, original, keep) for share, rows in variants.items()]
    return found


def _turned(share: float, rows: Rows, original: Rows, keep: Bool) -> Turned:
    from frontalbench.compare import separation
    from frontalbench.tabulate.verification import moments

    subject, person = original.subject[keep], original.subject_code
    n, people = int(keep.sum()), len(np.unique(subject.astype(str)))
    moves = None if rows.moves is None or original.moves is None else -(rows.moves.astype(np.float64) - original.moves.astype(np.float64))
    gain = (rows.genuine - original.genuine) - (rows.impostor - original.impostor)
    apart = separation.dprime_estimate(moments(rows, keep, original), original.subject.astype(np.str_))
    return Turned(
        share,
        mean_interval(rows.genuine[keep], subject),
        _both_sides(gain[keep], subject, person[keep], None if moves is None else moves[keep], slice(None), jackknife.KURTOSIS_OF_CHANGES),
        Interval(apart.value, apart.low, apart.high, n, people),
    )


def _person(subject: Objects) -> Int:
    """(N,): places of the people of a whole table in the sorted names."""
    code: Int = np.unique(subject.astype(np.str_), return_inverse=True)[1].astype(np.int64)
    return code


def _moves(table: pa.Table) -> Float | None:
    """How the impostor mean of every row of a whole table changes without each group's references (N, groups); None where it does not say."""
    if "impostor_moves" not in table.column_names:
        return None
    found = read_moves(table.column("impostor_moves"), strings(table, "subject"))
    return None if found is None else found.astype(np.float64)


def _both_sides(
    values: Float,
    subject: Objects,
    person: Int | None,
    moves: Float | None,
    keep: Bool | slice,
    kurtosis: float = jackknife.KURTOSIS,
) -> Interval:
    """Mean of ``values`` of ``subject`` (both of the rows ``keep`` only); ``person`` and ``moves`` of all rows; ``kurtosis`` of people."""
    if not len(values):
        return Interval(np.nan, np.nan, np.nan, 0, 0)
    people = len(np.unique(subject.astype(str)))
    if person is None or moves is None:
        return Interval(float(values.mean()), np.nan, np.nan, len(values), people)
    found = pair_groups.mean_estimate(values, person[keep], moves[keep], kurtosis)
    return Interval(found.value, found.low, found.high, len(values), people)


def _usable(table: pa.Table) -> dict[str, int]:
    """Row number of every probe that has a genuine similarity, by image_id."""
    keep = (strings(table, "role") == "probe") & (strings(table, "status") == status.OK) & np.isfinite(numbers(table, "genuine"))
    ids = strings(table, "image_id")
    return {str(ids[row]): int(row) for row in np.flatnonzero(keep)}


def by_yaw(made: Gains, edges: Sequence[float] = YAW_EDGES) -> list[Bin]:
    """Net Gain and identity gain in bins of |yaw|, the bins of the master table: between the edges, and one more beyond the last.

    Every bin is there, empty ones with n = 0 and NaN. A fusion's probes that had one embedding only are counted and left out.
    Raises :class:`BadInput` for edges that do not rise.
    """
    steps = np.asarray(edges, dtype=np.float64)
    if len(steps) < 2 or (np.diff(steps) <= 0).any():
        raise BadInput(f"yaw bins should be at least two rising edges in degrees, got {list(edges)}")
    size = np.abs(made.yaw)
    bins = []
    for low, high in itertools.pairwise([*steps, np.inf]):
        inside = (size >= low) & (size < high)
        keep = inside & ~made.alone
        net = mean_interval(made.net[keep], made.subject[keep], jackknife.KURTOSIS_OF_CHANGES)
        bins.append(Bin(float(low), float(high), net, made.identity_interval(keep), int((inside & made.alone).sum())))
    return bins


def mean_interval(values: Float, subjects: Objects, kurtosis: float = jackknife.KURTOSIS) -> Interval:
    """Mean of ``values`` (N,) without strangers in them, and its 95 % interval from leaving people out (:mod:`frontalbench.compare.jackknife`);
    ``kurtosis`` of people."""
    if not len(values):
        return Interval(np.nan, np.nan, np.nan, 0, 0)
    _, index = np.unique(subjects.astype(str), return_inverse=True)
    found = jackknife.mean_estimate(values, index, kurtosis)
    return Interval(found.value, found.low, found.high, len(values), int(index.max()) + 1)


def curve_drawable(made: Gains) -> bool:
    """Whether probes are enough, at enough different angles, for a curve over yaw."""
    known = made.yaw[np.isfinite(made.yaw)]
    return len(known) >= FEWEST_PROBES and len(np.unique(np.rint(np.abs(known)))) >= FEWEST_PLACES


METRICS = {
    "net_gain": "Net Gain",
    "identity_gain": "identity gain",
    "genuine": "similarity to GT",
    "rank1": "rank-1 share",
}
"""What the heat map can show: its key and its words."""


def cell_value(
    metric: str,
    detector: str,
    backbone: str,
    table: pa.Table,
    original: pa.Table | None = None,
) -> CellValue:
    """One field of the heat map from a similarity table (gains need ``original`` too). Raises :class:`BadInput` for an unknown metric."""
    if metric not in METRICS:
        raise BadInput(f"heat map metric '{metric}' is not known; use: {', '.join(METRICS)}")
    role, state = strings(table, "role"), strings(table, "status")
    asked = (role == "probe") & np.isin(state, [status.OK, *sorted(status.FAILURE_TO_ACQUIRE)])
    fta = float(np.isin(state[asked], sorted(status.FAILURE_TO_ACQUIRE)).mean()) if asked.any() else float("nan")
    if metric in ("net_gain", "identity_gain"):
        if original is None:
            raise BadInput(f"heat map of {metric}: the similarity table of variant 'original' for {detector}, {backbone} is needed too")
        made = gains("", original, table)
        if metric == "identity_gain":
            return CellValue(detector, backbone, made.identity_interval(), fta)
        scored, people = made.net, made.subject
    else:
        values = numbers(table, "genuine" if metric == "genuine" else "rank")
        keep = asked & (state == status.OK) & np.isfinite(values)
        scored = values[keep] if metric == "genuine" else (values[keep] == 1).astype(np.float64)
        people = strings(table, "subject")[keep]
    return CellValue(detector, backbone, mean_interval(scored, people), fta)


def costs(paths: Mapping[str, Iterable[str | Path]]) -> dict[str, Float]:
    """Seconds per image of every frontalizer or variant (rows with status ok), from its shards."""
    made = {}
    for name, shards in paths.items():
        parts = []
        for shard in shards:
            table = tables.read(shard, tables.FRONTALS, columns=["status", "seconds"])
            seconds = numbers(table, "seconds")
            parts.append(seconds[(strings(table, "status") == status.OK) & np.isfinite(seconds)])
        made[name] = np.concatenate(parts) if parts else np.zeros(0)
    return made


def strings(table: pa.Table, column: str) -> Objects:
    """A string column as an object array (null: empty string)."""
    return np.array([value or "" for value in table.column(column).to_pylist()], dtype=object)


def numbers(table: pa.Table, column: str) -> Float:
    """A number column as float64 (null: NaN)."""
    values: Any = table.column(column).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.asarray(values, dtype=np.float64)

"""The master tables as the site needs them: plain rows, the ranking with its uncertainty, the gains by yaw."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frontalbench import tables
from frontalbench.errors import BadInput
from frontalbench.tabulate.columns import schema

Row = Mapping[str, Any]
NEEDED = (
    "master",
    "table1_net_gain",
    "table3_backbones",
    "verification",
    "curves",
    "judges",
    "judge_pairs",
    "quality",
    "counts",
    "missing",
    "software",
)


@dataclass(frozen=True)
class Master:
    """The tables (name -> rows in file order) and what they are about, each list in the order of its table.

    ``datasets``: all that were counted, also those of which nothing could be judged.
    """

    tables: Mapping[str, Sequence[Row]]
    datasets: tuple[str, ...]
    frontalizers: tuple[str, ...]
    judges: tuple[tuple[str, str], ...]
    synthetic: frozenset[str]

    def rows(self, table: str, **wanted: Any) -> list[Row]:
        """Rows of a table whose columns equal ``wanted``."""
        return [row for row in self.tables[table] if all(row[key] == value for key, value in wanted.items())]

    def judges_of(self, dataset: str) -> list[tuple[str, str]]:
        """(detector, backbone) pairs that judged a dataset; the first one is the judge of the page."""
        there = {(row["detector"], row["backbone"]) for row in self.rows("master", dataset=dataset)}
        return [judge for judge in self.judges if judge in there]


def read(folder: str | Path, judges: Sequence[tuple[str, str]] = ()) -> Master:
    """Read ``results/master/RUN``; raises :class:`BadInput` when a table is missing or of another version.

    ``judges``: which (detector, backbone) pairs come first, as the configuration has them; the others follow in the order of the table.
    """
    read_tables = {}
    for name in NEEDED:
        read_tables[name] = tables.read(Path(folder, f"{name}.parquet"), schema(name)).to_pylist()
    rows = read_tables["master"]
    counted = _distinct(row["dataset"] for row in [*rows, *read_tables["counts"]])
    if not counted:
        raise BadInput(f"{Path(folder, 'master.parquet')}: holds no row; run the summary of at least one dataset first")
    there = list(dict.fromkeys((row["detector"], row["backbone"]) for row in rows))
    return Master(
        tables=read_tables,
        datasets=counted,
        frontalizers=_distinct(row["frontalizer"] for row in rows),
        judges=tuple(judge for judge in dict.fromkeys([*judges, *there]) if judge in there),
        synthetic=frozenset(row["dataset"] for row in [*rows, *read_tables["counts"]] if row["synthetic"]),
    )


def _distinct(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(value for value in dict.fromkeys(values) if value)


@dataclass(frozen=True)
class Ranked:
    """A row of the ranking: its place by identity gain, and the places that significant differences leave open (``first`` to ``last``)."""

    place: int
    first: int
    last: int
    row: Row

    @property
    def places(self) -> str:
        return str(self.place) if self.first == self.last else f"{self.first} to {self.last}"


def ranking(rows: Sequence[Row]) -> tuple[list[Ranked], list[Row]]:
    """Rows of ``table1_net_gain`` of one dataset and judge, by their place there; and the rows that have none: without a value, leaks (there the
    judge took part in training what it judges), and those that lost most of the images."""
    fit = sorted((row for row in rows if row["place"] is not None), key=lambda row: int(row["place"]))
    ranked = [Ranked(place=row["place"], first=row["first"], last=row["last"], row=row) for row in fit]
    return ranked, [row for row in rows if row not in fit]


NOT_BEST = "first of its ranking, but not best: "
"""How the note of a leader begins that is not best (:mod:`frontalbench.tabulate.paper`)."""


@dataclass(frozen=True)
class Verdict:
    """What a ranking says in a sentence: ``leader`` is the first method in it (controls are there to be compared with), None where there is none;
    ``kind``: ``best`` only where the table says so, ``leads``, or ``least bad`` where it gains nothing; ``reason``: why it is not best."""

    kind: str
    leader: Row | None
    reason: str = ""


def verdict(ranked: Sequence[Ranked], is_control: Callable[[Row], bool]) -> Verdict:
    """The sentence of a ranking (:func:`ranking`)."""
    best = next((one.row for one in ranked if one.row["best"]), None)
    if best is not None:
        return Verdict("best", best)
    leader = next((one.row for one in ranked if not is_control(one.row)), None)
    if leader is None:
        return Verdict("none", None)
    gain = leader["gain_ranked"] if leader["gain_ranked"] is not None else leader["identity_gain"]
    if not gain > 0:
        return Verdict("least bad", leader)
    said = next((part for part in (leader["note"] or "").split("; ") if part.startswith(NOT_BEST)), "")
    return Verdict("leads", leader, said.removeprefix(NOT_BEST))

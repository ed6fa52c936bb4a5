"""The cells of one dataset, read once, and the notes that every table shares."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from frontalbench.compare import groups, scores
from frontalbench.compare.rows import Rows, read_rows
from frontalbench.compare.subjects import People
from frontalbench.compare.verdict import DOMINANT, SIGNIFICANT
from frontalbench.errors import BadInput
from frontalbench.plan.grid import Cell
from frontalbench.plan.variant import ORIGINAL
from frontalbench.types import Bool

Row = dict[str, Any]


@dataclass(frozen=True)
class TableSettings:
    """Seed of random sign flips, default edges of the \\|yaw\\| bins in degrees."""

    seed: int = 0
    edges: tuple[float, ...] = (0.0, 15.0, 30.0, 45.0, 60.0, 75.0, 90.0)


@dataclass
class Dataset:
    """The cells of one dataset with their rows, read once."""

    name: str
    rows: dict[Cell, Rows]

    def original(self, judge: tuple[str, str]) -> tuple[Cell, Rows] | None:
        """The cell of `original` of a judge."""
        return next(((c, r) for c, r in self.rows.items() if c.variant == ORIGINAL and c.judge == judge), None)

    @property
    def judges(self) -> list[tuple[str, str]]:
        return sorted({cell.judge for cell in self.rows})

    def of_judge(self, judge: tuple[str, str]) -> list[tuple[Cell, Rows]]:
        """Cells of a judge, `original` first, then by name."""
        chosen = [(c, r) for c, r in self.rows.items() if c.judge == judge]
        return sorted(chosen, key=lambda pair: (pair[0].variant != ORIGINAL, pair[0]))


def read_datasets(cells: Sequence[Cell]) -> Iterator[Dataset]:
    """Datasets one after the other (one in memory at a time), in name order. Raises :class:`BadInput` for cells that do not fit together."""
    for name in sorted({cell.dataset for cell in cells}):
        rows = {cell: read_rows(cell.similarity) for cell in sorted(cells) if cell.dataset == name}
        dataset = Dataset(name, rows)
        for cell, table in rows.items():
            base = dataset.original(cell.judge)
            if base is None:
                raise BadInput(f"{cell.similarity}: the cell of variant 'original' with the same detector and backbone is needed beside it")
            groups.check_same_images(table, base[1], str(cell.similarity))
        yield dataset


def usable(rows: Rows, original: Rows) -> Bool:
    """Probes with a similarity to their own references."""
    return groups.eligible_probes(rows, original) & rows.ok


def is_missing(rows: Rows) -> bool:
    """Whether the cell holds no embedding at all."""
    return not bool(rows.ok.any())


def lost_note(what: str, base: str, own: float, base_own: float, common_gain: float, n_common: int, n_lost: int) -> str:
    """A sentence when ``what`` has the higher own mean but not on the images that both gave; else empty."""
    if not (own > base_own and common_gain <= 0 and n_lost > 0):
        return ""
    return (
        f"looks better than {base} ({own:.3f} against {base_own:.3f}) only because {what} lost {n_lost} images: "
        f"on the {n_common} images that both gave it changes by {common_gain:+.3f}"
    )


def fallback_note(row: Mapping[str, Any]) -> str:
    """A sentence where a mean rests on fallbacks of a fusion: how many, and the mean without them; else empty."""
    if not row["n_fallback"]:
        return ""
    n_both = row["n_images"] - row["n_fallback"]
    rest = f"over the {n_both} with both the {row['group']} is {row['mean_both']:+.4f}" if n_both else "none has both"
    return f"{row['n_fallback']} of {row['n_images']} images rest on one embedding alone, as the other image gave none: {rest}"


def weight_note(people: People) -> str:
    """A sentence when one person holds more than a quarter of the images; else empty."""
    if not people.largest > DOMINANT:
        return ""
    return f"one person holds {100 * people.largest:.0f} % of the images (effective number of people {people.effective:.1f})"


def sign_note(what: str, mean: float, people: People) -> str:
    """A sentence when a difference has one sign over the images and the other over the people; else empty."""
    if not (min(mean, people.mean) < -scores.TIE and max(mean, people.mean) > scores.TIE):
        return ""
    return f"{what} is {mean:+.3f} over images and {people.mean:+.3f} over people: the sign depends on who has many images"


def disagreement_note(what: str, low: float, high: float, p: float) -> str:
    """A sentence when the interval (of the mean over images) and p (of the mean over people) answer differently; else empty."""
    if not all(math.isfinite(value) for value in (low, high, p)):
        return ""
    beyond = low > 0 or high < 0
    if beyond == (p < SIGNIFICANT):
        return ""
    return f"{what}: the interval {'leaves 0 out' if beyond else 'holds 0'} (mean over images), p is {p:.2g} (mean over people): the two disagree"


def join_notes(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


LEAK_NOTE = "the backbone took part in making this variant (leak), so it is not ranked"
SYNTHETIC_NOTE = "synthetic people: shows that the pipeline runs, says nothing about faces"


def standing_notes(head: Mapping[str, Any]) -> str:
    """Notes that follow from the cell alone."""
    return join_notes(LEAK_NOTE if head["leak"] else "", SYNTHETIC_NOTE if head["synthetic"] else "")

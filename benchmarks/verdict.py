#!/usr/bin/env python3
"""How often each verdict is wrong, and how often a real winner gets it, in experiments whose truth is known (worlds: tests/unit/peoplekit.py).

1. Bold of table 1 beside the rule that looks natural (highest mean per image over the own images, above its runner-up on the images that both gave,
   p < 0.05). 2. Bold of tables 2 and 3, winners of `wins`, places of variants. 3. The size of every p of a gain where nothing truly gains but
   strangers' references move all values at once, beside that of sign flips alone. 4. How often two equally good judges are called different, and a
   place says so. Prints percent; a wrong answer is allowed in 5.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.unit import peoplekit

from frontalbench.compare import groups, significance
from frontalbench.compare.rows import YawBins
from frontalbench.tabulate import Facts, judges, master, paper
from frontalbench.tabulate.dataset import Dataset

PEOPLE = (10, 35, 68, 200)


def naive(made: Dataset) -> list[str]:
    """The variants that the natural rule marks: at most one."""
    base = made.original(peoplekit.JUDGE)
    assert base is not None
    gains = {cell.variant: rows.genuine - base[1].genuine for cell, rows in made.rows.items() if cell.variant != "original"}
    subject, probe = base[1].subject.astype(np.str_), base[1].role == "probe"
    gains = {name: np.where(probe, gain, np.nan) for name, gain in gains.items()} | {"leave": np.where(probe, 0.0, np.nan)}
    first, second = sorted(gains, key=lambda name: -float(np.nanmean(gains[name])))[:2]
    p = significance.sign_flip_p(significance.subject_means(gains[first] - gains[second], subject))
    return [first] if p < 0.05 and first != "leave" else []


def product(made: Dataset) -> list[str]:
    return peoplekit.best(peoplekit.marked(made))


def shares(make: Callable[..., Any], people: int, runs: int) -> list[float]:
    """Percent of runs: wrong by the natural rule, wrong and right by the product."""
    counted = np.zeros(3)
    for run in range(runs):
        made, truly = make(np.random.default_rng([1, run, people]), people)
        one, two = naive(made), product(made)
        counted += [any(name not in truly for name in one), any(name not in truly for name in two), any(name in truly for name in two)]
    return [100 * float(share) for share in counted / runs]


def table2(made: Dataset) -> list[str]:
    return peoplekit.best(paper.enhancement_rows(made, Facts(), peoplekit.SETTINGS))


def table3(made: Dataset) -> list[str]:
    return [row["detector"] for row in paper.backbone_rows(made, Facts(), peoplekit.SETTINGS) if row["best"]]


def won(made: Dataset) -> list[str]:
    """Variants that are called better than everything else of their judge, the original too."""
    rows = master.win_rows(made, Facts(), peoplekit.SETTINGS)
    better = {row["winner"] for row in rows} - {"original", ""}
    return [v for v in better if all(row["winner"] == v for row in rows if v in (row["variant_a"], row["variant_b"]))]


def places(made: Dataset) -> list[str]:
    """Variants of table 1 that are said to be ahead of another one."""
    rows = [row for row in peoplekit.marked(made) if "place" in row]
    behind = {row["variant"] for row in rows if row["first"] > 1}
    return [row["variant"] for row in rows if behind and row["variant"] not in behind]


VERDICTS: tuple[tuple[str, Callable[[Dataset], list[str]], tuple[Callable[..., Any], ...]], ...] = (
    ("table 2, bold", table2, peoplekit.WRONG),
    ("table 3, bold", table3, (peoplekit.equal_detectors,)),
    ("wins, winner", won, peoplekit.WRONG),
    ("table 1, places", places, (peoplekit.lost_the_hard_ones, peoplekit.equals, peoplekit.five_equals)),
)


def wrong_share(make: Callable[..., Any], verdict: Callable[[Dataset], list[str]], people: int, runs: int) -> float:
    """Percent of runs in which something is marked that truly is not."""
    wrong = 0
    for run in range(runs):
        made, truly = make(np.random.default_rng([3, run, people]), people)
        wrong += any(name not in truly for name in verdict(made))
    return 100 * wrong / runs


def sizes(people: int, runs: int, first: int = 0) -> dict[str, float]:
    """Percent of runs in which a true zero is called significant: each gain's p_value, sign flips alone, bold and places of table 1."""
    found: dict[str, list[bool]] = {}
    for run in range(first, first + runs):
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            made = peoplekit.drifting(np.random.default_rng([4, run, people]), people, Path(folder))
        base = next(rows for cell, rows in made.rows.items() if cell.variant == "original")
        turned = next(rows for cell, rows in made.rows.items() if cell.variant == "mesh.none")
        probe, subject = base.role == "probe", base.subject.astype(np.str_)
        net, other = turned.genuine - base.genuine, turned.impostor - base.impostor
        for name, gain in (("impostor gain", other), ("identity gain", net - other)):
            p = significance.sign_flip_p(significance.subject_means(gain[probe], subject[probe]))
            found.setdefault(f"{name}, sign flips alone", []).append(p < 0.05)
        for row in groups.summarize_cell(turned, base, is_original=False, bins=YawBins()):
            if row["yaw_axis"] == "all" and row["subset"] == "common" and row["group"] in groups.GAINS:
                found.setdefault(f"{row['group']}, p_value", []).append(row["p_value"] < 0.05)
                if np.isfinite(row["ci_low"]):
                    found.setdefault(f"{row['group']}, interval", []).append(not row["ci_low"] <= 0 <= row["ci_high"])
        found.setdefault("table 1, bold", []).append(bool(product(made)))
        found.setdefault("table 1, places", []).append(bool(places(made)))
    return {name: 100 * float(np.mean(values)) for name, values in found.items()}


def judge_shares(people: int, runs: int, worse: float, first: int = 0, *, quick: bool = False) -> dict[str, float]:
    """Measure -> percent of runs in which two judges are called different (after Holm; there is one pair), or their places are. ``quick``: without
    files, and without FNMR."""
    found: dict[str, list[bool]] = {}
    for run in range(first, first + runs):
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            made = peoplekit.two_judges(np.random.default_rng([2, run, people]), people, None if quick else Path(folder), worse=worse)
            rows, pairs = judges.judge_rows(made, Facts(), peoplekit.SETTINGS)
        for row in pairs:
            found.setdefault(row["measure"], []).append(row["significant"])
            apart = any(one["first"] > 1 for one in rows if one["measure"] == row["measure"])
            found.setdefault(f"place by {row['measure']}", []).append(apart)
    return {measure: 100 * float(np.mean(values)) for measure, values in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", nargs="+", type=int, default=list(PEOPLE))
    parser.add_argument("--worlds", nargs="+", metavar="WORLD", help="of these only: names of the first and second table (default: all)")
    parser.add_argument("--runs", type=int, default=2000, help="experiments of a world for the bold of table 1 (default: 2000)")
    parser.add_argument("--verdict-runs", type=int, default=400, help="experiments of a world for the other verdicts (default: 400)")
    parser.add_argument("--size-runs", type=int, default=300, help="experiments without a gain, up to seconds each (default: 300)")
    parser.add_argument("--judge-runs", type=int, default=300, help="experiments with two judges, up to seconds each (default: 300)")
    parser.add_argument("--equal-judges", action="store_true", help="two equal judges only")
    parser.add_argument("--quick-judges", action="store_true", help="judges in memory, six times as many experiments: no FNMR")
    parser.add_argument("--first", type=int, default=0, help="number of the first experiment of the last two tables, to run them in pieces")
    given = parser.parse_args()

    def wanted(make: Callable[..., Any]) -> bool:
        return not given.worlds or make.__name__ in given.worlds

    if given.runs:
        print(f"| world ({given.runs} runs) | people | wrong, natural rule | wrong, product | right, product |\n|---|---|---|---|---|")
        for make in filter(wanted, (*peoplekit.WRONG, peoplekit.real_winner)):
            for people in given.people:
                before, wrong, right = shares(make, people, given.runs)
                print(f"| {make.__name__} | {people} | {before:.1f} | {wrong:.1f} | {right:.1f} |", flush=True)
    if given.verdict_runs:
        print(f"\n| verdict ({given.verdict_runs} runs) | world | people | wrong |\n|---|---|---|---|")
        for name, verdict, worlds in VERDICTS:
            for make in filter(wanted, worlds):
                for people in given.people:
                    print(
                        f"| {name} | {make.__name__} | {people} | {wrong_share(make, verdict, people, given.verdict_runs):.1f} |",
                        flush=True,
                    )
    if given.size_runs:
        print(f"\n| nothing gains, strangers drift ({given.size_runs} runs) | people | called a gain |\n|---|---|---|")
        for people in given.people:
            for name, share in sizes(people, given.size_runs, given.first).items():
                print(f"| {name} | {people} | {share:.1f} |", flush=True)
    if given.judge_runs:
        print(f"\n| judges ({given.judge_runs} runs) | people | called different |\n|---|---|---|")
        for name, worse in (("equally good", 0.0), ("one loses more with the yaw", 0.25))[: 1 if given.equal_judges else 2]:
            for people in given.people:
                found = judge_shares(people, given.judge_runs, worse, given.first, quick=given.quick_judges)
                print(f"| {name} | {people} | {', '.join(f'{m} {share:.1f}' for m, share in found.items())} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

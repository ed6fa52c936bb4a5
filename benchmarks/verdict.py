#!/usr/bin/env python3
"""How often the bold is wrong, and how often a real winner gets it, in experiments whose truth is known (worlds: tests/unit/peoplekit.py).

Side by side: the rule that looks natural (highest mean per image over the own images, above its runner-up on the images that both gave,
p < 0.05) and the product's. Then how often two equally good judges are called different. Prints percent; a wrong answer is allowed in 5.
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

from frontalbench.compare import stats
from frontalbench.tabulate import Facts, judges
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
    p = stats.sign_flip_p(stats.subject_means(gains[first] - gains[second], subject))
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


def judge_shares(people: int, runs: int, worse: float) -> dict[str, float]:
    """Measure -> percent of runs in which two judges are called different (after Holm; there is one pair)."""
    found: dict[str, list[bool]] = {}
    for run in range(runs):
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            made = peoplekit.two_judges(np.random.default_rng([2, run, people]), people, Path(folder), worse=worse)
            for row in judges.judge_rows(made, Facts(), peoplekit.SETTINGS)[1]:
                found.setdefault(row["measure"], []).append(row["significant"])
    return {measure: 100 * float(np.mean(values)) for measure, values in found.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", nargs="+", type=int, default=list(PEOPLE))
    parser.add_argument("--runs", type=int, default=2000, help="experiments of a world for the bold (default: 2000)")
    parser.add_argument("--judge-runs", type=int, default=300, help="experiments for the judges, seconds each (default: 300)")
    given = parser.parse_args()
    print(f"| world ({given.runs} runs) | people | wrong, natural rule | wrong, product | right, product |\n|---|---|---|---|---|")
    for make in (*peoplekit.WRONG, peoplekit.real_winner):
        for people in given.people:
            before, wrong, right = shares(make, people, given.runs)
            print(f"| {make.__name__} | {people} | {before:.1f} | {wrong:.1f} | {right:.1f} |", flush=True)
    if given.judge_runs:
        print(f"\n| judges ({given.judge_runs} runs) | people | called different |\n|---|---|---|")
        for name, worse in (("equally good", 0.0), ("one loses more with the yaw", 0.25)):
            for people in given.people:
                found = judge_shares(people, given.judge_runs, worse)
                print(f"| {name} | {people} | {', '.join(f'{m} {share:.1f}' for m, share in found.items())} |", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The intervals against a small version of benchmarks/interval_coverage.py, which is too slow here."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]


def coverage_script() -> object:
    return importlib.import_module("benchmarks.interval_coverage")


def test_the_table_of_the_docs_is_that_of_the_kept_results() -> None:
    script = coverage_script()
    page = (ROOT / "docs" / "statistics.md").read_text()
    results = script.read_results(script.RESULTS)  # type: ignore[attr-defined]
    assert {row["world"] for row in results} == set(script.WORLDS), "every world was run"  # type: ignore[attr-defined]
    assert script.into(page, script.table_of(results)) == page, "run benchmarks/interval_coverage.py --table docs/statistics.md"  # type: ignore[attr-defined]


def test_rates_near_nought_and_one_are_told_apart_and_held_against_exact_ends() -> None:
    script = coverage_script()
    assert script.exact_coverage(10, 0.5) == pytest.approx(1 - 22 / 1024)  # type: ignore[attr-defined]

    def row(value: str, people: int, truth: float, covers: float) -> dict[str, str]:
        row = {"world": "base", "people": people, "experiments": 400, "value": value, "truth": truth, "covers": covers, "printed": 1.0}
        return {name: str(what) for name, what in row.items()}

    rows = [row("rank1 [original]", 35, 0.96, 0.99), row("rank1 [original]", 200, 0.96, 0.95), row("Net Gain (common)", 35, 0.01, 0.8)]
    assert [script.near_the_end(one) for one in rows] == [True, False, False]  # type: ignore[attr-defined]
    usual, rare = script.counts_of(rows)[2:]  # type: ignore[attr-defined]
    assert [cell.strip() for cell in usual.split("|")[2:8]] == ["2", "87.5", "1", "1", "0", "0"]
    assert "near 0 or 1" in rare and [cell.strip() for cell in rare.split("|")[2:8]] == ["1", "99.0", "0", "0", "0", "1"]


@pytest.mark.parametrize("world", ["base", "lossy"])
def test_the_quick_simulation_gives_the_intervals_of_the_tables(world: str) -> None:
    script = coverage_script()
    experiment = script.draw(world, 18, 5)  # type: ignore[attr-defined]
    tables = {name: numbers for name, *numbers in script.estimates(experiment)}  # type: ignore[attr-defined]
    quick = {name: numbers for name, *numbers in script.without_tables(experiment)}  # type: ignore[attr-defined]
    assert set(quick) <= set(tables) and len(quick) > 20
    for name, numbers in quick.items():
        # the tables keep similarities as float32 and moves as float16
        assert numbers == pytest.approx(tables[name], rel=4e-3, abs=2e-4, nan_ok=True), name


@pytest.mark.slow
def test_intervals_hold_the_truth_in_a_small_world() -> None:
    script = coverage_script()
    found = script.run("base", 20, 40)  # type: ignore[attr-defined]
    shares = {name: share for name, _, share, _, printed, _ in script.coverage(found, {}, 40) if printed == 1}  # type: ignore[attr-defined]
    assert {
        "Net Gain (common)",
        "impostor gain (common)",
        "Angled vs other GT (own)",
        "eer [original]",
        "slope [original]",
        "dprime [original]",
    } <= set(shares)
    # 40 experiments tell 95 % from 80 %; all together tell more, though they hang together
    assert min(shares.values()) >= 0.8, {name: share for name, share in shares.items() if share < 0.8}
    assert np.mean(list(shares.values())) > 0.91


@pytest.mark.parametrize("world", ["dominant"])
def test_a_mean_that_is_mostly_one_person_has_no_interval(world: str) -> None:
    script = coverage_script()
    found = script.run(world, 12, 2)  # type: ignore[attr-defined]
    for name in (
        "Angled vs GT (own)",
        "Net Gain (common)",
        "identity gain (common)",
        "eer [original]",
        "rank1 [original]",
        "slope [original]",
    ):
        assert np.isnan(found[name][:, 1:]).all(), name
    assert np.isfinite(found["GT vs GT (own)"]).all(), "everybody has two references"

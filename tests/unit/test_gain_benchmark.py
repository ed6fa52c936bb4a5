"""benchmarks/gain.py: what was measured is kept and gone on from, a way is the variant of its name, the pages' tables are those of the CSV file."""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frontalbench.compare import derived

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "docs" / name for name in ("gain.md", "gain_ways.md")]


@pytest.fixture(scope="module")
def gain() -> Any:
    return importlib.import_module("benchmarks.gain")


def test_a_run_that_was_stopped_goes_on_where_it_was(gain: Any, tmp_path: Path) -> None:
    asked: list[int] = []

    def make(places: Sequence[int]) -> Iterator[Any]:
        for place in places:
            asked.append(place)
            yield np.full(2, place, np.float32)

    with pytest.raises(gain.Stopped):
        gain.Store(tmp_path / "a.npz", end=-math.inf).fill([3, 1, 2], make)
    assert asked == [3]
    again = gain.Store(tmp_path / "a.npz", end=math.inf)
    again.fill([3, 1, 2, 7], make)
    assert asked == [3, 1, 2, 7] and {place: value[0] for place, value in again.kept.items()} == {1: 1.0, 2: 2.0, 3: 3.0, 7: 7.0}


class Kept:
    """A measurer with embeddings for everything but one face of the frontal."""

    def __init__(self) -> None:
        random = np.random.default_rng(0)
        self.of = {name: derived.normalised(random.normal(size=(6, 8))) for name in ("original", "mirror.none", "tddfa@0.9.none")}
        self.of["tddfa@0.9.none"][4] = 0.0

    def embeddings(self, variant: str, backbone: str, places: Sequence[int]) -> Any:
        found = np.zeros_like(self.of[variant])
        found[list(places)] = self.of[variant][list(places)]
        return found


def test_a_way_is_what_the_grid_makes_of_its_name(gain: Any) -> None:
    kept, probes = Kept(), [1, 2, 4, 5]
    ways = gain.Ways(kept, "sface", probes, np.array([20.0, 80.0, 85.0, 90.0]))
    photo, mirror, frontal = (kept.of[name][probes] for name in ("original", "mirror.none", "tddfa@0.9.none"))
    two, three = derived.fuse_mean(photo, mirror), derived.fuse_flip(photo, mirror, frontal, 0.2)
    three[2] = two[2]
    found, turned, missing = ways.of("fuse_flip@0.2:tddfa@0.9.none")
    np.testing.assert_allclose(found, three, atol=1e-6)
    assert turned == 4 and missing == 0.25, "the photograph's fusion stands where there is no frontal"
    found, turned, missing = ways.of("gate_fuse@60:tddfa@0.9.none")
    fused = derived.fuse_mean(photo, np.where(frontal.any(1)[:, None], frontal, photo))
    np.testing.assert_allclose(found, np.where([[False], [True], [True], [True]], fused, photo), atol=1e-6)
    assert turned == 3 and missing == pytest.approx(1 / 3)
    assert np.array_equal(ways.of("gate@60:tddfa@0.9.none")[0][[0, 2]], photo[[0, 2]])


def test_a_judge_that_took_part_is_said_to(gain: Any) -> None:
    row = dict.fromkeys(gain.Result.__dataclass_fields__, 0.0)

    def by(way: str, backbone: str) -> Any:
        return gain.Result(**{**row, "way": way, "backbone": backbone})

    assert gain.took_part(by("fuse_mean:frontalbench_rnr.none", "w600k_mbf")) and not gain.took_part(by("frontalbench_rnr.none", "sface"))
    assert gain.took_part(by("tddfa@0.9.identity_refine", "w600k_mbf")) and not gain.took_part(by("tddfa@0.9.none", "w600k_mbf"))
    fused = "fuse_flip:tddfa@0.9.identity_refine"
    assert gain.took_part(by(fused, "w600k_mbf")) and not gain.took_part(by(fused, "sface"))


def test_the_tables_of_the_pages_are_those_of_the_measured_rows(gain: Any, tmp_path: Path) -> None:
    measured = ROOT / "benchmarks" / "gain_ways.csv"
    results = gain.ordered(gain.read(measured))
    assert {r.part for r in results} == {"verdict"}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert gain.with_tables(text, results, page) == text, (
            f"{page.name}: make its tables anew (benchmarks/gain.py --csv ... --table ...)"
        )
    gain.keep(tmp_path / "again.csv", gain.read(measured))
    assert (tmp_path / "again.csv").read_bytes() == measured.read_bytes()
    with pytest.raises(SystemExit, match="no place for a table"):
        gain.with_tables("nothing", results, tmp_path)


@pytest.fixture(scope="module")
def before() -> Any:
    return importlib.import_module("benchmarks.gain_before")


def scores(seed: int, own: float) -> tuple[Any, Any, Any]:
    """(scores, who, other): eight people with two probes and a reference each; of one's own ``own`` higher."""
    who, other = np.repeat([f"p{n}" for n in range(8)], 2), np.array([f"p{n}" for n in range(8)])
    noise = np.random.default_rng(seed).normal(0.1, 0.02, (16, 8))
    return (noise + own * (who[:, None] == other)).astype(np.float32), who, other


def test_before_now_and_change_are_held_against_what_they_should_be(before: Any) -> None:
    (alone, who, other), (old, _, _), (new, _, _) = scores(1, 0.5), scores(2, 0.2), scores(3, 0.3)
    row = before.judged(("FRLL profile, all", "tddfa", "tddfa", "sface"), alone, [old, new], [1, 0], who, other)
    same = who[:, None] == other
    assert row.net == pytest.approx((new - alone)[same].mean(), abs=1e-5) and row.net_before == pytest.approx(
        (old - alone)[same].mean(), abs=1e-5
    )
    assert row.net_change == pytest.approx(row.net - row.net_before, abs=1e-5) and row.net_change_low < row.net_change < row.net_change_high
    assert (
        row.gain_change == pytest.approx(row.gain - row.gain_before, abs=1e-5) and 0.05 < row.gain_change_low < row.gain_change_high < 0.15
    )
    assert (row.n, row.people, row.missing_before, row.missing) == (16, 8, 1, 0)
    first = before.judged(("FRLL profile, all", "", "hassner", "sface"), alone, [new], [2], who, other)
    assert math.isnan(first.net_before) and math.isnan(first.gain_change) and first.missing == 2 and first.net == row.net


def test_rows_of_before_and_now_are_kept_and_replaced_and_make_the_table_of_the_page(before: Any, tmp_path: Path) -> None:
    (alone, who, other), (new, _, _) = scores(1, 0.5), scores(3, 0.3)
    row = before.judged(("CFP profile, all", "", "hassner", "sface"), alone, [new], [2], who, other)
    file = tmp_path / "rows.csv"
    before.keep(file, [row, before.judged(("CFP profile, all", "mesh", "mesh", "sface"), alone, [new, alone], [0, 0], who, other)])
    before.keep(file, [row])
    found = before.read(file)
    assert [r.now for r in found] == ["hassner", "mesh"] and math.isnan(found[0].net_change) and found[1].net == 0.0
    page = before.with_table(f"a\n{before.BEGIN}old{before.END}b\n", found)
    assert page.startswith("a\n") and page.endswith(f"{before.END}b\n") and "old" not in page
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert len(lines) == 4 and len({line.count("|") for line in lines}) == 1 and "`hassner`" in lines[2] and "nan" not in page
    with pytest.raises(SystemExit, match="no place for the table"):
        before.with_table("nothing", found)


def test_the_table_of_before_and_now_is_that_of_the_measured_rows(before: Any) -> None:
    page, measured = ROOT / "docs" / "gain_ways.md", ROOT / "benchmarks" / "gain_before.csv"
    text = page.read_text(encoding="utf-8")
    assert before.with_table(text, before.read(measured)) == text, (
        "make its table anew (benchmarks/gain_before.py --csv benchmarks/gain_before.csv --table docs/gain_ways.md)"
    )

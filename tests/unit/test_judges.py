"""Which judge is the most robust to pose: measures against written-out ones, ranking, what is chance; FNMR by yaw; fusions against the mirror."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from frontalbench import tables
from frontalbench.compare import rates, scores, significance
from frontalbench.stages.compare import compare
from frontalbench.tabulate import Cell, Facts, TableSettings, cell_of, judges, tables_of
from frontalbench.tabulate.dataset import Dataset, read_datasets
from frontalbench.tabulate.verification import verification_tables

from . import peoplekit as kit
from .test_compare_cell import D, World, crowd, unit

SETTINGS = TableSettings()
EDGES = (0.0, 30.0, 60.0, 90.0)
NOISE = {("good", "one"): 0.3, ("same", "one"): 0.3, ("bad", "one"): 1.6, ("good", "two"): 0.8}
"""How far a judge's embeddings turn away with the yaw."""


def _cell(judge: tuple[Path, str, str], variant: str, images: list[Path], embeddings: list[Path], original: list[Path]) -> Cell:
    folder, detector, backbone = judge
    path = folder / variant / detector / f"{backbone}.parquet"
    compare(images, embeddings, original, path, path.with_name(f"{backbone}.scores.parquet"), variant=variant)
    return cell_of(path)


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list[Cell]:
    """`original` of four judges on the same 20 people; noise grows with the yaw. The judge `good one` also has two fusions and the mirror's."""
    root = tmp_path_factory.mktemp("judges")
    found = []
    for (detector, backbone), noise in NOISE.items():
        rows = crowd(20, 2, 6)
        for i, row in enumerate(rows):
            if row["role"] == "probe":
                row.update(yaw=float((i * 37) % 170 - 85), pitch=0.0, roll=0.0, pose_source="ground_truth")
        world = World(root / f"{detector}_{backbone}", rows, seed=1)
        rng = np.random.default_rng(7 if backbone == "one" else 8)  # `good` and `same` see the same noise
        for row in rows:
            if row["role"] == "probe":
                turned = noise * abs(row["yaw"]) / 60
                world.original[row["image_id"]] = unit(world.original[row["image_id"]] + turned * unit(rng.normal(size=D)))
        images, original = world.images(), world.embeddings("original")
        judge = (root / "similarity" / "toy", detector, backbone)
        found.append(_cell(judge, "original", images, original, original))
        if (detector, backbone) == ("good", "one"):
            plain = dict(world.original)
            references = {r["subject"]: world.original[r["image_id"]] for r in rows if r["role"] == "reference"}
            for variant, step in (("mirror.none", 0.2), ("mesh.none", 1.0), ("tddfa.none", 0.0)):
                world.turned = {r["image_id"]: unit(plain[r["image_id"]] + step * references[r["subject"]]) for r in rows}
                found.append(_cell(judge, f"fuse_mean:{variant}", images, world.embeddings("turned.none"), original))
    return found


@pytest.fixture(scope="module")
def dataset(cells: list[Cell]) -> Dataset:
    return next(read_datasets(cells))


@pytest.fixture(scope="module")
def found(dataset: Dataset) -> tuple[list[Any], list[Any]]:
    return judges.judge_rows(dataset, Facts(edges={"toy": EDGES}), SETTINGS)


def test_values_equal_written_out_ones(dataset: Dataset, found: tuple[list[Any], list[Any]]) -> None:
    values = {(r["detector"], r["backbone"], r["measure"]): r for r in found[0]}
    for judge in NOISE:
        base = dataset.original(judge)
        assert base is not None
        cell, rows = base
        probe = rows.role == "probe"
        yaw, genuine = np.abs(rows.yaw[probe]), rows.genuine[probe]
        line = scipy_stats.linregress(yaw / 10, genuine)
        assert values[(*judge, "slope")]["value"] == pytest.approx(line.slope, abs=1e-6)
        pair_scores = tables.read(cell.scores, scores.SCORES)
        genuine_pairs, impostors = scores.from_table(pair_scores)
        centres = scores.bin_edges()[:-1] + 1 / scores.BINS
        mean = np.average(centres, weights=impostors.counts)
        sd = np.sqrt(np.average((centres - mean) ** 2, weights=impostors.counts))
        assert values[(*judge, "z_slope")]["value"] == pytest.approx(line.slope / sd, rel=1e-3)
        assert values[(*judge, "stability")]["value"] == pytest.approx(rows.within[probe].mean(), abs=1e-6)
        point = rates.operating_point(impostors, 1e-1)  # 20 people are 380 pairs of people
        assert values[(*judge, "fnmr")]["value"] == pytest.approx((genuine_pairs.scores < np.float32(point.threshold)).mean(), abs=1e-9)
        assert values[(*judge, "fnmr")]["low"] <= values[(*judge, "fnmr")]["value"] <= values[(*judge, "fnmr")]["high"]


def test_ranking_keeps_scales_apart_and_chance_from_difference(found: tuple[list[Any], list[Any]]) -> None:
    rows, pairs = found
    of = {(r["measure"], r["detector_a"], r["backbone_a"], r["detector_b"], r["backbone_b"]): r for r in pairs}
    crossed = {k for k in of if k[2] != k[4]}
    assert {k[0] for k in crossed} == {"z_slope", "z_area", "fnmr"}, "raw similarities of two backbones are not on one scale"
    same = of["z_area", "good", "one", "same", "one"]
    assert same["difference"] == 0.0 and same["p_holm"] == 1.0 and not same["significant"]
    real = of["area", "bad", "one", "good", "one"]
    assert real["difference"] < 0 and real["high"] < 0 and real["significant"]
    place = {(r["detector"], r["backbone"], r["measure"]): (r["place"], r["first"], r["last"], r["n_ranked"]) for r in rows}
    assert place["bad", "one", "area"] == (3, 3, 3, 3)
    assert place["good", "one", "area"] == place["same", "one", "area"] == (1, 1, 2, 3)
    assert place["good", "two", "area"] == (1, 1, 1, 1)
    by_measure = [sorted(r["p_value"] for r in pairs if r["measure"] == m) for m in ("area", "z_area")]
    for m, raw in zip(("area", "z_area"), by_measure, strict=True):
        adjusted = [r["p_holm"] for r in sorted((r for r in pairs if r["measure"] == m), key=lambda r: r["p_value"])]
        assert adjusted == pytest.approx(significance.holm(raw).tolist())


@pytest.mark.slow
@pytest.mark.parametrize(("people", "runs"), [(10, 60), (20, 12)])
def test_two_equally_good_judges_are_called_different_in_at_most_five_percent(tmp_path: Path, people: int, runs: int) -> None:
    found: dict[str, list[bool]] = {}
    for run in range(runs):
        made = kit.two_judges(np.random.default_rng([run, people]), people, tmp_path)
        for row in judges.judge_rows(made, Facts(), kit.SETTINGS)[1]:
            found.setdefault(row["measure"], []).append(row["significant"])
    assert set(found) == ({"z_area", "z_slope"} if people == 10 else {"z_area", "z_slope", "fnmr"})
    for measure, called in found.items():
        assert np.mean(called) <= 0.05 + 1 / runs, measure


def test_judges_without_files_are_compared_as_those_of_the_tables(tmp_path: Path) -> None:
    files, memory = (
        judges.judge_rows(kit.two_judges(np.random.default_rng(1), 12, folder), Facts(), kit.SETTINGS)[1] for folder in (tmp_path, None)
    )
    of_files = {row["measure"]: [row["difference"], row["low"], row["p_value"]] for row in files}
    of_memory = {row["measure"]: [row["difference"], row["low"], row["p_value"]] for row in memory}
    assert set(of_memory) == {"z_area", "z_slope"}
    for measure, numbers in of_memory.items():
        assert numbers == pytest.approx(of_files[measure], rel=1e-4), "the tables keep similarities as float32"


def test_a_judge_that_loses_more_with_the_yaw_is_found(tmp_path: Path) -> None:
    called = []
    for run in range(10):
        made = kit.two_judges(np.random.default_rng(run), 20, tmp_path, worse=0.4)
        rows, pairs = judges.judge_rows(made, Facts(), kit.SETTINGS)
        pair = next(r for r in pairs if r["measure"] == "z_area")
        called.append(pair["significant"] and pair["difference"] > 0)
        assert pair["low"] <= pair["difference"] <= pair["high"]
    assert np.mean(called) >= 0.8
    place = {(r["backbone"], r["measure"]): (r["place"], r["first"], r["last"]) for r in rows}
    assert place["one", "z_area"] == (1, 1, 1) and place["two", "z_area"] == (2, 2, 2)


@pytest.mark.parametrize("spread", [0.0, 1e-9, 0.01])
def test_a_collapsed_backbone_is_last_in_every_measure(tmp_path: Path, spread: float) -> None:
    """All faces on one vector, with rounding, or with noise that knows no person: its similarities are the highest and its slope the flattest."""
    rng = np.random.default_rng(0)
    good = kit.two_judges(rng, 20, tmp_path)
    one, base = next(iter(good.rows.items()))
    vectors = np.zeros((len(base), 16))
    vectors[:, 0] = 1.0
    vectors += spread * rng.normal(size=vectors.shape)
    code = np.array([int(name[1:]) for name in base.subject])
    made, rows = kit.compared(code, base.role == "reference", base.yaw, vectors, tmp_path, "collapsed")
    found, pairs = judges.judge_rows(Dataset("toy", {one: base, made: rows}), Facts(), kit.SETTINGS)
    last = [r for r in found if r["backbone"] == "collapsed" and r["measure"] in judges.COMPARED_ON_SCALE]
    assert {r["measure"] for r in last} == set(judges.COMPARED_ON_SCALE)
    for row in last:
        assert (row["place"], row["n_ranked"]) == (2, 2), row["measure"]
    slopes = {r["backbone"]: r for r in found if r["measure"] == "z_slope"}
    assert slopes["collapsed"]["value"] > slopes["one"]["value"] and "placed last" in slopes["collapsed"]["note"]
    assert (slopes["collapsed"]["first"], slopes["one"]["last"]) == (2, 1) and not [r for r in pairs if r["measure"] == "z_slope"]


def test_too_few_people_decide_nothing_about_judges(tmp_path: Path) -> None:
    made = kit.two_judges(np.random.default_rng(0), 5, tmp_path, worse=0.3)
    rows, pairs = judges.judge_rows(made, Facts(), kit.SETTINGS)
    assert pairs and all(not r["decidable"] and not r["significant"] and "not decidable with 5 people" in r["note"] for r in pairs)
    assert all((r["first"], r["last"]) == (1, r["n_ranked"]) for r in rows)


def test_the_false_match_rate_of_the_judges_is_the_largest_in_use_that_n_supports(tmp_path: Path) -> None:
    for people, rate in ((20, "FMR 0.1"), (56, "FMR 0.01")):
        rows, _ = judges.judge_rows(kit.two_judges(np.random.default_rng(0), people, tmp_path, probes=3), Facts(), kit.SETTINGS)
        assert {r["note"].endswith(rate) for r in rows if r["measure"] == "fnmr"} == {True}


def test_fnmr_of_the_bins_adds_up_to_the_whole_and_equals_a_count(cells: list[Cell], dataset: Dataset) -> None:
    made = verification_tables(dataset, Facts(edges={"toy": EDGES}), SETTINGS)
    judge = ("good", "two")
    rows = [r for r in made["fnmr_by_yaw"] if (r["detector"], r["backbone"]) == judge and r["fmr_target"] == 1e-1]
    whole = next(r for r in made["error_rates"] if (r["detector"], r["backbone"]) == judge and r["fmr_target"] == 1e-1)
    assert [r["yaw_bin"] for r in rows] == ["0 to 30", "30 to 60", "60 to 90"]
    assert sum(r["fnmr"] * r["n_pairs"] for r in rows) / sum(r["n_pairs"] for r in rows) == pytest.approx(whole["fnmr"])
    base = dataset.original(judge)
    assert base is not None
    cell, table = base
    pair_scores, _ = scores.from_table(tables.read(cell.scores, scores.SCORES))
    yaw = dict(zip(table.image_id, np.abs(table.yaw), strict=True))
    steep = np.array([yaw[name] >= 60 for name in pair_scores.image_id])
    assert rows[2]["n_pairs"] == steep.sum()
    assert rows[2]["fnmr"] == pytest.approx((pair_scores.scores[steep] < np.float32(whole["threshold"])).mean())
    assert rows[0]["fnmr"] < rows[2]["fnmr"] and rows[2]["fnmr_low"] <= rows[2]["fnmr"] <= rows[2]["fnmr_high"]
    assert not [r for r in made["fnmr_by_yaw"] if r["fmr_target"] < 1e-1], "not supported by n"


def test_a_fusion_counts_only_when_it_beats_the_mirrored_photograph(cells: list[Cell], dataset: Dataset) -> None:
    out = tables_of(cells, Facts(edges={"toy": EDGES}), SETTINGS)
    gains = {r["variant"]: r for r in out["table1_net_gain"]}
    assert gains["fuse_mean:mesh.none"]["over_mirror_low"] > 0 and "mirrored" not in gains["fuse_mean:mesh.none"]["note"]
    assert gains["fuse_mean:tddfa.none"]["over_mirror_high"] < 0
    assert "worse than averaging with the mirrored photograph" in gains["fuse_mean:tddfa.none"]["note"]
    assert "over_mirror" not in gains["fuse_mean:mirror.none"]
    rows = {c.variant: r for c, r in dataset.rows.items() if c.judge == ("good", "one")}
    probe = rows["original"].role == "probe"
    value = [(rows[f"fuse_mean:{v}"].genuine - rows[f"fuse_mean:{v}"].impostor)[probe].mean() for v in ("mesh.none", "mirror.none")]
    assert gains["fuse_mean:mesh.none"]["over_mirror"] == pytest.approx(value[0] - value[1], abs=1e-9)


def test_the_cmc_begins_at_rank_one_of_the_verification_table_and_never_falls(dataset: Dataset) -> None:
    made = verification_tables(dataset, Facts(edges={"toy": EDGES}), SETTINGS)
    key = ("variant", "detector", "backbone")
    for row in made["verification"]:
        curve = [r for r in made["cmc"] if all(r[k] == row[k] for k in key)]
        assert [r["rank"] for r in curve] == list(range(1, min(20, row["n_gallery"]) + 1))
        shares = [r["share"] for r in curve]
        assert shares[0] == row["rank1"] and shares == sorted(shares)
        assert all(r["share_low"] <= r["share"] <= r["share_high"] for r in curve)
        assert curve[0]["share_with_fta"] == pytest.approx(row["rank1"] * (1 - row["n_fta"] / row["n_eligible"]))

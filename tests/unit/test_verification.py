"""Error rates, ranks and bins of yaw of the verification tables, against loops over the pairs of a small world."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from frontalbench.compare import curves
from frontalbench.stages.compare import compare
from frontalbench.tabulate import Facts, TableSettings, cell_of, tables_of
from frontalbench.tabulate.verification import YAW_GRID

from .test_compare_cell import D, World, crowd, unit

FAILED = 9
"""Probes without a frontal: one in about eight."""
Made = tuple[World, dict[str, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """19 people, so that a false match rate of 10 % is supported; `original`, `mesh.none` that loses some probes, and its fusion that falls back."""
    root = tmp_path_factory.mktemp("verification")
    rows = crowd(19, 2, 4)
    for i, row in enumerate(rows):
        if row["role"] == "probe":
            row.update(yaw=float((i * 37) % 160 - 80), pitch=0.0, roll=0.0, pose_source="ground_truth")
    world = World(root / "world", rows, seed=3)
    rng = np.random.default_rng(3)
    world.turned = {name: unit(vector + 0.5 * unit(rng.normal(size=D))) for name, vector in world.original.items()}
    probes = [row["image_id"] for row in world.rows if row["role"] == "probe"]
    world.failed["turned.none"] = dict.fromkeys(probes[::8][:FAILED], "no_face")
    paths = []
    for variant in ("original", "mesh.none", "fuse_mean:mesh.none"):
        place = root / "similarity" / "frl" / variant / "yunet"
        own = world.embeddings("original" if variant == "original" else "turned.none")
        compare(world.images(), own, world.embeddings("original"), place / "sface.parquet", place / "sface.scores.parquet", variant=variant)
        paths.append(place / "sface.parquet")
    return world, tables_of([cell_of(path) for path in paths], Facts(synthetic=frozenset()), TableSettings())


def vectors(world: World, variant: str, *, alone: bool = True) -> dict[str, np.ndarray]:
    """Probe -> its embedding in ``variant``; of a fusion ``alone``: fallbacks too."""
    failed, out = world.failed["turned.none"], {}
    for row in world.rows:
        name = row["image_id"]
        if row["role"] != "probe":
            continue
        if variant == "original":
            out[name] = world.original[name]
        elif variant == "mesh.none" and name not in failed:
            out[name] = world.turned[name]
        elif variant == "fuse_mean:mesh.none" and (alone or name not in failed):
            out[name] = world.original[name] if name in failed else unit(world.original[name] + world.turned[name])
    return out


def own_scores(world: World, variant: str, *, alone: bool = True) -> dict[str, list[float]]:
    """Probe -> its similarities to the references of its subject."""
    subject = {row["image_id"]: row["subject"] for row in world.rows}
    references = [row["image_id"] for row in world.rows if row["role"] == "reference"]
    return {
        name: [float(vector @ world.original[r]) for r in references if subject[r] == subject[name]]
        for name, vector in vectors(world, variant, alone=alone).items()
    }


def rows_of(tables: dict[str, list[dict[str, Any]]], table: str, variant: str) -> list[dict[str, Any]]:
    return [row for row in tables[table] if row["variant"] == variant]


VARIANTS = ["original", "mesh.none", "fuse_mean:mesh.none"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_error_rates_are_shares_of_pairs_below_the_threshold_and_count_failures(made: Made, variant: str) -> None:
    world, tables = made
    pairs = [score for scores in own_scores(world, variant).values() for score in scores]
    whole = [score for scores in own_scores(world, variant, alone=False).values() for score in scores]
    supported = [row for row in rows_of(tables, "error_rates", variant) if row["supported"]]
    assert [row["fmr_target"] for row in supported] == [0.1]
    (rates,) = supported
    assert rates["fmr"] <= 0.1 and rates["fnmr"] == pytest.approx(np.mean(np.array(pairs) < rates["threshold"]), abs=1e-9)
    failed = FAILED / 76 if variant == "mesh.none" else 0.0
    (row,) = rows_of(tables, "verification", variant)
    assert row["n_eligible"] == 76 and row["n_fta"] == round(failed * 76) and row["fta_rate"] == pytest.approx(failed)
    assert rates["fnmr_with_fta"] == pytest.approx(failed + (1 - failed) * rates["fnmr"])
    assert rates["n_fallback"] == (FAILED if variant.startswith("fuse") else 0)
    assert rates["fnmr_both"] == pytest.approx(np.mean(np.array(whole) < rates["threshold"]), abs=1e-9)
    for rank in rows_of(tables, "cmc", variant):
        assert rank["share_with_fta"] == pytest.approx((1 - failed) * rank["share"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_bins_of_yaw_hold_the_pairs_of_their_probes(made: Made, variant: str) -> None:
    world, tables = made
    yaw = {row["image_id"]: abs(row["yaw"]) for row in world.rows if row["role"] == "probe"}
    scores = own_scores(world, variant)
    (rates,) = [row for row in rows_of(tables, "error_rates", variant) if row["supported"]]
    bins = rows_of(tables, "fnmr_by_yaw", variant)
    assert sum(row["n_images"] for row in bins) == len(scores) and len(bins) > 3
    for row in bins:
        inside = [name for name in scores if row["yaw_low"] <= yaw[name] < row["yaw_high"]]
        assert (row["n_images"], row["n_pairs"]) == (len(inside), 2 * len(inside)) and row["yaw_low"] >= 0
        below = [score < rates["threshold"] for name in inside for score in scores[name]]
        assert row["fnmr"] == pytest.approx(np.mean(below), abs=1e-9)


def test_ranks_and_curves_of_a_fusion_are_also_told_without_its_fallbacks(made: Made) -> None:
    world, tables = made
    variant = "fuse_mean:mesh.none"
    (row,) = rows_of(tables, "verification", variant)
    references = {}
    for one in world.rows:
        if one["role"] == "reference":
            references.setdefault(one["subject"], []).append(world.original[one["image_id"]])
    subject = {one["image_id"]: one["subject"] for one in world.rows}
    yaw = {one["image_id"]: abs(one["yaw"]) for one in world.rows if one["role"] == "probe"}
    for alone, end in ((True, ""), (False, "_both")):
        probes = vectors(world, variant, alone=alone)
        best = {name: {who: max(float(v @ r) for r in refs) for who, refs in references.items()} for name, v in probes.items()}
        ranks = [sum(value >= best[name][subject[name]] for value in best[name].values()) for name in probes]
        assert row[f"rank1{end}"] == pytest.approx(np.mean([rank <= 1 for rank in ranks]), abs=1e-9)
        assert row[f"rank5{end}"] == pytest.approx(np.mean([rank <= 5 for rank in ranks]), abs=1e-9)
        names = list(probes)
        means = np.array([np.mean(own_scores(world, variant, alone=alone)[name]) for name in names])
        angles, who = np.array([yaw[name] for name in names]), np.array([subject[name] for name in names])
        assert row[f"slope{end}"] == pytest.approx(curves.slope(angles, means, who).value, abs=1e-6)
        assert row[f"area{end}"] == pytest.approx(curves.smooth(angles, means, who, YAW_GRID).area.value, abs=1e-6)
    assert row["area"] != row["area_both"] and row["slope"] != row["slope_both"]
    assert 0 < row["yaw_reach"] <= 90

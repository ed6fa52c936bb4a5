"""Line-ups and the search over the finished cells of a run: against plain loops, with failures counted."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from frontalbench import tables
from frontalbench.compare import lineup, open_set
from frontalbench.compare import scores as pair_scores
from frontalbench.compare.two_sets import Faces
from frontalbench.errors import BadInput
from frontalbench.tabulate import search
from tests.unit.test_compare_cell import World, crowd, unit

PEOPLE = 16


def test_a_line_up_holds_the_five_strangers_most_like_the_own_reference() -> None:
    rng = np.random.default_rng(0)
    references = Faces(unit(rng.normal(size=(12, 8))), np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]))
    found = lineup.lineups(references, 11)
    mean = {p: unit(references.vectors[references.person == p].sum(axis=0)) for p in range(10)}
    for p in range(10):
        nearest = sorted((q for q in range(10) if q != p), key=lambda q: -float(mean[p] @ mean[q]))[:5]
        assert set(found.foils[p]) == set(nearest) and p not in found.foils[p]
    assert found.asked.tolist() == [True] * 10 + [False]
    probes = Faces(unit(references.vectors[[0, 4, 7]] + 0.9 * unit(rng.normal(size=(3, 8)))), np.array([0, 3, 6]))
    right = lineup.chosen_rightly(references, probes, found)
    for person, vector, answer in zip(probes.person, probes.vectors, right, strict=True):
        scores = {p: max(float(v @ vector) for v in references.vectors[references.person == p]) for p in (person, *found.foils[person])}
        assert answer == (max(scores, key=scores.__getitem__) == person)


def test_with_fewer_than_six_people_there_is_no_line_up() -> None:
    references = Faces(unit(np.random.default_rng(0).normal(size=(5, 8))), np.arange(5))
    found = lineup.lineups(references, 5)
    assert not found.asked.any() and not lineup.chosen_rightly(references, references, found).any()


def test_a_tie_is_no_right_answer() -> None:
    same = Faces(np.repeat(unit(np.ones((1, 8))), 7, axis=0), np.arange(7))
    assert not lineup.chosen_rightly(same, same, lineup.lineups(same, 7)).any()


@pytest.fixture
def results(tmp_path: Path) -> tuple[Path, World]:
    """A finished run of one judge: `original`, `turned.none` and a gate over it; one frontal is lost."""
    world = World(tmp_path / "world", crowd(PEOPLE, 1, 4), seed=3)
    for number, row in enumerate(world.rows):
        row.update(yaw=float(number * 7 % 90), pose_source="ground_truth")
    world.failed["turned.none"] = {"s03_p1": "no_face"}
    folder = tmp_path / "results"
    tables.write(folder / "metadata" / "toy" / "images.parquet", tables.concatenate(world.images(), tables.IMAGES))
    for variant in ("original", "turned.none", "gate@40:turned.none", "fuse_max:turned.none"):
        cell = world.cell(variant)
        where = folder / "similarity" / "toy" / variant / "scrfd_500m"
        tables.write(where / "sface.parquet", cell.similarity)
        tables.write(where / "sface.scores.parquet", cell.scores)
    for variant in ("original", "turned.none"):
        for path in world.embeddings(variant):
            target = folder / "embeddings" / "toy" / variant / "scrfd_500m" / "sface" / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return folder, world


def faces(world: World, role: str, vectors: dict[str, np.ndarray]) -> Faces:
    rows = [row for row in world.rows if row["role"] == role]
    return Faces(np.stack([vectors[row["image_id"]] for row in rows]), np.array([int(row["subject"][1:]) for row in rows]))


def test_the_tables_of_a_run_are_those_of_its_embeddings(results: tuple[Path, World]) -> None:
    folder, world = results
    found = search.search_results(folder, draws=5)
    references, probes = faces(world, "reference", world.original), faces(world, "probe", world.original)
    drawn = open_set.galleries(np.arange(PEOPLE), PEOPLE, 5)
    expected = open_set.rates(open_set.search(references, probes, drawn))
    mine = [row for row in found.open_set if row["variant"] == "original"]
    assert [row["fnir"] for row in mine] == pytest.approx([row.fnir.value for row in expected])
    right = lineup.chosen_rightly(references, probes, lineup.lineups(references, PEOPLE))
    row = next(row for row in found.lineup if row["variant"] == "original")
    assert row["right"] == pytest.approx(right.mean()) and row["n_images"] == 64 and row["n_fta"] == 0
    assert found.notes == ["toy/fuse_max:turned.none: left out; fuse_max is no single embedding of an image"]
    assert {row["variant"] for row in found.thresholds} == {"original", "turned.none", "gate@40:turned.none"}


def test_line_ups_of_a_variant_are_compared_by_image_and_failures_are_counted(results: tuple[Path, World]) -> None:
    folder, world = results
    found = search.search_results(folder, draws=3)
    row = next(row for row in found.lineup if row["variant"] == "turned.none")
    references = faces(world, "reference", world.original)
    lined = lineup.lineups(references, PEOPLE)
    probes = [row["image_id"] for row in world.rows if row["role"] == "probe"]
    lost = np.array([name == "s03_p1" for name in probes])
    after, before = (lineup.chosen_rightly(references, faces(world, "probe", vectors), lined) for vectors in (world.turned, world.original))
    assert (row["n_images"], row["n_fta"], row["n_common"]) == (63, 1, 63)
    assert row["right"] == pytest.approx(after[~lost].mean()) and row["right_of_all"] == pytest.approx((after & ~lost).sum() / 64)
    assert row["difference"] == pytest.approx(after[~lost].mean() - before[~lost].mean(), abs=1e-9)
    gated = next(row for row in found.lineup if row["variant"] == "gate@40:turned.none")
    yaw = np.array([one["yaw"] for one in world.rows if one["role"] == "probe"])
    assert gated["right"] == pytest.approx(np.where((yaw >= 40) & ~lost, after, before).mean()) and gated["n_fta"] == 0


def test_a_lost_frontal_is_missed_by_the_search(results: tuple[Path, World]) -> None:
    folder, _ = results
    found = search.search_results(folder, draws=4)
    numbers = {row["variant"]: row["n_mated"] + row["n_nonmated"] for row in found.open_set}
    assert set(numbers.values()) == {64.0}


def test_what_is_missing_is_one_line(results: tuple[Path, World], tmp_path: Path) -> None:
    folder, _ = results
    with pytest.raises(BadInput, match=r"no finished cell of mesh\.none"):
        search.search_results(folder, variants=["mesh.none"])
    shutil.rmtree(folder / "embeddings" / "toy" / "turned.none")
    with pytest.raises(BadInput, match="no embeddings; they are kept beside the tables"):
        search.search_results(folder)
    shutil.rmtree(folder / "metadata")
    with pytest.raises(BadInput, match=r"images\.parquet: not there"):
        search.search_results(folder)


@pytest.mark.slow
def test_the_command_writes_its_tables(results: tuple[Path, World], project_root: Path) -> None:
    folder, _ = results
    script = project_root / "workflow" / "scripts" / "search_results.py"
    done = subprocess.run([sys.executable, script, folder, "--draws", "3"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, columns in (("open_set", search.OPEN_SET), ("lineup", search.LINEUP), ("thresholds", search.THRESHOLDS), ("det", search.DET)):
        with (folder / "search" / f"{name}.csv").open() as handle:
            reader = csv.DictReader(handle)
            assert tuple(reader.fieldnames or ()) == columns and len(list(reader)) >= 3


def test_a_learned_gate_is_searched_as_its_cell_decided(results: tuple[Path, World]) -> None:
    folder, world = results
    cell = world.cell("gate_learned:turned.none")
    turned = {row["image_id"]: int(row["image_id"][1:3]) % 2 == 0 for row in world.rows}
    words = [f"{'turned' if turned[name] else 'photograph'}: chance 0.5000" for name in cell.similarity.column("image_id").to_pylist()]
    place = cell.similarity.schema.get_field_index("detail")
    decided = cell.similarity.set_column(place, cell.similarity.schema.field(place), [words])
    where = folder / "similarity" / "toy" / "gate_learned:turned.none" / "scrfd_500m"
    tables.write(where / "sface.parquet", decided)
    tables.write(where / "sface.scores.parquet", cell.scores)
    rows = {row["variant"]: row for row in search.search_results(folder, draws=3).lineup}
    lined = lineup.lineups(faces(world, "reference", world.original), PEOPLE)
    probes = [row["image_id"] for row in world.rows if row["role"] == "probe"]
    after, before = (
        lineup.chosen_rightly(faces(world, "reference", world.original), faces(world, "probe", vectors), lined)
        for vectors in (world.turned, world.original)
    )
    gated = np.where([turned[name] and name != "s03_p1" for name in probes], after, before)
    assert rows["gate_learned:turned.none"]["right"] == pytest.approx(gated.mean())


def test_a_search_with_templates_enrols_templates(results: tuple[Path, World]) -> None:
    folder, world = results
    cell = world.cell("template:turned.none")
    where = folder / "similarity" / "toy" / "template:turned.none" / "scrfd_500m"
    tables.write(where / "sface.parquet", cell.similarity)
    tables.write(where / "sface.scores.parquet", cell.scores)
    rows = {row["variant"]: row for row in search.search_results(folder, draws=3).open_set if row["fpir_target"] == 0.1}
    # one reference each, and every probe a recording of its own: the template is the image itself
    assert rows["template:turned.none"]["fnir"] == pytest.approx(rows["turned.none"]["fnir"])


def test_a_det_curve_falls_and_its_points_are_those_of_the_scores(results: tuple[Path, World]) -> None:
    folder, _ = results
    curve = [row for row in search.search_results(folder, draws=2).det if row["variant"] == "original"]
    genuine, impostors = pair_scores.from_table(
        tables.read(folder / "similarity" / "toy" / "original" / "scrfd_500m" / "sface.scores.parquet", pair_scores.SCORES)
    )
    assert len(curve) >= 8 and min(row["fmr_target"] for row in curve) * impostors.n >= 1
    for row in curve:
        assert row["fnmr"] == pytest.approx(float((genuine.scores < row["threshold"]).mean()))
        assert row["fnmr_low"] <= row["fnmr"] <= row["fnmr_high"]
    misses = [row["fnmr"] for row in sorted(curve, key=lambda row: row["fmr_target"])]
    assert misses == sorted(misses, reverse=True)


def test_a_run_whose_judge_gave_no_embedding_is_left_out_with_a_note(results: tuple[Path, World], tmp_path: Path) -> None:
    folder, world = results
    world.failed["original"] = {row["image_id"]: "weights_missing" for row in world.rows}
    for path in world.embeddings("original"):
        shutil.copy(path, folder / "embeddings" / "toy" / "original" / "scrfd_500m" / "sface" / path.name)
    found = search.search_results(folder, variants=["turned.none"], draws=2)
    assert found.open_set == [] and found.notes == ["toy, scrfd_500m + sface: left out; no reference has an embedding"]

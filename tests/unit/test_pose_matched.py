"""References turned to the probe's pose: the stage's rows, the cell against a plain loop over pairs, what happens when turning fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frontalbench import images, status, tables
from frontalbench.catalogue import cards
from frontalbench.compare import derived
from frontalbench.compare.scores import from_table
from frontalbench.errors import BadConfig, WeightsMissing
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import FRONTAL, Outcome, View
from frontalbench.plan import grid
from frontalbench.plan.variant import parse
from frontalbench.stages.turned import turn_references

from .test_compare_cell import D, World, crowd, unit

ANGLES = (-50, 50)
EDGES = (0.0, 20.0, 80.0)


def test_angles_are_the_middles_of_the_bins_that_hold_a_probe() -> None:
    yaw = np.array([3.0, -14.0, 16.0, -29.0, -31.0, 88.0, np.nan])
    assert derived.matched_angles(yaw, (0.0, 15.0, 30.0, 60.0)).tolist() == [0, 0, 22, -22, -45, 45, 0]
    assert derived.split_turned_id(derived.turned_id("a@b/c.jpg", -22)) == ("a@b/c.jpg", -22)


def test_a_cell_of_that_name_reads_originals_and_turned_references() -> None:
    name = "pose_matched:mesh.none"
    assert (parse(name).probes, parse(name).turned, parse("fuse_mean:mesh.none").turned) == ("original", "mesh.turned", "")
    assert grid.images_path("d", "mesh.turned", "0000") == "results/turned/d/mesh/0000.parquet"
    with pytest.raises(BadConfig, match=r"pose_matched:mesh\.none"):
        parse("pose_matched:mesh.sharp")


class Turned(World):
    """A world whose references also have embeddings at :data:`ANGLES`."""

    def __init__(self, folder: Path, seed: int = 0) -> None:
        rows = crowd(8, 2, 6)
        for i, row in enumerate(rows):
            row.update(yaw=float((-60, -35, -5, 12, 30, 70)[i % 6]), pose_source="ground_truth", pitch=0.0, roll=0.0)
        super().__init__(folder, rows, seed)
        rng = np.random.default_rng(seed + 1)
        self.references = [r for r in self.rows if r["role"] == "reference"]
        self.at = {
            (r["image_id"], yaw): unit(self.original[r["image_id"]] + 0.5 * unit(rng.normal(size=D)))
            for r in self.references
            for yaw in ANGLES
        }
        self.lost: dict[tuple[str, int], str] = {}

    def turned_tables(self) -> list[Path]:
        rows = []
        for (name, yaw), vector in self.at.items():
            word = self.lost.get((name, yaw), "ok")
            head = {
                "image_id": derived.turned_id(name, yaw),
                "identity": "x",
                "role": "reference",
                "status": word,
                "detail": f"because {word}",
            }
            rows.append({**head, "embedding": vector.tolist() if word == "ok" else None})
        return self._write("turned", sorted(rows, key=lambda r: str(r["image_id"])), tables.embeddings_schema(D))

    def matched(self) -> Any:
        return self.cell("original", variant_name="pose_matched:mesh.none")

    def cell(self, variant: str = "original", **more: Any) -> Any:
        from frontalbench.compare.cell import compare_cell

        name = more.pop("variant_name", variant)
        original = self.embeddings("original")
        return compare_cell(
            self.images(), original, original, variant=name, turned=self.turned_tables() if ":" in name else (), edges=EDGES, **more
        )


def test_every_probe_meets_the_references_of_its_own_angle(tmp_path: Path) -> None:
    world = Turned(tmp_path)
    world.lost[("s01_r0", 50)] = "no_face"
    result = world.matched()
    rows = {r["image_id"]: r for r in result.similarity.to_pylist()}
    plain = {r["image_id"]: r for r in world.cell("original").similarity.to_pylist()}
    pairs = 0
    for row in world.rows:
        if row["role"] != "probe":
            kept = {**rows[row["image_id"]], "to_original": None}
            assert kept == plain[row["image_id"]], "references are compared with references as they are"
            continue
        angle = 0 if abs(row["yaw"]) < 20 else ANGLES[row["yaw"] > 0]
        own, other = [], []
        for ref in world.references:
            if angle and (ref["image_id"], angle) in world.lost:
                continue
            vector = world.at[ref["image_id"], angle] if angle else world.original[ref["image_id"]]
            (own if ref["subject"] == row["subject"] else other).append(float(world.original[row["image_id"]] @ vector))
        got = rows[row["image_id"]]
        assert (got["n_references"], got["n_impostors"]) == (len(own), len(other))
        assert got["genuine"] == pytest.approx(np.mean(own), abs=3e-6) and got["impostor"] == pytest.approx(np.mean(other), abs=3e-6)
        assert got["within"] == plain[row["image_id"]]["within"] and got["to_original"] == pytest.approx(1.0)
        pairs += len(own)
    genuine, impostors = from_table(result.scores)
    assert len(genuine.scores) == pairs and impostors.n == sum(
        rows[r["image_id"]]["n_impostors"] for r in world.rows if r["role"] == "probe"
    )


def test_references_that_cannot_be_turned_are_a_failure_of_the_method(tmp_path: Path) -> None:
    world = Turned(tmp_path)
    world.lost |= {(f"s02_r{i}", yaw): "model_error" for i in range(2) for yaw in ANGLES}
    rows = {r["image_id"]: r for r in world.matched().similarity.to_pylist()}
    for row in (r for r in world.rows if r["subject"] == "s02" and r["role"] == "probe"):
        near = abs(row["yaw"]) < 20
        assert rows[row["image_id"]]["status"] == ("ok" if near else "model_error")
        assert ("could be turned" in rows[row["image_id"]]["detail"]) == (not near)
    for word in sorted(status.CANNOT_RUN_HERE):
        world.lost = dict.fromkeys(world.at, word)
        assert {r["status"] for r in world.matched().similarity.to_pylist()} == {word}


def test_one_reference_that_could_be_turned_is_a_gallery_and_the_first_one_s_failure_is_not_that_of_all(tmp_path: Path) -> None:
    world = Turned(tmp_path)
    first, *_, last = sorted(world.at)
    world.lost = dict.fromkeys((key for key in world.at if key != last), "weights_missing")
    rows = {r["image_id"]: r for r in world.matched().similarity.to_pylist()}
    assert {r["status"] for r in rows.values()} == {"ok", "model_error"}
    seen = {r["subject"] for r in world.rows if r["role"] == "probe" and abs(r["yaw"]) >= 20 and rows[r["image_id"]]["status"] == "ok"}
    assert seen == {last[0].split("_")[0]} and first[0].split("_")[0] not in seen


def test_a_person_without_any_reference_loses_no_turned_one(tmp_path: Path) -> None:
    """Nobody could have been turned, so it is no failure of the method: the row stays as it is in the cell of the photographs."""
    world = Turned(tmp_path)
    for row in world.rows:
        if row["subject"] == "s03" and row["role"] == "reference":
            row["role"] = "unused"
    world.at = {key: vector for key, vector in world.at.items() if not key[0].startswith("s03")}
    rows = {r["image_id"]: r for r in world.matched().similarity.to_pylist()}
    plain = {r["image_id"]: r for r in world.cell("original").similarity.to_pylist()}
    for row in (r for r in world.rows if r["subject"] == "s03" and r["role"] == "probe"):
        got = rows[row["image_id"]]
        assert (got["status"], got["genuine"], got["n_references"]) == (plain[row["image_id"]]["status"], None, 0)


def test_a_row_without_strangers_has_no_moves_and_the_others_keep_theirs(tmp_path: Path) -> None:
    world = Turned(tmp_path)
    world.failed["original"] = {"s01_p0": "no_face"}
    rows = world.matched().similarity.to_pylist()
    for row in rows:
        assert (row["impostor_moves"] is None) == (row["n_impostors"] == 0), row["image_id"]
    assert len({len(row["impostor_moves"]) for row in rows if row["impostor_moves"] is not None}) == 1
    assert any(row["n_impostors"] == 0 for row in rows)


class Painter:
    """Paints the asked-for yaw."""

    name, needs_face, takes_target_pose = "painter", False, True

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        return [Outcome(np.full((8, 8, 3), 100 + round(target_pose[0]), np.uint8), status.OK, seconds=0.5) for _ in views]


def _shard(root: Path, rows: list[dict[str, Any]], image: bytes) -> tuple[Path, Path]:
    heads = [{key: row[key] for key in ("image_id", "identity", "role")} for row in rows]
    tables.write(root / "images.parquet", tables.from_rows([{**row, "image": image} for row in rows], tables.IMAGES))
    tables.write(root / "faces.parquet", tables.from_rows([{**h, "status": "no_face", "detail": "none"} for h in heads], tables.CROPS))
    return root / "images.parquet", root / "faces.parquet"


@pytest.fixture
def turn(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    rows = crowd(2, 6, 2)
    for row, yaw in zip((r for r in rows if r["role"] == "probe"), (50.0, -20.0, 5.0, 44.0), strict=True):
        row.update(yaw=yaw, pose_source="ground_truth")
    shard, faces = _shard(tmp_path, sorted(rows, key=lambda r: r["image_id"]), images.encode_png(np.zeros((8, 8, 3), np.uint8)))

    def run(model: str, make: Callable[[], Any]) -> list[dict[str, Any]]:
        out = tmp_path / "turned.parquet"
        turn_references(shard, faces, out, cards.find("frontalizer", model), make, images_tables=[shard], edges=(0.0, 15.0, 30.0, 60.0))
        found: list[dict[str, Any]] = tables.read(out, tables.FRONTALS).to_pylist()
        return found

    return run


def test_the_first_references_are_turned_to_the_probes_angles_only(turn: Callable[..., list[dict[str, Any]]]) -> None:
    rows = turn("mesh", Painter)
    assert len(rows) == 2 * derived.TURNED_REFERENCES * 2
    assert {derived.split_turned_id(r["image_id"])[1] for r in rows} == {-22, 45}
    assert not [r for r in rows if r["image_id"].startswith(("s00_r4", "s00_r5"))], "so many references of one person are enough"
    for row in rows:
        yaw = derived.split_turned_id(row["image_id"])[1]
        assert row["status"] == "ok" and images.decode(row["image"])[0, 0, 0] == 100 + yaw


def test_a_frontalizer_whose_start_is_dear_is_asked_once_for_everything(turn: Callable[..., list[dict[str, Any]]]) -> None:
    class Dear(Painter):
        starts = 0

        def frontalize_each(self, asked: Iterable[tuple[View, tuple[float, float, float]]]) -> Iterator[Outcome]:
            Dear.starts += 1
            return iter([outcome for view, pose in list(asked) for outcome in self.frontalize([view], pose)])

    assert [{**row, "seconds": 0} for row in turn("mesh", Dear)] == [{**row, "seconds": 0} for row in turn("mesh", Painter)]
    assert Dear.starts == 1


def test_missing_weights_and_frontalizers_without_a_target_pose(turn: Callable[..., list[dict[str, Any]]]) -> None:
    def missing() -> Painter:
        raise WeightsMissing("fetch it from there")

    assert {(r["status"], r["detail"]) for r in turn("mesh", missing)} == {("weights_missing", "fetch it from there")}
    with pytest.raises(BadConfig, match="takes no target pose"):
        turn("mirror", lambda: load_frontalizer(cards.find("frontalizer", "mirror")))

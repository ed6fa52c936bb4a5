"""Templates of several references and of recordings, and the fusion weighted by yaw: by hand beside the code."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from frontalbench import tables
from frontalbench.compare import derived, templates
from frontalbench.compare.cell import compare_cell
from frontalbench.errors import BadConfig
from frontalbench.plan.variant import control_of, parse
from tests.unit.test_compare_cell import World, image, unit

YAWS = (0.0, 50.0, -85.0, None)


@pytest.fixture
def world(tmp_path: Path) -> World:
    rows = []
    for p in "abcdefg":
        rows += [image(f"{p}_r{i}", p, "reference", yaw=float(20 * i), pose_source="ground_truth") for i in range(3)]
        for i, yaw in enumerate(YAWS):
            pose = {} if yaw is None else {"yaw": yaw, "pose_source": "ground_truth"}
            rows.append(image(f"{p}_p{i}", p, "probe", sequence="walk" if i < 2 else "", **pose))
    return World(tmp_path, rows)


def weight(recipe: str, row: dict[str, Any]) -> float:
    if recipe != "template_yaw":
        return 1.0
    known = [math.cos(math.radians(yaw)) for yaw in (0.0, 20.0, 40.0, 0.0, 50.0, 85.0)]
    return max(math.cos(math.radians(row["yaw"])), 0.01) if row.get("yaw") is not None else sum(known) / len(known)


def by_hand(world: World, recipe: str, vectors: dict[str, np.ndarray], missing: set[str]) -> dict[str, tuple[float, float]]:
    """(similarity to the own template, mean similarity to the others') of every probe."""

    def template(rows: list[dict[str, Any]], of: dict[str, np.ndarray]) -> np.ndarray:
        return unit(np.sum([weight(recipe, row) * of[row["image_id"]].astype(np.float64) for row in rows], axis=0))

    people = sorted({row["subject"] for row in world.rows})
    references = {p: template([r for r in world.rows if r["subject"] == p and r["role"] == "reference"], world.original) for p in people}
    out = {}
    for row in world.rows:
        if row["role"] != "probe" or row["image_id"] in missing:
            continue
        together = [
            r
            for r in world.rows
            if r["role"] == "probe"
            and r["subject"] == row["subject"]
            and r["image_id"] not in missing
            and (r["image_id"] == row["image_id"] or (r.get("sequence") and r.get("sequence") == row.get("sequence")))
        ]
        mine = template(together, vectors)
        others = [float(mine @ references[p]) for p in people if p != row["subject"]]
        out[row["image_id"]] = float(mine @ references[row["subject"]]), float(np.mean(others))
    return out


@pytest.mark.parametrize("recipe", ["template", "template_yaw"])
@pytest.mark.parametrize("base", ["original", "turned.none"])
def test_every_probe_has_the_similarity_of_its_recording_s_template_to_the_person_s(world: World, recipe: str, base: str) -> None:
    missing = {"a_p0", "b_p2", "c_p0", "c_p1"}
    world.failed[base] = dict.fromkeys(missing, "no_face")
    result = compare_cell(world.images(), world.embeddings(base), world.embeddings("original"), variant=f"{recipe}:{base}")
    rows = {row["image_id"]: row for row in result.similarity.to_pylist()}
    wanted = by_hand(world, recipe, world.original if base == "original" else world.turned, missing)
    assert len(wanted) == 24
    for name, (own, others) in wanted.items():
        row = rows[name]
        assert (row["status"], row["n_references"], row["n_impostors"]) == ("ok", 1, 6)
        assert (row["genuine"], row["impostor"]) == (pytest.approx(own, abs=1e-6), pytest.approx(others, abs=1e-6))
    assert rows["d_p0"]["detail"] == "template of 2 images" and rows["a_p1"]["detail"] == "template of 1 image"
    assert (
        rows["a_p0"]["status"] == "no_face" and rows["c_p1"]["genuine"] is None
    )  # a template without an image is a failure of all of them
    assert rows["d_p0"]["genuine"] == rows["d_p1"]["genuine"] and rows["d_p0"]["within"] is None


def test_references_among_themselves_are_compared_one_by_one_as_in_every_other_variant(world: World) -> None:
    pooled = {r["image_id"]: r for r in world.cell("template:turned.none").similarity.to_pylist()}
    plain = {r["image_id"]: r for r in world.cell("turned.none").similarity.to_pylist()}
    for name in (row["image_id"] for row in world.rows if row["role"] == "reference"):
        assert (pooled[name]["genuine"], pooled[name]["n_references"]) == (plain[name]["genuine"], 2)


def test_a_reference_with_the_bytes_of_a_probe_is_in_no_template(tmp_path: Path) -> None:
    rows = [image(f"{p}_r{i}", p, "reference") for p in "ab" for i in range(2)] + [image(f"{p}_p", p, "probe") for p in "ab"]
    rows[0]["sha256"] = "sha-a_p"
    rows[2]["sha256"] = rows[3]["sha256"] = "sha-b_p"
    world = World(tmp_path, rows)
    found = {r["image_id"]: r for r in world.cell("template:turned.none").similarity.to_pylist()}
    assert found["a_p"]["genuine"] == pytest.approx(
        float(world.turned["a_p"].astype(float) @ world.original["a_r1"].astype(float)), abs=1e-6
    )
    assert found["b_p"]["status"] == "no_reference" and "same photograph" in found["b_p"]["detail"]


def test_a_template_without_images_is_none_and_every_image_keeps_a_row_that_says_why(world: World) -> None:
    """All references of a person, and both frames of another's recording, are without a face."""
    world.failed["original"] = dict.fromkeys(["a_r0", "a_r1", "a_r2", "b_p0", "b_p1"], "no_face")
    paths = world.embeddings("original")
    result = compare_cell(world.images(), paths, paths, variant="template:original")
    rows = {row["image_id"]: row for row in result.similarity.to_pylist()}
    assert len(rows) == len(world.rows)
    for i in range(len(YAWS)):
        row = rows[f"a_p{i}"]
        assert (row["status"], row["genuine"], row["n_references"]) == ("no_reference", None, 0)
        assert row["detail"] == "none of the subject's 3 references has a usable face"
    for i in range(2):
        assert (rows[f"b_p{i}"]["status"], rows[f"b_p{i}"]["detail"], rows[f"b_p{i}"]["genuine"]) == ("no_face", "because no_face", None)
    assert rows["b_p2"]["status"] == "ok" and rows["b_p2"]["n_impostors"] == 5, "nobody is compared with the template that is not there"
    assert (result.report["n_no_reference"], result.report["n_fta_probes"]) == (4, 2)


def test_with_no_image_in_any_template_there_is_a_table_of_failures(world: World) -> None:
    world.failed["original"] = {row["image_id"]: "no_face" for row in world.rows}
    paths = world.embeddings("original")
    rows = compare_cell(world.images(), paths, paths, variant="template:original").similarity.to_pylist()
    assert {row["status"] for row in rows} == {"no_face"} and len(rows) == len(world.rows)


def test_the_length_of_the_embedding_weighs(world: World) -> None:
    paths = world.embeddings("original")
    for path in paths:
        table = tables.read(path)
        norms = pa.array([30.0 if name.endswith("_r0") else 1e-9 for name in table.column("image_id").to_pylist()], pa.float32())
        tables.write(path, table.set_column(table.schema.get_field_index("norm"), "norm", norms))
    result = compare_cell(world.images(), paths, paths, variant="template_norm:original")
    rows = {row["image_id"]: row for row in result.similarity.to_pylist()}
    alone = float(world.original["e_p3"].astype(float) @ world.original["e_r0"].astype(float))
    assert rows["e_p3"]["genuine"] == pytest.approx(alone, abs=1e-6)


def test_a_fusion_by_yaw_trusts_the_frontal_the_more_the_farther_the_photograph_is_turned(world: World) -> None:
    rows = {row["image_id"]: row for row in world.cell("fuse_yaw:turned.none").similarity.to_pylist()}
    for place, yaw in enumerate(YAWS):
        share = 1.0 if yaw is None else math.cos(math.radians(yaw))
        mixed = unit(share * world.original[f"b_p{place}"].astype(float) + world.turned[f"b_p{place}"])
        own = np.mean([float(mixed @ world.original[f"b_r{i}"]) for i in range(3)])
        assert rows[f"b_p{place}"]["genuine"] == pytest.approx(own, abs=1e-6)
    assert derived.weight_by_yaw([0.0, 90.0, 120.0, np.nan]) == pytest.approx([0.5, 1.0, 1.0, 0.5])


def test_names_of_templates() -> None:
    assert parse("template:original").is_template and parse("template_yaw:mesh.none").base == "mesh.none"
    assert control_of("template_yaw:mesh.none") == "template_yaw:original"
    for name in ("fuse_mean:original", "template@0.3:mesh.none", "fuse_yaw@0.3:mesh.none", "template:fuse_mean:mesh.none"):
        with pytest.raises(BadConfig, match="derived variant"):
            parse(name)


def test_weights_by_yaw_where_nothing_is_known() -> None:
    assert templates.weights_by_yaw(np.full(3, np.nan, np.float32)).tolist() == [1.0, 1.0, 1.0]

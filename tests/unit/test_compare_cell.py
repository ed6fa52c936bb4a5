"""One cell against a plain double loop over pairs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from frontalbench import tables
from frontalbench.compare import kernel
from frontalbench.compare.cell import compare_cell
from frontalbench.compare.feature import FeatureMap
from frontalbench.compare.scores import Impostors, from_table
from frontalbench.errors import BadConfig, BadInput
from frontalbench.stages.metadata import collect_metadata

ROOT = Path(__file__).resolve().parents[2]
D = 32


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def image(name: str, subject: str, role: str, **more: Any) -> dict[str, Any]:
    row = {
        "image_id": name,
        "identity": subject,
        "subject": subject,
        "role": role,
        "sha256": f"sha-{name}",
        "pose_source": "",
        "status": "ok",
    }
    return {**row, "detail": "", **more}


class World:
    """A dataset on disk: images tables, embeddings of `original` and of a variant `turned.none`, two shards each."""

    def __init__(self, folder: Path, rows: list[dict[str, Any]], seed: int = 0) -> None:
        self.folder, self.rows = folder, sorted(rows, key=lambda r: r["image_id"])
        rng = np.random.default_rng(seed)
        centre = {s: rng.normal(size=D) for s in sorted({r["subject"] for r in rows})}
        self.original = {r["image_id"]: unit(centre[r["subject"]] + rng.normal(size=D)) for r in self.rows}
        self.turned = {r["image_id"]: unit(self.original[r["image_id"]] + 0.4 * unit(rng.normal(size=D))) for r in self.rows}
        self.failed: dict[str, dict[str, str]] = {"original": {}, "turned.none": {}}

    def _write(self, kind: str, rows: list[dict[str, Any]], schema: pa.Schema) -> list[Path]:
        half = (len(rows) + 1) // 2
        paths = [self.folder / kind / "0000.parquet", self.folder / kind / "0001.parquet"]
        for path, part in zip(paths, (rows[:half], rows[half:]), strict=True):
            tables.write(path, tables.from_rows(part, schema))
        return paths

    def images(self) -> list[Path]:
        return self._write("images", self.rows, tables.IMAGES)

    def embeddings(self, variant: str) -> list[Path]:
        vectors = self.original if variant == "original" else self.turned
        rows = []
        for row in self.rows:
            word = self.failed[variant].get(row["image_id"], "ok")
            head = {k: row[k] for k in ("image_id", "identity", "role")}
            vector = vectors[row["image_id"]].tolist() if word == "ok" else None
            rows.append({**head, "status": word, "detail": "" if word == "ok" else f"because {word}", "embedding": vector})
        return self._write(f"emb_{variant}", rows, tables.embeddings_schema(D))

    def cell(self, variant: str = "original", **more: Any) -> Any:
        base = "original" if variant == "original" else "turned.none"
        return compare_cell(self.images(), self.embeddings(base), self.embeddings("original"), variant=variant, **more)

    def by_hand(self, variant: str) -> dict[str, dict[str, Any]]:
        """The same numbers by a loop over pairs."""
        vectors = self.original if variant == "original" else self.turned
        ok = {v: {r["image_id"] for r in self.rows if r["image_id"] not in self.failed[v]} for v in self.failed}
        out = {}
        for row in self.rows:
            name = row["image_id"]
            if name not in ok[variant] or row["role"] not in ("probe", "reference"):
                continue
            own, other, best = [], [], {}
            for ref in self.rows:
                if ref["role"] != "reference" or ref["image_id"] not in ok["original"] or ref["sha256"] == row["sha256"]:
                    continue
                score = float(vectors[name].astype(np.float64) @ self.original[ref["image_id"]].astype(np.float64))
                (own if ref["subject"] == row["subject"] else other).append(score)
                best[ref["subject"]] = max(best.get(ref["subject"], -2.0), score)
            within = [
                float(vectors[name].astype(np.float64) @ vectors[p["image_id"]].astype(np.float64))
                for p in self.rows
                if p["role"] == "probe" and p["subject"] == row["subject"] and p["image_id"] in ok[variant] and p["sha256"] != row["sha256"]
            ]
            rank = 1 + sum(v >= best[row["subject"]] for s, v in best.items() if s != row["subject"]) if own else None
            out[name] = {"own": own, "other": other, "within": within if row["role"] == "probe" else [], "rank": rank}
        return out


def crowd(n_subjects: int = 9, references: int = 2, probes: int = 5) -> list[dict[str, Any]]:
    rows = []
    for s in range(n_subjects):
        rows += [image(f"s{s:02d}_r{i}", f"s{s:02d}", "reference") for i in range(references)]
        rows += [image(f"s{s:02d}_p{i}", f"s{s:02d}", "probe") for i in range(probes)]
    return rows


def check(world: World, variant: str) -> None:
    expected = world.by_hand(variant)
    result = world.cell(variant)
    rows = {r["image_id"]: r for r in result.similarity.to_pylist()}
    assert set(rows) == {r["image_id"] for r in world.rows}
    for name, want in expected.items():
        got = rows[name]
        assert (
            got["n_references"] == len(want["own"]) and got["n_impostors"] == len(want["other"]) and got["n_within"] == len(want["within"])
        )
        for column, values, function in (
            ("genuine", want["own"], np.mean),
            ("genuine_sd", want["own"], np.std),
            ("impostor", want["other"], np.mean),
            ("impostor_sd", want["other"], np.std),
            ("impostor_max", want["other"], np.max),
            ("within", want["within"], np.mean),
        ):
            if values:
                assert got[column] == pytest.approx(function(values), abs=3e-6), (name, column)
            else:
                assert got[column] is None
        assert got["rank"] == want["rank"]
    genuine, impostors = from_table(result.scores)
    probes = {r["image_id"] for r in world.rows if r["role"] == "probe"} & set(expected)
    own = np.sort([s for name in probes for s in expected[name]["own"]])
    other = np.sort([s for name in probes for s in expected[name]["other"]])
    np.testing.assert_allclose(np.sort(genuine.scores), own, atol=1e-6)
    assert impostors.n == len(other)
    np.testing.assert_allclose(np.sort(impostors.tail), other[-len(impostors.tail) :], atol=1e-6)


@pytest.mark.parametrize("variant", ["original", "turned.none"])
def test_cell_equals_a_loop_over_pairs(tmp_path: Path, variant: str) -> None:
    world = World(tmp_path, crowd())
    check(world, variant)


@pytest.mark.parametrize("variant", ["original", "turned.none"])
def test_cell_equals_a_loop_over_pairs_when_blocks_are_tiny(tmp_path: Path, variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "BATCH", 4)
    monkeypatch.setattr(kernel, "BLOCK", 3)
    monkeypatch.setattr("frontalbench.compare.cell._PASS", 7)
    monkeypatch.setattr(kernel.Gallery.blocks, "__defaults__", (3,))
    world = World(tmp_path, crowd(references=4), seed=3)
    world.failed["turned.none"] = {"s00_p1": "no_face", "s03_p0": "model_error"}
    check(world, variant)


def test_reference_is_never_compared_with_itself(tmp_path: Path) -> None:
    world = World(tmp_path, crowd(references=1))
    rows = [r for r in world.cell().similarity.to_pylist() if r["role"] == "reference"]
    assert all(r["n_references"] == 0 and r["genuine"] is None and r["status"] == "ok" and r["rank"] is None for r in rows)
    two = [r for r in World(tmp_path / "two", crowd(references=2)).cell().similarity.to_pylist() if r["role"] == "reference"]
    assert all(r["n_references"] == 1 and r["genuine"] < 0.999 for r in two)


def test_same_photograph_under_two_names_is_no_pair(tmp_path: Path) -> None:
    rows = crowd(references=2)
    by_name = {r["image_id"]: r for r in rows}
    by_name["s00_p0"]["sha256"] = by_name["s00_r0"]["sha256"]  # a probe that is also a reference
    by_name["s01_p0"]["sha256"] = by_name["s01_p1"]["sha256"]  # one probe twice
    by_name["s02_p0"]["sha256"] = by_name["s03_r1"]["sha256"]  # a mislabelled image: same photograph under two people
    world = World(tmp_path, rows)
    for one, two in (("s00_p0", "s00_r0"), ("s01_p0", "s01_p1"), ("s02_p0", "s03_r1")):
        world.original[one] = world.original[two]
    check(world, "original")
    check(world, "turned.none")
    result = world.cell()
    got = {r["image_id"]: r for r in result.similarity.to_pylist()}
    assert got["s00_p0"]["n_references"] == 1 and got["s00_p0"]["n_same_photo"] == 1
    assert got["s01_p0"]["n_within"] == 3
    assert got["s02_p0"]["impostor_max"] < 0.99
    assert result.report["n_images_with_a_double"] == 6


def test_failures_stay_rows_with_their_reason(tmp_path: Path) -> None:
    world = World(tmp_path, [*crowd(), image("s00_x", "s00", "unused"), image("zz_p", "zz", "probe"), image("yy_r", "yy", "reference")])
    world.failed["turned.none"] = {"s01_p1": "no_face", "s01_p2": "unreadable"}
    world.failed["original"] = {"s02_r0": "no_face", "s02_r1": "no_face"}
    result = world.cell("turned.none")
    rows = {r["image_id"]: r for r in result.similarity.to_pylist()}
    assert (rows["s01_p1"]["status"], rows["s01_p1"]["detail"]) == ("no_face", "because no_face")
    assert rows["s01_p2"]["status"] == "unreadable" and rows["s01_p2"]["genuine"] is None
    assert rows["s02_p0"]["status"] == "no_reference" and "2 references" in rows["s02_p0"]["detail"]
    assert rows["zz_p"]["status"] == "no_reference" and "no reference image" in rows["zz_p"]["detail"]
    assert rows["s00_x"]["status"] == "not_used"
    assert result.report["n_fta_probes"] == 2
    assert result.report["n_subjects_without_reference"] == 1
    assert result.report["n_subjects_without_probe"] == 1


def test_pose_for_bins_is_truth_then_measured_then_nominal(tmp_path: Path) -> None:
    rows = crowd(1, 1, 3)
    named = {r["image_id"]: r for r in rows}
    named["s00_p0"].update(yaw=30.0, pitch=0.0, roll=0.0, pose_source="ground_truth")
    named["s00_p1"].update(yaw=45.0, pitch=0.0, roll=0.0, pose_source="nominal")
    named["s00_p2"].update(yaw=90.0, pitch=0.0, roll=0.0, pose_source="nominal")
    world = World(tmp_path, rows)
    pose = [
        {"image_id": f"s00_p{i}", "identity": "s00", "role": "probe", "status": word, "detail": "", "yaw": yaw, "pitch": 1.0, "roll": 2.0}
        for i, word, yaw in ((0, "ok", 20.0), (1, "ok", 41.0), (2, "no_face", None))
    ]
    tables.write(tmp_path / "pose.parquet", tables.from_rows(pose, tables.POSE))
    got = {r["image_id"]: r for r in world.cell(pose=[tmp_path / "pose.parquet"]).similarity.to_pylist()}
    assert [(got[f"s00_p{i}"]["yaw"], got[f"s00_p{i}"]["yaw_source"]) for i in range(3)] == [
        (30.0, "ground_truth"),
        (41.0, "measured"),
        (90.0, "nominal"),
    ]
    assert got["s00_p1"]["nominal_yaw"] == 45.0 and got["s00_p1"]["roll"] == 2.0
    assert got["s00_r0"]["yaw"] is None and got["s00_r0"]["yaw_source"] == ""


def test_constant_embeddings_do_not_identify_anyone(tmp_path: Path) -> None:
    world = World(tmp_path, crowd())
    same = unit(np.ones(D))
    world.original = dict.fromkeys(world.original, same)
    ranks = [r["rank"] for r in world.cell().similarity.to_pylist() if r["role"] == "probe"]
    assert set(ranks) == {9}


def test_fusion_of_embeddings_and_of_scores(tmp_path: Path) -> None:
    world = World(tmp_path, crowd())
    world.failed["turned.none"] = {"s01_p1": "no_face"}
    world.failed["original"] = {"s04_p0": "no_face"}
    plain = {r["image_id"]: r for r in world.cell("turned.none").similarity.to_pylist()}
    original = {r["image_id"]: r for r in world.cell("original").similarity.to_pylist()}
    mean = {r["image_id"]: r for r in world.cell("fuse_mean:turned.none").similarity.to_pylist()}
    score = {r["image_id"]: r for r in world.cell("fuse_score:turned.none").similarity.to_pylist()}
    highest = world.cell("fuse_max:turned.none")
    best = {r["image_id"]: r for r in highest.similarity.to_pylist()}
    name = "s02_p3"
    fused = unit(world.original[name] + world.turned[name])
    own = [float(fused @ world.original[f"s02_r{i}"]) for i in range(2)]
    assert mean[name]["genuine"] == pytest.approx(np.mean(own), abs=1e-6)
    assert score[name]["genuine"] == pytest.approx((plain[name]["genuine"] + original[name]["genuine"]) / 2, abs=1e-6)
    pairs = [max(float(v[name] @ world.original[f"s02_r{i}"]) for v in (world.original, world.turned)) for i in range(2)]
    assert best[name]["genuine"] == pytest.approx(np.mean(pairs), abs=1e-6)
    for table in (mean, score, best):  # a fusion falls back on what there is, and says so
        assert table["s01_p1"]["status"] == "ok" and table["s01_p1"]["detail"].startswith("original alone")
        assert table["s01_p1"]["genuine"] == pytest.approx(original["s01_p1"]["genuine"], abs=1e-6)
        assert table["s04_p0"]["status"] == "ok" and table["s04_p0"]["detail"].startswith("frontal alone")
        assert table["s04_p0"]["genuine"] == pytest.approx(plain["s04_p0"]["genuine"], abs=1e-6)
        assert table[name]["detail"] == ""
    light = {r["image_id"]: r for r in world.cell("fuse_mean@0.001:turned.none").similarity.to_pylist()}
    assert light[name]["genuine"] == pytest.approx(original[name]["genuine"], abs=2e-3)


def flips(world: World) -> tuple[dict[str, Any], list[Path]]:
    """Embeddings of mirrored photographs, and their tables."""
    rng = np.random.default_rng(9)
    mirrored = {name: unit(vector + 0.3 * unit(rng.normal(size=D))) for name, vector in world.original.items()}
    keep, world.turned = world.turned, mirrored
    failed, world.failed["turned.none"] = world.failed["turned.none"], {"s03_p2": "no_face"}
    paths = [path.rename(path.with_stem(f"{path.stem}_flip")) for path in world.embeddings("turned.none")]
    world.turned, world.failed["turned.none"] = keep, failed
    return mirrored, paths


@pytest.mark.parametrize(("name", "share"), [("fuse_flip:turned.none", 0.2), ("fuse_flip@0.4:turned.none", 0.4)])
def test_fusion_of_three_is_flip_fusion_and_the_frontal(tmp_path: Path, name: str, share: float) -> None:
    world = World(tmp_path, crowd())
    mirrored, paths = flips(world)
    world.failed["turned.none"] = {"s01_p1": "no_face"}
    rows = {r["image_id"]: r for r in world.cell(name, mirrored=paths).similarity.to_pylist()}

    def to_own(probe: str, *parts: Any) -> float:
        return float(np.mean([unit(sum(parts)) @ world.original[f"{probe[:3]}_r{i}"] for i in range(2)]))

    one, both = "s02_p3", (1 - share) / 2
    three = to_own(one, both * world.original[one], both * mirrored[one], share * world.turned[one])
    assert rows[one]["genuine"] == pytest.approx(three, abs=1e-6) and rows[one]["detail"] == ""
    assert rows["s01_p1"]["genuine"] == pytest.approx(to_own("s01_p1", world.original["s01_p1"], mirrored["s01_p1"]), abs=1e-6)
    assert rows["s01_p1"]["detail"].startswith("original alone, with its mirror image")
    alone = "s03_p2"  # without a mirror image the photograph stands for it
    assert rows[alone]["genuine"] == pytest.approx(to_own(alone, 2 * both * world.original[alone], share * world.turned[alone]), abs=1e-6)
    with pytest.raises(BadInput, match=r"mirror\.none"):
        world.cell(name)


def test_a_flip_gate_is_flip_fusion_below_its_angle(tmp_path: Path) -> None:
    rows = [image(f"s{s:02d}_r0", f"s{s:02d}", "reference") for s in range(3)]
    rows += [
        image(f"s{s:02d}_p{yaw}", f"s{s:02d}", "probe", yaw=float(yaw), pose_source="ground_truth") for s in range(3) for yaw in (40, 80)
    ]
    world = World(tmp_path, rows)
    _, paths = flips(world)
    gated = {r["image_id"]: r for r in world.cell("gate_flip@60:turned.none", mirrored=paths).similarity.to_pylist()}
    three = {r["image_id"]: r for r in world.cell("fuse_flip:turned.none", mirrored=paths).similarity.to_pylist()}
    assert gated["s01_p80"]["genuine"] == pytest.approx(three["s01_p80"]["genuine"], abs=1e-9) and gated["s01_p80"]["detail"].startswith(
        "turned"
    )
    assert abs(gated["s01_p40"]["genuine"] - three["s01_p40"]["genuine"]) > 1e-4
    two = compare_cell(world.images(), paths, world.embeddings("original"), variant="fuse_mean:mirror.none").similarity.to_pylist()
    assert gated["s01_p40"]["genuine"] == pytest.approx(next(r["genuine"] for r in two if r["image_id"] == "s01_p40"), abs=1e-6)


def test_feature_frontal_maps_by_the_yaw_and_needs_a_map(tmp_path: Path) -> None:
    rows = [image("r", "a", "reference"), image("s", "b", "reference")]
    rows += [image(f"p{yaw}", "a", "probe", yaw=yaw, pose_source="ground_truth") for yaw in (0.0, 90.0)]
    world = World(tmp_path, rows)
    found = FeatureMap(np.diag(np.linspace(2.0, 0.1, D)), (30.0, 70.0))
    plain = {r["image_id"]: r for r in world.cell("fuse_mean:turned.none").similarity.to_pylist()}
    mapped = {r["image_id"]: r for r in world.cell("feature_frontal:turned.none", feature=found).similarity.to_pylist()}
    assert mapped["p0.0"]["genuine"] == pytest.approx(plain["p0.0"]["genuine"], abs=1e-6)
    wanted = found.apply(world.original["p90.0"][None], world.turned["p90.0"][None], [90.0])[0] @ world.original["r"]
    assert mapped["p90.0"]["genuine"] == pytest.approx(float(wanted), abs=1e-6)
    assert abs(mapped["p90.0"]["genuine"] - plain["p90.0"]["genuine"]) > 1e-3
    world.failed["turned.none"]["p0.0"] = world.failed["original"]["p0.0"] = "no_face"
    without = world.cell("feature_frontal:turned.none").similarity.to_pylist()
    assert {row["detail"] for row in without if row["status"] == "no_face"} == {"because no_face"}
    assert [row["status"] for row in without if row["role"] == "probe"] == ["no_face", "weights_missing"]


@pytest.mark.parametrize(
    "name", ["fuse_median:a.none", "fuse_mean@2:a.none", "fuse_max@0.5:a.none", "fuse_mean:original", "fuse_mean:fuse_max:a.none"]
)
def test_malformed_derived_names_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadConfig) as error:
        World(tmp_path, crowd(2)).cell(name)
    assert "\n" not in str(error.value) and name in str(error.value)


def test_mean_shift_moves_the_mean_and_nothing_else(tmp_path: Path) -> None:
    world = World(tmp_path, crowd(30, 2, 6), seed=5)
    centre = unit(np.ones(D))
    world.turned = {name: unit(vector + 0.5 * centre) for name, vector in world.original.items()}  # everybody towards one face
    # A probe that lacks one of the two takes no part in the mean.
    world.failed["original"], world.failed["turned.none"] = {"s05_p0": "no_face"}, {"s06_p1": "no_face"}
    control = {r["image_id"]: r for r in world.cell("control_meanshift:turned.none").similarity.to_pylist()}
    name = "s03_p2"
    probes = [r["image_id"] for r in world.rows if r["role"] == "probe" and r["image_id"] not in ("s05_p0", "s06_p1")]
    shift = np.mean([world.turned[p] for p in probes], axis=0) - np.mean([world.original[p] for p in probes], axis=0)
    moved = unit(world.original[name] + shift)
    assert control[name]["genuine"] == pytest.approx(np.mean([moved @ world.original[f"s03_r{i}"] for i in range(2)]), abs=1e-6)


def test_tables_of_another_dataset_are_refused(tmp_path: Path) -> None:
    one, two = World(tmp_path / "one", crowd(3)), World(tmp_path / "two", crowd(4))
    with pytest.raises(BadInput, match="have no row in the embeddings"):
        compare_cell(two.images(), one.embeddings("original"), one.embeddings("original"))
    with pytest.raises(BadInput, match="not in the images tables"):
        compare_cell(one.images(), two.embeddings("original"), two.embeddings("original"))


def test_embeddings_that_are_not_normalised_are_refused(tmp_path: Path) -> None:
    world = World(tmp_path, crowd(3))
    world.original = {k: 2 * v for k, v in world.original.items()}
    with pytest.raises(BadInput, match="length 1"):
        world.cell()


def test_embedding_that_is_not_finite_becomes_a_failed_row(tmp_path: Path) -> None:
    world = World(tmp_path, crowd(3))
    world.turned["s00_p0"] = np.full(D, np.nan, np.float32)
    rows = {r["image_id"]: r for r in world.cell("turned.none").similarity.to_pylist()}
    assert rows["s00_p0"]["status"] == "model_error" and rows["s00_p1"]["genuine"] is not None


def test_impostor_tail_is_exact_and_bins_add_up() -> None:
    rng = np.random.default_rng(0)
    scores = np.clip(rng.normal(0.0, 0.1, 50_000), -1, 1).astype(np.float32)
    impostors = Impostors.of(scores, tail=300)
    np.testing.assert_array_equal(impostors.tail, np.sort(scores)[::-1][:300])
    assert impostors.n == len(scores)
    edge = np.histogram(scores.astype(np.float64), bins=len(impostors.counts), range=(-1, 1))[0]
    assert np.abs(np.cumsum(edge) - np.cumsum(impostors.counts)).max() <= 2
    assert Impostors.of([-1.0, 1.0, 1.0000001]).counts[[0, -1]].tolist() == [1, 2]


@pytest.mark.slow
def test_command_line_writes_both_tables_and_one_line_errors(tmp_path: Path) -> None:
    world = World(tmp_path, crowd(3))
    embeddings = [str(p) for p in world.embeddings("original")]
    command = [
        sys.executable,
        str(ROOT / "workflow/scripts/compare_cell.py"),
        "--images",
        *map(str, world.images()),
        "--embeddings",
        *embeddings,
    ]
    command += [
        "--references",
        *embeddings,
        "--out",
        str(tmp_path / "s.parquet"),
        "--scores-out",
        str(tmp_path / "x.parquet"),
        "--threads",
        "1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert tables.read(tmp_path / "s.parquet", tables.SIMILARITY).num_rows == len(world.rows)
    assert tables.provenance(tmp_path / "s.parquet")["counts"]["n_probes"] == 15
    first = tables.content_digest(tmp_path / "s.parquet"), tables.content_digest(tmp_path / "x.parquet")
    subprocess.run(command, capture_output=True, check=True)
    assert first == (tables.content_digest(tmp_path / "s.parquet"), tables.content_digest(tmp_path / "x.parquet"))
    broken = subprocess.run([*command, "--roles", "{"], capture_output=True, text=True, check=False)
    assert broken.returncode == 2 and broken.stderr.startswith("error: --roles") and broken.stderr.count("\n") == 1


def test_roles_left_to_the_pose_are_decided_from_it(tmp_path: Path) -> None:
    rows = [image(f"s{s}_{i}", f"s{s}", "auto") for s in range(3) for i in range(4)]
    rows[-1]["role"] = "probe"  # of one the dataset itself says it
    pose = [
        {
            "image_id": r["image_id"],
            "identity": r["subject"],
            "role": "auto",
            "status": "ok",
            "detail": "",
            "yaw": yaw,
            "pitch": 0.0,
            "roll": 0.0,
        }
        for r, yaw in zip(rows, [40.0, 3.0, -60.0, 20.0] * 3, strict=True)
    ]
    tables.write(tmp_path / "pose.parquet", tables.from_rows(pose, tables.POSE))
    world = World(tmp_path, rows)
    got = world.cell(pose=[tmp_path / "pose.parquet"], roles={"references": 1}).similarity.to_pylist()
    assert [r["image_id"] for r in got if r["role"] == "reference"] == ["s0_1", "s1_1", "s2_1"]
    assert all(r["n_references"] == 1 for r in got if r["role"] == "probe")


def test_the_small_tables_of_a_dataset_stand_for_its_shards(tmp_path: Path) -> None:
    world = World(tmp_path, crowd(4))
    pose = [{"image_id": r["image_id"], "identity": r["identity"], "role": r["role"], "status": "ok", "detail": ""} for r in world.rows]
    for i, row in enumerate(pose):
        row |= {"yaw": float(i), "pitch": 1.0, "roll": 2.0}
    shards = world._write("pose", pose, tables.POSE)
    listed = [tmp_path / "people" / f"{name}.parquet" for name in ("images", "pose")]
    # Handed over in the wrong order, which changes nothing.
    assert collect_metadata(world.images()[::-1], shards[::-1], *listed) == {"ok": len(world.rows)}
    assert tables.read(listed[0], tables.LISTED).schema.names == tables.LISTED.names
    assert list(tables.provenance(listed[1])["inputs"]) == [str(path) for path in shards]
    embeddings = world.embeddings("original")
    direct = compare_cell(world.images(), embeddings, embeddings, pose=shards)
    through = compare_cell(listed[:1], embeddings, embeddings, pose=listed[1:])
    assert direct.similarity.equals(through.similarity)
    assert direct.scores.equals(through.scores)
    assert direct.similarity["yaw"].to_pylist() == [float(i) for i in range(len(pose))]


@pytest.mark.parametrize(
    "variant",
    [
        "original",
        "turned.none",
        "fuse_mean:turned.none",
        "fuse_max:turned.none",
        "control_meanshift:turned.none",
        "gate_learned:turned.none",
    ],
)
def test_every_table_of_embeddings_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str) -> None:
    world = World(tmp_path, crowd())
    asked: list[str] = []
    read = tables.read

    def counted(path: Any, *arguments: Any, **more: Any) -> pa.Table:
        asked.append(str(path))
        return read(path, *arguments, **more)

    monkeypatch.setattr(tables, "read", counted)
    world.cell(variant)
    folders = {"original"} if variant == "original" else {"original", "turned.none"}
    assert sorted(path for path in asked if "emb_" in path) == sorted(
        str(tmp_path / f"emb_{folder}" / f"{shard}.parquet") for folder in folders for shard in ("0000", "0001")
    )


def test_originals_may_lie_in_other_shards_than_the_variant_and_lack_images(tmp_path: Path) -> None:
    world = World(tmp_path, crowd(5))
    wanted = world.cell("fuse_mean:turned.none").similarity
    first, second = world.embeddings("original")
    one = tmp_path / "one.parquet"
    tables.write(one, pa.concat_tables([tables.read(first), tables.read(second)]))
    variant = world.embeddings("turned.none")
    assert compare_cell(world.images(), variant, [one], variant="fuse_mean:turned.none").similarity.equals(wanted)
    assert compare_cell(world.images(), variant, [second, first], variant="fuse_mean:turned.none").similarity.equals(wanted)
    # Where a photograph has no embedding in the other shards either, its fusion is the frontal alone.
    world.failed["original"] = {"s02_p1": "no_face"}
    whole = {r["image_id"]: r for r in world.cell("fuse_mean:turned.none").similarity.to_pylist()}
    paths = world.embeddings("original")[::-1]
    apart = compare_cell(world.images(), variant, paths, variant="fuse_mean:turned.none").similarity.to_pylist()
    assert {r["image_id"]: r for r in apart} == whole and whole["s02_p1"]["detail"].startswith("frontal alone")


def test_embeddings_of_two_backbones_and_an_image_given_twice_are_refused_by_name(tmp_path: Path) -> None:
    world = World(tmp_path, crowd(3))
    originals, turned = world.embeddings("original"), world.embeddings("turned.none")
    rows = tables.read(turned[1]).to_pylist()
    tables.write(turned[1], tables.from_rows([{**row, "embedding": [1.0, *[0.0] * 7]} for row in rows], tables.embeddings_schema(8)))
    with pytest.raises(BadInput, match=r"emb_turned.none/0001.parquet: embeddings of length 8, but 32 in"):
        compare_cell(world.images(), turned, originals)
    tables.write(turned[1], tables.from_rows([*rows, rows[0]], tables.embeddings_schema(D)))
    with pytest.raises(BadInput, match=f"image '{rows[0]['image_id']}' occurs twice in the embeddings"):
        compare_cell(world.images(), turned, originals)

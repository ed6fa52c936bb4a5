"""What frontalizers cost: from the tables' own seconds and the record of the run, and the comparison made of it."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

from frontalbench import tables
from frontalbench.catalogue import cards
from frontalbench.stages.common import run_shard
from frontalbench.tabulate import cost

SECONDS = (0.1, 0.2, 0.3, 0.4)


@pytest.fixture
def made(tmp_path: Path) -> cost.Made:
    """Two shards of `mesh.none`; the first image of the second failed. A benchmark file knows a higher peak than the process did."""
    paths = []
    for shard in range(2):
        rows = [
            {
                "image_id": f"{shard}{i}",
                "identity": "a",
                "role": "probe",
                "status": "ok",
                "detail": "",
                "seconds": SECONDS[2 * shard + i],
                "image": b"x",
            }
            for i in range(2)
        ]
        if shard:
            rows[0].update(status="model_error", image=None)
        path = tmp_path / f"{shard}.parquet"
        with tables.Writer(path, tables.FRONTALS, {"stage": "frontalize", "threads": 3}) as writer:
            writer.add(rows)
            writer.note_run({"load_seconds": 1.0 + shard, "work_seconds": 9.0, "host_mb": 150.0, "gpu_mb": None, "gpu": ""})
        paths.append(path)
    benchmark = tmp_path / "bench.tsv"
    benchmark.write_text("s\th:m:s\tmax_rss\tmax_vms\n1.5\t0:00:01\t205.85\t1.0\n0.2\t0:00:00\t-\t-\n")
    return cost.Made("synthetic", "mesh.none", paths, [benchmark, tmp_path / "gone.tsv"])


def test_a_row_counts_what_came_out_and_leaves_loading_out(made: cost.Made) -> None:
    row = cost.cost_row(made)
    kept = [0.1, 0.2, 0.4]
    assert (row["step"], row["device"], row["threads"], row["n_images"]) == ("mesh", "cpu", 3, 3)
    assert row["images_per_second"] == pytest.approx(3 / sum(kept), rel=1e-6)
    assert row["seconds_median"] == pytest.approx(0.2) and row["seconds_p95"] == pytest.approx(np.quantile(kept, 0.95))
    assert row["load_seconds"] == 1.5 and row["host_mb"] == 205.85
    assert row["gpu_mb"] is None and row["gpu"] == "no GPU"
    assert row["n_weights"] == 1 and row["weights_mb"] == pytest.approx(3.758596) and "fetched by the run" in row["install"]
    assert set(row) == set(cost.COST)


def test_a_gpu_is_named_with_its_peak_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole way with a CUDA device that is not there: the run's record, the row, the words where only ONNX Runtime used it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 3 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Toy GPU")
    image = {"image_id": "0", "identity": "a", "role": "probe", "status": "ok", "detail": "", "image": b"x"}
    tables.write(tmp_path / "in.parquet", tables.from_rows([{**image, "seconds": 0.5}], tables.FRONTALS))

    def row(provider: str) -> cost.Row:
        out = tmp_path / "out.parquet"
        record = {"threads": 1, "provider": provider}
        run_shard(tmp_path / "in.parquet", out, tables.FRONTALS, record, object, lambda _, rows: [{**r, "seconds": 0.5} for r in rows])
        return cost.cost_row(cost.Made("synthetic", "mesh.none", [out]))

    found = row("cuda:0")
    assert (found["device"], found["gpu_mb"]) == ("Toy GPU", 3072.0) and "peak of torch" in found["gpu"]
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 0)
    unseen = row("cuda:0")
    assert (unseen["device"], unseen["gpu_mb"]) == ("cuda:0", None) and "cannot be seen" in unseen["gpu"]
    assert row("cpu")["gpu"] == "no GPU"


def test_the_record_of_a_run_is_no_part_of_a_tables_content(made: cost.Made, tmp_path: Path) -> None:
    table = tables.read(made.shards[0])
    tables.write(tmp_path / "again.parquet", table, {"stage": "frontalize"})
    assert tables.content_digest(tmp_path / "again.parquet") == tables.content_digest(made.shards[0])
    assert tables.run_record(made.shards[0])["host_mb"] == 150.0 and tables.run_record(tmp_path / "again.parquet") == {}
    assert tables.provenance(made.shards[0])["threads"] == 3


def test_parameters_are_counted_in_files(tmp_path: Path) -> None:
    weight = np.ones((3, 4), np.float32)
    node = helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(np.ones(5, np.float32)))
    shape = numpy_helper.from_array(np.array([1, 2], np.int64), "shape")
    graph = helper.make_graph(
        [node], "g", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [5])], [numpy_helper.from_array(weight, "w"), shape]
    )
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    assert cost.count_parameters(tmp_path / "m.onnx") == 17, "weights and constants, not shapes"
    save_file({"a": weight, "b": np.ones(2, np.float16)}, tmp_path / "m.safetensors")
    assert cost.count_parameters(tmp_path / "m.safetensors") == 14
    torch.save({"a": torch.ones(3, 4), "steps": torch.tensor(7)}, tmp_path / "m.pth")
    assert cost.count_parameters(tmp_path / "m.pth") == 12
    assert cost.count_parameters(tmp_path / "m.task") is None


def test_parameters_of_weights_that_are_not_at_hand_are_not_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables of a cluster are summed up on a laptop that has no weights."""
    monkeypatch.setenv("FRONTALBENCH_STORE", str(tmp_path))
    (card,) = (card for card in cards.all_cards("detector") if card.name == "scrfd_500m")
    assert cost.parameters([card]) is None


def test_the_comparison_joins_speed_quality_and_installation(made: cost.Made, tmp_path: Path) -> None:
    def gain(backbone: str, value: float, leak: bool = False) -> cost.Row:
        same = {"dataset": "synthetic", "variant": "mesh.none", "detector": "d", "backbone": backbone}
        return {**same, "identity_gain": value, "leak": leak, "fta_rate_frontal": abs(value)}

    seen = {"dataset": "synthetic", "variant": "mesh.none", "role": "probe", "measure": "ssim_face", "mean": 0.5}
    costs = [cost.cost_row(made), {**cost.cost_row(made), "variant": "mesh.sharp"}]
    rows = cost.comparison_rows(costs, [gain("a", -0.03), gain("b", 0.01), gain("c", 0.9, leak=True)], [seen])
    assert len(rows) == 1 and set(rows[0]) == set(cost.COMPARISON)
    row = rows[0]
    assert (row["identity_gain_low"], row["identity_gain_high"], row["n_judges"]) == (-0.03, 0.01, 2), "a leak is no evidence"
    assert row["ssim_face"] == 0.5 and row["pose_error"] is None and row["fta_rate"] == 0.03
    assert row["licence"] == "MIT; Apache-2.0" and row["verified"] == cards.find("frontalizer", "mesh").data["verified"]["level"]
    cost.write(tmp_path / "out", costs, rows)
    for name in cost.TABLES:
        assert tables.read(tmp_path / "out" / f"{name}.parquet", cost.schema(name)).num_rows == (2 if name == "cost" else 1)
    text = (tmp_path / "out/comparison.md").read_text()
    assert (
        "0.200 s per image in the model on cpu; finding faces was not measured" in text
        and "-0.030 to +0.010" in text
        and "packages" in text
    )


def _crops(path: Path, seconds: float, statuses: tuple[str, ...]) -> Path:
    rows = [
        {"image_id": str(i), "identity": "a", "role": "probe", "status": word, "detail": "", "image": b"x"}
        for i, word in enumerate(statuses)
    ]
    with tables.Writer(path, tables.CROPS, {"stage": "detect"}) as writer:
        writer.add(rows)
        writer.note_run({"load_seconds": 5.0, "work_seconds": seconds, "host_mb": 1.0, "gpu_mb": None, "gpu": ""})
    return path


def test_finding_faces_and_an_alignment_of_its_own_belong_to_the_cost(made: cost.Made, tmp_path: Path) -> None:
    faces = [_crops(tmp_path / "f0.parquet", 0.3, ("ok", "no_face", "unreadable")), _crops(tmp_path / "f1.parquet", 0.5, ("ok", "ok"))]
    aligned = [_crops(tmp_path / "a.parquet", 0.9, ("ok", "ok", "ok"))]

    def row(variant: str, **more: list[Path]) -> cost.Row:
        return cost.cost_row(cost.Made("synthetic", variant, made.shards, **more))

    mesh = row("mesh.none", faces=faces, aligned=aligned)
    assert (mesh["find_seconds"], mesh["align_seconds"]) == (pytest.approx(0.2), None)
    assert mesh["total_seconds"] == pytest.approx(mesh["seconds_median"] + 0.2)
    ahead = row("mirror_ahead.none", faces=faces, aligned=aligned)
    assert (ahead["find_seconds"], ahead["align_seconds"]) == (None, pytest.approx(0.3))
    assert ahead["total_seconds"] == pytest.approx(ahead["seconds_median"] + 0.3)
    mirror = row("mirror.none", faces=faces, aligned=aligned)
    assert mirror["total_seconds"] == mirror["seconds_median"] and mirror["find_seconds"] is None
    assert row("mesh.none")["total_seconds"] is None, "not measured is not nothing"
    text = cost.comparison_markdown(cost.comparison_rows([mesh, ahead], [], []), {"packages": 1, "mb": 1.0})
    assert "0.400 s per image on cpu (0.200 in the model, 0.200 finding the face)" in text and "detector and pose on the new image)" in text


def test_which_frontalizers_need_a_face_is_told_without_weights() -> None:
    needing = {card.name: cost.needs_face(card) for card in cards.all_cards("frontalizer")}
    assert {name for name, needs in needing.items() if not needs} == {"identity", "mirror", "mirror_ahead"}


def test_what_was_made_elsewhere_has_its_images_counted_and_no_time_or_memory_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "frontals.parquet"
    head = {"identity": "a", "role": "probe", "detail": "", "seconds": None}
    with tables.Writer(path, tables.FRONTALS, {}) as writer:
        writer.add([{**head, "image_id": "1", "status": "ok", "image": b"x"}, {**head, "image_id": "2", "status": "not_delivered"}])
    card = cards.find("frontalizer", "mirror")
    monkeypatch.setattr(cards, "find", lambda *_: dataclasses.replace(card, family="made_elsewhere"))
    row = cost.cost_row(cost.Made("tiny", "tool.none", [path]))
    assert (row["n_images"], row["device"], row["install"]) == (1, "elsewhere", cost.ELSEWHERE)
    assert {row[key] for key in ("total_seconds", "seconds_median", "threads", "host_mb", "load_seconds")} == {None}


def test_numbers_of_sixteen_bits_are_parameters_and_integers_are_none(tmp_path: Path) -> None:
    def tensor(name: str, kind: int, n: int) -> TensorProto:
        return helper.make_tensor(name, kind, [n], np.ones(n).tolist())

    kinds = {TensorProto.FLOAT16: 2, TensorProto.DOUBLE: 3, TensorProto.BFLOAT16: 5, TensorProto.INT32: 7, TensorProto.INT8: 11}
    graph = helper.make_graph([], "g", [], [], [tensor(f"t{kind}", kind, n) for kind, n in kinds.items()])
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    assert cost.count_parameters(tmp_path / "m.onnx") == 10


def test_what_has_no_time_says_whether_it_was_made_elsewhere_or_failed(made: cost.Made) -> None:
    (row,) = cost.comparison_rows([{**cost.cost_row(made), "seconds_median": None}], [], [])
    failed = cost.comparison_markdown([row], {"packages": 1, "mb": 1.0})
    elsewhere = cost.comparison_markdown([{**row, "install": cost.ELSEWHERE}], {"packages": 1, "mb": 1.0})
    assert "no image came out" in failed and "made elsewhere)" not in failed
    assert "not measured (made elsewhere)" in elsewhere and "no image came out" not in elsewhere


def test_the_size_of_the_environment_is_that_of_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def package(*sizes: int | None) -> SimpleNamespace:
        return SimpleNamespace(files=[SimpleNamespace(size=size) for size in sizes])

    monkeypatch.setattr(
        importlib.metadata, "distributions", lambda: [package(3_000_000, None), package(500_000), SimpleNamespace(files=None)]
    )
    assert cost.environment() == {"packages": 3, "mb": 3.5}

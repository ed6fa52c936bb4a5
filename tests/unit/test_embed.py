"""Backbones: the same embedding whatever the batch, the threads and the graph; cards that do not fit the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from frontalbench.embed.arcface import ArcFaceOnnx
from frontalbench.embed.base import normalise
from frontalbench.embed.graph import fast_graph
from frontalbench.networks import asked

Crops = npt.NDArray[np.uint8]
Weight = Callable[..., Path]


def _toy(path: Path, *, slope: npt.NDArray[np.float32], mixing: bool = False, nhwc: bool = False) -> Path:
    """A network of a PReLU and a mean over rows: embedding = the image's columns of every channel after the PReLU."""
    shape = ["n", 112, 112, 3] if nhwc else ["n", 3, 112, 112]
    nodes = (
        [helper.make_node("Transpose", ["image"], ["planes"], perm=[0, 3, 1, 2])]
        if nhwc
        else [helper.make_node("Identity", ["image"], ["planes"])]
    )
    nodes += [
        helper.make_node("PRelu", ["planes", "slope"], ["bent"]),
        helper.make_node("ReduceMean", ["bent"], ["columns"], axes=[2], keepdims=0),
    ]
    if mixing:  # the mean of the batch leaks into every row
        nodes += [
            helper.make_node("ReduceMean", ["columns"], ["all"], axes=[0], keepdims=1),
            helper.make_node("Add", ["columns", "all"], ["sum"]),
        ]
    nodes.append(helper.make_node("Flatten", ["sum" if mixing else "columns"], ["out"]))
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 336])],
        [numpy_helper.from_array(slope, "slope")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8), path)
    return path


SLOPE = np.array([0.25, -0.5, 1.5], np.float32).reshape(3, 1, 1)


def test_preprocessing_follows_the_card(tmp_path: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (5, 112, 112, 3), np.uint8)
    for nhwc in (False, True):
        path = _toy(tmp_path / f"toy{nhwc}.onnx", slope=SLOPE, nhwc=nhwc)
        for colour in ("rgb", "bgr"):
            layout = "nhwc" if nhwc else "nchw"
            found = ArcFaceOnnx("toy", path, dimension=336, mean=(10, 127.5, 200), std=(2, 128, 50), colour=colour, layout=layout).embed(
                crops
            )
            values = (crops[..., :: -1 if colour == "bgr" else 1].astype(np.float64) - (10, 127.5, 200)) / (2, 128, 50)
            values = np.where(values > 0, values, values * SLOPE.reshape(3))
            np.testing.assert_allclose(found, values.mean(axis=1).transpose(0, 2, 1).reshape(5, -1), rtol=1e-4, atol=1e-3)


def test_a_card_that_asks_for_bfloat16_is_run_by_openvino_to_about_the_same(tmp_path: Path) -> None:
    pytest.importorskip("openvino", reason="openvino is not installed (extra synth)")
    crops = np.random.default_rng(0).integers(0, 256, (9, 112, 112, 3), np.uint8)
    path = _toy(tmp_path / "toy.onnx", slope=SLOPE)
    exact = ArcFaceOnnx("toy", path, dimension=336, threads=2)
    with asked.asking("bfloat16") as answer:
        half = ArcFaceOnnx("toy", path, dimension=336, threads=2)
    assert (half._session.get_providers(), answer.answers) == (["OpenVINO"], 1)
    assert exact.batched and half.batched
    want, got = exact.embed(crops), half.embed(crops)
    assert got.dtype == np.float32 and got.shape == want.shape
    np.testing.assert_allclose(got, want, atol=0.02 * np.abs(want).max())


def test_a_network_that_mixes_the_rows_of_a_batch_runs_crop_by_crop(tmp_path: Path) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    backbone = ArcFaceOnnx("toy", _toy(tmp_path / "toy.onnx", slope=SLOPE, mixing=True), dimension=336)
    assert not backbone.batched
    np.testing.assert_allclose(backbone.embed(crops)[1:], backbone.embed(crops[1:]), atol=1e-5)


def test_only_slopes_per_channel_are_spelt_out(tmp_path: Path) -> None:
    per_channel = onnx.load_from_string(fast_graph(_toy(tmp_path / "a.onnx", slope=SLOPE)))
    onnx.checker.check_model(per_channel)
    assert "PRelu" not in {node.op_type for node in per_channel.graph.node}
    per_column = onnx.load_from_string(fast_graph(_toy(tmp_path / "b.onnx", slope=np.full(112, 0.1, np.float32))))
    assert "PRelu" in {node.op_type for node in per_column.graph.node}


def test_weights_that_an_export_lists_as_inputs_become_constants(tmp_path: Path) -> None:
    model = onnx.load(_toy(tmp_path / "toy.onnx", slope=SLOPE))
    model.graph.input.append(helper.make_tensor_value_info("slope", TensorProto.FLOAT, SLOPE.shape))
    model.ir_version = 3
    onnx.save(model, tmp_path / "old.onnx")
    found = onnx.load_from_string(fast_graph(tmp_path / "old.onnx"))
    onnx.checker.check_model(found)
    assert [given.name for given in found.graph.input] == ["image"]
    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    old = ArcFaceOnnx("old", tmp_path / "old.onnx", dimension=336).embed(crops)
    np.testing.assert_array_equal(old, ArcFaceOnnx("toy", tmp_path / "toy.onnx", dimension=336).embed(crops))


def test_a_crop_of_another_shape_is_cut_or_scaled(tmp_path: Path) -> None:
    crops = np.zeros((1, 112, 112, 3), np.uint8)
    crops[:, :, 8:104] = 255
    graph = onnx.load(_toy(tmp_path / "toy.onnx", slope=SLOPE))
    graph.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 96
    graph.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 288
    onnx.save(graph, tmp_path / "narrow.onnx")
    options = {"dimension": 288, "size": (112, 96), "mean": (0.0,) * 3, "std": (255.0,) * 3}
    middle = ArcFaceOnnx("toy", tmp_path / "narrow.onnx", fit="centre", **options).embed(crops)
    np.testing.assert_allclose(middle, 1, atol=1e-5)
    scaled = ArcFaceOnnx("toy", tmp_path / "narrow.onnx", fit="resize", **options).embed(crops)
    assert scaled.min() == 0
    assert scaled.mean() == pytest.approx(96 / 112, abs=0.01)


def test_normalise_leaves_a_zero_row_zero() -> None:
    units, norms = normalise(np.array([[3, 4], [0, 0]], np.float32))
    np.testing.assert_allclose(units, [[0.6, 0.8], [0, 0]])
    np.testing.assert_allclose(norms, [5, 0])

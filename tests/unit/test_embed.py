"""Backbones: the same embedding whatever the batch, the threads and the graph; cards that do not fit the file."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.detect import choose, load_detector
from frontalbench.embed import load_backbone
from frontalbench.embed.arcface import ArcFaceOnnx
from frontalbench.embed.base import normalise
from frontalbench.embed.graph import fast_graph
from frontalbench.errors import BadConfig, BadInput
from frontalbench.geometry.similarity import align
from frontalbench.runtime import sessions as runtime

Crops = npt.NDArray[np.uint8]
Weight = Callable[..., Path]
BACKBONES = ["w600k_mbf", "edgeface_s", "sface", "arcface_y1"]


@pytest.fixture(scope="module")
def crops(shared: Path, weight: Weight) -> Crops:
    """Seven aligned faces; 0 and 1 are one person seen from the front and in three-quarter view, 2 and 3 another."""
    weight("detector", "scrfd_500m")
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    names = [
        f"frll/neutral_{view}/{person}_{number}" for person in ("001", "002") for view, number in (("front", "03"), ("left_3quarter", "02"))
    ]
    names += [f"lfw/{person}/{person}_0001" for person in ("Tony_Blair", "Serena_Williams", "Hans_Blix")]
    found = []
    for name in names:
        image = images.decode((shared / "testdata" / f"{name}.jpg").read_bytes())
        face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
        assert face is not None
        found.append(align(image, face.points))
    return np.stack(found)


@pytest.mark.weights
@pytest.mark.parametrize("name", BACKBONES)
def test_embeddings_do_not_depend_on_batch_or_threads(name: str, weight: Weight, crops: Crops) -> None:
    weight("backbone", name)
    card = cards.find("backbone", name)
    backbone = load_backbone(card)
    whole, _ = normalise(backbone.embed(crops))
    assert whole.shape == (len(crops), backbone.dimension) == (7, card.params["dimension"])
    single, _ = normalise(np.concatenate([backbone.embed(crop[None]) for crop in crops]))
    turned, _ = normalise(backbone.embed(crops[::-1].copy()))
    threaded, _ = normalise(load_backbone(card, threads=3).embed(crops))
    for other in (single, turned[::-1], threaded):
        assert np.abs(other - whole).max() < 1e-5
    assert backbone.embed(crops[:0]).shape == (0, backbone.dimension)


@pytest.mark.weights
@pytest.mark.parametrize("name", BACKBONES)
def test_one_person_is_nearer_than_another(name: str, weight: Weight, crops: Crops) -> None:
    weight("backbone", name)
    units, _ = normalise(load_backbone(cards.find("backbone", name)).embed(crops))
    similar = units @ units.T
    others = similar[np.triu_indices(7, 1)]
    same = [similar[0, 1], similar[2, 3]]
    assert min(same) > 0.5
    assert sorted(others)[-2:] == sorted(same)


@pytest.mark.weights
def test_the_embedding_is_that_of_insightface(weight: Weight, crops: Crops) -> None:
    from insightface.model_zoo.arcface_onnx import ArcFaceONNX

    reference = ArcFaceONNX(str(weight("backbone", "w600k_mbf")))
    expected = reference.get_feat([np.ascontiguousarray(crop[..., ::-1]) for crop in crops])
    found = load_backbone(cards.find("backbone", "w600k_mbf")).embed(crops)
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


@pytest.mark.weights
def test_the_faster_graph_is_the_same_function(weight: Weight, crops: Crops) -> None:
    path = weight("backbone", "w600k_mbf")
    plain = ArcFaceOnnx("plain", path, dimension=512, fast_prelu=False).embed(crops)
    fast = ArcFaceOnnx("fast", path, dimension=512, fast_prelu=True).embed(crops)
    assert not np.array_equal(plain, fast), "the graph was not changed"
    np.testing.assert_allclose(fast, plain, atol=1e-5 * np.abs(plain).max())


@pytest.mark.weights
@pytest.mark.parametrize("name", BACKBONES)
def test_in_half_precision_an_embedding_is_the_same_to_four_digits(name: str, weight: Weight, crops: Crops, tmp_path: Path) -> None:
    path, card = weight("backbone", name), cards.find("backbone", name)
    half = tmp_path / "half.onnx"
    half.write_bytes(runtime.half_precision(path))
    types = {tensor.data_type for tensor in onnx.load(half).graph.initializer if len(tensor.dims) > 1 and min(tensor.dims) > 1}
    assert TensorProto.FLOAT16 in types, "nothing was converted"
    whole, halved = (
        normalise(ArcFaceOnnx(name, file, fast_prelu=False, **_own_params(card)).embed(crops))[0] for file in (path, half)
    )  # the CPU runs such a file with casts, so it shows what rounding does and nothing of a GPU's speed
    assert not np.array_equal(whole, halved)
    assert (whole * halved).sum(axis=1).min() >= 0.9999
    assert np.abs(whole @ whole.T - halved @ halved.T).max() < 2e-3


def _own_params(card: cards.ModelCard) -> dict[str, Any]:
    """What a card says of the crop, as arguments."""
    given = dict(card.params)
    size = (given.pop("height", 112), given.pop("width", 112))
    given.pop("fast_prelu", None)
    numbers = {
        key: (float(given.pop(key)),) * 3 if np.isscalar(given[key]) else tuple(given.pop(key)) for key in ("mean", "std") if key in given
    }
    return {**given, **numbers, "size": size}


@pytest.mark.weights
def test_half_precision_is_for_gpus_and_a_cpu_computes_as_ever(weight: Weight, crops: Crops, monkeypatch: pytest.MonkeyPatch) -> None:
    path, card = weight("backbone", "w600k_mbf"), cards.find("backbone", "w600k_mbf")
    asked = dataclasses.replace(card, params={**card.params, "precision": "float16"})
    assert asked.digest() != card.digest()
    np.testing.assert_array_equal(load_backbone(asked).embed(crops), load_backbone(card).embed(crops))
    assert runtime.real_precision("float16", "cpu") == "float32"
    # Where ONNX Runtime says that it has CUDA the graph is the halved one; here the session then falls back to the CPU, loudly.
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    assert runtime.real_precision("float16", "auto") == "float16"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        session = runtime.onnx_session(path, device="cuda", precision="float16")
    assert runtime.DeviceFallback in {warning.category for warning in said}
    blob = np.random.default_rng(0).normal(size=(1, 3, 112, 112)).astype(np.float32)
    feeds = {session.get_inputs()[0].name: blob}
    plain, half = runtime.run(runtime.onnx_session(path), None, feeds)[0], runtime.run(session, None, feeds)[0]
    assert plain.dtype == half.dtype == np.float32
    assert 0 < np.abs(plain - half).max() < 0.01 * np.abs(plain).max()


@pytest.mark.weights
@pytest.mark.parametrize(
    ("kind", "name", "shape"), [("backbone", "w600k_mbf", (3, 3, 112, 112)), ("detector", "scrfd_500m", (1, 3, 256, 320))]
)
def test_bound_inputs_and_outputs_give_the_same_bytes(weight: Weight, kind: str, name: str, shape: tuple[int, ...]) -> None:
    session = runtime.onnx_session(weight(kind, name))
    feeds = {session.get_inputs()[0].name: np.random.default_rng(0).normal(size=shape).astype(np.float32)}
    names = [output.name for output in session.get_outputs()][::-1]
    plain = runtime.run(session, names, feeds)
    for bound in (runtime.run_bound(session, names, feeds), runtime.run_bound(session, None, feeds)[::-1]):
        assert [(a.dtype, a.shape, a.tobytes()) for a in bound] == [(a.dtype, a.shape, a.tobytes()) for a in plain]
    with pytest.raises(Exception, match=r"(?i)invalid|dimension|shape"):
        runtime.run_bound(session, None, {name: value[:, :2] for name, value in feeds.items()}, runtime.quiet_run())


@pytest.mark.weights
def test_a_file_that_declares_a_free_batch_but_fails_on_one_runs_crop_by_crop(weight: Weight, capfd: pytest.CaptureFixture[str]) -> None:
    backbone = ArcFaceOnnx("edgeface_s", weight("backbone", "edgeface_s"), dimension=512)
    assert onnxruntime.InferenceSession(weight("backbone", "edgeface_s")).get_inputs()[0].shape[0] != 1
    assert not backbone.batched
    assert ArcFaceOnnx("w600k_mbf", weight("backbone", "w600k_mbf"), dimension=512).batched
    assert "Reshape" not in capfd.readouterr().err


@pytest.mark.weights
def test_a_card_that_does_not_fit_its_file_is_refused_in_one_line(weight: Weight) -> None:
    weight("backbone", "w600k_mbf")
    card = cards.find("backbone", "w600k_mbf")
    for params, message in (
        ({"dimension": 128}, "dimension 128, the file gives 512"),
        ({"dimension": 512, "width": 96}, "card says input"),
    ):
        with pytest.raises(BadInput, match=message) as caught:
            load_backbone(dataclasses.replace(card, params=params))
        assert "\n" not in str(caught.value)
    with pytest.raises(BadConfig, match=r"params\.dimension is missing"):
        load_backbone(dataclasses.replace(card, params={}))
    with pytest.raises(BadInput, match="w600k_mbf: crops should be"):
        load_backbone(card).embed(np.zeros((1, 96, 96, 3), np.uint8))
    with pytest.raises(BadInput, match="scrfd"):
        ArcFaceOnnx("x", weight("detector", "scrfd_500m"), dimension=512)


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

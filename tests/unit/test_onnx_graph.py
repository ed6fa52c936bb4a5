"""ONNX files computed by PyTorch: as ONNX Runtime has them, nothing overwritten that is read again, one line for what is not known."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from frontalbench.catalogue import cards, families
from frontalbench.embed.arcface import ArcFaceOnnx, read_params
from frontalbench.errors import BadConfig, BadInput
from frontalbench.networks.ir_resnet import Block
from frontalbench.networks.minimal import MinimalConv2d
from frontalbench.networks.onnx_graph import OPERATORS, WEIGHTED, OnnxNetwork, Unknown
from frontalbench.plan import fingerprint
from frontalbench.runtime import engines
from frontalbench.runtime.sessions import DeviceFallback
from frontalbench.runtime.torch_session import TorchSession
from frontalbench.weights import store

Array = npt.NDArray[Any]
RANDOM = np.random.default_rng(7)


def normal(*shape: int) -> Array:
    return RANDOM.normal(size=shape).astype(np.float32)


def whole(*values: int) -> Array:
    return np.array(values, np.int64)


def node(kind: str, inputs: str, output: str, **options: Any) -> Any:
    """``inputs``: names with spaces between, ``-`` for one left out."""
    return helper.make_node(kind, ["" if name == "-" else name for name in inputs.split()], output.split(), **options)


def model(
    nodes: Sequence[Any], constants: dict[str, Array], outputs: str = "y", shape: Sequence[Any] = ("n", 4, "h", "w"), opset: int = 11
) -> bytes:
    graph = helper.make_graph(
        list(nodes),
        "toy",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs.split()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    data: bytes = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8).SerializeToString()
    return data


def agree(data: bytes, x: Array, atol: float = 2e-5) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    wanted = onnxruntime.InferenceSession(data, options).run(None, {"x": x})
    session = TorchSession(data)
    for _ in range(2):  # the first call lays the convolutions out
        found = session.run(None, {"x": x.copy()})
        assert [value.shape for value in found] == [value.shape for value in wanted]
        for got, want in zip(found, wanted, strict=True):
            assert got.dtype == want.dtype
            np.testing.assert_allclose(got, want, atol=atol * max(1.0, float(np.abs(want).max())))
    return wanted


NEAREST = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
MEAN = [node("GlobalAveragePool", "x", "p"), node("Flatten", "p", "f")]
NONE = np.zeros(0, np.float32)
NORM = {"scale": normal(4), "shift": normal(4), "mean": normal(4), "variance": np.abs(normal(4)) + 0.1}
ALONE: dict[str, tuple[Sequence[Any], dict[str, Array]]] = {
    "Add": ([node("Add", "x c", "y")], {"c": normal(4, 1, 1)}),
    "AveragePool": ([node("AveragePool", "x", "y", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)], {}),
    "BatchNormalization": ([node("BatchNormalization", "x scale shift mean variance", "y", epsilon=1e-3)], NORM),
    "Cast": ([node("Cast", "x", "i", to=6), node("Cast", "i", "y", to=1)], {}),
    "Concat": ([node("Concat", "x x", "y", axis=1)], {}),
    "Conv": ([node("Conv", "x w b", "y", pads=[1, 1, 1, 1])], {"w": normal(5, 4, 3, 3), "b": normal(5)}),
    "Dropout": ([node("Dropout", "x", "y", ratio=0.4)], {}),
    "Flatten": ([node("Flatten", "x", "y", axis=2)], {}),
    "Gather": ([node("Gather", "x i", "y", axis=1)], {"i": whole(2, -1)}),
    "Gemm": ([*MEAN, node("Gemm", "f w b", "y", transB=1)], {"w": normal(6, 4), "b": normal(6)}),
    "GlobalAveragePool": ([node("GlobalAveragePool", "x", "y")], {}),
    "Identity": ([node("Identity", "x", "y")], {}),
    "LeakyRelu": ([node("LeakyRelu", "x", "y", alpha=0.2)], {}),
    "MaxPool": ([node("MaxPool", "x", "y", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 0, 1], ceil_mode=1)], {}),
    "Mul": ([node("Mul", "x c", "y")], {"c": np.float32(1.7)}),
    "PRelu": ([node("PRelu", "x c", "y")], {"c": normal(4, 1, 1)}),
    "Relu": ([node("Relu", "x", "y")], {}),
    "Reshape": ([node("Reshape", "x s", "y")], {"s": whole(0, -1, 2)}),
    "Resize": ([node("Resize", "x e c", "y", **NEAREST)], {"e": NONE, "c": np.array([1, 1, 2, 3], np.float32)}),
    "Shape": ([node("Shape", "x", "s"), node("Cast", "s", "y", to=1)], {}),
    "Sigmoid": ([node("Sigmoid", "x", "y")], {}),
    "Slice": ([node("Slice", "x a e k p", "y")], {"a": whole(1, 0), "e": whole(-1, 9999), "k": whole(2, 3), "p": whole(1, 2)}),
    "Squeeze": ([node("GlobalAveragePool", "x", "p"), node("Squeeze", "p", "y", axes=[-1, 2])], {}),
    "Sub": ([node("Sub", "x c", "y")], {"c": normal(1)}),
    "Transpose": ([node("Transpose", "x", "y", perm=[2, 3, 0, 1])], {}),
    "Unsqueeze": ([node("Unsqueeze", "x", "y", axes=[0, -1])], {}),
}  # fmt: skip


def test_every_known_operator_is_tried_below() -> None:
    assert set(ALONE) == {*OPERATORS, *WEIGHTED}


@pytest.mark.parametrize("kind", sorted(ALONE))
@pytest.mark.parametrize("side", [(8, 6), (7, 5)])
def test_an_operator_gives_what_onnx_runtime_gives(kind: str, side: tuple[int, int]) -> None:
    nodes, constants = ALONE[kind]
    if kind == "Reshape" and side[0] * side[1] % 2:
        side = (7, 4)
    agree(model(nodes, constants), normal(2, 4, *side))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pads": [1, 1, 1, 1], "strides": [2, 2]},
        {"pads": [0, 1, 2, 1]},
        {"pads": [1, 1, 1, 1], "group": 4},
        {"pads": [2, 2, 2, 2], "dilations": [2, 2]},
        {"pads": [1, 1, 1, 1], "strides": [1, 2]},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "after", ["", "Relu", "PRelu", "LeakyRelu", "BatchNormalization PRelu", "Add", "Add Relu", "Add PRelu", "Add LeakyRelu"]
)
def test_what_follows_a_convolution_goes_into_it_and_changes_nothing(options: dict[str, Any], after: str) -> None:
    constants = {"w": normal(8, 4 // options.get("group", 1), 3, 3), "b": normal(8), "p": normal(8, 1, 1), "o": normal(8, 4, 1, 1)}
    constants |= {name: np.concatenate([value, value[::-1]]) for name, value in NORM.items()}
    more = {"Relu": "", "PRelu": " p", "LeakyRelu": "", "Add": " other", "BatchNormalization": " scale shift mean variance"}
    nodes, last = [node("Conv", "x w b", "c", **options)], "c"
    # What is added is as large as the convolution's output: another convolution of the same kind, computed later.
    nodes.append(node("Conv", "x w -" if "Add" in after else "x o", "other", **(options if "Add" in after else {})))
    for kind in after.split():
        nodes.append(node(kind, last + more[kind], last + "+"))
        last += "+"
    agree(model(nodes, constants, outputs=f"{last} other"), normal(2, 4, 9, 12))


@pytest.mark.parametrize("channels", [4, 160])
def test_a_batch_norm_before_a_convolution_is_exact_at_the_border(channels: int) -> None:
    """Folded into the convolution its shift would be taken for what lies outside of the map, too."""
    constants = {"w": normal(channels, channels, 3, 3) / channels, "scale": normal(channels), "shift": 10 + normal(channels)}
    constants |= {"mean": normal(channels), "variance": np.abs(normal(channels)) + 0.5}
    nodes = [node("BatchNormalization", "x scale shift mean variance", "n"), node("Conv", "n w", "y", pads=[1, 1, 1, 1])]
    wanted = agree(model(nodes, constants, shape=("n", channels, "h", "w")), normal(2, channels, 40, 34))[0]
    assert abs(wanted[:, :, 0] - wanted[:, :, 20]).mean() > 0.5, "the border should differ"


def test_what_is_read_again_is_not_overwritten() -> None:
    slopes = {"p": normal(4, 1, 1), "w": normal(4, 4, 3, 3), "v": normal(4, 4, 1, 1)}
    pads = {"pads": [1, 1, 1, 1]}
    nodes = [
        node("Conv", "x w", "a", **pads),
        node("PRelu", "a p", "b"),
        node("Conv", "b w", "c", **pads),
        node("Add", "a c", "d"),  # the first convolution's output, before its activation
        node("Conv", "d v", "e"),
        node("Conv", "b v", "f"),
        node("Add", "e f", "g"),  # two convolutions: one of them takes the sum in
        node("Relu", "g", "h"),
        node("Add", "h b", "i"),
        node("Conv", "i w", "j", **pads),
        node("Add", "j j", "y"),
    ]
    agree(model(nodes, slopes, outputs="y a e h"), normal(2, 4, 7, 9), atol=5e-5)


def test_a_sum_that_broadcasts_is_refused_and_not_computed_wrongly() -> None:
    constants = {"w": normal(4, 4, 3, 3), "v": normal(4, 4, 1, 1)}
    nodes = [node("GlobalAveragePool", "x", "p"), node("Conv", "x w", "a"), node("Add", "p a", "s"), node("Relu", "s", "y")]
    with pytest.raises(Unknown, match=r"^toy.onnx: a sum of .*1, 1.* and .*7, 6.* is not known"):
        TorchSession(model(nodes, constants), name="toy.onnx").run(None, {"x": normal(2, 4, 9, 8)})


def test_one_slope_for_all_channels_and_weights_the_other_way_round_are_read_as_they_are_meant() -> None:
    constants = {"w": normal(6, 4, 3, 3), "p": normal(1, 1, 1), "g": normal(6 * 35, 5), "b": normal(1, 5)}
    nodes = [node("Conv", "x w", "c"), node("PRelu", "c p", "d"), node("Flatten", "d", "f"), node("Gemm", "f g b", "y")]
    agree(model(nodes, constants), normal(2, 4, 9, 7), atol=5e-5)
    with pytest.raises(Unknown, match="Gemm with 1 numbers to add is not known"):
        TorchSession(model(nodes, {**constants, "b": normal(1)}))


def test_a_linear_layer_takes_in_the_batch_norm_behind_it() -> None:
    constants = {"w": normal(60, 4), "b": normal(4), **NORM}
    nodes = [node("Flatten", "x", "f"), node("Gemm", "f w b", "g"), node("BatchNormalization", "g scale shift mean variance", "y")]
    agree(model(nodes, constants, shape=("n", 4, 5, 3)), normal(3, 4, 5, 3))


def test_shapes_computed_on_the_way_follow_the_image() -> None:
    """As the exports of SCRFD have it: the size of the finer map is where the coarser one is scaled to."""
    constants = {
        "w": normal(4, 4, 3, 3),
        "i": whole(2),
        "k": whole(3),
        "all": whole(0),
        "two": whole(2),
        "end": whole(4),
        "rest": whole(-1),
    }
    constants["e"] = NONE
    nodes = [
        node("Conv", "x w", "c", strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Shape", "x", "s"),
        node("Gather", "s i", "h"),
        node("Gather", "s k", "v"),
        node("Concat", "h v", "hv", axis=0),
        node("Shape", "c", "t"),
        node("Slice", "t all two", "head"),
        node("Concat", "head hv", "size", axis=0),
        node("Resize", "c e e size", "r", **NEAREST),
        node("Add", "x r", "sum"),
        node("Transpose", "sum", "back", perm=[0, 2, 3, 1]),
        node("Concat", "rest end", "flat", axis=0),
        node("Reshape", "back flat", "y"),
    ]
    data = model(nodes, constants)
    for side in ((8, 6), (12, 20)):
        agree(data, normal(1, 4, *side))


def test_constants_may_stand_between_the_operators_and_be_listed_as_inputs() -> None:
    nodes = [
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(normal(4, 1, 1))),
        node("Mul", "x c", "m"),
        node("Conv", "m w", "y"),
    ]
    found = onnx.load_from_string(model(nodes, {"w": normal(4, 4, 1, 1)}))
    found.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, (4, 4, 1, 1)))
    data = found.SerializeToString()
    agree(data, normal(2, 4, 5, 5))
    assert [given.name for given in OnnxNetwork(data, "toy").inputs] == ["x"]


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([node("Erf", "x", "y")], "operator Erf is not known"),
        ([node("Relu", "x", "y", domain="com.microsoft")], "operator of com.microsoft is not known"),
        ([node("Resize", "x s s", "y", mode="linear")], "Resize with mode 'linear' is not known"),
        ([node("Resize", "x s s", "y", mode="nearest")], "Resize with coordinate_transformation_mode 'half_pixel' is not known"),
        ([node("Conv", "x s", "y", auto_pad="SAME_UPPER")], "Conv with auto_pad 'SAME_UPPER' is not known"),
        ([node("Relu", "x", "w"), node("Conv", "x w", "y")], "Conv with weights that are computed"),
        ([node("MaxPool", "x", "y i", kernel_shape=[2, 2])], "MaxPool with 2 outputs is not known"),
        ([helper.make_node("Constant", [], ["y"], value_floats=[1.0])], "a Constant given by value_floats is not known"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_what_is_not_known_is_named_in_one_line_with_what_to_do(nodes: Sequence[Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(model(nodes, {"s": np.ones(4, np.float32)}))
    with pytest.raises(Unknown) as caught:
        engines.session(path, "torch")
    line = str(caught.value)
    assert said in line
    assert str(path) in line
    assert "leave engine_cpu out of the card" in line
    assert "\n" not in line


def test_a_file_that_is_no_model_or_keeps_its_weights_elsewhere_is_refused_in_one_line(tmp_path: Path) -> None:
    odd = tmp_path / "odd.onnx"
    odd.write_bytes(b"not a model")
    with pytest.raises(BadInput, match="not an ONNX model; fetch the file again"):
        engines.session(odd, "torch")
    with pytest.raises(BadInput, match="not found"):
        engines.session(tmp_path / "none.onnx", "torch")
    found = onnx.load_from_string(model([node("Conv", "x w", "y")], {"w": normal(400, 4, 3, 3)}))
    onnx.save(found, tmp_path / "split.onnx", save_as_external_data=True, location="beside.bin")
    with pytest.raises(BadInput, match="keeps its weights in other files"):
        engines.session(tmp_path / "split.onnx", "torch")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda found: found.graph.node[0].input.__setitem__(0, "nowhere"), "Conv reads 'nowhere', which nothing before it gives"),
        (lambda found: found.graph.output[0].__setattr__("name", "nowhere"), "nothing gives its output 'nowhere'"),
        (lambda found: found.graph.initializer[0].dims.__setitem__(0, 5), "a damaged ONNX model"),
        (lambda found: found.opset_import[0].__setattr__("version", 6), "version 6 of the operators is not known"),
    ],
)
def test_a_damaged_or_old_file_is_refused_in_one_line(change: Any, said: str) -> None:
    found = onnx.load_from_string(model([node("Conv", "x w", "y")], {"w": normal(4, 4, 3, 3)}))
    change(found)
    with pytest.raises(BadInput) as caught:
        TorchSession(found.SerializeToString())
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def recogniser(path: Path, batch: int | str = "n") -> Path:
    """Crops -> 16 numbers: two convolutions with PReLU and a sum, as ArcFace's networks are made of."""
    constants = {"w": normal(8, 3, 3, 3) * 0.2, "b": normal(8), "p": normal(8, 1, 1), "v": normal(8, 8, 3, 3) * 0.1, "l": normal(16, 8)}
    nodes = [
        node("Conv", "x w b", "c", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("PRelu", "c p", "d"),
        node("Conv", "d v", "e", pads=[1, 1, 1, 1]),
        node("Add", "e d", "f"),
        node("GlobalAveragePool", "f", "g"),
        node("Flatten", "g", "h"),
        node("Gemm", "h l", "y", transB=1),
    ]
    path.write_bytes(model(nodes, constants, shape=(batch, 3, 112, 112)))
    return path


CROPS = np.random.default_rng(0).integers(0, 256, (19, 112, 112, 3), np.uint8)


def test_a_recogniser_gives_the_embeddings_of_onnx_runtime_whatever_the_batch_and_the_threads(tmp_path: Path) -> None:
    path = recogniser(tmp_path / "toy.onnx")
    wanted = ArcFaceOnnx("toy", path, dimension=16).embed(CROPS)
    for threads in (1, 3):
        backbone = ArcFaceOnnx("toy", path, dimension=16, engine="torch", threads=threads)
        assert backbone.batched
        np.testing.assert_allclose(backbone.embed(CROPS), wanted, atol=1e-5 * np.abs(wanted).max())
    fixed = ArcFaceOnnx("toy", recogniser(tmp_path / "fixed.onnx", batch=1), dimension=16, engine="torch")
    assert not fixed.batched
    assert fixed.embed(CROPS[:3]).shape == (3, 16)


def test_the_first_calls_of_several_threads_give_the_same(tmp_path: Path) -> None:
    session = engines.session(recogniser(tmp_path / "toy.onnx"), "torch")
    x = normal(2, 3, 112, 112)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: session.run(["y"], {"x": x})[0], range(8)))
    for other in found:
        np.testing.assert_array_equal(other, found[0])


@pytest.mark.parametrize("insightface", [True, False])
def test_a_residual_network_as_its_exporter_writes_it_agrees_with_onnx_runtime(insightface: bool, tmp_path: Path) -> None:
    """A batch norm before every block, PReLU between its convolutions, shortcuts with and without a convolution of their own."""
    torch.manual_seed(0)
    by_conv = insightface
    blocks = [Block(8, 32, 2, by_conv=by_conv), Block(32, 32, 1), Block(32, 32, 2, by_conv=by_conv), Block(32, 32, 1, normed=insightface)]
    stem = (torch.nn.Conv2d(3, 8, 3, 2, 1), torch.nn.BatchNorm2d(8), torch.nn.PReLU(8))
    ends = (torch.nn.BatchNorm2d(32), torch.nn.Flatten(), torch.nn.Linear(32 * 14 * 14, 16), torch.nn.BatchNorm1d(16))
    network = torch.nn.Sequential(*stem, *blocks, *ends)
    for name, parameter in network.named_parameters():
        if name.endswith(".bias"):
            torch.nn.init.normal_(parameter)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is the older exporter
        network(torch.randn(9, 3, 112, 112)), network.eval()
        x = (torch.zeros(2, 3, 112, 112),)
        torch.onnx.export(network, x, str(tmp_path / "ir.onnx"), dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "n"}})
    kinds = [one.op_type for one in onnx.load(tmp_path / "ir.onnx").graph.node]
    assert kinds.count("BatchNormalization") >= 5 and ("Slice" in kinds) is not insightface
    wanted, found = (ArcFaceOnnx("ir", tmp_path / "ir.onnx", dimension=16, engine=engine).embed(CROPS) for engine in engines.NAMES)
    units = [vectors / np.linalg.norm(vectors, axis=1, keepdims=True) for vectors in (wanted, found)]
    assert np.abs(units[0] - units[1]).max() < 1e-5


def card(path: Path, **params: Any) -> cards.ModelCard:
    weights = {"model": {"file": path.name, "sources": [{"file": str(path)}]}}
    shipped = cards.find("backbone", "w600k_r50")
    return dataclasses.replace(shipped, params={"dimension": 16, **params}, data={**shipped.data, "weights": weights})


def test_a_card_names_its_engine_and_no_other_steps_in(tmp_path: Path) -> None:
    path = recogniser(tmp_path / "toy.onnx")
    assert families.modules(card(path)) == ["frontalbench.embed.arcface"]
    asking = card(path, engine_cpu="torch")
    assert families.modules(asking) == ["frontalbench.embed.arcface", "frontalbench.runtime.torch_session"]
    assert asking.digest() != card(path).digest()
    with pytest.raises(BadConfig, match="engine_cpu should be one of onnxruntime, torch, is 'openvino'"):
        read_params(card(path, engine_cpu="openvino"))


def test_in_half_precision_the_engine_gives_nearly_the_same_and_filters_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True}, raising=False)
    path = recogniser(tmp_path / "toy.onnx")
    monkeypatch.setattr(store, "fetch", lambda *_, **__: path)
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    exact = families.load(card(path, engine_cpu="torch")).embed(crops)
    half = families.load(card(path, engine_cpu="torch", precision_cpu="bfloat16"))
    made = [step.run.made for step in half._session._network._steps if hasattr(step.run, "made")]
    assert made and not any(isinstance(one, MinimalConv2d) for one in made)
    found = half.embed(crops)
    cosine = (found * exact).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(exact, axis=1)
    assert found.dtype == np.float32 and not np.array_equal(found, exact) and cosine.min() > 0.999


def test_where_a_gpu_is_asked_for_and_missing_the_engine_runs_and_a_line_says_so(tmp_path: Path) -> None:
    with pytest.warns(DeviceFallback, match="running on the CPU by torch"):
        session = engines.session(recogniser(tmp_path / "toy.onnx"), "torch", device="cuda")
    assert session.get_providers() == ["PyTorch"]


def test_the_engine_s_code_counts_for_cards_that_ask_for_it_and_for_no_other() -> None:
    without = fingerprint.closure(["frontalbench.embed.arcface", "frontalbench.detect.scrfd"])
    assert not {name for name in without if name.endswith((".torch_session", ".onnx_graph", ".packed", ".layers"))}
    assert "frontalbench.networks.onnx_graph" in fingerprint.closure(["frontalbench.runtime.torch_session"])

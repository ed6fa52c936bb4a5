"""The network with a gradient reads ONNX files as the other reader does: as data, and what it cannot follow is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper  # noqa: E402

from frontalbench.errors import BadInput  # noqa: E402
from frontalbench.networks.recognizer import Recognizer  # noqa: E402


def written(path: Path, kind: str, *, elsewhere: bool = False) -> Path:
    weight = helper.make_tensor("weight", TensorProto.FLOAT, [4, 3, 1, 1], [0.1 * number for number in range(12)])
    if elsewhere:
        weight.ClearField("float_data")
        weight.data_location = TensorProto.EXTERNAL
        entry = weight.external_data.add()
        entry.key, entry.value = "location", "../secret"
    nodes = [
        helper.make_node("Conv", ["image", "weight"], ["map"]),
        helper.make_node(kind, ["map", "map"] if kind == "Add" else ["map"], ["other"]),
        helper.make_node("Flatten", ["other"], ["embedding"]),
    ]
    given, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("image", "embedding"))
    onnx.save(helper.make_model(helper.make_graph(nodes, "net", [given], [made], [weight])), str(path))
    return path


def test_an_embedding_has_a_gradient_and_the_sums_on_the_way_are_given_out(tmp_path: Path) -> None:
    network = Recognizer(written(tmp_path / "net.onnx", "Add"), mean=127.5, std=127.5)
    crops = torch.rand(2, 3, 4, 4, requires_grad=True)
    embeddings, maps = network(crops)
    weight = torch.tensor([0.1 * number for number in range(12)]).view(4, 3)
    want = 2 * torch.einsum("oc,nchw->nohw", weight, (crops - 127.5) / 127.5)
    torch.testing.assert_close(maps, [want])
    torch.testing.assert_close(embeddings, torch.nn.functional.normalize(want.flatten(1)))
    embeddings.sum().backward()
    assert crops.grad is not None and crops.grad.abs().sum() > 0


@pytest.mark.parametrize("kind", ["Sigmoid", "Softmax", "Erf"], ids=["another reader knows it", "few know it", "nobody knows it"])
def test_an_operation_without_a_gradient_here_is_refused_with_those_that_have_one(kind: str, tmp_path: Path) -> None:
    path = written(tmp_path / "net.onnx", kind)
    with pytest.raises(BadInput, match=r"net\.onnx: .*operations .*gradient here; known: Conv, PRelu") as caught:
        Recognizer(path, mean=127.5, std=127.5)
    assert "engine_cpu" not in str(caught.value) and "\n" not in str(caught.value)


def test_weights_in_another_file_are_not_followed(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="keeps its weights in other files"):
        Recognizer(written(tmp_path / "net.onnx", "Add", elsewhere=True), mean=127.5, std=127.5)


def test_what_is_no_network_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"<html>404")
    with pytest.raises(BadInput, match=r"net\.onnx: not an ONNX model; fetch the file again$"):
        Recognizer(path, mean=127.5, std=127.5)

"""The one reader of checkpoint files: the right file loads whatever its form, anything else is one line that names it."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from frontalbench.errors import BadInput, NotEnoughMemory
from frontalbench.networks import checkpoints


class Small(nn.Module):
    """Float, integers and a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)
        self.register_buffer("order", torch.arange(3))


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return Small().state_dict()


def same(found: dict[str, torch.Tensor], state: dict[str, torch.Tensor]) -> bool:
    return found.keys() == state.keys() and all(torch.equal(found[key], state[key]) for key in state)


@pytest.mark.parametrize("form", ["plain", "state_dict", "inner", "flat", "module", "legacy", "safetensors", "flat safetensors"])
def test_every_form_of_file_gives_the_same_state_dict(form: str, tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path, inner = tmp_path / "weights", None  # no suffix: the bytes say what it is
    if form == "state_dict":
        torch.save({"epoch": 3, "state_dict": state}, path)
    elif form == "inner":
        torch.save({"generator": state, "optimizer": {"lr": 0.1}}, path)
        inner = "generator"
    elif form == "flat":
        torch.save({**{f"generator.{key}": value for key, value in state.items()}, "epoch": 3}, path)
        inner = "generator"
    elif form == "module":
        torch.save({f"module.{key}": value for key, value in state.items()}, path)
    elif form == "legacy":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    elif form == "safetensors":
        save_file(state, path)
    elif form == "flat safetensors":
        save_file({f"generator.{key}": value for key, value in state.items()}, path)
        inner = "generator"
    else:
        torch.save(state, path)
    assert same(checkpoints.load(path, inner=inner), state)


def test_a_misleading_suffix_misleads_nobody(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save(state, tmp_path / "torch.safetensors")
    save_file(state, tmp_path / "safe.pth")
    assert same(checkpoints.load(tmp_path / "torch.safetensors"), state)
    assert same(checkpoints.load(tmp_path / "safe.pth"), state)


def test_another_prefix_is_taken_off_where_it_stands(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save({f"net.{key}" if key.startswith("conv") else key: value for key, value in state.items()}, tmp_path / "weights.pth")
    assert same(checkpoints.load(tmp_path / "weights.pth", strip="net."), state)


def refusal(path: Path, **options: Any) -> str:
    """The one line with which the file is refused."""
    with pytest.raises(BadInput) as caught:
        checkpoints.load(path, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith(f"{path}: ")
    return text


@pytest.mark.parametrize(
    ("content", "inner", "words"),
    [
        ([1, 2, 3], None, "expected a state dict (names to tensors), found a list"),
        ({}, None, "found nothing in it"),
        ({"a": {"x": torch.zeros(1)}, "b": {}}, None, "'a' is a dict; expected a state dict under one of: a, b"),
        ({"x": torch.zeros(1), "epoch": 3}, None, "'epoch' is a int; expected tensors only"),
        ({"params": {}, "x": 1}, "params_ema", "expected a mapping with 'params_ema', found params, x"),
        (torch.zeros(3), "generator", "expected a mapping with 'generator', found a Tensor"),
    ],
)
def test_a_file_of_another_form_is_told_what_is_in_it(content: Any, inner: str | None, words: str, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    assert words in refusal(tmp_path / "other.pth", inner=inner)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (torch.eye(3).to_sparse(), "sparse_coo"),
        (torch.eye(3).to_sparse_csr(), "sparse_csr"),
        (torch.quantize_per_tensor(torch.eye(3), 0.1, 0, torch.qint8), "quantized"),
        (torch.eye(3, device="meta"), "meta"),
    ],
)
def test_a_tensor_that_is_not_laid_out_number_by_number_is_refused(value: torch.Tensor, kind: str, tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1), "b": value}}, tmp_path / "other.pth")
    assert re.search(rf"'b' is a .*{kind}.* tensor; expected plain numbers", refusal(tmp_path / "other.pth"))
    torch.save({"state_dict": {"a": torch.zeros(1)}, "b": value}, tmp_path / "other.pth")
    assert "'b' is a" in refusal(tmp_path / "other.pth", beside=("b",))


def test_a_tensor_beside_the_state_dict_comes_with_it(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save({"state_dict": state, "average": torch.ones(2), "opts": {"rate": 0.1}}, tmp_path / "beside.pth")
    found = checkpoints.load(tmp_path / "beside.pth", beside=("average",))
    assert same(found, {**state, "average": torch.ones(2)})
    assert same(checkpoints.load(tmp_path / "beside.pth"), state)
    for name in ("opts", "other"):
        with pytest.raises(BadInput, match=f"expected a tensor '{name}' beside the state dict, found state_dict, average, opts"):
            checkpoints.load(tmp_path / "beside.pth", beside=(name,))


@pytest.mark.parametrize("form", ["torch", "safetensors"])
@pytest.mark.parametrize("kept", [0, 5, 0.5, 0.99])
def test_a_cut_off_file_is_to_be_fetched_again(form: str, kept: float, tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "weights"
    (torch.save if form == "torch" else save_file)(state, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept if kept >= 1 else kept * len(data))])
    assert "fetch" in refusal(path)


def test_a_missing_file_and_a_web_page_are_named(tmp_path: Path) -> None:
    assert "not found; fetch the model's weights first" in refusal(tmp_path / "none.pth")
    (tmp_path / "page.pth").write_text("<html>404</html>")
    assert "fetch the file again" in refusal(tmp_path / "page.pth")


def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({**state, "extra": Harm()}, tmp_path / "harm.pth")
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Harm()))
    assert "refused, it holds code or objects besides tensors, and was not opened" in refusal(tmp_path / "harm.pth")
    assert "refused, it is damaged or holds other things than tensors" in refusal(tmp_path / "plain.pth")
    assert not (tmp_path / "ran").exists()


def test_memory_that_runs_out_is_not_the_file_s_fault(
    tmp_path: Path, state: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(state, tmp_path / "weights.pth")
    monkeypatch.setattr(torch, "load", lambda *_, **__: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(NotEnoughMemory):
        checkpoints.load(tmp_path / "weights.pth")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv.bias": None}, "1 of its keys missing (first: conv.bias)"),
        ({"more": torch.zeros(1)}, "1 of its keys unexpected (first: more)"),
        ({"conv.bias": None, "more": torch.zeros(1)}, "1 of its keys missing (first: conv.bias), 1 of its keys unexpected (first: more)"),
        ({"conv.bias": torch.zeros(3)}, "conv.bias should be (2,), is (3,)"),
        ({"conv.bias": torch.zeros(2, dtype=torch.int64)}, "conv.bias holds torch.int64, expected floats"),
        ({"order": torch.zeros(3)}, "order holds torch.float32, expected integers"),
        ({"conv.bias": torch.tensor([1.0, float("nan")])}, "conv.bias holds values that are not finite"),
    ],
)
def test_a_network_takes_its_own_weights_only(change: dict[str, Any], words: str, state: dict[str, torch.Tensor]) -> None:
    network = Small()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    other = {key: value for key, value in {**state, **change}.items() if value is not None}
    with pytest.raises(BadInput) as caught:
        checkpoints.fill(network, other, "weights.pth")
    assert str(caught.value).startswith("weights.pth: not the weights of this network: ")
    assert words in str(caught.value)
    assert same(network.state_dict(), before), "and is as it was"


def test_weights_of_another_number_type_and_without_counters_are_taken(state: dict[str, torch.Tensor]) -> None:
    network = checkpoints.unfilled(Small)
    half = {
        key: value.half() if value.is_floating_point() else value for key, value in state.items() if not key.endswith("num_batches_tracked")
    }
    checkpoints.fill(network, half, "weights.pth")
    assert network.conv.weight.dtype == torch.float32
    assert torch.allclose(network.conv.weight, state["conv.weight"], atol=1e-3)
    assert torch.equal(network.get_buffer("order"), torch.arange(3))


def test_an_unfilled_network_draws_nothing_and_has_its_constants() -> None:
    class Grid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.line, self.norm = nn.Conv2d(1, 2, 3), nn.Linear(2, 2), nn.BatchNorm2d(2)
            nn.init.normal_(tensor=self.line.weight)
            nn.init.kaiming_normal_(self.conv.weight)
            self.register_buffer("grid", torch.arange(4.0), persistent=False)

    before = torch.get_rng_state()
    network = checkpoints.unfilled(Grid)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(network.get_buffer("grid"), torch.arange(4.0))
    assert torch.equal(network.norm.running_var, torch.ones(2))
    Grid()
    assert not torch.equal(torch.get_rng_state(), before), "otherwise this test says nothing"


def test_numbers_are_counted_however_a_file_is_laid_out(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    torch.save({"parts": [state, {"more": torch.zeros(5)}], "epoch": 3}, tmp_path / "weights.pth")
    assert checkpoints.count(tmp_path / "weights.pth") == 18 + 2 + 4 * 2 + 5


def test_what_a_safetensors_file_says_of_itself(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    save_file(state, tmp_path / "said", {"settings": "{}"})
    save_file(state, tmp_path / "silent")
    assert checkpoints.metadata(tmp_path / "said") == {"settings": "{}"}
    assert checkpoints.metadata(tmp_path / "silent") == {}
    torch.save(state, tmp_path / "torch.pth")
    with pytest.raises(BadInput, match="not a safetensors file"):
        checkpoints.metadata(tmp_path / "torch.pth")
    with pytest.raises(BadInput, match="not found"):
        checkpoints.metadata(tmp_path / "none")


def test_a_file_of_several_networks_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"first": {"a": torch.ones(2)}, "second": {"b": torch.zeros(3)}}, tmp_path / "all.pt")
    read: list[Any] = []
    of_torch = torch.load
    monkeypatch.setattr(torch, "load", lambda *given, **more: read.append(given) or of_torch(*given, **more))
    file = checkpoints.opened(tmp_path / "all.pt")
    assert [list(checkpoints.load(file, inner=inner)) for inner in ("first", "second")] == [["a"], ["b"]] and len(read) == 1
    with pytest.raises(BadInput, match=r"all\.pt: expected a mapping with 'third'"):
        checkpoints.load(file, inner="third")

"""Reading LivePortrait checkpoints: the right file loads, anything else gives one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from frontalbench.errors import BadInput  # noqa: E402
from frontalbench.networks.liveportrait import files, keys  # noqa: E402
from tests.golden import fills  # noqa: E402


@pytest.fixture(scope="module")
def appearance() -> dict[str, Any]:
    return fills.liveportrait("appearance")


@pytest.fixture(scope="module")
def stitching_file() -> dict[str, Any]:
    """As the official file is: parts under their names, keys with DistributedDataParallel's prefix, and more than is needed."""
    names = {"stitching": "retarget_shoulder", "lip": "retarget_mouth", "eye": "retarget_eye"}
    parts = {name: {f"module.{key}": value for key, value in fills.liveportrait(part).items()} for part, name in names.items()}
    return {**parts, "optimizer": {"state": [1, 2]}}


def one_line(error: pytest.ExceptionInfo[BadInput], path: Path) -> str:
    text = str(error.value)
    assert "\n" not in text and str(path) in text
    return text


def test_official_form_loads_strictly(tmp_path: Path, appearance: dict[str, Any]) -> None:
    path = tmp_path / "appearance_feature_extractor.pth"
    torch.save(appearance, path)
    loaded = files.load("appearance", path)
    assert list(loaded) == list(keys.expected("appearance"))
    assert all(torch.equal(loaded[key], value) for key, value in appearance.items())


def test_safetensors_load_the_same(tmp_path: Path, appearance: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "appearance.safetensors"
    save_file(appearance, path)
    assert torch.equal(files.load("appearance", path)["second.bias"], appearance["second.bias"])


@pytest.mark.parametrize("network", ["stitching", "lip", "eye"])
def test_stitching_file_gives_its_three_networks(tmp_path: Path, stitching_file: dict[str, Any], network: str) -> None:
    path = tmp_path / "stitching.pth"
    torch.save(stitching_file, path)
    loaded = files.load(network, path)
    assert all(torch.equal(loaded[key], value) for key, value in fills.liveportrait(network).items())


def test_flat_stitching_safetensors_load_too(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "stitching.safetensors"
    save_file({f"retarget_shoulder.{key}": value for key, value in fills.liveportrait("stitching").items()}, path)
    assert len(files.load("stitching", path)) == 8
    with pytest.raises(BadInput, match="expected a mapping with 'retarget_eye'") as error:
        files.load("eye", path)
    one_line(error, path)


@pytest.mark.parametrize("keep", [0, 100, 0.5, 0.99])
def test_truncated_file_is_named(tmp_path: Path, appearance: dict[str, Any], keep: float) -> None:
    path = tmp_path / "cut.pth"
    torch.save(appearance, path)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep if keep >= 1 else keep * len(data))])
    with pytest.raises(BadInput) as error:
        files.load("appearance", path)
    assert "fetch" in one_line(error, path)


def test_truncated_safetensors_is_named(tmp_path: Path, appearance: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "cut.safetensors"
    save_file(appearance, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(BadInput, match="not a readable checkpoint") as error:
        files.load("appearance", path)
    one_line(error, path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not found"):
        files.load("motion", tmp_path / "none.pth")


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("code_was_run"),))


def test_code_in_a_checkpoint_is_refused_and_not_run(tmp_path: Path, appearance: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bomb.pth"
    torch.save({**appearance, "extra": _Bomb()}, path)
    with pytest.raises(BadInput, match="code or objects") as error:
        files.load("appearance", path)
    one_line(error, path)
    assert not (tmp_path / "code_was_run").exists()


def test_another_networks_file_is_told(tmp_path: Path, appearance: dict[str, Any]) -> None:
    path = tmp_path / "appearance.pth"
    torch.save(appearance, path)
    with pytest.raises(BadInput, match=r"not the weights of LivePortrait's generator network: .* missing .* unexpected") as error:
        files.load("generator", path)
    one_line(error, path)


def damaged(state: dict[str, Any], kind: str) -> Any:
    state = dict(state)
    if kind == "missing":
        del state["second.bias"]
    elif kind == "unexpected":
        state["third.bias"] = torch.zeros(3)
    elif kind == "shape":
        state["second.bias"] = torch.zeros(3)
    elif kind == "not finite":
        state["second.bias"] = torch.full((512,), float("nan"))
    elif kind == "integers":
        state["second.bias"] = torch.zeros(512, dtype=torch.int64)
    elif kind == "not a tensor":
        state["second.bias"] = 3
    else:
        return [1, 2, 3]
    return state


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "1 of its keys missing \\(first: second.bias\\)"),
        ("unexpected", "1 of its keys unexpected \\(first: third.bias\\)"),
        ("shape", "second.bias should be \\(512,\\), is \\(3,\\)"),
        ("not finite", "second.bias holds values that are not finite"),
        ("integers", "second.bias holds torch.int64, expected floats"),
        ("not a tensor", "'second.bias' is a int"),
        ("list", "found a list"),
    ],
)
def test_first_difference_is_named(tmp_path: Path, appearance: dict[str, Any], kind: str, words: str) -> None:
    path = tmp_path / "bad.pth"
    torch.save(damaged(appearance, kind), path)
    with pytest.raises(BadInput, match=words) as error:
        files.load("appearance", path)
    one_line(error, path)

"""First-Order-Model and FSRT as frontalizers: files that are no weights, cards, and how keypoints are moved."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.catalogue.cards import FileSource, ModelCard, WeightFile  # noqa: E402
from frontalbench.errors import BadConfig, BadInput, WeightsMissing  # noqa: E402
from frontalbench.frontalize import load_frontalizer  # noqa: E402
from frontalbench.frontalize.driven import movement_scale  # noqa: E402
from frontalbench.networks.hourglass import Keypoints, relative  # noqa: E402
from tests.golden import fills  # noqa: E402

Weight = Callable[..., Path]
SIDES = {"first_order": 256, "fsrt": 24}
"""Pixels of the results; FSRT is asked for few, each costs 17 million multiply-adds."""


def with_files(card: ModelCard, files: Mapping[str, Path]) -> ModelCard:
    weights = {
        key: WeightFile(key, path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest(), (FileSource(path),))
        for key, path in files.items()
    }
    params = {**card.params, **({"side": SIDES["fsrt"]} if card.family == "fsrt" else {})}
    return dataclasses.replace(card, weights=MappingProxyType(weights), params=MappingProxyType(params))


def written(folder: Path) -> dict[str, dict[str, Path]]:
    """Files of the published form, filled with synthetic weights; what training leaves beside the weights is there too."""

    def saved(name: str, content: dict[str, Any]) -> Path:
        torch.save(content, folder / name)
        return folder / name

    def filled(system: str, part: str) -> dict[str, torch.Tensor]:
        made = fills.state(system, part, part, constant=("down.weight",))
        shrink = {key: smoothing() for key in fills.state_keys(system, part) if key.endswith("down.weight")}
        return made | shrink

    beside = {
        "optimizer_generator": {"state": {0: {"step": 3, "exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 2e-4, "params": [0]}]},
        "epoch": 9,
    }
    parts = ("encoder", "decoder", "expression_encoder")
    return {
        "first_order": {
            "model": saved("vox-cpk.pth.tar", {part: filled("first_order_model", part) for part in ("generator", "kp_detector")} | beside)
        },
        "fsrt": {
            "kp_detector": saved("kp_detector.pt", filled("fsrt", "kp_detector")),
            "model": saved("vox256.pt", {part: filled("fsrt", part) for part in parts} | beside),
        },
    }


def smoothing() -> torch.Tensor:
    from frontalbench.networks.hourglass import Shrink

    return Shrink().weight


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Path]]:
    return written(tmp_path_factory.mktemp("weights"))


def damaged(path: Path, how: str, tmp_path: Path) -> Path:
    made = tmp_path / path.name
    if how == "cut off":
        made.write_bytes(path.read_bytes()[:5000])
    elif how == "code":
        made.write_bytes(pickle.dumps({"generator": print, "encoder": print}, protocol=2))
    else:
        content = torch.load(path, weights_only=True)
        part = content.get("generator") or content["encoder"]
        key = next(iter(part))
        part["other." + key] = part.pop(key)
        torch.save(content, made)
    return made


@pytest.mark.parametrize("how", ["cut off", "code", "another network"])
@pytest.mark.parametrize("family", SIDES)
def test_a_file_that_is_not_the_weights_is_refused_in_one_line(
    family: str, how: str, files: dict[str, dict[str, Path]], tmp_path: Path
) -> None:
    wrong = files[family] | {"model": damaged(files[family]["model"], how, tmp_path)}
    with pytest.raises(BadInput, match=rf"{wrong['model'].name}: .*(fetch the|check the card)") as caught:
        load_frontalizer(with_files(cards.find("frontalizer", family), wrong))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["first_order", "first_order_absolute", "first_order_adv", "fsrt", "fsrt_absolute"])
def test_a_weight_that_nobody_pinned_is_not_loaded_and_the_line_says_what_to_do(name: str) -> None:
    with pytest.raises(WeightsMissing, match=rf"{name}.*no known sha256.*write its bytes and sha256 into .*{name}\.yaml"):
        load_frontalizer(cards.find("frontalizer", name))


@pytest.mark.parametrize("family", SIDES)
def test_a_card_names_one_driver(family: str) -> None:
    for uses in (("tddfa_mb1",), ("tddfa_mb1", "synth_14", "synth_17")):
        card = dataclasses.replace(cards.find("frontalizer", family), uses=uses)
        with pytest.raises(BadConfig, match=r"uses: expected exactly one driver card"):
            load_frontalizer(card)


def keypoints(seed: int) -> Keypoints:
    generator = torch.Generator().manual_seed(seed)
    return Keypoints(torch.rand(1, 10, 2, generator=generator) - 0.5, torch.eye(2) + 0.1 * torch.randn(1, 10, 2, 2, generator=generator))


def test_a_driver_that_does_not_move_leaves_the_keypoints_alone() -> None:
    source, start = keypoints(1), keypoints(2)
    still = relative(source, start, start, 1.7)
    torch.testing.assert_close(still.value, source.value)
    torch.testing.assert_close(still.jacobian, source.jacobian)


def test_a_relative_movement_grows_with_the_face_and_an_affine_one_is_carried_over() -> None:
    start = keypoints(2)
    turn = torch.tensor([[0.8, -0.3], [0.2, 1.1]])
    end = Keypoints(start.value + torch.tensor([0.1, -0.2]), turn @ start.jacobian)
    source = Keypoints(2.0 * start.value, keypoints(3).jacobian)
    scale = movement_scale(source.value, start.value)
    torch.testing.assert_close(scale, torch.tensor([2.0]))
    moved = relative(source, start, end, scale)
    torch.testing.assert_close(moved.value, source.value + torch.tensor([0.2, -0.4]))
    torch.testing.assert_close(moved.jacobian, turn @ source.jacobian)


def test_keypoints_that_fall_together_are_refused() -> None:
    with pytest.raises(ValueError, match="fall together"):
        movement_scale(torch.zeros(1, 10, 2), keypoints(1).value)

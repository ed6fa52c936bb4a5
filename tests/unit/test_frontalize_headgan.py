"""``headgan`` without its weights: the image of the head that drives it, and files that are none."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.catalogue.cards import FileSource, ModelCard, WeightFile  # noqa: E402
from frontalbench.errors import BadInput, WeightsMissing  # noqa: E402
from frontalbench.frontalize import load_frontalizer  # noqa: E402
from frontalbench.frontalize.headgan import HOLE, mean_face_coordinates, without_holes  # noqa: E402
from tests.golden import fills  # noqa: E402


def pinned(path: Path) -> ModelCard:
    """The shipped card with this file's hash written into it."""
    data = path.read_bytes()
    weight = WeightFile("model", path.name, len(data), hashlib.sha256(data).hexdigest(), (FileSource(path),))
    return dataclasses.replace(cards.find("frontalizer", "headgan"), weights=MappingProxyType({"model": weight}))


def constant() -> dict[str, Any]:
    """A state dict of one number: tensors of the right shapes in a file of a few kilobytes."""
    return {key: torch.tensor(0.01).expand(entry.shape) for key, entry in fills.state_keys("headGAN_G").items()}


def test_red_green_and_blue_say_right_up_and_near() -> None:
    # Camera axes: y down, z away.
    colours = mean_face_coordinates(np.array([[-70.0, 90.0, 0.0], [70.0, 0.0, -60.0], [0.0, -90.0, 30.0]]))
    np.testing.assert_allclose(colours, [[0.0, 0.0, 1 / 3], [1.0, 0.5, 1.0], [0.5, 1.0, 0.0]], atol=1e-6)


def test_nostrils_are_closed_with_the_colour_around_them_and_the_outline_stays() -> None:
    shown = np.zeros((64, 64), bool)
    shown[10:50, 10:50] = True
    drawn = np.where(shown[..., None], np.float32([0.5, 0.6, 0.7]), 0.0).astype(np.float32)
    broken = shown.copy()
    broken[30 : 30 + HOLE - 3, 30 : 30 + HOLE - 4] = False
    drawn_broken = np.where(broken[..., None], drawn, 0.0).astype(np.float32)
    np.testing.assert_allclose(without_holes(drawn_broken, broken), drawn, atol=1e-5)
    np.testing.assert_array_equal(without_holes(drawn, shown), drawn)


@pytest.mark.parametrize("damage", ["other", "half", "cut", "code"])
def test_any_other_file_is_refused_in_one_line_and_not_run(damage: str, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    path, whole = tmp_path / "latest_net_G.pth", constant()
    half = {key: value for key, value in whole.items() if key.startswith("flow_network")}
    torch.save({"other": {"conv.weight": torch.zeros(1)}, "half": half, "cut": whole, "code": Harm()}[damage], path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(BadInput) as caught:
        load_frontalizer(pinned(path))
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_without_a_hash_that_its_user_wrote_down_nothing_is_loaded() -> None:
    with pytest.raises(WeightsMissing, match=r"has no known sha256.*fetch_weights\.py --from"):
        load_frontalizer(cards.find("frontalizer", "headgan"))

"""The inversion on a generator small enough for a test: it finds the face, gives the same image however often it was interrupted, and leaves the
generator as it was."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor, nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from frontalbench.errors import BadInput  # noqa: E402
from frontalbench.frontalize import inversion  # noqa: E402
from frontalbench.frontalize.eg3d import FRONTAL_FOCAL, camera  # noqa: E402
from frontalbench.frontalize.inversion import Inverter, Recipe, Target, moved  # noqa: E402
from frontalbench.geometry.rotation import matrix_from_angles  # noqa: E402
from frontalbench.geometry.similarity import ARCFACE_TEMPLATE  # noqa: E402

CPU = torch.device("cpu")
SIDE = 64
RECIPE = Recipe(steps=80, rate=0.03, tuning_steps=25, tuning_rate=1e-3, samples=32, noise=0.005, features=0.1)


class Small(nn.Module):
    """Draws 8 x 8 blocks of colour out of a style; the camera's position tints them."""

    layers = 3

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.draw = nn.Linear(512, 3 * 8 * 8)
        nn.init.normal_(self.draw.weight, std=0.15)
        self.requires_grad_(False)
        self.looks, self.fail_at = 0, -1

    def style(self, z: Tensor, labels: Tensor) -> Tensor:
        return z * 0.3 + 0.01 * labels.sum(dim=1, keepdim=True)

    def look(self, styles: Tensor, labels: Tensor, side: int) -> SimpleNamespace:
        self.looks += 1
        if self.looks == self.fail_at:
            raise KeyboardInterrupt
        blocks = torch.tanh(self.draw(styles.mean(dim=1))).view(-1, 3, 8, 8)
        image = functional.interpolate(blocks, SIDE, mode="bilinear") * 0.8 + 0.02 * labels[:, 3].view(-1, 1, 1, 1)
        return SimpleNamespace(image=image)

    def tuned(self) -> Iterator[nn.Parameter]:
        return self.draw.parameters()


def recogniser(crops: Tensor) -> tuple[Tensor, list[Tensor]]:
    pooled = functional.adaptive_avg_pool2d(crops / 127.5 - 1.0, 7)
    return functional.normalize(pooled.flatten(1)), [pooled, functional.adaptive_avg_pool2d(pooled, 3)]


@pytest.fixture
def target() -> Target:
    """An image that the generator can draw."""
    torch.manual_seed(5)
    small = Small()
    label = camera(matrix_from_angles(30.0), 4.26).astype(np.float32)
    with torch.no_grad():
        drawn = small.look(0.3 * torch.randn(1, 3, 512), torch.from_numpy(label)[None], 0).image[0]
    pixels = ((drawn + 1.0) * 127.5).clamp(0, 255).round().byte().permute(1, 2, 0).numpy()
    points = ARCFACE_TEMPLATE * SIDE / 112.0
    return Target(pixels, np.ones((SIDE, SIDE), np.float32), label, points, camera(np.eye(3), FRONTAL_FOCAL).astype(np.float32))


def error(drawn: Tensor, target: Target) -> float:
    wanted = torch.from_numpy(target.pixels).permute(2, 0, 1) / 127.5 - 1.0
    return float((drawn - wanted).abs().mean())


@pytest.mark.slow
def test_the_face_is_found_and_tuning_brings_it_nearer(target: Target) -> None:
    start = Inverter(Small(), recogniser, dataclasses.replace(RECIPE, steps=0, tuning_steps=0), CPU).turned(dataclasses.replace(target))
    found = Inverter(Small(), recogniser, dataclasses.replace(RECIPE, tuning_steps=0), CPU).turned(target)
    tuned = Inverter(Small(), recogniser, RECIPE, CPU).turned(target)
    assert error(found, target) < 0.5 * error(start, target)
    assert error(tuned, target) < 0.7 * error(found, target) and not tuned.requires_grad


@pytest.mark.slow
def test_it_works_inside_of_inference_mode_and_leaves_the_generator_as_it_was(target: Target) -> None:
    small = Small()
    before = {key: value.clone() for key, value in small.state_dict().items()}
    with torch.inference_mode():
        first, again = (Inverter(small, recogniser, RECIPE, CPU).turned(target) for _ in range(2))
    assert torch.equal(first, again)
    assert all(torch.equal(value, before[key]) for key, value in small.state_dict().items())
    assert not any(parameter.requires_grad for parameter in small.parameters())


@pytest.mark.parametrize("fail_at", [70, 90])
@pytest.mark.slow
def test_an_interrupted_inversion_goes_on_as_if_it_had_not_been(fail_at: int, target: Target, tmp_path: Path) -> None:
    whole = Inverter(Small(), recogniser, RECIPE, CPU).turned(target)
    broken = Small()
    broken.fail_at = fail_at
    with pytest.raises(KeyboardInterrupt):
        Inverter(broken, recogniser, RECIPE, CPU, keep=tmp_path).turned(target)
    second = Small()
    assert torch.equal(Inverter(second, recogniser, RECIPE, CPU, keep=tmp_path).turned(target), whole)
    kept = RECIPE.steps if fail_at > RECIPE.steps else fail_at - fail_at % inversion._KEPT_EVERY
    assert second.looks == RECIPE.steps + RECIPE.tuning_steps + 1 - kept
    third = Small()
    assert torch.equal(Inverter(third, recogniser, RECIPE, CPU, keep=tmp_path).turned(target), whole)
    assert third.looks == 0, "a finished image is not made again"


def test_what_was_kept_of_something_else_is_not_gone_on_with(target: Target, tmp_path: Path) -> None:
    keys = {
        Inverter(Small(), recogniser, recipe, CPU, keep=tmp_path, about=about).key(one)
        for recipe in (RECIPE, dataclasses.replace(RECIPE, seed=1))
        for about in ("a", "b")
        for one in (target, dataclasses.replace(target, wanted=target.label), dataclasses.replace(target, pixels=target.pixels[:, ::-1]))
    }
    assert len(keys) == 12
    inverter = Inverter(Small(), recogniser, RECIPE, CPU, keep=tmp_path)
    (tmp_path / f"{inverter.key(target)}.safetensors").write_bytes(b"no state")
    with pytest.raises(BadInput, match="not the state of an inversion"):
        inverter.turned(target)


def test_a_loss_that_is_no_number_is_the_row_s_reason_and_the_weights_come_back(target: Target) -> None:
    small = Small()
    before = small.draw.weight.clone()
    with pytest.raises(ValueError, match="left all measure at step 0"):
        Inverter(small, lambda _: (torch.full((1, 4), float("nan")), [torch.ones(1, 1, 2, 2)]), RECIPE, CPU).turned(target)
    calls = iter(range(1000))

    def failing(crops: Tensor) -> tuple[Tensor, list[Tensor]]:
        embedding, maps = recogniser(crops)
        return embedding * (float("nan") if next(calls) > RECIPE.steps + 8 else 1.0), maps

    with pytest.raises(ValueError, match="left all measure at tuning step"):
        Inverter(small, failing, RECIPE, CPU).turned(target)
    assert torch.equal(small.draw.weight, before)


def test_what_lies_beyond_the_photograph_does_not_count(target: Target) -> None:
    half = target.known.copy()
    half[:, SIDE // 2 :] = 0.0
    spoilt = target.pixels.copy()
    spoilt[:, SIDE // 2 :] = 255 - spoilt[:, SIDE // 2 :]
    recipe = dataclasses.replace(RECIPE, features=0.0, identity=0.0)
    losses = inversion._Losses(dataclasses.replace(target, known=half, pixels=spoilt), recogniser, recipe, CPU)
    image = torch.from_numpy(target.pixels).permute(2, 0, 1)[None] / 127.5 - 1.0
    assert float(losses(image)) < 1e-6
    assert float(inversion._Losses(dataclasses.replace(target, pixels=spoilt), recogniser, recipe, CPU)(image)) > 0.01


def test_a_camera_moves_about_the_world_and_stays_one() -> None:
    label = torch.from_numpy(camera(matrix_from_angles(20.0, 5.0), 4.26)).float()
    torch.testing.assert_close(moved(label, torch.zeros(6)), label)
    turned = moved(label, torch.tensor([0.0, 0.3, 0.0, 0.0, 0.0, 0.5]))
    pose = turned[:16].view(4, 4)
    torch.testing.assert_close(pose[:3, :3] @ pose[:3, :3].T, torch.eye(3), rtol=0, atol=1e-5)
    assert float((pose[:3, 3] - torch.tensor([0.0, 0.0, 0.5])).norm()) == pytest.approx(2.7, abs=1e-4)

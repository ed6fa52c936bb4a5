"""First-Order-Model and FSRT as frontalizers: their cards, and how keypoints are moved."""

from __future__ import annotations

import dataclasses

import pytest

torch = pytest.importorskip("torch")

from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.errors import BadConfig  # noqa: E402
from frontalbench.frontalize import load_frontalizer  # noqa: E402
from frontalbench.frontalize.driven import movement_scale  # noqa: E402
from frontalbench.networks.hourglass import Keypoints, relative  # noqa: E402


@pytest.mark.parametrize("family", ["first_order", "fsrt"])
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

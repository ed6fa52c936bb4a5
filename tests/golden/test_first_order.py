"""First-Order-Model's networks against golden tensors of the official modules (no published weight is in them)."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.networks.first_order import SIDE, Generator, keypoint_detector  # noqa: E402
from frontalbench.networks.hourglass import KeypointDetector, Keypoints, ready  # noqa: E402
from tests.golden import fills  # noqa: E402

NAME = "first_order_model"
TOLERANCE = {"rtol": 1e-3, "atol": 1e-4}


@cache
def detector() -> KeypointDetector:
    return fills.filled(keypoint_detector, NAME, "kp_detector", "kp_detector", constant=("down.weight",))


@cache
def generator() -> Generator:
    return fills.filled(Generator, NAME, "generator", "generator", constant=("down.weight",))


def ready_generator() -> Generator:
    return ready(fills.filled(Generator, NAME, "generator", "generator", constant=("down.weight",)))


def test_the_keys_are_the_official_ones_in_their_order() -> None:
    assert list(detector().state_dict()) == list(fills.state_keys(NAME, "kp_detector"))
    assert set(generator().state_dict()) == set(fills.state_keys(NAME, "generator"))


@pytest.mark.parametrize("role", ["source", "driving"])
def test_keypoints_and_jacobians_are_the_official_ones(role: str) -> None:
    with torch.inference_mode():
        found = detector()(fills.uniform(f"input:fom_{role}", 1, 3, SIDE, SIDE))
    fills.golden(NAME).near(f"kp.value_{role}", found.value.flatten(), **TOLERANCE)
    fills.golden(NAME).near(f"kp.jacobian_{role}", found.jacobian.flatten(), **TOLERANCE)


@pytest.mark.parametrize("made", [generator, ready_generator], ids=["as loaded", "made ready"])
def test_the_generator_draws_the_official_image(made: Callable[[], Generator]) -> None:
    value = fills.normal("input:fom_kp", 0.4, 1, 10, 2)
    source, driving = (
        Keypoints(fills.tensor(points), fills.tensor(np.eye(2) + fills.normal(f"input:fom_jac_{letter}", 0.1, 1, 10, 2, 2)))
        for points, letter in ((value, "s"), (value + fills.normal("input:fom_kp_delta", 0.05, 1, 10, 2), "d"))
    )
    with torch.inference_mode():
        drawn, seen, shares = made().explained(fills.uniform("input:fom_source", 1, 3, SIDE, SIDE), source, driving)
    stored = fills.golden(NAME)
    stored.near("gen.mask", shares, stride=7, **TOLERANCE)
    stored.near("gen.occlusion", seen.flatten(), **TOLERANCE)
    stored.near("gen.prediction", drawn, stride=17, **TOLERANCE)

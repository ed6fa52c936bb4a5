"""The self-test of any frontalizer: those that turn faces pass, the controls and networks without trained weights fail, each for its own reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.frontalize import load_frontalizer, points68  # noqa: E402
from frontalbench.frontalize.base import Frontalizer, View  # noqa: E402
from frontalbench.frontalize.check import Check  # noqa: E402
from frontalbench.frontalize.scaleway_published import ScalewayPublishedFamily  # noqa: E402
from frontalbench.frontalize.selftest import SelfTestedBatched, checks, frontal_checks, landmark_pose  # noqa: E402
from frontalbench.networks.scaleway import Scaleway  # noqa: E402
from frontalbench.plain import folders  # noqa: E402
from tests.golden import fills  # noqa: E402

ANGLE = Path(__file__).resolve().parents[2] / "demo" / "synthetic" / "synth_10" / "Angle"
Weight = Callable[..., Path]


@pytest.fixture(scope="module")
def views(weight: Weight) -> list[View]:
    for kind, name in (("detector", "scrfd_500m"), ("landmarks", "tddfa_mb1"), ("landmarks", "face_landmarker")):
        for key in cards.find(kind, name).weights:
            weight(kind, name, key)
    with folders.with_faces(ANGLE, "*39.jpg", "scrfd_500m") as (shard, faces, _):
        return folders.read_views(shard, faces)


def failed(checks: list[Check]) -> list[str]:
    return [check.name for check in checks if not check.passed]


def published_scaleway(network: nn.Module) -> Frontalizer:
    locate = points68.loaded(cards.find("frontalizer", "scaleway"))
    family = ScalewayPublishedFamily(locate, network, torch.device("cpu"))  # type: ignore[arg-type]
    return SelfTestedBatched("scaleway", family, takes_target_pose=False, batch=1)


@pytest.mark.parametrize("name", ["scaleway_synth", "tddfa", "mesh", "frontalbench_rnr"])
def test_frontalizers_with_real_weights_pass(name: str, views: list[View]) -> None:
    assert failed(frontal_checks(load_frontalizer(cards.find("frontalizer", name)), views, landmark_pose())) == []


@pytest.mark.parametrize("name", ["tddfa", "tddfa_whole"])
def test_a_face_turned_to_the_pose_it_has_stays_what_it_was_in_a_crop_and_in_a_whole_photograph(name: str, views: list[View]) -> None:
    found = checks(load_frontalizer(cards.find("frontalizer", name)), views)
    assert found[-1].name == "own pose" and failed(found) == []


@pytest.mark.parametrize("name", ["identity", "mirror"])
def test_a_control_that_turns_nothing_fails_by_the_yaw_that_is_left(name: str, views: list[View]) -> None:
    assert failed(frontal_checks(load_frontalizer(cards.find("frontalizer", name)), views, landmark_pose())) == ["|yaw| left (degrees)"]


@pytest.mark.parametrize("scheme", ["A", "B"])
def test_synthetic_weights_fail(scheme: str, views: list[View]) -> None:
    network = fills.filled(Scaleway, "scaleway_frontalization", scheme)
    assert failed(frontal_checks(published_scaleway(network), views, landmark_pose()))


def test_swapped_colours_and_a_network_that_gives_the_input_back_fail(views: list[View]) -> None:
    class Swapped(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flip(1)

    found = failed(frontal_checks(published_scaleway(Swapped()), views, landmark_pose()))
    assert "|yaw| left (degrees)" in found and "tone (levels)" in found

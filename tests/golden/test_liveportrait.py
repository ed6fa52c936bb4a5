"""The LivePortrait networks against outputs of the official modules, both under the same synthetic weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.images import RGB  # noqa: E402
from frontalbench.liveportrait import motion  # noqa: E402
from frontalbench.liveportrait.pipeline import LivePortrait, Source  # noqa: E402
from frontalbench.networks.liveportrait import keys, networks  # noqa: E402
from tests.golden import fills  # noqa: E402
from tests.golden.fills import normal, tensor, uniform  # noqa: E402


def compare(name: str, value: torch.Tensor, **tolerance: Any) -> None:
    """``value`` has the official module's shape and, at the stored stride, its numbers."""
    fills.golden("liveportrait").near(name, value, **{"rtol": 1e-3, "atol": 1e-4, **tolerance})


@pytest.fixture(scope="module")
def portrait() -> LivePortrait:
    torch.set_num_threads(2)
    return LivePortrait(fills.liveportrait)


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    return uniform("input:image", 1, 3, 256, 256)


@pytest.mark.parametrize("network", keys.NETWORKS)
def test_the_keys_are_the_official_ones(network: str) -> None:
    official = fills.state_keys("liveportrait", fills.LIVEPORTRAIT[network])
    assert dict(keys.expected(network)) == {key: entry.shape for key, entry in official.items()}


@pytest.mark.parametrize("network", ["appearance", "stitching", "eye"])
def test_the_fill_equals_the_one_the_official_modules_had(network: str) -> None:
    part = fills.LIVEPORTRAIT[network]
    assert fills.check_fill(fills.liveportrait(network), "liveportrait", part) == len(keys.expected(network))
    assert uniform("input:image", 4).numpy() == pytest.approx([0.28830233, 0.29529077, 0.63650334, 0.10695333], abs=1e-7)


def test_appearance_network_meets_every_tap(portrait: LivePortrait, image: torch.Tensor) -> None:
    taps: networks.Taps = {}
    with torch.inference_mode():
        portrait.appearance(image, taps)
    for name in ("first", "down_blocks.1", "second", "out"):
        compare(f"F.{name}", taps[name])


def test_motion_network_meets_every_stage_head_and_angle(portrait: LivePortrait, image: torch.Tensor) -> None:
    taps: networks.Taps = {}
    with torch.inference_mode():
        heads = portrait.motion_network(image, taps)
    for name, value in (*taps.items(), *heads.items()):
        compare(f"M.{name}", value)
    assert set(taps) == {"stage0", "stage1", "stage2", "stage3"}
    for name in ("pitch", "yaw", "roll"):
        compare(f"M.{name}_deg", motion.degrees(heads[name]))


def test_warping_network_meets_every_tap(portrait: LivePortrait) -> None:
    source = normal("input:kp_source", 0.3, 1, 21, 3)
    driving = source + normal("input:kp_driving_delta", 0.05, 1, 21, 3)
    taps: networks.Taps = {}
    with torch.inference_mode():
        portrait.warping(tensor(normal("input:volume", 0.5, 1, 32, 16, 64, 64)), tensor(driving), tensor(source), taps)
    assert len(taps) == 7
    for name, value in taps.items():
        compare(f"W.{name}", value)


def test_generator_meets_every_tap(portrait: LivePortrait) -> None:
    taps: networks.Taps = {}
    with torch.inference_mode():
        portrait.generator(tensor(normal("input:generator", 0.5, 1, 256, 64, 64)), taps)
    for name in ("fc", "G_middle_0", "G_middle_5", "up_0", "up_1", "out"):
        compare(f"G.{name}", taps[name])


@pytest.mark.parametrize(("name", "width"), [("stitching", 126), ("lip", 65), ("eye", 66)])
def test_perceptrons_meet_their_outputs(portrait: LivePortrait, name: str, width: int) -> None:
    with torch.inference_mode():
        compare(f"S.{name}", portrait.perceptrons[name](tensor(normal(f"input:mlp_{name}", 0.3, 4, width))))


def test_rotations_and_degrees_equal_the_official_ones() -> None:
    cases = {"p10_y0_r0": (10, 0, 0), "p0_y20_r0": (0, 20, 0), "p0_y0_r30": (0, 0, 30), "p10_y20_r30": (10, 20, 30)}
    for name, (pitch, yaw, roll) in {**cases, "p-35.5_y62.25_r-7.75": (-35.5, 62.25, -7.75)}.items():
        angles = (torch.tensor([float(angle)]) for angle in (yaw, pitch, roll))
        compare(f"R.{name}", motion.rotation(*angles), rtol=1e-5, atol=1e-6)
    compare("deg.from_logits", motion.degrees(tensor(normal("input:pose_logits", 3.0, 3, 66))))


def test_the_whole_chain_to_the_front_meets_its_image(portrait: LivePortrait, image: torch.Tensor) -> None:
    with torch.inference_mode():
        heads = portrait.motion_network(image)
        factors = {"kp": 0.3, "exp": 0.03, "t": 0.05, "scale": 0.1}
        heads = {name: value * factors.get(name, 1.0) + (1.0 if name == "scale" else 0.0) for name, value in heads.items()}
        seen = motion.from_heads(heads)
        turn = motion.rotation(seen.yaw, seen.pitch, seen.roll)
        source = motion.source_keypoints(seen)
        driving = motion.keypoints(seen, torch.eye(3)[None])
        offsets = portrait.perceptrons["stitching"](torch.cat([source.flatten(1), driving.flatten(1)], dim=1))
        stitched = motion.stitched(driving, 0.1 * offsets)
        volume = portrait.appearance(image)
    rendered: list[RGB | None] = []
    heavy = torch.nn.ModuleDict({"warping": portrait.warping, "generator": portrait.generator})
    drawn = fills.record(heavy, tuple(heavy), lambda: rendered.extend(portrait.render(Source(volume, seen, source), stitched)))
    warped, result = drawn["warping"], drawn["generator"]
    for name, value in {"R_s": turn, "x_s": source, "x_d": driving, "x_d_stitched": stitched, "warp_out": warped, "image": result}.items():
        compare(f"E2E.{name}", value)
    assert rendered[0] is not None
    np.testing.assert_array_equal(rendered[0], (result[0].clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 0).numpy())

"""The LivePortrait networks against outputs of the official modules, both under the same synthetic weights."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch")

from frontalbench.liveportrait import keys, motion, networks, synthetic  # noqa: E402
from frontalbench.liveportrait.pipeline import LivePortrait, Source  # noqa: E402

STEMS = {name: keys.FILES.get(name, "") for name in keys.NETWORKS} | {
    name: f"stitching_retargeting_module.{name}" for name in ("stitching", "lip", "eye")
}


@pytest.fixture(scope="module")
def golden(shared: Path) -> Path:
    folder = shared / "golden"
    if not (folder / "liveportrait_golden.npz").is_file():
        pytest.skip(f"no golden tensors: {folder}/liveportrait_golden.npz is not there")
    return folder


@pytest.fixture(scope="module")
def compare(golden: Path) -> Callable[..., None]:
    """``compare(name, value)``: ``value`` has the official module's shape and, at the stored stride, its numbers."""
    arrays = np.load(golden / "liveportrait_golden.npz")
    with (golden / "liveportrait_golden_index.tsv").open(newline="") as handle:
        index = {row["name"]: row for row in csv.DictReader(handle, delimiter="\t")}

    def check(name: str, value: torch.Tensor, *, rtol: float = 1e-3, atol: float = 1e-4) -> None:
        shape = tuple(int(part) for part in index[name]["full_shape"].split("x"))
        assert value.numel() == np.prod(shape), f"{name}: {tuple(value.shape)}, expected {shape}"
        flat = value.detach().contiguous().reshape(-1).numpy()
        np.testing.assert_allclose(flat[:: int(index[name]["stride"])], arrays[name], rtol=rtol, atol=atol, err_msg=name)

    return check


@pytest.fixture(scope="module")
def portrait(golden: Path) -> LivePortrait:
    torch.set_num_threads(2)
    return LivePortrait(synthetic.state)


def uniform(tag: str, *shape: int) -> torch.Tensor:
    return torch.from_numpy(synthetic.random_state(tag).random_sample(shape).astype(np.float32))


def normal(tag: str, spread: float, *shape: int) -> npt.NDArray[np.float64]:
    values: npt.NDArray[np.float64] = synthetic.random_state(tag).standard_normal(shape) * spread
    return values


def tensor(values: npt.NDArray[np.float64]) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


@pytest.fixture(scope="module")
def picture() -> torch.Tensor:
    return uniform("input:image", 1, 3, 256, 256)


def test_key_lists_equal_the_official_ones_in_both_directions(golden: Path) -> None:
    with (golden / "liveportrait_statedict.tsv").open(newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    official: dict[str, dict[str, tuple[int, ...]]] = {}
    for row in rows:
        shape = () if row["shape"] == "scalar" else tuple(int(part) for part in row["shape"].split("x"))
        official.setdefault(row["module"], {})[row["key"]] = shape
    ours = {STEMS[name]: dict(keys.expected(name)) for name in keys.NETWORKS}
    assert ours == official
    assert sum(map(len, ours.values())) == 626


def test_the_fill_equals_the_one_the_official_modules_had(golden: Path) -> None:
    with (golden / "liveportrait_fill_check.tsv").open(newline="") as handle:
        rows = {(row["module"], row["key"]): row for row in csv.DictReader(handle, delimiter="\t")}
    for name in ("appearance", "stitching", "eye"):
        for key, value in synthetic.state(name).items():
            row, flat = rows[STEMS[name], key], value.double().flatten()
            assert float(flat[0]) == pytest.approx(float(row["first_value"]), abs=1e-6), key
            assert float(flat.abs().max()) == pytest.approx(float(row["absmax"]), abs=1e-5), key
    assert uniform("input:image", 4).numpy() == pytest.approx([0.28830233, 0.29529077, 0.63650334, 0.10695333], abs=1e-7)


def test_appearance_network_meets_every_tap(portrait: LivePortrait, compare: Callable[..., None], picture: torch.Tensor) -> None:
    taps: networks.Taps = {}
    with torch.inference_mode():
        portrait.appearance(picture, taps)
    for name in ("first", "down_blocks.1", "second", "out"):
        compare(f"F.{name}", taps[name])


def test_motion_network_meets_every_stage_head_and_angle(
    portrait: LivePortrait, compare: Callable[..., None], picture: torch.Tensor
) -> None:
    taps: networks.Taps = {}
    with torch.inference_mode():
        heads = portrait.motion_network(picture, taps)
    for name, value in (*taps.items(), *heads.items()):
        compare(f"M.{name}", value)
    assert set(taps) == {"stage0", "stage1", "stage2", "stage3"}
    for name in ("pitch", "yaw", "roll"):
        compare(f"M.{name}_deg", motion.degrees(heads[name]))


def test_warping_network_meets_every_tap(portrait: LivePortrait, compare: Callable[..., None]) -> None:
    source = normal("input:kp_source", 0.3, 1, 21, 3)
    driving = source + normal("input:kp_driving_delta", 0.05, 1, 21, 3)
    taps: networks.Taps = {}
    with torch.inference_mode():
        portrait.warping(tensor(normal("input:volume", 0.5, 1, 32, 16, 64, 64)), tensor(driving), tensor(source), taps)
    assert len(taps) == 7
    for name, value in taps.items():
        compare(f"W.{name}", value)


def test_generator_meets_every_tap(portrait: LivePortrait, compare: Callable[..., None]) -> None:
    taps: networks.Taps = {}
    with torch.inference_mode():
        portrait.generator(tensor(normal("input:generator", 0.5, 1, 256, 64, 64)), taps)
    for name in ("fc", "G_middle_0", "G_middle_5", "up_0", "up_1", "out"):
        compare(f"G.{name}", taps[name])


@pytest.mark.parametrize(("name", "width"), [("stitching", 126), ("lip", 65), ("eye", 66)])
def test_perceptrons_meet_their_outputs(portrait: LivePortrait, compare: Callable[..., None], name: str, width: int) -> None:
    with torch.inference_mode():
        compare(f"S.{name}", portrait.perceptrons[name](tensor(normal(f"input:mlp_{name}", 0.3, 4, width))))


def test_rotations_and_degrees_equal_the_official_ones(compare: Callable[..., None]) -> None:
    cases = {"p10_y0_r0": (10, 0, 0), "p0_y20_r0": (0, 20, 0), "p0_y0_r30": (0, 0, 30), "p10_y20_r30": (10, 20, 30)}
    for name, (pitch, yaw, roll) in {**cases, "p-35.5_y62.25_r-7.75": (-35.5, 62.25, -7.75)}.items():
        angles = (torch.tensor([float(angle)]) for angle in (yaw, pitch, roll))
        compare(f"R.{name}", motion.rotation(*angles), rtol=1e-5, atol=1e-6)
    compare("deg.from_logits", motion.degrees(tensor(normal("input:pose_logits", 3.0, 3, 66))))


def test_the_whole_chain_to_the_front_meets_its_picture(
    portrait: LivePortrait, compare: Callable[..., None], picture: torch.Tensor
) -> None:
    with torch.inference_mode():
        heads = portrait.motion_network(picture)
        factors = {"kp": 0.3, "exp": 0.03, "t": 0.05, "scale": 0.1}
        heads = {name: value * factors.get(name, 1.0) + (1.0 if name == "scale" else 0.0) for name, value in heads.items()}
        seen = motion.from_heads(heads)
        turn = motion.rotation(seen.yaw, seen.pitch, seen.roll)
        source = motion.source_keypoints(seen)
        driving = motion.keypoints(seen, torch.eye(3)[None])
        offsets = portrait.perceptrons["stitching"](torch.cat([source.flatten(1), driving.flatten(1)], dim=1))
        stitched = motion.stitched(driving, 0.1 * offsets)
        volume = portrait.appearance(picture)
        warped = portrait.warping(volume, stitched, source)
        result = portrait.generator(warped)
    for name, value in {"R_s": turn, "x_s": source, "x_d": driving, "x_d_stitched": stitched, "warp_out": warped, "image": result}.items():
        compare(f"E2E.{name}", value)
    rendered = portrait.render(Source(volume, seen, source), stitched)
    assert rendered[0] is not None
    np.testing.assert_array_equal(rendered[0], (result[0].clamp(0, 1) * 255).to(torch.uint8).permute(1, 2, 0).numpy())

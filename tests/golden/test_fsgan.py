"""FSGANv2's networks against golden tensors of the official modules under synthetic weights, and what stands around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.fsgan import blending, heatmaps, views  # noqa: E402
from frontalbench.geometry import cloning  # noqa: E402
from frontalbench.networks import fsgan  # noqa: E402
from frontalbench.networks.hopenet import Hopenet, degrees  # noqa: E402
from frontalbench.networks.hrnet import MEAN, STD, HrNet  # noqa: E402
from frontalbench.networks.vgg import WEIGHTS, Vgg19Features, distances  # noqa: E402
from tests.golden import fills  # noqa: E402

GOLDEN = fills.golden("FSGAN")
BODY = (
    "base.in_conv",
    "base.inner.down_block",
    "base.inner.submodule.down_block",
    "base.inner.submodule.submodule",
    "base.inner.submodule.up_block",
)
BODY += (
    "base.inner.submodule.flat_block",
    "base.inner.up_block",
    "base.inner",
    "enhancer1.in_conv",
    "enhancer1.up_block",
    "enhancer1.flat_block",
)


def _network(make: Callable[[], torch.nn.Module], list_name: str, name: str) -> torch.nn.Module:
    network = fills.filled(make, f"FSGAN_{list_name}", name)
    fills.check_fill(network.state_dict(), "FSGAN", name)
    return network


def _generator(which: str, inputs: int) -> torch.nn.Module:
    return _network(lambda: fsgan.Generator(inputs), which, f"fsgan_{which}")


def _points() -> torch.Tensor:
    return fills.tensor(0.15 + 0.7 * fills.uniform("input:fsgan_landmarks", 1, 98, 2).numpy())


def _image(tag: str, side: int = 256, count: int = 1) -> torch.Tensor:
    return 2.0 * fills.uniform(tag, count, 3, side, side) - 1.0


def _ellipse() -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(256.0), torch.arange(256.0), indexing="ij")
    return ((((x - 120) / 70) ** 2 + ((y - 140) / 90) ** 2) < 1).float()[None, None]


@dataclass(frozen=True)
class _Drawn:
    out: torch.Tensor
    mix: torch.Tensor


@pytest.fixture(scope="module")
def drawn() -> _Drawn:
    """What the reenactment network draws; every layer on the way is compared as well."""
    network, points = _generator("Gr", fsgan.REENACTMENT), _points()
    maps = [heatmaps.drawn(points, side) for side in (256, 128)]
    levels = [torch.cat([_image(f"input:fsgan_rgb{side}", side), m], dim=1) for side, m in zip((256, 128), maps, strict=True)]
    found: dict[str, torch.Tensor] = {}
    taps = fills.record(network, BODY, lambda: found.update(out=network(levels)))
    for tap, value in taps.items():
        GOLDEN.near(f"Gr.{tap}", value)
    GOLDEN.near("Gr.out", found["out"])
    with torch.inference_mode():
        GOLDEN.near("Gr.base_only_128", network(levels[1:]))
        other = fsgan.pyramid(_image("input:fsgan_rgb256_b"))
        GOLDEN.near("pyr.avg128", other[1])
        second = network([torch.cat([rgb, m], dim=1) for rgb, m in zip(other, maps, strict=True)])
    GOLDEN.near("Gr.out_b", second)
    return _Drawn(found["out"], 0.3 * found["out"] + 0.7 * second)


def test_the_reenactment_network_draws_the_same_and_two_views_are_mixed(drawn: _Drawn) -> None:
    GOLDEN.near("Gr.mix", drawn.mix)


@pytest.mark.parametrize(("which", "inputs"), [("Gr", fsgan.REENACTMENT), ("Gc", fsgan.COMPLETION), ("Gb", fsgan.BLENDING)])
def test_the_names_of_the_generators_are_the_official_ones(which: str, inputs: int) -> None:
    fills.filled(lambda: fsgan.Generator(inputs), f"FSGAN_{which}", f"fsgan_{which}")


def test_a_turned_face_is_completed_and_blended_as_in_the_face_swap(drawn: _Drawn) -> None:
    complete, blend = _generator("Gc", fsgan.COMPLETION), _generator("Gb", fsgan.BLENDING)
    mask, found, given = _ellipse(), {}, {}

    def completing(levels: list[torch.Tensor]) -> torch.Tensor:
        found["Gc"] = complete(levels)
        return found["Gc"]

    def blending_in(levels: list[torch.Tensor]) -> torch.Tensor:
        given["transfer"], found["Gb"] = levels[0][:, :3].clone(), blend(levels)
        return found["Gb"]

    run: dict[str, torch.Tensor] = {}

    def whole() -> None:
        target = _image("input:fsgan_target")
        run["result"] = blending.blended(completing, blending_in, drawn.mix, mask, target, mask)

    second: dict[str, torch.Tensor] = {}
    first = fills.record(complete, BODY, lambda: second.update(fills.record(blend, BODY, whole)))
    for tap, value in first.items():
        GOLDEN.near(f"Gc.{tap}", value)
    for tap, value in second.items():
        GOLDEN.near(f"Gb.{tap}", value)
    GOLDEN.near("Gc.out", found["Gc"])
    GOLDEN.near("Gb.transfer", given["transfer"])
    GOLDEN.near("Gb.out", found["Gb"])
    GOLDEN.near("swap.result", run["result"])


def test_the_target_of_the_blending_network_is_cloned_without_a_seam() -> None:
    g = np.linspace(0, 1, 256, dtype=np.float32)
    x, y = np.meshgrid(g, g)
    source = np.stack([np.outer(g, g), np.outer(1 - g, g), np.outer(g, 1 - g)]) * 1.6 - 0.8
    target = 0.8 * np.stack([np.sin(6 * y), np.cos(5 * x), np.sin(4 * (x + y))])
    mask = _ellipse()[0, 0].numpy() > 0.5
    transferred = np.where(mask, source, target)
    GOLDEN.near("P.transfer", torch.from_numpy(transferred)[None])

    def levels(values: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.round((values + 1) * 127.5).astype(np.uint8).transpose(1, 2, 0))

    made = cloning.cloned(levels(transferred), levels(target), mask)
    blend = made.transpose(2, 0, 1)[None].astype(np.float64) / 127.5 - 1.0
    GOLDEN.near("P.blend", torch.from_numpy(blend), atol=2.0 / 127.5)
    assert np.abs(transferred - blend).mean() == pytest.approx(float(GOLDEN.arrays["P.loss_l1_transfer_vs_blend"]), abs=2e-3)


def test_the_segmentation_network_finds_the_same_classes(drawn: _Drawn) -> None:
    network = _network(fsgan.Segmenter, "S", "fsgan_S")
    names = ("conv1", "conv2", "conv3", "conv4", "center", "up_concat4", "up_concat3", "up_concat2", "up_concat1")
    found: dict[str, torch.Tensor] = {}
    for tap, value in fills.record(network, names, lambda: found.update(out=network(_image("input:fsgan_rgb256")))).items():
        GOLDEN.near(f"S.{tap}", value)
    GOLDEN.near("S.out", found["out"])
    GOLDEN.near("S.class_counts", torch.bincount(found["out"].argmax(dim=1).flatten(), minlength=3), atol=5.0)
    with torch.inference_mode():
        GOLDEN.near("S.out_of_mix", network(drawn.mix))


def test_the_landmark_network_gives_the_same_maps_and_points() -> None:
    network = _network(HrNet, "L", "fsgan_L")
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    names = ("conv2", "layer1", "transition1.0", "transition1.1", "stage2.0.fuse_layers.0.1", "head.0")
    found: dict[str, torch.Tensor] = {}
    taps = fills.record(
        network, names, lambda: found.update(out=network((fills.uniform("input:fsgan_lms256", 1, 3, 256, 256) - mean) / std))
    )
    for tap, value in taps.items():
        GOLDEN.near(f"L.{tap}", value)
    GOLDEN.near("L.out", found["out"])
    # These maps have no peak: many of their values lie about the threshold, and each that crosses it moves the mean.
    GOLDEN.near("L.points", heatmaps.located(found["out"]), rtol=1e-3, atol=1e-4)


def test_the_pose_network_reads_the_same_angles() -> None:
    network = _network(Hopenet, "Hopenet", "fsgan_Hopenet")
    found: dict[str, torch.Tensor] = {}
    names = ("conv1", "layer1", "layer2", "layer3", "layer4", "fc_yaw", "fc_pitch", "fc_roll")
    for tap, value in fills.record(network, names, lambda: found.update(out=network(_image("input:fsgan_pose224", 224, 2)))).items():
        GOLDEN.near(f"O.{tap}", value)
    GOLDEN.near("O.degrees", degrees(found["out"]))


def test_the_perceptual_distance_is_that_of_the_cut_network() -> None:
    network = _network(Vgg19Features, "VGG19bn_features", "fsgan_VGG")
    with torch.inference_mode():
        first, second = (network(_image(f"input:fsgan_vgg_{name}", 128)) for name in "xy")
    for number, value in enumerate(first, start=1):
        GOLDEN.near(f"V.slice{number}", value)
    apart = distances(first, second)
    GOLDEN.near("V.l1_per_slice", apart)
    GOLDEN.near("V.loss", (apart * torch.tensor(WEIGHTS)).sum())


def test_landmarks_become_the_same_heat_maps_and_are_found_in_them_again() -> None:
    points = _points()
    GOLDEN.near("H.landmarks", points)
    for side in (256, 128):
        maps = heatmaps.drawn(points, side)
        GOLDEN.near(f"H.map{side}", maps)
        GOLDEN.near(f"H.map{side}_sum", maps.sum(dim=(2, 3)))
    maps = heatmaps.drawn(points, 256)
    GOLDEN.near("H.nonzero256", (maps > 0).sum(dim=(2, 3)), atol=1.0)
    GOLDEN.near("H.map256_lm54", maps[0, 54, ::4, ::4])
    GOLDEN.near("H.encode_random", heatmaps.located(fills.tensor(fills.normal("input:fsgan_heat", 1.0, 1, 98, 64, 64))))
    GOLDEN.near("H.encode_of_decode64", heatmaps.located(heatmaps.drawn(points, 64)))
    GOLDEN.near("H.hflip98", heatmaps.mirrored(points[0].numpy().astype(np.float64)))


def test_masks_are_eroded_to_the_same_soft_border() -> None:
    GOLDEN.near("E.weight", blending.cone_of(21))
    for name, count, numbers in (
        ("E.soft", "E.hard_count", (21, 0.6, 1)),
        ("E.soft_default15", "E.hard_default15_count", (15, 0.6, 1)),
        ("E.soft_k7_t9_i3", "E.hard_k7_t9_i3_count", (7, 0.9, 3)),
    ):
        soft, hard = blending.eroded(_ellipse(), *numbers)
        GOLDEN.near(name, soft)
        GOLDEN.near(count, hard.sum().numpy().reshape(GOLDEN.arrays[count].shape))


@pytest.mark.parametrize(("case", "radius", "rows"), [("video", 2.0, slice(None)), ("r8", 8.0, slice(None)), ("still", 2.0, slice(5, 6))])
def test_views_around_a_pose_are_kept_and_weighed_as_in_the_appearance_map(case: str, radius: float, rows: slice) -> None:
    found = views.mixture(99.0 * GOLDEN.arrays["A.src_poses"][rows, :2], 99.0 * GOLDEN.arrays["A.tgt_poses"][:, :2], radius=radius)
    kept = GOLDEN.arrays[f"A.{case}.kept"]
    assert sorted(found.kept) == sorted(int(k) for k in kept)
    order = [list(found.kept).index(int(k)) for k in kept]
    wanted = GOLDEN.arrays[f"A.{case}.dense"]
    assert np.allclose(wanted[:, -1], 0.0), "the empty corners have no share"
    np.testing.assert_allclose(found.weights[:, order], wanted[:, :-1], atol=2e-5)

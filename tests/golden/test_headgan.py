"""HeadGAN's generator against golden tensors of the official modules (no trained weight is in them)."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402
from torch.nn import functional  # noqa: E402

from frontalbench.networks.headgan import HeadGan, resampled  # noqa: E402
from frontalbench.networks.inference import folded  # noqa: E402
from tests.golden import fills  # noqa: E402

GOLDEN = fills.golden("headGAN")
RTOL, ATOL = 1e-3, 1e-4


def smooth(x: Tensor) -> Tensor:
    return functional.avg_pool2d(functional.pad(x, (8, 8, 8, 8), mode="reflect"), 17, stride=1)


def inputs() -> tuple[Tensor, Tensor, Tensor]:
    driving = smooth(fills.uniform("input:headgan_nmfc", 1, 3, 256, 256)).repeat(1, 3, 1, 1)
    photograph = smooth(2.0 * fills.uniform("input:headgan_rgb", 1, 3, 256, 256) - 1.0)
    reference = torch.cat([smooth(fills.uniform("input:headgan_nmfc_ref", 1, 3, 256, 256)), photograph], dim=1)
    return driving, reference, fills.tensor(fills.normal("input:headgan_audio", 0.3, 1, 300))


def test_every_stage_is_the_official_one_and_folded_it_stays_so() -> None:
    network = fills.filled(HeadGan, "headGAN_G", "headgan_G")
    assert list(network.state_dict()) == list(fills.state_keys("headGAN_G"))
    assert fills.check_fill(fills.state("headGAN_G", "headgan_G"), "headGAN", "headgan_G")
    driving, reference, audio = inputs()
    names = [name for name in GOLDEN.index if name.startswith(("flow_network", "rendering_network"))]
    found: dict[str, Tensor] = {}
    kept = fills.record(network, names, lambda: found.update(vars(network(driving, reference, audio))))
    for name in names:
        GOLDEN.near(name, kept[name], rtol=RTOL, atol=ATOL)
    for name, ours in (("out", "image"), ("warped", "moved"), ("flow", "flow")):
        GOLDEN.near(name, found[ours], rtol=RTOL, atol=ATOL)
    with torch.inference_mode():
        silent = folded(network)(driving, reference)
    GOLDEN.near("out_zero_audio", silent.image, rtol=RTOL, atol=ATOL)


def test_what_lies_outside_of_an_image_is_its_border() -> None:
    moved = resampled(fills.uniform("input:headgan_img", 1, 4, 24, 20), fills.tensor(fills.normal("input:headgan_flow", 6, 1, 2, 24, 20)))
    GOLDEN.near("resample.out", moved, rtol=RTOL, atol=ATOL)

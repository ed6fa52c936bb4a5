"""Blocks that several networks share, against plain sums."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import signal

from frontalbench.networks.resnet import ResNet50
from frontalbench.networks.stylegan2 import filtered, modulated_conv2d
from frontalbench.networks.warping import heat_maps, identity_grid


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(3)


@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
def test_each_image_is_convolved_with_its_own_weighed_kernel(demodulate: bool, doubled: bool) -> None:
    x, weight, factors = torch.randn(3, 4, 6, 5), torch.randn(7, 4, 3, 3), torch.randn(3, 4)
    found = modulated_conv2d(x, weight, factors, demodulate=demodulate, doubled=doubled)
    for i in range(3):
        own = weight * factors[i].view(1, 4, 1, 1)
        if demodulate:
            own = own / own.flatten(1).norm(dim=1).view(7, 1, 1, 1)
        plain = F.conv_transpose2d(x[i : i + 1], own.transpose(0, 1), stride=2) if doubled else F.conv2d(x[i : i + 1], own, padding=1)
        torch.testing.assert_close(found[i : i + 1], plain, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("up", "down", "padding"), [(1, 1, (2, 1)), (2, 1, (2, 1)), (1, 2, (1, 1)), (2, 2, (0, 3)), (1, 1, (-1, 2))])
def test_filters_between_sizes_equal_upsampling_filtering_and_decimation(up: int, down: int, padding: tuple[int, int]) -> None:
    x, kernel = torch.randn(2, 3, 6, 8), torch.randn(4, 4)
    found = filtered(x, kernel, up=up, down=down, padding=padding)
    for n in range(2):
        for c in range(3):
            spread = np.zeros((6 * up, 8 * up))
            spread[::up, ::up] = x[n, c].numpy()
            before, after = padding
            spread = np.pad(spread, (max(before, 0), max(after, 0)))[max(-before, 0) :, max(-before, 0) :]
            plain = signal.convolve2d(spread, kernel.numpy(), mode="valid")[::down, ::down]
            np.testing.assert_allclose(found[n, c].numpy(), plain, rtol=1e-4, atol=1e-4)


def test_the_identity_grid_gives_every_sample_back() -> None:
    image, volume = torch.randn(1, 2, 5, 7), torch.randn(1, 2, 4, 5, 7)
    for values, sizes in ((image, (5, 7)), (volume, (4, 5, 7))):
        moved = F.grid_sample(values, identity_grid(*sizes)[None], align_corners=True)
        torch.testing.assert_close(moved, values, rtol=1e-5, atol=1e-5)


def test_the_residual_network_halves_the_size_and_doubles_the_channels() -> None:
    with torch.inference_mode():
        maps = ResNet50().eval()(torch.randn(1, 3, 64, 96))
    assert [tuple(one.shape[1:]) for one in maps] == [(256, 16, 24), (512, 8, 12), (1024, 4, 6), (2048, 2, 3)]


@pytest.mark.parametrize("sizes", [(5, 7), (4, 5, 7)])
def test_heat_maps_are_gaussian_bumps_about_their_points(sizes: tuple[int, ...]) -> None:
    points = torch.rand(2, 3, len(sizes)) * 2.0 - 1.0
    away = identity_grid(*sizes).unsqueeze(-2) - points.view(2, *[1] * len(sizes), 3, len(sizes))
    wanted = torch.exp(-0.5 * away.square().sum(-1) / 0.3)
    torch.testing.assert_close(heat_maps(points, sizes, 0.3), wanted, rtol=1e-4, atol=1e-6)
    assert heat_maps(points, sizes, 1e-3).min() == 0.0, "tails are cut off before they are denormal numbers"

"""The rearranged sums of the LivePortrait networks against the plain ones that they stand for."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402

from frontalbench.networks import layers, minimal  # noqa: E402
from frontalbench.networks.liveportrait import networks  # noqa: E402
from frontalbench.networks.warping import heat_maps, identity_grid  # noqa: E402


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    torch.manual_seed(7)
    with torch.inference_mode():
        yield


def test_minimal_filtering_equals_correlation_exactly_for_several_sizes() -> None:
    rng = np.random.default_rng(0)
    for outputs, points in ((2, (0, 1, -1)), (4, (0, 1, -1, Fraction(1, 2), -2)), (3, (0, 1, -1, 2))):
        at, g, bt = minimal.cook_toom(outputs, 3, tuple(map(Fraction, points)))
        taps, data = rng.normal(size=3), rng.normal(size=outputs + 2)
        np.testing.assert_allclose(at @ ((g @ taps) * (bt @ data)), np.correlate(data, taps, "valid"), atol=1e-12)


def test_minimal_filtering_refuses_repeated_points() -> None:
    with pytest.raises(ValueError, match="distinct"):
        minimal.cook_toom(2, 3, (Fraction(0), Fraction(1), Fraction(1)))


@pytest.mark.parametrize(("inside", "out", "height", "width", "batch"), [(5, 7, 8, 12, 2), (64, 32, 64, 64, 1), (1, 1, 4, 4, 3)])
def test_minimal_convolution_equals_the_plain_one(inside: int, out: int, height: int, width: int, batch: int) -> None:
    x, weight, bias = torch.randn(batch, inside, height, width), torch.randn(out, inside, 3, 3) / (3 * inside**0.5), torch.randn(out)
    expected = F.leaky_relu(F.conv2d(x.double(), weight.double(), bias.double(), padding=1), 0.2)
    actual = minimal.MinimalConv2d(weight, bias, activation="leaky", slope=0.2)(x)
    assert float((actual - expected).abs().max()) < 1e-4


def test_minimal_convolution_of_a_map_that_tiles_do_not_fill_equals_the_plain_one_at_every_size() -> None:
    weight, bias = torch.randn(70, 66, 3, 3) / 25, torch.randn(70)
    conv = minimal.MinimalConv2d(weight, bias)
    for batch, height, width in [(1, 6, 9), (2, 1, 2), (1, 61, 35), (5, 17, 20), (1, 9, 6)]:  # few tiles at first, then many
        x = torch.randn(batch, 66, height, width)
        expected = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
        assert float((conv(x) - expected).abs().max()) < 1e-4
    laid_out_for_many = minimal.MinimalConv2d(weight, bias)
    for side in (40, 7):
        x = torch.randn(1, 66, side, side)
        assert float((laid_out_for_many(x) - F.conv2d(x.double(), weight.double(), bias.double(), padding=1)).abs().max()) < 1e-4


def test_minimal_convolution_weighs_and_adds_what_it_is_given() -> None:
    x, weight, bias = torch.randn(2, 5, 7, 9), torch.randn(6, 5, 3, 3) / 7, torch.randn(6)
    gain, noise, plus = torch.rand(2, 6) + 0.5, torch.randn(7, 9), torch.randn(2, 6, 7, 9)
    expected = F.conv2d(x, weight, padding=1) * gain[:, :, None, None] + bias[:, None, None] + noise + plus
    conv = minimal.MinimalConv2d(weight, bias, activation="leaky", slope=0.2)
    torch.testing.assert_close(conv(x, plus, gain=gain, noise=noise), F.leaky_relu(expected, 0.2), rtol=1e-4, atol=1e-4)


def test_minimal_convolution_without_onednn_and_on_several_threads_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = torch.randn(3, 6, 30, 22), torch.randn(5, 6, 3, 3)
    fast = minimal.MinimalConv2d(weight, None)(x)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    torch.testing.assert_close(minimal.MinimalConv2d(weight, None)(x), fast, rtol=0.0, atol=0.0)
    monkeypatch.setattr(minimal, "packs", lambda: False)
    torch.testing.assert_close(minimal.MinimalConv2d(weight, None)(x), fast, rtol=1e-4, atol=1e-4)


def test_what_is_not_finite_stays_so_and_stays_where_it_is() -> None:
    x = torch.zeros(1, 2, 16, 16)
    x[0, 0, 3, 3] = float("inf")
    y = minimal.MinimalConv2d(torch.ones(3, 2, 3, 3), None, activation="relu")(x)
    assert not y[0, :, 3, 3].isfinite().any() and y[0, :, 8:, 8:].isfinite().all()


@pytest.mark.parametrize(("batch", "depth", "height", "width"), [(1, 16, 8, 8), (2, 1, 4, 12), (1, 3, 12, 4), (1, 5, 21, 22)])
def test_minimal_convolution_of_a_volume_equals_the_plain_one(batch: int, depth: int, height: int, width: int) -> None:
    x, weight, bias = torch.randn(batch, 6, depth, height, width), torch.randn(5, 6, 3, 3, 3) / 13, torch.randn(5)
    expected = F.relu(F.conv3d(x.double(), weight.double(), bias.double(), padding=1))
    conv = minimal.MinimalConv3d(weight, bias, activation="relu")
    for _ in range(2):
        assert float((conv(x) - expected).abs().max()) < 1e-4


@pytest.mark.parametrize(("kernel", "height", "width"), [(7, 16, 16), (7, 13, 5), (5, 9, 24), (3, 8, 8)])
def test_convolution_by_fourier_transforms_equals_the_plain_one(kernel: int, height: int, width: int) -> None:
    x, weight = torch.randn(2, 6, 3, height, width), torch.randn(5, 6, 1, kernel, kernel) / (6**0.5 * kernel)
    expected = F.conv3d(x.double(), weight.double(), padding=(0, kernel // 2, kernel // 2))
    conv = layers.FourierConv(weight)
    layers._workspace(*[200_000] * 5)[0].fill_(float("nan"))
    for _ in range(2):
        assert float((conv(x) - expected).abs().max()) < 1e-5


@pytest.mark.parametrize("activation", ["none", "relu", "leaky"])
@pytest.mark.parametrize("dimensions", [2, 3])
def test_convolution_with_prepared_weights_equals_the_plain_one(dimensions: int, activation: str) -> None:
    x, weight, bias = torch.randn(2, 6, *[9] * dimensions), torch.randn(5, 6, *[3] * dimensions), torch.randn(5)
    expected = (F.conv2d if dimensions == 2 else F.conv3d)(x, weight, bias, padding=1)
    if activation != "none":
        expected = F.leaky_relu(expected, 0.0 if activation == "relu" else 0.1)
    conv = layers.Conv(weight, bias, activation=activation, slope=0.1)
    for _ in range(2):  # the first call prepares the weights, the second uses them
        torch.testing.assert_close(conv(x), expected, rtol=1e-4, atol=1e-4)


def test_convolution_without_onednn_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, weight = torch.randn(1, 6, 9, 9), torch.randn(5, 6, 3, 3)
    fast = layers.Conv(weight, None, activation="relu")(x)
    monkeypatch.setattr(layers, "_can_pack", lambda x: False)
    torch.testing.assert_close(layers.Conv(weight, None, activation="relu")(x), fast, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("factor", [2, 4])
def test_upsampling_convolution_equals_nearest_and_then_convolution(factor: int) -> None:
    x, weight, bias = torch.randn(2, 6, 8, 7), torch.randn(5, 6, 3, 3), torch.randn(5)
    expected = F.relu(F.conv2d(F.interpolate(x, scale_factor=factor), weight, bias, padding=1))
    torch.testing.assert_close(layers.UpConv2d(weight, bias, factor, activation="relu")(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("gathered", [False, True])
def test_upsampling_volume_convolution_equals_nearest_and_then_convolution(gathered: bool) -> None:
    x, behind, weight, bias = torch.randn(2, 6, 4, 5, 3), torch.randn(2, 7, 4, 10, 6), torch.randn(8, 6, 3, 3, 3), torch.randn(8)
    expected = F.relu(F.conv3d(F.interpolate(x, scale_factor=(1, 2, 2)), weight, bias, padding=1))
    actual = layers.UpConv3d(weight, bias, gathered=gathered)(x, behind)
    torch.testing.assert_close(actual, torch.cat([expected, behind], dim=1), rtol=1e-4, atol=1e-4)


def test_gathered_convolution_equals_the_plain_one() -> None:
    x, weight, bias = torch.randn(2, 6, 5, 4, 3), torch.randn(7, 6, 3, 3, 3), torch.randn(7)
    expected = F.relu(F.conv3d(x, weight, bias, padding=1))
    torch.testing.assert_close(layers.GatheredConv3d(weight, bias)(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("depth", [3, 5, 16])
def test_masks_depth_taps_add_up_to_the_whole_convolution(depth: int) -> None:
    x, weight, bias = torch.randn(2, 3, depth, 8, 9), torch.randn(4, 3, 7, 7, 7) / 30, torch.randn(4)
    expected = F.conv3d(x, weight, bias, padding=3).permute(0, 2, 3, 4, 1)
    torch.testing.assert_close(networks._Mask(weight, bias)(x), expected, rtol=1e-4, atol=1e-4)


def test_batch_norm_equals_pytorchs_own_layer_in_every_number_type() -> None:
    norm = torch.nn.BatchNorm3d(6).eval()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    ours, x = layers.AffineNorm({f"n.{k}": v for k, v in norm.state_dict().items()}, "n"), torch.randn(2, 6, 3, 4, 5)
    for dtype, bound in ((torch.float32, 1e-5), (torch.float16, 2e-3), (torch.bfloat16, 2e-2)):
        assert ours(x.to(dtype)).dtype == dtype
        torch.testing.assert_close(ours(x.to(dtype)).float(), norm(x), rtol=bound, atol=bound)


def test_folded_batch_norm_equals_the_two_layers() -> None:
    conv, norm = torch.nn.Conv2d(4, 6, 3), torch.nn.BatchNorm2d(6).eval()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    norm.weight.data.normal_()
    norm.bias.data.normal_()
    state = {f"c.{k}": v for k, v in conv.state_dict().items()} | {f"n.{k}": v for k, v in norm.state_dict().items()}
    x = torch.randn(1, 4, 7, 7)
    torch.testing.assert_close(F.conv2d(x, *layers.folded(state, "c", "n")), norm(conv(x)), rtol=1e-4, atol=1e-5)


def test_folded_spectral_norm_equals_pytorchs_own() -> None:
    with torch.inference_mode(False):
        conv = torch.nn.utils.spectral_norm(torch.nn.Conv2d(4, 6, 3))
        conv(torch.randn(1, 4, 7, 7))  # one power iteration in training mode
        conv.eval()
    x = torch.randn(1, 4, 7, 7)
    state = {f"c.{k}": v for k, v in conv.state_dict().items()}
    torch.testing.assert_close(F.conv2d(x, *layers.spectral(state, "c")), conv(x), rtol=1e-4, atol=1e-5)


def test_volume_sampling_equals_grid_sample_inside_and_outside() -> None:
    volume, grid = torch.randn(2, 5, 4, 6, 7), torch.rand(2, 3, 5, 6, 3) * 3 - 1.5
    expected = F.grid_sample(volume, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    torch.testing.assert_close(networks.sample_volume(volume, grid).permute(0, 4, 1, 2, 3), expected, rtol=1e-4, atol=1e-5)


def test_flow_inputs_equal_sampling_every_flow_and_plain_heat_maps() -> None:
    feature, driving, source = torch.randn(2, 4, 6, 8, 10), torch.randn(2, 21, 3) * 0.4, torch.randn(2, 21, 3) * 0.4
    grid = identity_grid(6, 8, 10)
    expected = []
    for k in range(22):
        shift = torch.zeros(2, 1, 1, 1, 3) if k == 0 else (source - driving)[:, k - 1].view(2, 1, 1, 1, 3)
        heat = torch.zeros(2, 1, 6, 8, 10)
        if k:
            for points, sign in ((driving, 1.0), (source, -1.0)):
                distance = (grid - points[:, k - 1].view(2, 1, 1, 1, 3)).square().sum(-1)
                heat[:, 0] += sign * torch.exp(-0.5 * distance / 0.01)
        expected += [heat, F.grid_sample(feature, grid + shift, padding_mode="zeros", align_corners=False)]
    actual = networks._flow_inputs(feature, driving, source).permute(0, 4, 1, 2, 3)
    torch.testing.assert_close(actual, torch.cat(expected, dim=1), rtol=1e-4, atol=1e-5)


def test_heat_maps_hold_no_denormal_numbers() -> None:
    heat = heat_maps(torch.randn(1, 21, 3) * 0.4, [16, 64, 64], networks.HEAT_VARIANCE)
    assert float(heat[heat > 0].min()) > torch.finfo(torch.float32).tiny


def test_instance_norm_equals_pytorchs_own_far_from_zero_too() -> None:
    x = torch.randn(2, 5, 16, 16) + 50.0
    torch.testing.assert_close(networks.instance_norm(x), F.instance_norm(x), rtol=1e-3, atol=1e-4)


def test_halving_equals_average_pooling() -> None:
    x = torch.randn(2, 3, 4, 6, 8)
    torch.testing.assert_close(networks.halved(x), F.avg_pool3d(x, (1, 2, 2)))


def test_packed_networks_cannot_be_moved_silently() -> None:
    conv = layers.Conv(torch.randn(4, 3, 3, 3), None)
    conv(torch.randn(1, 3, 8, 8))
    with pytest.raises(RuntimeError, match="build it anew"):
        conv.to(torch.float64)

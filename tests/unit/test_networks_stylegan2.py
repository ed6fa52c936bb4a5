"""A generator's layer by minimal filtering beside its plain steps, and planes read by a compiled loop beside PyTorch's own sampling."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from frontalbench.networks import minimal, plane_samples, stylegan2  # noqa: E402


@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize(("batch", "inside", "out", "height", "width"), [(2, 5, 7, 6, 9), (1, 66, 70, 33, 18), (3, 33, 130, 4, 1)])
def test_a_layer_by_minimal_filtering_is_the_plain_one(
    *, batch: int, inside: int, out: int, height: int, width: int, doubled: bool
) -> None:
    torch.manual_seed(3)
    times = 2 if doubled else 1
    x, weight = torch.randn(batch, inside, height, width), torch.randn(out, inside, 3, 3) / (3 * inside**0.5)
    factors, bias = torch.rand(batch, inside) + 0.5, torch.randn(out)
    noise, blur = torch.randn(height * times, width * times), torch.rand(4, 4) / 4 if doubled else None
    gain = torch.rand(batch, out) + 0.5
    with torch.inference_mode():
        wanted = functional.conv2d(x * factors[:, :, None, None], weight, padding=1)
        if blur is not None:
            spread = functional.conv_transpose2d(x * factors[:, :, None, None], weight.transpose(0, 1), stride=2)
            wanted = stylegan2.filtered(spread, blur, padding=(1, 1))
        wanted = functional.leaky_relu(wanted * gain[:, :, None, None] + bias[:, None, None] + noise, 0.2).clamp(-2.0, 2.0)
        drawn = minimal.modulated(x, weight, factors, gain, bias, noise, slope=0.2, most=2.0, blur=blur)
    assert float(wanted.abs().max()) == 2.0
    torch.testing.assert_close(drawn, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("doubled", [False, True])
@pytest.mark.parametrize("most", [math.inf, 1.5])
def test_gradients_go_the_plain_way_and_see_the_same(*, doubled: bool, most: float, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(4)
    x, weight = torch.randn(2, 32, 64, 40), torch.nn.Parameter(torch.randn(32, 32, 3, 3) / 17)
    arguments = (x, weight, torch.rand(2, 32) + 0.5, torch.randn(32), torch.randn(128, 80) if doubled else torch.randn(64, 40))
    blur = torch.rand(4, 4) / 4 if doubled else None
    wanted = stylegan2.styled(*arguments, blur=blur, most=most)
    wanted.sum().backward()
    assert weight.grad is not None
    calls: list[int] = []
    real = minimal.modulated
    monkeypatch.setattr(minimal, "modulated", lambda *args, **kinds: calls.append(1) or real(*args, **kinds))
    with torch.no_grad():
        torch.testing.assert_close(stylegan2.styled(*arguments, blur=blur, most=most), wanted.detach(), rtol=1e-4, atol=1e-4)
        assert calls == [1]
        weight.mul_(2.0)
        doubled_weight = stylegan2.styled(*arguments, blur=blur, most=most)
        torch.testing.assert_close(doubled_weight, wanted.detach(), rtol=1e-4, atol=1e-4)  # demodulation takes the length away
        weight[:16].neg_()
        assert not torch.allclose(stylegan2.styled(*arguments, blur=blur, most=most), wanted.detach(), atol=0.1), (
            "nothing is kept of old weights"
        )


def test_a_map_with_channels_last_gets_its_colours_by_one_product_for_each_image() -> None:
    torch.manual_seed(5)
    x, weight, factors = torch.randn(3, 6, 5, 4), torch.randn(2, 6, 1, 1), torch.rand(3, 6)
    plain = stylegan2.modulated_conv2d(x, weight, factors, demodulate=False)
    last = stylegan2.modulated_conv2d(x.contiguous(memory_format=torch.channels_last), weight, factors, demodulate=False)
    torch.testing.assert_close(last, plain, rtol=1e-5, atol=1e-5)


def test_planes_are_read_as_pytorch_reads_them_and_nothing_lies_outside() -> None:
    torch.manual_seed(6)
    planes = torch.randn(3, 4, 6, 9)
    places = torch.cat([torch.rand(200, 3) * 2.6 - 1.3, torch.tensor([[-1.0, 1.0, 0.0], [float("nan"), 0.0, 0.0], [1e30, -1e30, 0.0]])])
    found = np.full((len(places), 4), 7.0, np.float32)
    lines = planes.flatten(0, 1).permute(1, 2, 0).contiguous().numpy()
    plane_samples.mean_of_planes(lines, places.numpy(), plane_samples.AXES, found)
    x, y, z = places.nan_to_num(5.0).unbind(-1)
    grid = torch.stack([torch.stack(pair, dim=-1) for pair in ((x, y), (x, z), (z, x))])[:, None]
    wanted = functional.grid_sample(planes, grid, padding_mode="zeros", align_corners=False)[:, :, 0].mean(dim=0).T
    np.testing.assert_allclose(found, wanted.numpy(), rtol=1e-4, atol=1e-5)

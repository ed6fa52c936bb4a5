"""Mean and variance of every channel."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from frontalbench.networks.moments import channel_moments


def exact(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.var_mean(x.double(), (2, 3), correction=0, keepdim=True)


@given(
    count=st.integers(1, 3),
    channels=st.integers(1, 70),
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    away=st.floats(-1e4, 1e4),
    spread=st.floats(1e-2, 1e2),
    threads=st.integers(1, 3),
)
@settings(max_examples=40, deadline=None)
def test_they_are_those_of_double_precision(
    count: int, channels: int, height: int, width: int, away: float, spread: float, threads: int
) -> None:
    x = torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(0)) * spread + away
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            variance, mean = channel_moments(x.contiguous(memory_format=torch.channels_last))
    finally:
        torch.set_num_threads(before)
    true_variance, true_mean = exact(x)
    assert variance.shape == mean.shape == (count, channels, 1, 1)
    assert variance.dtype == mean.dtype == torch.float32
    size = abs(away) + spread
    torch.testing.assert_close(mean.double(), true_mean, rtol=0, atol=1e-6 * size)
    torch.testing.assert_close(variance.double(), true_variance, rtol=1e-5, atol=1e-12 * size**2)


def test_one_pixel_far_from_the_others_costs_no_digits() -> None:
    x = torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(1)).contiguous(memory_format=torch.channels_last)
    x[:, :, 0, 0] = 1000.0
    with torch.inference_mode():
        torch.testing.assert_close(channel_moments(x)[0].double(), exact(x)[0], rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", ["gradients", "half precision", "channels first", "another device"])
def test_elsewhere_they_are_pytorch_s_own(kind: str) -> None:
    x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(2)).contiguous(memory_format=torch.channels_last)
    if kind == "gradients":
        x.requires_grad_()
        channel_moments(x)[0].sum().backward()
        assert x.grad is not None and float(x.grad.abs().sum()) > 0
        return
    x = {"half precision": x.bfloat16(), "channels first": x.contiguous(), "another device": x.to("meta")}[kind]
    with torch.inference_mode():
        variance, mean = channel_moments(x)
    assert variance.shape == mean.shape == (2, 3, 1, 1)
    assert variance.dtype == x.dtype and variance.device == x.device


def test_no_images_have_none() -> None:
    x = torch.zeros(0, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        variance, mean = channel_moments(x)
    assert variance.shape == mean.shape == (0, 3, 1, 1)

"""FSRT as it is used gives what the published arithmetic gives, in fewer products, with one copy of its weights."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from benchmarks import networks as benchmark  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from frontalbench.networks import fsrt, layers, linear, packed, precision  # noqa: E402

SIDE = 72
"""Pixels of an image here: 81 tokens instead of 1,024, and one map that is large enough for minimal filtering."""


def networks() -> tuple[nn.Module, fsrt.ExpressionEncoder, fsrt.Encoder, fsrt.Decoder]:
    torch.manual_seed(0)
    return fsrt.keypoint_detector(), fsrt.ExpressionEncoder(), fsrt.Encoder(), fsrt.Decoder()


def ready(wanted: torch.dtype = torch.float32) -> tuple[fsrt.Encoder, fsrt.Decoder]:
    detector, expression, encoder, decoder = networks()
    with precision.asking("fsrt", wanted):
        fsrt.ready(detector, expression, encoder, decoder)  # type: ignore[arg-type]
    return encoder, decoder


@pytest.fixture(scope="module")
def plain() -> tuple[fsrt.Encoder, fsrt.Decoder]:
    """What the paper computes, layer by layer."""
    return tuple(benchmark.plain(each).requires_grad_(False) for each in networks()[2:])  # type: ignore[return-value]


@pytest.fixture(scope="module")
def used() -> tuple[fsrt.Encoder, fsrt.Decoder]:
    return ready()


def given(count: int) -> tuple[Tensor, fsrt.Motion]:
    source = torch.Generator().manual_seed(count)
    keypoints = 2.0 * torch.rand(count, fsrt.KEYPOINTS, 2, generator=source) - 1.0
    return torch.rand(count, 3, SIDE, SIDE, generator=source), fsrt.Motion(keypoints, torch.randn(count, fsrt.EXPRESSION, generator=source))


def near(found: Tensor, wanted: Tensor, part: float = 1e-5) -> None:
    """Within ``part`` of the largest number."""
    torch.testing.assert_close(found, wanted, rtol=0, atol=part * float(wanted.abs().max()))


@pytest.mark.parametrize("count", [1, 3])
def test_tokens_are_those_of_all_channels_convolved(
    count: int, plain: tuple[fsrt.Encoder, fsrt.Decoder], used: tuple[fsrt.Encoder, fsrt.Decoder]
) -> None:
    images, motion = given(count)
    with torch.inference_mode():
        near(used[0](images, motion), plain[0](images, motion))


@pytest.mark.parametrize(("count", "side", "views"), [(1, 33, 1), (3, 9, 1), (2, 8, 3), (1, 1, 1)])
def test_colours_are_those_of_all_numbers_of_every_pixel(
    count: int, side: int, views: int, plain: tuple[fsrt.Encoder, fsrt.Decoder], used: tuple[fsrt.Encoder, fsrt.Decoder]
) -> None:
    """Also where tokens of several views of a person stand behind one another, and where the pixels are no whole number of parts."""
    motion = given(count)[1]
    tokens = torch.randn(count, 100 * views, fsrt.TOKEN, generator=torch.Generator().manual_seed(views))
    with torch.inference_mode():
        near(used[1](tokens, motion, side), plain[1](tokens, motion, side))


def test_the_expression_is_the_mean_of_the_convolution_s_maps() -> None:
    torch.manual_seed(0)
    expression = fsrt.ExpressionEncoder()
    heat = torch.softmax(torch.randn(2, fsrt.KEYPOINTS, 58 * 58), dim=2).view(2, fsrt.KEYPOINTS, 58, 58)
    features = torch.randn(2, 35, 64, 64)
    with torch.inference_mode():
        found = expression(features, heat)
        near(found, benchmark.plain(expression)(features, heat))


@pytest.mark.slow
def test_gradients_go_the_plain_way_and_see_the_same(plain: tuple[fsrt.Encoder, fsrt.Decoder]) -> None:
    """Before and after it was made ready, as long as it has not run."""
    images, motion = given(1)

    def seen(encoder: fsrt.Encoder, decoder: fsrt.Decoder) -> tuple[Tensor, Tensor]:
        asked = images.clone().requires_grad_(True)
        moved = motion.expression.clone().requires_grad_(True)
        with torch.enable_grad():
            drawn = decoder(encoder(asked, fsrt.Motion(motion.keypoints, moved)), fsrt.Motion(motion.keypoints, moved), 8)
            drawn.square().sum().backward()
        assert asked.grad is not None and moved.grad is not None
        return asked.grad, moved.grad

    wanted = seen(*plain)
    for found in (seen(*networks()[2:]), seen(*ready())):
        for one, other in zip(found, wanted, strict=True):
            # As a whole: a number that is 0 but for rounding has its gradient on one side and not on the other.
            assert float((one - other).norm()) < 0.01 * float(other.norm())


@pytest.mark.slow
@pytest.mark.skipif(not precision.in_hardware(torch.bfloat16), reason="this CPU does not multiply bfloat16")
def test_half_precision_draws_about_the_same_colours_and_sums_in_float32(used: tuple[fsrt.Encoder, fsrt.Decoder]) -> None:
    images, motion = given(2)
    half = ready(torch.bfloat16)
    laid_out = [each for network in half for each in network.modules() if isinstance(each, linear.Linear)]
    assert laid_out and all(each.dtype == torch.bfloat16 for each in laid_out)
    with torch.inference_mode():
        tokens, exact = half[0](images, motion), used[0](images, motion)
        drawn, colours = half[1](tokens, motion, 16), used[1](exact, motion, 16)
    assert tokens.dtype == drawn.dtype == torch.float32 and not torch.equal(tokens, tokens.bfloat16().float())
    near(tokens, exact, 2e-2)
    near(drawn, colours, 2e-2)


@pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch lays nothing out")
def test_weights_lie_in_memory_once(used: tuple[fsrt.Encoder, fsrt.Decoder]) -> None:
    images, motion = given(1)
    encoder, decoder = used
    with torch.inference_mode():
        decoder(encoder(images, motion), motion, 4)
    held = sum(value.numel() for network in used for value in (*network.parameters(), *network.buffers()) if value.dim() > 1)
    first, asked = encoder.conv_blocks[0], decoder.allocation_transformer.input_mlp[0]
    assert isinstance(first, fsrt._First) and isinstance(asked, nn.Linear)
    plain_filters = sum(each.filters.weight.numel() for each in encoder.modules() if isinstance(each, packed.MinimalConv2d))
    assert held == first.layers[0].weight.numel() + asked.weight.numel() + 3 * 1536 + plain_filters  # type: ignore[union-attr, operator]
    assert plain_filters == 9 * 192 * 192, "filters of many channels are made at every call"
    with pytest.raises(RuntimeError, match="packed for it; build it anew"):
        decoder.to(torch.float64)


@pytest.mark.slow
def test_on_another_device_nothing_is_laid_out() -> None:
    encoder, decoder = (network.to("meta") for network in ready())
    images, motion = given(2)
    motion = fsrt.Motion(*(part.to("meta") for part in motion))
    with torch.inference_mode():
        assert decoder(encoder(images.to("meta"), motion), motion, 8).shape == (2, 3, 8, 8)
    assert not any(each.laid_out() for network in (encoder, decoder) for each in network.modules() if isinstance(each, layers.LaidOut))


@pytest.mark.parametrize("activation", ["none", "relu", "gelu"])
@pytest.mark.parametrize("lays_out", [True, False])
def test_a_linear_layer_is_the_same_laid_out_and_not(activation: str, lays_out: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    if not lays_out:
        monkeypatch.setattr(linear, "packs", lambda: False)
    module = nn.Linear(48, 80)
    layer = linear.of(module, activation=activation)
    act = {"none": nn.Identity(), "relu": nn.ReLU(), "gelu": nn.GELU()}[activation]
    with torch.inference_mode():
        for shape in ((2, 30, 48), (1, 48), (3, 1, 7, 48), (48,), (0, 48)):
            x = 3.0 * torch.randn(shape)
            plus = torch.randn(*shape[:-1], 80)
            before = plus.clone()
            torch.testing.assert_close(layer(x), act(module(x)), rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(layer(x, plus), plus + act(module(x)), rtol=1e-5, atol=1e-5)
            assert torch.equal(plus, before), "others may read it"
    assert layer.laid_out() == (lays_out and torch.backends.mkldnn.is_available())


def test_a_linear_layer_in_half_precision_adds_in_the_sum_s_own_type() -> None:
    torch.manual_seed(0)
    module = nn.Linear(48, 80)
    with precision.asking("a card", torch.bfloat16):
        layer = linear.of(module)
        precision.lowered(nn.Identity())
    x, plus = torch.randn(5, 48), 100.0 + torch.randn(5, 80)
    with torch.inference_mode():
        assert layer(x).dtype == torch.bfloat16
        found = layer(x, plus)
        torch.testing.assert_close(found, plus + module(x), rtol=0, atol=3e-2)
    assert found.dtype == torch.float32

"""A folded network gives what it gave before, in fewer steps."""

from __future__ import annotations

import threading

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from frontalbench.networks import first_order, hourglass, layers, linear  # noqa: E402
from frontalbench.networks.blocks import added_, normed_conv  # noqa: E402
from frontalbench.networks.checkpoints import unfilled  # noqa: E402
from frontalbench.networks.inference import Normed, Reflected, folded  # noqa: E402
from frontalbench.networks.minimal import MinimalConv2d  # noqa: E402
from frontalbench.networks.packed import LARGE, SMALL, WIDE, Fitting, Packed  # noqa: E402
from frontalbench.networks.scaleway import Scaleway  # noqa: E402
from frontalbench.networks.spectral import SpectralConv  # noqa: E402


class Mixed(nn.Module):
    """Everything that is folded, and what looks like it and must stay: a norm first, one without a convolution, strides, groups, even kernels."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.BatchNorm2d(4), *normed_conv(4, 8, 3), nn.LeakyReLU(0.2), nn.LeakyReLU(0.5))
        self.spectral = nn.Sequential(SpectralConv(8, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU(), SpectralConv(8, 6, 4, 2, 1))
        self.alone = nn.Conv2d(6, 6, 3, padding=2, dilation=2)
        self.around = SpectralConv(6, 6, 1)
        self.rest = nn.Sequential(
            nn.Conv2d(6, 6, 3, padding=1, groups=2), nn.BatchNorm2d(6), nn.PReLU(6), nn.Conv2d(6, 6, 5, padding=2, bias=False)
        )
        self.up = nn.Sequential(
            nn.ConvTranspose2d(6, 4, 4, 2, 1, bias=False), nn.BatchNorm2d(4), nn.PixelShuffle(2), nn.BatchNorm2d(1), nn.Tanh()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.spectral(self.first(x))
        result: torch.Tensor = self.up(self.rest(self.alone(y) + self.around(y)))
        return result


class Mirrored(nn.Module):
    """Borders as in a mirror around convolutions that lose as much, norms of each image's own, one of them with weights."""

    def __init__(self) -> None:
        super().__init__()
        inner = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(64, 64, 3), nn.InstanceNorm2d(64), nn.Identity(), nn.ReLU())
        first = [nn.ReflectionPad2d(3), nn.Conv2d(4, 64, 7), nn.InstanceNorm2d(64), nn.ReLU()]
        last = [nn.ReflectionPad2d(2), nn.Conv2d(64, 8, 3), nn.InstanceNorm2d(8, affine=True), nn.ReLU()]
        self.steps = nn.Sequential(*first, inner, nn.ConvTranspose2d(64, 64, 3, 2, 1, 1), nn.InstanceNorm2d(64), *last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.steps(x)
        return result


def drawn(network: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.normal_(0.0, 0.3) if not name.endswith("running_var") else value.uniform_(0.5, 2.0)
    return network.eval()


@pytest.mark.parametrize(("make", "shape"), [(Mixed, (2, 4, 20, 24)), (Mirrored, (2, 4, 36, 33)), (Scaleway, (2, 3, 128, 128))])
def test_a_folded_network_gives_the_same(make: type[nn.Module], shape: tuple[int, ...]) -> None:
    network = drawn(make())
    x = torch.rand(shape) - 0.5
    with torch.inference_mode():
        wanted = network(x)
        assert folded(network) is network
        for _ in range(2):  # the first run packs weights
            torch.testing.assert_close(network(x), wanted, rtol=0.0, atol=1e-3 * float(wanted.abs().max()))
    assert float(wanted.std()) > 1e-3, "otherwise this test says nothing"


def test_norms_and_activations_are_gone_where_they_can_go() -> None:
    network = folded(drawn(Mixed()))
    kinds = {name: [type(step).__name__ for step in getattr(network, name)] for name in ("first", "spectral", "rest", "up")}
    assert kinds["first"] == ["BatchNorm2d", "Fitting", "LeakyReLU"] and kinds["spectral"] == ["Fitting", "Conv2d"]
    assert kinds["rest"] == ["Conv2d", "PReLU", "Fitting"] and kinds["up"] == ["ConvTranspose2d", "PixelShuffle", "BatchNorm2d", "Tanh"]
    assert isinstance(network.around, Fitting) and isinstance(network.alone, nn.Conv2d)
    assert not any(value.requires_grad for value in network.parameters())


@pytest.mark.parametrize(
    ("channels", "side", "kind"),
    [
        (WIDE, SMALL, "MinimalConv2d"),
        (WIDE, SMALL - 1, "Packed"),
        (WIDE // 2, LARGE, "Packed"),
        (192, LARGE, "made anew"),
        (192, LARGE - 1, "Packed"),
    ],
)
def test_a_convolution_is_laid_out_for_the_map_that_it_meets_first(channels: int, side: int, kind: str) -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(channels, channels, 3, padding=1)
    fitting = Fitting(plain.weight, plain.bias, activation="leaky", slope=0.2)
    first, other = torch.randn(1, channels, side, side), torch.randn(2, channels, 9, 14)
    with torch.inference_mode():
        for x in (first, other):
            torch.testing.assert_close(fitting(x), nn.functional.leaky_relu(plain(x), 0.2), rtol=1e-3, atol=1e-4)
    made = fitting.made
    assert ("made anew" if isinstance(made, MinimalConv2d) and not made.lasting else type(made).__name__) == kind
    with pytest.raises(RuntimeError, match="packed for it; build it anew"):
        fitting.to(torch.float64)


def test_a_convolution_under_gradients_is_computed_in_plain_steps() -> None:
    plain = nn.Conv2d(WIDE, WIDE, 3, padding=1)
    fitting, x = Fitting(plain.weight, plain.bias, activation="relu"), torch.randn(1, WIDE, LARGE, LARGE, requires_grad=True)
    fitting(x).sum().backward()
    assert fitting.made is None and x.grad is not None and x.grad.abs().sum() > 0


def test_a_mirrored_border_goes_with_its_convolution_and_shows_no_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    network = folded(drawn(Mirrored()))
    kinds = [type(step) for step in network.steps]
    assert kinds.count(Reflected) == 1 and kinds.count(Normed) == 2, (
        "two pixels around a 3 x 3 kernel and a norm with weights stay as they are"
    )
    conv = nn.Conv2d(3, 5, 7)
    x = torch.randn(2, 3, 131, 40)
    with torch.inference_mode():
        wanted = conv(nn.functional.pad(x, (3, 3, 3, 3), mode="reflect"))
        monkeypatch.setattr("frontalbench.networks.inference._STRIP", 1)  # then as few rows as may be
        strips = Reflected(3, Fitting(conv.weight, conv.bias, inside=True))
        for _ in range(2):
            torch.testing.assert_close(strips(x), wanted, rtol=1e-4, atol=1e-4)


def test_a_norm_in_place_keeps_the_map_where_gradients_need_it() -> None:
    x = torch.randn(2, 3, 5, 6)
    kept = x.clone()
    torch.testing.assert_close(Normed(1e-5)(x), nn.functional.instance_norm(kept))
    assert torch.equal(x, kept)
    with torch.inference_mode():
        y = Normed(1e-5)(x)
    torch.testing.assert_close(y, nn.functional.instance_norm(kept))
    assert y.data_ptr() == x.data_ptr()


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("several", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_packed_convolution_follows_the_size_of_its_map(kernel: int, several: bool, dtype: torch.dtype) -> None:
    """A 1 x 1 kernel is laid out for the largest map: the same numbers for every size, also back at the first."""
    torch.manual_seed(0)
    plain = nn.Conv2d(24, 80, kernel, padding=kernel // 2)
    near = 1e-5 if dtype == torch.float32 else 3e-2
    packed = Packed(plain.weight, plain.bias, activation="relu", dtype=dtype, several=several)
    with torch.inference_mode():
        for count, side in ((1, 20), (1, 7), (3, 40), (1, 20), (3, 40)):
            x = torch.randn(count, 24, side, side)
            torch.testing.assert_close(packed(x).float(), plain(x).relu_(), rtol=near, atol=near)
            if packed.laid_out():
                assert packed.weight.numel() == (80 * 24 if several and kernel == 1 else 0), (
                    "weights lie in memory twice only where that was said"
                )


def test_a_sum_takes_the_place_of_what_is_added_only_where_that_was_said() -> None:
    torch.manual_seed(0)
    plain = nn.Conv2d(16, 64, 1)
    packed, x = Packed(plain.weight, plain.bias, activation="relu"), torch.randn(2, 16, 9, 9)
    plus = torch.randn(2, 64, 9, 9).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        want = torch.relu(plain(x) + plus)
        before = plus.clone()
        torch.testing.assert_close(packed(x, plus=plus), want, rtol=1e-5, atol=1e-5)
        assert torch.equal(plus, before), "others may read it"
        got = packed(x, onto=plus)
        torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
        if packed.laid_out():  # with oneDNN: no second map of that size
            assert got.data_ptr() == plus.data_ptr()


def test_a_network_whose_maps_go_back_says_so_itself_or_by_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    class Frugal(nn.Module):
        frugal = True

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    asked: list[int] = []
    monkeypatch.setattr("frontalbench.networks.inference.returned", lambda: asked.append(1))
    folded(nn.Sequential(nn.ReLU()))
    assert not asked
    folded(nn.Sequential(nn.ReLU(), Frugal()))
    folded(Frugal())
    assert len(asked) == 2


@pytest.mark.parametrize(("count", "height"), [(1, 16), (2, 100), (1, 131)])
def test_borders_as_in_a_mirror_are_put_around_some_rows_at_a_time(count: int, height: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frontalbench.networks.inference._STRIP", 1 << 10)
    torch.manual_seed(3)
    plain = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(8, 5, 3))
    x = torch.randn(count, 8, height, 20)
    with torch.inference_mode():
        want = plain(x)
        network = folded(plain)
        torch.testing.assert_close(network(x), want, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(network(x), want, rtol=1e-5, atol=1e-5)


def test_a_sum_is_made_in_place_only_where_no_gradient_may_ask_for_what_was_there() -> None:
    y, x = torch.ones(3), torch.ones(3)
    with torch.no_grad():
        assert added_(y, x) is y and y.tolist() == [2.0] * 3
        mixed = added_(torch.ones(3, dtype=torch.bfloat16), x)
    assert mixed.dtype == torch.float32
    kept = torch.ones(3, requires_grad=True)
    total = added_(kept.relu(), x)
    total.sum().backward()
    assert kept.grad is not None and kept.grad.tolist() == [1.0] * 3


@pytest.mark.parametrize("kind", ["packed", "fitting", "linear"])
def test_a_second_thread_waits_while_a_layer_is_laid_out(kind: str) -> None:
    """Its plain weights go then: a thread that had begun with them would end with none."""
    torch.manual_seed(4)
    conv, flat = nn.Conv2d(16, 24, 1), nn.Linear(16, 24)
    layer = {
        "packed": Packed(conv.weight, conv.bias, several=False),
        "fitting": Fitting(conv.weight, conv.bias),
        "linear": linear.of(flat),
    }[kind]
    x = torch.randn(4, 16) if kind == "linear" else torch.randn(1, 16, 9, 9)
    found: list[torch.Tensor] = []

    def run() -> None:
        with torch.inference_mode():
            found.append(layer(x))

    other = threading.Thread(target=run)
    with torch.inference_mode():
        want = flat(x) if kind == "linear" else conv(x)
        with layers.laying:
            other.start()
            other.join(0.2)
            waited = other.is_alive()
            here = layer(x)
        other.join()
    assert waited == layer.laid_out(), "with oneDNN"
    for y in (here, *found):
        torch.testing.assert_close(y, want, rtol=1e-5, atol=1e-5)
    assert len(found) == 1


def test_no_images_give_none() -> None:
    plain = nn.Sequential(nn.ReflectionPad2d(1), nn.Conv2d(8, 5, 3), nn.InstanceNorm2d(5))
    with torch.inference_mode():
        assert folded(plain)(torch.zeros(0, 8, 12, 12)).shape == (0, 5, 12, 12)


@pytest.mark.parametrize("activation", ["none", "relu", "leaky"])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("lasting", [False, True])
def test_minimal_filtering_is_plain_steps_where_it_cannot_be(activation: str, inside: bool, lasting: bool) -> None:
    """For a gradient, and on another device: a network that asks for it at once runs on a GPU too."""
    torch.manual_seed(6)
    weight, bias = torch.randn(70, 64, 3, 3) / 24, torch.randn(70)
    made = MinimalConv2d(weight, bias, activation=activation, slope=0.2, inside=inside, lasting=lasting)
    x = torch.randn(2, 64, 20, 20).contiguous(memory_format=torch.channels_last).requires_grad_()
    plus = torch.randn(2, 70, *(18, 18) if inside else (20, 20)).contiguous(memory_format=torch.channels_last)
    given = {"plus": plus, "gain": torch.rand(2, 70) + 0.5, "noise": torch.randn(plus.shape[2:])}
    wanted = made(x, **given)
    wanted.square().sum().backward()
    assert x.grad is not None and float(x.grad.abs().sum()) > 0
    assert made.to("meta")(x.detach().to("meta"), **{name: value.to("meta") for name, value in given.items()}).shape == wanted.shape
    again = MinimalConv2d(weight, bias, activation=activation, slope=0.2, inside=inside, lasting=lasting)
    with torch.inference_mode():
        torch.testing.assert_close(again(x.detach(), **given), wanted.detach(), rtol=1e-3, atol=1e-3)
    if again.filters.laid_out():
        with pytest.raises(RuntimeError, match="build it anew for gradients"):
            again(x, **given)


@pytest.mark.slow
def test_first_order_model_made_ready_runs_on_another_device_than_the_cpu() -> None:
    """Its residuals were for a CPU alone: on a GPU every image was an error."""
    generator, detector = (unfilled(make).float() for make in (first_order.Generator, lambda: first_order.keypoint_detector()))
    images = torch.empty(1, 3, 256, 256, device="meta")
    with torch.inference_mode():
        points = hourglass.ready(detector).to("meta")(images)
        drawn = first_order.ready(generator).to("meta")(images, points, points)
    assert drawn.shape == images.shape
    assert drawn.device.type == "meta"

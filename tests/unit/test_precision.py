"""``precision_cpu`` of a card: half precision on a CPU for every torch network, off unless asked for, refused where the machine lacks it."""

from __future__ import annotations

import dataclasses
from collections import namedtuple
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from frontalbench.catalogue import cards, families  # noqa: E402
from frontalbench.errors import BadConfig, WeightsMissing  # noqa: E402
from frontalbench.networks import packed, precision, retinaface  # noqa: E402
from frontalbench.networks.inference import folded  # noqa: E402

HAS = {"avx512_bf16": True}


@pytest.fixture
def capable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that multiplies bfloat16, whatever this one does: PyTorch computes the same without, slowly."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: HAS, raising=False)


def asking(kind: str, name: str, wanted: str = "bfloat16") -> cards.ModelCard:
    card = cards.find(kind, name)
    return dataclasses.replace(card, params={**card.params, "precision_cpu": wanted})


def small() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(3, 16, 3, padding=1), torch.nn.BatchNorm2d(16), torch.nn.ReLU(), torch.nn.Conv2d(16, 8, 3, 2)]
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(8 * 7 * 7, 5)).eval()


def test_a_network_that_is_asked_for_bfloat16_computes_in_it_and_gives_float32() -> None:
    x = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        exact = folded(small())(x)
        with precision.asking("a card", torch.bfloat16):
            network = folded(small())
        half = network(x)
    assert half.dtype == torch.float32 and network[0].weight.dtype in (torch.bfloat16, torch.float32)
    error = float((half - exact).abs().max() / exact.abs().max())
    assert 1e-4 < error < 2e-2, "eight bits of mantissa, not twenty-four"
    with torch.inference_mode():
        assert torch.equal(folded(small())(x), exact), "the next network is asked for nothing"


@pytest.mark.parametrize("minimal", [False, True], ids=["plain", "wide"])
def test_packed_convolutions_take_the_type_that_is_asked_for(minimal: bool) -> None:
    torch.manual_seed(0)
    channels = packed.WIDE if minimal else 16
    weight, bias, x = torch.randn(channels, channels, 3, 3) / 30, torch.randn(channels), torch.randn(1, channels, 8, 8)
    with torch.inference_mode():
        exact = packed.conv(weight, bias, activation="relu")
        with precision.asking("a card", torch.bfloat16):
            half = packed.conv(weight, bias, activation="relu")
            precision.lowered(torch.nn.Identity())
        assert isinstance(exact, packed.MinimalConv2d) == minimal and isinstance(half, packed.Packed), "minimal filtering is for float32"
        want, got = exact(x), half(x)
        assert got.dtype == torch.bfloat16
        torch.testing.assert_close(got.float(), want, rtol=2e-2, atol=2e-2)
        plus = torch.randn_like(want)
        torch.testing.assert_close(half(x, plus=plus).float(), torch.relu(packed.Packed(weight, bias)(x) + plus), rtol=3e-2, atol=3e-2)


def test_what_a_network_gives_beside_tensors_stays_as_it_is() -> None:
    Pair = namedtuple("Pair", "drawn count")

    class Gives(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> object:
            return Pair(x.bfloat16(), 3), {"some": [x.bfloat16(), "word"]}, x.long()

    with precision.asking("a card", torch.bfloat16):
        network = precision.lowered(Gives())
    pair, some, whole = network(torch.ones(2))
    assert (type(pair), pair.drawn.dtype, pair.count) == (Pair, torch.float32, 3)
    assert (some["some"][0].dtype, some["some"][1], whole.dtype) == (torch.float32, "word", torch.int64)


def test_a_processor_says_what_it_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    for features, expected in (
        ({"avx512_bf16": True}, (True, False)),
        ({"amx_tile": True, "amx_bf16": True, "amx_fp16": True}, (True, True)),
        ({"amx_bf16": True}, (False, False)),
        ({}, (False, False)),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda features=features: features, raising=False)
        assert (precision.in_hardware(torch.bfloat16), precision.in_hardware(torch.float16)) == expected
    assert not precision.in_hardware(torch.float32)


def test_a_card_is_refused_in_one_line_where_the_processor_lacks_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {}, raising=False)
    with pytest.raises(
        BadConfig, match=r"card 'gfpgan_full': precision_cpu bfloat16 needs a CPU that computes in it .*use float32"
    ) as caught:
        families.load(asking("enhancement", "gfpgan_full"))
    assert "\n" not in str(caught.value)
    with pytest.raises(BadConfig, match="precision_cpu 'half' is not known; known: float32, float16, bfloat16"):
        families.load(asking("enhancement", "gfpgan_full", "half"))


@pytest.mark.usefixtures("capable")
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("detector", "retinaface_r50"),
        ("enhancement", "codeformer"),
        ("frontalizer", "ffwm"),
        ("backbone", "kprpe_webface4m"),
        ("backbone", "lvface_b"),
    ],
)
def test_cards_of_torch_networks_may_ask_for_it_and_load_up_to_their_weights(
    kind: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRONTALBENCH_STORE", str(tmp_path))
    monkeypatch.delenv("FRONTALBENCH_WEIGHTS", raising=False)
    card = asking(kind, name)
    assert (families.precision(card, "cpu"), families.precision(cards.find(kind, name), "cpu")) == ("bfloat16", "float32")
    with pytest.raises(WeightsMissing):
        families.load(card)


@pytest.mark.usefixtures("capable")
def test_a_family_without_a_network_of_ours_says_that_it_computes_in_float32() -> None:
    with pytest.raises(BadConfig, match="card 'sharp': precision_cpu: this family computes in float32 on a CPU; leave the param out"):
        families.load(asking("enhancement", "sharp"))


@pytest.mark.usefixtures("capable")
def test_the_second_step_of_a_restorer_reads_a_card_that_asks_for_it() -> None:
    from frontalbench.enhance.gfpgan import finisher

    assert finisher(asking("enhancement", "gfpgan_detail"))


def test_retinaface_finds_about_the_same_in_bfloat16() -> None:
    torch.manual_seed(0)
    network, x = retinaface.RetinaFaceNet("mobilenet0.25").eval(), torch.rand(1, 3, 96, 64) * 100 - 50
    with torch.inference_mode():
        exact = network(x)
        with precision.asking("a card", torch.bfloat16):
            half = retinaface.ready(network)(x)
    for want, got in zip(exact, half, strict=True):
        assert got.dtype == torch.float32 and 0 < float((got - want).abs().max()) <= 0.03 * float(want.abs().max())

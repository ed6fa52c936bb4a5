"""``precision_cpu`` of a card: half precision on a CPU for every torch network, off unless asked for, refused where the machine lacks it."""

from __future__ import annotations

import dataclasses
import importlib
import re
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.catalogue import cards, families  # noqa: E402
from frontalbench.embed.gradient import load_recognizer  # noqa: E402
from frontalbench.errors import BadConfig  # noqa: E402
from frontalbench.networks import asked, checkpoints, eg3d, first_order, fsrt, hourglass, packed, precision, retinaface  # noqa: E402
from frontalbench.networks.inference import folded  # noqa: E402
from frontalbench.networks.onnx_graph import OnnxNetwork  # noqa: E402
from frontalbench.runtime import sessions  # noqa: E402
from frontalbench.weights import store  # noqa: E402
from tests.unit.test_recognizer import written  # noqa: E402

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


class Reached(Exception):
    """A network was asked to compute in half precision."""


KINDS = (*families.ROOMS, "driver", "matting", "feature", "quality")
FAMILIES = [(kind, family) for kind in KINDS for family in families.of_kind(kind)]
CARDS = {(card.kind, card.family): card for kind in KINDS for card in cards.all_cards(kind)} | {
    ("frontalizer", "made_elsewhere"): dataclasses.replace(cards.find("frontalizer", "identity"), family="made_elsewhere")  # users' own
}
MESH = SimpleNamespace(template=range(5023), mean=range(9), triangles=np.zeros((1, 3), np.int64))
READERS: dict[str, dict[str, Any]] = {
    "ir_resnet": {"embed.ir_resnet.network_of": ({}, False)},
    "cvthead": {"frontalize.cvthead.read_flame": MESH, "frontalize.cvthead.read_mesh": MESH},
    "deca": {f"frontalize.deca.{name}": MESH for name in ("read_flame", "unrolling.read_obj", "read_mask", "read_raised", "Surface")},
    "hrn": {
        f"frontalize.hrn.{name}": MESH for name in ("model.read", "model.read_standard", "read_places", "unrolling.Unrolled", "Surface")
    },
    "first_order": {"frontalize.driver.used": mock.MagicMock()},
    "fsrt": {"frontalize.driver.used": mock.MagicMock()},
    "refiner": {"networks.checkpoints.metadata": {"settings": '{"width": 8, "levels": 2}'}},
    "scaleway_published": {
        "frontalize.scaleway_published.git_blob": CARDS["frontalizer", "scaleway_published"].params["git_blob"],
        "frontalize.module_pickle.read": {},
    },
    "inception": {"quality.inception.read_torchscript": {}},
}
"""Family -> what reads a file of its own beside a state dict, and what it reads here."""


class Anything(dict[str, Any]):
    """A state dict that has whatever is asked for."""

    def pop(self, *_: object) -> torch.Tensor:
        return torch.ones(1)


def test_every_family_has_a_card_that_the_next_tests_load() -> None:
    assert set(CARDS) >= set(FAMILIES)
    assert {(kind, family) for kind, known in families.FLOAT32.items() for family in known} <= set(FAMILIES)


@pytest.fixture
def without_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Cards load without weights: networks stay as they were allocated; a used card is a stand-in; a network that lowers says so and ends it."""
    whole, top = families.load, []

    def load(card: cards.ModelCard, **options: Any) -> Any:
        if top:
            return mock.MagicMock()
        top.append(card)
        return whole(card, **options)

    def reached(*args: object, **options: object) -> None:
        raise Reached

    (tmp_path / "weights").write_bytes(b"")
    monkeypatch.setattr(families, "load", load)
    monkeypatch.setattr(store, "fetch", lambda *args, **options: tmp_path / "weights")
    monkeypatch.setattr(checkpoints, "load", lambda *args, **options: Anything())
    monkeypatch.setattr(checkpoints, "opened", lambda *args, **options: SimpleNamespace(path=tmp_path / "weights"))
    monkeypatch.setattr(checkpoints, "fill", lambda *args, **options: None)
    monkeypatch.setattr(asked, "answered", reached)
    monkeypatch.setattr(sessions, "OpenVinoSession", reached)


@pytest.mark.slow
@pytest.mark.usefixtures("capable", "without_weights")
@pytest.mark.parametrize(("kind", "family"), FAMILIES, ids=[f"{kind}-{family}" for kind, family in FAMILIES])
def test_a_card_of_every_family_has_a_network_that_lowers_or_is_told_why_not(
    kind: str, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = CARDS[kind, family]
    params = {key: value for key, value in card.params.items() if key != "engine_cpu"}  # that engine: test_onnx_graph.py
    half = dataclasses.replace(card, params={**params, "precision_cpu": "bfloat16"})
    if kind == "frontalizer" and family == "liveportrait":
        assert families.precision(half, "cpu") == "bfloat16", "it answers itself, see test_liveportrait_frontalizer.py"
        return
    if family in families.FLOAT32.get(kind, {}):
        reason = families.FLOAT32[kind][family]
        monkeypatch.setattr(
            importlib.import_module(families.target(kind, family)[0]), families.target(kind, family)[1], lambda *_, **__: None
        )
        with pytest.raises(BadConfig, match=re.escape(f"card '{card.name}': precision_cpu: {reason}")) as caught:
            families.load(half)
        assert "\n" not in str(caught.value) and str(caught.value).endswith("leave the param out")
        return
    for reader, found in READERS.get(family, {}).items():
        monkeypatch.setattr(f"frontalbench.{reader}", lambda *_, found=found, **__: found)
    with pytest.raises(Reached):
        families.load(half)


@pytest.mark.usefixtures("capable")
def test_a_card_that_is_used_computes_in_what_it_says_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    outer, inner = cards.find("enhancement", "omit_bg"), cards.find("matting", "modnet")

    def build(card: cards.ModelCard, **options: object) -> None:
        said.append(asked.word())
        asked.answered()
        if card.kind == "enhancement":
            families.load(inner)
            families.load(dataclasses.replace(inner, params={**inner.params, "precision_cpu": "bfloat16"}))

    for card in (outer, inner):
        module, name = families.target(card.kind, card.family)
        monkeypatch.setattr(importlib.import_module(module), name, build)
    families.load(dataclasses.replace(outer, params={**outer.params, "precision_cpu": "bfloat16"}))
    families.load(outer)
    assert said == ["bfloat16", "float32", "bfloat16", "float32", "float32", "bfloat16"]
    assert asked.word() == "float32"


def test_a_card_without_networks_of_its_own_names_the_cards_that_have_some() -> None:
    assert families.why_float32(cards.find("frontalizer", "mesh")).endswith("copies of which may ask for it (face_landmarker)")


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


def test_retinaface_keeps_its_heads_in_float32_so_that_certain_faces_do_not_tie() -> None:
    torch.manual_seed(0)
    for backbone in ("mobilenet0.25", "resnet50"):
        with torch.inference_mode(), precision.asking("a card", torch.bfloat16):
            scores = retinaface.ready(retinaface.RetinaFaceNet(backbone).eval())(torch.rand(1, 3, 64, 64) * 100 - 50)[1][0, :, 1]
        assert not torch.equal(scores, scores.bfloat16().float())
        assert len(scores.unique()) > 1.5 * len(scores.bfloat16().unique()), (
            "in bfloat16 many have the same score, and the first of them gives the points"
        )


def test_coordinates_of_a_keypoint_detector_are_made_in_float32() -> None:
    torch.manual_seed(0)

    def made() -> hourglass.KeypointDetector:
        torch.manual_seed(0)
        detector = first_order.keypoint_detector()
        torch.nn.init.normal_(detector.kp.weight, std=0.05)  # heat maps with a peak
        return detector

    images = torch.rand(1, 3, 256, 256)
    with torch.inference_mode():
        exact = hourglass.ready(made())(images)
        with precision.asking("a card", torch.bfloat16):
            detector = hourglass.ready(made())
        features, heat = detector.features(images)
        half = detector(images)
    assert features.dtype == heat.dtype == torch.float32
    torch.testing.assert_close(heat.sum((2, 3)), torch.ones(1, 10), atol=1e-5, rtol=0)
    pixels = 127.5 * (half.value - exact.value).abs()
    assert 0 < float(pixels.max()) < 1.0
    assert not torch.equal(half.value, half.value.bfloat16().float())


def test_motions_stay_float32_in_a_generator_in_half_precision() -> None:
    with precision.asking("a card", torch.bfloat16):
        motion = first_order.DenseMotion().ready()
    value = torch.linspace(-0.5, 0.5, 20).view(1, 10, 2)
    points = [hourglass.Keypoints(value + shift, torch.eye(2).expand(1, 10, 2, 2)) for shift in (0.0, 0.013)]
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        grid, seen, shares = motion(torch.rand(1, 3, 128, 128).bfloat16(), *points)
    assert {grid.dtype, seen.dtype, shares.dtype} == {torch.float32}
    torch.testing.assert_close(shares.sum(1), torch.ones(1, 32, 32), atol=1e-6, rtol=0)


def test_a_transformer_sums_its_layers_in_float32() -> None:
    torch.manual_seed(0)
    network = fsrt.Transformer(64, 3).eval()
    x = torch.randn(1, 5, 64)
    with torch.inference_mode():
        exact = network(x)
        with precision.asking("a card", torch.bfloat16):
            half = precision.lowered(network)(x)
    assert half.dtype == torch.float32 and not torch.equal(half, half.bfloat16().float())
    assert 0 < float((half - exact).abs().max()) < 0.02 * float(exact.abs().max())


def test_a_generator_in_half_precision_has_a_gradient() -> None:
    torch.manual_seed(0)
    block = eg3d.Block(8, 8, 16, 3)
    for value in block.parameters():
        torch.nn.init.normal_(value, std=0.5)
    with precision.asking("a card", torch.bfloat16):
        precision.lowered(block)
    styles = torch.randn(1, 3, eg3d.STYLE, requires_grad=True)
    drawn = block(torch.randn(1, 8, 8, 8), torch.randn(1, 3, 8, 8), styles)[1]
    drawn.square().mean().backward()
    assert drawn.dtype == torch.float32 and styles.grad is not None and styles.grad.dtype == torch.float32
    assert bool(torch.isfinite(styles.grad).all()) and float(styles.grad.abs().max()) > 0


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    """A network whose shapes are computed on the way, as EdgeFace-S computes some."""
    pytest.importorskip("onnx")

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.first, self.slopes, self.last = torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.PReLU(32), torch.nn.Linear(32 * 20 * 20, 8)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.slopes(self.first(x))
            return self.last(y.reshape(x.shape[0], y.shape[1] * y.shape[2] * y.shape[3]))

    path = tmp_path / "net.onnx"
    options = {"dynamo": False, "input_names": ["in"], "output_names": ["out"], "dynamic_axes": {"in": {0: "n"}, "out": {0: "n"}}}
    torch.onnx.export(Net().eval(), (torch.rand(2, 3, 20, 20),), str(path), opset_version=13, **options)  # type: ignore[arg-type]
    return path


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("engine", ["openvino", "torch"])
def test_a_file_of_onnx_computes_in_what_is_asked_for(engine: str, onnx_file: Path) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
        if not precision.in_hardware(torch.bfloat16):
            pytest.skip("OpenVINO multiplies bfloat16 only on a processor that does")
    x = np.random.default_rng(0).uniform(-1, 1, (3, 3, 20, 20)).astype(np.float32)

    def run() -> np.ndarray:
        if engine == "torch":
            return OnnxNetwork(onnx_file, "net")({"in": torch.from_numpy(x)})["out"].numpy()
        session = sessions.onnx_session(onnx_file)
        return np.concatenate([session.run(None, {"in": rows})[0] for rows in (x[:2], x[2:])])

    exact = run()
    with precision.asking("a card", torch.bfloat16):
        half = run()
    error = float(np.abs(half - exact).max() / np.abs(exact).max())
    assert half.shape == exact.shape and half.dtype == np.float32 and 1e-5 < error < 3e-2


@pytest.mark.usefixtures("capable")
def test_a_recogniser_with_a_gradient_computes_in_what_its_own_card_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "fetch", lambda *_, **__: written(tmp_path / "net.onnx", "Add"))
    crops = torch.rand(2, 3, 4, 4, requires_grad=True)
    exact = load_recognizer(cards.find("backbone", "w600k_mbf"))(crops)[0]
    with precision.asking("the card that uses it", torch.bfloat16):
        assert torch.equal(load_recognizer(cards.find("backbone", "w600k_mbf"))(crops)[0], exact)
        asked.answered()
    half = load_recognizer(asking("backbone", "w600k_mbf"))(crops)[0]
    assert not torch.equal(half, exact)
    torch.testing.assert_close(half, exact, atol=1e-2, rtol=0)
    half[0, 0].backward()
    assert crops.grad is not None and bool(torch.isfinite(crops.grad).all()) and float(crops.grad.abs().sum()) > 0

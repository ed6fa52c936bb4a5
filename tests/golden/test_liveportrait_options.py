"""Half precision and torch.compile, on the CPU: the same images within what the number type keeps, each network one graph."""

from __future__ import annotations

import functools

import pytest

torch = pytest.importorskip("torch")

from frontalbench.liveportrait.pipeline import LivePortrait, Precision  # noqa: E402
from frontalbench.networks.liveportrait import networks  # noqa: E402
from frontalbench.networks.precision import in_hardware  # noqa: E402
from tests.golden import fills  # noqa: E402
from tests.golden.fills import normal, tensor, uniform  # noqa: E402
from tests.golden.test_liveportrait import compare  # noqa: E402

Values = dict[str, torch.Tensor]
state = functools.cache(fills.liveportrait)


@pytest.fixture(scope="module")
def inputs() -> Values:
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(1, 21, 3, generator=generator) * 0.3
    return {"image": torch.rand(1, 3, 256, 256, generator=generator), "source": source, "driving": source + 0.05}


@pytest.fixture(scope="module")
def exact(inputs: Values) -> Values:
    torch.set_num_threads(2)
    return drawn(LivePortrait(state, algorithm="direct"), inputs)


def drawn(portrait: LivePortrait, inputs: Values) -> Values:
    with torch.inference_mode():
        volume = portrait.appearance(inputs["image"])
        features = portrait.warping(volume, inputs["driving"], inputs["source"])
        return {"volume": volume, "features": features, "image": portrait.generator(features)}


@pytest.mark.parametrize(("precision", "bounds"), [("float16", (0.004, 0.001, 0.004)), ("bfloat16", (0.03, 0.01, 0.03))])
def test_half_precision_meets_the_official_outputs(precision: Precision, bounds: tuple[float, ...]) -> None:
    """Bounds are absolute and about three times what was measured: 3 bits fewer cost bfloat16 eight times as much."""
    if not (in_hardware(getattr(torch, precision)) or torch.cuda.is_available()):
        pytest.skip(f"no hardware for {precision} here: emulated, these networks take many minutes, and cards that ask for it are refused")
    portrait = LivePortrait(state, precision=precision)
    convolutions = [module for module in portrait.generator.modules() if isinstance(module, networks.LOW_PRECISION)]
    assert {module.bias.dtype for module in convolutions if module.bias is not None} == {getattr(torch, precision)}
    source = normal("input:kp_source", 0.3, 1, 21, 3)
    driving = source + normal("input:kp_driving_delta", 0.05, 1, 21, 3)
    volume = tensor(normal("input:volume", 0.5, 1, 32, 16, 64, 64))
    with torch.inference_mode():
        values = {
            "F.out": portrait.appearance(uniform("input:image", 1, 3, 256, 256)),
            "W.out": portrait.warping(volume, tensor(driving), tensor(source)),
            "G.out": portrait.generator(tensor(normal("input:generator", 0.5, 1, 256, 64, 64))),
        }
    for (name, value), bound in zip(values.items(), bounds, strict=True):
        compare(name, value.float(), rtol=0.0, atol=bound)


def test_every_heavy_network_compiles_to_one_graph(inputs: Values, exact: Values) -> None:
    """Breaks in the graph are where torch.compile loses its gain; ``eager`` traces without generating code, which would take minutes here."""
    source, driving = inputs["source"], inputs["driving"]
    cases = {
        "volume": (networks.AppearanceExtractor(state("appearance")), (inputs["image"],)),
        "features": (networks.WarpingNetwork(state("warping")), (exact["volume"], driving, source)),
        "image": (networks.Generator(state("generator")), (exact["features"],)),
    }
    for name, (network, arguments) in cases.items():
        with torch.inference_mode():
            value = torch.compile(network.eval(), backend="eager", fullgraph=True)(*arguments)
        torch.testing.assert_close(value, exact[name], rtol=1e-3, atol=1e-4)

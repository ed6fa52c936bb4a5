"""Recognition networks of 2021 to 2024 against what the official modules give under the same synthetic weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

torch = pytest.importorskip("torch")

from frontalbench.networks import checkpoints  # noqa: E402
from frontalbench.networks.edgenext import EdgeFace  # noqa: E402
from frontalbench.networks.inference import folded  # noqa: E402
from frontalbench.networks.ir_resnet import IrResNet, renamed  # noqa: E402
from frontalbench.networks.kprpe import KeypointViT  # noqa: E402
from tests.golden import fills  # noqa: E402

CROPS = fills.uniform("backbones/crops", 2, 3, 112, 112) * 2 - 1
OFFICIAL = {
    "AdaFace IR-50": (lambda: IrResNet(50), "9780598f0f3be713b1f8e9823f70bdc31bcb73e0d91060021a2693955c6ef4f5"),
    "AdaFace IR-101": (lambda: IrResNet(100), "cca1a2a49a75695545581100adc6905766dbc94dc4df11783d6203b2b1e2d9b4"),
    "EdgeFace-Base": (lambda: EdgeFace("base"), "de161294ec620b83a90ddc3cfc3c5ef4ecd0371f75d4f5962acd300db61626c2"),
    "KP-RPE ViT-B": (KeypointViT, "5c7887659c6e9a5538cd04233f09a000ed9c3bd650c69d0be7d55f167a3ead3a"),
}
"""Network -> SHA-256 of its official state dict's lines ``key shape`` in order."""


def test_adaface_s_network_gives_the_official_embedding() -> None:
    network = fills.filled(lambda: IrResNet(18), "AdaFace_ir18", "adaface")
    with torch.inference_mode():
        fills.golden("IRResNet").near("adaface", network(CROPS))
        fills.golden("IRResNet").near("adaface", folded(network)(CROPS))


def test_magface_s_network_gives_the_official_embedding_under_its_own_names() -> None:
    network = checkpoints.unfilled(lambda: IrResNet(18, epsilon=2e-5, insightface=True))
    checkpoints.fill(network, renamed(fills.state("MagFace_iresnet18", "magface"), 18), "MagFace_iresnet18_statedict.tsv")
    with torch.inference_mode():
        fills.golden("IRResNet").near("magface", network.eval()(CROPS))


@pytest.mark.parametrize(("name", "make"), [("xs", lambda: EdgeFace("x_small", share=0.6)), ("s", lambda: EdgeFace("small", share=0.5))])
def test_edgeface_s_network_gives_the_official_embedding(name: str, make: Callable[[], EdgeFace]) -> None:
    network = fills.filled(make, f"EdgeFace_{name}", f"edgeface_{name}")
    with torch.inference_mode():
        fills.golden("EdgeFace").near(name, network(CROPS))
        fills.golden("EdgeFace").near(name, folded(network)(CROPS))


def test_kprpe_gives_the_official_embedding_and_another_one_where_the_points_lie_elsewhere() -> None:
    network = fills.filled(lambda: KeypointViT(width=64, depth=2, heads=4), "KPRPE_tiny", "kprpe")
    points = fills.uniform("backbones/points", 2, 5, 2)
    with torch.inference_mode():
        fills.golden("KPRPE").near("tiny", network(CROPS, points))
        fills.golden("KPRPE").near("tiny_moved", network(CROPS, 1 - points))
    stored = fills.golden("KPRPE").arrays
    assert abs(stored["tiny"] - stored["tiny_moved"]).max() > 0.1


@pytest.mark.parametrize("name", OFFICIAL)
def test_the_full_sizes_have_the_official_names_and_shapes(name: str) -> None:
    make, wanted = OFFICIAL[name]
    with torch.device("meta"):
        network = make()
    lines = [f"{key} {'x'.join(map(str, value.shape)) or 'scalar'}\n" for key, value in network.state_dict().items()]
    assert hashlib.sha256("".join(lines).encode()).hexdigest() == wanted

"""FFWM's flow network and generator against golden tensors of the official modules (no trained weight is in them)."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from frontalbench.networks.ffwm import FlowNet, Generator, warped  # noqa: E402
from frontalbench.networks.inference import folded  # noqa: E402
from frontalbench.networks.spectral import SpectralConv  # noqa: E402
from tests.golden import fills  # noqa: E402

NETWORKS = {"F": (FlowNet, "FFWM_flowNetF", "param_sum_abssum_flowNetF"), "G": (Generator, "FFWM_netG", "param_sum_abssum_netG")}


@pytest.mark.parametrize("scheme", ["A", "B"])
def test_the_same_weights_move_and_draw_the_same_face_at_every_stage(scheme: str) -> None:
    golden = fills.golden("FFWM")
    flow_net, generator = (
        fills.filled(make, name, scheme, golden="FFWM", sums=f"{scheme}/{sums}") for make, name, sums in NETWORKS.values()
    )
    assert list(flow_net.state_dict()) == list(fills.state_keys("FFWM_flowNetF"))
    assert list(generator.state_dict()) == list(fills.state_keys("FFWM_netG"))
    image = fills.drawn("ffwm/input0", (1, 3, 128, 128), 0, 1)
    golden.near("input_first8", image.flatten()[:8])
    results: list[tuple[torch.Tensor, ...]] = []
    for letter, network, run in (("F", flow_net, lambda: flow_net(image)), ("G", generator, lambda: generator(image, results[0]))):
        stages = [name for name, _ in network.named_modules() if f"{scheme}/{letter}.{name}" in golden.arrays]
        assert len(stages) >= 11
        seen = fills.record(network, stages, lambda run=run: results.append(run()))  # type: ignore[misc]
        for name, value in seen.items():
            golden.near_sub(f"{scheme}/{letter}.{name}", value)
    (flow128, flow64, flow32), (rec128, rec64, rec32) = results
    for name, value in {"flow128": flow128, "rec128": rec128, "warped": warped(image, flow128)}.items():
        golden.near(f"{scheme}/{name}", value[:, :, ::2, ::2])
    for name, value in {"flow64": flow64, "flow32": flow32, "rec64": rec64, "rec32": rec32}.items():
        golden.near(f"{scheme}/{name}", value)
    folded(flow_net), folded(generator)
    with torch.inference_mode():
        golden.near(f"{scheme}/rec128", generator(image, flow_net(image))[0][:, :, ::2, ::2])


def test_spectral_normalisation_leaves_a_weight_whose_largest_singular_value_is_one() -> None:
    conv = SpectralConv(5, 7, 3)
    torch.nn.init.normal_(conv.weight_orig, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(conv.weight_orig.detach().flatten(1))
    conv.get_buffer("weight_u").copy_(u[:, 0])
    conv.get_buffer("weight_v").copy_(v[0])
    assert torch.linalg.matrix_norm(conv.weight.detach().flatten(1), 2) == pytest.approx(1.0, rel=1e-5)

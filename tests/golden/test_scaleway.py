"""The generator of scaleway/frontalization against golden tensors of the published network definition (no published weight is in them)."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from frontalbench.networks.scaleway import Scaleway  # noqa: E402
from tests.golden import fills  # noqa: E402

NAME = "scaleway_frontalization"


@pytest.mark.parametrize("scheme", ["A", "B"])
def test_the_same_weights_draw_the_same_images(scheme: str) -> None:
    network = fills.filled(Scaleway, NAME, scheme, golden=NAME, sums=f"{scheme}/param_sum_abssum")
    assert list(network.state_dict()) == list(fills.state_keys(NAME))
    with torch.no_grad():
        drawn = network(fills.drawn("scaleway/input0", (2, 3, 128, 128), -1, 1))
    fills.golden(NAME).near(f"{scheme}/output", drawn[:, :, ::2, ::2])

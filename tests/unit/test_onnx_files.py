"""The files of random weights that benchmarks measure have the size of the real ones."""

from __future__ import annotations

import pytest
import torch
from benchmarks import onnx_files

from frontalbench.catalogue import cards


@pytest.mark.parametrize("name", onnx_files.NAMES)
def test_a_file_of_published_shape_has_as_many_weights_as_the_real_one(name: str) -> None:
    with torch.device("meta"):
        network = onnx_files.built(name)
    numbers = sum(value.numel() for value in network.parameters())
    real = cards.find(*name.split("/")).data["weights"]["model"]["bytes"]
    assert 4 * numbers == pytest.approx(real, rel=0.002)


def test_its_products_are_those_of_the_paper() -> None:
    """Published (Guo et al. 2021): 10 billion at 640 x 480."""
    with torch.device("meta"):
        network, image = onnx_files.Scrfd(), torch.zeros(1, 3, 480, 640)
    products = 0

    def count(module: torch.nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal products
        products += output.numel() * module.weight[0].numel()  # type: ignore[index,union-attr,operator]

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    network.eval()(image)
    assert products / 1e9 == pytest.approx(10.0, abs=0.05)

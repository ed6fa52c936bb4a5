"""The LivePortrait networks as ONNX files, for programs without PyTorch.

One image at a time (batch 1), float32, opset 20: the first whose GridSample knows volumes. Names of inputs and outputs: :data:`SIGNATURES`; what is
computed between the networks is in ``motion.py`` and in a table of docs/liveportrait.md.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from frontalbench.files import atomic
from frontalbench.networks.layers import State
from frontalbench.networks.liveportrait import keys, networks

OPSET = 20


@dataclass(frozen=True)
class Signature:
    """Names and shapes of what goes into a network, names of what comes out."""

    inputs: Mapping[str, tuple[int, ...]]
    outputs: tuple[str, ...]


SIGNATURES: dict[str, Signature] = {
    "appearance": Signature({"image": (1, 3, 256, 256)}, ("volume",)),
    "motion": Signature({"image": (1, 3, 256, 256)}, tuple(keys.MOTION_HEADS)),
    "warping": Signature({"volume": (1, 32, 16, 64, 64), "driving": (1, 21, 3), "source": (1, 21, 3)}, ("features",)),
    "generator": Signature({"features": (1, 256, 64, 64)}, ("image",)),
    "stitching": Signature({"source_and_driving": (1, 126)}, ("offsets",)),
    "lip": Signature({"source_and_ratios": (1, 65)}, ("offsets",)),
    "eye": Signature({"source_and_ratios": (1, 66)}, ("offsets",)),
}


def write(name: str, state: State, folder: Path) -> Path:
    """The network ``name`` of :data:`SIGNATURES` with the weights ``state`` (official names) as ``folder/<name>.onnx``, whole or not at all."""
    signature, path = SIGNATURES[name], folder / f"{name}.onnx"
    inputs = tuple(torch.zeros(shape) for shape in signature.inputs.values())
    with torch.inference_mode(), atomic.replacing(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is the older exporter and that shapes become constants; both are meant
        torch.onnx.export(
            _built(name, state).eval(),
            inputs,
            temporary,
            opset_version=OPSET,
            dynamo=False,  # the newer exporter needs a further package and gains nothing for networks of fixed shape
            input_names=list(signature.inputs),
            output_names=list(signature.outputs),
        )
    return path


def _built(name: str, state: State) -> nn.Module:
    if name == "motion":
        return _Heads(networks.MotionExtractor(state))
    if name == "generator":
        return networks.Generator(state, "direct")
    kinds = {"appearance": networks.AppearanceExtractor, "warping": networks.WarpingNetwork}
    built: nn.Module = kinds.get(name, networks.Perceptron)(state)
    return built


class _Heads(nn.Module):
    """The motion network's outputs as a tuple, in the order of :data:`keys.MOTION_HEADS`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.network(image).values())

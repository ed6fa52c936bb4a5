"""A small recognition network out of an ONNX file as a torch module, so that its opinion of an image has a gradient.

Covers what the packaged MobileFaceNets are made of and refuses anything else. Equal to ONNX Runtime within 1e-4 (``tests/models/test_train.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.errors import BadInput
from frontalbench.networks import onnx_graph

OPERATIONS = ("Conv", "PRelu", "Add", "Sub", "Mul", "Flatten", "Gemm", "BatchNormalization", "Dropout")


class Recognizer(nn.Module):
    """Crops (N, 3, 112, 112) RGB in 0..255, any float dtype -> unit-length embeddings (N, D), and feature maps on the way there."""

    def __init__(self, model: Path, *, mean: float, std: float, taps: int = 3) -> None:
        """``taps``: how many feature maps are given out. Raises :class:`BadInput` for an operation that is not known, and for a file
        that is no ONNX model (:func:`.onnx_graph.read`)."""
        super().__init__()
        self._mean, self._std = mean, std
        known = f"known: {', '.join(OPERATIONS)}"
        try:
            graph = onnx_graph.read(model, str(model))
        except onnx_graph.Unknown as error:
            raise BadInput(f"{model}: has operations without a gradient here; {known}") from error
        self._nodes = graph.nodes
        unknown = {node.kind for node in self._nodes} - set(OPERATIONS)
        if unknown:
            raise BadInput(f"{model}: operations {', '.join(sorted(unknown))} have no gradient here; {known}")
        self._places = {name: f"constant_{number}" for number, name in enumerate(sorted(graph.constants))}
        for name, place in self._places.items():
            values = graph.constants[name].float()
            self.register_buffer(place, values.contiguous(memory_format=torch.channels_last) if values.dim() == 4 else values)
        self._input, self._output = graph.inputs[0].name, graph.outputs[0].name
        sums = [node.output for node in self._nodes if node.kind == "Add"]
        self._taps = sums[:: max(1, len(sums) // taps)][:taps]
        self.eval().requires_grad_(False)

    def forward(self, crops: Tensor) -> tuple[Tensor, list[Tensor]]:
        values = {self._input: ((crops - self._mean) / self._std).contiguous(memory_format=torch.channels_last)}
        for node in self._nodes:
            given = [getattr(self, self._places[name]) if name in self._places else values[name] for name in node.inputs]
            values[node.output] = _run(node, given)
        return functional.normalize(values[self._output].float()), [values[name] for name in self._taps]


class Prelu(torch.autograd.Function):
    """PReLU with fixed slopes. The library's backward pass wants the slopes' gradient too, which takes longer than all convolutions together."""

    @staticmethod
    def forward(context: Any, x: Tensor, slopes: Tensor) -> Tensor:
        context.save_for_backward(x, slopes)
        return functional.prelu(x, slopes.reshape(-1))

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        x, slopes = context.saved_tensors
        positive = torch.ops.aten.threshold_backward(gradients[0], x, 0.0)  # 0 elsewhere
        return torch.lerp(positive, gradients[0], slopes.expand_as(positive)), None


def _run(node: onnx_graph.Node, given: list[Tensor]) -> Tensor:
    options = node.options
    if node.kind == "Conv":
        x, weight = given[:2]
        bias = given[2].to(x.dtype) if len(given) > 2 else None
        stride, padding = options.get("strides", [1, 1]), options.get("pads", [0] * 4)[:2]
        return functional.conv2d(x, weight.to(x.dtype), bias, stride, padding, groups=options.get("group", 1))
    if node.kind == "PRelu":
        x, slopes = given[0], given[1].to(given[0].dtype)
        return cast(Tensor, Prelu.apply(x, slopes.reshape((-1, 1, 1) if x.dim() == 4 else (-1,))))  # type: ignore[no-untyped-call]
    if node.kind in ("Add", "Sub", "Mul"):
        if node.kind == "Add":
            return given[0] + given[1]
        return given[0] - given[1] if node.kind == "Sub" else given[0] * given[1]
    if node.kind == "Dropout":  # only training drops
        return given[0]
    if node.kind == "Flatten":
        return given[0].flatten(1)
    if node.kind == "Gemm":
        return functional.linear(
            given[0], (given[1] if options.get("transB") else given[1].T).to(given[0].dtype), given[2].to(given[0].dtype)
        )
    scale, bias, mean, variance = given[1:]
    return functional.batch_norm(given[0].float(), mean, variance, scale, bias, eps=options["epsilon"])

"""A small recognition network out of an ONNX file as a torch module, so that its opinion of an image has a gradient.

Covers what the packaged MobileFaceNets are made of and refuses anything else. Equal to ONNX Runtime within 1e-4 (``tests/unit/test_train.py``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.errors import BadInput

OPERATIONS = ("Conv", "PRelu", "Add", "Sub", "Mul", "Flatten", "Gemm", "BatchNormalization", "Dropout")


class Recognizer(nn.Module):
    """Crops (N, 3, 112, 112) RGB in 0..255, any float dtype -> unit-length embeddings (N, D), and feature maps on the way there."""

    def __init__(self, model: Path, *, mean: float, std: float, taps: int = 3) -> None:
        """``taps``: how many feature maps are given out. Raises :class:`BadInput` for an operation that is not known."""
        super().__init__()
        graph = onnx.load(str(model)).graph
        self._mean, self._std = mean, std
        self._nodes = [node for node in graph.node if node.op_type != "Constant"]
        unknown = {node.op_type for node in self._nodes} - set(OPERATIONS)
        if unknown:
            raise BadInput(f"{model}: operations {', '.join(sorted(unknown))} have no gradient here; known: {', '.join(OPERATIONS)}")
        arrays = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
        for node in graph.node:
            if node.op_type == "Constant":
                arrays[node.output[0]] = numpy_helper.to_array(helper.get_attribute_value(node.attribute[0]))
        self._places = {name: f"constant_{number}" for number, name in enumerate(sorted(arrays))}
        for name, place in self._places.items():
            values = torch.from_numpy(np.array(arrays[name], np.float32))
            self.register_buffer(place, values.contiguous(memory_format=torch.channels_last) if values.dim() == 4 else values)
        self._input = next(one.name for one in graph.input if one.name not in arrays)
        self._output = graph.output[0].name
        sums = [node.output[0] for node in self._nodes if node.op_type == "Add"]
        self._taps = sums[:: max(1, len(sums) // taps)][:taps]
        self.eval().requires_grad_(False)

    def forward(self, crops: Tensor) -> tuple[Tensor, list[Tensor]]:
        values = {self._input: ((crops - self._mean) / self._std).contiguous(memory_format=torch.channels_last)}
        for node in self._nodes:
            given = [getattr(self, self._places[name]) if name in self._places else values[name] for name in node.input]
            values[node.output[0]] = _run(node, given)
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


def _run(node: Any, given: list[Tensor]) -> Tensor:
    options = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    if node.op_type == "Conv":
        x, weight = given[:2]
        bias = given[2].to(x.dtype) if len(given) > 2 else None
        stride, padding = options.get("strides", [1, 1]), options.get("pads", [0] * 4)[:2]
        return functional.conv2d(x, weight.to(x.dtype), bias, stride, padding, groups=options.get("group", 1))
    if node.op_type == "PRelu":
        x, slopes = given[0], given[1].to(given[0].dtype)
        return cast(Tensor, Prelu.apply(x, slopes.reshape((-1, 1, 1) if x.dim() == 4 else (-1,))))  # type: ignore[no-untyped-call]
    if node.op_type in ("Add", "Sub", "Mul"):
        if node.op_type == "Add":
            return given[0] + given[1]
        return given[0] - given[1] if node.op_type == "Sub" else given[0] * given[1]
    if node.op_type == "Dropout":  # only training drops
        return given[0]
    if node.op_type == "Flatten":
        return given[0].flatten(1)
    if node.op_type == "Gemm":
        return functional.linear(
            given[0], (given[1] if options.get("transB") else given[1].T).to(given[0].dtype), given[2].to(given[0].dtype)
        )
    scale, bias, mean, variance = given[1:]
    return functional.batch_norm(given[0].float(), mean, variance, scale, bias, eps=options["epsilon"])

"""A convolutional network out of an ONNX file as torch modules, its convolutions laid out for the processor by :mod:`.packed`.

ONNX Runtime multiplies a 3 x 3 convolution out; minimal filtering needs a quarter of the products. So a network made of 3 x 3 convolutions with many
channels (the residual networks of ArcFace, SCRFD-10G) runs faster here, and one made of depthwise and 1 x 1 convolutions does not. The file stays
data: :mod:`onnx` reads it, and each of its operators is one of :data:`OPERATORS` or the file is refused. Results are those of ONNX Runtime but for
rounding.

What follows a convolution goes into it where nothing else reads what lies between: batch norm into its weights, then a sum, then ReLU or PReLU in
place. A batch norm *before* a convolution stays a step of its own: folded in, its shift would be missing where the convolution sees zeros outside
of the map.

Where half precision is asked for (:func:`.precision.dtype`) convolutions and linear layers multiply in it, without minimal filtering, and their maps
stay in it; outputs of the network are float32.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from frontalbench.errors import BadInput
from frontalbench.networks import asked, packed, precision, prelu
from frontalbench.networks.layers import activate_, channels_last
from frontalbench.networks.minimal import MinimalConv2d

Options = Mapping[str, Any]
Run = Callable[..., Tensor]


WEIGHTED: Final = ("Conv", "Gemm")
"""Operators that are laid out with what follows them."""
FEWEST, TOGETHER = 20, 80
"""Channels on either side, and on both together, from which on minimal filtering is faster (28 to 28: 41 against 44 GMAC/s, 28 to 56: 50 against 44,
56 to 56: 76 against 43). Filters last, though they take four times the room of the weights: batches of small maps have few tiles, and filters made
anew for each would cost a fifth to a half of the speed."""
SMALLEST: Final = 7
"""Pixels of a map's shorter side from which on it pays (measured with batches)."""
OLDEST: Final = 7
"""The version of ONNX's operators from which on sums broadcast as NumPy's do."""
_ADVICE: Final = "is not known to engine_cpu: torch; leave engine_cpu out of the card and ONNX Runtime computes it"


class Unknown(BadInput):
    """An operator, or an option of one, that is not among those rebuilt here."""


@dataclass(frozen=True)
class Value:
    """An input or output of a graph; ``shape`` holds numbers, None where any length goes."""

    name: str
    shape: list[int | None]


@dataclass
class Node:
    """One operator of a graph: the names it reads and the one it gives; attributes as Python values."""

    kind: str
    inputs: list[str]
    output: str
    options: dict[str, Any]


@dataclass
class Graph:
    """The operators in order, the constants, and what goes in and out."""

    nodes: list[Node]
    constants: dict[str, Tensor]
    inputs: list[Value]
    outputs: list[Value]


def read(model: str | os.PathLike[str] | bytes, label: str) -> Graph:
    """The graph of a file, or of a model's bytes. Raises :class:`BadInput` when it is no ONNX model or keeps weights in other files, and
    :class:`Unknown` for an operator that is not known here."""
    import onnx
    from onnx import helper, numpy_helper

    try:
        found = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(os.fspath(model), load_external_data=False)
    except FileNotFoundError:
        raise BadInput(f"{label}: not found; fetch the model's weights first") from None
    except Exception as error:  # protobuf's exceptions differ between its versions
        raise BadInput(f"{label}: not an ONNX model; fetch the file again") from error
    graph = found.graph
    foreign = sorted({node.domain for node in graph.node} - {"", "ai.onnx"})
    unknown = sorted({node.op_type for node in graph.node} - {*OPERATORS, *WEIGHTED, "Constant"})
    if foreign or unknown:
        raise Unknown(
            f"{label}: operator {', '.join(unknown) or 'of ' + foreign[0]} {_ADVICE}; known: {', '.join(sorted({*OPERATORS, *WEIGHTED}))}"
        )
    opset = next((entry.version for entry in found.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST:
        raise Unknown(f"{label}: version {opset} of the operators {_ADVICE}; known: {OLDEST} and later")
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer):
        raise BadInput(
            f"{label}: keeps its weights in other files, and one file is read here; save it as one (or leave engine_cpu out of a card that has it)"
        )
    constants, nodes = {}, []
    try:
        for tensor in graph.initializer:
            constants[tensor.name] = torch.from_numpy(np.array(numpy_helper.to_array(tensor)))
            tensor.ClearField("raw_data")  # one copy of 260 MB is enough
        for node in graph.node:
            options = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
            if any(node.output[1:]) and node.op_type != "Dropout":
                raise Unknown(f"{label}: {node.op_type} with {len(node.output)} outputs {_ADVICE}")
            if node.op_type == "Constant":
                if set(options) != {"value"}:
                    raise Unknown(f"{label}: a Constant given by {', '.join(options)} {_ADVICE}")
                constants[node.output[0]] = torch.from_numpy(np.array(numpy_helper.to_array(options["value"])))
                continue
            words = {key: value.decode() if isinstance(value, bytes) else value for key, value in options.items()}
            given = list(node.input)
            while given and not given[-1]:
                given.pop()  # "" stands for an input that is left out
            nodes.append(Node(node.op_type, given, node.output[0], words))
    except (ValueError, TypeError, IndexError) as error:
        raise BadInput(f"{label}: a damaged ONNX model ({str(error).splitlines()[0][:120]}); fetch the file again") from error
    inputs = [_value(given) for given in graph.input if given.name not in constants]
    outputs = [_value(given) for given in graph.output]
    known = {*constants, *(value.name for value in inputs), ""}
    for node in nodes:
        lost = [name for name in node.inputs if name not in known]
        if lost:
            raise BadInput(
                f"{label}: a damaged ONNX model ({node.kind} reads '{lost[0]}', which nothing before it gives); fetch the file again"
            )
        known.add(node.output)
    if lost := [value.name for value in outputs if value.name not in known]:
        raise BadInput(f"{label}: a damaged ONNX model (nothing gives its output '{lost[0]}'); fetch the file again")
    return Graph(nodes, constants, inputs, outputs)


def _value(given: Any) -> Value:
    return Value(given.name, [length.dim_value or None for length in given.type.tensor_type.shape.dim])


@dataclass
class _Step:
    run: Run
    inputs: list[str]
    output: str
    last: list[str] = field(default_factory=list)
    """Values that nobody reads after this step."""


class OnnxNetwork:
    """The network of an ONNX file. Runs on the CPU, without gradients; may be called from several threads at once.

    How a convolution is laid out is decided by the map of the first call, so that one should be as large as those that follow.
    """

    def __init__(self, model: str | os.PathLike[str] | bytes, label: str) -> None:
        """Raises :class:`BadInput`, and :class:`Unknown` for an operator, or an option of one, that is not known here."""
        graph = read(model, label)
        self.label, self.inputs, self.outputs = label, graph.inputs, graph.outputs
        self._lock, self._ready = threading.Lock(), False
        asked.answered()
        constants = graph.constants
        self._steps = self._plan(graph)
        used = {name for step in self._steps for name in step.inputs} | {value.name for value in self.outputs}
        self._constants = {name: value for name, value in constants.items() if name in used}
        later = {"", *self._constants, *(value.name for value in self.outputs)}
        for step in reversed(self._steps):
            step.last = [name for name in dict.fromkeys(step.inputs) if name not in later]
            later.update(step.inputs)

    def __call__(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Name -> tensor of every input to name -> tensor of every output. Raises :class:`Unknown` for a sum, Resize or Slice that its sizes tell
        to be of another kind than those rebuilt here."""
        if self._ready:
            return self._run(feeds)
        with self._lock:  # the first call lays the convolutions out
            result = self._run(feeds)
            self._ready = True
        return result

    def _run(self, feeds: Mapping[str, Tensor]) -> dict[str, Tensor]:
        values: dict[str, Any] = {"": None, **self._constants, **{value.name: feeds[value.name] for value in self.inputs}}
        with torch.inference_mode():
            for step in self._steps:
                try:
                    values[step.output] = step.run(*(values[name] for name in step.inputs))
                except Unknown as error:
                    raise Unknown(f"{self.label}: {error}") from None
                for name in step.last:
                    del values[name]
        found = {value.name: values[value.name] for value in self.outputs}
        return {name: value.float() if value.is_floating_point() else value for name, value in found.items()}

    def _plan(self, graph: Graph) -> list[_Step]:
        """The steps, convolutions with all that goes into them."""
        nodes, constants = _without_aliases(graph), graph.constants
        readers: dict[str, list[int]] = {}
        for place, node in enumerate(nodes):
            for name in node.inputs:
                readers.setdefault(name, []).append(place)
        kept = {value.name for value in graph.outputs}

        def follower(node: Node, kind: str) -> int | None:
            """The place of the one node that reads what ``node`` gives, if it is of this kind."""
            places = readers.get(node.output, [])
            return places[0] if len(places) == 1 and node.output not in kept and nodes[places[0]].kind == kind else None

        steps: dict[int, _Step] = {}
        taken: set[int] = set()
        for place, node in enumerate(nodes):
            if place in taken:
                continue
            if node.kind not in WEIGHTED:
                steps[place] = _step(node, graph, self.label)
                continue
            CHECKS[node.kind](node, self.label)
            if not all(name in constants for name in node.inputs[1:]) or (node.kind == "Conv" and constants[node.inputs[1]].dim() != 4):
                raise Unknown(f"{self.label}: {node.kind} with weights that are computed, or of other than images, {_ADVICE}")
            weight, bias = constants[node.inputs[1]], constants[node.inputs[2]] if len(node.inputs) > 2 else None
            if bias is not None and bias.numel() != weight.shape[0 if node.kind == "Conv" or node.options.get("transB", 0) else 1]:
                raise Unknown(f"{self.label}: {node.kind} with {bias.numel()} numbers to add {_ADVICE}")
            bias = None if bias is None else bias.reshape(-1)
            if node.kind == "Gemm" and not node.options.get("transB", 0):
                weight = weight.T.contiguous()
            at, inputs, last = place, [node.inputs[0]], node
            after = follower(last, "BatchNormalization")
            if after is not None and (norm := _norm(nodes[after], constants)) is not None:
                weight, bias = _folded(weight, bias, *norm)
                at, last = after, nodes[after]
                taken.add(after)
            made: Run
            if node.kind == "Gemm":
                made = Linear(weight, bias)
            else:
                after = follower(last, "Add")
                if after is not None and after not in taken:
                    other = [name for name in nodes[after].inputs if name != last.output]
                    if len(other) == 1 and other[0] not in constants:
                        inputs.append(other[0])
                        at, last = after, nodes[after]
                        taken.add(after)
                activation, slope, after = self._activation(last, follower, nodes, constants)
                if after is not None:
                    at, last = after, nodes[after]
                    taken.add(after)
                made = Convolution(weight, bias, node.options, summed=len(inputs) > 1, activation=activation, slope=slope)
            steps[at] = _Step(made, inputs, last.output)
        return [steps[place] for place in sorted(steps)]

    @staticmethod
    def _activation(
        last: Node, follower: Callable[[Node, str], int | None], nodes: Sequence[Node], constants: Mapping[str, Tensor]
    ) -> tuple[str, Tensor | float, int | None]:
        if (after := follower(last, "Relu")) is not None:
            return "relu", 0.0, after
        if (after := follower(last, "LeakyRelu")) is not None:
            return "leaky", float(nodes[after].options.get("alpha", 0.01)), after
        if (after := follower(last, "PRelu")) is not None:
            slope = constants.get(nodes[after].inputs[1])
            # (C, 1, 1) is a slope per channel of a map (N, C, H, W); anything else means something else.
            if slope is not None and slope.dim() == 3 and tuple(slope.shape[1:]) == (1, 1):
                return "prelu", slope.reshape(-1).float(), after
        return "none", 0.0, None


class Linear:
    """(N, inputs) -> (N, outputs)."""

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.dtype = precision.dtype()
        self.weight, self.bias = weight.to(self.dtype), None if bias is None else bias.to(self.dtype)

    def __call__(self, x: Tensor) -> Tensor:
        return functional.linear(x.to(self.dtype), self.weight, self.bias)


class Convolution:
    """A convolution of ONNX with zeros outside, ``plus`` added, then ``activation``: none, relu, leaky, or prelu with one ``slope`` a channel.

    ``summed``: it will be given a ``plus``. Laid out at its first call, for the map that it is given; convolutions with groups or dilations stay as
    they are.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None,
        options: Options,
        *,
        summed: bool = False,
        activation: str = "none",
        slope: Tensor | float = 0.0,
    ) -> None:
        top, left, bottom, right = options.get("pads", [0, 0, 0, 0])
        self.around = None if (top, left) == (bottom, right) else [left, right, top, bottom]
        self.padding = (top, left) if self.around is None else (0, 0)
        self.stride, self.dilation = tuple(options.get("strides", [1, 1])), tuple(options.get("dilations", [1, 1]))
        self.groups = int(options.get("group", 1))
        self.summed, self.activation, self.slope = summed, activation, slope
        self.outputs, self.kernel = weight.shape[0], tuple(weight.shape[2:])
        self.dtype = precision.dtype()
        self.weight: Tensor | None = weight.to(self.dtype)
        self.bias = None if bias is None else bias.to(self.dtype)
        self.made: packed.Packed | MinimalConv2d | None = None
        self.within = ""
        """The activation that ``made`` computes itself."""

    def __call__(self, x: Tensor, plus: Tensor | None = None) -> Tensor:
        x = channels_last(x.to(self.dtype))
        if self.around is not None:
            x = functional.pad(x, self.around)
        if self.made is None and self.weight is not None and self._lays():
            self._lay_out(x, self.weight)
        y: Tensor
        if self.made is None:
            assert self.weight is not None
            y = functional.conv2d(x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
            y = y if plus is None else y + plus
        elif plus is None:
            y = self.made(x)
        elif plus.shape == self._shape(x):
            y = self.made(x, plus)
        else:
            raise Unknown(f"a sum of {list(plus.shape)} and {list(self._shape(x))} {_ADVICE}")
        return y if self.activation == self.within else _activated(y, self.activation, self.slope)

    def _shape(self, x: Tensor) -> tuple[int, ...]:
        """The shape of the result for ``x``."""
        sides = ((x.shape[2 + i] + 2 * self.padding[i] - self.kernel[i]) // self.stride[i] + 1 for i in (0, 1))
        return (x.shape[0], self.outputs, *sides)

    def _lays(self) -> bool:
        return self.groups == 1 and self.dilation == (1, 1) and self.stride[0] == self.stride[1]

    def _lay_out(self, x: Tensor, weight: Tensor) -> None:
        filtered = self.kernel == (3, 3) and self.stride == (1, 1) and self.padding == (1, 1)
        self.within = "none" if self.activation == "prelu" else self.activation
        exact = self.dtype == torch.float32
        if exact and filtered and min(weight.shape[:2]) >= FEWEST and sum(weight.shape[:2]) >= TOGETHER and min(x.shape[2:]) >= SMALLEST:
            self.made = MinimalConv2d(weight, self.bias, activation=self.within, slope=_number(self.slope))
        else:
            if self.summed and self.within == "leaky":
                self.within = "none"
            self.made = packed.Packed(
                weight,
                self.bias,
                stride=self.stride[0],
                padding=(self.padding[0], self.padding[1]),
                activation=self.within,
                slope=_number(self.slope),
                dtype=self.dtype,
            )
        self.weight = None


def _number(slope: Tensor | float) -> float:
    return slope if isinstance(slope, float) else 0.0


def _activated(y: Tensor, activation: str, slope: Tensor | float) -> Tensor:
    """``activation`` of ``y``, in place."""
    if not isinstance(slope, Tensor):
        return activate_(y, activation, slope)
    flat = y.permute(0, 2, 3, 1)
    if not flat.is_contiguous() or y.dtype != torch.float32:
        return functional.prelu(y, slope.to(y.dtype))
    prelu.prelu_(flat.view(-1, len(slope)).numpy(), slope.numpy())
    return y


def _check(node: Node, label: str, only: Mapping[str, tuple[Any, Sequence[Any]]]) -> None:
    """Raises :class:`Unknown` where an option of ``node`` is not among those that are rebuilt; ``only``: name -> what a file that does not say it
    means, and those that are."""
    for name, (unsaid, known) in only.items():
        given = node.options.get(name, unsaid)
        if given not in known:
            raise Unknown(f"{label}: {node.kind} with {name} {given!r} {_ADVICE}")


def _norm(node: Node, constants: Mapping[str, Tensor]) -> tuple[Tensor, Tensor] | None:
    """Scale and shift, float64, of a batch norm in use; None where they are no constants."""
    if not all(name in constants for name in node.inputs[1:5]):
        return None
    scale, bias, mean, variance = (constants[name].double() for name in node.inputs[1:5])
    factor = scale / torch.sqrt(variance + float(node.options.get("epsilon", 1e-5)))
    return factor, bias - mean * factor


def _folded(weight: Tensor, bias: Tensor | None, factor: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    whole = weight.double() * factor.view(-1, *[1] * (weight.dim() - 1))
    return whole.float(), (shift if bias is None else bias.double() * factor + shift).float()


def _without_aliases(graph: Graph) -> list[Node]:
    """The nodes without those that give what they are given; outputs of the graph keep theirs."""
    same: dict[str, str] = {}
    nodes, outputs = [], {value.name for value in graph.outputs}
    for node in graph.nodes:
        node.inputs = [same.get(name, name) for name in node.inputs]
        if node.kind in _ALIASES and node.output not in outputs:
            same[node.output] = node.inputs[0]
        else:
            nodes.append(node)
    return nodes


def _step(node: Node, graph: Graph, label: str) -> _Step:
    """The step of a node by itself."""
    if node.kind in CHECKS:
        CHECKS[node.kind](node, label)
    norm = _norm(node, graph.constants) if node.kind == "BatchNormalization" else None
    if norm is not None:
        return _Step(_Affine(*norm), node.inputs[:1], node.output)
    run, options = OPERATORS[node.kind], node.options
    return _Step(lambda *given: run(options, *given), node.inputs, node.output)


class _Affine:
    """One factor and one shift a channel."""

    def __init__(self, factor: Tensor, shift: Tensor) -> None:
        self.factor, self.shift = factor.float(), shift.float()

    def __call__(self, x: Tensor) -> Tensor:
        shape = (1, -1, *[1] * (x.dim() - 2))
        return torch.addcmul(self.shift.view(shape), x.float(), self.factor.view(shape))


def _batch_norm(options: Options, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return functional.batch_norm(x, mean, variance, scale, bias, eps=float(options.get("epsilon", 1e-5)))


def _prelu(options: Options, x: Tensor, slope: Tensor) -> Tensor:
    return torch.where(x > 0, x, x * slope)


def _pool(options: Options, x: Tensor, *, mean: bool) -> Tensor:
    kernel, stride = options["kernel_shape"], options.get("strides", [1, 1])
    top, left, bottom, right = options.get("pads", [0, 0, 0, 0])
    ceil = bool(options.get("ceil_mode", 0))
    if mean:
        inside = bool(options.get("count_include_pad", 0))
        return functional.avg_pool2d(x, kernel, stride, (top, left), ceil, inside)
    if (top, left) != (bottom, right):
        x, top, left = functional.pad(x, [left, right, top, bottom], value=float("-inf")), 0, 0
    return functional.max_pool2d(x, kernel, stride, (top, left), ceil_mode=ceil)


def _resize(options: Options, x: Tensor, region: Tensor | None, scales: Tensor | None, sizes: Tensor | None = None) -> Tensor:
    if sizes is not None and sizes.numel():
        shape = sizes.tolist()
    else:
        assert scales is not None
        shape = [int(length * scale) for length, scale in zip(x.shape, scales.tolist(), strict=True)]
    if list(shape[:2]) != list(x.shape[:2]):
        raise Unknown(f"Resize of the channels, {list(x.shape)} to {shape}, {_ADVICE}")
    return functional.interpolate(x, size=shape[2:], mode="nearest")


def _reshape(options: Options, x: Tensor, shape: Tensor) -> Tensor:
    lengths = [x.shape[place] if length == 0 else length for place, length in enumerate(shape.tolist())]
    return x.reshape(lengths)


def _gather(options: Options, x: Tensor, places: Tensor) -> Tensor:
    axis = int(options.get("axis", 0)) % x.dim()
    flat = torch.where(places < 0, places + x.shape[axis], places).reshape(-1)
    return x.index_select(axis, flat).reshape([*x.shape[:axis], *places.shape, *x.shape[axis + 1 :]])


def _slice(
    options: Options,
    x: Tensor,
    starts: Tensor | None = None,
    ends: Tensor | None = None,
    axes: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    first, last, along = (
        options.get(name, []) if given is None else given.tolist() for name, given in (("starts", starts), ("ends", ends), ("axes", axes))
    )
    by = [1] * len(first) if steps is None else steps.tolist()
    cut = [slice(None)] * x.dim()
    for axis, start, end, step in zip(along or range(len(first)), first, last, by, strict=True):
        if step < 1:
            raise Unknown(f"Slice with a step of {step} {_ADVICE}")
        cut[axis] = slice(start, end, step)
    return x[tuple(cut)]


def _unsqueeze(options: Options, x: Tensor, axes: Tensor | None = None) -> Tensor:
    places = options["axes"] if axes is None else axes.tolist()
    rank = x.dim() + len(places)
    for place in sorted(place % rank for place in places):
        x = x.unsqueeze(place)
    return x


def _squeeze(options: Options, x: Tensor, axes: Tensor | None = None) -> Tensor:
    places = options.get("axes") if axes is None else axes.tolist()
    return x.squeeze() if places is None else x.squeeze(tuple(places))


def _flatten(options: Options, x: Tensor) -> Tensor:
    axis = int(options.get("axis", 1))
    return x.reshape(int(np.prod(x.shape[:axis], dtype=np.int64)), -1)


_TYPES: Final = {1: torch.float32, 6: torch.int32, 7: torch.int64}
"""ONNX's numbers of the types that a Cast may give."""
_ALIASES: Final = ("Dropout", "Identity")

OPERATORS: Final[Mapping[str, Run]] = {
    "Add": lambda options, a, b: a + b,
    "AveragePool": functools.partial(_pool, mean=True),
    "BatchNormalization": _batch_norm,
    "Cast": lambda options, x: x.to(_TYPES[options["to"]]),
    "Concat": lambda options, *parts: torch.cat(parts, int(options["axis"])),
    "Dropout": lambda options, x, *more: x,
    "Flatten": _flatten,
    "Gather": _gather,
    "GlobalAveragePool": lambda options, x: x.mean((2, 3), keepdim=True),
    "Identity": lambda options, x: x,
    "LeakyRelu": lambda options, x: functional.leaky_relu(x, float(options.get("alpha", 0.01))),
    "MaxPool": functools.partial(_pool, mean=False),
    "Mul": lambda options, a, b: a * b,
    "PRelu": _prelu,
    "Relu": lambda options, x: functional.relu(x),
    "Reshape": _reshape,
    "Resize": _resize,
    "Shape": lambda options, x: torch.tensor(x.shape, dtype=torch.int64),
    "Sigmoid": lambda options, x: torch.sigmoid(x),
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Sub": lambda options, a, b: a - b,
    "Transpose": lambda options, x: x.permute(*options["perm"]) if "perm" in options else x.permute(*reversed(range(x.dim()))),
    "Unsqueeze": _unsqueeze,
}
"""What is known, by ONNX's names: each a function of the operator's attributes and its inputs."""

_NO_AUTO: Final = {"auto_pad": ("NOTSET", ("NOTSET",))}
_PLAIN_POOL: Final = _NO_AUTO | {"dilations": ([1, 1], ([1, 1],))}
_ONLY: Final[Mapping[str, Mapping[str, tuple[Any, Sequence[Any]]]]] = {
    "AveragePool": _PLAIN_POOL,
    "BatchNormalization": {"training_mode": (0, (0,)), "spatial": (1, (1,))},
    "Cast": {"to": (0, tuple(_TYPES))},
    "Conv": _NO_AUTO,
    "Gemm": {"alpha": (1.0, (1.0,)), "beta": (1.0, (1.0,)), "transA": (0, (0,))},
    "MaxPool": _PLAIN_POOL | {"storage_order": (0, (0,))},
    "Reshape": {"allowzero": (0, (0,))},
    "Resize": {
        "mode": ("nearest", ("nearest",)),
        "coordinate_transformation_mode": ("half_pixel", ("asymmetric",)),
        "nearest_mode": ("round_prefer_floor", ("floor",)),
        "axes": (None, (None,)),
    },
    "Shape": {"start": (0, (0,)), "end": (None, (None,))},
}
CHECKS: Final[Mapping[str, Callable[[Node, str], None]]] = {kind: functools.partial(_check, only=only) for kind, only in _ONLY.items()}
"""Operator -> raises :class:`Unknown` where one of its attributes is not among those that are rebuilt."""

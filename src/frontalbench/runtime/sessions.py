"""Where networks run: ONNX Runtime sessions, torch devices, thread counts.

``device`` is ``cpu``, ``cuda``, ``cuda:N`` or ``auto`` (CUDA where this machine has it). A CUDA device that is asked for but cannot be had is
replaced by the CPU with a :class:`DeviceFallback` warning, never silently.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frontalbench.errors import BadInput
from frontalbench.networks import asked

if TYPE_CHECKING:
    import onnxruntime
    import torch

log = logging.getLogger(__name__)
_NORMS = ("ReduceL2", "ReduceMean", "Pow", "Sqrt")


class DeviceFallback(RuntimeWarning):
    """A GPU was asked for and the CPU is used instead."""


def parse_device(device: str) -> tuple[str, int]:
    """``("cpu" | "cuda" | "auto", index)`` of a device name. Raises :class:`BadInput`."""
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda", "auto") or (index and (kind != "cuda" or not index.isdecimal())):
        raise BadInput(f"device '{device}' is not known; use cpu, cuda, cuda:N or auto")
    return kind, int(index or 0)


def provider(device: str) -> str:
    """Where networks really run when ``device`` is asked for: ``cpu`` or ``cuda:N``. Raises :class:`BadInput` for an unknown device."""
    kind, index = parse_device(device)
    if kind == "cpu":
        return "cpu"
    import onnxruntime as ort

    return f"cuda:{index}" if "CUDAExecutionProvider" in ort.get_available_providers() else "cpu"


def limit_threads(threads: int) -> None:
    """Keep OpenCV, and torch where it is already imported, to ``threads`` threads in this process. A job calls this once, with its rule's threads."""
    import sys

    import cv2

    cv2.setNumThreads(max(1, threads))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(max(1, threads))


def onnx_session(
    model: str | os.PathLike[str] | bytes, *, threads: int = 1, device: str = "cpu", name: str | None = None, precision: str = "float32"
) -> onnxruntime.InferenceSession:
    """An ONNX Runtime session of a model file (or of a model's bytes, then ``name`` says in messages what it is).

    ``threads`` threads inside of an operator, operators one after the other, deterministic kernels. On CUDA the convolution algorithm is chosen by
    heuristic, not by timing, and TF32 is off, so that two runs agree. ``precision`` float16 makes :func:`half_precision` of the model on CUDA and
    nothing on the CPU (:func:`real_precision`). Where half precision is asked for on a CPU (:mod:`frontalbench.networks.asked`), which ONNX Runtime
    has not, it is an :class:`OpenVinoSession`. Raises :class:`BadInput` when the file is not a model that loads.
    """
    import onnxruntime as ort

    if asked.word() != "float32" and provider(device) == "cpu":
        return openvino_session(model, threads=threads, name=name)
    kind, index = parse_device(device)
    label = name or (str(model) if not isinstance(model, bytes) else "model")
    if not isinstance(model, bytes) and not Path(model).is_file():
        raise BadInput(f"{label}: not found; fetch the model's weights first")
    options = ort.SessionOptions()
    options.intra_op_num_threads = max(1, threads)
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.use_deterministic_compute = True
    options.log_severity_level = 3
    # Inputs of many sizes: a memory plan per size would grow with the data set, and gains nothing measurable here.
    options.enable_mem_pattern = False
    providers: list[Any] = ["CPUExecutionProvider"]
    wanted = kind == "cuda" or (kind == "auto" and "CUDAExecutionProvider" in ort.get_available_providers())
    if wanted:
        if "CUDAExecutionProvider" in ort.get_available_providers():
            if hasattr(ort, "preload_dlls"):
                ort.preload_dlls()  # the CUDA libraries that came with torch's wheels
            cuda = {
                "device_id": index,
                "cudnn_conv_algo_search": "HEURISTIC",
                "use_tf32": 0,
                "arena_extend_strategy": "kSameAsRequested",
            }
            providers.insert(0, ("CUDAExecutionProvider", cuda))
            if precision == "float16":
                model = half_precision(model)
        else:
            fall_back(
                f"{label}: device '{device}' asked for, but this ONNX Runtime has no CUDA; running on the CPU (install onnxruntime-gpu)"
            )
    try:
        session = ort.InferenceSession(model if isinstance(model, bytes) else str(model), options, providers=providers)
    except Exception as error:  # ONNX Runtime's exceptions share no base class but Exception
        raise BadInput(f"{label}: ONNX Runtime cannot load it ({_first_line(error)}); fetch the file again or correct the card") from error
    if len(providers) > 1 and "CUDAExecutionProvider" not in session.get_providers():
        fall_back(f"{label}: device '{device}' asked for, but CUDA could not be started; running on the CPU (see ONNX Runtime's messages)")
    return session


def openvino_session(model: str | os.PathLike[str] | bytes, *, threads: int = 1, name: str | None = None) -> OpenVinoSession:
    """The session of a model in what it is asked to compute in (:mod:`frontalbench.networks.asked`). Raises :class:`BadInput`."""
    session = OpenVinoSession(model, threads=threads, precision=asked.word(), name=name)
    asked.answered()
    return session


class OpenVinoSession:
    """An ONNX model in OpenVINO on the CPU, with what this project uses of an ONNX Runtime session."""

    def __init__(
        self, model: str | os.PathLike[str] | bytes, *, threads: int = 1, precision: str = "float32", name: str | None = None
    ) -> None:
        """``precision``: float32, or bfloat16 or float16 for products that are summed in float32. Raises :class:`BadInput` when OpenVINO is not
        installed or cannot read the file."""
        label = name or (str(model) if not isinstance(model, bytes) else "model")
        try:
            import openvino
        except ImportError:
            raise BadInput(
                f"{label}: the card's params (engine: openvino, or precision_cpu of an ONNX model) need OpenVINO; install the extra: "
                "pip install -e '.[synth]', or leave them out"
            ) from None
        if not isinstance(model, bytes) and not Path(model).is_file():
            raise BadInput(f"{label}: not found; fetch the model's weights first")
        # By default it computes in bfloat16 where the CPU can: faster, but other pixels on other machines.
        hint = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}[precision]
        self._options = {"INFERENCE_PRECISION_HINT": hint, "INFERENCE_NUM_THREADS": max(1, threads), "PERFORMANCE_HINT": "LATENCY"}
        self._label, self._core, self._compiling = label, openvino.Core(), threading.Lock()
        try:
            network = self._core.read_model(model if isinstance(model, bytes) else os.fspath(model))
        except RuntimeError as error:
            raise BadInput(f"{label}: OpenVINO cannot load it ({_first_line(error)[:160]}); fetch the file again") from error
        self._inputs, self._outputs = ([Port.of(port) for port in ports] for ports in (network.inputs, network.outputs))
        # In half precision the shapes that a model computes on its way are rounded too: with a free batch they are made constants, size by size.
        self._sized = precision != "float32" and _only_the_batch_is_free(self._inputs) and _computes_shapes(network)
        self._by_size: dict[int, Any] = {}
        if self._sized:
            self._network = network
        else:  # which is let go: it holds the weights in float32
            self._by_size[0] = self._compile(network)

    def _compile(self, model: Any) -> Any:
        try:
            return self._core.compile_model(model, "CPU", self._options)
        except RuntimeError as error:
            raise BadInput(f"{self._label}: OpenVINO cannot load it ({_first_line(error)[:160]}); fetch the file again") from error

    def _of_size(self, batch: int) -> Any:
        with self._compiling:
            if batch not in self._by_size:
                model = self._network.clone()
                model.reshape({port.name: [batch, *port.shape[1:]] for port in self._inputs})
                self._by_size[batch] = self._compile(model)
            return self._by_size[batch]

    def get_inputs(self) -> list[Port]:
        """The inputs, in order."""
        return self._inputs

    def get_outputs(self) -> list[Port]:
        """The outputs, in order."""
        return self._outputs

    def get_providers(self) -> list[str]:
        """What it runs on."""
        return ["OpenVINO"]

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, Any], options: Any = None) -> list[Any]:
        """The ``outputs`` (all of them: None) for ``feeds`` (name -> array)."""
        del options
        compiled = self._of_size(len(next(iter(feeds.values())))) if self._sized else self._by_size[0]
        # A request of its own: two threads may ask at once.
        found = compiled.create_infer_request().infer(dict(feeds))
        by_name = {port.name: found[place] for place, port in enumerate(self._outputs)}
        return [by_name[name].copy() for name in outputs or [port.name for port in self._outputs]]


def _only_the_batch_is_free(inputs: Sequence[Port]) -> bool:
    return all(port.shape and port.shape[0] is None and None not in port.shape[1:] for port in inputs)


def _computes_shapes(model: Any) -> bool:
    return any(node.get_type_name() == "ShapeOf" for node in model.get_ops())


@dataclass(frozen=True)
class Port:
    """An input or output of a model: ``shape`` holds numbers, None where any length goes."""

    name: str
    shape: list[int | None]

    @classmethod
    def of(cls, port: Any) -> Port:
        """That of OpenVINO's."""
        return cls(port.get_any_name(), [length.get_length() if length.is_static else None for length in port.get_partial_shape()])


def real_precision(wanted: str, device: str) -> str:
    """The number type that an ONNX model with ``precision`` ``wanted`` computes in on ``device``: float16 is for GPUs, a CPU computes in float32."""
    return wanted if provider(device) != "cpu" else "float32"


def half_precision(model: str | os.PathLike[str] | bytes) -> bytes:
    """The model with float16 weights and activations; inputs and outputs stay float32. Raises :class:`BadInput` when it is not an ONNX model.

    The conversion is ONNX Runtime's own; operators that need float32 keep it, with casts around them: those on its list, and the parts of a norm
    (the square of 256 is beyond float16: without this EdgeFace-S is down to a cosine of 0.51).
    """
    import onnx

    label = "model" if isinstance(model, bytes) else str(model)
    try:
        graph = onnx.load_from_string(model) if isinstance(model, bytes) else onnx.load(str(model))
    except Exception as error:  # protobuf's exceptions differ between its versions
        raise BadInput(f"{label}: not an ONNX model; fetch the file again") from error
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    weights = {tensor.name for tensor in graph.graph.initializer}
    inputs = [
        value for value in graph.graph.input if value.name not in weights
    ]  # older exports list weights as inputs, which keep their type
    del graph.graph.input[:]
    graph.graph.input.extend(inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a line for every weight below float16's smallest number; tests say what that does to results
        half: bytes = convert_float_to_float16(
            graph, keep_io_types=True, op_block_list=[*DEFAULT_OP_BLOCK_LIST, *_NORMS]
        ).SerializeToString()
    return half


def run(session: onnxruntime.InferenceSession, outputs: Sequence[str] | None, feeds: Mapping[str, Any], options: Any = None) -> list[Any]:
    """``session.run(outputs, feeds, options)``; on CUDA with inputs and outputs bound.

    Bound, a value is copied once in each direction and ONNX Runtime keeps its buffers between runs. On the CPU nothing is copied anyway (measured:
    no difference), so there it is the plain call.
    """
    if "CUDAExecutionProvider" not in session.get_providers():
        found: list[Any] = session.run(outputs, feeds, options)
        return found
    return run_bound(session, outputs, feeds, options)


def run_bound(
    session: onnxruntime.InferenceSession, outputs: Sequence[str] | None, feeds: Mapping[str, Any], options: Any = None
) -> list[Any]:
    """The same through IO binding, whatever the device: NumPy arrays in, NumPy arrays out."""
    binding = session.io_binding()
    for name, value in feeds.items():
        binding.bind_cpu_input(name, value)
    for name in outputs or [output.name for output in session.get_outputs()]:
        binding.bind_output(name)
    session.run_with_iobinding(binding, options)
    found: list[Any] = binding.copy_outputs_to_cpu()
    return found


def quiet_run() -> Any:
    """Run options for a trial that may fail: ONNX Runtime writes nothing to the terminal, the exception is all."""
    import onnxruntime as ort

    options = ort.RunOptions()
    options.log_severity_level = 4
    return options


def torch_device(device: str) -> torch.device:
    """The torch device of a device name, the CPU (with a warning) where CUDA is asked for and missing.

    On CUDA it also turns TF32 off for this process: its convolutions round their inputs to 10 bits, by default, and float32 should mean float32.
    (Measured on an H100 with torch 2.11: LivePortrait's image .0058 of its largest value from the CPU's with it, .00003 without.)
    """
    import torch

    kind, index = parse_device(device)
    if kind == "cpu" or (kind == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available() or index >= torch.cuda.device_count():
        fall_back(f"device '{device}' asked for, but torch sees {torch.cuda.device_count()} CUDA devices; running on the CPU")
        return torch.device("cpu")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device("cuda", index)


def fall_back(message: str) -> None:
    """Say loudly (log and :class:`DeviceFallback` warning) that another device is used than the one asked for."""
    log.warning(message)
    warnings.warn(message, DeviceFallback, stacklevel=3)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__)[:200]

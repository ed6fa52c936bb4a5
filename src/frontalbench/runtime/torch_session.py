"""An ONNX model computed by PyTorch on the CPU (``engine_cpu: torch`` of a card), with what this project uses of an ONNX Runtime session."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from frontalbench.networks.onnx_graph import OnnxNetwork, Value


def session(model: str | os.PathLike[str] | bytes, *, threads: int = 1) -> TorchSession:
    """The session of a file, or of a model's bytes. Raises :class:`~frontalbench.errors.BadInput`."""
    return TorchSession(model, threads=threads)


class TorchSession:
    """See :class:`frontalbench.networks.onnx_graph.OnnxNetwork`."""

    def __init__(self, model: str | os.PathLike[str] | bytes, *, threads: int = 1, name: str | None = None) -> None:
        """Raises :class:`~frontalbench.errors.BadInput` for a file that is no ONNX model, or holds an operator that is not known."""
        torch.set_num_threads(max(1, threads))
        self._network = OnnxNetwork(model, name or (str(model) if not isinstance(model, bytes) else "model"))

    def get_inputs(self) -> list[Value]:
        """The inputs, in order."""
        return self._network.inputs

    def get_outputs(self) -> list[Value]:
        """The outputs, in order."""
        return self._network.outputs

    def get_providers(self) -> list[str]:
        """What it runs on."""
        return ["PyTorch"]

    def run(self, outputs: Sequence[str] | None, feeds: Mapping[str, Any], options: Any = None) -> list[Any]:
        """The ``outputs`` (all of them: None) for ``feeds`` (name -> array)."""
        del options
        found = self._network({name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in feeds.items()})
        return [found[name].contiguous().numpy() for name in outputs or [value.name for value in self._network.outputs]]

"""What computes an ONNX file on a CPU: ONNX Runtime, or what a card's ``engine_cpu`` names."""

from __future__ import annotations

import importlib
import os
from typing import Any

from frontalbench.catalogue.families import ENGINES
from frontalbench.runtime import sessions

NAMES = ("onnxruntime", *ENGINES)
"""What ``engine_cpu`` of a card may be."""


def session(model: str | os.PathLike[str], engine: str, *, threads: int = 1, device: str = "cpu") -> Any:
    """A session of ``model`` by ``engine`` where networks run on the CPU; a GPU has ONNX Runtime. One of :data:`NAMES`.

    Raises :class:`~frontalbench.errors.BadInput` where the engine cannot compute the file: another one never steps in.
    """
    if engine not in ENGINES or sessions.provider(device) != "cpu":
        return sessions.onnx_session(model, threads=threads, device=device)
    if sessions.parse_device(device)[0] == "cuda":
        sessions.fall_back(f"{model}: device '{device}' asked for, but this ONNX Runtime has no CUDA; running on the CPU by {engine}")
    return importlib.import_module(ENGINES[engine]).session(model, threads=threads)

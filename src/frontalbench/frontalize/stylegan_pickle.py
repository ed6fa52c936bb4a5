"""The tensors of a network in a file of NVIDIA's StyleGAN family (StyleGAN2-ADA, StyleGAN3, EG3D), read without running what the file says.

Such a file is a pickle of a mapping (``G``, ``D``, ``G_ema``, ...). Its networks carry the source of their classes, which the official reader runs:
each is a call of ``torch_utils.persistence._reconstruct_persistent_obj`` with a mapping (class name, source, attributes). Here that call gives an
inert layer with the attributes, the source is dropped unread, and a name that is not on the list ends the reading.
"""

from __future__ import annotations

import importlib
import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor

from frontalbench.errors import BadInput, one_line, raise_if_memory_ran_out
from frontalbench.frontalize.module_pickle import FUNCTIONS, Shell, tensors, unpickled

LAYERS: Final = ("torch.nn.modules.", "training.", "torch_utils.")
"""Modules whose classes become inert layers. Functions of theirs cannot be called: a shell does nothing, whatever it is given."""
_VALUES: Final = {
    ("builtins", "set"): set,
    ("torch", "Size"): tuple,
    ("numpy", "dtype"): np.dtype,
    ("numpy", "ndarray"): np.ndarray,
}


class _Attributes(dict[str, Any]):
    """``dnnlib.util.EasyDict``: a dictionary."""

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, Mapping):
            self.update(state)


def _persistent(meta: Any) -> Shell:
    """A network without its source. The official reader runs ``meta["module_src"]``."""
    if not isinstance(meta, Mapping) or meta.get("type") != "class" or not isinstance(meta.get("state"), dict):
        raise pickle.UnpicklingError("a network that is none")
    shell = Shell()
    shell.__setstate__(meta["state"])
    return shell


def _device(*_: Any) -> str:
    return "cpu"


class _Reader(pickle.Unpickler):
    def __init__(self, handle: io.BufferedIOBase, limit: int) -> None:
        super().__init__(handle)
        self._left = limit

    def _storage(self, data: Any) -> Tensor:
        """The numbers of one tensor: a small file of old PyTorch within the pickle."""
        if not isinstance(data, bytes):
            raise pickle.UnpicklingError("a storage that is none")
        self._left -= len(data)
        if self._left < 0:
            raise pickle.UnpicklingError("more numbers than the file has bytes")
        found = unpickled(io.BytesIO(data), (), len(data))
        if not isinstance(found, Tensor):
            raise pickle.UnpicklingError("a storage that is none")
        return found

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("torch_utils.persistence", "_reconstruct_persistent_obj"):
            return _persistent
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return self._storage
        if (module, name) == ("dnnlib.util", "EasyDict"):
            return _Attributes
        if (module, name) == ("torch", "device"):
            return _device
        if (module, name) in FUNCTIONS:
            return FUNCTIONS[module, name]
        if (module, name) in _VALUES:
            return _VALUES[module, name]
        if module.startswith("numpy") and module.endswith("core.multiarray") and name in ("scalar", "_reconstruct"):
            return getattr(importlib.import_module("numpy._core.multiarray"), name)
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if f"{module}.".startswith(LAYERS) and name.isidentifier():
            return Shell
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside of it")


def read(path: Path, network: str) -> dict[str, Tensor]:
    """The state dict (names as ``state_dict()`` gives them) of the network ``network`` ("G_ema") in ``path``.

    Check the file's hash first all the same. Raises :class:`BadInput` for a file of another kind, one that is cut off, one without that network, and
    one that asks for anything else than layers and numbers: nothing of it was run.
    """
    if not path.is_file():
        raise BadInput(f"{path}: not found; fetch the model's weights first")
    try:
        with path.open("rb") as handle:
            whole = _Reader(handle, path.stat().st_size).load()
    except pickle.UnpicklingError as error:
        raise BadInput(f"{path}: refused, not a pickle of layers and numbers only ({one_line(error)}); fetch the official file") from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise_if_memory_ran_out(error)
        raise BadInput(f"{path}: not a readable checkpoint ({one_line(error)}); fetch the file again") from error
    if not isinstance(whole, Mapping) or network not in whole:
        raise BadInput(f"{path}: expected a mapping with '{network}', found a {type(whole).__name__}; check the card's file")
    return tensors(whole[network], path)

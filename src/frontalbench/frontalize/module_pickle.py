"""The tensors of a whole network that was pickled by an old PyTorch (before 1.6), read without running what the file says.

Such a file is five things in a row: a magic number, a protocol number, facts of the machine, the pickled object (whose tensors name storages by
keys), and the list of keys; then, for each key, a count (8 bytes, little-endian) and the numbers. ``torch.load`` reads it only with code allowed.
Here every name in it stands for something inert, and a name that is not on the list ends the reading: the class of the network, layers of
``torch.nn``, and the functions that put tensors together.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from frontalbench.errors import BadInput, one_line, raise_if_memory_ran_out

MAGIC: Final = 0x1950A86A20F9469CFC6C
PROTOCOL: Final = 1001
_STORAGES: Final = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
}


class Shell:
    """What stands for a layer: it holds its attributes and does nothing."""

    def __new__(cls, *_: Any, **__: Any) -> Shell:
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError("a layer without attributes")
        self.__dict__.update(state)


@dataclass(frozen=True)
class _Kind:
    """A type of storage."""

    dtype: torch.dtype


@dataclass
class _Storages:
    """The numbers that tensors are views of, by key; they are read after the tensors were made."""

    limit: int
    by_key: dict[str, Tensor] = field(default_factory=dict)
    total: int = 0

    def get(self, kind: Any, key: Any, count: Any) -> Tensor:
        if not isinstance(kind, _Kind) or not isinstance(key, str) or not isinstance(count, int) or count < 0:
            raise pickle.UnpicklingError("a storage that is none")
        if key not in self.by_key:
            self.total += count * kind.dtype.itemsize
            if self.total > self.limit:
                raise pickle.UnpicklingError("more numbers than the file has bytes")
            self.by_key[key] = torch.zeros(count, dtype=kind.dtype)
        return self.by_key[key]


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
    if not isinstance(storage, Tensor) or not isinstance(offset, int) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise pickle.UnpicklingError("a tensor that is none")
    return torch.as_strided(storage, size, stride, offset)  # refuses what reaches beyond the storage


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _nothing(*_: Any) -> None:
    return None


FUNCTIONS: Final = {
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch.nn.backends.thnn", "_get_thnn_function_backend"): _nothing,
    ("collections", "OrderedDict"): OrderedDict,
    ("__builtin__", "set"): set,
}


class _Reader(pickle.Unpickler):
    def __init__(self, handle: io.BufferedIOBase, classes: Collection[tuple[str, str]], storages: _Storages) -> None:
        super().__init__(handle)
        self._classes, self._storages = frozenset(classes), storages

    def find_class(self, module: str, name: str) -> Any:
        known = FUNCTIONS.get((module, name))
        if known is not None:
            return known
        if module == "torch" and name in _STORAGES:
            return _Kind(_STORAGES[name])
        if (module, name) in self._classes or (module.startswith("torch.nn.modules.") and name.isidentifier()):
            return Shell
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> Any:
        if isinstance(pid, tuple) and len(pid) == 4 and pid[0] == "module":
            return pid[1]  # a class with the text of its source, which is left alone
        if isinstance(pid, tuple) and len(pid) == 6 and pid[0] == "storage" and pid[5] is None:
            return self._storages.get(pid[1], pid[2], pid[4])
        raise pickle.UnpicklingError("it refers to something that is no storage")


def read(path: Path, classes: Collection[tuple[str, str]]) -> dict[str, Tensor]:
    """The state dict (names as ``state_dict()`` gives them) of the network pickled in ``path``; ``classes``: (module, name) of its own classes.

    Check the file's hash first all the same. Raises :class:`BadInput` for a file of another kind, one that is cut off, and one that asks for anything
    else than layers and tensors: nothing of it was run.
    """
    try:
        with path.open("rb") as handle:
            whole = unpickled(handle, classes, path.stat().st_size)
    except pickle.UnpicklingError as error:
        raise BadInput(
            f"{path}: refused, not a pickled network of layers and tensors only ({one_line(error)}); fetch the official file"
        ) from error
    except Exception as error:  # a damaged pickle raises nearly anything
        raise_if_memory_ran_out(error)
        raise BadInput(f"{path}: not a readable checkpoint ({one_line(error)}); fetch the file again") from error
    return tensors(whole, path)


def unpickled(handle: io.BufferedIOBase, classes: Collection[tuple[str, str]], limit: int) -> Any:
    """The object in such a file, layers as :class:`Shell`; ``limit``: bytes that its numbers may take. Raises UnpicklingError, and what else a
    damaged pickle raises."""
    storages, nothing = _Storages(limit), _Storages(0)
    for wanted, what in ((MAGIC, "magic number"), (PROTOCOL, "protocol")):
        if _Reader(handle, (), nothing).load() != wanted:
            raise pickle.UnpicklingError(f"another {what}")
    machine = _Reader(handle, (), nothing).load()
    if not isinstance(machine, dict) or machine.get("little_endian") is not True:
        raise pickle.UnpicklingError("written by a machine of another byte order")
    whole = _Reader(handle, classes, storages).load()
    keys = _Reader(handle, (), nothing).load()
    if not isinstance(keys, list) or set(keys) != set(storages.by_key):
        raise pickle.UnpicklingError("its list of storages is another")
    for key in keys:
        _fill(handle, storages.by_key[key])
    return whole


def tensors(whole: Any, path: Path) -> dict[str, Tensor]:
    """The state dict of a :class:`Shell` and the layers in it. Raises :class:`BadInput` where it is none or holds none."""
    found: dict[str, Tensor] = {}
    _collect(whole, "", found, path)
    if not found:
        raise BadInput(f"{path}: no tensors in it; fetch the official file")
    return found


def _fill(handle: io.BufferedIOBase, storage: Tensor) -> None:
    head = handle.read(8)
    size = storage.numel() * storage.element_size()
    if len(head) != 8 or struct.unpack("<q", head)[0] != storage.numel():
        raise pickle.UnpicklingError("a storage of another size, or the file is cut off")
    data = handle.read(size)
    if len(data) != size:
        raise pickle.UnpicklingError("the file is cut off")
    if size:
        storage.copy_(torch.frombuffer(bytearray(data), dtype=storage.dtype))


def _collect(part: Any, prefix: str, found: dict[str, Tensor], path: Path, depth: int = 0) -> None:
    if not isinstance(part, Shell) or depth > 32:
        raise BadInput(f"{path}: {prefix or 'the whole'} is no network layer; fetch the official file")
    for kind in ("_parameters", "_buffers"):
        for name, value in dict(getattr(part, kind, {}) or {}).items():
            if isinstance(value, Tensor):
                found[f"{prefix}{name}"] = value
    for name, inner in dict(getattr(part, "_modules", {}) or {}).items():
        if inner is not None:
            _collect(inner, f"{prefix}{name}.", found, path, depth + 1)

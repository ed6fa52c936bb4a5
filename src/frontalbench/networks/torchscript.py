"""Weights out of a TorchScript archive, read as data.

Such an archive holds code. None of it is run: ``data.pkl`` is unpickled with every class replaced by a plain record, and the numbers are read as
bytes.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from frontalbench.errors import BadInput


class _Record:
    """What stands in for a class of the archive: the attributes that were pickled, and nothing that runs."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state if isinstance(state, dict) else {}


class _Storage:
    """The word for "32-bit floats" in the archive."""


class _DataOnly(pickle.Unpickler):
    """Unpickles records, lists of numbers and float32 tensors; a class or function that the archive brings itself becomes a :class:`_Record`."""

    def __init__(self, data: bytes, archive: zipfile.ZipFile, folder: str) -> None:
        super().__init__(io.BytesIO(data))
        self._archive, self._folder = archive, folder

    def find_class(self, module: str, name: str) -> Any:
        if module.startswith("__torch__."):
            return _Record
        known = {
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch", "FloatStorage"): _Storage,
            ("torch.jit._pickle", "build_intlist"): list,
            ("collections", "OrderedDict"): dict,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"{module}.{name} is no tensor")
        return known[module, name]

    def persistent_load(self, pid: Any) -> npt.NDArray[np.float32]:
        word, kind, key, _, count = pid
        if word != "storage" or kind is not _Storage or not str(key).isdecimal():
            raise pickle.UnpicklingError(f"{pid!r} is no storage of 32-bit floats")
        values = np.frombuffer(self._archive.read(f"{self._folder}/data/{key}"), "<f4")
        if len(values) != count:
            raise pickle.UnpicklingError(f"storage {key} holds {len(values)} numbers, not {count}")
        return values


def _tensor(storage: npt.NDArray[np.float32], offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    """A tensor that lies in one piece, row by row, which is all that these archives hold."""
    if tuple(stride) != tuple(int(np.prod(size[i + 1 :])) for i in range(len(size))):
        raise pickle.UnpicklingError(f"a tensor of size {size} with strides {stride} does not lie in one piece")
    values = storage[offset : offset + int(np.prod(size))]
    return torch.from_numpy(values.astype(np.float32).reshape(size))


def read_torchscript(path: Path) -> dict[str, Tensor]:
    """The float32 tensors of a TorchScript archive by name (attributes joined with dots; a single wrapping module ``net`` left out), read as data.

    Raises :class:`BadInput` for a file that is none, is damaged, or holds anything that reading as data cannot stand for.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            member = next((name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")), None)
            if member is None:
                raise BadInput(f"{path}: no data.pkl in it; expected a TorchScript archive")
            top = _DataOnly(archive.read(member), archive, member.split("/")[0]).load()
    except (
        *(zipfile.BadZipFile, pickle.UnpicklingError, OSError, EOFError, KeyError),
        *(ValueError, TypeError, IndexError, AttributeError, NotImplementedError, RuntimeError),
    ) as error:
        raise BadInput(f"{path}: not a TorchScript archive that can be read as data ({' '.join(str(error).split())[:200]})") from error
    found: dict[str, Tensor] = {}

    def walk(record: Any, name: str) -> None:
        if isinstance(record, Tensor):
            found[name] = record
        elif isinstance(record, _Record):
            for key, value in record.state.items():
                walk(value, f"{name}.{key}" if name else str(key))

    walk(top, "")
    if not found:
        raise BadInput(f"{path}: no tensors in it; expected a network's weights")
    return {key.removeprefix("net."): value for key, value in found.items()}

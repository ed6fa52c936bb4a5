"""Verification packs: ``lfw.bin``, ``cfp_fp.bin``, ``agedb_30.bin``, ``calfw.bin``, ``cplfw.bin`` and their like.

A pack is one pickle of two things: the encoded images (aligned faces of 112 x 112, two after each other for every pair) and one boolean per pair,
whether both show one person. It carries no names. Packs were written by Python 2 (an image is an old byte string), by Python 3 (bytes, in
protocol 2 spelt as text through a codec), and by programs that kept numpy arrays and booleans; all of these are read.

A pickle may hold code, so nothing in it is ever called: every name in it stands for something inert that is written here, and a name that is not on
the list ends the reading.
"""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from frontalbench.errors import BadInput, one_line, raise_if_memory_ran_out
from frontalbench.protocols.verification import Pair
from frontalbench.types import Bool, Int

FOLDS: Final = 10
SIDE: Final = 112
"""Side of an image in a pack, the size that backbones take."""
_SIZES: Final = {"b1": "?", "bool": "?", "?": "?", "u1": "u1", "i1": "i1", "i4": "<i4", "i8": "<i8", "u4": "<u4", "u8": "<u8"}


@dataclass(frozen=True)
class Pack:
    """A pack that was read: ``images`` (2 N encoded images, those of pair i at 2 i and 2 i + 1) and ``same`` bool (N,)."""

    path: Path
    images: tuple[bytes, ...]
    same: Bool

    def image_id(self, place: int) -> str:
        """A name for the image at ``place``: ``lfw/00003``."""
        return f"{self.path.stem}/{place:05d}"

    def pairs(self) -> list[Pair]:
        """The pairs by the images' names, in ten folds."""
        fold = tenths(self.same)
        return [Pair(self.image_id(2 * i), self.image_id(2 * i + 1), bool(same), int(fold[i])) for i, same in enumerate(self.same.tolist())]


def tenths(same: Bool) -> Int:
    """Fold 0 .. 9 (N,) of pairs without folds of their own: ten runs of one length in file order, as everybody who publishes accuracies on packs
    takes them. In a file that has all pairs of one kind first, a tenth of each kind, so that every fold has both."""
    n = len(same)

    def runs(count: int) -> Int:
        sizes = [len(part) for part in np.array_split(np.arange(count), FOLDS)]
        return np.repeat(np.arange(FOLDS, dtype=np.int64), sizes)

    fold = runs(n)
    if n >= FOLDS and all(len(set(same[fold == k].tolist())) == 2 for k in range(FOLDS)):
        return fold
    for kind in (True, False):
        fold[same == kind] = runs(int((same == kind).sum()))
    return fold


def read_pack(path: str | os.PathLike[str]) -> Pack:
    """Read a pack. Raises :class:`BadInput`, one line: not there, not a pickle, with code in it, empty, labels that do not fit the images."""
    file = Path(path)
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        raise BadInput(f"{file}: not there; expected a pack of pairs such as lfw.bin") from None
    except IsADirectoryError:
        raise BadInput(f"{file}: a folder; expected a pack of pairs such as lfw.bin") from None
    if not data:
        raise BadInput(f"{file}: empty; it was cut off, fetch it again")
    try:
        content = _Reader(io.BytesIO(data), encoding="bytes").load()
    except _Refused as refused:
        raise BadInput(f"{file}: {refused}; a pack holds images and booleans alone, so this one was not read") from None
    except Exception as error:  # noqa: BLE001 - a damaged pickle raises whatever its bytes happen to ask for
        raise_if_memory_ran_out(error)
        raise BadInput(f"{file}: not a pack of pairs, or cut off ({one_line(error)}); fetch it again") from None
    content = _plain(content)
    if not isinstance(content, (list, tuple)) or len(content) != 2:
        raise BadInput(f"{file}: expected images and labels, two things, found {_what(content)}")
    images, labels = (_plain(part) for part in content)
    if not isinstance(images, (list, tuple)) or not isinstance(labels, (list, tuple)):
        raise BadInput(f"{file}: expected a list of images and a list of labels, found {_what(images)} and {_what(labels)}")
    if not labels:
        raise BadInput(f"{file}: holds no pairs ({len(images):,} images, no label)")
    if len(images) != 2 * len(labels):
        raise BadInput(f"{file}: {len(images):,} images and {len(labels):,} labels; expected two images for each label")
    return Pack(
        file,
        tuple(_image(file, i, value) for i, value in enumerate(images)),
        np.array([_label(file, i, value) for i, value in enumerate(labels)], np.bool_),
    )


def _what(value: Any) -> str:
    return f"{type(value).__name__} of {len(value):,}" if isinstance(value, (list, tuple, dict, bytes, str)) else type(value).__name__


def _image(file: Path, place: int, value: Any) -> bytes:
    value = _plain(value)
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    if isinstance(value, list) and value and all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
        return bytes(value)
    raise BadInput(f"{file}: image {place}: expected the bytes of an encoded image, found {_what(value)}")


def _label(file: Path, place: int, value: Any) -> bool:
    value = _plain(value)
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if isinstance(value, (bool, int)) and value in (0, 1):
        return bool(value)
    raise BadInput(f"{file}: label {place}: expected True or False, found {str(value)[:40]!r}")


# Inert stand-ins for the few names that occur in packs ----------------------------------------------------------------------


class _Refused(Exception):
    """A name that does not belong in a pack."""


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


class _Type:
    """A numpy type by its code."""

    def __init__(self, code: Any = "", *_: Any) -> None:
        self.code = _text(code).lstrip("<|=")

    def __setstate__(self, state: Any) -> None:
        order = _text(state[1]) if isinstance(state, tuple) and len(state) > 1 else ""
        if order == ">":
            raise _Refused("holds numbers in another byte order")

    def numbers(self, data: Any) -> list[Any]:
        if self.code.startswith("O"):
            return list(data) if isinstance(data, (list, tuple)) else []
        if self.code not in _SIZES:
            raise _Refused(f"holds numpy values of type {self.code[:20]!r}")
        raw = data.encode("latin-1") if isinstance(data, str) else bytes(data)
        values: list[Any] = np.frombuffer(raw, _SIZES[self.code]).tolist()
        return values


class _Array:
    """A numpy array as a flat list."""

    def __init__(self, *_: Any) -> None:
        self.values: list[Any] = []
        self.shape: tuple[int, ...] = ()

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, _, data = state
        self.values, self.shape = kind.numbers(data), tuple(shape)

    def listed(self) -> list[Any]:
        """The array as a list, of lists where it has more than one dimension."""
        if len(self.shape) < 2 or self.shape[-1] == 0:
            return self.values
        values = self.values
        for size in reversed(self.shape[1:]):
            values = [values[i : i + size] for i in range(0, len(values), size)]
        return values


def _array_of_buffer(data: Any, kind: _Type, shape: Any, *_: Any) -> _Array:
    made = _Array()
    made.__setstate__((1, shape, kind, False, data))
    return made


def _scalar(kind: _Type, data: Any = b"\0") -> Any:
    return kind.numbers(data)[0]


def _encoded(text: Any, codec: Any = "latin1") -> bytes:
    """How Python 3 writes bytes in the protocols of Python 2."""
    if not isinstance(text, str) or _text(codec) not in ("latin1", "latin-1", "iso-8859-1"):
        raise _Refused("calls a codec")
    return text.encode("latin-1")


def _bytes(*parts: Any) -> bytes:
    if not parts:
        return b""
    if len(parts) == 1 and isinstance(parts[0], (bytes, bytearray, list)):
        return bytes(parts[0])
    return _encoded(*parts)


_NAMES: Final[dict[tuple[str, str], Callable[..., Any] | type]] = {
    ("_codecs", "encode"): _encoded,
    ("builtins", "bytes"): _bytes,
    ("__builtin__", "bytes"): _bytes,
    ("builtins", "bytearray"): _bytes,
    ("__builtin__", "bytearray"): _bytes,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    **{(module, "_reconstruct"): _Array for module in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{(module, "scalar"): _scalar for module in ("numpy.core.multiarray", "numpy._core.multiarray")},
    **{(module, "_frombuffer"): _array_of_buffer for module in ("numpy.core.numeric", "numpy._core.numeric")},
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _NAMES[_text(module), _text(name)]
        except KeyError:
            raise _Refused(f"asks for {_text(module)}.{_text(name)}") from None

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("refers to something outside of the file")


def _plain(value: Any) -> Any:
    return value.listed() if isinstance(value, _Array) else value

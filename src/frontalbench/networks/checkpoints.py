"""Checkpoint files in, read as data; the one reader for every network.

:func:`load` gives the state dict of a torch file (restricted unpickling) or a safetensors file; which of the two it is, its first bytes say.
:func:`fill` puts it into a network: the same names on both sides and the same shapes. Whatever is wrong with a file is one line that names it
(:class:`~frontalbench.errors.BadInput`).
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from frontalbench.errors import BadInput, one_line, raise_if_memory_ran_out

StrPath = str | os.PathLike[str]
Shape = tuple[int, ...]
Module = TypeVar("Module", bound=nn.Module)

COUNTER = "num_batches_tracked"
"""Last part of a key that old checkpoints leave out and inference never reads."""


@dataclass(frozen=True)
class Opened:
    """What a checkpoint file holds, read once, for a file that keeps several networks."""

    path: StrPath
    content: Any


def opened(path: StrPath) -> Opened:
    """The file's content, for several calls of :func:`load`. Raises :class:`BadInput` as that does."""
    return Opened(path, _read(path))


def load(path: StrPath | Opened, *, inner: str | None = None, strip: str = "module.", beside: Collection[str] = ()) -> dict[str, Tensor]:
    """The state dict in a checkpoint file: names to tensors, on the CPU.

    ``inner``: the part of the file that holds it, ``"params_ema"`` say: a mapping of that name, or all keys that begin with the name and a dot
    (which is how a file without mappings in mappings keeps several networks). What lies beside it is left alone. None: the file is the state dict,
    or has it under ``state_dict``. ``strip``: taken off the beginning of keys that have it (``module.`` is left by data-parallel training).
    ``beside``: names of tensors that lie beside the state dict and belong to it all the same.

    Raises :class:`BadInput` for a file that is missing, cut off, of another kind, without ``inner``, or that would run code.
    """
    file = path if isinstance(path, Opened) else opened(path)
    path, content, whole = file.path, file.content, file.content
    if inner is not None:
        content = _part(content, inner, path)
    elif isinstance(content, Mapping) and isinstance(content.get("state_dict"), Mapping):
        content = content["state_dict"]
    if not isinstance(content, Mapping) or not content:
        found = "nothing in it" if isinstance(content, Mapping) else f"a {type(content).__name__}"
        raise BadInput(f"{path}: expected a state dict (names to tensors), found {found}; check the card's file")
    for key, value in content.items():
        if not isinstance(value, Tensor):
            what = f"a state dict under one of: {_names(content)}" if isinstance(value, Mapping) else "tensors only"
            raise BadInput(f"{path}: '{key}' is a {type(value).__name__}; expected {what}")
    own = {str(key).removeprefix(strip): value for key, value in content.items()}
    more = {name: whole.get(name) if isinstance(whole, Mapping) else None for name in beside}
    for name, value in more.items():
        if not isinstance(value, Tensor):
            raise BadInput(f"{path}: expected a tensor '{name}' beside the state dict, found {_names(whole)}; check the card's file")
    found = own | {name: value for name, value in more.items() if isinstance(value, Tensor)}
    for key, value in found.items():
        if kind := _not_plain(value):
            raise BadInput(f"{path}: '{key}' is a {kind} tensor; expected plain numbers; fetch the official file")
    return found


def fill(module: nn.Module, state: Mapping[str, Tensor], path: StrPath) -> None:
    """Put ``state`` into ``module``; ``path`` is named in messages. Number types become the module's.

    Raises :class:`BadInput` as :func:`check` does; then the module is as it was.
    """
    own = module.state_dict()
    integers = {key for key, value in own.items() if not value.is_floating_point()}
    module.load_state_dict(check(state, {key: tuple(value.shape) for key, value in own.items()}, path, integers=integers), strict=False)


def check(
    state: Mapping[str, Tensor],
    expected: Mapping[str, Shape],
    path: StrPath,
    *,
    integers: Collection[str] | None = None,
    network: str = "this network",
) -> dict[str, Tensor]:
    """``state`` in the order of ``expected`` (key -> shape), when its keys and shapes are exactly those and its values are finite.

    ``integers``: the keys that hold integers or truth values, :data:`COUNTER` keys unless given; the rest holds floats. :data:`COUNTER` keys may be
    missing. ``network`` and ``path`` are for messages. Raises :class:`BadInput` that counts the misfits and names the first.
    """
    whole = {key for key in expected if key.endswith(COUNTER)} if integers is None else integers
    title = f"{path}: not the weights of {network}"
    missing = [key for key in expected if key not in state and not key.endswith(COUNTER)]
    unexpected = [key for key in state if key not in expected]
    if missing or unexpected:
        sides = ((missing, "missing"), (unexpected, "unexpected"))
        parts = [f"{len(keys)} of its keys {word} (first: {keys[0]})" for keys, word in sides if keys]
        raise BadInput(f"{title}: {', '.join(parts)}; check the card's params and file")
    for key, value in state.items():
        if tuple(value.shape) != expected[key]:
            raise BadInput(f"{title}: {key} should be {expected[key]}, is {tuple(value.shape)}; check the card's params and file")
        if value.is_floating_point() == (key in whole):
            raise BadInput(f"{title}: {key} holds {value.dtype}, expected {'integers' if key in whole else 'floats'}")
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise BadInput(f"{title}: {key} holds values that are not finite; fetch the file again")
    return {key: state[key] for key in expected if key in state}


def unfilled(make: Callable[[], Module]) -> Module:
    """The network that ``make`` gives, its weights not drawn, to be filled: random numbers only to be replaced take seconds in a large network.

    What :mod:`torch.nn.init` would have written is whatever the memory held; all else (constants, buffers) is as ``make`` made it.
    """
    with _NoDrawing():
        return make()


class _NoDrawing(TorchFunctionMode):
    """:mod:`torch.nn.init`'s functions, and what they draw with, leave their tensor alone.

    torch's meta device does it too, but its first use imports for three seconds.
    """

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        if getattr(func, "__module__", None) == "torch.nn.init" or func in (Tensor.normal_, Tensor.uniform_):
            return (kwargs or {}).get("tensor") if not args else args[0]
        return func(*args, **(kwargs or {}))


def count(path: StrPath) -> int:
    """How many floating-point numbers a checkpoint file holds, in whatever mappings and lists. Raises :class:`BadInput`."""

    def within(value: Any) -> int:
        if isinstance(value, Tensor):
            return value.numel() if value.is_floating_point() else 0
        parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
        return sum(within(part) for part in parts)

    return within(_read(path))


def metadata(path: StrPath) -> dict[str, str]:
    """What a safetensors file says about itself; empty where it says nothing. Raises :class:`BadInput`."""
    try:
        with safe_open(path, "pt") as handle:
            return dict(handle.metadata() or {})
    except FileNotFoundError:
        raise _not_found(path) from None
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{path}: not a safetensors file ({one_line(error)}); fetch it again or correct the card") from error


def _read(path: StrPath) -> Any:
    if not Path(path).is_file():
        raise _not_found(path)
    try:
        if _is_safetensors(path):
            return load_file(path)
        with Path(path).open("rb") as handle:  # given a path, some versions of torch go by the suffix
            return torch.load(handle, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if any(sign in str(error) for sign in ("Unsupported global", "Unsupported class", "Trying to", "Can only")):
            raise BadInput(
                f"{path}: refused, it holds code or objects besides tensors, and was not opened; fetch the official file"
            ) from error
        raise BadInput(f"{path}: refused, it is damaged or holds other things than tensors; fetch the file again") from error
    except Exception as error:  # torch raises RuntimeError, EOFError, KeyError, ... on broken files
        raise_if_memory_ran_out(error)
        raise BadInput(f"{path}: not a readable checkpoint ({one_line(error)}); fetch the file again") from error


def _is_safetensors(path: StrPath) -> bool:
    """The format's first 8 bytes count those of the JSON object after them; neither of torch's formats has a brace there."""
    with Path(path).open("rb") as handle:
        return handle.read(9)[8:] == b"{"


def _not_plain(value: Tensor) -> str:
    """The kind of a tensor that is not simply one number behind the other; "" for one that is."""
    if value.layout is not torch.strided or value.is_nested:
        return "nested" if value.is_nested else str(value.layout).removeprefix("torch.")
    return "quantized" if value.is_quantized else "numberless (meta)" if value.is_meta else ""


def _part(content: Any, inner: str, path: StrPath) -> Mapping[str, Any]:
    if isinstance(content, Mapping):
        within = content.get(inner)
        if isinstance(within, Mapping):
            return within
        flat = {str(key).removeprefix(f"{inner}."): value for key, value in content.items() if str(key).startswith(f"{inner}.")}
        if flat:
            return flat
    raise BadInput(f"{path}: expected a mapping with '{inner}', found {_names(content)}; check the card's file")


def _names(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f"a {type(content).__name__}"
    names = [str(key) for key in content]
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "nothing in it"


def _not_found(path: StrPath) -> BadInput:
    return BadInput(f"{path}: not found; fetch the model's weights first")

"""Official LivePortrait weights, read as data: ``.pth`` (restricted unpickling) or ``.safetensors``, checked key by key.

A file that is missing, cut off, of another network or that carries code gives one line (:class:`~frontalbench.errors.BadInput`).
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frontalbench.errors import BadInput
from frontalbench.liveportrait import keys

_PARTS = {"stitching": "retarget_shoulder", "lip": "retarget_mouth", "eye": "retarget_eye"}
"""Network -> its name inside the stitching file; that file may hold more, which is left alone."""


def load(network: str, path: str | Path) -> dict[str, Tensor]:
    """The state dict of one network of :data:`keys.NETWORKS` from its official file; ``stitching``, ``lip`` and ``eye`` share one file.

    Keys and shapes are exactly those of :func:`keys.expected`, values are finite. Raises :class:`BadInput`.
    """
    content = read(path)
    if network in _PARTS:
        content = _part(content, _PARTS[network], path)
    return check(network, content, str(path))


def read(path: str | Path) -> Mapping[str, Any]:
    """The dictionary in a checkpoint file; tensors stay on the CPU. Raises :class:`BadInput`."""
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path}: checkpoint not found; fetch the weights first")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if "Unsupported global" in str(error) or "Unsupported class" in str(error) or "WeightsUnpickler" in str(error):
            raise BadInput(f"{path}: holds code or objects, not only tensors, and was not opened; fetch the official file") from error
        raise BadInput(f"{path}: not a PyTorch checkpoint ({_first_line(error)}); fetch the official file again") from error
    except Exception as error:
        raise BadInput(f"{path}: damaged or cut off ({_first_line(error)}); delete it and fetch it again") from error
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        raise BadInput(f"{path}: holds a {type(content).__name__}, expected a dictionary of named tensors; fetch the official file")
    return content


def check(network: str, state: Mapping[str, Any], where: str) -> dict[str, Tensor]:
    """``state`` when its keys, shapes and kinds of numbers are exactly the network's; else :class:`BadInput` naming the first difference."""
    shapes = keys.expected(network)
    title = f"{where}: not the weights of LivePortrait's {network} network"
    missing = [key for key in shapes if key not in state]
    unexpected = [key for key in state if key not in shapes]
    if missing or unexpected:
        parts = [
            f"{len(found)} keys {word} (first '{found[0]}')" for word, found in (("missing", missing), ("unexpected", unexpected)) if found
        ]
        raise BadInput(f"{title}: {', '.join(parts)}; check which file is which")
    for key, shape in shapes.items():
        value = state[key]
        if not isinstance(value, Tensor):
            raise BadInput(f"{title}: '{key}' is a {type(value).__name__}, expected a tensor")
        if tuple(value.shape) != shape:
            raise BadInput(f"{title}: '{key}' has shape {tuple(value.shape)}, expected {shape}")
        if value.is_floating_point() == key.endswith(keys.INTEGER_SUFFIX):
            raise BadInput(
                f"{title}: '{key}' holds {value.dtype}, expected {'integers' if key.endswith(keys.INTEGER_SUFFIX) else 'floats'}"
            )
        if not bool(torch.isfinite(value).all()):
            raise BadInput(f"{title}: '{key}' holds values that are not finite; fetch the file again")
    return {key: state[key].float() if state[key].is_floating_point() else state[key] for key in shapes}


def _part(content: Mapping[str, Any], name: str, path: str | Path) -> Mapping[str, Any]:
    """One of the perceptrons: nested under ``name`` (official) or flat with ``name.`` before its keys (conversions)."""
    inside = content.get(name)
    if not isinstance(inside, Mapping):
        inside = {key.removeprefix(f"{name}."): value for key, value in content.items() if key.startswith(f"{name}.")}
    if not inside:
        raise BadInput(f"{path}: has no part '{name}'; expected LivePortrait's stitching_retargeting_module checkpoint")
    return {str(key).replace("module.", ""): value for key, value in inside.items()}


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]

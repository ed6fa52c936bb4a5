"""Reproducible stand-in weights: every tensor of a network drawn from a generator seeded by its name.

They are not trained and turn no face; they exercise every line of the networks on machines without the real weights (golden tests, speed,
memory). Each tensor depends on its network, key and shape alone, so that any implementation can be given the same ones.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from frontalbench.liveportrait import keys

if TYPE_CHECKING:
    import torch


def _stem(network: str) -> str:
    stem = keys.FILES.get(network, "")
    if network in keys.MLP_WIDTHS:
        return f"{keys.FILES['stitching']}.{network}"
    return stem


def random_state(tag: str) -> np.random.RandomState:
    """The generator of one name."""
    return np.random.RandomState(zlib.crc32(tag.encode("utf-8")))


def state(network: str) -> dict[str, torch.Tensor]:
    """Synthetic state dict of a network of :data:`keys.NETWORKS`, in the official names and shapes."""
    import torch

    filled: dict[str, npt.NDArray[np.float32]] = {}
    shapes = keys.expected(network)
    for key, shape in shapes.items():
        if key.endswith((".weight_u", ".weight_v", keys.INTEGER_SUFFIX)):
            continue
        filled[key] = _fill(f"{_stem(network)}:{key}", key, shape)
    for key in [key for key in filled if key.endswith(".weight_orig")]:
        u, v = _singular_vectors(filled[key])
        filled[key.replace(".weight_orig", ".weight_u")] = u
        filled[key.replace(".weight_orig", ".weight_v")] = v
    tensors = {key: torch.from_numpy(value) for key, value in filled.items()}
    tensors.update({key: torch.zeros((), dtype=torch.int64) for key in shapes if key.endswith(keys.INTEGER_SUFFIX)})
    return {key: tensors[key] for key in shapes}


def _fill(tag: str, key: str, shape: keys.Shape) -> npt.NDArray[np.float32]:
    r = random_state(tag).standard_normal(shape)
    if key.endswith("running_mean"):
        r *= 0.1
    elif key.endswith("running_var"):
        r = 0.5 + np.abs(r)
    elif key.endswith(("gamma", "beta")):
        r *= 0.1
    elif key.endswith("bias"):
        r *= 0.05
    elif len(shape) == 1:
        r = 1.0 + 0.1 * r
    else:
        r /= np.sqrt(r.size / shape[0])
    return np.asarray(r, dtype=np.float32)


def _singular_vectors(weight: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Ten steps of the power iteration from a constant vector: nearly the largest singular pair."""
    w = weight.reshape(weight.shape[0], -1).astype(np.float64)
    v = np.ones(w.shape[1]) / np.sqrt(w.shape[1])
    for _ in range(10):
        u = w @ v
        u /= np.linalg.norm(u)
        v = w.T @ u
        v /= np.linalg.norm(v)
    return u.astype(np.float32), v.astype(np.float32)

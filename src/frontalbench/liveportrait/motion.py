"""Poses and implicit keypoints: ``x = scale * (kp @ R + exp) + t`` (arXiv 2407.03168, equation 2; check values in tests/golden).

LivePortrait multiplies row vectors by ``R = (Rz(roll) Ry(yaw) Rx(pitch))^T``, which is the head -> camera matrix of docs/architecture.md applied to
column vectors; its axes are ours (x right, y down, z away), so its angles are ours. Which way its learned keypoints' depth runs cannot be read
off the formulas; the self-test checks it on the real weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from frontalbench.geometry.rotation import matrix_from_angles
from frontalbench.networks.liveportrait import keys

BINS = 66
DEGREES_PER_BIN = 3.0
LOWEST_DEGREES = -97.5


@dataclass(frozen=True)
class Motion:
    """What the motion network sees in N crops, float32 on the CPU.

    ``kp`` (N, 21, 3): keypoints of the person, unposed; ``exp`` (N, 21, 3): what the expression adds; ``scale`` (N, 1); ``t`` (N, 3);
    ``yaw``, ``pitch``, ``roll`` (N,) degrees, in the convention of docs/architecture.md, relative to the (levelled) crop.
    """

    kp: Tensor
    exp: Tensor
    scale: Tensor
    t: Tensor
    yaw: Tensor
    pitch: Tensor
    roll: Tensor

    def __len__(self) -> int:
        return len(self.kp)


def degrees(logits: Tensor) -> Tensor:
    """(N, 66) logits -> (N,) degrees in -97.5 .. 97.5: the expected bin."""
    share = torch.softmax(logits.double(), dim=1)
    bins = torch.arange(BINS, dtype=torch.float64, device=logits.device)
    return ((share * bins).sum(1) * DEGREES_PER_BIN + LOWEST_DEGREES).float()


def from_heads(heads: Mapping[str, Tensor]) -> Motion:
    """Raw outputs of the motion network -> :class:`Motion`."""
    h = {name: value.detach().float().cpu() for name, value in heads.items()}
    n = len(h["scale"])
    angles = {name: degrees(h[name]) for name in ("yaw", "pitch", "roll")}
    return Motion(h["kp"].view(n, keys.KEYPOINTS, 3), h["exp"].view(n, keys.KEYPOINTS, 3), h["scale"], h["t"], **angles)


def rotation(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """(N,) degrees -> (N, 3, 3), to be multiplied from the right onto row vectors."""
    matrix = matrix_from_angles(*(np.asarray(angle, dtype=np.float64) for angle in (yaw, pitch, roll)))
    return torch.from_numpy(matrix.astype(np.float32)).transpose(-1, -2)


def keypoints(motion: Motion, turn: Tensor, *, expression: bool = True, depth_shift: bool = False) -> Tensor:
    """Keypoints (N, 21, 3) of ``motion`` turned by ``turn`` (N, 3, 3).

    ``expression``: with the person's expression, or the unposed keypoints alone. ``depth_shift``: add t's z too (LivePortrait leaves it out,
    FacePoke does not).
    """
    points = motion.kp @ turn
    if expression:
        points = points + motion.exp
    shift = motion.t if depth_shift else motion.t * torch.tensor([1.0, 1.0, 0.0])
    return motion.scale[:, :, None] * points + shift[:, None, :]


def source_keypoints(motion: Motion) -> Tensor:
    """Keypoints (N, 21, 3) as the crops show them."""
    return keypoints(motion, rotation(motion.yaw, motion.pitch, motion.roll))


def stitched(driving: Tensor, offsets: Tensor) -> Tensor:
    """Driving keypoints (N, 21, 3) plus the stitching network's output (N, 65): 63 keypoint offsets and one shift in x and y."""
    moved = driving + offsets[:, : 3 * keys.KEYPOINTS].view(-1, keys.KEYPOINTS, 3)
    moved[..., :2] += offsets[:, None, 3 * keys.KEYPOINTS :]
    return moved

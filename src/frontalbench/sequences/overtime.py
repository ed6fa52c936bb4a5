"""Faces measured over time: does a sequence keep the person, and does it tremble?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from frontalbench.images import RGB
from frontalbench.types import Bool, Float


def unit(vectors: Float) -> Float:
    """Rows scaled to length 1; zero rows stay zero."""
    values = np.asarray(vectors, np.float64)
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    scaled: Float = values / np.where(length > 0, length, 1.0)
    return scaled


def template(embeddings: Float, yaw: Float | None = None) -> Float:
    """(D,): the mean of ``embeddings`` (n, D), scaled to length 1 before and after; with ``yaw`` (n,) degrees weighted by its cosine (never below 0).

    The control of every method that looks at several images: no frontalization, one more line of code. NaN rows (no face) are left out. Raises
    ValueError when nothing is left.
    """
    rows = unit(embeddings)
    weight = np.ones(len(rows)) if yaw is None else np.clip(np.cos(np.radians(np.asarray(yaw, np.float64))), 0.0, None)
    known = np.isfinite(rows).all(axis=1) & np.isfinite(weight)
    if not known.any():
        raise ValueError("no embedding to make a template of")
    if weight[known].sum() <= 1e-9:
        weight = np.ones(len(rows))
    return unit((rows[known] * weight[known, None]).sum(axis=0))


@dataclass(frozen=True)
class OverTime:
    """Of one track. ``identity_mean``, ``identity_worst``, ``identity_spread`` (standard deviation): similarity of its frames to a reference;
    ``embedding_jitter``: mean of 1 - similarity between neighbouring frames; ``frames``: how many had an embedding."""

    identity_mean: float
    identity_worst: float
    identity_spread: float
    embedding_jitter: float
    frames: int


def over_time(embeddings: Float, reference: Float) -> OverTime:
    """``embeddings`` (T, D) in the order of time, NaN where a frame has none; ``reference`` (D,): of the person, a front or a template."""
    rows = unit(embeddings)
    known: Bool = np.asarray(np.isfinite(rows).all(axis=1))
    if not known.any():
        return OverTime(math.nan, math.nan, math.nan, math.nan, 0)
    similarity = rows[known] @ unit(reference)
    both = known[1:] & known[:-1]
    steps = 1.0 - (rows[1:] * rows[:-1]).sum(axis=1)[both]
    return OverTime(
        float(similarity.mean()),
        float(similarity.min()),
        float(similarity.std()),
        float(steps.mean()) if len(steps) else math.nan,
        int(known.sum()),
    )


def warp_error(before: RGB, now: RGB, before_shown: RGB, now_shown: RGB) -> float:
    """Temporal stability of what was made (``before_shown``, ``now_shown``) of two neighbouring frames: mean absolute difference in grey levels
    after the first is moved onto the second by their own optical flow (Lai et al. 2018, "Learning Blind Video Temporal Consistency", without their
    occlusion mask: places whose flow does not return within a pixel are left out). All four uint8 (H, W, 3) of one size. NaN where nothing is left.

    ``before``, ``now``: frames that the flow is taken from: the sources, or the results themselves where these stand in another frame.
    """
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (before, now)]
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    back, forth = flow.calc(grey[1], grey[0], None), flow.calc(grey[0], grey[1], None)
    height, width = grey[0].shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    at = (x + back[..., 0], y + back[..., 1])
    returned = cv2.remap(forth, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    kept = np.hypot(back[..., 0] + returned[..., 0], back[..., 1] + returned[..., 1]) < 1.0
    if not kept.any():
        return math.nan
    moved = cv2.remap(before_shown, *at, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(np.abs(moved.astype(np.float32) - now_shown.astype(np.float32))[kept].mean())


def residual_pose(yaw: Float, pitch: Float, roll: Float) -> tuple[float, float]:
    """(mean, worst) over time of how far heads that should look ahead do not: the largest of the three angles in degrees of each frame (n,), NaN
    left out."""
    angles = np.abs(np.stack([np.asarray(one, np.float64) for one in (yaw, pitch, roll)]))
    off = angles.max(axis=0)
    off = off[np.isfinite(off)]
    return (float(off.mean()), float(off.max())) if len(off) else (math.nan, math.nan)

"""Tracks made steady without lagging behind: what hardly moves is averaged over many frames, what moves fast is left as it is.

FSGANv2 averages boxes, landmarks and poses so (the appendix of Nirkin, Keller, Hassner 2022 and its program, whose results the golden tests hold):
the average's share falls with the motion, separately for a box's centre and size, and for each part of the face, because a mouth may talk in a
face that is still. All of it sees the future, so it does not lag; :func:`one_euro` (Casiez, Roussel, Vogel 2012) sees the past alone, for live use.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from frontalbench.types import Float

MOVING = 0.01
"""Motion in one frame (of the unit square that landmarks are given in, or of a box's height) from which nothing is averaged."""
WFLW_PARTS: Sequence[Sequence[int]] = (
    range(33),
    range(51, 60),
    (*range(77, 82), *range(89, 92)),
    (76, *range(82, 89), *range(92, 96)),
    range(33, 42),
    range(42, 51),
    range(60, 68),
    range(68, 76),
    (96,),
    (97,),
)
"""The parts of the 98 points of WFLW that move together: outline, nose, upper and lower lip, brows, eyes, pupils."""


def averaged(track: Float, frames: int) -> Float:
    """``track`` (T, ...) averaged over ``frames`` (odd) at a time; beyond the ends it goes on mirrored about the first and last frame."""
    values = np.asarray(track, np.float64)
    if len(values) < 2:
        return values.copy()
    half = frames // 2
    padded = np.pad(values, [(half, half), *[(0, 0)] * (values.ndim - 1)], mode="reflect")
    sums = np.cumsum(np.concatenate([np.zeros_like(padded[:1]), padded]), axis=0)
    mean: Float = (sums[frames:] - sums[:-frames]) / frames
    return mean


def motion(track: Float, frames: int = 5) -> Float:
    """(T, ...) without the last axis: how far each point of ``track`` (T, ..., D) moves in a frame, its steps averaged over ``frames``."""
    values = np.asarray(track, np.float64)
    steps = np.diff(values, axis=0, prepend=values[:1])
    return np.asarray(np.linalg.norm(averaged(steps, frames), axis=-1), np.float64)


def smooth_points(
    track: Float, parts: Sequence[Sequence[int]] = WFLW_PARTS, *, frames: int = 7, motion_frames: int = 5, moving: float = MOVING
) -> Float:
    """Landmarks (T, P, 2), in units of the crop (0..1), made steady part by part. A point in no part is left as it is."""
    values = np.asarray(track, np.float64)
    if len(values) < 2:
        return values.copy()
    mean, speed = averaged(values, frames), motion(values, motion_frames)
    out = values.copy()
    for part in parts:
        index = list(part)
        share = np.minimum(speed[:, index].mean(axis=1) / moving, 1.0)[:, None, None]
        out[:, index] = share * values[:, index] + (1.0 - share) * mean[:, index]
    return out


def smooth_boxes(boxes: Float, *, centre_frames: int = 25, size_frames: int = 51, moving: float = MOVING) -> Float:
    """Boxes (T, 4) x1, y1, x2, y2 made steady: sizes averaged over ``size_frames``, centres over ``centre_frames`` as far as they stand still."""
    values = np.asarray(boxes, np.float64)
    if len(values) < 2:
        return values.copy()
    size = averaged(values[:, 2:] - values[:, :2], size_frames)
    centre = (values[:, :2] + values[:, 2:]) / 2.0
    # In box heights, the height of each frame: a face that comes nearer moves too.
    path = centre / size[:, 1:]
    steps = averaged(np.diff(path, axis=0, prepend=path[:1]), centre_frames)
    share = np.minimum(np.linalg.norm(steps, axis=1) / moving, 1.0)[:, None]
    middle = share * centre + (1.0 - share) * averaged(centre, centre_frames)
    return np.concatenate([middle - size / 2.0, middle + size / 2.0], axis=1)


def one_euro(
    track: Float, *, step: float = 100.0 / 3.0, min_cutoff: float = 0.004, beta: float = 0.7, d_cutoff: float = 1.0
) -> tuple[Float, Float]:
    """(smoothed (T, D), share of each new value (T,)) of ``track`` (T, D) by the one-euro filter, one cut-off for all D by their common speed.

    ``step``: milliseconds between frames; cut-offs in 1 / ms. The first value stays, with a share of 0.
    """
    values = np.asarray(track, np.float64)
    out, shares = values.copy(), np.zeros(len(values))
    speed = 0.0
    for k in range(1, len(values)):
        raw = float(np.linalg.norm(values[k] - out[k - 1])) / step
        speed += _share(d_cutoff, step) * (raw - speed)
        shares[k] = _share(min_cutoff + beta * abs(speed), step)
        out[k] = out[k - 1] + shares[k] * (values[k] - out[k - 1])
    return out, shares


def _share(cutoff: float, step: float) -> float:
    rate = 2.0 * np.pi * cutoff * step
    return float(rate / (rate + 1.0))


def jitter(track: Float) -> float:
    """How much ``track`` (T, ...) trembles: root mean square of the second differences, 0 for a steady motion. NaN below three frames."""
    values = np.asarray(track, np.float64)
    return float(np.sqrt((np.diff(values, n=2, axis=0) ** 2).mean())) if len(values) > 2 else float("nan")


def lag(track: Float, truth: Float, most: int = 15) -> int:
    """By how many frames ``track`` (T, ...) comes after ``truth``: the shift of 0..``most`` frames (before: negative) at which both differ least."""
    a, b = (np.asarray(values, np.float64) for values in (track, truth))
    most = min(most, len(a) - 2)

    def apart(shift: int) -> float:
        first, second = (a[shift:], b[: len(b) - shift]) if shift >= 0 else (a[:shift], b[-shift:])
        return float(((first - second) ** 2).mean())

    return min(range(-most, most + 1), key=lambda shift: (apart(shift), abs(shift)))

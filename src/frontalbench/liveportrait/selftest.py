"""Does a set of weights behave like LivePortrait? Named checks with a measured value and a bound, to be run once on real weights.

Nothing here compares with stored images. Ranges are those of 1,151 motion frames that ship with LivePortrait, widened by half; they hold for
upright faces. Synthetic weights pass the mechanical checks only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from frontalbench.frontalize.check import Check
from frontalbench.geometry.rotation import geodesic_degrees, matrix_from_angles
from frontalbench.images import RGB
from frontalbench.liveportrait.motion import Motion
from frontalbench.liveportrait.pipeline import Driving, LivePortrait

RAW = Driving(stitching=False)


def selftest(portrait: LivePortrait, crops: Sequence[RGB], looks_left: Sequence[bool | None] | None = None) -> list[Check]:
    """Checks of ``portrait`` on ``crops`` (LivePortrait crops, uint8 (512, 512, 3) RGB; near-frontal and turned faces both serve).

    ``looks_left``: for each crop whether the face is plainly turned to the image's left (True), right (False) or neither (None), which settles the
    sign of the yaw.
    """
    if not crops:
        raise ValueError("the self-test needs at least one crop")
    infinity = float("inf")
    checks: list[Check] = []

    def add(name: str, value: float, low: float, high: float, meaning: str) -> None:
        checks.append(Check(name, float(value), low, high, meaning))

    sources = [portrait.observe([crop]) for crop in crops]
    motion = _joined([source.motion for source in sources])
    same = [portrait.render(source, source.keypoints)[0] for source in sources]
    add("finite", float(all(image is not None for image in same)), 1.0, 1.0, "every rendered value is a number")
    ratios = [peak_signal_to_noise(image, crop) for image, crop in zip(same, crops, strict=True) if image is not None]
    add(
        "reproduces the crop (dB)",
        min(ratios, default=0.0),
        22.0,
        infinity,
        "x_f = x_s gives the crop back (peak signal to noise, worst crop)",
    )
    again = portrait.render(sources[0], sources[0].keypoints)[0]
    if portrait.device.type == "cpu" and same[0] is not None and again is not None:
        add("repeatable (levels)", float(np.abs(again.astype(int) - same[0]).max()), 0.0, 0.0, "two runs give the same bytes")

    add("scale, smallest", float(motion.scale.min()), 0.9, 2.0, "1.10 to 1.69 in the shipped motions")
    add("scale, largest", float(motion.scale.max()), 0.9, 2.0, "1.10 to 1.69 in the shipped motions")
    add("t_x, farthest from 0", _farthest(motion.t[:, 0]), -0.25, 0.35, "-0.10 to 0.20 in the shipped motions")
    add("t_y, farthest from 0", _farthest(motion.t[:, 1]), -0.15, 0.35, "-0.01 to 0.23 in the shipped motions")
    add("|exp|, largest", float(motion.exp.abs().max()), 0.0, 0.125, "at most 0.083 in the shipped motions")
    add("|kp|, largest", float(motion.kp.abs().max()), 0.1, 0.7, "about 0.4 in a published dump")
    add("|roll|, largest (degrees)", float(motion.roll.abs().max()), 0.0, 20.0, "the crop is levelled, so little roll is left")

    mirrored = _joined([portrait.observe([np.ascontiguousarray(crop[:, ::-1])]).motion for crop in crops])
    add("mirror: yaw (degrees)", float((mirrored.yaw + motion.yaw).abs().max()), 0.0, 10.0, "mirroring the crop flips the yaw")
    add("mirror: pitch (degrees)", float((mirrored.pitch - motion.pitch).abs().max()), 0.0, 10.0, "mirroring the crop keeps the pitch")
    known = [(left, float(yaw)) for left, yaw in zip(looks_left or [], motion.yaw, strict=False) if left is not None]
    if known:
        right = np.mean([(yaw > 0) == left for left, yaw in known])
        add("sign of yaw", float(right), 1.0, 1.0, "faces turned to the image's left have a yaw above 0")

    offsets = [portrait.drive(source, _pose(source.motion), Driving()) - source.keypoints for source in sources]
    add("stitching at rest", float(torch.stack(offsets).abs().max()), 0.0, 0.1, "with nothing to move, stitching hardly moves keypoints")
    errors = []
    for source in sources:
        frontal = portrait.render(source, portrait.drive(source, (0.0, 0.0, 0.0), RAW))[0]
        errors.append(180.0 if frontal is None else float(_from_front(portrait.observe([frontal]).motion)))
    add("frontal: pose left (degrees)", max(errors), 0.0, 12.0, "the motion network sees the rendered frontal faces as frontal (worst)")
    return checks


def peak_signal_to_noise(image: RGB, crop: RGB) -> float:
    """Decibels between two uint8 images of one size (infinite when equal)."""
    error = float(np.mean((image.astype(np.float64) - crop.astype(np.float64)) ** 2))
    return float("inf") if error == 0.0 else 10.0 * float(np.log10(255.0**2 / error))


def looks_left(points: npt.ArrayLike) -> bool | None:
    """From five points: is the face plainly turned to the image's left (True) or right (False)? None where it is not plain.

    The nose leaves the middle between the eyes by a third of their distance, measured along the line of the eyes.
    """
    p = np.asarray(points, dtype=np.float64)
    across = p[1] - p[0]
    offset = float((p[2] - (p[0] + p[1]) / 2.0) @ across) / max(float(across @ across), 1e-9)
    return None if abs(offset) < 1.0 / 3.0 else offset < 0


def _joined(parts: Sequence[Motion]) -> Motion:
    return Motion(*(torch.cat([getattr(part, name) for part in parts]) for name in ("kp", "exp", "scale", "t", "yaw", "pitch", "roll")))


def _farthest(values: torch.Tensor) -> float:
    return float(values[values.abs().argmax()])


def _pose(motion: Motion) -> tuple[float, float, float]:
    return float(motion.yaw[0]), float(motion.pitch[0]), float(motion.roll[0])


def _from_front(motion: Motion) -> float:
    return float(geodesic_degrees(matrix_from_angles(*_pose(motion)), np.eye(3)))


__all__ = ["RAW", "Check", "looks_left", "peak_signal_to_noise", "selftest"]

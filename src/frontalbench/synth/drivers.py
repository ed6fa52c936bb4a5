"""Driver images: one person who does not exist, from the front and turned, as reenactment networks want to be driven.

The person of :mod:`.people`, drawn until the *finished* image (framed as VoxCeleb's videos are, upright, JPEG) measures the wanted yaw and neither
pitch nor roll. Made once; the images and their poses are what a ``driver`` card holds.
"""

from __future__ import annotations

import datetime
import hashlib
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from frontalbench import images
from frontalbench.detect.select import choose
from frontalbench.frontalize import framing
from frontalbench.geometry.rotation import angles_from_matrix
from frontalbench.images import RGB
from frontalbench.landmarks.base import Landmarks
from frontalbench.synth import people
from frontalbench.synth.directions import Directions
from frontalbench.synth.people import Draws

if TYPE_CHECKING:
    from frontalbench.detect.base import Detector
    from frontalbench.landmarks.tddfa import DenseFitter

SIDE: Final = 256
DRAWN: Final = 1024
"""Pixels of the drawn image, from which the face is cut."""
QUALITY: Final = 95
LICENCE: Final = "synthetic images, research use: drawn by MobileStyleGAN (distilled from StyleGAN2 trained on FFHQ, non-commercial)"
TRIES: Final = 14
CLOSE: Final = 0.4
"""Degrees off in each angle at which the search stops."""
_GAIN: Final = 0.8

Pose = tuple[float, float, float]
_Draw = Callable[[float, float, float], tuple[bytes, Pose]]


@dataclass(frozen=True)
class Made:
    """``step``: the wanted yaw; ``data``: the JPEG file; ``pose``: yaw, pitch, roll measured in it; ``a``, ``b``: what :func:`people.draw` needs."""

    step: int
    data: bytes
    pose: Pose
    a: float
    b: float

    @property
    def off(self) -> float:
        """The largest distance of an angle from what was wanted, in degrees."""
        return max(abs(self.pose[0] - self.step), abs(self.pose[1]), abs(self.pose[2]))


def label(step: int) -> str:
    """``front``; ``l26``: turned by 26 degrees towards the left edge (yaw > 0); ``r26``: towards the right one."""
    return "front" if step == 0 else f"{'l' if step > 0 else 'r'}{abs(step):02d}"


def make(
    generator: Draws,
    directions: Directions,
    detector: Detector,
    fitter: DenseFitter,
    *,
    seed: int,
    number: int,
    steps: Sequence[int] = people.STEPS,
    allowed: float = 1.0,
) -> list[Made]:
    """Candidate ``number`` of ``seed`` at every wanted yaw, from the front outwards.

    Raises :class:`people.Rejected` when an image has no face or stays farther off than ``allowed`` degrees at yaw 0 or three times that elsewhere.
    """

    def draw(a: float, b: float, tilt: float) -> tuple[bytes, Pose]:
        whole = people.draw(generator, directions, seed=seed, number=number, a=a, b=b, size=DRAWN)
        data = images.encode_jpeg(framed(whole, detector, fitter, tilt), quality=QUALITY)
        return data, measured(images.decode(data), detector, fitter)

    made = {0: _aim(draw, 0, 0.0, 0.0)}
    for side in ([s for s in sorted(steps) if s > 0], [s for s in sorted(steps, reverse=True) if s < 0]):
        last, slope = made[0], 1.0
        for step in side:
            view = _aim(draw, step, last.a + slope * (step - last.pose[0]), last.b)
            turned = view.pose[0] - last.pose[0]
            slope = float(np.clip((view.a - last.a) / turned, 0.6, 1.6)) if abs(turned) > 2.0 else 1.0
            made[step] = last = view
    for step, image in made.items():
        if image.off > (allowed if step == 0 else 3.0 * allowed):
            raise people.Rejected(f"yaw {step}: measured {image.pose}, {image.off:.1f} degrees off")
    return [made[step] for step in sorted(made)]


def _aim(draw: _Draw, step: int, a: float, b: float) -> Made:
    best: Made | None = None
    tilt = 0.0
    for _ in range(TRIES):
        a, b = round(a, 4), round(b, 4)
        data, pose = draw(a, b, tilt)
        found = Made(step, data, pose, a, b)
        if best is None or found.off < best.off:
            best = found
        if found.off < CLOSE:
            break
        a += _GAIN * (step - pose[0])
        b -= _GAIN * pose[1]
        tilt += pose[2]
    assert best is not None
    return best


def framed(whole: RGB, detector: Detector, fitter: DenseFitter, tilt: float = 0.0) -> RGB:
    """The face cut out as in VoxCeleb's videos, 256 pixels, after turning the image anticlockwise by ``tilt`` degrees."""
    face = choose(detector.detect(whole), (whole.shape[1], whole.shape[0]))
    if face is None:
        raise people.Rejected("no face found in the drawn image")
    points = fitter.fit(whole, face).vertices[fitter.basis.keypoints]
    matrix = framing.voxceleb(Landmarks(points, "ibug68"), SIDE, tilt=tilt)
    return framing.cut(whole, matrix, SIDE, border=cv2.BORDER_REPLICATE).pixels  # as the photographs are framed


def measured(image: RGB, detector: Detector, fitter: DenseFitter) -> Pose:
    """Yaw, pitch, roll as the estimator ``tddfa_pose`` reads them. Raises :class:`people.Rejected` without a face."""
    face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
    if face is None:
        raise people.Rejected("no face found in the finished image")
    yaw, pitch, roll = angles_from_matrix(fitter.pose(image, face))
    return float(yaw), float(pitch), float(roll)


def file_name(name: str, step: int) -> str:
    """The image's file beside the card ``name``."""
    return f"{name}_{label(step)}.jpg"


def card_text(name: str, made: Sequence[Made], *, seed: int, number: int) -> str:
    """The YAML of the driver card of ``made``, whose images lie beside it in ``config/models/drivers``."""
    weights = "".join(
        f"  {label(one.step)}:\n    file: {file_name(name, one.step)}\n    bytes: {len(one.data)}\n"
        f"    sha256: {hashlib.sha256(one.data).hexdigest()}\n"
        f"    sources:\n      - {{file: config/models/drivers/{file_name(name, one.step)}}}\n"
        for one in made
    )
    poses = "".join(f"    {label(one.step)}: [{', '.join(f'{angle:.2f}' for angle in one.pose)}]\n" for one in made)
    drawn = ", ".join(f"{label(one.step)} ({one.a:g}, {one.b:g})" for one in made)
    notes = textwrap.fill(
        f"A person who does not exist: candidate {number} of seed {seed} of docs/synthetic.md, framed as VoxCeleb's videos are (256 pixels), by "
        "make_driver.py. Yaw, pitch, roll in degrees under params.poses. Turning in style space changes the person a little too, and the relative "
        f"recipe carries that along. Drawn with the coefficients {drawn}.",
        147,
        initial_indent="  ",
        subsequent_indent="  ",
        break_on_hyphens=False,
    )
    return f"""name: {name}
kind: driver
family: pictures
title: Synthetic person {name.rpartition("_")[2]}, from the front and turned
weights:
{weights}params:
  synthetic: true
  measured_with: tddfa_pose
  poses:
{poses}licence: {{code: Apache-2.0 (package random-face), weights: "{LICENCE}"}}
verified:
  level: real-weights
  date: {datetime.date.today():%Y-%m-%d}
  command: pytest tests/unit/test_drivers.py
  note: poses measured in the shipped files
notes: >-
{notes}
"""

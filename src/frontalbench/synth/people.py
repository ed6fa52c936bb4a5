"""One person at measured angles.

Style = mean + truncation (style of a seeded noise - mean) + a * yaw direction + b * pitch direction, the directions in the coarse layers only. For
every wanted yaw the two numbers a and b are found on the *measured* pose of the image, walking outwards from the frontal view in small steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from frontalbench.detect.select import Face, choose
from frontalbench.embed.base import normalise
from frontalbench.geometry.similarity import align
from frontalbench.images import RGB
from frontalbench.synth.directions import Directions
from frontalbench.synth.mobilestylegan import LATENT
from frontalbench.types import Float, Float32

if TYPE_CHECKING:
    from frontalbench.detect.base import Detector
    from frontalbench.embed.base import Backbone
    from frontalbench.pose.base import PoseEstimator


STEPS: Final = (-52, -39, -26, -13, 0, 13, 26, 39, 52)
"""Wanted yaws in degrees: equal steps, one per 15-degree bin and side. Beyond about 55 heads begin to break up."""
TRUNCATION: Final = 0.65
TRIES: Final = 6
_GAIN: Final = 0.9
MIXES: Final = ((0.0, 0.0), (0.12, 0.50), (0.08, 0.40), (0.05, 0.30), (0.03, 0.20))
"""Shares of a stranger's style in the coarse and in the fine layers: none, then what a second reference tries until the person stays recognisable."""


class Draws(Protocol):
    """The part of :class:`~frontalbench.synth.mobilestylegan.Generator` that is used here."""

    def style(self, noise: Float32) -> Float32: ...

    def render(self, coarse: Float, fine: Float, size: int = 256) -> RGB: ...


@dataclass(frozen=True)
class Bands:
    """What a person must keep to, else it is not used. Angles in degrees, similarities are cosines."""

    yaw: float = 2.0
    """Largest distance from the wanted yaw."""
    pitch: float = 8.0
    """Largest distance of a view's pitch from level."""
    roll: float = 8.0
    genuine: float = 0.10
    """Smallest similarity of any view to the frontal view (unrelated people: about 0, rarely above 0.3); mean over the backbones."""
    near: float = 0.55
    """The same for the views nearest to the front and the second reference: smallest mean over the backbones."""
    impostor: float = 0.50
    """Largest similarity of two people's frontal views, of any backbone. The pull towards the mean style (truncation) makes people more alike
    than real strangers are: 0.23 (w600k_mbf) and 0.29 (edgeface_s) on average, against 0.10 and 0.14 at truncation 0.8."""


@dataclass(frozen=True)
class Measured:
    """What the instruments say about one image: ``pose`` (yaw, pitch, roll) in degrees, one unit-length embedding per backbone."""

    face: Face
    pose: tuple[float, float, float]
    embeddings: tuple[Float32, ...]

    def similarity(self, other: Measured) -> tuple[float, ...]:
        """Cosine per backbone."""
        return tuple(float(a @ b) for a, b in zip(self.embeddings, other.embeddings, strict=True))


@dataclass(frozen=True)
class Instruments:
    """The models that measure images."""

    detector: Detector
    pose: PoseEstimator
    backbones: tuple[Backbone, ...]

    def measure(self, image: RGB) -> Measured | None:
        """None when no face is found."""
        face = choose(self.detector.detect(image), (image.shape[1], image.shape[0]))
        if face is None:
            return None
        yaw, pitch, roll, _ = self.pose.estimate(image, face)
        crop = align(image, face.points)[None]
        return Measured(face, (yaw, pitch, roll), tuple(normalise(backbone.embed(crop))[0][0] for backbone in self.backbones))


@dataclass(frozen=True)
class Image:
    """One image of a person; ``step``: the wanted yaw, or "b" for the second reference; ``a``, ``b``, ``mix``: what :func:`draw` needs."""

    step: int | str
    image: RGB = field(repr=False)
    measured: Measured = field(repr=False)
    a: float
    b: float
    mix: int = 0


@dataclass(frozen=True)
class Person:
    """``number``: which candidate of the seed; ``views`` by rising wanted yaw; ``second``: another frontal image (light, colours, expression)."""

    number: int
    views: tuple[Image, ...]
    second: Image

    @property
    def frontal(self) -> Image:
        """The view whose measured yaw is nearest to zero."""
        return min(self.views, key=lambda view: abs(view.measured.pose[0]))


Attempt = Callable[[float, float], tuple[RGB, Measured | None]]
"""Draws a candidate with the coefficients a and b and measures the image."""


class Rejected(Exception):
    """A candidate that leaves its bands; the message says where."""


def noise(seed: int, number: int, purpose: int = 0) -> Float32:
    """The noise vector of candidate ``number`` of ``seed`` (``purpose``: 0 the person, 1.. their second references)."""
    return np.random.default_rng([seed, number, purpose]).standard_normal(LATENT).astype(np.float32)


def mixed_styles(generator: Draws, directions: Directions, seed: int, number: int, mix: int) -> tuple[Float, Float]:
    """Candidate ``number``'s styles for the coarse and the fine layers before any turning, mixed with a stranger's by ``MIXES[mix]``."""
    base = _truncated(generator, directions, noise(seed, number))
    if mix == 0:
        return base, base
    stranger = _truncated(generator, directions, noise(seed, number, mix))
    coarse, fine = MIXES[mix]
    return base + coarse * (stranger - base), base + fine * (stranger - base)


def draw(
    generator: Draws, directions: Directions, *, seed: int, number: int, a: float = 0.0, b: float = 0.0, mix: int = 0, size: int = 256
) -> RGB:
    """Candidate ``number`` of ``seed`` turned by ``a`` yaw directions and ``b`` pitch directions, ``size`` pixels square."""
    return _render(generator, directions, mixed_styles(generator, directions, seed, number, mix), a, b, size)


def _truncated(generator: Draws, directions: Directions, values: Float32) -> Float:
    result: Float = directions.mean + TRUNCATION * (generator.style(values).astype(np.float64) - directions.mean)
    return result


def _render(generator: Draws, directions: Directions, styles: tuple[Float, Float], a: float, b: float, size: int) -> RGB:
    # Four decimals are what a recipe keeps.
    return generator.render(styles[0] + round(a, 4) * directions.yaw + round(b, 4) * directions.pitch, styles[1], size)


def make_person(
    generator: Draws,
    directions: Directions,
    instruments: Instruments,
    *,
    seed: int,
    number: int,
    steps: Sequence[int] = STEPS,
    bands: Bands = Bands(),
    others: Sequence[Person] = (),
    size: int = 256,
) -> Person:
    """Candidate ``number`` of ``seed`` at every wanted yaw, with a second reference. Raises :class:`Rejected`.

    ``steps`` must hold 0; ``others``: people that the candidate may not be a double of; ``size``: side of the images in pixels.
    """

    def attempt(mix: int) -> Attempt:
        styles = mixed_styles(generator, directions, seed, number, mix)

        def run(a: float, b: float) -> tuple[RGB, Measured | None]:
            image = _render(generator, directions, styles, a, b, size)
            return image, instruments.measure(image)

        return run

    draw_person = attempt(0)
    frontal = _aim(draw_person, 0, directions.level, 0.0, 0.0, bands)
    doubles = too_alike(frontal, others, bands)
    if doubles:
        raise Rejected(doubles)
    views = {0: frontal}
    for side in ([s for s in sorted(steps) if s > 0], [s for s in sorted(steps, reverse=True) if s < 0]):
        last, slope = frontal, 1.0
        for step in side:
            view = _aim(draw_person, step, directions.level, last.a + slope * (step - last.measured.pose[0]), last.b, bands)
            likeness = float(np.mean(view.measured.similarity(frontal.measured)))
            floor = bands.near if step == side[0] else bands.genuine
            if likeness < floor:
                raise Rejected(f"yaw {step}: similarity {likeness:.2f} to the frontal view, wanted at least {floor:.2f}")
            # Towards the profile a head turns less (or more) per unit: go on as the last step went.
            turned = view.measured.pose[0] - last.measured.pose[0]
            slope = float(np.clip((view.a - last.a) / turned, 0.6, 1.6)) if abs(turned) > bands.yaw else 1.0
            views[step] = last = view
    second = _second_reference(attempt, directions, frontal, bands)
    return Person(number, tuple(views[step] for step in sorted(views)), second)


def _aim(draw: Callable[[float, float], tuple[RGB, Measured | None]], step: int, level: float, a: float, b: float, bands: Bands) -> Image:
    """Find a and b so that the measured yaw is ``step`` and the measured pitch ``level``.

    Damped Newton steps (the directions are scaled to degrees), bisection as soon as the yaw is bracketed and a step would leave the bracket.
    """
    best: Image | None = None
    low: tuple[float, float] | None = None  # (a, yaw) below and above the wanted yaw
    high: tuple[float, float] | None = None
    for _ in range(TRIES):
        image, measured = draw(a, b)
        if measured is None:
            raise Rejected(f"yaw {step}: no face found")
        if measured.face.n_faces > 1:
            raise Rejected(f"yaw {step}: {measured.face.n_faces} faces found")
        yaw, pitch, _ = measured.pose
        off = abs(yaw - step) + 0.25 * abs(pitch - level)
        if best is None or off < abs(best.measured.pose[0] - step) + 0.25 * abs(best.measured.pose[1] - level):
            best = Image(step, image, measured, a, b)
        if abs(yaw - step) < 0.8 * bands.yaw and abs(pitch - level) < bands.pitch / 2:
            break
        if yaw < step:
            low = (a, yaw)
        else:
            high = (a, yaw)
        guess = a + _GAIN * (step - yaw)
        if low is not None and high is not None and not min(low[0], high[0]) < guess < max(low[0], high[0]):
            guess = (low[0] + high[0]) / 2
        a = guess
        b += _GAIN * (level - pitch) if abs(pitch - level) >= bands.pitch / 4 else 0.0
    assert best is not None
    yaw, pitch, roll = best.measured.pose
    if abs(yaw - step) > bands.yaw or abs(pitch - level) > bands.pitch or abs(roll) > bands.roll:
        raise Rejected(f"yaw {step}: measured yaw {yaw:.1f}, pitch {pitch - level:+.1f} from level, roll {roll:.1f}")
    return best


SECOND_YAW: Final = 5
"""The second reference is turned by this many degrees (left or right), so that it is not the same geometry again."""


def _second_reference(attempt: Callable[[int], Attempt], directions: Directions, frontal: Image, bands: Bands) -> Image:
    """A second near-frontal image: another light, other colours, a little other expression, the same person by ``bands.near``."""
    for mix in range(1, len(MIXES)):
        try:
            found = _aim(attempt(mix), SECOND_YAW if mix % 2 else -SECOND_YAW, directions.level, frontal.a, frontal.b, bands)
        except Rejected:
            continue
        if np.mean(found.measured.similarity(frontal.measured)) >= bands.near:
            return replace(found, step="b", mix=mix)
    raise Rejected("no second reference stays recognisable")


def too_alike(frontal: Image, others: Sequence[Person], bands: Bands = Bands()) -> str | None:
    """Why the person of a frontal view may not join ``others``: more similar to one of them than ``bands.impostor``; None when they may."""
    for other in others:
        closest = max(frontal.measured.similarity(other.frontal.measured))
        if closest > bands.impostor:
            return f"similarity {closest:.2f} to candidate {other.number}, wanted at most {bands.impostor:.2f}"
    return None

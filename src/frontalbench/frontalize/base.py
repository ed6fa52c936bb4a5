"""What every frontalizer looks like from outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from frontalbench.geometry.masks import Mask
from frontalbench.images import RGB
from frontalbench.types import Float, Float32

if TYPE_CHECKING:
    from frontalbench.detect.select import Face
    from frontalbench.frontalize.check import Check

FRONTAL = (0.0, 0.0, 0.0)
"""The target pose of a frontal view: yaw, pitch, roll in degrees."""


@dataclass(frozen=True)
class View:
    """One photograph (whole, RGB) and the face found in it (in its pixels), or None where the detector found none.

    ``seen`` float32 (H, W) in 0..1, of an image that was itself drawn: how well the photograph behind it shows what is there; None: it is one."""

    image: RGB
    face: Face | None
    seen: Float32 | None = None


class NoFace(ValueError):
    """The model itself sees no face where the detector saw one."""


@dataclass(frozen=True)
class Place:
    """Where a square result lies in its photograph.

    ``matrix`` (2, 3): photograph pixels -> result pixels; ``mask`` (side, side) in 0..1: how much of the result replaces the photograph when it is
    pasted back.
    """

    matrix: Float
    mask: Mask


@dataclass(frozen=True)
class Outcome:
    """What became of one image.

    ``image`` is there exactly when ``status`` is ``ok``; otherwise ``status`` is another word of :mod:`frontalbench.status` and ``detail`` one
    sentence that says why (of a good one it may say what was left undone). ``seconds`` is the model's own time for this image, loading left out.
    ``place`` is None for whole photographs. ``seen`` float32 (side, side) in 0..1, where the model knows it: how well the photograph shows what the
    result shows; what is 0 was made up (:class:`View`).
    """

    image: RGB | None
    status: str
    detail: str = ""
    seconds: float = 0.0
    place: Place | None = None
    seen: Float32 | None = None


class Frontalizer(Protocol):
    """A model that turns a face to the front.

    ``needs_face``: views without a face become ``no_face`` rows; otherwise the image alone is enough.
    ``takes_target_pose``: any target pose is rendered; otherwise only the frontal one, and another is refused with ValueError.
    """

    @property
    def name(self) -> str: ...

    @property
    def needs_face(self) -> bool: ...

    @property
    def takes_target_pose(self) -> bool: ...

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        """One outcome per view, in order; one bad image never raises. ``target_pose``: (yaw, pitch, roll) in degrees."""
        ...


@runtime_checkable
class TurnsEach(Protocol):
    """A frontalizer whose start is dear, so that it wants everything at once, each view with a pose of its own."""

    def frontalize_each(self, asked: Iterable[tuple[View, tuple[float, float, float]]]) -> Iterator[Outcome]:
        """One outcome per (view, target pose), in order. ``asked`` is read to its end before the first outcome comes."""
        ...


@runtime_checkable
class SelfTested(Protocol):
    """A frontalizer that can say whether its weights behave as they should."""

    def selftest(self, views: Sequence[View]) -> list[Check]:
        """Named checks on real images, each with a measured value and its bounds. Raises BadInput where no view has a face."""
        ...


def each(model: Frontalizer, asked: Iterable[tuple[View, tuple[float, float, float]]]) -> Iterator[Outcome]:
    """One outcome per (view, target pose), in order: all at once where the model wants that, else one by one as they are read."""
    if isinstance(model, TurnsEach):
        yield from model.frontalize_each(asked)
        return
    for view, pose in asked:
        yield model.frontalize([view], pose)[0]


def refuse_target_pose(name: str, target_pose: tuple[float, float, float]) -> None:
    """Raise ValueError when a frontalizer that only looks straight ahead is asked for another pose."""
    if tuple(target_pose) != FRONTAL:
        raise ValueError(f"frontalizer '{name}' cannot turn a face to {tuple(target_pose)}: its card does not take a target pose")

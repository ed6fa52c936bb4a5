"""What the networks that need a driver share: the crop, the choice of the driver's image, and how far a movement goes.

Two recipes. *absolute*: the result has the driver's frontal keypoints as they are, so the driver's face shape comes along. *relative*: the driver
moves from its image nearest to the photograph's pose to its frontal one, and the photograph's keypoints move alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

import cv2
import numpy as np
import torch
from torch import Tensor

from frontalbench.errors import BadInput
from frontalbench.frontalize import framing
from frontalbench.frontalize.base import FRONTAL, NoFace, Place, View
from frontalbench.frontalize.batches import to_image
from frontalbench.frontalize.check import Check
from frontalbench.frontalize.driver import Driver
from frontalbench.frontalize.framing import Framed
from frontalbench.frontalize.selftest import SelfTestedBatched
from frontalbench.geometry.rotation import angles_from_matrix, untilted
from frontalbench.images import RGB
from frontalbench.landmarks.base import Landmarks
from frontalbench.landmarks.tddfa import DenseFitter

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

RECIPES = ("relative", "absolute")
SIDE = 256
"""Pixels of the crop that these networks see."""
LEAST_HULL = 1e-4
"""Smallest area of the keypoints' convex hull (the image's is 4) that says how large a face is."""


@dataclass(frozen=True)
class Prepared:
    """``framed``: the crop, head upright; ``start``: the driver's image nearest to its pose."""

    framed: Framed
    start: int


class Driven:
    """``prepare`` and ``finish`` of a :class:`~frontalbench.frontalize.batches.Family`; results are squares of ``side`` pixels."""

    def __init__(self, fitter: DenseFitter, driver: Driver, *, side: int = SIDE) -> None:
        self._fitter, self._driver, self.side = fitter, driver, side

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> Prepared:
        """Raises :class:`NoFace` and ValueError for a face that cannot be fitted."""
        if view.face is None:
            raise NoFace("no face was detected in the photograph")
        fit = self._fitter.fit(view.image, view.face)
        # Not the roll angle: near a profile roll and pitch exchange their roles.
        rotation, tilt = untilted(fit.rotation)
        yaw, pitch, roll = (float(angle) for angle in angles_from_matrix(rotation))
        points = Landmarks(fit.vertices[self._fitter.basis.keypoints], "ibug68")
        # Upright, because neither the driver's movement nor its frontal image has a tilt to copy.
        framed = framing.cut(view.image, framing.voxceleb(points, SIDE, tilt=tilt), SIDE, border=cv2.BORDER_REPLICATE)
        return Prepared(framed, self._driver.nearest((yaw, pitch, roll)))

    def finish(self, item: Prepared, drawn: Tensor) -> tuple[RGB, Place]:
        """See :class:`~frontalbench.frontalize.batches.Family`."""
        return to_image(drawn, 0.0, 1.0), item.framed.place(self.side)


class Reproduces(Protocol):
    """A driven family that can draw its own crops in the pose that they have."""

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> Prepared: ...

    def reproduced(self, items: Sequence[Prepared]) -> Tensor:
        """The crops of ``items`` drawn with their own keypoints: (N, 3, S, S) in 0..1."""
        ...


class DrivenBatched(SelfTestedBatched[Prepared]):
    """A driven network's frontalizer. Its self-test also asks for the photograph's own pose, where nothing is to be moved."""

    def selftest(self, views: Sequence[View]) -> list[Check]:
        return [reproduction(cast(Reproduces, self.family), views), *super().selftest(views)]


LEAST_RATIO = 18.0
"""Decibels between a crop and its own reproduction; a grey square reaches some 12, First-Order-Model's paper shows nearly the image."""


def reproduction(family: Reproduces, views: Sequence[View]) -> Check:
    """The peak signal to noise of the worst crop drawn with its own keypoints. Raises :class:`BadInput` where no view has a face."""
    items = [family.prepare(view, FRONTAL) for view in views if view.face is not None]
    if not items:
        raise BadInput("the self-test needs at least one image in which a face is found")
    ratios = []
    for item in items:
        with torch.inference_mode():
            drawn = to_image(family.reproduced([item])[0].float().cpu(), 0.0, 1.0)
        crop = item.framed.pixels
        # Fewer pixels are drawn where they lie, not as means of what is around them.
        shown = crop if len(crop) == len(drawn) else cv2.resize(crop, drawn.shape[:2], interpolation=cv2.INTER_LINEAR)
        error = float(np.mean((drawn.astype(np.float64) - shown) ** 2))
        ratios.append(10.0 * float(np.log10(255.0**2 / max(error, 1e-3))))
    meaning = "with its own keypoints the network gives the crop back (peak signal to noise, worst crop)"
    return Check("reproduces the crop (dB)", min(ratios), LEAST_RATIO, float("inf"), meaning)


def driver_images(driver: Driver, device: torch.device) -> Tensor:
    """float32 (M, 3, 256, 256) in 0..1, ``front`` first."""
    area = driver.images[0].shape[0] > SIDE
    sized = [
        image if len(image) == SIDE else cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA if area else cv2.INTER_LINEAR)
        for image in driver.images
    ]
    return torch.from_numpy(np.stack(sized)).to(device).permute(0, 3, 1, 2).float() / 255.0


def movement_scale(source: Tensor, start: Tensor) -> Tensor:
    """(N,): how many times as large the faces of ``source`` are as those of ``start``, both keypoints (N, K, 2): the square root of the ratio of
    their convex hulls' areas (First-Order-Model's "adapt scale"). Raises ValueError where keypoints fall on a line."""
    return torch.sqrt(_hulls(source) / _hulls(start)).to(source.device)


def _hulls(points: Tensor) -> Tensor:
    areas = [cv2.contourArea(cv2.convexHull(one)) for one in points.float().cpu().numpy()]
    if not all(np.isfinite(area) and area > LEAST_HULL for area in areas):
        raise ValueError("the keypoints fall together: the face was not understood")
    return torch.tensor(areas, dtype=torch.float32)


def fitter_of(card: ModelCard, *, threads: int, device: str) -> DenseFitter:
    """The dense fit that ``card`` uses. Raises :class:`BadConfig` when it names another landmarks card, or none."""
    from frontalbench.catalogue import families

    fitter: DenseFitter = families.load(card.the("landmarks", "tddfa"), threads=threads, device=device)
    return fitter

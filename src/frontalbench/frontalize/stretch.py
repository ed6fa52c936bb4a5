"""``stretch``: widens an angled face, the more the further it is turned. No network draws anything.

A turned head shows its breadth foreshortened; the alignment by five points, a similarity, then makes the face too tall and puts it off the place
where a recogniser was trained to see it. Widening the photograph by ``1 + strength (1 - cos yaw)`` before detection takes a part of that back: the
least frontal view one can make, and one that keeps every pixel's truth. ``mirrored`` flips the result, so that fused with the original it is a
second look as flip fusion is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.frontalize.base import FRONTAL, Outcome, View, refuse_target_pose
from frontalbench.frontalize.drawing import guarded
from frontalbench.images import RGB

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.pose.base import PoseEstimator


class StretchFrontalizer:
    """The whole photograph, widened by the measured yaw of its face; needs a face."""

    needs_face = True
    takes_target_pose = False

    def __init__(self, name: str, pose: PoseEstimator, *, strength: float, mirrored: bool = False) -> None:
        self.name = name
        self._pose, self._strength, self._mirrored = pose, strength, mirrored

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        """See :class:`~frontalbench.frontalize.base.Frontalizer`."""
        refuse_target_pose(self.name, target_pose)
        return [guarded(self._one, view, target_pose) for view in views]

    def _one(self, view: View, target_pose: tuple[float, float, float]) -> tuple[RGB, None]:
        assert view.face is not None
        yaw = self._pose.estimate(view.image, view.face)[0]
        height, width = view.image.shape[:2]
        wider = max(1, round(width * (1.0 + self._strength * (1.0 - math.cos(math.radians(yaw))))))
        stretched = view.image.copy() if wider == width else cv2.resize(view.image, (wider, height), interpolation=cv2.INTER_CUBIC)
        return np.ascontiguousarray(stretched[:, ::-1] if self._mirrored else stretched, dtype=np.uint8), None


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> StretchFrontalizer:
    """The frontalizer of a card of family ``stretch``; it ``uses`` one pose card.

    Params: ``strength`` 0..1; ``mirrored`` false.
    """
    from frontalbench.pose import load_pose

    pose = card.the("pose")
    params = Params(card)
    strength, mirrored = params.number("strength", low=0.0, high=1.0), params.flag("mirrored", False)
    params.finish()
    return StretchFrontalizer(card.name, load_pose(pose, threads=threads, device=device), strength=strength, mirrored=mirrored)

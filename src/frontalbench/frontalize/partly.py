"""A frontalizer that leaves some of the angle: every face is turned a part of the way to the front, and drawn all the same where all of it stays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import cv2
import numpy as np

from frontalbench import status
from frontalbench.errors import BadConfig, one_line, raise_if_memory_ran_out
from frontalbench.frontalize.base import FRONTAL, Frontalizer, NoFace, Outcome, View
from frontalbench.geometry.rotation import angles_from_matrix, matrix_from_angles, untilted
from frontalbench.plan.variant import Turn
from frontalbench.types import Float

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

Angles = tuple[float, float, float]


@runtime_checkable
class Posing(Protocol):
    """A frontalizer that says itself how a face is turned, so that with all of the angle left nothing moves."""

    def pose(self, view: View) -> Angles:
        """(yaw, pitch, roll) in degrees of the face of ``view``. Raises ValueError where it can give none."""
        ...


def target(pose: Angles, turn: Turn) -> Angles:
    """(yaw, pitch, roll) in degrees that a face of ``pose`` is to have: on the shortest way to the front (one rotation about one axis) what ``turn``
    leaves. The head's tilt in the image is taken out first, as frontalizers give upright heads."""
    whole, _ = untilted(matrix_from_angles(*pose))
    way, _ = cv2.Rodrigues(whole)
    rest: Float = np.asarray(cv2.Rodrigues(turn.stays(pose[0]) * way)[0], np.float64)
    yaw, pitch, roll = angles_from_matrix(rest)
    return float(yaw), float(pitch), float(roll)


class Partly:
    """``inner``, turning each face as far as ``turn`` says. A target pose of its own is refused: what stays is the target."""

    takes_target_pose = False

    def __init__(self, name: str, inner: Frontalizer, turn: Turn, pose: Callable[[View], Angles]) -> None:
        self.name, self.needs_face = name, True
        self._inner, self._turn, self._pose = inner, turn, pose

    def frontalize(self, views: Sequence[View], target_pose: Angles = FRONTAL) -> list[Outcome]:
        """See :class:`~frontalbench.frontalize.base.Frontalizer`."""
        if tuple(target_pose) != FRONTAL:
            raise ValueError(f"frontalizer '{self.name}' leaves a part of every face's own angle, so it takes no target pose")
        return [self._one(view) for view in views]

    def _one(self, view: View) -> Outcome:
        if view.face is None:
            return Outcome(None, status.NO_FACE, "no face was detected in the photograph")
        try:
            pose = self._pose(view)
        except Exception as error:  # noqa: BLE001 - one bad image must never end a batch; the sentence goes into its row
            raise_if_memory_ran_out(error)
            word = status.NO_FACE if isinstance(error, NoFace) else status.MODEL_ERROR
            return Outcome(None, word, f"how the face is turned is not known: {one_line(error)}")
        return self._inner.frontalize([view], target(pose, self._turn))[0]


def leaving(model: Frontalizer, card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Partly:
    """``model`` as its card's ``turn`` asks. How a face is turned says the model where it knows, else the pose estimator of the card's ``uses``.

    Raises :class:`BadConfig`, one line, for a model that only looks straight ahead.
    """
    assert card.turn is not None
    if not model.takes_target_pose:
        plain = card.name.partition("@")[0]
        raise BadConfig(f"frontalizer '{card.name}': {plain} gives frontal views alone, so it leaves no part of the angle; write {plain}")
    return Partly(card.name, model, card.turn, model.pose if isinstance(model, Posing) else estimated(card, threads, device))


def estimated(card: ModelCard, threads: int, device: str) -> Callable[[View], Angles]:
    """How the face of a view is turned, by the pose estimator of the card's ``uses``."""
    from frontalbench.pose import load_pose

    estimator = load_pose(card.the("pose"), threads=threads, device=device)

    def pose(view: View) -> Angles:
        assert view.face is not None
        yaw, pitch, roll, _ = estimator.estimate(view.image, view.face)
        return float(yaw), float(pitch), float(roll)

    return pose

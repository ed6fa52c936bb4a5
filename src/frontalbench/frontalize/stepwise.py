"""A frontalizer that goes to the wanted pose in small steps: each image is the source of the next (iterative turning, as FSGANv2 does it)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from frontalbench import status
from frontalbench.detect.select import DEFAULT_POLICY, Face
from frontalbench.detect.upright import find_face
from frontalbench.errors import BadConfig, one_line, raise_if_memory_ran_out
from frontalbench.frontalize.base import FRONTAL, Frontalizer, NoFace, Outcome, Place, View
from frontalbench.frontalize.partly import Angles, Posing, estimated
from frontalbench.fsgan.lifting import steps
from frontalbench.geometry.rotation import angles_from_matrix, matrix_from_angles, untilted
from frontalbench.images import RGB
from frontalbench.types import Float

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

Find = Callable[[RGB], Face | None]
"""The face of an image that was just drawn."""


def way(pose: Angles, target: Angles, step: float) -> list[Angles]:
    """(yaw, pitch, roll) in degrees of every image on the shortest way from a face of ``pose`` to ``target``, which is the last; none is further
    than ``step`` degrees from the one before. The head's tilt in the photograph is no part of the way, as frontalizers give upright heads."""
    start, _ = untilted(matrix_from_angles(*pose))
    between = [angles_from_matrix(rotation) for rotation in steps(start, matrix_from_angles(*target), step)[:-1]]
    return [*((float(yaw), float(pitch), float(roll)) for yaw, pitch, roll in between), target]


class Stepwise:
    """``inner``, asked for one pose after another; what it drew is looked at as if it were a photograph."""

    def __init__(self, name: str, inner: Frontalizer, step: float, pose: Callable[[View], Angles], find: Find) -> None:
        self.name, self.needs_face, self.takes_target_pose = name, True, True
        self._inner, self._step, self._pose, self._find = inner, step, pose, find

    def frontalize(self, views: Sequence[View], target_pose: Angles = FRONTAL) -> list[Outcome]:
        """See :class:`~frontalbench.frontalize.base.Frontalizer`; ``seconds`` are those of all steps."""
        return [self._one(view, target_pose) for view in views]

    def _one(self, view: View, target: Angles) -> Outcome:
        if view.face is None:
            return Outcome(None, status.NO_FACE, "no face was detected in the photograph")
        try:
            poses = way(self._pose(view), target, self._step)
        except Exception as error:  # noqa: BLE001 - one bad image must never end a batch; the sentence goes into its row
            raise_if_memory_ran_out(error)
            word = status.NO_FACE if isinstance(error, NoFace) else status.MODEL_ERROR
            return Outcome(None, word, f"how the face is turned is not known: {one_line(error)}")
        seconds, whole, outcome = 0.0, _lifted(np.eye(2, 3)), Outcome(None, status.MODEL_ERROR)
        placed: Place | None = None
        for number, pose in enumerate(poses, 1):
            outcome = self._inner.frontalize([view], pose)[0]
            seconds += outcome.seconds
            if outcome.image is None:
                return replace(outcome, detail=f"step {number} of {len(poses)}: {outcome.detail}", seconds=seconds)
            # A whole photograph lies where its source lay.
            whole = whole if outcome.place is None else _lifted(outcome.place.matrix) @ whole
            placed = outcome.place if outcome.place is not None else placed
            if number < len(poses):
                # What a step made up stays made up: the mirror image is asked again at every step, from what the photograph showed.
                view = View(outcome.image, self._find(outcome.image), outcome.seen)
                if view.face is None:
                    return Outcome(None, status.NO_FACE, f"step {number} of {len(poses)}: no face was detected in what was drawn", seconds)
        place = None if outcome.place is None or placed is None else Place(whole[:2], placed.mask)
        return replace(outcome, detail=outcome.detail or f"{len(poses)} step{'s' if len(poses) > 1 else ''}", seconds=seconds, place=place)


def _lifted(matrix: Float) -> Float:
    return np.vstack([np.asarray(matrix, np.float64), [0.0, 0.0, 1.0]])


def in_steps(model: Frontalizer, card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Stepwise:
    """``model`` in the steps that its card's ``turn`` asks for. How a face is turned says the model where it knows, else the pose estimator of the
    card's ``uses``; the faces of drawn images are found by its detector.

    Raises :class:`BadConfig`, one line, for a model that only looks straight ahead.
    """
    from frontalbench.catalogue import cards
    from frontalbench.detect import load_detector

    assert card.turn is not None and card.turn.step is not None
    if not model.takes_target_pose:
        plain = card.name.partition("@")[0]
        raise BadConfig(f"frontalizer '{card.name}': {plain} gives frontal views alone, so it goes there at once; write {plain}")
    detector = load_detector(cards.find_any(cards.FINDER, card.root), device=device)

    def find(image: RGB) -> Face | None:
        return find_face(image, detector, DEFAULT_POLICY)[0]

    return Stepwise(card.name, model, card.turn.step, model.pose if isinstance(model, Posing) else estimated(card, threads, device), find)

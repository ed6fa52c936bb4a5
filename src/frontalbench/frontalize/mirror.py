"""``mirror``: flips every photograph left to right. The control for symmetry: as much new view as there is without any model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from frontalbench import status
from frontalbench.catalogue.params import Params
from frontalbench.frontalize.base import FRONTAL, Outcome, View, refuse_target_pose

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


class MirrorFrontalizer:
    """The whole photograph, mirrored; needs no face."""

    needs_face = False
    takes_target_pose = False

    def __init__(self, name: str) -> None:
        self.name = name

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        """See :class:`~frontalbench.frontalize.base.Frontalizer`."""
        refuse_target_pose(self.name, target_pose)
        return [Outcome(np.ascontiguousarray(view.image[:, ::-1]), status.OK) for view in views]


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> MirrorFrontalizer:
    """The frontalizer of a card of family ``mirror`` (no params); nothing to load."""
    Params(card).finish()
    return MirrorFrontalizer(card.name)

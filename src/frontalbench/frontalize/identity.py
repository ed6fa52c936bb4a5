"""``identity``: gives every photograph back as it is. The control: whatever a pipeline gains with it is not a frontalizer's doing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from frontalbench import status
from frontalbench.catalogue.params import Params
from frontalbench.frontalize.base import FRONTAL, Outcome, View, refuse_target_pose

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


class IdentityFrontalizer:
    """The whole photograph, the same pixels; needs no face."""

    needs_face = False
    takes_target_pose = False

    def __init__(self, name: str) -> None:
        self.name = name

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        """See :class:`~frontalbench.frontalize.base.Frontalizer`."""
        refuse_target_pose(self.name, target_pose)
        return [Outcome(view.image.copy(), status.OK) for view in views]


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> IdentityFrontalizer:
    """The frontalizer of a card of family ``identity`` (no params); nothing to load."""
    Params(card).finish()
    return IdentityFrontalizer(card.name)

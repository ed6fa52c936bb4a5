"""``unpublished``: systems of the study whose networks nobody published in a form that runs. Their cards say so; they draw nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from frontalbench.catalogue.params import Params
from frontalbench.errors import BadInput, WeightsMissing
from frontalbench.frontalize.base import FRONTAL, Outcome, View

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


class Unpublished:
    """What stands for such a system; see :class:`~frontalbench.frontalize.base.Frontalizer`."""

    needs_face = True
    takes_target_pose = False

    def __init__(self, name: str) -> None:
        self.name = name

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        """Always raises :class:`BadInput`."""
        raise BadInput(f"frontalizer '{self.name}' cannot be run: its weights were never published")


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Unpublished:
    """Always raises :class:`WeightsMissing`, with what the card says of its weights; in the workflow its cells are ``weights_missing``.

    Params: none
    """
    Params(card).finish()
    why = "; ".join(weight.terms for weight in card.weights.values() if weight.terms) or "its card says no more"
    raise WeightsMissing(
        f"frontalizer {card.name}: cannot be run, its weights were never published ({why}); images that its authors give out can be "
        "compared by docs/elsewhere.md"
    )

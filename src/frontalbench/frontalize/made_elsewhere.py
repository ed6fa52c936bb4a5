"""``made_elsewhere``: results that another system made, in a folder. No model: the workflow joins the files to their photographs by name
(:mod:`frontalbench.elsewhere.delivery`, :mod:`frontalbench.stages.delivery`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from frontalbench.catalogue.params import Params
from frontalbench.elsewhere.delivery import folder_of
from frontalbench.errors import BadInput
from frontalbench.frontalize.base import FRONTAL, Outcome, View

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

SIZE = "size"
SIZES = ("noted", "any", "same")
"""What is done with a result of another size than its photograph: a note in its row, nothing, or it counts as a model error."""


class MadeElsewhere:
    """A stand-in that turns nothing: an image alone does not say which file is its result."""

    needs_face = False
    takes_target_pose = False

    def __init__(self, name: str, size: str) -> None:
        self.name = name
        self.size = size

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        """Always raises :class:`BadInput`."""
        raise BadInput(
            f"frontalizer '{self.name}' is a folder of results made elsewhere, so it turns no new image; judge it in the workflow "
            "(docs/elsewhere.md), or in plain folders with 'of:' in pairs.yaml (docs/folders.md)"
        )


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> MadeElsewhere:
    """What a card of family ``made_elsewhere`` says. Raises :class:`BadConfig` when the card names no folder.

    Params: ``size``: what a result of another size than its photograph gets: ``noted`` (default: a sentence in its row), ``any`` (nothing),
    ``same`` (it is a ``model_error``).
    """
    params = Params(card)
    size = params.choice(SIZE, SIZES, SIZES[0])
    params.finish()
    folder_of(card)
    return MadeElsewhere(card.name, size)

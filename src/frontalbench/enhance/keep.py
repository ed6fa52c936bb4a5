"""``none``: the image itself, so that what the other enhancements do has something to be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from frontalbench.catalogue.params import Params
from frontalbench.enhance.base import each
from frontalbench.frontalize.base import Outcome
from frontalbench.images import RGB

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Keep:
    """The enhancement of a card of family ``keep``; it has no params."""
    Params(card).finish()
    return Keep(card.name)


class Keep:
    """Gives back the same pixels."""

    def __init__(self, name: str = "none") -> None:
        self.name = name

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        return each(images, lambda image: image)

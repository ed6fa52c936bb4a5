"""``whole``: what another frontalizer draws, in its photograph. All around the head stays the photograph's own, and so do its size and tilt.

A frontalizer's square shows a head larger and upright; a detector then puts its five points a little elsewhere than on the photograph, and at a
profile that alone costs (docs/gain.md, the zero turn).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontalbench.catalogue import families
from frontalbench.errors import BadConfig
from frontalbench.frontalize.base import View
from frontalbench.frontalize.partly import Angles, Posing
from frontalbench.frontalize.pasting import Pasting

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.frontalize.base import Frontalizer


class Whole(Pasting):
    """A :class:`Pasting` with a card of its own."""

    def __init__(self, name: str, inner: Frontalizer) -> None:
        super().__init__(inner)
        self.name = name


class PosedWhole(Whole):
    """One whose inner frontalizer says how a face is turned; so does this one."""

    def __init__(self, name: str, inner: Frontalizer, posing: Posing) -> None:
        super().__init__(name, inner)
        self._posing = posing

    def pose(self, view: View) -> Angles:
        """See :class:`~frontalbench.frontalize.partly.Posing`."""
        return self._posing.pose(view)


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Whole:
    """The frontalizer of a card of family ``whole`` (no params); it ``uses`` the card of the frontalizer that draws.

    Raises :class:`BadConfig` where that is of this family itself.
    """
    from frontalbench.catalogue.params import Params

    Params(card).finish()
    inner = card.the("frontalizer")
    if inner.family == card.family:
        raise BadConfig(f"{card.path}: uses: '{inner.name}' gives whole photographs already")
    model: Frontalizer = families.load(inner, threads=threads, device=device)
    return PosedWhole(card.name, model, model) if isinstance(model, Posing) else Whole(card.name, model)

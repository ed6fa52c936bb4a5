"""``mirror_ahead``: the photograph flipped as ``mirror`` does it, but aligned with a look at the yaw (:mod:`frontalbench.detect.yaw_alignment`), so
that fused with the original it is a second look at another part of the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontalbench.catalogue.params import Params
from frontalbench.detect.yaw_alignment import KEY, numbers_of
from frontalbench.frontalize.mirror import MirrorFrontalizer

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> MirrorFrontalizer:
    """The frontalizer of a card of family ``mirror_aligned``.

    Params: ``alignment: {ahead: pixels of the 112-pixel crop, nearer: factor}``, both at a full profile.
    """
    Params(card).elsewhere(KEY).finish()
    numbers_of(card)
    return MirrorFrontalizer(card.name)

"""Results pasted back into their photographs, for any frontalizer that says where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from frontalbench.frontalize.base import FRONTAL, Frontalizer, Outcome, View
from frontalbench.geometry.crop import paste_back


class Pasting:
    """The frontalizer ``inner``, giving whole photographs: the turned head with the tilt it had, softly in the middle of what was around it.

    Results that are whole photographs already stay as they are.
    """

    def __init__(self, inner: Frontalizer) -> None:
        self._inner = inner
        self.name, self.needs_face, self.takes_target_pose = inner.name, inner.needs_face, inner.takes_target_pose

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        """See :class:`~frontalbench.frontalize.base.Frontalizer`."""
        return [_pasted(view, outcome) for view, outcome in zip(views, self._inner.frontalize(views, target_pose), strict=True)]


def _pasted(view: View, outcome: Outcome) -> Outcome:
    if outcome.image is None or outcome.place is None:
        return outcome
    whole = paste_back(view.image, outcome.image, outcome.place.matrix, outcome.place.mask)
    return replace(outcome, image=whole, place=None)

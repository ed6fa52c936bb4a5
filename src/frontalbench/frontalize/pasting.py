"""Results pasted back into their photographs, for any frontalizer that says where they lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from frontalbench.frontalize.base import FRONTAL, Frontalizer, Outcome, View
from frontalbench.geometry.cloning import cloned
from frontalbench.geometry.crop import paste_back

SOFT, POISSON = "soft", "poisson"
SEAMS = (SOFT, POISSON)
"""How a head goes back: under a soft mask, or so that its colours are those of the photograph at the seam (Poisson image editing)."""


class Pasting:
    """The frontalizer ``inner``, giving whole photographs: the turned head with the tilt it had, softly in the middle of what was around it.

    Results that are whole photographs already stay as they are.
    """

    def __init__(self, inner: Frontalizer, seam: str = SOFT) -> None:
        """``seam``: one of :data:`SEAMS`."""
        assert seam in SEAMS, seam
        self._inner, self._seam = inner, seam
        self.name, self.needs_face, self.takes_target_pose = inner.name, inner.needs_face, inner.takes_target_pose

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        """See :class:`~frontalbench.frontalize.base.Frontalizer`."""
        return [_pasted(view, outcome, self._seam) for view, outcome in zip(views, self._inner.frontalize(views, target_pose), strict=True)]


def _pasted(view: View, outcome: Outcome, seam: str) -> Outcome:
    if outcome.image is None or outcome.place is None:
        return outcome
    matrix, mask = outcome.place.matrix, outcome.place.mask
    if seam == SOFT:
        whole = paste_back(view.image, outcome.image, matrix, mask)
    else:
        hard = (mask > 0.5).astype(np.float32)
        shown = paste_back(np.zeros_like(view.image), np.full_like(outcome.image, 255), matrix, hard)[..., 0] > 127
        whole = cloned(paste_back(view.image, outcome.image, matrix, np.ones_like(hard)), view.image, shown)
    return replace(outcome, image=whole, place=None)

"""The 68 points that published crops are made from, of whichever landmark model a card ``uses``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from frontalbench.errors import BadConfig
from frontalbench.frontalize.base import NoFace, View
from frontalbench.geometry.similarity import apply
from frontalbench.landmarks.base import Landmarks
from frontalbench.types import Float

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.landmarks.face_landmarker import FaceLandmarker
    from frontalbench.landmarks.tddfa import DenseFitter

Locate = Callable[[View], Landmarks]
"""A view -> its 68 points (scheme ibug68). Raises :class:`NoFace`, or ValueError for a degenerate face."""

MIN_PRESENCE = 0.5
"""Below it FaceLandmarker does not believe in a face, and its points are guesses."""


def middle(points: Landmarks, matrix: Float) -> Float:
    """(2,): the middle of the points' box, in pixels of the crop that ``matrix`` (2, 3) makes."""
    return apply(matrix, (points.flat.min(axis=0) + points.flat.max(axis=0)) / 2.0)


def loaded(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Locate:
    """From the one landmarks card that ``card`` uses. Family ``tddfa``: the dense fit's own 68 vertices, hidden ones too, so profiles are fine;
    family ``face_landmarker``: derived from its 478 points. Raises :class:`BadConfig` for anything else."""
    from frontalbench.catalogue import families

    used = card.the("landmarks")
    if used.family not in ("tddfa", "face_landmarker"):
        raise BadConfig(
            f"{card.path}: uses: expected a landmarks card of family tddfa or face_landmarker, '{used.name}' is of {used.family}"
        )
    if used.family == "face_landmarker":
        landmarker: FaceLandmarker = families.load(used, threads=threads, device=device)

        def located(view: View) -> Landmarks:
            if view.face is None:
                raise NoFace("no face was detected in the photograph")
            found = landmarker.locate(view.image, view.face)
            if found.presence < MIN_PRESENCE:
                raise NoFace(f"the landmark network sees no face (presence {found.presence:.2f})")
            return found.to("ibug68")

        return located
    fitter: DenseFitter = families.load(used, threads=threads, device=device)

    def fitted(view: View) -> Landmarks:
        if view.face is None:
            raise NoFace("no face was detected in the photograph")
        return Landmarks(fitter.fit(view.image, view.face).vertices[fitter.basis.keypoints], "ibug68")

    return fitted

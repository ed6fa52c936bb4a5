"""Dense face geometry: 478 points of FaceLandmarker, dense 3DDFA_V2 fit. One entry: :func:`load_landmarks`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


def load_landmarks(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Any:
    """The landmark model of a card of kind ``landmarks``: by its family a FaceLandmarker or a DenseFitter.

    Raises :class:`~frontalbench.errors.BadConfig` for an unknown family and :class:`~frontalbench.errors.WeightsMissing`.
    """
    from frontalbench.catalogue import families

    return families.load(card, threads=threads, device=device)

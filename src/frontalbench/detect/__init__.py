"""Face detectors: boxes, scores and five points; choice of the face."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from frontalbench.detect.base import Detections, Detector
from frontalbench.detect.select import DEFAULT_POLICY, POLICIES, Face, choose

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

__all__ = ["DEFAULT_POLICY", "POLICIES", "Detections", "Detector", "Face", "choose", "load_detector"]


def load_detector(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Detector:
    """The detector of a card, ready to run; its weights are fetched if need be.

    ``threads`` is for inside of the network; :func:`frontalbench.detect.stream.detect_stream` works on several images at once instead and wants 1.
    Raises :class:`~frontalbench.errors.BadConfig` for an unknown family or params, :class:`~frontalbench.errors.WeightsMissing`, and
    :class:`~frontalbench.errors.BadInput` when the weight file is not that of a detector of the family.
    """
    from frontalbench.catalogue import families

    return cast(Detector, families.load(card, threads=threads, device=device))

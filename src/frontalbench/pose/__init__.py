"""Pose estimators: yaw, pitch and roll of a detected face, one convention for all (docs/architecture.md). One entry: :func:`load_pose`."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.pose.base import PoseEstimator


def load_pose(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> PoseEstimator:
    """The pose estimator of a card of kind ``pose``, by its family.

    Raises :class:`~frontalbench.errors.BadConfig` for an unknown family and :class:`~frontalbench.errors.WeightsMissing`.
    """
    from frontalbench.catalogue import families

    return cast("PoseEstimator", families.load(card, threads=threads, device=device))

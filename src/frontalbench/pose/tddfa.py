"""``tddfa_pose``: the pose in the matrix that the 3DDFA_V2 regressor gives; needs no face model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontalbench.catalogue.params import Params
from frontalbench.geometry.rotation import angles_from_matrix
from frontalbench.images import RGB

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.detect.select import Face
    from frontalbench.landmarks.tddfa import DenseFitter


class TddfaPose:
    """See the module; the confidence is the detector's score, the regressor has none."""

    def __init__(self, name: str, fitter: DenseFitter) -> None:
        self.name = name
        self.fitter = fitter

    def estimate(self, image: RGB, face: Face) -> tuple[float, float, float, float]:
        """See :class:`~frontalbench.pose.base.PoseEstimator`."""
        yaw, pitch, roll = angles_from_matrix(self.fitter.pose(image, face))
        return float(yaw), float(pitch), float(roll), face.score


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> TddfaPose:
    """The estimator of a card of family ``tddfa_pose`` (no params); it ``uses`` a landmarks card of family ``tddfa``, without its basis."""
    from frontalbench.catalogue import families

    Params(card).finish()
    return TddfaPose(card.name, families.load(card.the("landmarks", "tddfa"), threads=threads, device=device, dense=False))

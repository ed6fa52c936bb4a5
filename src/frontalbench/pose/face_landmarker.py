"""``face_landmarker_pose``: the canonical face fitted to the 478 points by Procrustes; weak at profiles, where the points are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frontalbench.catalogue.params import Params
from frontalbench.geometry.rotation import angles_from_matrix
from frontalbench.images import RGB

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.detect.select import Face
    from frontalbench.landmarks.face_landmarker import FaceLandmarker


class FaceLandmarkerPose:
    """See the module; the confidence is the network's presence score."""

    def __init__(self, name: str, landmarker: FaceLandmarker) -> None:
        self.name = name
        self.landmarker = landmarker

    def estimate(self, image: RGB, face: Face) -> tuple[float, float, float, float]:
        """See :class:`~frontalbench.pose.base.PoseEstimator`."""
        landmarks = self.landmarker.locate(image, face)
        yaw, pitch, roll = angles_from_matrix(self.landmarker.pose(landmarks).rotation)
        return float(yaw), float(pitch), float(roll), landmarks.presence


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> FaceLandmarkerPose:
    """The estimator of a card of family ``face_landmarker_pose`` (no params); it ``uses`` a landmarks card of family ``face_landmarker``."""
    from frontalbench.catalogue import families

    Params(card).finish()
    return FaceLandmarkerPose(card.name, families.load(card.the("landmarks", "face_landmarker"), threads=threads, device=device))

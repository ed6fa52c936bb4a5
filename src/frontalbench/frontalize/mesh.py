"""``mesh``: the 478 points of FaceLandmarker as a textured head, turned to any pose. Needs no training and no licence but Apache's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from frontalbench import status
from frontalbench.catalogue.params import Params
from frontalbench.errors import BadConfig
from frontalbench.frontalize.base import FRONTAL, NoFace, Outcome, Place, View
from frontalbench.frontalize.drawing import Placement, draw, facing_camera, guarded, placement_of, settings
from frontalbench.frontalize.foreground import Foreground, Parser, edge_of, parser_of, person_of
from frontalbench.frontalize.head import MIDDLE, Head, Skirt, net_of, outline, symmetrised, vertex_normals, with_skirt
from frontalbench.frontalize.render import Filling
from frontalbench.geometry.rotation import angles_from_matrix
from frontalbench.images import RGB
from frontalbench.landmarks.base import Landmarks
from frontalbench.landmarks.face_landmarker import MESH_POINTS, FaceLandmarker

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


@dataclass(frozen=True)
class Shape:
    """How the turned face gets its form. ``symmetry`` 0..1: how much of the hidden half's form comes from the other half (all of it
    costs identity, none of it leaves some yaw);
    ``canonical_depth`` 0..1: share of the canonical face in the depth of the turned points, which matters for other target poses than the frontal."""

    symmetry: float = 0.5
    canonical_depth: float = 0.5


class MeshFrontalizer:
    """See the module. ``frontalize`` returns square head crops of at most 512 pixels."""

    needs_face = True
    takes_target_pose = True

    def __init__(
        self, name: str, landmarker: FaceLandmarker, params: Mapping[str, Any] | None = None, parser: Parser | None = None
    ) -> None:
        """``parser``: the face parsing that params ``foreground`` ask for."""
        values = dict(params or {})
        self._parser = parser
        self._foreground = settings(Foreground, values.pop("foreground"), name) if parser and "foreground" in values else None
        self.name = name
        self.landmarker = landmarker
        self.skirt = settings(Skirt, values.pop("skirt", {}), name)
        self.filling = settings(Filling, values.pop("filling", {}), name)
        self.shape = settings(Shape, values.pop("shape", {}), name)
        self.min_presence = float(values.pop("min_presence", 0.5))
        if values:
            raise BadConfig(f"frontalizer card '{name}': params {sorted(values)} are not known; see docs/frontalizers.md")
        canonical = landmarker.canonical
        self._triangles = facing_camera(canonical.points, canonical.triangles)
        self._rim = outline(self._triangles.astype(np.int32))
        self._net = net_of(self._triangles, self._rim, canonical.mirror)

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        """See :class:`~frontalbench.frontalize.base.Frontalizer`."""
        return [self._outcome(view, target_pose) for view in views]

    def pose(self, view: View) -> tuple[float, float, float]:
        """(yaw, pitch, roll) in degrees of the fit, its tilt in the image taken out. Raises ValueError when there is no face to fit."""
        yaw, pitch, roll = angles_from_matrix(self.placed(view)[1].rotation)
        return float(yaw), float(pitch), float(roll)

    def placed(self, view: View) -> tuple[Head, Placement]:
        """The head of the landmarks and where it is in the photograph. Raises ValueError where there is no face, :class:`NoFace` where the landmark
        network sees none."""
        if view.face is None:
            raise ValueError("no face was detected in the photograph")
        landmarks = self.landmarker.locate(view.image, view.face)
        if landmarks.presence < self.min_presence:
            raise NoFace(f"the landmark network sees no face in the detector's box (presence {landmarks.presence:.2f})")
        return self._head(landmarks)

    def _outcome(self, view: View, target_pose: tuple[float, float, float]) -> Outcome:
        said, seen = "", None

        def one(view: View, target_pose: tuple[float, float, float]) -> tuple[RGB, Place]:
            nonlocal said, seen
            head, placement = self.placed(view)
            person = None
            if self._parser is not None and self._foreground is not None:
                person, said = person_of(edge_of(self._parser, view.image, placement), head, placement, self._foreground)
            drawing = draw(view.image, head, placement, target_pose, self.filling, person, view.seen)
            seen = drawing.seen
            return drawing.image, drawing.place

        outcome = guarded(one, view, target_pose)
        return replace(outcome, detail=said, seen=seen) if outcome.status == status.OK else outcome

    def _head(self, landmarks: Landmarks) -> tuple[Head, Placement]:
        canonical = self.landmarker.canonical
        pose = self.landmarker.pose(landmarks)
        placement = placement_of(pose)
        source = placement.to_head_frame(landmarks.points[:MESH_POINTS])
        model = canonical.points - MIDDLE
        shape = source @ placement.rotation
        seen = np.clip(-vertex_normals(model @ placement.rotation.T, self._triangles)[:, 2], 0.0, 1.0)
        shape = symmetrised(shape, canonical.mirror, seen, self.shape.symmetry)
        shape[:, 2] += self.shape.canonical_depth * (model[:, 2] - shape[:, 2])
        return with_skirt(shape, source, placement.rotation, self._net, self._rim, self.skirt), placement


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> MeshFrontalizer:
    """The frontalizer of a card of family ``mesh``; the landmark model is the one that the card ``uses``.

    Params: ``min_presence`` 0.5: below it the landmark network sees no face; ``skirt``, ``filling`` and ``foreground`` as in ``tddfa``; ``shape:
    {symmetry: 0.5, canonical_depth: 0.5}``.
    """
    from frontalbench.landmarks import load_landmarks

    Params(card).elsewhere("skirt", "filling", "shape", "min_presence", "foreground").finish()
    landmarker = load_landmarks(card.the("landmarks"), threads=threads, device=device)
    return MeshFrontalizer(card.name, landmarker, card.params, parser_of(card, threads=threads, device=device))

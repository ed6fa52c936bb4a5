"""``tddfa``: the dense 3DDFA_V2 fit as a textured head, turned to any pose. The regressor knows profiles, where 478 landmarks give up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from frontalbench import status
from frontalbench.catalogue.params import Params
from frontalbench.errors import BadConfig
from frontalbench.frontalize.base import FRONTAL, Outcome, Place, View
from frontalbench.frontalize.drawing import Drawing, Placement, draw, facing_camera, guarded, placement_of, settings
from frontalbench.frontalize.foreground import Edge, Foreground, Parser, edge_of, parser_of, person_of
from frontalbench.frontalize.head import MIDDLE, Head, Net, Skirt, net_of, outline, vertex_normals, with_skirt
from frontalbench.frontalize.render import Filling
from frontalbench.frontalize.silhouette import MODEL_CM, Form, Keeping, Kept, ends_of, kept_to
from frontalbench.geometry.rotation import angles_from_matrix
from frontalbench.images import RGB
from frontalbench.landmarks.face_landmarker import Canonical, HeadPose, fit_rigid
from frontalbench.landmarks.tddfa import DenseFit, DenseFitter, triangulate
from frontalbench.types import Bool, Float, Int

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.detect.select import Face


SHARED_POINTS = {36: 33, 39: 133, 42: 362, 45: 263, 27: 168, 30: 1, 33: 2, 48: 61, 54: 291, 51: 0, 57: 17, 8: 152}
"""The usual 68 points (numbered from 0) -> points of the canonical face: corners of eyes and mouth, bridge, tip and base of the nose, lips, chin."""
SPACING = 0.12
"""The dense fit is drawn with one vertex for so many cm."""
DETAIL = 8.0
"""Samples per cm of its form: with half of them, or fewer vertices, similarity falls by 0.006."""
UNDERLAY = 0.35
"""The coarse face lies this far (cm) behind the dense one and shows only where that has gaps."""


class TddfaFrontalizer:
    """See the module. ``frontalize`` returns square head crops of at most 512 pixels."""

    needs_face = True
    takes_target_pose = True

    def __init__(
        self, name: str, fitter: DenseFitter, canonical: Canonical, params: Mapping[str, Any] | None = None, parser: Parser | None = None
    ) -> None:
        """``parser``: the face parsing that params ``silhouette`` and ``foreground`` ask for; with neither it is not asked."""
        values = dict(params or {})
        self.name = name
        self._parser = parser
        self._keeping = settings(Keeping, values.pop("silhouette"), name) if parser and "silhouette" in values else None
        self._foreground = settings(Foreground, values.pop("foreground"), name) if parser and "foreground" in values else None
        self.fitter = fitter
        self.skirt = settings(Skirt, values.pop("skirt", {}), name)
        self.filling = settings(Filling, values.pop("filling", {}), name)
        if values:
            raise BadConfig(f"frontalizer card '{name}': params {sorted(values)} are not known; see docs/frontalizers.md")
        self._canonical = canonical
        self._coarse = facing_camera(canonical.points, canonical.triangles)
        self._rim = outline(self._coarse.astype(np.int32))
        self._prepare()

    def _prepare(self) -> None:
        """All that does not depend on an image: where the models lie in one another, the dense triangles within the outline, mirror images."""
        from scipy.spatial import cKDTree

        basis, canonical = self.fitter.basis, self._canonical
        mine, theirs = basis.mean[basis.keypoints[list(SHARED_POINTS)]], canonical.points[list(SHARED_POINTS.values())]
        self._model_to_canonical = fit_rigid(mine, theirs, np.ones(len(mine)))
        mean = _apply(self._model_to_canonical, basis.mean)
        _, nearest = cKDTree(mean).query(canonical.points)
        self._nearest: Int = np.asarray(nearest, dtype=np.int64)
        kept = thinned(mean, SPACING, basis.keypoints)
        triangles = triangulate(basis.mean[kept]).astype(np.int64)
        inside = _within(mean[kept], mean[self._nearest[self._rim]])
        triangles = triangles[inside[triangles].all(axis=1)]
        used, dense = np.unique(triangles, return_inverse=True)
        points = mean[kept[used]]
        self._dense: Int = facing_camera(points, dense.reshape(-1, 3).astype(np.int32))
        self._mirror, self._mirror_weights = mirrored_vertices(points)
        under = self._under = net_of(self._coarse, self._rim, canonical.mirror)
        count = len(under.mirror)
        self._net = Net(
            np.asfortranarray(np.concatenate([under.triangles, self._dense + count])),
            np.asfortranarray(np.concatenate([under.mirror, self._mirror + count])),
            np.asfortranarray(np.concatenate([under.mirror_weights, self._mirror_weights])),
        )
        self._inner: Int = np.setdiff1d(np.arange(len(self._nearest)), self._rim)
        # Only these vertices are fitted: those of the coarse face first.
        self._rows: Int = np.concatenate([self._nearest, kept[used]])
        self._form = None if self._keeping is None else self._fitted_form(self._keeping.rim)

    def _fitted_form(self, rim: float) -> Form:
        """What is fitted to a silhouette: the rows, then the 68 points."""
        basis = self.fitter.basis
        rows = np.concatenate([self._rows, basis.keypoints])
        mean, triangles = basis.mean[rows], self._dense + len(self._nearest)
        ends = ends_of(mean[np.unique(triangles)] * MODEL_CM, _renumbered(triangles), rim)
        near = np.ones(len(rows), dtype=bool)
        near[np.unique(triangles)] = ends
        return Form(mean, basis.shape[rows], basis.expression[rows], self.fitter.deviations, triangles, near)

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        """See :class:`~frontalbench.frontalize.base.Frontalizer`."""
        return [self._outcome(view, target_pose) for view in views]

    def _outcome(self, view: View, target_pose: tuple[float, float, float]) -> Outcome:
        said, seen = "", None

        def one(view: View, target_pose: tuple[float, float, float]) -> tuple[RGB, Place]:
            nonlocal said, seen
            drawing, _, said = self._drawing(view, target_pose)
            seen = drawing.seen
            return drawing.image, drawing.place

        outcome = guarded(one, view, target_pose)
        return replace(outcome, detail=said, seen=seen) if outcome.status == status.OK else outcome

    def drawing(self, view: View, target_pose: tuple[float, float, float] = FRONTAL) -> tuple[Drawing, Float]:
        """The head in the target pose with the photograph in the same frame, and the photograph's pose (3, 3) with its tilt taken out.

        Raises ValueError when there is no face or its fit is degenerate.
        """
        return self._drawing(view, target_pose)[:2]

    def _drawing(self, view: View, target_pose: tuple[float, float, float]) -> tuple[Drawing, Float, str]:
        """The third: why the fit does not keep to the silhouette, or why the parsing is not believed, else empty."""
        head, placement, edge, reason = self._fitted(view)
        person, doubt = None, ""
        if edge is not None and self._foreground is not None:
            person, doubt = person_of(edge, head, placement, self._foreground)
        said = "; ".join(one for one in (reason, doubt) if one)
        return draw(view.image, head, placement, target_pose, self.filling, person, view.seen), placement.rotation, said

    def pose(self, view: View) -> tuple[float, float, float]:
        """(yaw, pitch, roll) in degrees of the fit, its tilt in the image taken out. Raises ValueError when there is no face to fit."""
        yaw, pitch, roll = angles_from_matrix(self.placed(view)[1].rotation)
        return float(yaw), float(pitch), float(roll)

    def placed(self, view: View) -> tuple[Head, Placement]:
        """The fitted head and where it is in the photograph. Raises ValueError when there is no face or its fit is degenerate."""
        return self._fitted(view)[:2]

    def kept(self, view: View) -> Kept:
        """How the fit of a card with ``silhouette`` came to lie. Raises ValueError when there is no face or its fit is degenerate."""
        return self._kept(view)[0]

    def _kept(self, view: View) -> tuple[Kept, Edge]:
        assert self._parser is not None and self._form is not None and self._keeping is not None
        face = _face_of(view)
        first, coefficients = self.fitter.fitted(view.image, face, np.concatenate([self._rows, self.fitter.basis.keypoints]))
        edge = edge_of(self._parser, view.image, self._head(_first_rows(first, len(self._rows)))[1])
        return kept_to(edge, self._form, first, coefficients, self._keeping), edge

    def _fitted(self, view: View) -> tuple[Head, Placement, Edge | None, str]:
        if self._keeping is not None:
            kept, edge = self._kept(view)
            return *self._head(_first_rows(kept.fit, len(self._rows))), edge, kept.reason
        head, placement = self._head(self.fitter.fit(view.image, _face_of(view), self._rows))
        if self._parser is None or self._foreground is None:
            return head, placement, None, ""
        return head, placement, edge_of(self._parser, view.image, placement), ""

    def _head(self, fit: DenseFit) -> tuple[Head, Placement]:
        to_canonical = self._model_to_canonical
        translation = fit.vertices.mean(axis=0) - fit.scale * fit.rotation @ fit.model.mean(axis=0)
        # canonical -> photograph: undo model -> canonical, then the fit.
        rotation = fit.rotation @ to_canonical.rotation.T
        scale = fit.scale / to_canonical.scale
        placement = placement_of(HeadPose(rotation, scale, translation - scale * rotation @ to_canonical.translation))
        shape = _apply(to_canonical, fit.model) - MIDDLE
        source = placement.to_head_frame(fit.vertices)
        # The fitted matrix need not be rigid; its depth row is the least sure of all.
        source[:, 2] = (shape @ placement.rotation.T)[:, 2]
        first = len(self._nearest)
        coarse_shape, coarse_source = shape[:first], source[:first]
        under = with_skirt(coarse_shape, coarse_source, placement.rotation, self._under, self._rim, self.skirt)
        lowered = under.shape.copy()
        lowered[self._inner] -= UNDERLAY * vertex_normals(coarse_shape, self._coarse)[self._inner]
        head = Head(
            np.concatenate([lowered, shape[first:]]),
            np.concatenate([under.source, source[first:]]),
            np.concatenate([under.still, np.zeros(len(shape) - first)]),
            self._net.mirror,
            self._net.mirror_weights,
            self._net.triangles,
            under.occluders,
            DETAIL,
            under.skirt,
        )
        return head, placement


def _face_of(view: View) -> Face:
    if view.face is None:
        raise ValueError("no face was detected in the photograph")
    return view.face


def _first_rows(fit: DenseFit, count: int) -> DenseFit:
    return replace(fit, vertices=fit.vertices[:count], model=fit.model[:count])


def _renumbered(triangles: Int) -> Int:
    """The same triangles over the vertices that they use, in order."""
    numbers: Int = np.unique(triangles, return_inverse=True)[1].reshape(-1, 3)
    return numbers


def _apply(pose: HeadPose, points: Float) -> Float:
    moved: Float = pose.scale * points @ pose.rotation.T + pose.translation
    return moved


def thinned(points: Float, spacing: float, always: Int) -> Int:
    """Numbers of about one of ``points`` (N, 3) for every cube of side ``spacing``, in order, and of those that are kept ``always``."""
    cells = np.floor(points / spacing).astype(np.int64)
    away = np.linalg.norm(points - (cells + 0.5) * spacing, axis=1)
    nearest = np.argsort(away, kind="stable")
    _, first = np.unique(cells[nearest], axis=0, return_index=True)
    return np.unique(np.concatenate([nearest[first], always]))


def mirrored_vertices(points: Float) -> tuple[Int, Float]:
    """The mirror image of each of ``points`` (N, 3) of a symmetric surface as a mean of three of them: numbers (N, 3), weights (N, 3). The weights
    are those of the triangle, unrolled about the head's axis, in which the mirror image lies."""
    from scipy.spatial import Delaunay, cKDTree

    radius = np.hypot(points[:, 0], points[:, 2] - MIDDLE[2])
    around = np.arctan2(points[:, 0], MIDDLE[2] - points[:, 2]) * float(np.median(radius))
    net = Delaunay(np.column_stack([around, points[:, 1]]))
    wanted = np.column_stack([-around, points[:, 1]])
    found = net.find_simplex(wanted)
    transform = net.transform[found]
    two = np.einsum("nij,nj->ni", transform[:, :2], wanted - transform[:, 2])
    weights = np.column_stack([two, 1.0 - two.sum(axis=1)])
    partners = net.simplices[found].astype(np.int64)
    # Beyond the outline, or in a triangle without area: the nearest.
    alone = (found < 0) | ~np.isfinite(weights).all(axis=1)
    partners[alone] = cKDTree(points).query(points[alone] * [-1.0, 1.0, 1.0])[1][:, None]
    weights[alone] = [1.0, 0.0, 0.0]
    return partners, weights


def _within(points: Float, ring: Float) -> Bool:
    """Which ``points`` (N, 3) lie inside ``ring`` (M, 3) seen from the middle of the head (even-odd rule on angles)."""

    def angles(values: Float) -> Float:
        seen_from = values - [0.0, 0.0, MIDDLE[2]]
        return np.column_stack(
            [np.arctan2(seen_from[:, 0], -seen_from[:, 2]), np.arctan2(seen_from[:, 1], np.hypot(seen_from[:, 0], seen_from[:, 2]))]
        )

    plane, corners = angles(points), angles(ring)
    inside = np.zeros(len(points), dtype=bool)
    for (x1, y1), (x2, y2) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        crosses = (y1 > plane[:, 1]) != (y2 > plane[:, 1])
        if y1 != y2:
            inside ^= crosses & (plane[:, 0] < (x2 - x1) * (plane[:, 1] - y1) / (y2 - y1) + x1)
    return inside


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> TddfaFrontalizer:
    """The frontalizer of a card of family ``tddfa``. Of the FaceLandmarker card that it ``uses`` beside the fit only the canonical face is read; a
    card with ``silhouette`` or ``foreground`` also uses a face parsing (family ``bisenet``).

    Params: ``skirt``: head around the face, in cm and shares (``depth`` 6.5, ``bend_side`` 0.45, ``bend_top`` 3.5, ``bend_chin`` 0.2, ``back``
    7, ``back_from`` 0.9, ``back_to`` 2, ``still_from`` 1, ``still_to`` 5.5); ``filling``: the hidden side from the seen one (``strength`` 1,
    ``better`` 0.3, ``smooth`` 0.9, ``feather`` 0.25); ``silhouette`` (none: not done): the fit keeps to the outline of the parsing, lengths in cm
    (``steps`` 4, ``reach`` 1.2, ``edge`` 0.05, ``points`` 0.25, ``robust`` 0.4, ``shape`` 0.7, ``expression`` 0.3, ``least`` 30, ``rim`` 0.7);
    ``foreground`` (none: not done): what the parsing and the colours beside its edge call background counts as not seen (``within`` 0.5,
    ``beyond`` 0.25, ``rim`` 0.06, ``least`` 0.4).
    """
    from frontalbench.catalogue import families
    from frontalbench.landmarks import face_landmarker
    from frontalbench.weights import store

    Params(card).elsewhere("skirt", "filling", "silhouette", "foreground").finish()
    fit, face = card.the("landmarks", "tddfa"), card.the("landmarks", "face_landmarker")
    bundle = store.fetch(face)
    canonical = face_landmarker.parse_geometry(face_landmarker.read_bundle(bundle)[1], bundle)
    parser = parser_of(card, threads=threads, device=device)
    return TddfaFrontalizer(card.name, families.load(fit, threads=threads, device=device), canonical, card.params, parser)

"""A dense fit that keeps to the silhouette.

The regressor of 3DDFA_V2 looks at 120 pixels: in profiles its nose, brow and chin lie some millimetres beside the photograph's, and background
becomes skin. Face parsing says where a face ends against the background. A few Gauss-Newton steps move pose, form and expression of the fit until the
points that lie on its own outline fall on that edge, each searched for along the outline's normal (the contour term of Romdhani and Vetter 2005,
"Estimating 3D Shape and Texture Using Pixel Intensity, Edges, Specular Highlights, Texture Constraints and a Prior"). The 68 points of the first fit
and the spread of the coefficients hold what no outline says. Lengths are in centimetres of the head.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from frontalbench.frontalize.foreground import Edge
from frontalbench.geometry.masks import Mask
from frontalbench.geometry.raster import rasterize
from frontalbench.geometry.similarity import apply
from frontalbench.landmarks.tddfa import N_EXPRESSION, N_SHAPE, DenseFit
from frontalbench.types import Bool, Float, Float32, Int

MODEL_CM: Final = 1e-4
"""Centimetres to a unit of the face model (a micrometre)."""
PER_CM: Final = 8.0
"""The outline of the fit is drawn, and its points are taken, at so many pixels a cm."""
ALIKE: Final = 4.0
"""So many neighbouring points of an outline count as one: their errors are alike."""
STEP: Final = 0.04
"""Along a normal the parsing is read at this distance."""
INSIDE, OUTSIDE = 0.3, 0.2
"""An edge counts where there is face this far before it and background this far behind it."""
DEGREES, STRETCH = 15.0, 0.15
"""A fit that turned or grew by more than this was not helped by the outline."""


@dataclass(frozen=True)
class Keeping:
    """The params ``silhouette`` of a card. ``steps`` of Gauss-Newton at most; ``reach``: how far from the fit its edge is searched for; ``edge``,
    ``points``: how exactly (one standard deviation, cm) the edge and the 68 points of the first fit are believed; ``robust``: an edge farther away
    counts less and less; ``shape``, ``expression``: how far the coefficients may move, in their standard deviations; ``least``: points of the
    outline that must have an edge; ``rim``: points nearer to the end of the fitted face are not its outline."""

    steps: int = 4
    reach: float = 1.2
    edge: float = 0.05
    points: float = 0.25
    robust: float = 0.4
    shape: float = 0.7
    expression: float = 0.3
    least: int = 30
    rim: float = 0.7


@dataclass(frozen=True)
class Form:
    """The face model as far as it is fitted. ``mean`` (N, 3) and its components ``shape`` (N, 3, 40), ``expression`` (N, 3, 10) as in
    :class:`~frontalbench.landmarks.tddfa.Basis`, the 68 points last; ``deviations`` (50,): of shape and expression coefficients;
    ``triangles`` (T, 3); ``ends`` (N,): vertices near the end of the face, which are no outline."""

    mean: Float
    shape: Float32
    expression: Float32
    deviations: Float
    triangles: Int
    ends: Bool

    def vertices(self, coefficients: Float) -> Float:
        """(N, 3) without pose for ``coefficients`` (50,)."""
        shape, expression = coefficients[:N_SHAPE].astype(np.float32), coefficients[N_SHAPE:].astype(np.float32)
        moved: Float = self.mean + self.shape @ shape + self.expression @ expression
        return moved


@dataclass(frozen=True)
class Kept:
    """``fit``: kept to the silhouette, or the first one; ``reason``: why it is the first one, else empty; ``before``, ``after``: median distance (cm)
    of the outline from the edge (NaN where there is no edge); ``count``: points of the outline that had one."""

    fit: DenseFit
    reason: str
    before: float
    after: float
    count: int


def kept_to(edge: Edge, form: Form, fit: DenseFit, coefficients: Float, keeping: Keeping) -> Kept:
    """``fit`` (its rows as in ``form``, its ``coefficients`` (50,)) moved so that its outline lies on the edge.

    Where too little of the outline has an edge, or the distance from it does not fall, it is returned as it was, with the reason."""
    wanted = fit.vertices[-68:, :2]
    state = _State(fit.rotation, fit.scale, _shift(fit), coefficients)
    first = met = _meeting(edge, form, state, keeping)
    if len(first.away) < keeping.least:
        return Kept(fit, f"{len(first.away)} points of the outline lie near an edge of the face, {keeping.least} are needed", *first.said)
    best, nearest = state, first
    for _ in range(keeping.steps):
        state = _moved(form, state, met, coefficients, wanted, keeping)
        met = _meeting(edge, form, state, keeping)
        if len(met.away) < keeping.least or not np.isfinite(state.rotation).all():
            break
        if met.cost < nearest.cost:
            best, nearest = state, met
    before, after, count = first.median, nearest.median, len(nearest.away)
    if best.coefficients is coefficients or after >= before:
        return Kept(fit, f"the fit did not come nearer to the silhouette ({before:.2f} cm)", before, before, count)
    turned = float(np.degrees(np.linalg.norm(cv2.Rodrigues(best.rotation @ fit.rotation.T)[0])))
    if turned > DEGREES or abs(np.log(best.scale / fit.scale)) > STRETCH:
        return Kept(fit, f"on the silhouette the head would turn by {turned:.0f} degrees", before, before, count)
    model = form.vertices(best.coefficients)
    return Kept(DenseFit(best.placed(model), model, best.rotation, best.scale), "", before, after, count)


def ends_of(points: Float, triangles: Int, rim: float) -> Bool:
    """Which of ``points`` (N, 3) lie within ``rim`` of an edge that only one of ``triangles`` has: there the surface ends, it does not turn away."""
    from scipy.spatial import cKDTree

    edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    lines, times = np.unique(edges, axis=0, return_counts=True)
    boundary = np.unique(lines[times == 1])
    if not len(boundary):
        return np.zeros(len(points), dtype=bool)
    near: Bool = cKDTree(points[boundary]).query(points)[0] < rim
    return near


@dataclass(frozen=True)
class _State:
    """A fit on its way: photograph xy = scale * (rotation @ model).xy + shift."""

    rotation: Float
    scale: float
    shift: Float
    coefficients: Float

    @property
    def pixels_per_cm(self) -> float:
        return self.scale / MODEL_CM

    def placed(self, model: Float) -> Float:
        vertices = self.scale * model @ self.rotation.T
        vertices[:, :2] += self.shift
        return vertices


@dataclass(frozen=True)
class _Meeting:
    """Points of the outline that have an edge: ``corners``, ``shares`` (M, 3) of the triangle they lie in; ``normals`` (M, 2) outwards; ``away``
    (M,): how far outwards the edge is, cm; ``model`` (N, 3); ``cost``: mean robust distance of all points."""

    corners: Int
    shares: Float
    normals: Float
    away: Float
    model: Float
    cost: float

    @property
    def median(self) -> float:
        return float(np.median(np.abs(self.away))) if len(self.away) else float("nan")

    @property
    def said(self) -> tuple[float, float, int]:
        return self.median, self.median, len(self.away)


def _shift(fit: DenseFit) -> Float:
    shift: Float = (fit.vertices.mean(axis=0) - fit.scale * fit.rotation @ fit.model.mean(axis=0))[:2]
    return shift


def _meeting(edge: Edge, form: Form, state: _State, keeping: Keeping) -> _Meeting:
    model = form.vertices(state.coefficients)
    placed = state.placed(model)
    corners, shares, normals = contour(placed, form.triangles, state.pixels_per_cm)
    own = ~form.ends[corners].any(axis=1)
    corners, shares, normals = corners[own], shares[own], normals[own]
    # Middles of pixels, on average half a pixel within the outline.
    places = (placed[corners] * shares[..., None]).sum(axis=1)[:, :2] + normals * (0.5 / PER_CM * state.pixels_per_cm)
    away = crossings(edge, places, normals, state.pixels_per_cm, keeping.reach)
    met = np.isfinite(away)
    # A point without an edge costs as much as one at the end of the search, or losing edges would look like coming nearer.
    robust = np.square(np.where(met, away, keeping.reach)) / (np.square(np.where(met, away, keeping.reach)) + keeping.robust**2)
    return _Meeting(corners[met], shares[met], normals[met], away[met], model, float(robust.mean()) if len(robust) else np.inf)


def contour(placed: Float, triangles: Int, pixels_per_cm: float) -> tuple[Int, Float, Float]:
    """The outline of a surface seen from the camera, point by point: corners (M, 3) of the triangle that each lies in, its shares (M, 3) of them, and
    the outward normals (M, 2). ``placed`` (N, 3): its vertices in pixels of the photograph."""
    factor = PER_CM / pixels_per_cm
    pixels = (placed - [*placed[:, :2].min(axis=0), 0.0]) * factor + [2.0, 2.0, 0.0]
    width, height = (int(side) + 4 for side in pixels[:, :2].max(axis=0))
    drawn = rasterize(pixels, triangles, (height, width))
    solid = cv2.morphologyEx((drawn.triangle >= 0).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    lines = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    if not lines:
        return np.zeros((0, 3), np.int64), np.zeros((0, 3)), np.zeros((0, 2))
    line = max(lines, key=len)[:, 0].astype(np.int64)
    smooth = line.astype(np.float64)
    for _ in range(2):
        smooth = sum((np.roll(smooth, by, axis=0) for by in (-2, -1, 1, 2)), smooth) / 5.0
    along = np.roll(smooth, -2, axis=0) - np.roll(smooth, 2, axis=0)
    outwards = np.column_stack([along[:, 1], -along[:, 0]])
    if cv2.contourArea(line.astype(np.float32)[:, None], oriented=True) < 0.0:
        outwards = -outwards
    outwards /= np.maximum(np.linalg.norm(outwards, axis=1, keepdims=True), 1e-9)
    column, row = line.T
    seen = drawn.triangle[row, column] >= 0
    column, row = column[seen], row[seen]
    return triangles[drawn.triangle[row, column]], drawn.weights[row, column].astype(np.float64), outwards[seen]


def crossings(edge: Edge, places: Float, normals: Float, pixels_per_cm: float, reach: float) -> Float:
    """How far (cm) from ``places`` (M, 2; photograph) along ``normals`` (M, 2) face passes into background, the nearest within ``reach``; NaN where
    it does not, as under hair, before the neck or beyond the photograph."""
    far = reach + max(INSIDE, OUTSIDE)
    offsets = np.arange(-far, far + STEP / 2.0, STEP)
    at = apply(edge.matrix, places[:, None] + (offsets[None, :, None] * pixels_per_cm) * normals[:, None]).astype(np.float32)

    def read(mask: Mask) -> Mask:
        return np.asarray(cv2.remap(mask, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0), np.float32)

    if not len(places):
        return np.zeros(0)
    person, face, inside = read(edge.person), read(edge.face), read(edge.inside)
    number = np.arange(len(offsets) - 1)
    before = np.maximum(number - round(INSIDE / STEP), 0)
    behind = np.minimum(number + round(OUTSIDE / STEP), len(offsets) - 1)
    ends = (person[:, :-1] >= 0.5) & (person[:, 1:] < 0.5)
    ends &= (face[:, before] > 0.5) & (person[:, behind] < 0.5) & (inside[:, behind] > 0.99)
    share = (person[:, :-1] - 0.5) / np.maximum(person[:, :-1] - person[:, 1:], 1e-6)
    where = offsets[:-1] + share * STEP
    where = np.where(ends & (np.abs(where) <= reach), where, np.inf)
    nearest = where[np.arange(len(where)), np.abs(where).argmin(axis=1)]
    return np.where(np.isfinite(nearest), nearest, np.nan)


def _moved(form: Form, state: _State, met: _Meeting, first: Float, wanted: Float, keeping: Keeping) -> _State:
    """One step: what is known of every unknown (turn 3, log scale, shift 2, 50 coefficients) from the outline, the 68 points and the spread."""
    unit = state.pixels_per_cm

    def mixed(values: Float | Float32) -> Float:
        taken: Float = np.einsum("mc,mc...->m...", met.shares, values[met.corners].astype(np.float64))
        return taken

    outline = np.einsum("mi,mij->mj", met.normals, _jacobian(form, state, mixed(met.model), mixed(form.shape), mixed(form.expression)))
    last = slice(len(form.mean) - 68, None)
    points = _jacobian(form, state, met.model[last], form.shape[last], form.expression[last]).reshape(2 * 68, -1)
    apart = ((wanted - state.placed(met.model[last])[:, :2]) / unit).reshape(-1)
    weight = 1.0 / np.square(1.0 + np.square(met.away / keeping.robust)) / keeping.edge**2 / ALIKE
    trust = 1.0 / keeping.points**2
    free = np.full(6, 1e-6)
    prior = np.concatenate([free, np.full(N_SHAPE, keeping.shape**-2.0), np.full(N_EXPRESSION, keeping.expression**-2.0)])
    gone = np.concatenate([np.zeros(6), (state.coefficients - first) / form.deviations])
    normal = (outline.T * weight) @ outline + trust * points.T @ points + np.diag(prior)
    by = np.linalg.solve(normal, (outline.T * weight) @ met.away + trust * points.T @ apart - prior * gone)
    return _State(
        cv2.Rodrigues(by[:3])[0] @ state.rotation,
        state.scale * float(np.exp(by[3])),
        state.shift + by[4:6] * unit,
        state.coefficients + by[6:] * form.deviations,
    )


def _jacobian(form: Form, state: _State, model: Float, shape: Float | Float32, expression: Float | Float32) -> Float:
    """(M, 2, 56): how the place (cm in the photograph) of points ``model`` (M, 3) changes with the unknowns, coefficients in their deviations."""
    x, y, z = state.rotation @ model.T * MODEL_CM
    none = np.zeros_like(x)
    turn = np.stack([np.stack([none, z, -y], axis=-1), np.stack([-z, none, x], axis=-1)], axis=1)
    size = np.stack([x, y], axis=-1)[..., None]
    shift = np.broadcast_to(np.eye(2), (len(model), 2, 2))
    components = np.concatenate([shape, expression], axis=-1).astype(np.float64)
    moves = np.einsum("ij,mjk->mik", state.rotation[:2] * MODEL_CM, components) * form.deviations
    return np.concatenate([turn, size, shift, moves], axis=-1)

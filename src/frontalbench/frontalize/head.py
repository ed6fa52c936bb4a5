"""From a fitted face to a whole head that can be turned: the face mesh, and a skirt around it that reaches to the border of the crop.

Everything is in centimetres about the middle of the head, camera axes (x right, y down, z away); one centimetre is ``scale`` pixels of
the photograph.
A face mesh alone would be a mask on an image. Around its outline lies the *skirt*: rings of vertices that first bend back like the sides of a head
(so that ears, hair and neck turn with the face) and then flatten into the image plane, where nothing moves any more. One texture map, smooth
everywhere, thus carries face, hair and background. The idea of anchoring the surroundings of a face mesh is that of Zhu et al. 2015 ("High-fidelity
pose and expression normalization"); the form used here is our own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from frontalbench.geometry.masks import smoothstep
from frontalbench.geometry.rotation import matrix_from_angles
from frontalbench.types import Float, Int

MIDDLE = np.array([0.0, -1.0, 5.0])
"""The middle of the head in the canonical face's own coordinates (cm): between the ears. Turning about it keeps the head's outline in place."""
RING_DISTANCES = (0.12, 0.35, 0.7, 1.0, 1.3, 1.65, 2.0, 2.7, 3.6, 5.0, 7.0, 10.0)
"""How far outside of the face's outline the rings of the skirt lie, in cm of the frontal view."""
OUTER_RADIUS = 42.0
"""Where the skirt ends, in cm: beyond the corners of any crop."""


@dataclass(frozen=True)
class Skirt:
    """The form of the skirt, in cm. ``depth``: how far it bends back; ``bend_*``: over which distance outwards, at the sides, the top and
    below the chin (there the neck begins at once, far behind); ``back``: how much farther it goes back past the ears, between ``back_from`` and
    ``back_to`` (this hides the back of the head behind the ears); ``still_from`` .. ``still_to``: between these distances it passes from turning with
    the head to standing still."""

    depth: float = 6.5
    bend_side: float = 0.45
    bend_top: float = 3.5
    bend_chin: float = 0.2
    back: float = 7.0
    back_from: float = 0.9
    back_to: float = 2.0
    still_from: float = 1.0
    still_to: float = 5.5


@dataclass(frozen=True)
class Head:
    """A head ready to be drawn in any pose.

    ``shape`` (N, 3): vertices without pose; ``source`` (N, 3): the same vertices as the photograph shows them (its tilt taken out); ``still`` (N,): 0
    where a vertex turns with the head, 1 where it stands still; ``mirror`` (N, 3) and ``mirror_weights`` (N, 3): each vertex's mirror image as a mean
    of three vertices; ``triangles`` (T, 3), wound so that normals of a frontal face have negative z; ``occluders`` (O, 3): fewer triangles that
    hide as much; ``detail``: samples per cm that say its form, at most half of the image's resolution is used; ``skirt``: its vertices, from the
    first to before the last.
    """

    shape: Float
    source: Float
    still: Float
    mirror: Int
    mirror_weights: Float
    triangles: Int
    occluders: Int
    detail: float = 4.0
    skirt: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Frame:
    """The square image: ``side`` pixels, ``pixels_per_cm``, ``middle`` (x, y): the pixel of the head's middle, ``lean``: clockwise turn
    of the head's upright axis in it, degrees."""

    side: int
    pixels_per_cm: float
    middle: tuple[float, float]
    lean: float = 0.0

    def to_pixels(self, points: Float) -> Float:
        """Points (N, 3) in cm about the head's middle, upright -> pixels (and depth on the same scale)."""
        pixels: Float = points @ (matrix_from_angles(0.0, 0.0, self.lean).T * self.pixels_per_cm)
        # By column, as everywhere here: loops along rows of two or three take ten times as long.
        for axis in range(2):
            pixels[:, axis] += self.middle[axis]
        return pixels

    def resized(self, side: int) -> Frame:
        """The same image in ``side`` pixels."""
        factor = side / self.side
        x, y = ((value + 0.5) * factor - 0.5 for value in self.middle)
        return Frame(side, self.pixels_per_cm * factor, (x, y), self.lean)


def outline(triangles: npt.NDArray[np.int32]) -> Int:
    """The vertices of a mesh's one boundary, in order. Raises ValueError when the boundary is not a single loop."""
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]).astype(np.int64)
    known = {(int(a), int(b)) for a, b in edges}
    following = {a: b for a, b in known if (b, a) not in known}
    if not following:
        raise ValueError("the mesh has no boundary")
    loop = [min(following)]
    while (nxt := following[loop[-1]]) != loop[0]:
        loop.append(nxt)
        if len(loop) > len(following):
            raise ValueError("the mesh's boundary is not a single loop")
    if len(loop) != len(following):
        raise ValueError("the mesh's boundary is not a single loop")
    return np.array(loop)


def posed(shape: Float, still: Float, rotation: Float) -> Float:
    """Vertices turned by ``rotation``; where ``still`` is 1 they keep their place in the image (depth turns along)."""
    turned = shape @ rotation.T
    for axis in range(2):
        turned[:, axis] += still * (shape[:, axis] - turned[:, axis])
    return turned


def skirt_shape(rim: Float, form: Skirt) -> tuple[Float, Float]:
    """(shape (K * M, 3), still (K * M,)) of the skirt around ``rim`` (M, 3), ring by ring outwards."""
    radial = rim[:, :2] - rim[:, :2].mean(axis=0)
    length = np.linalg.norm(radial, axis=1, keepdims=True)
    direction = radial / np.maximum(length, 1e-9)
    up = np.clip(-direction[:, 1], 0.0, 1.0) ** 2
    down = np.clip(direction[:, 1], 0.0, 1.0) ** 2
    bend = form.bend_side * (1.0 - up - down) + form.bend_top * up + form.bend_chin * down
    rings, stills = [], []
    for distance in (*RING_DISTANCES, None):
        if distance is None:
            plane = OUTER_RADIUS * direction
            depth, still = rim[:, 2] + form.depth + form.back, np.ones(len(rim))
        else:
            plane = rim[:, :2] + distance * direction
            depth = rim[:, 2] + form.depth * (1.0 - np.exp(-distance / bend))
            depth += form.back * float(smoothstep(distance, form.back_from, form.back_to)) * (1.0 - up) ** 2 * (1.0 - down)
            still = np.full(len(rim), float(smoothstep(distance, form.still_from, form.still_to)))
        rings.append(np.column_stack([plane, depth]))
        stills.append(still)
    return np.concatenate(rings), np.concatenate(stills)


def skirt_triangles(rim: Int, first: int) -> Int:
    """Triangles of the skirt whose vertices start at number ``first``; ``rim``: the outline in the order of :func:`outline`."""
    count = len(rim)
    levels = np.vstack([rim, first + np.arange((len(RING_DISTANCES) + 1) * count).reshape(-1, count)])
    inner, outer = levels[:-1], levels[1:]
    inner_next, outer_next = np.roll(inner, -1, axis=1), np.roll(outer, -1, axis=1)
    # The outline runs as the face's own triangles do, so the outer side runs against it.
    quads = [np.stack([inner_next, inner, outer], axis=-1), np.stack([inner_next, outer, outer_next], axis=-1)]
    return np.concatenate([quad.reshape(-1, 3) for quad in quads])


@dataclass(frozen=True)
class Net:
    """What of a :class:`Head` no photograph changes: its ``triangles``, ``mirror`` and ``mirror_weights``, each in columns."""

    triangles: Int
    mirror: Int
    mirror_weights: Float


def net_of(triangles: Int, rim: Int, mirror: Int) -> Net:
    """The net of a face mesh with its skirt: ``triangles`` (T, 3) and ``mirror`` (N,) of the face, ``rim`` its :func:`outline`."""
    count, repeats = len(mirror), len(RING_DISTANCES) + 1
    order = {int(vertex): place for place, vertex in enumerate(rim)}
    partner = np.array([order[int(mirror[vertex])] for vertex in rim])
    ring_mirror = (count + np.arange(repeats)[:, None] * len(rim) + partner[None, :]).reshape(-1)
    mirrored = np.concatenate([mirror, ring_mirror])
    faces = np.concatenate([triangles, skirt_triangles(rim, count)])
    weights = np.tile([1.0, 0.0, 0.0], (len(mirrored), 1))
    return Net(np.asfortranarray(faces), np.asfortranarray(np.repeat(mirrored[:, None], 3, axis=1)), np.asfortranarray(weights))


def with_skirt(shape: Float, source: Float, rotation: Float, net: Net, rim: Int, form: Skirt) -> Head:
    """The head of a face mesh: ``shape`` and ``source`` (N, 3) as in :class:`Head`, ``rotation`` the pose in the photograph (tilt taken out)."""
    count = len(shape)
    rings, still = skirt_shape(shape[rim], form)
    placed = posed(rings, still, rotation)
    # The rim lies where the landmarks say, which is not exactly where the rigid pose puts it: the difference fades out with the skirt's turning.
    residual = source[rim] - shape[rim] @ rotation.T
    placed += (1.0 - still)[:, None] * np.tile(residual, (len(RING_DISTANCES) + 1, 1))
    return Head(
        np.concatenate([shape, rings]),
        np.concatenate([source, placed]),
        np.concatenate([np.zeros(count), still]),
        net.mirror,
        net.mirror_weights,
        net.triangles,
        net.triangles,
        skirt=(count, count + len(rings)),
    )


def symmetrised(shape: Float, mirror: Int, seen: Float, strength: float) -> Float:
    """``shape`` (N, 3) made symmetric as far as its vertices were not seen.

    ``seen`` (N,) in 0..1: how well the photograph shows each vertex; ``strength`` 0 leaves everything, 1 takes the seen side wholly where
    it is better seen. What both sides show alike keeps its own form, so an expression stays.
    """
    flipped = shape[mirror] * [-1.0, 1.0, 1.0]
    other = seen[mirror]
    share = strength * smoothstep(other - seen, 0.05, 0.5)[:, None]
    return shape + share * (flipped - shape)


def vertex_normals(vertices: Float, triangles: Int) -> Float:
    """Unit normals (N, 3), area-weighted; (0, 0, -1) faces the camera; zero for vertices without triangles."""
    columns = np.ascontiguousarray(triangles.T)
    i, j, k = columns
    # Written out by column: np.cross and sums over rows of three take three times as long.
    (ux, vx), (uy, vy), (uz, vz) = (_sides(line, i, j, k) for line in np.ascontiguousarray(vertices.T))
    total = np.empty((3, len(vertices)))
    length = np.zeros(len(vertices))
    for axis, normal in enumerate((uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx)):
        total[axis] = np.bincount(columns.reshape(-1), weights=np.concatenate([normal, normal, normal]), minlength=len(vertices))
        length += total[axis] ** 2
    total /= np.maximum(np.sqrt(length), 1e-12)
    unit: Float = total.T
    return unit


def _sides(line: Float, i: Int, j: Int, k: Int) -> tuple[Float, Float]:
    first = line.take(i)
    return line.take(j) - first, line.take(k) - first

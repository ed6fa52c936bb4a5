"""FLAME (Li, Bolkart, Black, Li, Romero 2017): a head as a mean mesh, its principal components, and four joints.

The file, ``generic_model.pkl`` of FLAME 2020, belongs to its makers: every user registers and downloads it. It is a pickle of Python 2 with
objects of two other libraries inside; here it is read as arrays, and whatever else it asks for ends the reading.

The model's frame: metres, x to the subject's left (right in the image), y up, z out of the face towards the camera.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from frontalbench.errors import BadInput
from frontalbench.files import pickled
from frontalbench.types import Float, Float32, Int

ALL_SHAPES: Final = 300
"""Components of ``shapedirs`` that are shape; those after them are expression."""
JOINTS: Final = 5
"""Root, neck, jaw and the two eyes."""
ROOT: Final = 4294967295


@dataclass(frozen=True)
class Flame:
    """``template`` (V, 3); ``shape`` (V, 3, S), ``expression`` (V, 3, E): components; ``correctives`` (V, 3, 36): what a turned joint does to
    the skin; ``joints`` (5, V): joints as means of vertices; ``parents`` (5,), -1 at the root; ``weights`` (V, 5): how much a vertex follows
    each joint; ``triangles`` (T, 3)."""

    template: Float
    shape: Float32
    expression: Float32
    correctives: Float32
    joints: Float
    parents: Int
    weights: Float
    triangles: Int

    def posed(self, shape: Float, expression: Float, pose: Float) -> Float:
        """Vertices (V, 3) of a head with these coefficients (at most as many as there are components; the rest are 0).

        ``pose`` (5, 3): turns of root, neck, jaw and eyes, axis times angle in radians. The root turns about its own joint.
        """
        rest = self.template + self.shape[..., : len(shape)] @ shape + self.expression[..., : len(expression)] @ expression
        joints = self.joints @ rest
        turns = rotations(pose)
        rest = rest + self.correctives @ (turns[1:] - np.eye(3)).reshape(-1)
        # Each joint's motion as (turn, shift), its parent's applied after its own; the rest pose is taken off by its joint.
        turned, places = [turns[0]], [joints[0]]
        for joint in range(1, JOINTS):
            parent = int(self.parents[joint])
            turned.append(turned[parent] @ turns[joint])
            places.append(turned[parent] @ (joints[joint] - joints[parent]) + places[parent])
        turned_all = np.stack(turned)
        shifts = np.stack(places) - np.einsum("jab,jb->ja", turned_all, joints)
        blended = np.einsum("vj,jab->vab", self.weights, turned_all)
        moved: Float = np.einsum("vab,vb->va", blended, rest) + self.weights @ shifts
        return moved


def rotations(vectors: Float) -> Float:
    """Rotation matrices (N, 3, 3) of (N, 3) axis times angle, by Rodrigues' formula."""
    angle = np.linalg.norm(vectors + 1e-8, axis=1)  # as released: never zero
    x, y, z = (vectors / angle[:, None]).T
    zero = np.zeros_like(x)
    cross = np.stack([np.stack(row, axis=1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))], axis=1)
    sine, cosine = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    turned: Float = np.eye(3) + sine * cross + (1.0 - cosine) * (cross @ cross)
    return turned


def full_pose(head: Float, jaw: Float, eyes: Float | None = None) -> Float:
    """The pose (5, 3) of a head turned by ``head`` (3,) with its ``jaw`` (3,) and ``eyes`` (6,) turned too; the neck does not."""
    pose = np.zeros((JOINTS, 3))
    pose[0], pose[2] = head, jaw
    if eyes is not None:
        pose[3:] = np.reshape(eyes, (2, 3))
    return pose


# The file ---------------------------------------------------------------------------------------------------------------------------------


HELP: Final = "use generic_model.pkl of FLAME 2020, as downloaded after registering with its makers"


def read(path: Path, *, shapes: int = 100, expressions: int = 50) -> Flame:
    """FLAME with the first ``shapes`` and ``expressions`` components, from its makers' pickle; nothing in the file is run.

    Raises :class:`BadInput` in one line for a file that is missing, cut off, of another kind, or that asks for more than arrays.
    """
    file = pickled.read(path, HELP)
    template = file.numbers("v_template", (None, 3))
    count = len(template)
    components = file.numbers("shapedirs", (count, 3, None))
    if components.shape[2] < ALL_SHAPES + expressions or shapes > ALL_SHAPES:
        raise BadInput(
            f"{path}: 'shapedirs' has {components.shape[2]} components, expected {ALL_SHAPES} of shape and {expressions} more; {HELP}"
        )
    triangles = file.numbers("f", (None, 3)).astype(np.int64)
    if triangles.size == 0 or triangles.min() < 0 or triangles.max() >= count:
        raise BadInput(f"{path}: 'f' names vertices that are not there; {HELP}")
    tree = file.numbers("kintree_table", (2, JOINTS))[0]
    parents = np.where(tree == ROOT, -1, tree).astype(np.int64)
    if parents[0] != -1 or any(not 0 <= parents[joint] < joint for joint in range(1, JOINTS)):
        raise BadInput(f"{path}: 'kintree_table' is no tree of {JOINTS} joints; {HELP}")
    return Flame(
        template,
        np.ascontiguousarray(components[..., :shapes], np.float32),
        np.ascontiguousarray(components[..., ALL_SHAPES : ALL_SHAPES + expressions], np.float32),
        file.numbers("posedirs", (count, 3, 9 * (JOINTS - 1))).astype(np.float32),
        file.matrix("J_regressor", (JOINTS, count)).dense(),
        parents,
        file.numbers("weights", (count, JOINTS)),
        triangles,
    )

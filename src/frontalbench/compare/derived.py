r"""Variants made of embeddings: fusion of the original with a frontal, the mean-shift control, references turned to the probe's pose.

A derived variant is named ``<recipe>:<variant>`` (read by :mod:`frontalbench.plan.variant`) and stands in every table like any other variant:

===============================  ==================================================================================================
``fuse_mean:<variant>``          mean of the two embeddings, normalised again; ``fuse_mean@0.3:<variant>`` gives the frontal the weight 0.3
``fuse_yaw:<variant>``           the same mean, the photograph weighted by cos(yaw), the frontal by 1
``fuse_flip:<variant>``          mean of three, the photograph, its mirror image (``mirror.none``) and the frontal: what the frontal adds to flip
                                 fusion; its weight is 0.2 (``fuse_flip@0.3:<variant>``: 0.3), the other two share the rest
``fuse_max:<variant>``           the larger of the two similarities
``fuse_score:<variant>``         the mean of the two similarities
``control_meanshift:<variant>``  the original embedding plus (mean frontal - mean angled embedding), normalised: what a method gains
                                 that only moves everybody towards the average face
``feature_frontal:<variant>``    the mean of the two embeddings, mapped towards the frontal one by what was learned of this backbone on
                                 people who do not exist (:mod:`.feature`)
``gate@30:<variant>``            the frontal where the measured \|yaw\| is at least 30 degrees, else the photograph (:mod:`.gates`)
``gate_fuse@30:<variant>``       the same with ``fuse_mean`` in the place of the frontal
``gate_flip@60:<variant>``       ``fuse_flip`` from 60 degrees on, below it flip fusion
``gate_learned:<variant>``       the frontal where it is expected to be nearer to the person
``template:<variant>``           a person's references as one template, and the probes of a recording (:mod:`.templates`)
``pose_matched:<f>.none``        the *photograph* against references that frontalizer ``<f>`` turned to the probe's yaw (the middle of its bin)
===============================  ==================================================================================================

Flip fusion, the control for "two images are better than one", is ``fuse_mean:mirror.none``.
Where one of the two embeddings is missing, a fusion uses the other one alone (``detail`` says so); it fails only when both are missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from frontalbench import status
from frontalbench.types import Float, Float32, Int

if TYPE_CHECKING:
    from frontalbench.compare.metadata import Metadata

ALONE = ("original alone", "frontal alone")
"""How the ``detail`` of a row begins whose fusion fell back to one of the two images."""
HALF = 0.5
"""The frontal's weight in ``fuse_mean`` where the name gives none."""


def combine(recipe: str) -> str:
    """How two similarities become one: "max", "mean", or "" when the embeddings themselves are combined."""
    return {"fuse_max": "max", "fuse_score": "mean"}.get(recipe, "")


TURNED_REFERENCES = 4
"""At most so many references per person are turned: each is drawn once for every angle."""


def matched_angles(yaw: npt.ArrayLike, edges: Sequence[float]) -> Int:
    """(n,): the yaw in whole degrees at which references meet a probe of this yaw: the middle of its bin, 0 (as they are) in the first bin.

    ``edges``: of the \\|yaw\\| bins; what lies beyond the last edge goes to the last bin. An unknown yaw gives 0.
    """
    steps, known = np.asarray(edges, np.float64), np.nan_to_num(np.asarray(yaw, np.float64))
    place = np.clip(np.searchsorted(steps, np.abs(known), "right") - 1, 0, len(steps) - 2)
    middles = np.rint((steps[place] + steps[place + 1]) / 2)
    return np.where(place > 0, np.sign(known) * middles, 0.0).astype(np.int64)


def turned_references(meta: Metadata, edges: Sequence[float]) -> tuple[list[int], list[str]]:
    """(angles, ``image_id``): the yaws in whole degrees that references are turned to, and which references: the first usable ones of each person.

    The angles are the middles of the bins of \\|yaw\\| (``edges``, degrees) in which the dataset has a probe, both signs as they occur, without 0.
    """
    angles = sorted(set(matched_angles(meta.yaw[meta.role == "probe"], edges).tolist()) - {0})
    taken: dict[int, int] = {}
    names = []
    for name, role, word, person in zip(
        meta.image_id.tolist(), meta.role.tolist(), meta.status.tolist(), meta.subject_code.tolist(), strict=True
    ):
        if role == "reference" and word == status.OK and taken.get(person, 0) < TURNED_REFERENCES:
            taken[person] = taken.get(person, 0) + 1
            names.append(name)
    return angles, names


def turned_id(image_id: str, yaw: int) -> str:
    """The name of a reference turned to ``yaw`` degrees."""
    return f"{image_id}@{yaw:+d}"


def split_turned_id(name: str) -> tuple[str, int]:
    """(reference, yaw) of :func:`turned_id`."""
    image_id, _, yaw = name.rpartition("@")
    return image_id, int(yaw)


def normalised(vectors: Float32 | Float) -> Float32:
    """Rows scaled to length 1 (zero rows stay zero), float32."""
    values = np.asarray(vectors, np.float64)
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    return (values / np.where(length > 0, length, 1.0)).astype(np.float32)


def weight_by_yaw(yaw: npt.ArrayLike) -> Float:
    """(n,) the frontal's weight in ``fuse_yaw``: 1 / (1 + cos(yaw)), so one half from the front and 1 from the side; one half where it is not known.

    Our own formula: a view counts as much as the cosine of its turn, and a frontal is not turned. Jung et al. (2025), arXiv 2505.09256, weigh
    photographs against images made of them, too; their weights could not be read and are not these.
    """
    turn = np.maximum(np.cos(np.radians(np.asarray(yaw, np.float64))), 0.0)
    return np.asarray(1.0 / (1.0 + np.nan_to_num(turn, nan=1.0)), np.float64)


def fuse_mean(original: Float32, frontal: Float32, weight: float | Float = HALF) -> Float32:
    """Weighted mean of two sets of embeddings (n, D), normalised again; ``weight`` is the frontal's, one for all or (n, 1)."""
    return normalised((1.0 - weight) * original.astype(np.float64) + weight * frontal.astype(np.float64))


BESIDE_FLIP = 0.2
"""The frontal's weight in ``fuse_flip`` where the name gives none, and in ``gate_flip``: the best of .1, .15, .2, .25 and a third for
``tddfa@0.9`` on people who are in no verdict of docs/gain.md (its fixed list)."""


def fuse_flip(original: Float32, mirrored: Float32, frontal: Float32, weight: float = BESIDE_FLIP) -> Float32:
    """Weighted mean of three sets of embeddings (n, D), normalised again; ``weight`` is the frontal's, the photograph and its mirror image share the
    rest."""
    both = 0.5 * (original.astype(np.float64) + mirrored)
    return normalised((1.0 - weight) * both + weight * frontal)


def mean_shift(original: Float32, shift: Float) -> Float32:
    """``original`` (n, D) moved by ``shift`` (D,), the mean frontal minus the mean angled embedding, normalised again."""
    return normalised(original.astype(np.float64) + shift)

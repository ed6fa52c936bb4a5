"""The photograph's colours on a fitted head: which texels it shows, and what stands for those that it does not: their mirror image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench.geometry.masks import Mask, feather, smoothstep
from frontalbench.geometry.raster import Raster
from frontalbench.geometry.similarity import apply, invert
from frontalbench.types import Bool, Float, Float32, Int

GREY = np.float32(0.7)
"""What everything is that shows no photograph: the colour that DECA gives texels without one."""
FACING = (0.1, 0.45)
"""Cosine of the angle to the camera between which a texel passes from hidden to well seen."""
BETTER = (0.2, 0.6)
"""The mirror image is taken from where (its visibility - the own one) / their sum passes between these."""
NEIGHBOURS = 4
"""Texels that a mirror image is the mean of."""
TURNED = 0.1
"""What a difference of normals by 1 counts beside distances, in sizes of the head: lids and eyes lie close together and look elsewhere."""
SOFT, TONE = 1 / 64, 1 / 12
"""In sides of the texture: over how much the seam is spread, and the tone at the seam."""


def visibility(places: Float32, facing: Float32, drawn: Raster, behind: float, inside: Bool) -> Float32:
    """How well a photograph shows each texel, float32 (side, side) in 0..1.

    ``places`` (side, side, 3): its pixel in the crop, centres at integers, and its depth as in ``drawn``, the raster of the whole head there;
    ``facing`` (side, side): cosine between its normal and the way to the camera; ``behind``: how far, in units of depth, another part may lie
    before it without hiding it; ``inside``: whether the photograph reaches there.
    """
    height, width = drawn.depth.shape
    column, row = (np.clip(np.rint(places[..., axis]), 0, side - 1).astype(np.int64) for axis, side in ((0, width), (1, height)))
    free = places[..., 2] <= drawn.depth[row, column] + behind
    within = (places[..., 0] >= 0.0) & (places[..., 0] <= width - 1) & (places[..., 1] >= 0.0) & (places[..., 1] <= height - 1)
    return np.asarray(smoothstep(facing.astype(np.float32), *FACING) * (free & within & inside), np.float32)


def reached(places: Float32, matrix: Float, shape: tuple[int, int]) -> Bool:
    """Whether the photograph of ``shape`` (height, width) has what the crop (``matrix``: photograph -> crop) shows at ``places`` (..., 2)."""
    back = apply(invert(matrix), places)
    inside: Bool = (back >= -0.5).all(axis=-1) & (back[..., 0] <= shape[1] - 0.5) & (back[..., 1] <= shape[0] - 0.5)
    return inside


@dataclass(frozen=True)
class Mirror:
    """Each texel's mirror image as a mean of texels: ``index`` (N, 4), ``share`` float32 (N, 4), N = side * side in rows; itself where nothing is."""

    index: Int
    share: Float32

    def of(self, values: Float32) -> Float32:
        """``values`` (side, side, C) of the mirror images."""
        flat = values.reshape(len(self.index), -1)
        mixed = (flat[self.index] * self.share[..., None]).sum(axis=1)
        return np.asarray(mixed.reshape(values.shape), np.float32)


def mirror_of(points: Float32, normals: Float32, covered: Bool) -> Mirror:
    """The mirror images of the texels of a head that looks along its z axis: what lies nearest at -x and looks to the other side.

    ``points``, ``normals`` (side, side, 3): of the mean head; ``covered`` (side, side). The unrolled head itself need not be symmetric.
    """
    from scipy.spatial import cKDTree

    where = np.flatnonzero(covered.ravel())
    flat, turned = points.reshape(-1, 3)[where], normals.reshape(-1, 3)[where]
    size = float(np.ptp(flat, axis=0).max())
    known = np.concatenate([flat, TURNED * size * turned], axis=1)
    away, found = cKDTree(known).query(known * np.array([-1, 1, 1, -1, 1, 1]), k=NEIGHBOURS)
    share = 1.0 / (away + 1e-4 * size)
    index = np.repeat(np.arange(covered.size, dtype=np.int64)[:, None], NEIGHBOURS, axis=1)
    weights = np.full((covered.size, NEIGHBOURS), 1.0 / NEIGHBOURS, np.float32)
    index[where] = where[found]
    weights[where] = share / share.sum(axis=1, keepdims=True)
    return Mirror(index, weights)


def filled(texture: Float32, seen: Float32, mirror: Mirror, covered: Bool) -> Float32:
    """``texture`` float32 (side, side, 3), its hidden side from the other one, in the tone that both have where both are ``seen`` (side, side)."""
    return replaced(texture, seen, mirror.of(texture), mirror.of(seen[..., None])[..., 0], covered)


def replaced(texture: Float32, seen: Float32, other: Float32, trust: Float32, covered: Bool) -> Float32:
    """``texture`` float32 (side, side, 3), where it is ``seen`` (side, side) less well than ``other`` is to be trusted (``trust``, the same shape)
    that other one, in the tone that both have around the seam."""
    side = len(texture)
    better = (trust - seen) / (trust + seen + np.float32(0.02))
    share = _spread(smoothstep(better.astype(np.float32), *BETTER), covered, SOFT * side)
    both = np.minimum(seen, trust) * covered
    weight = cv2.GaussianBlur(both, (0, 0), TONE * side)[..., None]
    tone = cv2.GaussianBlur((texture - other) * both[..., None], (0, 0), TONE * side) / (weight + np.float32(0.02))
    mixed = texture + share[..., None] * (other + tone - texture)
    return np.asarray(np.clip(mixed, 0.0, max(1.0, float(texture.max(initial=1.0)))), np.float32)


def masked(colours: Float32, mask: Float32) -> Float32:
    """``colours`` float32 (side, side, 3), grey beyond ``mask`` (side, side)."""
    share = mask[..., None]
    return np.asarray(colours * share + GREY * (1.0 - share), np.float32)


def pasted(photographed: Float32) -> Mask:
    """What of a result is put back into its photograph: where it comes from there (``photographed`` (H, W), 0..1), softly."""
    return np.asarray(feather(photographed > 0.95, 3.0) * smoothstep(photographed, 0.7, 1.0), np.float32)


def _spread(values: npt.NDArray[np.floating], covered: Bool, reach: float) -> Float32:
    """``values`` blurred among the covered texels alone."""
    known = covered.astype(np.float32)
    weight = cv2.GaussianBlur(known, (0, 0), reach)
    return np.asarray(cv2.GaussianBlur(values.astype(np.float32) * known, (0, 0), reach) / np.maximum(weight, 1e-6), np.float32)

"""One head drawn from several photographs of it: every place takes its colour from the photograph that shows it best.

How well a photograph shows a place is what :mod:`.render` says of it (visible, and how much of the surface) times its resolution. A photograph
is chosen for a whole neighbourhood (an eye is not cut in two), the choices pass into each other over a narrow seam, and every photograph takes on the
tone of the base where both see the face. The mirror image stands only where no photograph sees. Hair and background, which do not turn with the head,
are the base's: that of the photograph nearest to the wanted pose.

FSGANv2 (Nirkin, Keller, Hassner 2022) weighs whole views by their place in pose space; here every place of the head is decided by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from frontalbench.frontalize.base import Place
from frontalbench.frontalize.drawing import Placement, cropped, frame_of
from frontalbench.frontalize.head import Head
from frontalbench.frontalize.render import (
    Canvas,
    Filling,
    Layer,
    Part,
    enlarged,
    filled_in,
    inpainted,
    laid_over,
    lay_plate,
    layer,
    prepared,
    sampled,
    share_of_mirror,
    shown,
    tone_between,
    uncovered,
)
from frontalbench.frontalize.surroundings import Plate
from frontalbench.geometry.masks import border_mask
from frontalbench.geometry.raster import interpolate
from frontalbench.geometry.rotation import matrix_from_angles, untilted
from frontalbench.images import RGB
from frontalbench.types import Float, Float32


@dataclass(frozen=True)
class Mixing:
    """How views are mixed. ``smooth``: over which distance (cm) it is decided which view is best; ``sharp``: how strictly (quality to this
    power; large: the best alone); ``seam``: width of the seam (cm); ``tone``: over which distance (cm) tones are matched; ``profile`` 0..1: what a
    view counts for the common form when it is seen from the side, one from the front being 1."""

    smooth: float = 0.9
    sharp: float = 6.0
    seam: float = 0.25
    tone: float = 2.5
    profile: float = 0.5


@dataclass(frozen=True)
class Seen:
    """One photograph of the head: ``image`` as it is, ``head`` and ``placement`` as they were fitted to it."""

    image: RGB
    head: Head
    placement: Placement


@dataclass(frozen=True)
class Several:
    """``image`` (side, side, 3); ``shares`` float32 (views, h, w): how much of each place every view gives where something is seen, sums
    1; ``mirrored`` float32 (h, w): how much of it is a mirror image; ``base``: the view whose surroundings are shown; ``place``: in that one."""

    image: RGB
    shares: Float32
    mirrored: Float32
    base: int
    place: Place


def turn_between(first: Float, second: Float) -> float:
    """The angle in degrees between two rotations (3, 3)."""
    return float(np.degrees(np.arccos(np.clip((np.trace(first @ second.T) - 1.0) / 2.0, -1.0, 1.0))))


def draw_several(views: Sequence[Seen], target_pose: tuple[float, float, float], filling: Filling, mixing: Mixing) -> Several:
    """The head of ``views`` in the target pose; of one view exactly what :func:`~frontalbench.frontalize.drawing.draw` gives.

    All heads have the same triangles. Raises ValueError for no view, or a head that is too small.
    """
    if not views:
        raise ValueError("no view to draw from")
    rotation, lean = untilted(matrix_from_angles(*target_pose))
    away = [turn_between(view.placement.rotation, rotation) for view in views]
    base = int(np.argmin(away))
    frame, cm, shift = frame_of(views[base].image, views[base].placement, lean)
    scales = np.array([view.placement.scale for view in views])
    common = common_shape([view.head for view in views], np.array(away), mixing.profile)
    shaped = replace(views[base].head, shape=common)
    canvas = prepared(shaped, rotation, frame)
    layers, textures, plates, place = [], [], [], None
    for number, view in enumerate(views):
        cut, pixels, plate = cropped(view.image, view.head, view.placement, frame, cm, shift)
        layers.append(layer(view.head, canvas, pixels, frame, filling, plate))
        textures.append(pixels)
        plates.append(plate)
        if number == base:
            place = Place(cut.matrix, border_mask(frame.side))
    assert place is not None
    skirt = np.zeros((len(common), 1))
    skirt[slice(*shaped.skirt)] = 1.0
    around = interpolate(canvas.drawn, shaped.triangles, skirt)[..., 0]
    resolution = np.minimum(1.0, scales / max(scales[base], 1e-9)).astype(np.float32)
    image, shares, mirrored = _composed(layers, textures, plates, canvas, around, base, resolution, filling, mixing, frame.pixels_per_cm)
    return Several(image, shares, mirrored, base, place)


def common_shape(heads: Sequence[Head], away: Float, profile: float) -> Float:
    """(N, 3): the mean of the heads' forms, a view that is ``away`` (V,) degrees from the wanted pose counting ``profile`` at 90 and 1 at 0."""
    weight = 1.0 - (1.0 - profile) * np.clip(away / 90.0, 0.0, 1.0)
    weight = np.maximum(weight, 1e-3)
    if len(heads) == 1:
        return heads[0].shape
    total: Float = np.einsum("v,vnk->nk", weight / weight.sum(), np.stack([head.shape for head in heads]))
    return total


def _composed(
    layers: Sequence[Layer],
    textures: Sequence[RGB],
    plates: Sequence[Plate | None],
    canvas: Canvas,
    around: Float32,
    base: int,
    resolution: Float32,
    filling: Filling,
    mixing: Mixing,
    unit: float,
) -> tuple[RGB, Float32, Float32]:
    """(image, share of each view, share of the mirror image) on one canvas; ``around`` (h, w): 1 beside the face, 0 on it."""
    grid, still, side = canvas.grid, canvas.still, textures[base].shape[0]
    small = unit / grid
    here = np.stack([one.quality for one in layers])
    there = np.stack([one.mirrored_quality for one in layers])
    own = np.zeros(len(layers), np.float32)
    own[base] = 1.0
    # Surroundings are the base's alone: two photographs have two backgrounds.
    only = np.where(own[:, None, None] > 0.0, np.float32(1.0), (1.0 - around)[None])
    shares = _shares(here * resolution[:, None, None] * only, base, mixing, small)
    flipped = _shares(there * resolution[:, None, None] * only, base, mixing, small)
    quality, mirrored_quality = (shares * here).sum(axis=0), (flipped * there).sum(axis=0)
    share = share_of_mirror(quality, mirrored_quality, still, filling, small)
    whole = slice(0, side), slice(0, side)
    places = [(one.places, one.maps[..., :2]) for one in layers]
    result, coarse = _mixed(places, shares, here * (still <= 0.0), textures, base, canvas, whole, mixing.tone * small)
    if share is not None:
        part = shown(share, canvas, side)
        places = [(one.mirrored_places, one.maps[..., 6:8]) for one in layers]
        mirrored, coarse_mirrored = _mixed(places, flipped, there * (still <= 0.0), textures, base, canvas, part, mixing.tone * small)
        both = np.minimum(quality, mirrored_quality) * (still <= 0.0)
        tone = tone_between(coarse, coarse_mirrored, both.astype(np.float32), filling.tone * small)
        laid_over(result, mirrored, tone, share, canvas, part)
        quality = np.maximum(quality, share * mirrored_quality)
    plate = plates[base]
    if plate is not None:
        lay_plate(result, plate, quality, canvas, filling.feather * small)
    holes = ((quality < filling.inpaint) & (still <= 0.0)) | uncovered(canvas)
    none = np.zeros_like(quality, np.float32) if share is None else np.asarray(share, np.float32)
    return inpainted(result, holes, unit, grid), shares, none


def _shares(score: Float32, base: int, mixing: Mixing, small: float) -> Float32:
    """How much each view gives, (V, h, w), sums 1: by ``score`` (V, h, w), smoothed; the base where no view has any."""
    if len(score) == 1:
        return np.ones_like(score, np.float32)
    smooth = np.stack([cv2.GaussianBlur(one, (0, 0), max(0.6, mixing.smooth * small)) for one in score.astype(np.float32)])
    # What is not seen at all is never taken, however well the places around it are seen.
    sharp = (smooth * np.clip(score / 0.1, 0.0, 1.0)) ** mixing.sharp
    sharp[base] += np.float32(1e-9)
    share = sharp / sharp.sum(axis=0)
    seam = np.stack([cv2.GaussianBlur(one, (0, 0), max(0.6, mixing.seam * small)) for one in share])
    return np.asarray(seam / seam.sum(axis=0), np.float32)


def _mixed(
    places: Sequence[tuple[Float32, Float32]],
    shares: Float32,
    seen: Float32,
    textures: Sequence[RGB],
    base: int,
    canvas: Canvas,
    part: Part,
    reach: float,
) -> tuple[RGB, RGB]:
    """(``part`` of the image, the whole of it on the maps' pixels) of all views, each in the tone of those before it; the base first, then by how
    much they give. ``places``: of each view those at the head's own detail, and on the maps' pixels."""
    side = textures[base].shape[0]

    def coloured(k: int) -> tuple[RGB, RGB]:
        fine, coarse = places[k]
        return sampled(textures[k], filled_in(fine, canvas.fine, side, part=part)), sampled(textures[k], coarse)

    order = [base, *sorted((k for k in range(len(places)) if k != base), key=lambda k: -float(shares[k].sum()))]
    if len(order) == 1:
        return coloured(base)
    small = sampled(textures[base], places[base][1]).astype(np.float32)
    # Premultiplied sums over the views so far, on the maps' pixels for the tone and in full for the image.
    toned, known = small * seen[base][..., None], seen[base].copy()
    full = np.zeros((part[0].stop - part[0].start, part[1].stop - part[1].start, 3), np.float32)
    coarse = np.zeros_like(small)
    for number, k in enumerate(order):
        if shares[k].max() < 1e-3:
            continue
        image, here = (colours.astype(np.float32) for colours in coloured(k))
        if number:
            before = toned / np.maximum(known, np.float32(1e-3))[..., None]
            both = np.minimum(known, seen[k])
            tone = tone_between(np.clip(before, 0, 255).astype(np.uint8), np.clip(here, 0, 255).astype(np.uint8), both, reach)
            here += tone
            image += enlarged(tone, canvas, side, part)
            toned, known = toned + here * seen[k][..., None], known + seen[k]
        coarse += here * shares[k][..., None]
        full += image * enlarged(shares[k], canvas, side, part)[..., None]
    return np.clip(np.rint(full), 0, 255).astype(np.uint8), np.clip(np.rint(coarse), 0, 255).astype(np.uint8)

"""Draws a textured head in a new pose and fills what the photograph did not show.

For every pixel of the result the rasterizer says which point of the head it shows; that point's place in the photograph, and the place of its mirror
image, are two smooth maps. The colour is taken through the first where the photograph shows the point well, through the second where it
shows only the mirror image well, toned to fit at the seam. What neither shows is inpainted.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from frontalbench.frontalize.head import Frame, Head, posed, vertex_normals
from frontalbench.frontalize.surroundings import Plate
from frontalbench.geometry.masks import feather, smoothstep
from frontalbench.geometry.raster import Raster, interpolate, rasterize
from frontalbench.images import RGB
from frontalbench.types import Bool, Float, Float32

Part = tuple[slice, slice]
"""Rows and columns of an image."""
TURNING = 0.15
"""Parts of the head whose ``still`` is below this count as turning."""
JUDGED = 4.0
"""Samples per cm at which is judged how well the photograph shows what: coarser than the places of a dense head, which carry its detail."""
STILL = 1.0 / 64.0
"""Pixels: what moves by less is its own colour, as sampling knows 1/32 of a pixel."""
LITTLE = 1.0 / 512.0
"""A share below this changes no value of a byte by more than half a level."""
FINE_HOLES = 4.0
"""Holes are inpainted in pixels twice as large where colours reach at least this many pixels into them: it costs a sixteenth."""


@dataclass(frozen=True)
class Filling:
    """How the hidden half is filled; lengths in cm of the head.

    ``strength`` 0..1: how much of it is mirrored; ``better``: the mirror image is used where (its quality - the direct quality) / their sum exceeds
    this; ``smooth``: over which distance that is decided, so that an eye is taken whole; ``feather``: width of the seam; ``tone``: over
    which distance
    the mirrored side takes on the tone of the other at the seam; ``spill``: how far the fitted outline of the face may lie in the background
    and is still brought back to the skin; ``near`` .. ``far``: a point is hidden when what the camera sees in its
    place belongs this far away on the head; ``clear``: how far around the head nothing belongs to the still surroundings; ``inpaint``: quality below
    which a hole is inpainted."""

    strength: float = 1.0
    better: float = 0.3
    smooth: float = 0.9
    feather: float = 0.25
    tone: float = 1.5
    spill: float = 0.6
    near: float = 1.2
    far: float = 2.4
    clear: float = 1.6
    inpaint: float = 0.04


def render(head: Head, rotation: Float, texture: RGB, frame: Frame, filling: Filling, plate: Plate | None = None) -> RGB:
    """See :func:`render_seen`."""
    return render_seen(head, rotation, texture, frame, filling, plate)[0]


def render_seen(
    head: Head,
    rotation: Float,
    texture: RGB,
    frame: Frame,
    filling: Filling,
    plate: Plate | None = None,
    skin: RGB | None = None,
    known: Float32 | None = None,
) -> tuple[RGB, Float32]:
    """The head in pose ``rotation`` (3, 3), head -> camera without roll, as an image of ``frame``.

    ``texture``: the crop of the photograph in the same frame; ``plate``: given where that reaches beyond the photograph; ``skin``: the same crop,
    where all that turns with the head takes its colours from another image; ``known`` (side, side): of a crop that was itself drawn, how well the
    first photograph shows what is there, so that what was made up is not taken for seen.
    Also how well the photograph shows what the image shows: float32 (side, side), 0 (hidden: mirrored or inpainted) to 1.
    """
    side, unit = frame.side, frame.pixels_per_cm
    canvas = prepared(head, rotation, frame)
    grid, still = canvas.grid, canvas.still
    unit_small = unit / grid
    view = layer(head, canvas, texture, frame, filling, plate, known)
    quality, mirrored_quality = view.quality, view.mirrored_quality
    seen_directly = enlarged(quality * (canvas.drawn.triangle >= 0), canvas, side)
    share = share_of_mirror(quality, mirrored_quality, still, filling, unit_small)
    own = None if skin is None else np.clip(enlarged(turning(head, canvas), canvas, side), 0.0, 1.0)
    result, part = texture.copy(), (slice(0, side), slice(0, side)) if skin is not None else moved(view.places, canvas.fine, side)
    result[part] = _coloured(texture, skin, own, filled_in(view.places, canvas.fine, side, part=part), part)
    if share is not None:
        coarse, flipped = (sampled(texture if skin is None else skin, view.maps[..., first : first + 2]) for first in (0, 6))
        tone = tone_between(coarse, flipped, np.minimum(quality, mirrored_quality) * (still <= 0.0), filling.tone * unit_small)
        # Only the part of the image that shows something of the mirror image.
        part = shown(share, canvas, side)
        mirrored = _coloured(texture, skin, own, filled_in(view.mirrored_places, canvas.fine, side, part=part), part)
        laid_over(result, mirrored, tone, share, canvas, part)
        quality = np.maximum(quality, share * mirrored_quality)
    if plate is not None:
        lay_plate(result, plate, quality, canvas, filling.feather * unit_small)
    holes = ((quality < filling.inpaint) & (still <= 0.0)) | uncovered(canvas)
    return inpainted(result, holes, unit, grid), seen_directly


def uncovered(canvas: Canvas) -> Bool:
    """Where the head leaves a gap, on the maps' pixels."""
    gap = canvas.places.triangle < 0
    every = canvas.grid // canvas.fine
    if every == 1 or not gap.any():
        return np.asarray(canvas.drawn.triangle < 0)
    height, width = canvas.drawn.triangle.shape
    whole = np.zeros((height * every, width * every), bool)
    whole[: gap.shape[0], : gap.shape[1]] = gap
    return np.asarray(whole.reshape(height, every, width, every).any(axis=(1, 3)))


def laid_over(result: RGB, mirrored: RGB, tone: Float32, share: Float32, canvas: Canvas, part: Part) -> None:
    """Put ``mirrored``, what the ``part`` of the result shows of the mirror image, into ``result`` (side, side, 3) by ``share`` (h, w); ``tone``
    (h, w, 3) is added to it."""
    side = result.shape[0]
    toned = cv2.add(mirrored, enlarged(tone, canvas, side, part), dtype=cv2.CV_8U)
    _blended(result, toned, enlarged(share, canvas, side, part), part)


def lay_plate(result: RGB, plate: Plate, quality: Float32, canvas: Canvas, feather_pixels: float) -> None:
    """Put what lies behind the head into ``result`` where the photograph shows little and the head stands still."""
    lost = smoothstep(quality, 0.4, 0.1) * smoothstep(canvas.still, 0.05, 0.4)
    lost = cv2.GaussianBlur(lost, (0, 0), max(0.6, feather_pixels))
    side = result.shape[0]
    part = shown(lost, canvas, side)
    _blended(result, plate.behind[part], np.clip(enlarged(lost, canvas, side, part), 0.0, 1.0), part)


def _blended(result: RGB, other: RGB, share: Float32, part: Part) -> None:
    mixed = cv2.blendLinear(np.ascontiguousarray(result[part]), np.ascontiguousarray(other), 1.0 - share, share)
    result[part] = np.asarray(mixed, np.uint8).reshape(other.shape)


def turning(head: Head, canvas: Canvas) -> Float32:
    """Where the result shows what turns with the head, on the maps' pixels: 1, passing to 0 where it comes to rest."""
    return interpolate(canvas.drawn, head.triangles, smoothstep(head.still, TURNING, 0.0)[:, None])[..., 0]


def _coloured(texture: RGB, skin: RGB | None, own: Float32 | None, places: Float32, part: Part) -> RGB:
    """Colours at ``places`` (H, W, 2), those of ``part`` of the result: of ``skin`` by the share ``own`` (side, side), else of ``texture``."""
    colours = sampled(texture, places)
    if skin is None or own is None:
        return colours
    share = np.ascontiguousarray(own[part])
    return np.asarray(cv2.blendLinear(sampled(skin, places), colours, share, 1.0 - share), np.uint8).reshape(colours.shape)


@dataclass(frozen=True)
class Canvas:
    """What does not depend on the photograph: ``wanted`` (N,): how squarely the result shows each vertex; ``grid``: pixels of the image to one of
    its maps; ``drawn``: the head on the maps' pixels; ``still`` (h, w): that of its vertices; ``fine`` and ``places``: the same as ``grid`` and
    ``drawn`` where colours are taken, at the head's own detail; ``ahead``: pixels of the image by which a map's value lies before the middle of what
    it stands for."""

    wanted: Float
    grid: int
    drawn: Raster
    still: Float32
    fine: int
    places: Raster
    ahead: int


@dataclass(frozen=True)
class Layer:
    """What one photograph has for the result. ``maps`` (h, w, 12): place in the crop (x, y), share of surface, place on the head
    (3), and the same six of the mirror image; ``quality``, ``mirrored_quality`` (h, w) in 0..1: how well it shows either; ``places``,
    ``mirrored_places`` (H, W, 2): place in the crop at the head's own detail."""

    maps: Float32
    quality: Float32
    mirrored_quality: Float32
    places: Float32
    mirrored_places: Float32


def prepared(head: Head, rotation: Float, frame: Frame) -> Canvas:
    """The head in pose ``rotation``, ready to be coloured."""
    # The maps are as smooth as the head, so a few samples a centimetre are enough; colours are taken through them at the full resolution.
    fine = max(2, round(frame.pixels_per_cm / head.detail))
    target = frame.to_pixels(posed(head.shape, head.still, rotation))
    small = -(-frame.side // fine)
    places = rasterize(thinned(target, fine), head.triangles, (small, small))
    every = max(1, round(frame.pixels_per_cm / (fine * JUDGED)))
    drawn = places if every == 1 else _every(places, every)
    still = interpolate(drawn, head.triangles, head.still[:, None])[..., 0]
    wanted = -vertex_normals(target, head.triangles)[:, 2]
    return Canvas(wanted, fine * every, drawn, still, fine, places, fine * (every - 1) // 2)


def _every(raster: Raster, step: int) -> Raster:
    """Each ``step``-th pixel of ``raster`` in both directions."""
    some = slice(None, None, step), slice(None, None, step)
    triangle, weights, depth = raster.triangle[some], raster.weights[some], raster.depth[some]
    return Raster(np.ascontiguousarray(triangle), np.ascontiguousarray(weights), np.ascontiguousarray(depth))


def layer(
    head: Head, canvas: Canvas, texture: RGB, frame: Frame, filling: Filling, plate: Plate | None, known: Float32 | None = None
) -> Layer:
    """What the photograph in ``texture`` has for the result; ``head``: as it is fitted to that photograph (the triangles of the canvas'); ``known``:
    see :func:`render_seen`."""
    grid, drawn, still = canvas.grid, canvas.drawn, canvas.still
    unit = frame.pixels_per_cm
    source = frame.to_pixels(head.source)
    normals = vertex_normals(source, head.triangles)
    facing, wanted = -normals[:, 2], canvas.wanted
    # How much of the surface that the result shows the photograph shows: 1 where both look at it alike, 0 where it turned away.
    ratio = np.clip(facing / np.maximum(wanted, 0.15), 0.0, 1.0)
    grazing = smoothstep(facing, 0.45, 0.2) * smoothstep(wanted - facing, 0.2, 0.4) * (head.still == 0.0)
    inwards = spilt(texture, source[:, :2], normals[:, :2], grazing, head, filling.spill * unit)
    here = np.column_stack([source[:, :2] - inwards, ratio, head.shape]).astype(np.float32)
    there = np.zeros_like(here)
    for partner, weight in zip(head.mirror.T, head.mirror_weights.T, strict=True):
        there += here.take(partner, axis=0) * weight.astype(np.float32)[:, None]
    maps = interpolate(drawn, head.triangles, np.concatenate([here, there], axis=1))
    both = maps[..., [0, 1, 6, 7]]
    if canvas.places is not drawn:
        both = interpolate(canvas.places, head.triangles, np.concatenate([here[:, :2], there[:, :2]], axis=1))
    places, mirrored_places = (np.ascontiguousarray(both[..., first : first + 2]) for first in (0, 2))
    reach = filling.clear * unit / grid
    # As fine as the places: of a profile, seen from the side, coarser ones would tell less well what hides what, which costs similarity.
    seen = what_is_seen(thinned(source, canvas.fine), head, len(canvas.places.triangle), reach * grid / canvas.fine)
    beside, near = carried(maps[..., 3:5], (still < TURNING) & (drawn.triangle >= 0), reach)
    quality = quality_at(maps[..., :6], np.where(near, beside, maps[..., 3:5]), still, seen, filling, canvas.fine)
    flipped_beside = np.where(near, beside * np.array([-1.0, 1.0], dtype=np.float32), maps[..., 9:11])
    mirrored_quality = quality_at(maps[..., 6:12], flipped_beside, still, seen, filling, canvas.fine)
    if plate is not None:
        at = thinned_maps(maps[..., 6:8], grid)
        mirrored_quality *= cv2.remap(averaged(plate.inside, grid), at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    if known is not None:
        quality *= remembered(known, maps[..., :2], still, grid)
        mirrored_quality *= remembered(known, maps[..., 6:8], still, grid)
    return Layer(maps, quality, mirrored_quality, places, mirrored_places)


def moved(places: Float32, grid: int, side: int) -> Part:
    """The rows and columns of the image, ``side`` pixels, that hold all ``places`` (H, W, 2), one for ``grid`` pixels, which are not their own."""
    line = ((np.arange(len(places)) + 0.5) * grid - 0.5).astype(np.float32)
    there = np.abs(places[..., 0] - line[None]) > STILL
    there |= np.abs(places[..., 1] - line[:, None]) > STILL
    rows, columns = (_span(np.asarray(there.any(axis=axis)), grid, 0, side) for axis in (1, 0))
    return rows, columns


def shown(share: Float32, canvas: Canvas, side: int) -> Part:
    """The rows and columns of the image, ``side`` pixels, that hold all places whose ``share`` (h, w) is not negligible."""
    grid, there = canvas.grid, share > LITTLE
    # One value farther on all sides, from which the enlarged share comes down to nothing.
    rows, columns = (_span(np.asarray(there.any(axis=axis)), grid, canvas.ahead, side) for axis in (1, 0))
    return rows, columns


def _span(there: Bool, grid: int, ahead: int, side: int) -> slice:
    places = np.flatnonzero(there)
    if not len(places):
        return slice(0, 1)
    first, last = max(0, grid * (int(places[0]) - 1) - ahead), min(side, grid * (int(places[-1]) + 2) - ahead)
    return slice(min(first, side - 1), max(last, first + 1))


def thinned(pixels: Float, grid: int) -> Float:
    """Points (N, 3) in pixels of an image -> pixels of the same image with one pixel for ``grid`` x ``grid``; depth shrinks with them."""
    smaller = pixels / grid
    for axis in range(2):
        smaller[:, axis] += 0.5 / grid - 0.5
    return smaller


def thinned_maps(places: Float32, grid: int) -> Float32:
    """The same for places (H, W, 2)."""
    return np.ascontiguousarray(places) * np.float32(1.0 / grid) + np.float32(0.5 / grid - 0.5)


def averaged(mask: Float32, grid: int) -> Float32:
    """A mask with one pixel for ``grid`` x ``grid``; beyond its border it goes on."""
    beyond = [-side % grid for side in mask.shape]
    whole = cv2.copyMakeBorder(mask, 0, beyond[0], 0, beyond[1], cv2.BORDER_REPLICATE)
    size = (whole.shape[1] // grid, whole.shape[0] // grid)
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), dtype=np.float32)


def enlarged(maps: Float32, canvas: Canvas, side: int, part: Part | None = None) -> Float32:
    """Fields on the pixels of the canvas' maps -> the full resolution, see :func:`filled_in`."""
    return filled_in(maps, canvas.grid, side, canvas.ahead, part)


def filled_in(maps: Float32, grid: int, side: int, ahead: int = 0, part: Part | None = None) -> Float32:
    """Fields with one pixel for ``grid`` x ``grid`` -> the full resolution, ``side`` pixels, or a ``part`` of it. ``ahead``: by so many pixels a
    value lies before the middle of its own."""
    bounds, cut = [], []
    for count, wanted in zip(maps.shape[:2], part or (slice(0, side), slice(0, side)), strict=True):
        first, last = wanted.start + ahead, wanted.stop + ahead
        low, high = max(0, first // grid - 1), min(count, (last - 1) // grid + 2)
        bounds.append((low, high, max(0, -(-last // grid) - high)))
        cut.append(slice(first - grid * low, last - grid * low))
    (top, bottom, under), (left, right, beside) = bounds
    some = np.ascontiguousarray(maps[top:bottom, left:right])
    if under or beside:
        some = cv2.copyMakeBorder(some, 0, under, 0, beside, cv2.BORDER_REPLICATE)
    whole = cv2.resize(some, (grid * some.shape[1], grid * some.shape[0]), interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(whole[cut[0], cut[1]], dtype=np.float32)


def spilt(texture: RGB, places: Float, outwards: Float, grazing: Float, head: Head, reach: float, steps: int = 5) -> Float:
    """How far (pixels, (N, 2)) vertices must be moved inwards so as not to take the background for skin.

    At the outline of a face a fit is easily some millimetres too wide, and what was seen edge-on is what the front shows largest. So each
    vertex at the
    outline (``grazing`` > 0) is compared with the colours ``reach`` outside and inside of it, and moved inwards until it is not clearly of the outer
    kind. Where both are alike nothing moves.
    """
    moves = np.zeros_like(places)
    rim = np.flatnonzero(grazing > 0.0)
    if not len(rim) or reach <= 0.0:
        return moves
    smooth, middle = cv2.blur(texture, (3, 3)), places[rim]
    length = np.linalg.norm(outwards[rim], axis=1, keepdims=True)
    direction = outwards[rim] / np.maximum(length, 1e-6)

    def colour(offset: float) -> Float32:
        at = np.rint(middle + offset * direction).astype(np.int64)
        columns, rows = np.clip(at[:, 0], 0, smooth.shape[1] - 1), np.clip(at[:, 1], 0, smooth.shape[0] - 1)
        return np.asarray(smooth.reshape(-1, 3).take(rows * smooth.shape[1] + columns, axis=0), dtype=np.float32)

    def apart(one: Float32, other: Float32) -> Float32:
        squares = np.square(one - other)
        return np.asarray(np.sqrt(squares[:, 0] + squares[:, 1] + squares[:, 2]), dtype=np.float32)

    outer, inner = colour(0.8 * reach), colour(-1.3 * reach)
    unlike = apart(outer, inner) > 40.0
    depth = np.zeros(len(rim))
    for step in range(steps):
        here = colour(-reach * step / steps)
        beyond = unlike & (apart(here, outer) < 0.9 * apart(here, inner))
        depth[beyond] = reach * (step + 2) / steps
    if not depth.any():
        return moves
    total = np.zeros(len(places))
    total[rim] = depth
    # Neighbours move alike, or the outline would fray.
    i, j, k = np.ascontiguousarray(head.triangles.T)
    corners = np.maximum(np.bincount(np.concatenate([i, j, k]), minlength=len(places)), 1)
    for _ in range(4):
        some = total != 0.0
        which = np.flatnonzero(some.take(i) | some.take(j) | some.take(k))
        near = [corner.take(which) for corner in (i, j, k)]
        mean = (total.take(near[0]) + total.take(near[1]) + total.take(near[2])) / 3.0
        total = np.bincount(np.concatenate(near), weights=np.concatenate([mean, mean, mean]), minlength=len(places)) / corners
    moves[rim] = direction * (total[rim] * grazing[rim])[:, None]
    return moves


def share_of_mirror(quality: Float32, mirrored_quality: Float32, still: Float32, filling: Filling, unit: float) -> Float32 | None:
    """How much of each pixel comes from the mirror image, 0..1; None when nothing does."""
    # Beside the face something must be shown: where the head hides the surroundings, rather what lies on the other side than a second cheek.
    mirrored_quality = np.maximum(mirrored_quality, np.float32(0.1) * (still > 0.0))
    better = (mirrored_quality - quality) / (mirrored_quality + quality + np.float32(0.02))
    better = cv2.GaussianBlur(better, (0, 0), max(0.6, filling.smooth * unit))
    if float(better.max(initial=-1.0)) <= filling.better:
        return None
    return filling.strength * feather((better > filling.better).astype(np.float32), max(0.6, filling.feather * unit))


def tone_between(direct: RGB, mirrored: RGB, both: Float32, reach: float) -> Float32:
    """What must be added to ``mirrored`` to have the tone of ``direct``: their difference where both are well seen, spread over ``reach`` pixels and
    fading beyond. Light from one side thus leaves no line down the middle of the face."""
    small = max(1, int(reach / 3.0))
    size = (max(1, direct.shape[1] // small), max(1, direct.shape[0] // small))
    weight = smoothstep(both, 0.15, 0.4)
    parts = np.dstack([(direct.astype(np.float32) - mirrored) * weight[..., None], weight])
    parts = cv2.resize(parts, size, interpolation=cv2.INTER_AREA)
    parts = cv2.GaussianBlur(parts, (0, 0), reach / small)
    parts = cv2.resize(parts, direct.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    tone: Float32 = parts[..., :3] / (parts[..., 3:] + np.float32(0.05))
    return tone


def what_is_seen(source: Float, head: Head, side: int, reach: float) -> Float32:
    """Which part of the head the photograph shows where: float32 (side, side, 6).

    0..2: its place on the head (``shape``); 3..4: x and y of the same for the turning part alone, carried on ``reach`` pixels around it; 5: 1 where
    that is known.
    """
    drawn = rasterize(source, head.occluders, (side, side))
    found = interpolate(drawn, head.occluders, np.column_stack([head.shape, head.still]))
    around, near = carried(found[..., :2], (drawn.triangle >= 0) & (found[..., 3] < TURNING), reach)
    return np.concatenate([found[..., :3], around, near.astype(np.float32)], axis=-1)


def carried(places: Float32, inside: Bool, reach: float) -> tuple[Float32, Bool]:
    """``places`` (H, W, 2) where ``inside``, carried on ``reach`` pixels beyond; and where they are known (H, W, 1)."""
    size = 2 * max(1, round(reach)) + 1
    weight = inside.astype(np.float32)
    share = cv2.blur(weight, (size, size))[..., None]
    mean = cv2.blur(places * weight[..., None], (size, size))
    mean /= np.maximum(share, np.float32(1e-6))
    np.copyto(mean, places, where=inside[..., None])
    return np.asarray(mean, np.float32), share > 1e-3


def quality_at(place: Float32, beside: Float32, still: Float32, seen: Float32, filling: Filling, grid: int) -> Float32:
    """How well the photograph shows the points at ``place`` (H, W, 6: x, y, share of surface, place on the head), 0..1; ``seen``: what is seen in
    each ``grid`` x ``grid`` pixels of it.

    A point is hidden where the photograph shows another part of the head in its place. Still surroundings are always seen from the front,
    but not where the head covers them: where the photograph has another part of the head beside them than the result has (``beside``: (H, W, 2)).
    """
    at = thinned_maps(place[..., :2], grid)
    there = cv2.remap(seen, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    apart = np.square(there[..., :3] - place[..., 3:6])
    visible = smoothstep(np.sqrt(apart[..., 0] + apart[..., 1] + apart[..., 2]), filling.far, filling.near)
    other = np.square(there[..., 3:5] - beside)
    covered = there[..., 5] * smoothstep(np.sqrt(other[..., 0] + other[..., 1]), filling.far, 2.0 * filling.far)
    resting = smoothstep(still, 0.15, 0.6)
    quality = np.maximum(np.clip(place[..., 2], 0.0, 1.0) * visible, resting * np.maximum(visible, np.float32(0.5)))
    return np.asarray(quality * (1.0 - covered * resting), dtype=np.float32)


def remembered(known: Float32, places: Float32, still: Float32, grid: int) -> Float32:
    """``known`` (side, side) at ``places`` (H, W, 2) of the crop; 1 where the surroundings stand still, which nobody had to make up."""
    at = thinned_maps(places, grid)
    there = cv2.remap(averaged(known, grid), at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.maximum(there, smoothstep(still, 0.15, 0.6)), np.float32)


def sampled(texture: RGB, places: Float32) -> RGB:
    """Colours of ``texture`` at ``places`` (H, W, 2), cubic."""
    colours = cv2.remap(texture, np.ascontiguousarray(places), None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(colours, dtype=np.uint8)


def inpainted(image: RGB, holes: Bool, pixels_per_cm: float, grid: int) -> RGB:
    """Fill ``holes`` (one for ``grid`` x ``grid`` pixels) of ``image``, in place, from around them."""
    if not holes.any():
        return image
    side, reach = image.shape[0], max(2.0, 0.3 * pixels_per_cm)
    factor = 2 if reach >= FINE_HOLES else 1
    part = tuple(_around(np.asarray(holes.any(axis=axis)), grid, 2 * math.ceil(reach), side) for axis in (1, 0))
    some = image[part]
    rows, columns = (np.arange(each.start, each.stop) // grid for each in part)
    mask = holes[np.ix_(rows, columns)]
    size = (-(-some.shape[1] // factor), -(-some.shape[0] // factor))
    small = cv2.resize(some, size, interpolation=cv2.INTER_AREA)
    open_ = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.0
    filled = cv2.inpaint(small, open_.astype(np.uint8), max(2.0, reach / factor), cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, some.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    np.copyto(some, np.asarray(filled, np.uint8), where=mask[..., None])
    return image


def _around(there: Bool, grid: int, margin: int, side: int) -> slice:
    """The pixels of what is ``there``, one for ``grid``, and ``margin`` more on both sides."""
    places = np.flatnonzero(there)
    return slice(max(0, grid * int(places[0]) - margin), min(side, grid * (int(places[-1]) + 1) + margin))

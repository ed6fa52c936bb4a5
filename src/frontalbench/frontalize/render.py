"""Draws a textured head in a new pose and fills what the photograph did not show.

For every pixel of the result the rasterizer says which point of the head it shows; that point's place in the photograph, and the place of its mirror
image, are two smooth maps. The colour is taken through the first where the photograph shows the point well, through the second where it
shows only the mirror image well, toned to fit at the seam. What neither shows is inpainted.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from frontalbench.frontalize.head import Frame, Head, posed, vertex_normals
from frontalbench.frontalize.surroundings import Plate
from frontalbench.geometry.masks import feather, smoothstep
from frontalbench.geometry.raster import Raster, interpolate, rasterize
from frontalbench.images import RGB
from frontalbench.types import Bool, Float, Float32

TURNING = 0.15
"""Parts of the head whose ``still`` is below this count as turning."""


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
    where the face within the skirt takes its colours from another image; ``known`` (side, side): of a crop that was itself drawn, how well the
    first photograph shows what is there, so that what was made up is not taken for seen.
    Also how well the photograph shows what the image shows: float32 (side, side), 0 (hidden: mirrored or inpainted) to 1.
    """
    side, unit = frame.side, frame.pixels_per_cm
    canvas = prepared(head, rotation, frame)
    grid, drawn, still = canvas.grid, canvas.drawn, canvas.still
    unit_small = unit / grid
    view = layer(head, canvas, texture, frame, filling, plate, known)
    maps, quality, mirrored_quality = view.maps, view.quality, view.mirrored_quality
    seen_directly = filled_in(quality * (drawn.triangle >= 0), grid, side)
    share = share_of_mirror(quality, mirrored_quality, still, filling, unit_small)
    whole = slice(0, side), slice(0, side)
    own = None if skin is None else np.clip(filled_in(within_skirt(head, canvas), grid, side), 0.0, 1.0)
    result = _coloured(texture, skin, own, filled_in(maps[..., :2], grid, side), whole)
    if share is not None:
        coarse, flipped = (sampled(texture if skin is None else skin, maps[..., first : first + 2]) for first in (0, 6))
        tone = tone_between(coarse, flipped, np.minimum(quality, mirrored_quality) * (still <= 0.0), filling.tone * unit_small)
        # Only the part of the image that shows something of the mirror image.
        rows, columns = (_span(share.max(axis=axis) > 0.0) for axis in (1, 0))
        part = (slice(grid * rows.start, min(side, grid * rows.stop)), slice(grid * columns.start, min(side, grid * columns.stop)))
        height, width = part[0].stop - part[0].start, part[1].stop - part[1].start
        mirrored = _coloured(texture, skin, own, filled_in(maps[..., 6:8], grid, side)[part], part)
        blend = filled_in(np.dstack([tone, share]), grid, side)[part]
        mirrored = cv2.add(mirrored, np.ascontiguousarray(blend[..., :3]), dtype=cv2.CV_8U)
        much = np.ascontiguousarray(blend[..., 3])
        result[part] = cv2.blendLinear(np.ascontiguousarray(result[part]), mirrored, 1.0 - much, much).reshape(height, width, 3)
        quality = np.maximum(quality, share * mirrored_quality)
    if plate is not None:
        lost = smoothstep(quality, 0.4, 0.1) * smoothstep(still, 0.05, 0.4)
        weight = np.clip(filled_in(cv2.GaussianBlur(lost, (0, 0), max(0.6, filling.feather * unit_small)), grid, side), 0.0, 1.0)
        result = np.asarray(cv2.blendLinear(result, plate.behind, 1.0 - weight, weight), dtype=np.uint8)
    holes = ((quality < filling.inpaint) & (still <= 0.0)) | (drawn.triangle < 0)
    return inpainted(result, holes, unit, grid), seen_directly


def within_skirt(head: Head, canvas: Canvas) -> Float32:
    """Where the result shows the face itself, on the maps' pixels: 1, passing to 0 over the first ring of the skirt."""
    face = np.ones((len(head.shape), 1))
    face[slice(*head.skirt)] = 0.0
    return interpolate(canvas.drawn, head.triangles, face)[..., 0]


def _coloured(texture: RGB, skin: RGB | None, own: Float32 | None, places: Float32, part: tuple[slice, slice]) -> RGB:
    """Colours at ``places`` (H, W, 2), those of ``part`` of the result: of ``skin`` by the share ``own`` (side, side), else of ``texture``."""
    colours = sampled(texture, places)
    if skin is None or own is None:
        return colours
    share = np.ascontiguousarray(own[part])
    return np.asarray(cv2.blendLinear(sampled(skin, places), colours, share, 1.0 - share), np.uint8).reshape(colours.shape)


@dataclass(frozen=True)
class Canvas:
    """What does not depend on the photograph: ``wanted`` (N,): how squarely the result shows each vertex; ``grid``: pixels of the image to one of
    its maps; ``drawn``: the head on the maps' pixels; ``still`` (h, w): that of its vertices."""

    wanted: Float
    grid: int
    drawn: Raster
    still: Float32


@dataclass(frozen=True)
class Layer:
    """What one photograph has for the result, on the maps' pixels. ``maps`` (h, w, 12): place in the crop (x, y), share of surface, place on the head
    (3), and the same six of the mirror image; ``quality``, ``mirrored_quality`` (h, w) in 0..1: how well it shows either."""

    maps: Float32
    quality: Float32
    mirrored_quality: Float32


def prepared(head: Head, rotation: Float, frame: Frame) -> Canvas:
    """The head in pose ``rotation``, ready to be coloured."""
    # The maps are as smooth as the head, so a few samples a centimetre are enough; colours are taken through them at the full resolution.
    grid = max(2, round(frame.pixels_per_cm / head.detail))
    target = frame.to_pixels(posed(head.shape, head.still, rotation))
    small = -(-frame.side // grid)
    drawn = rasterize(thinned(target, grid), head.triangles, (small, small))
    return Canvas(
        -vertex_normals(target, head.triangles)[:, 2], grid, drawn, interpolate(drawn, head.triangles, head.still[:, None])[..., 0]
    )


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
    here = np.column_stack([source[:, :2] - inwards, ratio, head.shape])
    there = np.zeros_like(here)
    for partner, weight in zip(head.mirror.T, head.mirror_weights.T, strict=True):
        there += here.take(partner, axis=0) * weight[:, None]
    maps = interpolate(drawn, head.triangles, np.column_stack([here, there]))
    reach = filling.clear * unit / grid
    seen = what_is_seen(thinned(source, grid), head, len(still), reach)
    beside, near = carried(maps[..., 3:6], (still < TURNING) & (drawn.triangle >= 0), reach)
    quality = quality_at(maps[..., :6], np.where(near, beside, maps[..., 3:6]), still, seen, filling, grid)
    flipped_beside = np.where(near, beside * np.array([-1.0, 1.0, 1.0], dtype=np.float32), maps[..., 9:12])
    mirrored_quality = quality_at(maps[..., 6:12], flipped_beside, still, seen, filling, grid)
    if plate is not None:
        at = thinned_maps(maps[..., 6:8], grid)
        mirrored_quality *= cv2.remap(averaged(plate.inside, grid), at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    if known is not None:
        quality *= remembered(known, maps[..., :2], still, grid)
        mirrored_quality *= remembered(known, maps[..., 6:8], still, grid)
    return Layer(maps, quality, mirrored_quality)


def _span(there: Bool) -> slice:
    """From the first to the last that is there."""
    places = np.flatnonzero(there)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 1)


def thinned(pixels: Float, grid: int) -> Float:
    """Points (N, 3) in pixels of an image -> pixels of the same image with one pixel for ``grid`` x ``grid``; depth shrinks with them."""
    smaller = pixels / grid
    smaller[:, :2] += 0.5 / grid - 0.5
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


def filled_in(maps: Float32, grid: int, side: int) -> Float32:
    """Fields with one pixel for ``grid`` x ``grid`` -> the full resolution, ``side`` pixels."""
    size = (grid * maps.shape[1], grid * maps.shape[0])
    whole = cv2.resize(np.ascontiguousarray(maps), size, interpolation=cv2.INTER_LINEAR)
    return np.ascontiguousarray(whole[:side, :side], dtype=np.float32)


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
    total = np.zeros(len(places))
    total[rim] = depth
    # Neighbours move alike, or the outline would fray.
    triangles = head.triangles
    corners = np.maximum(np.bincount(triangles.reshape(-1), minlength=len(places)), 1)
    for _ in range(4):
        some = total != 0.0
        i, j, k = triangles[some[triangles[:, 0]] | some[triangles[:, 1]] | some[triangles[:, 2]]].T
        mean = (total[i] + total[j] + total[k]) / 3.0
        total = np.bincount(np.concatenate([i, j, k]), weights=np.concatenate([mean, mean, mean]), minlength=len(places)) / corners
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
    """Which part of the head the photograph shows where: float32 (side, side, 7).

    0..2: its place on the head (``shape``); 3..5: the same for the turning part alone, carried on ``reach`` pixels around it; 6: 1 where
    that is known.
    """
    drawn = rasterize(source, head.occluders, (side, side))
    found = interpolate(drawn, head.occluders, np.column_stack([head.shape, head.still]))
    around, near = carried(found[..., :3], (drawn.triangle >= 0) & (found[..., 3] < TURNING), reach)
    return np.dstack([found[..., :3], around, near.astype(np.float32)])


def carried(places: Float32, inside: Bool, reach: float) -> tuple[Float32, Bool]:
    """``places`` (H, W, 3) where ``inside``, carried on ``reach`` pixels beyond; and where they are known (H, W, 1)."""
    size = 2 * max(1, round(reach)) + 1
    share = cv2.blur(inside.astype(np.float32), (size, size))[..., None]
    mean = cv2.blur(places * inside[..., None].astype(np.float32), (size, size)) / np.maximum(share, np.float32(1e-6))
    return np.where(inside[..., None], places, mean), share > 1e-3


def quality_at(place: Float32, beside: Float32, still: Float32, seen: Float32, filling: Filling, grid: int) -> Float32:
    """How well the photograph shows the points at ``place`` (H, W, 6: x, y, share of surface, place on the head), 0..1.

    A point is hidden where the photograph shows another part of the head in its place. Still surroundings are always seen from the front,
    but not where the head covers them: where the photograph has another part of the head beside them than the result has (``beside``: (H, W, 3)).
    """
    at = thinned_maps(place[..., :2], grid)
    there = cv2.remap(seen, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    apart = np.square(there[..., :3] - place[..., 3:6])
    visible = smoothstep(np.sqrt(apart[..., 0] + apart[..., 1] + apart[..., 2]), filling.far, filling.near)
    other = np.square(there[..., 3:5] - beside[..., :2])
    covered = there[..., 6] * smoothstep(np.sqrt(other[..., 0] + other[..., 1]), filling.far, 2.0 * filling.far)
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
    """Fill ``holes`` (one for ``grid`` x ``grid`` pixels) from around them."""
    if not holes.any():
        return image
    side = image.shape[0]
    mask = np.repeat(np.repeat(holes.astype(np.uint8), grid, axis=0), grid, axis=1)[:side, :side]
    filled = cv2.inpaint(image, np.ascontiguousarray(mask), max(2.0, 0.3 * pixels_per_cm), cv2.INPAINT_TELEA)
    return np.asarray(filled, dtype=np.uint8)

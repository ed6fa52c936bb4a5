"""``hassner``: one unchanged face in three dimensions for everybody, laid over the photograph; its hidden side is filled from the other.

Hassner, Harel, Paz, Enbar 2015, "Effective Face Frontalization in Unconstrained Images", CVPR, as the Python port by D. Souza computes it, on
images of any size. A pixel of the frontal image is a point of the reference face; where that point falls in the photograph the colour is taken.
Many frontal pixels in one photograph pixel mean that the surface was seen edge-on: hidden ("soft symmetry").

``hidden: counts`` is that. ``hidden: depth`` (ours) asks instead which points of the reference lie behind others or are seen edge-on, so that a
turned face does not show up a second time in the background, and every such point, on either side, comes from its mirror image.

Out-of-frame points: the port sends all of them to the photograph's first pixel, which so counts as the most hidden of all and decides which side is
filled. Here they count nothing, are called hidden, and come from the other side.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench.errors import BadConfig, BadInput
from frontalbench.files.matlab import variables
from frontalbench.frontalize.base import FRONTAL, Outcome, Place, View, refuse_target_pose
from frontalbench.frontalize.drawing import guarded
from frontalbench.frontalize.points68 import Locate
from frontalbench.geometry.crop import warp
from frontalbench.geometry.masks import border_mask
from frontalbench.geometry.raster import rasterize
from frontalbench.geometry.rotation import geodesic_degrees
from frontalbench.geometry.similarity import apply, invert
from frontalbench.images import RGB
from frontalbench.types import Bool, Float, Float32, Int

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


SIDE = 320
"""Side of the reference view in pixels, and of the result."""
CANVAS = 640
"""The photograph is looked at in a square of this many pixels of the reference camera, whose image is its middle half."""
HIDDEN_BLUR, SIDE_BLUR = (15, 30.0), (33, 60.5)
"""(kernel, sigma) in pixels: of the counts, and of the border between the two halves."""
UNEVEN = 800.0
"""Above this difference of the counts of both halves one of them is filled from the other."""
BEHIND = 6.0
"""Units of the reference (about mm) that a point must lie behind another to be hidden by it."""
TRUST = ((0.0, 0.0), (0.1, 0.6), (0.6, 1.0))
"""(share of the area that a piece of surface has in the frontal view, how much it counts as seen). 0.6: what the least hidden keeps in the paper."""
STEP = 2
"""Every second point of the reference is a vertex of the mesh that hides."""
BORDER = 9
"""Pixels within which the photograph's border fades into the other side."""


@dataclass(frozen=True)
class Reference:
    """``surface`` (320, 320, 3): point of the face at each pixel of its frontal view, beside it points of a wall behind; ``camera`` (3, 3): that
    view's; ``keypoints`` (68, 3), which it shows at ``flat`` (68, 2); ``eyes`` float32 (320, 320): 1 where the eyes are; ``rotation`` (3, 3),
    ``translation`` (3,): its pose."""

    surface: Float
    camera: Float
    keypoints: Float
    eyes: Float32
    flat: Float
    rotation: Float
    translation: Float


def read_reference(model: Path, eyes: Path) -> Reference:
    """From ``model3Ddlib.mat`` and ``eyemask.mat``. Raises :class:`BadInput`."""
    record = variables(model, ["model_dlib"])["model_dlib"]
    fields = {"refU": (SIDE, SIDE, 3), "outA": (3, 3), "threedee": (68, 3), "ref_XY": (68, 2)}
    found: dict[str, Float] = {}
    for name, shape in fields.items():
        try:
            value = np.asarray(record[name][0, 0], np.float64)
        except (IndexError, KeyError, ValueError, TypeError) as error:
            raise BadInput(f"{model}: no '{name}' of numbers in it; use the file of the card") from error
        if value.shape != shape or not np.isfinite(value).all():
            raise BadInput(f"{model}: '{name}' should be {shape} finite numbers, is {value.shape}; use the file of the card")
        found[name] = value
    mask = variables(eyes, ["eyemask"])["eyemask"]
    if mask.shape != (SIDE, SIDE, 3) or mask.dtype != np.uint8:
        raise BadInput(f"{eyes}: 'eyemask' should be {(SIDE, SIDE, 3)} bytes, is {mask.shape}; use the file of the card")
    rotation, translation = pose_of(found["ref_XY"], found["threedee"], found["outA"])
    soft = (mask[..., 0] > 0).astype(np.float32)
    return Reference(found["refU"], found["outA"], found["threedee"], soft, found["ref_XY"], rotation, translation)


def pose_of(points: Float, keypoints: Float, camera: Float) -> tuple[Float, Float]:
    """(rotation (3, 3), translation (3,)) of ``keypoints`` (68, 3) seen at ``points`` (68, 2) pixels by ``camera`` (perspective-n-point, iterative).

    Raises ValueError when they determine none in front of the camera.
    """
    seen = np.ascontiguousarray(points, np.float64)
    ok, turn, shift = cv2.solvePnP(keypoints, seen, camera, None, flags=cv2.SOLVEPNP_ITERATIVE)
    if not _in_front(ok, turn, shift):
        # From its own start the iteration may end behind the camera (profiles do); SQPNP's start is in front of it.
        _, turn, shift = cv2.solvePnP(keypoints, seen, camera, None, flags=cv2.SOLVEPNP_SQPNP)
        ok, turn, shift = cv2.solvePnP(keypoints, seen, camera, None, turn, shift, True, cv2.SOLVEPNP_ITERATIVE)
    if not _in_front(ok, turn, shift):
        raise ValueError("the landmarks do not determine where the reference face is")
    return np.asarray(cv2.Rodrigues(turn)[0], np.float64), np.asarray(shift, np.float64).ravel()


def _in_front(ok: bool, turn: npt.NDArray[Any], shift: npt.NDArray[Any]) -> bool:
    return bool(ok and np.isfinite(turn).all() and np.isfinite(shift).all() and float(shift[2, 0]) > 0.0)


def projected(points: Float, camera: Float, rotation: Float, translation: Float) -> Float:
    """Points (..., 3) -> pixels (..., 2). NaN at and behind the camera."""
    seen = points @ rotation.T + translation
    depth = np.where(seen[..., 2:] > 1e-6, seen[..., 2:], np.nan)
    flat: Float = (seen / depth @ camera.T)[..., :2]
    return flat


def crowding(pixels: Float, usable: Bool) -> Float32:
    """How many pixels of the frontal view fall into the photograph pixel that each falls into, blurred; those not ``usable`` count nothing.
    ``pixels`` (320, 320, 2)."""
    whole = np.where(usable[..., None], np.rint(np.nan_to_num(pixels)), 0.0).astype(np.int64)
    _, place, count = np.unique(whole[usable], axis=0, return_inverse=True, return_counts=True)
    crowd = np.zeros(usable.shape, np.float32)
    crowd[usable] = count[place.ravel()]
    return _blurred(crowd, *HIDDEN_BLUR)


def soft_symmetry(raw: Float32, crowd: Float32, shown: Bool, eyes: Float32) -> Float32:
    """``raw`` float32 (320, 320, 3), its hidden half mixed with the mirror image of the other.

    ``crowd``: see :func:`crowding`; ``shown``: the pixels that the photograph has; ``eyes``: there the photograph's own pixels stay, as in the paper.
    """
    half = SIDE // 2
    uneven = float(crowd[:, :half].sum() - crowd[:, half + 1 :].sum())
    own, other = np.ones(crowd.shape, np.float32), np.zeros(crowd.shape, np.float32)
    if abs(uneven) > UNEVEN:
        clear = np.zeros(crowd.shape, np.float32)
        clear[:, half:] = 1.0
        clear = _blurred(clear if uneven > 0.0 else clear[:, ::-1], *SIDE_BLUR)
        hidden = clear[:, ::-1]
        trust = np.exp(-(0.5 + crowd / max(float(crowd.max()), 1e-6)))
        own, other = clear + trust * hidden, (1.0 - trust) * hidden
        own, other = np.where(eyes > 0, 1.0, own), np.where(eyes > 0, 0.0, other)
    have = cv2.erode(shown.astype(np.float32), np.ones((2 * BORDER + 1, 2 * BORDER + 1), np.uint8), borderType=cv2.BORDER_REPLICATE)
    have = _blurred(have, 2 * BORDER + 1, BORDER / 2.0) * shown
    own, other = own * have, np.maximum(other, 1.0 - have) * have[:, ::-1]
    nothing = own + other < 1e-3
    own = np.where(nothing, 1.0, own)
    mixed = (raw * own[..., None] + raw[:, ::-1] * other[..., None]) / (own + other)[..., None]
    return np.asarray(mixed, np.float32)


def by_depth(raw: Float32, seen: Float32) -> Float32:
    """``raw`` float32 (320, 320, 3), mixed with its mirror image by how well each side was ``seen`` (320, 320), 0..1; where neither was: ``raw``."""
    kernel = np.ones((BORDER, BORDER), np.uint8)
    own = _blurred(cv2.erode(seen, kernel, borderType=cv2.BORDER_REPLICATE), 2 * BORDER + 1, BORDER / 2.0)
    other = (1.0 - own) * own[:, ::-1]
    own = np.where(own + other < 1e-2, 1.0, own)
    mixed = (raw * own[..., None] + raw[:, ::-1] * other[..., None]) / (own + other)[..., None]
    return np.asarray(mixed, np.float32)


def visibility(surface: Float, pixels: Float, rotation: Float, translation: Float, scale: float) -> Float32:
    """(320, 320) in 0..1: how well the photograph's camera sees each point of ``surface``, which it projects to ``pixels``: by how much
    of the photograph a pixel of the frontal view has, ``scale`` times as large a head as in the frontal view; 0 where another part is in the way."""
    there = surface @ rotation.T + translation
    right, down = np.gradient(pixels, axis=1), np.gradient(pixels, axis=0)
    area = right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]
    shares, trust = np.array(TRUST).T
    facing = np.nan_to_num(np.interp(area / scale**2, shares, trust))
    # Drawn in pixels as coarse as the mesh: every second one.
    small = np.concatenate([(np.nan_to_num(pixels, nan=-1e6) + (CANVAS - SIDE) / 2.0) / STEP, there[..., 2:]], axis=2)
    grid = small[::STEP, ::STEP]
    drawn = rasterize(grid.reshape(-1, 3), _grid(grid.shape[0], grid.shape[1]), (CANVAS // STEP, CANVAS // STEP), perspective=True)
    at = np.clip(np.rint(small[..., :2]), 0, CANVAS // STEP - 1).astype(np.int64)
    free = there[..., 2] <= drawn.depth[at[..., 1], at[..., 0]] + BEHIND
    return np.where(free, facing, 0.0).astype(np.float32)


def _grid(rows: int, columns: int) -> Int:
    corner = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    first = np.column_stack([corner, corner + 1, corner + columns])
    return np.concatenate([first, np.column_stack([corner + 1, corner + columns + 1, corner + columns])])


class HassnerFrontalizer:
    """See the module. Results are squares of 320 pixels; what the photograph shows on neither side is black."""

    needs_face = True
    takes_target_pose = False

    def __init__(self, name: str, reference: Reference, locate: Locate, *, hidden: str = "counts", limit: float = 180.0) -> None:
        """``hidden``: counts, depth or keep (nothing is filled); ``limit``: degrees from the front beyond which a face is refused."""
        self.name = name
        self._reference, self._locate, self._hidden, self._limit = reference, locate, hidden, limit

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        """See :class:`~frontalbench.frontalize.base.Frontalizer`."""
        refuse_target_pose(self.name, target_pose)
        return [guarded(self._one, view, target_pose) for view in views]

    def _one(self, view: View, _: tuple[float, float, float]) -> tuple[RGB, Place]:
        reference = self._reference
        points = self._locate(view).flat
        to_camera = seen_by(points, reference.flat)
        rotation, translation = pose_of(apply(to_camera, points), reference.keypoints, reference.camera)
        turned = float(geodesic_degrees(rotation, reference.rotation))
        if turned > self._limit:
            raise ValueError(
                f"the face is turned by {turned:.0f} degrees, more than {self._limit:g}: one face for all cannot show its other side"
            )
        pixels = projected(reference.surface, reference.camera, rotation, translation)
        raw, shown = sampled(view.image, to_camera, pixels)
        if self._hidden == "counts":
            raw = soft_symmetry(raw, crowding(pixels, shown), shown, reference.eyes)
        elif self._hidden == "depth":
            seen = visibility(reference.surface, pixels, rotation, translation, float(reference.translation[2] / translation[2]))
            raw = by_depth(raw, seen * shown)
        image = np.clip(np.rint(raw), 0, 255).astype(np.uint8)
        return image, Place(self._place(to_camera, rotation, translation), border_mask(SIDE))

    def _place(self, to_camera: Float, rotation: Float, translation: Float) -> Float:
        """Photograph pixels -> result pixels (2, 3): the head's middle stays, its size and its tilt become the reference's."""
        reference = self._reference
        up = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
        there = projected(up, reference.camera, rotation, translation)
        here = projected(up, reference.camera, reference.rotation, reference.translation)
        (a, b), (c, d) = there[:, :] @ [1, 1j], here[:, :] @ [1, 1j]
        turn = (d - c) / abs(d - c) * abs(b - a) / (b - a) * float(translation[2] / reference.translation[2])
        linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
        return np.column_stack([linear @ to_camera[:, :2], linear @ (to_camera[:, 2] - there[0]) + here[0]])


def seen_by(points: Float, reference: Float) -> Float:
    """Photograph pixels -> pixels of the reference camera (2, 3): the landmarks as high as the reference's, and their middle where its is.

    Raises ValueError when they have no height.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    reach, wanted = float((high - low).max()), float(np.ptp(reference, axis=0).max())
    if not np.isfinite(reach) or reach < 8.0:
        raise ValueError(f"the face is too small to turn: its landmarks reach over {reach:.1f} pixels")
    scale = wanted / reach
    middle = (reference.min(axis=0) + reference.max(axis=0)) / 2.0
    return np.column_stack([scale * np.eye(2), middle - scale * (low + high) / 2.0])


def sampled(image: RGB, to_camera: Float, pixels: Float) -> tuple[Float32, Bool]:
    """(colours float32 (320, 320, 3), which of them the photograph has) at ``pixels`` (320, 320, 2) of the camera; black where it has none."""
    shift = (CANVAS - SIDE) / 2.0
    canvas = warp(image, np.column_stack([to_camera[:, :2], to_camera[:, 2] + shift]), CANVAS)
    known = np.asarray(np.isfinite(pixels).all(axis=2))
    at = np.where(known[..., None], pixels, 0.0)
    colours = cv2.remap(
        canvas.astype(np.float32), (at + shift).astype(np.float32), None, interpolation=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    back = apply(invert(to_camera), at)
    height, width = image.shape[:2]
    inside = (back >= -0.5).all(axis=2) & (back[..., 0] <= width - 0.5) & (back[..., 1] <= height - 0.5)
    usable = known & inside & (np.abs(at - SIDE / 2.0) < CANVAS / 2.0 - 1.0).all(axis=2)
    return np.where(usable[..., None], colours, 0.0).astype(np.float32), usable


def _blurred(values: Float32, size: int, sigma: float) -> Float32:
    return np.asarray(cv2.GaussianBlur(np.ascontiguousarray(values), (size, size), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> HassnerFrontalizer:
    """The frontalizer of a card of family ``hassner``; it ``uses`` one landmarks card.

    Params: ``hidden`` counts (the paper), depth (ours) or keep (nothing is filled); ``limit`` 180: degrees from the front beyond which a face
    is refused.
    """
    from frontalbench.catalogue.params import Params
    from frontalbench.frontalize import points68
    from frontalbench.weights import store

    params = Params(card)
    hidden = params.choice("hidden", ("counts", "depth", "keep"), "counts")
    limit = params.number("limit", 180.0, low=1.0, high=180.0)
    params.finish()
    if set(card.weights) != {"model", "eyes"}:
        raise BadConfig(f"{card.path}: weights should be 'model' and 'eyes'")
    reference = read_reference(store.fetch(card, "model"), store.fetch(card, "eyes"))
    return HassnerFrontalizer(card.name, reference, points68.loaded(card, threads=threads, device=device), hidden=hidden, limit=limit)

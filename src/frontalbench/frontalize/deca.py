"""``deca``: DECA (Feng et al. 2021) fits a FLAME head to the photograph; the photograph's colours are laid onto it, and it is drawn from the front.

The published program turns shapes, not photographs; the recipe here is its own parts put together: codes of the head, colours of the photograph over
its UV map within DECA's face mask, the turn of the head set to the wanted one, drawn without new light. Jaw and expression stay. What the photograph
does not show comes from the other side of the face (``hidden: mirror``; ``keep``: smeared, as the parts alone give it). Everything beyond the face
mask, neck, scalp and surroundings, is one grey: the one that DECA gives texels without a photograph.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from frontalbench import images
from frontalbench.errors import BadInput, Unreadable, one_line
from frontalbench.files import arrays
from frontalbench.frontalize import framing, points68
from frontalbench.frontalize.base import FRONTAL, Place, View
from frontalbench.frontalize.batches import batch_on, to_image, to_tensor
from frontalbench.frontalize.framing import Framed
from frontalbench.frontalize.head import vertex_normals
from frontalbench.frontalize.selftest import PoseTestedBatched
from frontalbench.geometry.raster import Raster, interpolate, rasterize
from frontalbench.geometry.rotation import FLIP_YZ, angles_from_matrix, matrix_from_angles, tilt
from frontalbench.images import RGB
from frontalbench.morphable import texture as textures
from frontalbench.morphable import uv as unrolling
from frontalbench.morphable.flame import Flame, full_pose, rotations
from frontalbench.morphable.flame import read as read_flame
from frontalbench.networks import checkpoints
from frontalbench.networks.deca import CODES, DETAIL, SIDE, UV_SIDE, DetailDecoder, Encoder, split
from frontalbench.networks.inference import folded
from frontalbench.types import Float, Float32

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


FRONTAL_CAMERA: Final = np.array([8.0, 0.0, 0.0])
"""Scale and shifts of the wanted view: the head in the middle, as high as the image."""
BEHIND: Final = 0.006
"""Metres that one part of the head may lie behind another and still be seen."""
REACH: Final = (0.35, 3.0)
"""Height of a fitted head in sides of the crop; other heads are fits that failed."""


class Surface:
    """A FLAME head with its unrolled texture: ``mask`` float32 (256, 256), 1 where DECA takes colours from the photograph; ``raised`` (256, 256) or
    None: the fixed part of the fine surface, in metres."""

    def __init__(self, flame: Flame, unrolled: unrolling.Unrolled, mask: Float32, raised: Float32 | None = None) -> None:
        self.flame, self.mask, self.raised = flame, mask, raised
        self.map = unrolling.UvMap(unrolled, UV_SIDE)
        self.grid = unrolling.grid_triangles(UV_SIDE)
        normals = vertex_normals(flame.template, flame.triangles)
        self.mirror = textures.mirror_of(self.map.over(flame.template), self.map.over(normals), self.map.covered)
        row, column = np.mgrid[:UV_SIDE, :UV_SIDE]
        self._places = np.stack([(column + 0.5) / UV_SIDE, 1.0 - (row + 0.5) / UV_SIDE], axis=-1).reshape(-1, 2).astype(np.float32)
        self._whole = self.map.covered.ravel()[self.grid].all(axis=1)

    def texels(self, vertices: Float, raised: Float32 | None = None) -> tuple[Float32, Float32]:
        """(places, unit normals), float32 (256, 256, 3), of the surface over its UV map; ``raised`` (256, 256): the decoded part of the fine one."""
        normals = vertex_normals(vertices, self.flame.triangles)
        places, coarse = self.map.over(vertices), self.map.over(normals)
        if raised is None or self.raised is None:
            return places, coarse
        places = places + (raised * self.mask + self.raised)[..., None] * coarse
        fine = vertex_normals(places.reshape(-1, 3).astype(np.float64), self.grid).reshape(places.shape)
        share = self.mask[..., None]
        return places.astype(np.float32), (fine * share + coarse * (1.0 - share)).astype(np.float32)

    def looks(self, vertices: Float, camera: Float, places: Float32 | None = None) -> tuple[Raster, Float32]:
        """(what is seen by ``camera``, its (u, v) (224, 224, 2)); ``places``: texels of the fine surface, which then stands before the coarse one."""
        drawn = rasterize(projected(vertices, camera), self.flame.triangles, (SIDE, SIDE))
        uv = self.map.on(drawn)
        if places is None:
            return drawn, uv
        fine = rasterize(projected(places.reshape(-1, 3), camera), self.grid[self._whole], (SIDE, SIDE))
        there = fine.triangle >= 0
        own = interpolate(fine, self.grid[self._whole], self._places)
        depth = np.where(there, fine.depth, drawn.depth)
        seen = np.where(there, fine.triangle, drawn.triangle)
        return Raster(seen, fine.weights, depth), np.where(there[..., None], own, uv)


def projected(points: npt.ArrayLike, camera: Float) -> Float:
    """Points (N, 3) in FLAME's frame -> pixels of the crop and, on the same scale, depth away from the camera.

    ``camera``: scale, shifts right and up."""
    scale, right, up = (float(value) for value in camera)
    there = np.asarray(points, np.float64)
    moved: Float = scale * (there + np.array([right, up, 0.0])) * np.array([1.0, -1.0, -1.0]) * (SIDE / 2.0)
    moved[:, :2] += (SIDE - 1) / 2.0
    return moved


@dataclass(frozen=True)
class Prepared:
    """``framed``: the crop; ``middle`` (2,): of the 68 points in it; ``size``: (height, width) of the photograph; ``target``: the wanted pose."""

    framed: Framed
    middle: Float
    size: tuple[int, int]
    target: tuple[float, float, float]


class DecaFamily:
    """See the module. Results are squares of 224 pixels."""

    def __init__(
        self,
        locate: points68.Locate,
        surface: Surface,
        coarse: Encoder,
        fine: tuple[Encoder, DetailDecoder] | None,
        *,
        mirrored: bool,
        device: torch.device,
    ) -> None:
        """``fine``: ``E_detail`` and ``D_detail``, for the fine surface; ``mirrored``: hidden parts come from the other side."""
        self._locate, self._surface, self._mirrored, self._device = locate, surface, mirrored, device
        self._coarse = folded(coarse).to(device)
        self._fine = None if fine is None else (folded(fine[0]).to(device), folded(fine[1]).to(device))

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> Prepared:
        """Black beyond the photograph's border, as published. Raises as :data:`~frontalbench.frontalize.points68.Locate` and the crop do."""
        points = self._locate(view)
        framed = framing.cut(view.image, framing.landmark_square(points, SIDE), SIDE)
        middle = points68.middle(points, framed.matrix)
        return Prepared(framed, middle, (view.image.shape[0], view.image.shape[1]), target_pose)

    def run(self, items: Sequence[Prepared]) -> Tensor:
        """The codes (N, 236), and behind them, for the fine surface, what is raised (N, 236 + 65536)."""
        images = to_tensor([item.framed.pixels for item in items], 0.0, 1.0, self._device)
        codes: Tensor = self._coarse(images)
        if self._fine is None:
            return codes
        encoder, decoder = self._fine
        parts = split(codes)
        raised = decoder(torch.cat([parts.pose[:, 3:], parts.expression, encoder(images)], dim=1))
        return torch.cat([codes, raised.flatten(1)], dim=1)

    def finish(self, item: Prepared, drawn: Tensor) -> tuple[RGB, Place]:
        """Raises ValueError when the fitted head does not lie where the face is."""
        surface = self._surface
        codes = split(drawn[None, :CODES].double())
        shape, expression, pose, camera = (values[0].numpy() for values in (codes.shape, codes.expression, codes.pose, codes.camera))
        raised = None if self._fine is None else drawn[CODES:].reshape(UV_SIDE, UV_SIDE).numpy()
        vertices = surface.flame.posed(shape, expression, full_pose(pose[:3], pose[3:]))
        self._believed(vertices, camera, item)
        turn = FLIP_YZ @ matrix_from_angles(*item.target) @ FLIP_YZ
        wanted = surface.flame.posed(shape, expression, full_pose(axis_angle(turn), pose[3:]))
        places, normals = surface.texels(vertices, raised)
        there = projected(places.reshape(-1, 3), camera).reshape(places.shape).astype(np.float32)
        image = to_tensor([item.framed.pixels], 0.0, 1.0, torch.device("cpu"))[0]
        texture = unrolling.sampled(image, there[..., :2]).permute(1, 2, 0).numpy()
        if self._mirrored:
            seen_there, _ = surface.looks(vertices, camera, None if raised is None else places)
            inside = textures.reached(there[..., :2], item.framed.matrix, item.size)
            behind = BEHIND * float(camera[0]) * SIDE / 2.0
            seen = textures.visibility(there, normals[..., 2], seen_there, behind, inside)
            texture = textures.filled(texture, seen, surface.mirror, surface.map.covered)
        fine = None if raised is None else surface.texels(wanted, raised)[0]
        looked, uv = surface.looks(wanted, FRONTAL_CAMERA, fine)
        layers = torch.from_numpy(
            np.ascontiguousarray(np.dstack([textures.masked(texture, surface.mask), surface.mask]).transpose(2, 0, 1))
        )
        shown = unrolling.looked_up(layers, uv) * torch.from_numpy((looked.triangle >= 0).astype(np.float32))
        alpha = torch.from_numpy((looked.triangle >= 0).astype(np.float32))
        result = to_image(shown[:3] + (1.0 - alpha) * float(textures.GREY), 0.0, 1.0)
        here, seen_at = (projected(points, view).mean(axis=0)[:2] for points, view in ((wanted, FRONTAL_CAMERA), (vertices, camera)))
        lean = tilt(FLIP_YZ @ rotations(pose[None, :3])[0] @ FLIP_YZ) - tilt(FLIP_YZ @ turn @ FLIP_YZ)
        place = framing.moved(item.framed.matrix, seen_at, here, float(FRONTAL_CAMERA[0] / camera[0]), lean)
        return result, Place(place, textures.pasted(shown[3].numpy()))

    def pose(self, view: View) -> tuple[float, float, float]:
        """(yaw, pitch, roll) in degrees that DECA gives the face of ``view``."""
        with torch.inference_mode():
            codes = self.run([self.prepare(view, FRONTAL)])[:, :CODES].double().cpu()
        turned = FLIP_YZ @ rotations(split(codes).pose[:, :3].numpy())[0] @ FLIP_YZ
        yaw, pitch, roll = angles_from_matrix(turned)
        return float(yaw), float(pitch), float(roll)

    def _believed(self, vertices: Float, camera: Float, item: Prepared) -> None:
        there = projected(vertices, camera)[:, :2]
        height = float(np.ptp(there[:, 1])) / SIDE
        away = float(np.linalg.norm(there.mean(axis=0) - item.middle)) / SIDE
        if not (np.isfinite(there).all() and camera[0] > 0.0 and REACH[0] <= height <= REACH[1] and away <= 0.75):
            raise ValueError("the fitted head does not lie where the face is: a face that cannot be fitted, or other weights")


class DecaFrontalizer(PoseTestedBatched[Prepared]):
    """The family, with the self-test of networks that turn a face to any pose."""


def axis_angle(rotation: Float) -> Float:
    """(3,): the axis times the angle of a rotation matrix."""
    import cv2

    return np.asarray(cv2.Rodrigues(rotation)[0], np.float64).ravel()


def read_mask(path: Path) -> Float32:
    """DECA's face mask as float32 (256, 256) in 0..1, from its image of any square size. Raises :class:`BadInput`."""
    try:
        image = images.decode(path.read_bytes())
    except FileNotFoundError:
        raise BadInput(f"{path}: not found; bring the file that the card names") from None
    except Unreadable as error:
        raise BadInput(f"{path}: not an image ({one_line(error)}); use the file that the card names") from error
    height, width = image.shape[:2]
    if height != width or height < UV_SIDE:
        raise BadInput(f"{path}: {width} x {height} pixels, expected a square of at least {UV_SIDE}; use the file that the card names")
    nearest = np.arange(UV_SIDE) * height // UV_SIDE
    return np.asarray(image[nearest][:, nearest, 0] / 255.0, np.float32)


def read_raised(path: Path) -> Float32:
    """The fixed part of the fine surface, float32 (256, 256), from a NumPy file. Raises :class:`BadInput`."""
    values = arrays.numbers(path)
    if values.shape != (UV_SIDE, UV_SIDE) or values.dtype.kind != "f" or not np.isfinite(values).all():
        raise BadInput(f"{path}: expected {UV_SIDE} x {UV_SIDE} finite numbers; use the file that the card names")
    return values.astype(np.float32)


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> DecaFrontalizer:
    """The frontalizer of a card of family ``deca``, which ``uses`` a landmarks card. Weights: ``model`` (DECA's networks), ``flame`` (the user's own
    ``generic_model.pkl``), ``template`` (the mesh with its UV map), ``mask``, and ``displacement`` for ``surface: fine``.

    Params: ``surface`` coarse or fine (with what the detail decoder raises); ``hidden`` mirror (from the other side of the face) or keep (smeared);
    see [face_models.md](face_models.md)
    """
    from frontalbench.catalogue.params import Params
    from frontalbench.errors import BadConfig
    from frontalbench.runtime import sessions as runtime
    from frontalbench.weights import store

    params = Params(card)
    fine = params.choice("surface", ("coarse", "fine"), "coarse") == "fine"
    mirrored = params.choice("hidden", ("mirror", "keep"), "mirror") == "mirror"
    params.finish()
    wanted = {"model", "flame", "template", "mask", *(["displacement"] if fine else [])}
    if set(card.weights) != wanted:
        raise BadConfig(f"{card.path}: weights should be {', '.join(sorted(wanted))}")
    paths = {key: store.fetch(card, key) for key in sorted(wanted)}
    coarse = checkpoints.unfilled(lambda: Encoder(CODES))
    pair = (checkpoints.unfilled(lambda: Encoder(DETAIL)), checkpoints.unfilled(DetailDecoder)) if fine else None
    networks = checkpoints.opened(paths["model"])
    for inner, network in (("E_flame", coarse), *(zip(("E_detail", "D_detail"), pair, strict=True) if pair else ())):
        checkpoints.fill(network, checkpoints.load(networks, inner=inner), paths["model"])
    flame = read_flame(paths["flame"])
    unrolled = unrolling.read_obj(paths["template"])
    if len(unrolled.triangles) != len(flame.triangles) or int(unrolled.triangles.max()) >= len(flame.template):
        raise BadInput(f"{paths['template']}: its mesh is not that of {paths['flame'].name}; use the files that the card names")
    surface = Surface(flame, unrolled, read_mask(paths["mask"]), read_raised(paths["displacement"]) if fine else None)
    torch.set_num_threads(threads)
    place = runtime.torch_device(device)
    locate = points68.loaded(card, threads=threads, device=device)
    family = DecaFamily(locate, surface, coarse, pair, mirrored=mirrored, device=place)
    return DecaFrontalizer(card.name, family, takes_target_pose=True, batch=batch_on(place))

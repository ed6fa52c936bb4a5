"""``hrn``: HRN (Lei et al. 2023) fits a Basel face coarse to fine; the photograph's colours are laid onto it, and it is drawn from the front.

A network reads the face's coefficients from an aligned crop; a second one moves the surface by what the model has no component for; a third one
raises the skin by wrinkles. The published program draws with a CUDA renderer and cuts the face out with a TensorFlow graph; here our rasterizer and
a matte of the person do. Its texture is fitted to the photograph by a hundred steps of gradient descent, which leaves the photograph's colours where
they are seen and the model's lit skin where they are not: here both are put there directly (``hidden: model``). ``hidden: mirror`` (ours) takes the
hidden side from the other one, ``keep`` leaves it smeared. Beyond the face everything is one grey.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from frontalbench.errors import BadInput
from frontalbench.files import arrays
from frontalbench.frontalize import framing, points68
from frontalbench.frontalize.base import FRONTAL, Place, View
from frontalbench.frontalize.batches import batch_on, to_image, to_tensor
from frontalbench.frontalize.framing import Framed
from frontalbench.frontalize.head import vertex_normals
from frontalbench.frontalize.selftest import PoseTestedBatched
from frontalbench.geometry.raster import rasterize
from frontalbench.geometry.rotation import angles_from_matrix, matrix_from_angles, tilt
from frontalbench.images import RGB
from frontalbench.morphable import basel as model
from frontalbench.morphable import texture as textures
from frontalbench.morphable import uv as unrolling
from frontalbench.networks import checkpoints
from frontalbench.networks.hrn import MID_SIDE, SIDE, STEP, UV_SIDE, Coefficients, Reconstruction, Refiner, high_net, mid_net, split
from frontalbench.networks.inference import folded
from frontalbench.types import Float, Float32

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

STAGES: Final = ("coarse", "mid", "high")
LARGE: Final = 512
"""Side of the crop that colours come from, and of the result."""
TEXTURE: Final = 512
BEHIND: Final = 0.06
"""Decimetres that one part of the face may lie behind another and still be seen."""
MODEL_TRUST: Final = np.float32(0.3)
"""The model's skin stands where the photograph shows a texel clearly worse than this."""
REACH: Final = (0.2, 3.0)
"""Height of a fitted face in sides of the crop; other faces are fits that failed."""
COEFFICIENTS, MOVED, RAISED = 257, 3 * MID_SIDE**2, UV_SIDE**2

Matte = Callable[[RGB], Float32]
"""A photograph (H, W, 3) -> how much of each pixel is a person, float32 (H, W) in 0..1."""


@dataclass(frozen=True)
class Refining:
    """The networks of the finer stages with the numbers beside them in the checkpoint; ``high`` None: up to the middle stage."""

    mid: Refiner
    alpha: float
    high: Refiner | None
    beta: float


class Surface:
    """A Basel face with its unrolled square; ``unrolled`` has a place for every vertex."""

    def __init__(self, basel: model.Basel, unrolled: unrolling.Unrolled) -> None:
        self.basel = basel
        self.map, self.colours = unrolling.UvMap(unrolled, UV_SIDE), unrolling.UvMap(unrolled, TEXTURE)
        self.grid = unrolling.grid_triangles(UV_SIDE)
        normals = basel.normals(basel.mean)
        self.mirror = textures.mirror_of(self.colours.over(basel.mean), self.colours.over(normals), self.colours.covered)

    def moved(self, vertices: Float, movement: npt.NDArray[np.floating]) -> Float:
        """``vertices`` (V, 3) moved by a map (h, w, 3) over the square, as published: the upper of two rows counts by what is left of the lower."""
        height, width = movement.shape[:2]
        across, up = self.map.unrolled.places[:, 0] * width, self.map.unrolled.places[:, 1] * height
        column, row = np.floor(across).astype(np.int64), np.floor(up).astype(np.int64)
        right, high = (across - column)[:, None], (up - row)[:, None]

        def at(rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]) -> npt.NDArray[np.floating]:
            found: npt.NDArray[np.floating] = movement[np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)]
            return found

        above = at(height - 1 - row, column) * (1.0 - right) + at(height - 1 - row, column + 1) * right
        below = at(height - row, column) * (1.0 - right) + at(height - row, column + 1) * right
        return np.asarray(vertices + above * high + below * (1.0 - high), np.float64)

    def raised_normals(self, vertices: Float, normals: Float, raised: Float32) -> Float32:
        """Normals (256, 256, 3) over the square of a surface raised by ``raised`` (256, 256): those of the vertices, and what raising changes.

        The published code turns x and y of the texels' normals about, for its own square; here they are taken with the sign that looks out of
        the face, whichever way the square lies.
        """
        places, coarse = self.map.over(vertices), self.map.over(normals)

        def dense(points: Float32) -> Float:
            return vertex_normals(points.reshape(-1, 3).astype(np.float64), self.grid).reshape(points.shape)

        before, after = dense(places), dense(places + raised[..., None] * coarse)
        outwards = np.where((before * coarse).sum(axis=2, keepdims=True) < 0.0, -1.0, 1.0)
        return np.asarray(coarse + outwards * (after - before), np.float32)


def network_texture(image: Tensor, places: Float) -> Tensor:
    """What the refining networks see of ``image`` float32 (C, H, W) at ``places`` (side, side, 2), pixels: (C, side, side).

    Not bilinear: the weights of the two rows are exchanged, as in the published code that the networks were trained with. No place (NaN) is the lower
    left corner."""
    _, height, width = image.shape
    known = np.nan_to_num(np.stack([places[..., 0], height - 1.0 - places[..., 1]], axis=-1), nan=0.0, posinf=0.0, neginf=0.0)
    at = torch.from_numpy(np.clip(np.stack([known[..., 0], height - 1.0 - known[..., 1]], axis=-1), -1e6, 1e6))
    low = at.floor()
    right, down = (at - low).to(image.dtype).unbind(dim=-1)
    column, row = low.long().unbind(dim=-1)

    def of(rows: Tensor, columns: Tensor) -> Tensor:
        return image[:, rows.clamp(0, height - 1), columns.clamp(0, width - 1)]

    upper = of(row, column) * (1 - right) + of(row, column + 1) * right
    lower = of(row + 1, column) * (1 - right) + of(row + 1, column + 1) * right
    return upper * down + lower * (1 - down)


@dataclass(frozen=True)
class Prepared:
    """``aligned``, ``large``: the crop in 224 and 512 pixels; ``person`` float32 (512, 512): the matte in the large one; ``middle`` (2,): of the 68
    points in it; ``size``: (height, width) of the photograph; ``target``: the wanted pose."""

    aligned: Framed
    large: Framed
    person: Float32
    middle: Float
    size: tuple[int, int]
    target: tuple[float, float, float]


class HrnFamily:
    """See the module. Results are squares of 512 pixels."""

    def __init__(
        self,
        locate: points68.Locate,
        matte: Matte,
        surface: Surface,
        standard: Float,
        network: Reconstruction,
        refining: Refining | None,
        *,
        hidden: str,
        device: torch.device,
    ) -> None:
        """``standard`` (5, 3): the face that images are aligned to; ``refining`` None: the coarse stage alone; ``hidden``: model, mirror, keep."""
        self._locate, self._matte, self._surface, self._standard = locate, matte, surface, standard
        self._hidden, self._device, self._refining = hidden, device, refining
        self._network = folded(network).to(device)
        if refining is not None:
            for each in (refining.mid, refining.high):
                if each is not None:
                    folded(each).to(device)

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> Prepared:
        """Black beyond the photograph's border, as published. Raises as :data:`~frontalbench.frontalize.points68.Locate` and the crop do."""
        points = self._locate(view)
        height, width = view.image.shape[:2]
        small, large = (model.aligning(model.five(points.flat), self._standard, height, side) for side in (SIDE, LARGE))
        framed = framing.cut(view.image, large, LARGE)
        person = cv2.warpAffine(self._matte(view.image), large, (LARGE, LARGE), flags=cv2.INTER_LINEAR, borderValue=0)
        middle = points68.middle(points, large)
        return Prepared(framing.cut(view.image, small, SIDE), framed, np.asarray(person, np.float32), middle, (height, width), target_pose)

    def run(self, items: Sequence[Prepared]) -> Tensor:
        """The coefficients (N, 257), behind them what the middle network moves (3 x 64 x 64), behind that what the fine one raises (256 x 256)."""
        images = to_tensor([item.aligned.pixels for item in items], 0.0, 1.0, self._device)
        coefficients: Tensor = self._network(images)
        refining = self._refining
        if refining is None:
            return coefficients
        each = [split(one[None].double().cpu()) for one in coefficients]
        positions, looks, persons = [], [], []
        for item, parts in zip(items, each, strict=True):
            shape = self._shape(parts)
            photograph, person = self._seen_by_networks(item, shape, parts)
            positions.append(torch.from_numpy(self._surface.map.over(shape)).permute(2, 0, 1))
            looks.append(photograph)
            persons.append(person)
        position, valid = torch.stack(positions).to(self._device), torch.stack(persons).to(self._device)
        small = [_resized(maps.to(self._device), MID_SIDE) for maps in (position, torch.stack(looks), valid)]
        moved = refining.mid(torch.cat([small[0], small[1]], dim=1)) * (STEP * refining.alpha) * small[2]
        if refining.high is None:
            return torch.cat([coefficients, moved.flatten(1)], dim=1)
        again = []
        for item, parts, movement in zip(items, each, moved, strict=True):
            shape = self._surface.moved(self._shape(parts), movement.permute(1, 2, 0).cpu().numpy())
            again.append(self._seen_by_networks(item, shape, parts)[0])
        maps = torch.cat([position, torch.stack(again).to(self._device), _resized(moved, UV_SIDE)], dim=1)
        raised = refining.high(maps) * (STEP * refining.beta) * valid
        return torch.cat([coefficients, moved.flatten(1), raised.flatten(1)], dim=1)

    def pose(self, view: View) -> tuple[float, float, float]:
        """(yaw, pitch, roll) in degrees that HRN gives the face of ``view``."""
        with torch.inference_mode():
            item = self.prepare(view, FRONTAL)
            parts = split(self._network(to_tensor([item.aligned.pixels], 0.0, 1.0, self._device)).double().cpu())
        yaw, pitch, roll = angles_from_matrix(model.pose_matrix(model.rotation(parts.angles[0])))
        return float(yaw), float(pitch), float(roll)

    def finish(self, item: Prepared, drawn: Tensor) -> tuple[RGB, Place]:
        """Raises ValueError when the fitted face does not lie where the face is."""
        surface = self._surface
        parts = split(drawn[None, :COEFFICIENTS].double())
        shape = self._shape(parts)
        if len(drawn) > COEFFICIENTS:
            movement = drawn[COEFFICIENTS : COEFFICIENTS + MOVED].reshape(3, MID_SIDE, MID_SIDE)
            shape = surface.moved(shape, movement.permute(1, 2, 0).numpy())
        turn = model.rotation(parts.angles[0])
        there = model.before_camera(shape, turn, parts.shift[0].numpy())
        pixels = model.projected(there, LARGE)
        self._believed(pixels, item)
        normals = surface.basel.normals(shape) @ turn.T
        texture = self._texture(item, there, pixels, normals, parts, shape, drawn[COEFFICIENTS + MOVED :].numpy())
        wanted_turn = model.pose_matrix(matrix_from_angles(*item.target))
        wanted = model.before_camera(shape, wanted_turn, np.zeros(3))
        flat = model.projected(wanted, LARGE)
        looked = rasterize(flat, surface.basel.triangles, (LARGE, LARGE), perspective=True)
        alpha = torch.from_numpy((looked.triangle >= 0).astype(np.float32))
        shown = unrolling.looked_up(torch.from_numpy(np.ascontiguousarray(texture.transpose(2, 0, 1))), surface.colours.on(looked))
        result = to_image(shown * alpha + (1.0 - alpha) * float(textures.GREY), 0.0, 1.0)
        lean = tilt(model.pose_matrix(turn)) - tilt(model.pose_matrix(wanted_turn))
        scale = float(there[:, 2].mean() / wanted[:, 2].mean())
        place = framing.moved(item.large.matrix, pixels.mean(axis=0)[:2], flat.mean(axis=0)[:2], scale, lean)
        return result, Place(place, textures.pasted(alpha.numpy()))

    def _shape(self, parts: Coefficients) -> Float:
        return self._surface.basel.shape(parts.identity[0].numpy(), parts.expression[0].numpy())

    def _seen_by_networks(self, item: Prepared, shape: Float, parts: Coefficients) -> tuple[Tensor, Tensor]:
        """(the photograph (3, 256, 256) in -1..1, the person (1, 256, 256)) over the square of a face of ``shape``."""
        there = model.before_camera(shape, model.rotation(parts.angles[0]), parts.shift[0].numpy())
        texels = self._surface.map.over(there).reshape(-1, 3).astype(np.float64)
        places = model.projected(texels, LARGE)[:, :2].reshape(UV_SIDE, UV_SIDE, 2)
        photograph = network_texture(to_tensor([item.large.pixels], -1.0, 1.0, torch.device("cpu"))[0], places)
        return photograph, network_texture(torch.from_numpy(item.person)[None], places)

    def _texture(
        self, item: Prepared, there: Float, pixels: Float, normals: Float, parts: Coefficients, shape: Float, raised: Float32
    ) -> Float32:
        """The photograph's colours over the square (512, 512, 3), and what stands for the hidden ones."""
        surface, covered = self._surface, self._surface.colours.covered
        texels = surface.colours.over(there).reshape(-1, 3).astype(np.float64)
        places = np.nan_to_num(model.projected(texels, LARGE), nan=-1.0).reshape(TEXTURE, TEXTURE, 3).astype(np.float32)
        image = to_tensor([item.large.pixels], 0.0, 1.0, torch.device("cpu"))[0]
        texture = unrolling.sampled(image, places[..., :2]).permute(1, 2, 0).numpy()
        if self._hidden == "keep":
            return texture
        seen_there = rasterize(pixels, surface.basel.triangles, (LARGE, LARGE), perspective=True)
        facing = surface.colours.over(normals)[..., 2]
        inside = textures.reached(places[..., :2], item.large.matrix, item.size)
        seen = textures.visibility(places, facing, seen_there, BEHIND, inside)
        seen = seen * unrolling.sampled(torch.from_numpy(item.person)[None], places[..., :2])[0].numpy()
        if self._hidden == "mirror":
            return textures.filled(texture, seen, surface.mirror, covered)
        skin = self._skin(normals, parts, shape, raised)
        return textures.replaced(texture, seen, skin, np.full(seen.shape, MODEL_TRUST), covered)

    def _skin(self, normals: Float, parts: Coefficients, shape: Float, raised: Float32) -> Float32:
        """The model's own skin, lit as in the photograph, over the square (512, 512, 3)."""
        surface = self._surface
        light = parts.light[0].numpy()
        colours = surface.basel.skin(parts.albedo[0].numpy())
        if not len(raised):
            return np.asarray(np.clip(surface.colours.over(model.lit(colours, normals, light)), 0.0, 1.0), np.float32)
        turned = shape @ model.rotation(parts.angles[0]).T
        fine = surface.raised_normals(turned, normals, raised.reshape(UV_SIDE, UV_SIDE))
        shaded = model.lit(np.ones(fine.shape), fine, light).astype(np.float32)
        enlarged = cv2.resize(shaded, (TEXTURE, TEXTURE), interpolation=cv2.INTER_LINEAR)
        return np.asarray(np.clip(surface.colours.over(colours) * enlarged, 0.0, 1.0), np.float32)

    def _believed(self, pixels: Float, item: Prepared) -> None:
        flat = pixels[:, :2]
        height = float(np.ptp(flat[:, 1])) / LARGE
        away = float(np.linalg.norm(flat.mean(axis=0) - item.middle)) / LARGE
        if not (np.isfinite(pixels).all() and pixels[:, 2].min() > 0.0 and REACH[0] <= height <= REACH[1] and away <= 0.5):
            raise ValueError("the fitted face does not lie where the face is: a face that cannot be fitted, or other weights")


class HrnFrontalizer(PoseTestedBatched[Prepared]):
    """The family, with the self-test of networks that turn a face to any pose."""


def _resized(maps: Tensor, side: int) -> Tensor:
    return functional.interpolate(maps, (side, side), mode="bilinear", align_corners=False)


def read_places(path: Path, vertices: int) -> Float:
    """The place of every vertex in the square, (V, 2) in 0..1, from a NumPy file. Raises :class:`BadInput`."""
    places = arrays.numbers(path)
    sound = places.shape == (vertices, 2) and places.dtype.kind == "f"
    if not sound or not (np.isfinite(places).all() and places.min() >= 0.0 and places.max() <= 1.0):
        raise BadInput(f"{path}: expected {vertices} x 2 numbers in 0..1; use the file that the card names")
    return np.asarray(places, np.float64)


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> HrnFrontalizer:
    """The frontalizer of a card of family ``hrn``, which ``uses`` a landmarks card and a matting card. Weights: ``model`` (HRN's networks), ``basel``
    (the user's own ``BFM_model_front.mat``), ``standard`` (``similarity_Lm3D_all.mat``), ``places`` (the face's UV square).

    Params: ``stage`` coarse, mid or high: the last network that is used; ``hidden`` model (its skin, lit as in the photograph), mirror (the other
    side) or keep (smeared); see [face_models.md](face_models.md)
    """
    from frontalbench.catalogue import families
    from frontalbench.catalogue.params import Params
    from frontalbench.errors import BadConfig
    from frontalbench.runtime import sessions as runtime
    from frontalbench.weights import store

    params = Params(card)
    stage = params.choice("stage", STAGES, "high")
    hidden = params.choice("hidden", ("model", "mirror", "keep"), "model")
    params.finish()
    if set(card.weights) != {"model", "basel", "standard", "places"}:
        raise BadConfig(f"{card.path}: weights should be basel, model, places, standard")
    cut_out = card.the("matting", "modnet")
    paths = {key: store.fetch(card, key) for key in sorted(card.weights)}
    network = checkpoints.unfilled(Reconstruction)
    file = checkpoints.opened(paths["model"])
    checkpoints.fill(network, checkpoints.load(file, inner="net_recon"), paths["model"])
    refining = None if stage == "coarse" else _refining(file, fine=stage == "high")
    basel = model.read(paths["basel"])
    standard = model.read_standard(paths["standard"])
    unrolled = unrolling.Unrolled(read_places(paths["places"], len(basel.mean)), basel.triangles, basel.triangles)
    torch.set_num_threads(threads)
    place = runtime.torch_device(device)
    matte = families.load(cut_out, threads=threads, device=device).matte
    locate = points68.loaded(card, threads=threads, device=device)
    family = HrnFamily(locate, matte, Surface(basel, unrolled), standard, network, refining, hidden=hidden, device=place)
    return HrnFrontalizer(card.name, family, takes_target_pose=True, batch=batch_on(place))


def _refining(file: checkpoints.Opened, *, fine: bool) -> Refining:
    def filled(make: Callable[[], Refiner], inner: str, factor: str) -> tuple[Refiner, float]:
        state = checkpoints.load(file, inner=inner, beside=[factor])
        number = state.pop(factor)
        if number.numel() != 1 or not bool(torch.isfinite(number).all()):
            raise BadInput(f"{file.path}: '{factor}' should be one finite number; check the card's file")
        network = checkpoints.unfilled(make)
        checkpoints.fill(network, state, file.path)
        return network, float(number)

    mid, alpha = filled(mid_net, "mid_net", "alpha")
    high, beta = filled(high_net, "high_net", "beta") if fine else (None, 0.0)
    return Refining(mid, alpha, high, beta)

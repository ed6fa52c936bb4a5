"""``cvthead``: CVTHead (Ma et al. 2024) describes the vertices of a FLAME head by a transformer and draws them, turned, with a U-Net.

The head is DECA's fit of the photograph; the wanted image has the same shape, expression, jaw and camera and another turn. Two parts of the
published system are replaced or left out, and the results are the worse for it: a matte of the person stands for its face parser, and its hair
network, which moves vertices outwards to hair and shoulders, is not here. So the head is drawn with the outline of a bald one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import torch
from torch import Tensor

from frontalbench.errors import BadInput
from frontalbench.files import pickled
from frontalbench.frontalize import framing, points68
from frontalbench.frontalize.base import FRONTAL, Place, View
from frontalbench.frontalize.batches import batch_on, to_image, to_tensor
from frontalbench.frontalize.deca import axis_angle
from frontalbench.frontalize.framing import Framed
from frontalbench.frontalize.selftest import PoseTestedBatched
from frontalbench.geometry.masks import feather
from frontalbench.geometry.rotation import FLIP_YZ, angles_from_matrix, matrix_from_angles, tilt
from frontalbench.geometry.similarity import apply, invert
from frontalbench.images import RGB
from frontalbench.morphable.flame import Flame, full_pose, rotations
from frontalbench.morphable.flame import read as read_flame
from frontalbench.networks import checkpoints
from frontalbench.networks import deca as fitting
from frontalbench.networks.cvthead import SIDE, CvtHead, Mesh, ready, spirals
from frontalbench.networks.inference import folded
from frontalbench.types import Float, Float32

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

LEVELS: Final = (5023, 1256, 314)
"""Vertices of the mesh, fine to coarse."""
PERSON: Final = 0.5
"""Of the matte: what counts as the head."""
WHITE: Final = 1.0
"""What the published program puts behind the head."""
HELP: Final = "use transform.pkl of folder data of github.com/HowieMa/CVTHead"

Matte = Callable[[RGB], Float32]
"""A photograph (H, W, 3) -> how much of each pixel is a person, float32 (H, W) in 0..1."""


@dataclass(frozen=True)
class Prepared:
    """``image``: the crop of 256 pixels that is described; ``fitted``: that of 224 that DECA sees; ``head`` float32 (256, 256): 1 where the person
    is in the first one; ``middle`` (2,): of the 68 points in it; ``target``: the wanted pose."""

    image: Framed
    fitted: Framed
    head: Float32
    middle: Float
    target: tuple[float, float, float]


def seen_at(vertices: Float, camera: Float, back: Float) -> Float:
    """Vertices (V, 3) of FLAME as CVTHead's image has them: -1..1 across and down, depth away; ``camera``: scale, shifts; ``back`` (2, 3): DECA's
    crop -> the image's pixels, both counted from their corner."""
    scale, right, up = (float(value) for value in camera)
    flat = scale * (vertices + np.array([right, up, 0.0])) * np.array([1.0, -1.0, -1.0])
    pixels = apply(back, (flat[:, :2] * 0.5 + 0.5) * fitting.SIDE)
    return np.column_stack([pixels / SIDE * 2.0 - 1.0, flat[:, 2]])


class CvtHeadFamily:
    """See the module. Results are squares of 256 pixels, framed as VoxCeleb's videos."""

    def __init__(
        self, locate: points68.Locate, matte: Matte, flame: Flame, mesh: Mesh, fit: fitting.Encoder, network: CvtHead, device: torch.device
    ) -> None:
        """``network``: made ready for use (:func:`~frontalbench.networks.cvthead.ready`)."""
        self._locate, self._matte, self._flame, self._device = locate, matte, flame, device
        self._mesh = Mesh(*(getattr(mesh, name).to(device) for name in Mesh.__dataclass_fields__))
        self._fit, self._network = folded(fit).to(device), network.to(device)

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> Prepared:
        """Raises as :data:`~frontalbench.frontalize.points68.Locate` and the crops do."""
        points = self._locate(view)
        matrix = framing.voxceleb(points, SIDE)
        image = framing.cut(view.image, matrix, SIDE, border=cv2.BORDER_REPLICATE)
        fitted = framing.cut(view.image, framing.landmark_square(points, fitting.SIDE), fitting.SIDE)
        person = cv2.warpAffine(self._matte(view.image), matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        middle = apply(matrix, points.flat.mean(axis=0))
        return Prepared(image, fitted, (np.asarray(person) > PERSON).astype(np.float32), middle, target_pose)

    def run(self, items: Sequence[Prepared]) -> Tensor:
        """(N, 5, 256, 256): RGB in -1..1, mask in 0..1, and a channel that begins with six numbers: where the head is put back."""
        fitted = to_tensor([item.fitted.pixels for item in items], 0.0, 1.0, self._device)
        codes = fitting.split(self._fit(fitted).double().cpu())
        heads, wanted, places = [], [], []
        for number, item in enumerate(items):
            own, other, place = self._heads(
                item, *(part[number].numpy() for part in (codes.shape, codes.expression, codes.pose, codes.camera))
            )
            heads.append(own)
            wanted.append(other)
            places.append(place)
        images = to_tensor([item.image.pixels for item in items], -1.0, 1.0, self._device)
        masks = torch.from_numpy(np.stack([item.head for item in items]))[:, None].to(self._device)
        before, after = (torch.from_numpy(np.stack(all_).astype(np.float32)).to(self._device) for all_ in (heads, wanted))
        drawn, mask = self._network(images, masks, before, after, self._mesh)
        more = torch.zeros_like(mask)
        more.flatten(1)[:, :6] = torch.from_numpy(np.stack(places).reshape(-1, 6)).to(more)
        return torch.cat([drawn, mask, more], dim=1)

    def _heads(self, item: Prepared, shape: Float, expression: Float, pose: Float, camera: Float) -> tuple[Float, Float, Float]:
        """(vertices as the photograph has them, as they are wanted, photograph -> result (2, 3)). Raises ValueError where the fit lies elsewhere."""
        turn = FLIP_YZ @ matrix_from_angles(*item.target) @ FLIP_YZ
        corner = np.array([[1.0, 0.0, -0.5], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]])  # from the corner of an image to centres of pixels
        whole = np.vstack([item.image.matrix, [0.0, 0.0, 1.0]]) @ np.vstack([invert(item.fitted.matrix), [0.0, 0.0, 1.0]])
        back = (np.linalg.inv(corner) @ whole @ corner)[:2]
        posed = [self._flame.posed(shape, expression, full_pose(root, pose[3:])) for root in (pose[:3], axis_angle(turn))]
        own, wanted = (seen_at(vertices, camera, back) for vertices in posed)
        flat = (own[:, :2] + 1.0) * SIDE / 2.0 - 0.5
        away = float(np.linalg.norm(flat.mean(axis=0) - item.middle)) / SIDE
        if not (np.isfinite(own).all() and camera[0] > 0.0 and 0.2 <= np.ptp(flat[:, 1]) / SIDE <= 3.0 and away <= 0.5):
            raise ValueError("the fitted head does not lie where the face is: a face that cannot be fitted, or other weights")
        here = ((wanted[:, :2] + 1.0) * SIDE / 2.0 - 0.5).mean(axis=0)
        lean = tilt(FLIP_YZ @ rotations(pose[None, :3])[0] @ FLIP_YZ) - tilt(FLIP_YZ @ turn @ FLIP_YZ)
        return own, wanted, framing.moved(item.image.matrix, flat.mean(axis=0), here, 1.0, lean)

    def pose(self, view: View) -> tuple[float, float, float]:
        """(yaw, pitch, roll) in degrees that DECA gives the face of ``view``."""
        with torch.inference_mode():
            item = self.prepare(view, FRONTAL)
            codes = fitting.split(self._fit(to_tensor([item.fitted.pixels], 0.0, 1.0, self._device)).double().cpu())
        yaw, pitch, roll = angles_from_matrix(FLIP_YZ @ rotations(codes.pose[:, :3].numpy())[0] @ FLIP_YZ)
        return float(yaw), float(pitch), float(roll)

    def finish(self, item: Prepared, drawn: Tensor) -> tuple[RGB, Place]:
        """White behind the head, as published; the head alone is pasted back."""
        mask = drawn[3:4]
        place = drawn[4].flatten()[:6].reshape(2, 3).double().numpy()
        image = to_image(drawn[:3] * mask + WHITE * (1.0 - mask), -1.0, 1.0)
        return image, Place(place, feather(mask[0].numpy(), 1.0))


class CvtHeadFrontalizer(PoseTestedBatched[Prepared]):
    """The family, with the self-test of networks that turn a face to any pose."""


def read_mesh(path: Path) -> Mesh:
    """The levels of the head's mesh, from ``transform.pkl``. Raises :class:`BadInput` in one line; nothing of the file is run."""
    file = pickled.read(path, HELP)
    downs, ups, around = [], [], []
    for level, (fine, coarse) in enumerate(pairwise(LEVELS)):
        down = file.matrix("down_transform", (coarse, fine), level)
        order = np.argsort(down.rows, kind="stable")
        if not np.array_equal(down.rows[order], np.arange(coarse)) or not np.allclose(down.values, 1.0):
            raise BadInput(f"{path}: 'down_transform' should choose one vertex for each of {coarse}; {HELP}")
        downs.append(torch.from_numpy(down.columns[order]))
        up = file.matrix("up_transform", (fine, coarse), level)
        entries, values = torch.from_numpy(np.stack([up.rows, up.columns])), torch.from_numpy(up.values.astype(np.float32))
        ups.append(torch.sparse_coo_tensor(entries, values, (fine, coarse), check_invariants=True).coalesce())
        triangles = file.numbers("face", (None, 3), level).astype(np.int64)
        if triangles.size == 0 or triangles.min() < 0 or triangles.max() >= fine:
            raise BadInput(f"{path}: 'face' names vertices that are not there; {HELP}")
        try:
            around.append(spirals(torch.from_numpy(triangles), fine))
        except ValueError as error:
            raise BadInput(f"{path}: 'face': {error}; {HELP}") from error
    return Mesh(downs[0], downs[1], ups[1], ups[0], around[1], around[0])


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> CvtHeadFrontalizer:
    """The frontalizer of a card of family ``cvthead``, which ``uses`` a landmarks card and a matting card. Weights: ``model`` (CVTHead), ``deca``
    (DECA's networks), ``flame`` (the user's own ``generic_model.pkl``), ``mesh`` (``transform.pkl``).

    Params: none
    """
    from frontalbench.catalogue import families
    from frontalbench.catalogue.params import Params
    from frontalbench.errors import BadConfig
    from frontalbench.runtime import sessions as runtime
    from frontalbench.weights import store

    Params(card).finish()
    if set(card.weights) != {"model", "deca", "flame", "mesh"}:
        raise BadConfig(f"{card.path}: weights should be deca, flame, mesh, model")
    cut_out = card.the("matting", "modnet")
    paths = {key: store.fetch(card, key) for key in sorted(card.weights)}
    network = checkpoints.unfilled(CvtHead)
    own = {key.partition(".")[0] for key in network.state_dict()}
    state = checkpoints.load(paths["model"], inner="model")
    checkpoints.fill(network, {key: value for key, value in state.items() if key.partition(".")[0] in own}, paths["model"])
    fit = checkpoints.unfilled(lambda: fitting.Encoder(fitting.CODES))
    checkpoints.fill(fit, checkpoints.load(paths["deca"], inner="E_flame"), paths["deca"])
    flame, mesh = read_flame(paths["flame"]), read_mesh(paths["mesh"])
    if len(flame.template) != LEVELS[0]:
        raise BadInput(
            f"{paths['flame']}: a head of {len(flame.template)} vertices, expected {LEVELS[0]}; use generic_model.pkl of FLAME 2020"
        )
    torch.set_num_threads(threads)
    place = runtime.torch_device(device)
    matte = families.load(cut_out, threads=threads, device=device).matte
    locate = points68.loaded(card, threads=threads, device=device)
    family = CvtHeadFamily(locate, matte, flame, mesh, fit, ready(network), place)
    return CvtHeadFrontalizer(card.name, family, takes_target_pose=True, batch=batch_on(place))

"""``eg3d``: the face as a head of EG3D's generator, found by inversion, seen from the front (Chan et al. 2022; inversion: :mod:`.inversion`)."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from frontalbench.detect.select import Face
from frontalbench.errors import BadConfig
from frontalbench.frontalize import framing, inversion, stylegan_pickle
from frontalbench.frontalize.base import NoFace, Place, View
from frontalbench.frontalize.batches import Batched, to_image
from frontalbench.frontalize.check import Check
from frontalbench.frontalize.framing import Framed
from frontalbench.frontalize.inversion import Inverter, Recipe, Target
from frontalbench.frontalize.selftest import PoseEstimate, landmark_pose
from frontalbench.geometry.crop import warp
from frontalbench.geometry.rotation import FLIP_YZ, matrix_from_angles, untilted
from frontalbench.geometry.similarity import apply, estimate_similarity
from frontalbench.images import RGB
from frontalbench.landmarks.base import Landmarks
from frontalbench.landmarks.tddfa import Basis, DenseFit, DenseFitter
from frontalbench.networks import checkpoints, eg3d, stylegan2
from frontalbench.networks.eg3d import SIDE, STYLES, Eg3d
from frontalbench.types import Float

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

RADIUS = 2.7
PIVOT = np.array([0.0, 0.0, 0.2])
"""Cameras lie at this distance from the world's origin and look at this point."""
FOCAL = 2985.29 / 700.0
"""In image sides, as in the training data's labels."""
FRONTAL_FOCAL = 4.26339
"""As in the release's own frontal camera (18.837 degrees)."""
UNIT = 0.27e-5
"""World units per micrometre of the face model."""
ORIGIN = np.array([0.0, -3.0e3, 7.8e4])
"""The origin of Deep3DFaceRecon's face model in that of 3DDFA_V2 (both the Basel model of 2009, the first about its vertices' mean), in micrometres,
y up, z to the viewer. By the five points of the mean faces, which agree within 2 mm."""
SHIFT = np.array([0.0, 0.006, 0.161])
"""From that origin to the world's, as in the release's preprocessing."""
BEHIND = -0.25
"""Cosine of the angle between the face and the camera, below which the head is seen from behind (105 degrees)."""
SELFTEST_YAWS = (0.0, -25.0, 25.0)


class Eg3dGenerator(Eg3d):
    """The network as an inversion sees it."""

    layers = STYLES

    def style(self, z: Tensor, labels: Tensor) -> Tensor:
        found: Tensor = self.backbone.mapping(z, labels)
        return found


class Inversion(Protocol):
    """Finds the latent code of a photograph and draws it at another pose (:class:`~frontalbench.frontalize.inversion.Inverter`)."""

    def turned(self, target: Target) -> Tensor: ...


class Eg3dFamily:
    """See the module. Results are squares of 512 pixels."""

    def __init__(self, fitter: DenseFitter, inverter: Inversion) -> None:
        self.fitter, self._inverter = fitter, inverter

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> tuple[Framed, Target]:
        """Raises ValueError for a degenerate fit, and for a head seen from behind."""
        if view.face is None:
            raise NoFace("no face was detected in the photograph")
        fit = self.fitter.fit(view.image, view.face)
        return framed(view.image, fit, self.fitter.basis.keypoints, target_pose)

    def run(self, items: Sequence[tuple[Framed, Target]]) -> Tensor:
        """(N, 3, 512, 512), about -1..1; minutes each on a GPU."""
        return torch.stack([self._inverter.turned(target) for _, target in items])

    def finish(self, item: tuple[Framed, Target], drawn: Tensor) -> tuple[RGB, Place]:
        """See :class:`~frontalbench.frontalize.batches.Family`."""
        return to_image(drawn, -1.0, 1.0), item[0].place()


class Eg3dFrontalizer(Batched[tuple[Framed, Target]]):
    """See the module; the self-test looks at the generator's average head, which takes seconds where an inversion takes minutes."""

    def __init__(self, name: str, family: Eg3dFamily, generator: Eg3dGenerator, side: int) -> None:
        super().__init__(name, family, takes_target_pose=True, batch=1)
        self._fitter, self._generator, self._side = family.fitter, generator, side

    def selftest(self, views: Sequence[View]) -> list[Check]:
        """Checks of the average head from three cameras; ``views`` are not looked at."""
        return head_checks(self._generator, self._fitter.basis, self._side, landmark_pose())


def head_checks(generator: Eg3dGenerator, basis: Basis, side: int, estimate: PoseEstimate) -> list[Check]:
    """Do the weights draw a head that stands where the cameras think? Of the average style, from the front and from 25 degrees to both sides."""
    average = generator.backbone.mapping.get_buffer("w_avg")
    poses, images = [], []
    for yaw in SELFTEST_YAWS:
        label = camera(matrix_from_angles(yaw), FRONTAL_FOCAL)
        with torch.inference_mode():
            styles = average.expand(1, STYLES, -1)
            drawn = generator.look(styles, torch.from_numpy(label.astype(np.float32)).to(average.device)[None], side).image[0].float().cpu()
        if not bool(torch.isfinite(drawn).all()):
            return [Check("finite", 0.0, 1.0, 1.0, "the average head is made of finite numbers")]
        flat = projected(to_world(basis.mean[basis.keypoints]), label, SIDE)
        five = Landmarks(np.column_stack([flat, np.zeros(len(flat))]), "ibug68").to("five").flat
        box = np.concatenate([flat.min(axis=0), flat.max(axis=0)])
        images.append(to_image(drawn, -1.0, 1.0))
        poses.append(estimate(images[-1], Face(box.astype(np.float32), 1.0, five.astype(np.float32), 1)))
    contrast = min(float(image.mean(axis=2).std()) for image in images)
    off = [abs(pose[0] - yaw) for pose, yaw in zip(poses, SELFTEST_YAWS, strict=True)]
    return [
        Check("contrast (levels)", contrast, 12.0, 110.0, "the average head has light and shade"),
        Check("presence", min(pose[3] for pose in poses), 0.5, 1.0, "a landmark network sees a face in it from every camera"),
        Check("yaw off (degrees)", max(off), 0.0, 12.0, "it is seen from where the camera stands, not mirrored"),
        Check("|roll| (degrees)", max(abs(pose[2]) for pose in poses), 0.0, 10.0, "it stands upright"),
    ]


def framed(image: RGB, fit: DenseFit, keypoints: npt.NDArray[np.int64], target_pose: tuple[float, float, float]) -> tuple[Framed, Target]:
    """The photograph in EG3D's frame: the square in which the camera that has the head's yaw and pitch would show the fitted 68 points where the
    photograph shows them, upright."""
    rotation, _ = untilted(fit.rotation)
    if rotation[2, 2] < BEHIND:
        raise ValueError("the head is seen from behind")
    label = camera(rotation, FOCAL)
    seen = projected(to_world(fit.model[keypoints]), label, SIDE)
    flat = fit.vertices[keypoints][:, :2]
    matrix = estimate_similarity(flat, seen)
    cutting = framing.cut(image, matrix, SIDE, border=cv2.BORDER_REFLECT_101)
    shown = warp(np.full((*image.shape[:2], 3), 255, np.uint8), matrix, SIDE, border=cv2.BORDER_CONSTANT)
    five = Landmarks(np.column_stack([apply(matrix, flat), np.zeros(len(flat))]), "ibug68").to("five").flat
    target = Target(
        cutting.pixels,
        (shown[..., 0] > 127).astype(np.float32),
        label.astype(np.float32),
        np.asarray(five, np.float64),
        camera(matrix_from_angles(*target_pose), FRONTAL_FOCAL).astype(np.float32),
    )
    return cutting, target


def to_world(points: Float) -> Float:
    """Points (N, 3) of the face model (micrometres, camera axes) -> EG3D's world."""
    world: Float = (points @ FLIP_YZ - ORIGIN) * UNIT + SHIFT
    return world


def camera(rotation: Float, focal: float) -> Float:
    """The label (25,) of the camera that sees a head in pose ``rotation`` (head -> camera, our axes): it looks at :data:`PIVOT` from
    :data:`RADIUS` away from the origin."""
    turn = FLIP_YZ @ rotation.T
    ahead = turn[:, 2]
    along = float(PIVOT @ ahead)
    away = along + float(np.sqrt(along**2 - PIVOT @ PIVOT + RADIUS**2))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn, PIVOT - away * ahead
    return np.concatenate([pose.ravel(), [focal, 0.0, 0.5, 0.0, focal, 0.5, 0.0, 0.0, 1.0]])


def projected(points: Float, label: Float, side: int) -> Float:
    """Where a camera shows ``points`` (N, 3) of the world: (N, 2) pixels, centres at integers."""
    pose, inner = label[:16].reshape(4, 4), label[16:].reshape(3, 3)
    seen = (points - pose[:3, 3]) @ pose[:3, :3]
    flat: Float = (seen[:, :2] / seen[:, 2:] * inner[[0, 1], [0, 1]] + inner[:2, 2]) * side - 0.5
    return flat


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Batched[tuple[Framed, Target]]:
    """The frontalizer of a card of family ``eg3d``. It ``uses`` a landmarks card of family tddfa and the backbone that the inversion goes by, which
    must stand in ``trained_with`` too. A file that ends in ``.pkl`` is the official one; another holds the plain state dict of its ``G_ema``.

    Params: ``keep`` folder where interrupted inversions are kept (none: nowhere); ``rays`` 128: per row of what is marched; ``seed`` 0; ``samples``
    1000: styles whose mean the search begins at; ``steps`` 500, ``rate`` 0.01, ``camera_rate`` 0.001, ``noise`` 0.05 of the search for the style;
    ``tuning_steps`` 350, ``tuning_rate`` 0.0003 of the weights; ``pixels`` 1, ``features`` 1, ``identity`` 0.5, ``still`` 1: what each loss counts.

    Raises :class:`BadConfig` also where ``trained_with`` does not name that backbone.
    """
    from frontalbench.catalogue import cards, families
    from frontalbench.catalogue.params import Params
    from frontalbench.embed.gradient import load_recognizer
    from frontalbench.runtime import sessions as runtime
    from frontalbench.weights import store

    params = Params(card)
    default = Recipe()
    read: dict[str, Any] = {field.name: getattr(default, field.name) for field in fields(Recipe)}
    asked: dict[str, Any] = {
        name: params.integer(name, value, low=0) if isinstance(value, int) else params.number(name, value, low=0.0)
        for name, value in read.items()
    }
    recipe = Recipe(**asked)
    keep = params.text("keep", "")
    params.finish()
    if not 1 <= recipe.rays <= SIDE or recipe.samples < 2:
        raise BadConfig(f"{card.path}: params.rays should be 1 to {SIDE}, params.samples 2 or more")
    identity = card.the("backbone")
    if identity.name not in card.trained_with:
        raise BadConfig(f"{card.path}: trained_with should name '{identity.name}': results are made to please it, so it cannot judge them")
    path = store.fetch(card)
    network = checkpoints.unfilled(Eg3dGenerator)
    state = stylegan_pickle.read(path, "G_ema") if path.suffix == ".pkl" else checkpoints.load(path)
    checkpoints.fill(network, state, path)
    torch.set_num_threads(threads)
    place = runtime.torch_device(device)
    eg3d.lowered(network.eval().requires_grad_(False).to(place))
    recognizer = load_recognizer(identity, device=device).to(place)
    folder = cards.state_root() / Path(keep) if keep else None
    inverter = Inverter(network, recognizer, recipe, place, keep=folder, about=f"{card.digest()} {_code()}")
    fitter = families.load(card.the("landmarks", "tddfa"), threads=threads, device=device)
    return Eg3dFrontalizer(card.name, Eg3dFamily(fitter, inverter), network, recipe.rays)


def _code() -> str:
    """Of the code that an inversion follows from: what was kept of another is not gone on with."""
    sources = (inversion, eg3d, stylegan2, sys.modules[__name__])
    return hashlib.sha256(b"".join(Path(str(module.__file__)).read_bytes() for module in sources)).hexdigest()

"""``fsgan``: FSGANv2's reenactment network draws the face anew from the person's own landmarks, turned to the wanted pose.

No other person's face drives it, so none leaks in. The turned landmarks come from three dimensions (``recipe: turned``), at once or on the way in
small steps, each image the source of the next; or, without them, from the photograph and its mirror image as two views of one face, mixed as
FSGANv2 mixes the frames of a video (``recipe: interpolated``; straight ahead only). The expression stays the photograph's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
import torch
from torch import Tensor

from frontalbench.frontalize import framing
from frontalbench.frontalize.base import NoFace, Outcome, Place, View
from frontalbench.frontalize.batches import batch_on, to_image, to_tensor
from frontalbench.frontalize.selftest import PoseTestedBatched
from frontalbench.fsgan import heatmaps
from frontalbench.fsgan.lifting import Lifted, lift, steps
from frontalbench.fsgan.views import mixture
from frontalbench.geometry.crop import square_matrix
from frontalbench.geometry.masks import border_mask
from frontalbench.geometry.rotation import angles_from_matrix, matrix_from_angles
from frontalbench.geometry.similarity import apply, invert
from frontalbench.images import RGB
from frontalbench.landmarks.tddfa import DenseFitter
from frontalbench.networks import checkpoints
from frontalbench.networks.fsgan import REENACTMENT, Generator
from frontalbench.networks.hrnet import MEAN, STD, HrNet
from frontalbench.networks.inference import folded
from frontalbench.types import Float

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


SIDE = 256
BOX_SCALE = 1.2
"""Side of FSGAN's crop in sides of the detector's box."""
BOX_HEIGHT, BOX_RISE = 1.43, 0.19
"""Height of a detector's box in heights of the 98 points, and how far (in the same) its middle lies above theirs: median of 24 frontal faces of FRLL
under scrfd_500m, spread 0.04 and 0.03. So the wanted view is framed as a detector would frame it, which is how the network met its drivers."""

Locate = Callable[[RGB], Float]
"""A crop of 256 pixels -> the 98 points in its pixels."""


@dataclass(frozen=True)
class Prepared:
    """``views``: crops uint8 (256, 256, 3) of the same face, with ``weights`` (their share in the result); ``wanted``: points (98, 2) of every step,
    in shares of the crop; ``matrix`` (2, 3): photograph -> pixels of the result."""

    views: tuple[RGB, ...]
    weights: tuple[float, ...]
    wanted: tuple[Float, ...]
    matrix: Float


class FsganFamily:
    """See the module. Results are squares of 256 pixels around the face, the background the network's own."""

    def __init__(
        self, network: Generator, fitter: DenseFitter, locate: Locate | None, *, interpolated: bool, step: float, device: torch.device
    ) -> None:
        """``locate`` None: the points are the fit's alone. ``step``: largest turn of one step in degrees, 0: all at once."""
        self._network, self._device = folded(network).to(device), device
        self._fitter, self._locate, self._interpolated, self._step = fitter, locate, interpolated, step

    def prepare(self, view: View, target_pose: tuple[float, float, float]) -> Prepared:
        """Raises ValueError when the fit is degenerate or the landmark network and the fit do not meet."""
        if view.face is None:
            raise NoFace("no face was detected in the photograph")
        fit = self._fitter.fit(view.image, view.face)
        keypoints = self._fitter.basis.keypoints
        head = lift(fit, keypoints)
        # FSGAN turns the source until its head leans as the wanted one does.
        lean = head.tilt - target_pose[2]
        source = framing.cut(view.image, framing.detection(view.face.box, SIDE, scale=BOX_SCALE, tilt=lean), SIDE)
        if self._locate is not None:
            head = lift(fit, keypoints, apply(invert(source.matrix), self._locate(source.pixels)))
        return self._mixed(source, head) if self._interpolated else self._turned(source, head, target_pose)

    def pose(self, view: View) -> tuple[float, float, float]:
        """(yaw, pitch, roll) in degrees that the fit gives the face of ``view``. Raises ValueError when it is degenerate."""
        if view.face is None:
            raise NoFace("no face was detected in the photograph")
        yaw, pitch, roll = angles_from_matrix(self._fitter.fit(view.image, view.face).rotation)
        return float(yaw), float(pitch), float(roll)

    def _turned(self, source: framing.Framed, head: Lifted, target_pose: tuple[float, float, float]) -> Prepared:
        leaning = matrix_from_angles(0.0, 0.0, target_pose[2])
        way = steps(leaning @ head.rotation, matrix_from_angles(*target_pose), self._step)
        squares = [framed(head.turned(rotation)) for rotation in way]
        wanted = tuple((head.turned(rotation) - middle) / size + 0.5 for rotation, (middle, size) in zip(way, squares, strict=True))
        middle, size = squares[-1]
        lean = head.tilt - target_pose[2]
        centre = head.middle + matrix_from_angles(0.0, 0.0, lean)[:2, :2] @ middle
        return Prepared((source.pixels,), (1.0,), wanted, square_matrix(centre, size, SIDE, lean))

    def several(self, views: Sequence[View], shares: Sequence[float], target_pose: tuple[float, float, float]) -> Prepared:
        """All ``views`` drawn with the landmarks of the one that has the largest share, turned to ``target_pose``; so the images lie on each other.

        Raises as :meth:`prepare`, and ValueError for a card that goes in steps or mixes mirror images.
        """
        if self._interpolated or self._step:
            raise ValueError("views are mixed at once: take a card with recipe turned and step 0")
        found = [self.prepare(view, target_pose) for view in views]
        nearest = found[int(np.argmax(shares))]
        return Prepared(tuple(one.views[0] for one in found), tuple(shares), nearest.wanted, nearest.matrix)

    def _mixed(self, source: framing.Framed, head: Lifted) -> Prepared:
        upright = matrix_from_angles(0.0, 0.0, head.tilt)[:2, :2]
        own = apply(source.matrix, head.middle + head.turned(head.rotation) @ upright.T)
        own = (own + 0.5) / SIDE
        yaw, pitch, _ = (float(angle) for angle in angles_from_matrix(head.rotation))
        mixed = mixture(np.array([[yaw, pitch], [-yaw, pitch]]), np.array([[0.0, pitch]]))
        images = (source.pixels, np.ascontiguousarray(source.pixels[:, ::-1]))
        points = (own, heatmaps.mirrored(own))
        shares = mixed.weights[0]
        wanted = sum(share * points[index] for index, share in zip(mixed.kept, shares, strict=True))
        views = tuple(images[index] for index in mixed.kept)
        return Prepared(views, tuple(float(share) for share in shares), (np.asarray(wanted),), source.matrix)

    def run(self, items: Sequence[Prepared]) -> Tensor:
        """(N, 3, 256, 256) in -1..1."""
        owners = [index for index, item in enumerate(items) for _ in item.views]
        images = [view for item in items for view in item.views]
        drawn: list[Tensor | None] = [None] * len(images)
        for number in range(max(len(item.wanted) for item in items)):
            active = [k for k, owner in enumerate(owners) if number < len(items[owner].wanted)]
            out = self._draw([images[k] for k in active], np.stack([items[owners[k]].wanted[number] for k in active]))
            for k, image in zip(active, out, strict=True):
                drawn[k] = image
                if number + 1 < len(items[owners[k]].wanted):
                    images[k] = to_image(image.cpu(), -1.0, 1.0)
        shares = [share for item in items for share in item.weights]
        mixed: list[Tensor] = []
        for index in range(len(items)):
            parts = [
                share * image for owner, share, image in zip(owners, shares, drawn, strict=True) if owner == index and image is not None
            ]
            mixed.append(torch.stack(parts).sum(dim=0))
        return torch.stack(mixed)

    def _draw(self, images: Sequence[RGB], points: Float) -> Tensor:
        halves = [np.asarray(cv2.pyrDown(image), np.uint8) for image in images]
        places = torch.from_numpy(points.astype(np.float32)).to(self._device)
        levels = [
            torch.cat([to_tensor(level, -1.0, 1.0, self._device), heatmaps.drawn(places, side)], dim=1)
            for level, side in ((images, SIDE), (halves, SIDE // 2))
        ]
        out: Tensor = self._network(levels)
        return out

    def finish(self, item: Prepared, drawn: Tensor) -> tuple[RGB, Place]:
        """See :class:`~frontalbench.frontalize.batches.Family`."""
        return to_image(drawn, -1.0, 1.0), Place(item.matrix, border_mask(SIDE))


class FsganFrontalizer(PoseTestedBatched[Prepared]):
    """The family, with the self-test of networks, and where it can turn that of the own pose. Several views are drawn as one by :meth:`mixed`."""

    family: FsganFamily

    def mixed(self, views: Sequence[View], shares: Sequence[float], target_pose: tuple[float, float, float]) -> Outcome:
        """One image of all ``views``, which all have a face, each with its share. Never raises for what is in the views."""
        return self.one(lambda: self.family.several(views, shares, target_pose))


def framed(points: Float) -> tuple[Float, float]:
    """(middle (2,), side) of FSGAN's crop around points (98, 2), in their unit. Raises ValueError when they have no height."""
    low, high = points.min(axis=0), points.max(axis=0)
    height = float(high[1] - low[1])
    if not np.isfinite(height) or height < framing.SMALLEST / 2.0:
        raise ValueError(f"the face is too small to turn: its points are {height:.1f} pixels high")
    return (low + high) / 2.0 - np.array([0.0, BOX_RISE * height]), BOX_SCALE * BOX_HEIGHT * height


class Landmarks98:
    """The 98 points of WFLW in a crop of 256 pixels, by FSGANv2's landmark network."""

    def __init__(self, network: HrNet, device: torch.device) -> None:
        self._network, self._device = folded(network).to(device), device
        self._mean, self._std = (torch.tensor(values, device=device)[:, None, None] for values in (MEAN, STD))

    def __call__(self, crop: RGB) -> Float:
        """(98, 2) in the crop's pixels."""
        with torch.inference_mode():
            maps = self._network((to_tensor([crop], 0.0, 1.0, self._device) - self._mean) / self._std)
            points = heatmaps.located(maps)[0]
        return np.asarray(points.double().cpu().numpy() * SIDE - 0.5)


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> FsganFrontalizer:
    """The frontalizer of a card of family ``fsgan``; it ``uses`` a landmarks card of family ``tddfa``. Weights ``generator`` and, unless params
    say ``landmarks: fit``, ``landmarks``: torch files with a ``state_dict``; the ``arch`` beside it, Python text, is not read.

    Params: ``recipe`` turned or interpolated; ``step`` 0: degrees of one step, 0 is all at once (turned only); ``landmarks`` network or fit;
    ``batch`` 8 (GPU); see [fsgan.md](fsgan.md).
    """
    from frontalbench.catalogue import families
    from frontalbench.catalogue.params import Params
    from frontalbench.errors import BadConfig
    from frontalbench.runtime import sessions
    from frontalbench.weights import store

    params = Params(card)
    recipe = params.choice("recipe", ("turned", "interpolated"))
    step = params.number("step", 0.0, low=0.0, high=180.0)
    by_network = params.choice("landmarks", ("network", "fit"), "network") == "network"
    batch = params.integer("batch", 8)
    params.finish()
    if recipe == "interpolated" and step:
        raise BadConfig(f"{card.path}: params.step is for 'recipe: turned'; views are mixed at once")
    fit = card.the("landmarks", "tddfa")
    path = store.fetch(card, "generator")
    network = checkpoints.unfilled(lambda: Generator(REENACTMENT))
    checkpoints.fill(network, checkpoints.load(path), path)
    place = sessions.torch_device(device)
    locate: Landmarks98 | None = None
    if by_network:
        path = store.fetch(card, "landmarks")
        points = checkpoints.unfilled(HrNet)
        checkpoints.fill(points, checkpoints.load(path), path)
        locate = Landmarks98(points, place)
    torch.set_num_threads(threads)
    fitter = families.load(fit, threads=threads, device=device)
    family = FsganFamily(network, fitter, locate, interpolated=recipe == "interpolated", step=step, device=place)
    return FsganFrontalizer(card.name, family, takes_target_pose=recipe == "turned", batch=batch_on(place, batch))

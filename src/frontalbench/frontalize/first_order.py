"""``first_order``: First-Order-Model (Siarohin et al. 2019), driven by a synthetic head that turns to the front. 256 pixels in, 256 out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from frontalbench.frontalize.batches import batch_on, to_tensor
from frontalbench.frontalize.driven import RECIPES, Driven, DrivenBatched, Prepared, driver_images, fitter_of, movement_scale
from frontalbench.frontalize.driver import Driver
from frontalbench.landmarks.tddfa import DenseFitter
from frontalbench.networks import checkpoints, first_order, hourglass
from frontalbench.networks.first_order import Generator, keypoint_detector
from frontalbench.networks.hourglass import KeypointDetector, Keypoints, relative

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


class FirstOrderFamily(Driven):
    """See the module and :mod:`.driven`."""

    def __init__(
        self,
        fitter: DenseFitter,
        driver: Driver,
        detector: KeypointDetector,
        generator: Generator,
        device: torch.device,
        *,
        recipe: str,
        adapt_scale: bool = True,
    ) -> None:
        super().__init__(fitter, driver)
        self._detector, self._generator = hourglass.ready(detector).to(device), first_order.ready(generator).to(device)
        self._device, self._recipe, self._adapt_scale = device, recipe, adapt_scale
        with torch.inference_mode():
            self._driving: Keypoints = self._detector(driver_images(driver, device))

    def run(self, items: Sequence[Prepared]) -> torch.Tensor:
        """(N, 3, 256, 256) in 0..1."""
        images = to_tensor([item.framed.pixels for item in items], 0.0, 1.0, self._device)
        source: Keypoints = self._detector(images)
        drawn: torch.Tensor = self._generator(images, source, self._driven(source, [item.start for item in items]))
        return drawn

    def reproduced(self, items: Sequence[Prepared]) -> torch.Tensor:
        """See :class:`~frontalbench.frontalize.driven.Reproduces`."""
        images = to_tensor([item.framed.pixels for item in items], 0.0, 1.0, self._device)
        source: Keypoints = self._detector(images)
        drawn: torch.Tensor = self._generator(images, source, source)
        return drawn

    def _driven(self, source: Keypoints, starts: list[int]) -> Keypoints:
        front = _at(self._driving, [0] * len(starts))
        if self._recipe == "absolute":
            return front
        start = _at(self._driving, starts)
        scale = movement_scale(source.value, start.value) if self._adapt_scale else 1.0
        return relative(source, start, front, scale)


def _at(keypoints: Keypoints, indices: list[int]) -> Keypoints:
    return Keypoints(keypoints.value[indices], None if keypoints.jacobian is None else keypoints.jacobian[indices])


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> DrivenBatched:
    """The frontalizer of a card of family ``first_order``, which ``uses`` a driver card and the dense fit. Weights: the published file, of which
    the parts ``generator`` and ``kp_detector`` are read.

    Params: ``recipe`` relative or absolute ([frontalizers.md](frontalizers.md#drivers)); ``adapt_scale`` true: a relative movement grows with
    the face.
    """
    from frontalbench.catalogue.params import Params
    from frontalbench.frontalize import driver
    from frontalbench.runtime import sessions as runtime
    from frontalbench.weights import store

    params = Params(card)
    recipe, adapt_scale = params.choice("recipe", RECIPES), params.flag("adapt_scale", True)
    params.finish()
    driven_by, fitter = driver.used(card), fitter_of(card, threads=threads, device=device)
    path = store.fetch(card)
    detector, generator = checkpoints.unfilled(keypoint_detector), checkpoints.unfilled(Generator)
    file = checkpoints.opened(path)
    checkpoints.fill(detector, checkpoints.load(file, inner="kp_detector"), path)
    checkpoints.fill(generator, checkpoints.load(file, inner="generator"), path)
    torch.set_num_threads(threads)
    place = runtime.torch_device(device)
    family = FirstOrderFamily(fitter, driven_by, detector, generator, place, recipe=recipe, adapt_scale=adapt_scale)
    return DrivenBatched(card.name, family, takes_target_pose=False, batch=batch_on(place))

"""``fsrt``: FSRT (Rochow et al. 2024), a transformer asked for every pixel, driven by a synthetic head that turns to the front. 256 pixels in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

import torch

from frontalbench.frontalize.base import View
from frontalbench.frontalize.batches import batch_on, to_tensor
from frontalbench.frontalize.check import Check
from frontalbench.frontalize.driven import RECIPES, SIDE, Driven, DrivenBatched, Prepared, driver_images, fitter_of, movement_scale
from frontalbench.frontalize.driver import Driver
from frontalbench.frontalize.selftest import SMALL
from frontalbench.landmarks.tddfa import DenseFitter
from frontalbench.networks import checkpoints
from frontalbench.networks.fsrt import Decoder, Encoder, ExpressionEncoder, Motion, keypoint_detector, observe, ready
from frontalbench.networks.hourglass import KeypointDetector, Keypoints, relative

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

EXPRESSIONS = ("driver", "source")
BATCH = 4


class FsrtFamily(Driven):
    """See the module and :mod:`.driven`."""

    def __init__(
        self,
        fitter: DenseFitter,
        driver: Driver,
        detector: KeypointDetector,
        expression_encoder: ExpressionEncoder,
        encoder: Encoder,
        decoder: Decoder,
        device: torch.device,
        *,
        recipe: str,
        adapt_scale: bool = True,
        expression: str = "driver",
        side: int = SIDE,
    ) -> None:
        super().__init__(fitter, driver, side=side)
        ready(detector, expression_encoder, encoder, decoder)
        for network in (detector, expression_encoder, encoder, decoder):
            network.to(device)
        self._detector, self._expression_encoder, self._encoder, self._decoder = detector, expression_encoder, encoder, decoder
        self._device, self._recipe, self._adapt_scale, self._expression = device, recipe, adapt_scale, expression
        with torch.inference_mode():
            self._driving = observe(detector, expression_encoder, driver_images(driver, device))

    def run(self, items: Sequence[Prepared]) -> torch.Tensor:
        """(N, 3, side, side), about 0..1."""
        images = to_tensor([item.framed.pixels for item in items], 0.0, 1.0, self._device)
        source = observe(self._detector, self._expression_encoder, images)
        tokens = self._encoder(images, source)
        drawn: torch.Tensor = self._decoder(tokens, self._driven(source, [item.start for item in items]), self.side)
        return drawn

    def reproduced(self, items: Sequence[Prepared]) -> torch.Tensor:
        """See :class:`~frontalbench.frontalize.driven.Reproduces`."""
        images = to_tensor([item.framed.pixels for item in items], 0.0, 1.0, self._device)
        source = observe(self._detector, self._expression_encoder, images)
        drawn: torch.Tensor = self._decoder(self._encoder(images, source), source, self.side)
        return drawn

    @contextlib.contextmanager
    def drawing(self, side: int) -> Iterator[None]:
        """Inside, results have ``side`` pixels. The network sees the same crop, and each pixel takes its time whatever the size is."""
        before, self.side = self.side, side
        try:
            yield
        finally:
            self.side = before

    def _driven(self, source: Motion, starts: list[int]) -> Motion:
        count = len(starts)
        expression = source.expression if self._expression == "source" else self._driving.expression[[0] * count]
        front = self._driving.keypoints[[0] * count]
        if self._recipe == "absolute":
            return Motion(front, expression)
        start = self._driving.keypoints[starts]
        scale = movement_scale(source.keypoints, start) if self._adapt_scale else 1.0
        return Motion(relative(Keypoints(source.keypoints), Keypoints(start), Keypoints(front), scale).value, expression)


class FsrtBatched(DrivenBatched):
    """FSRT's frontalizer. Its self-test draws as many pixels as its checks look at: a sixteenth of an image's."""

    def selftest(self, views: Sequence[View]) -> list[Check]:
        family = cast(FsrtFamily, self.family)
        with family.drawing(min(SMALL, family.side)):
            return super().selftest(views)


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> FsrtBatched:
    """The frontalizer of a card of family ``fsrt``, which ``uses`` a driver card and the dense fit. Weights: ``kp_detector`` and ``model``, of
    which the parts ``encoder``, ``decoder`` and ``expression_encoder`` are read.

    Params: ``recipe`` relative or absolute ([frontalizers.md](frontalizers.md#drivers)); ``adapt_scale`` true: a relative movement grows with
    the face; ``expression`` driver or source; ``side`` 256: pixels of the result.
    """
    from frontalbench.catalogue.params import Params
    from frontalbench.frontalize import driver
    from frontalbench.runtime import sessions as runtime
    from frontalbench.weights import store

    params = Params(card)
    recipe, adapt_scale = params.choice("recipe", RECIPES), params.flag("adapt_scale", True)
    expression, side = params.choice("expression", EXPRESSIONS, "driver"), params.integer("side", SIDE)
    params.finish()
    driven_by, fitter = driver.used(card), fitter_of(card, threads=threads, device=device)
    paths = {key: store.fetch(card, key) for key in ("kp_detector", "model")}
    detector = checkpoints.unfilled(keypoint_detector)
    checkpoints.fill(detector, checkpoints.load(paths["kp_detector"]), paths["kp_detector"])
    expression_encoder = checkpoints.unfilled(ExpressionEncoder)
    encoder, decoder = checkpoints.unfilled(Encoder), checkpoints.unfilled(Decoder)
    parts: dict[str, torch.nn.Module] = {"expression_encoder": expression_encoder, "encoder": encoder, "decoder": decoder}
    file = checkpoints.opened(paths["model"])
    for name, network in parts.items():
        checkpoints.fill(network, checkpoints.load(file, inner=name), paths["model"])
    torch.set_num_threads(threads)
    place = runtime.torch_device(device)
    family = FsrtFamily(
        fitter,
        driven_by,
        detector,
        expression_encoder,
        encoder,
        decoder,
        place,
        recipe=recipe,
        adapt_scale=adapt_scale,
        expression=expression,
        side=side,
    )
    return FsrtBatched(card.name, family, takes_target_pose=False, batch=batch_on(place, BATCH))

"""``external``: the restoration network of a foreign package in its own environment, behind the contract of files (docs/external.md).

The adapter is given aligned faces of 512 x 512 pixels and gives such faces back; finding, aligning and putting back is the same code as for our own
networks (:mod:`.restoration`), so that two cards differ in who computed the network alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from frontalbench import status
from frontalbench.catalogue.params import Params
from frontalbench.enhance.base import each
from frontalbench.enhance.drawn import Drawn
from frontalbench.enhance.restoration import SIDE, Finish, aligned, located
from frontalbench.errors import BadConfig
from frontalbench.frontalize import external as foreign
from frontalbench.frontalize.base import FRONTAL, Outcome
from frontalbench.images import RGB
from frontalbench.types import Float

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.detect.base import Detector


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu", places: foreign.Places | None = None) -> ByPackage:
    """The enhancement of a card of family ``external``; its ``uses`` names one detector card and the cards whose weights the adapter is given.

    Params: ``feather``: share of the face's side; ``options``: what the adapter is told; ``seconds_to_start`` 600, ``seconds_per_picture`` 120,
    ``seconds_per_batch``, ``restarts`` 3, ``driver_frames`` 0 as for frontalizers; see [external.md](external.md).

    Raises as the loader of external frontalizers does where the package cannot run here.
    """
    from frontalbench.catalogue import families

    feather = Params(card).number("feather", low=0.01, high=0.5)
    rest = {key: value for key, value in card.params.items() if key != "feather"}
    if "size" in rest:
        raise BadConfig(f"{card.path}: params.size: a restored face has {SIDE} x {SIDE} pixels; leave it out")
    system = foreign.load(dataclasses.replace(card, params={**rest, "size": SIDE}), threads=threads, device=device, places=places)
    detector: Detector = families.load(card.the("detector"), threads=threads, device=device)
    return ByPackage(card.name, system, detector, Finish(mode="full", sigma=0.0, feather=feather))


class ByPackage:
    """See the module. A batch is one start of the foreign process. An image without a face has status ``no_face``."""

    def __init__(self, name: str, system: foreign.ExternalFrontalizer, detector: Detector, finish: Finish) -> None:
        self.name = name
        self._system, self._detector, self._finish = system, detector, finish

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        matrices: list[Float | None] = []

        def look(image: RGB) -> RGB:
            matrices[-1] = located(self._detector, image)
            return image

        outcomes = []
        for image in images:
            matrices.append(None)
            outcomes += each([image], look)
        seen = [(i, matrix) for i, matrix in enumerate(matrices) if matrix is not None]
        with self._system.turned((aligned(images[i], matrix), None, FRONTAL) for i, matrix in seen) as done:
            foreign.report(done)
            for place, (i, matrix) in enumerate(seen):
                outcomes[i] = self._put_back(images[i], matrix, done.outcome(place))
        return outcomes

    def _put_back(self, image: RGB, matrix: Float, made: Outcome) -> Outcome:
        if made.image is None:
            return made
        drawn = Drawn(np.asarray(made.image, np.float32), matrix)
        [outcome] = each([image], lambda pixels: self._finish.finish(pixels, drawn))
        return dataclasses.replace(outcome, seconds=outcome.seconds + made.seconds) if outcome.status == status.OK else outcome

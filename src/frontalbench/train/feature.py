"""What a feature map is estimated from: embeddings of people who do not exist, at many angles, in many states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from frontalbench.embed.base import Backbone, normalise
from frontalbench.geometry.similarity import align
from frontalbench.synth.pairs import Shot, tint, weathered
from frontalbench.types import Bool, Float32, Int


def observations(people: Iterable[tuple[int, Sequence[Shot]]], backbone: Backbone, *, seed: int = 0) -> tuple[Float32, Int, Bool]:
    """(unit-length embeddings (n, D), person (n,), whether it is the frontal image (n,)) of every shot.

    Twice per shot: the mean of image and mirror image, as the map meets them, and the image alone in another light and worn; the frontal
    image counts as frontal only the first time.
    """
    rows: list[Float32] = []
    who: list[int] = []
    frontal: list[bool] = []
    for number, shots in people:
        random = np.random.default_rng([seed, number])
        clean = np.stack([align(shot.image, shot.face.points) for shot in shots])
        worn = np.stack([align(weathered(tint(random)(shot.image), random, always=True), shot.face.points) for shot in shots])
        straight, flipped, other = (normalise(backbone.embed(crops))[0] for crops in (clean, np.ascontiguousarray(clean[:, :, ::-1]), worn))
        rows += [*normalise(straight + flipped)[0], *other]
        who += [number] * (2 * len(shots))
        frontal += [shot.name == "front" for shot in shots] + [False] * len(shots)
    return np.stack(rows), np.array(who), np.array(frontal)

"""``feature_frontal``: an angled embedding mapped towards the frontal one, per backbone, gated by the measured yaw.

The embedding x of an angled image is a person's frontal embedding s plus what angle, light and damage add, n. If both were normal with
covariances B (between people) and W (within a person), the best guess of s is B (B + W)^-1 x, the Wiener filter. Both are estimated on people who do
not exist, and pulled towards multiples of the identity until so little is left of them as a few hundred people can tell: with B = b I and W = w I the
filter is a factor, which a cosine does not see. The further a face is turned the more of the filter is used: none below the gate's first angle,
all of it from the second on, so that a nearly frontal image keeps its embedding.

A map belongs to its backbone: what it makes is another recogniser, which was still trained on no real person more. It says nothing about images.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from frontalbench.compare.derived import fuse_mean, normalised
from frontalbench.errors import BadConfig, BadInput
from frontalbench.files import arrays
from frontalbench.types import Float, Float32

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


RECIPE = "feature_frontal"
KIND = "feature"


def card_name(backbone: str) -> str:
    """The card of a backbone's map."""
    return f"feature_{backbone}"


@dataclass(frozen=True)
class FeatureMap:
    """``matrix`` (D, D): the filter, of mean diagonal 1; ``gate``: |yaw| in degrees where it begins to be used and where it is used in full."""

    matrix: Float
    gate: tuple[float, float]

    def apply(self, original: Float32, view: Float32, yaw: npt.ArrayLike) -> Float32:
        """Unit-length embeddings (n, D) of the mean of ``original`` and ``view`` (n, D), mapped; ``yaw`` (n,) in degrees, NaN: unknown."""
        mean = fuse_mean(original, view).astype(np.float64)
        share = self.share(yaw)[:, None]
        return normalised(mean + share * (mean @ self.matrix.T - mean))

    def share(self, yaw: npt.ArrayLike) -> Float:
        """How much of the map is used, 0..1 (n,); 0 where the yaw is not known."""
        angle = np.abs(np.nan_to_num(np.asarray(yaw, np.float64), nan=0.0))
        low, high = self.gate
        return np.asarray(np.clip((angle - low) / (high - low), 0.0, 1.0), np.float64)


def wiener(between: npt.ArrayLike, within: npt.ArrayLike, shrinkage: float) -> Float:
    """The filter (D, D), mean diagonal 1: ``shrinkage`` times the mean variance is added to the diagonal of both covariances (D, D)."""
    b, w = np.asarray(between, np.float64), np.asarray(within, np.float64)
    one = np.eye(len(b))
    b, w = b + shrinkage * np.trace(b) / len(b) * one, w + shrinkage * np.trace(w) / len(w) * one
    found = np.linalg.solve((b + w).T, b.T).T
    return np.asarray(found * (len(b) / np.trace(found)), np.float64)


def covariances(embeddings: npt.ArrayLike, person: npt.ArrayLike, frontal: npt.ArrayLike) -> tuple[Float, Float]:
    """(between, within) covariances (D, D) of unit-length ``embeddings`` (n, D) of people ``person`` (n,).

    ``frontal`` (n,) marks the one image of every person that the others are compared with. Raises :class:`BadInput` for less than two people.
    """
    rows, who, chosen = np.asarray(embeddings, np.float64), np.asarray(person), np.asarray(frontal, bool)
    people, first = np.unique(who[chosen], return_index=True)
    if len(people) < 2 or len(people) != int(chosen.sum()) or not np.isin(who, people).all():
        raise BadInput("covariances: expected one frontal image of every person, and two people or more")
    goal = rows[chosen][first]
    others = ~chosen
    apart = rows[others] - goal[np.searchsorted(people, who[others])]
    return np.cov(goal.T), apart.T @ apart / max(1, len(apart))


def save(path: str | os.PathLike[str], found: FeatureMap, about: dict[str, str]) -> None:
    """Write a map as safetensors (float16) with ``about`` in its metadata."""
    arrays.write(path, {"matrix": found.matrix.astype(np.float16)}, {**about, "gate": json.dumps(list(found.gate))})


def load(card: ModelCard, **_: Any) -> FeatureMap:
    """The map of a card of family ``wiener``. Raises :class:`BadConfig`.

    Params: ``dimension``.
    """
    from safetensors import SafetensorError, safe_open

    from frontalbench.catalogue.params import Params
    from frontalbench.weights import store

    params = Params(card)
    dimension = params.integer("dimension")
    params.finish()
    path: Path = store.fetch(card)
    try:
        with safe_open(path, "np") as handle:
            matrix, gate = handle.get_tensor("matrix").astype(np.float64), json.loads(handle.metadata()["gate"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise BadConfig(f"{path}: not a feature map ({error}); train_feature.py writes them") from error
    if matrix.shape != (dimension, dimension) or not np.isfinite(matrix).all() or not 0.0 <= gate[0] < gate[1]:
        raise BadConfig(f"{path}: expected a finite matrix of {dimension} x {dimension} and a rising gate, found {matrix.shape} and {gate}")
    return FeatureMap(matrix, (float(gate[0]), float(gate[1])))

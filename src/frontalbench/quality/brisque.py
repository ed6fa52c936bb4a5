"""BRISQUE (Mittal, Moorthy and Bovik 2012, IEEE TIP 21(12)): a score of an image without any reference; lower is better, about 0 .. 100.

36 numbers say how the locally normalised brightness is distributed, at two scales; a support vector regression that the authors trained on people's
opinions of the LIVE images turns them into a score. Follows the authors' release: brightness 0 .. 255 with the weights of ITU-R BT.601, a 7 x 7
Gaussian window of standard deviation 7/6, zeros beyond the border, neighbours wrapped around, shapes looked for in steps of 0.001. Half size by
Pillow's bicubic filter (which blurs before it reduces, as the authors' does).
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
from PIL import Image
from scipy.special import gammaln

from frontalbench.catalogue.params import Params
from frontalbench.errors import BadInput
from frontalbench.images import RGB
from frontalbench.types import Float

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


LENGTH: Final = 36
_SHIFTS: Final = ((0, 1), (1, 0), (1, 1), (-1, 1))
"""Neighbours (down, right) whose products are looked at."""


@dataclass(frozen=True)
class Regression:
    """A support vector regression with a Gaussian kernel: ``vectors`` (N, 36), ``weights`` (N,), ``gamma``, ``rho``."""

    vectors: Float
    weights: Float
    gamma: float
    rho: float

    def __call__(self, values: Float) -> float:
        """The prediction for ``values`` (36,), each scaled to about -1 .. 1."""
        return float(self.weights @ np.exp(-self.gamma * np.square(self.vectors - values).sum(1)) - self.rho)


class Brisque:
    """The score: a regression and the range in which each of the 36 numbers lay in its training."""

    def __init__(self, regression: Regression, lowest: Float, highest: Float) -> None:
        self._regression, self._lowest, self._highest = regression, lowest, highest

    def score(self, crop: RGB) -> float:
        """The score of an RGB image; NaN for one without any detail (all of one brightness)."""
        grey = np.rint(crop @ np.array([0.2989, 0.5870, 0.1140]))
        return self.of_features(features(grey))

    def of_features(self, values: Float) -> float:
        """The score of the 36 numbers."""
        return self._regression(2.0 * (values - self._lowest) / (self._highest - self._lowest) - 1.0)


def features(grey: Float) -> Float:
    """float64 (36,) of a brightness (H, W), 0 .. 255; NaN where the image has no detail."""
    half = Image.fromarray(grey.astype(np.float32)).resize(
        (max(1, grey.shape[1] // 2), max(1, grey.shape[0] // 2)), Image.Resampling.BICUBIC
    )
    return np.concatenate([_of_scale(grey), _of_scale(np.asarray(half, np.float64))])


def _of_scale(grey: Float) -> Float:
    blur = functools.partial(cv2.GaussianBlur, ksize=(7, 7), sigmaX=7 / 6, borderType=cv2.BORDER_CONSTANT)
    mean = blur(grey)
    deviation = np.sqrt(np.abs(blur(grey * grey) - mean * mean))
    normal = (grey - mean) / (deviation + 1.0)
    found = list(_symmetric(normal))
    for shift in _SHIFTS:
        found += _asymmetric(normal * np.roll(normal, shift, (0, 1)))
    return np.array(found)


@functools.cache
def _shapes() -> tuple[Float, Float]:
    """Shapes of the generalised Gaussian, 0.2 .. 10, and mean(|x|)^2 / mean(x^2) of each, which rises with the shape."""
    shapes = np.arange(200, 10_001) / 1000.0
    return shapes, np.exp(2.0 * gammaln(2.0 / shapes) - gammaln(1.0 / shapes) - gammaln(3.0 / shapes))


def _shape(ratio: float) -> float:
    """The shape whose ratio is the nearest one."""
    shapes, ratios = _shapes()
    at = int(np.clip(np.searchsorted(ratios, ratio), 1, len(ratios) - 1))
    return float(shapes[at - 1 if ratio - ratios[at - 1] <= ratios[at] - ratio else at])


def _symmetric(values: Float) -> tuple[float, float]:
    """Shape and variance."""
    variance = float(np.mean(np.square(values)))
    if variance == 0.0:
        return np.nan, np.nan
    return _shape(float(np.mean(np.abs(values))) ** 2 / variance), variance


def _asymmetric(values: Float) -> list[float]:
    """Shape, mean, variance on the left and on the right of zero (Lasmar et al. 2009)."""
    below, above = values[values < 0], values[values > 0]
    if not len(below) or not len(above):
        return [np.nan] * 4
    left, right = float(np.sqrt(np.mean(below**2))), float(np.sqrt(np.mean(above**2)))
    skew = left / right
    ratio = float(np.mean(np.abs(values))) ** 2 / float(np.mean(values**2))
    shape = _shape(ratio * (skew**3 + 1.0) * (skew + 1.0) / (skew**2 + 1.0) ** 2)
    mean = (right - left) * float(np.exp(gammaln(2.0 / shape) - 0.5 * (gammaln(1.0 / shape) + gammaln(3.0 / shape))))
    return [shape, mean, left**2, right**2]


def read_model(path: Path) -> Regression:
    """A LIBSVM text model: epsilon regression, Gaussian kernel, 36 numbers per vector. Raises :class:`BadInput` for anything else."""
    try:
        head, _, body = path.read_text(encoding="ascii").partition("SV\n")
        facts = dict(line.split(maxsplit=1) for line in head.splitlines())
        if (facts["svm_type"], facts["kernel_type"]) != ("epsilon_svr", "rbf"):
            raise ValueError(f"{facts['svm_type']} with kernel {facts['kernel_type']}, expected epsilon_svr with rbf")
        rows = [line.split() for line in body.splitlines()]
        vectors = np.zeros((len(rows), LENGTH))
        for vector, row in zip(vectors, rows, strict=True):
            for entry in row[1:]:  # zeros are left out
                index, _, value = entry.partition(":")
                vector[int(index) - 1] = float(value)
        if len(rows) != int(facts["total_sv"]):
            raise ValueError(f"{len(rows)} vectors, {facts['total_sv']} announced")
        return Regression(vectors, np.array([float(row[0]) for row in rows]), float(facts["gamma"]), float(facts["rho"]))
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise BadInput(f"{path}: not the regression of BRISQUE ({error}); fetch the file again") from error


def load(card: ModelCard) -> Brisque:
    """The score of a card of family ``brisque``. Raises WeightsMissing.

    Params: ``lowest``, ``highest``: 36 numbers each.
    """
    from frontalbench.weights import store

    params = Params(card)
    lowest, highest = (np.array(params.numbers(key, LENGTH)) for key in ("lowest", "highest"))
    params.finish()
    return Brisque(read_model(store.fetch(card)), lowest, highest)

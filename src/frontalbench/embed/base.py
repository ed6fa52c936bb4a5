"""What every recognition backbone gives."""

from __future__ import annotations

from typing import Final, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from frontalbench.geometry import similarity
from frontalbench.types import Float32, UInt8

PRECISIONS: Final = ("float32", "float16")
"""What a card may ask for; a CPU always computes in float32."""


@runtime_checkable
class Backbone(Protocol):
    """A recognition network, ready to run. May be called from several threads at once."""

    name: str
    """The card's name."""
    dimension: int
    """Length of an embedding."""
    takes_points: bool
    """Whether the five points are a second input of the network; all others leave them alone."""

    def embed(self, crops: UInt8, points: Float32 | None = None) -> Float32:
        """Embeddings float32 (N, D), **not** normalised, of aligned crops uint8 (N, 112, 112, 3) RGB; N may be 0.

        ``points`` float32 (N, 5, 2): where the five points of each face lie in its crop, x and y in pixels (:func:`points_in_crop`); a network that
        takes them and is given none is given the template that crops are aligned to.
        An embedding does not depend on which crops share its batch beyond rounding (1e-5).
        """
        ...


def points_in_crop(points: npt.ArrayLike) -> Float32:
    """The five points (5, 2) of a face, in pixels of its image -> in pixels of its aligned crop, float32 (5, 2).

    Raises :class:`~frontalbench.geometry.similarity.DegeneratePoints` when they determine no alignment.
    """
    return similarity.apply(similarity.alignment_matrix(points), points).astype(np.float32)


def normalise(embeddings: Float32) -> tuple[Float32, Float32]:
    """(unit-length rows float32 (N, D), their lengths before float32 (N,)); a zero row stays zero."""
    norms: Float32 = np.linalg.norm(embeddings, axis=1).astype(np.float32)
    return (embeddings / np.where(norms > 0, norms, 1)[:, None]).astype(np.float32), norms

"""The recogniser of InsightFace's own package, through its ``FaceAnalysis``: one face at a time, as its ``get`` does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.detect.faceanalysis import JOINT, Pack
from frontalbench.errors import BadConfig, BadInput
from frontalbench.geometry.similarity import ARCFACE_SIZE
from frontalbench.types import Float32, UInt8

if TYPE_CHECKING:
    from pathlib import Path

    from frontalbench.catalogue.cards import ModelCard


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> FaceAnalysisBackbone:
    """The backbone of a card of family ``faceanalysis``.

    Params: ``dimension``; ``precision`` float32. The card ``uses`` a detector card, without which the package opens no pack.

    Raises WeightsMissing, and BadInput where the package takes the file for something else. ``threads`` is not used: the package makes its sessions.
    """
    from frontalbench.weights import store

    params = Params(card)
    dimension = params.integer("dimension")
    params.choice("precision", ("float32",), "float32")
    params.finish()
    used = [one for one in card.used_cards() if one.kind == "detector"]
    if len(used) != 1:
        raise BadConfig(f"{card.path}: uses: expected one detector card, without which the package opens no pack")
    return FaceAnalysisBackbone(card.name, store.fetch(card), store.fetch(used[0]), dimension=dimension, device=device)


class FaceAnalysisBackbone:
    """The recogniser of an InsightFace pack, by the package."""

    takes_points = False

    def __init__(self, name: str, model: Path, detector: Path, *, dimension: int, device: str = "cpu") -> None:
        self.name, self.dimension = name, dimension
        files = {"detector.onnx": detector, "recogniser.onnx": model}
        self._pack = Pack(files, modules=["detection", "recognition"], size=JOINT, threshold=0.5, device=device)
        if "recognition" not in self._pack.app.models:
            raise BadInput(f"{model}: the insightface package takes it for no recogniser; correct the card's file")
        found = self.embed(np.zeros((1, ARCFACE_SIZE, ARCFACE_SIZE, 3), np.uint8))
        if found.shape[1] != dimension:
            raise BadInput(f"{model}: the card says dimension {dimension}, the file gives {found.shape[1]}; correct the card")

    def embed(self, crops: UInt8, points: Float32 | None = None) -> Float32:
        """See :meth:`frontalbench.embed.base.Backbone.embed`."""
        model = self._pack.app.models["recognition"]
        rows = [model.get_feat(np.ascontiguousarray(crop[..., ::-1])).reshape(-1) for crop in crops]
        return np.stack(rows).astype(np.float32) if rows else np.zeros((0, self.dimension), np.float32)

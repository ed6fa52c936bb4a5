"""Face image quality from an ONNX network: aligned 112 x 112 crop in, one number out, higher is better.

Written for eDifFIQA (Babnik, Peer and Struc 2024, IEEE T-BIOM): how useful a face recogniser will find the crop, learned from how much an
embedding moves when the image is disturbed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.errors import BadInput
from frontalbench.images import RGB
from frontalbench.runtime import sessions as runtime

if TYPE_CHECKING:
    import onnxruntime

    from frontalbench.catalogue.cards import ModelCard


class FaceQuality:
    """The network; RGB crops as (x - ``mean``) / ``std``."""

    def __init__(self, session: onnxruntime.InferenceSession, *, side: int, mean: float, std: float) -> None:
        self._session, self._side, self._mean, self._std = session, side, mean, std
        self._input = session.get_inputs()[0].name

    def score(self, crop: RGB) -> float:
        """The quality of an aligned crop. Raises :class:`BadInput` for a crop of another size or a network that gives anything but one number."""
        if crop.shape != (self._side, self._side, 3):
            raise BadInput(f"a crop of {crop.shape[:2]}; the quality network wants {self._side} x {self._side}")
        blob = ((crop.astype(np.float32) - self._mean) / self._std).transpose(2, 0, 1)[None]
        out = np.asarray(self._session.run(None, {self._input: blob})[0])
        if out.size != 1:
            raise BadInput(f"the quality network gave {out.shape}, expected one number; check the card's file")
        return float(out.reshape(()))


def load(card: ModelCard, *, threads: int = 1) -> FaceQuality:
    """The measure of a card of family ``fiqa_onnx``. Raises WeightsMissing.

    Params: ``side`` 112, ``mean`` 127.5, ``std`` 127.5.
    """
    from frontalbench.weights import store

    params = Params(card)
    side, mean = params.integer("side", 112), params.number("mean", 127.5)
    std = params.number("std", 127.5, low=1e-6)
    params.finish()
    session = runtime.onnx_session(store.fetch(card), threads=threads, name=card.name)
    return FaceQuality(session, side=side, mean=mean, std=std)

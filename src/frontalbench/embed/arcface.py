"""ArcFace-like backbones in ONNX files: 112 x 112 aligned crop in, embedding out. Everything that differs between them stands on the card."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import cv2
import numpy as np

from frontalbench.catalogue.params import Params
from frontalbench.embed.base import PRECISIONS
from frontalbench.embed.graph import fast_graph
from frontalbench.errors import BadInput
from frontalbench.geometry.similarity import ARCFACE_SIZE
from frontalbench.networks import asked
from frontalbench.runtime import engines
from frontalbench.runtime import sessions as runtime
from frontalbench.types import Float32, UInt8

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

CHUNK_CPU: Final = 4
"""Crops per run on the CPU: activation maps of more do not stay in the cache, and small pieces spread over threads."""
CHUNK_PYTORCH: Final = 8
"""Of PyTorch, whose convolutions take a whole piece in one matrix product: filters are read once for all of it."""
CHUNK_GPU: Final = 128
_LARGEST_REWRITTEN: Final = 600_000_000  # bytes; protobuf ends at 2 GB, and copies are made
_SAME: Final = 1e-4


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> ArcFaceOnnx:
    """The backbone of a card of family ``arcface_onnx``.

    Params: ``dimension``; ``height``, ``width`` 112; ``fit`` resize or centre (when the size is another); ``mean``, ``std`` 127.5 (a number, or
    three in the network's colour order); ``colour`` rgb or bgr; ``layout`` nchw or nhwc; ``fast_prelu`` true (the same function, faster on a
    CPU; false where a file does not stand it); ``precision`` float32 or float16 (GPU only); ``engine_cpu`` onnxruntime or torch, for files of 3 x 3
    convolutions.
    """
    from frontalbench.weights import store

    options = read_params(card)
    return ArcFaceOnnx(card.name, store.fetch(card), threads=threads, device=device, **options)


def read_params(card: ModelCard) -> dict[str, Any]:
    """The params of a card of family ``arcface_onnx``, see :func:`load`, every one that is not given at its default. Raises BadConfig."""
    params = Params(card)
    options: dict[str, Any] = {
        "dimension": params.integer("dimension"),
        "size": (params.integer("height", ARCFACE_SIZE), params.integer("width", ARCFACE_SIZE)),
        "fit": params.choice("fit", ("resize", "centre"), "resize"),
        "mean": params.numbers("mean", 3, 127.5),
        "std": params.numbers("std", 3, 127.5),
        "colour": params.choice("colour", ("rgb", "bgr"), "rgb"),
        "layout": params.choice("layout", ("nchw", "nhwc"), "nchw"),
        "fast_prelu": params.flag("fast_prelu", True),
        "precision": params.choice("precision", PRECISIONS, PRECISIONS[0]),
        "engine": params.choice("engine_cpu", engines.NAMES, engines.NAMES[0]),
    }
    params.finish()
    return options


class ArcFaceOnnx:
    """A backbone over ONNX Runtime. ``embed`` may be called from several threads at once.

    ``threads`` pieces of a batch run at once, each on one thread: that uses cores better than threads inside of an operator, and makes the result
    independent of the thread count. ``batched`` says whether the file takes several crops at once: tried out at load, because some files declare a
    free batch and then fail on it, or mix the rows.
    """

    takes_points = False

    def __init__(
        self,
        name: str,
        model: str | os.PathLike[str],
        *,
        dimension: int,
        size: tuple[int, int] = (ARCFACE_SIZE, ARCFACE_SIZE),
        fit: str = "resize",
        mean: tuple[float, ...] = (127.5,) * 3,
        std: tuple[float, ...] = (127.5,) * 3,
        colour: str = "rgb",
        layout: str = "nchw",
        fast_prelu: bool = True,
        precision: str = "float32",
        engine: str = "onnxruntime",
        threads: int = 1,
        device: str = "cpu",
    ) -> None:
        """Raises :class:`BadInput` where ``engine`` cannot compute the file."""
        self.name, self.dimension = name, dimension
        self._size, self._fit, self._bgr, self._nhwc = size, fit, colour == "bgr", layout == "nhwc"
        if any(value == 0 for value in std):
            raise BadInput(f"{name}: std must not be 0; correct the card's params")
        self._mean, self._factor = np.asarray(mean, np.float32), (1 / np.asarray(std, np.float64)).astype(np.float32)
        self._session = _session(model, fast_prelu=fast_prelu, precision=precision, device=device, engine=engine)
        gpu = "CUDAExecutionProvider" in self._session.get_providers()
        by_pytorch = "PyTorch" in self._session.get_providers()
        self._threads = 1 if gpu else max(1, threads)
        self._input = self._check_input(model)
        self._output = self._session.get_outputs()[0].name
        # PyTorch lays convolutions out for as many crops as its first call has.
        self.batched = self._check_outputs(model, CHUNK_PYTORCH if by_pytorch else 2)
        self._chunk = (CHUNK_GPU if gpu else CHUNK_PYTORCH if by_pytorch else CHUNK_CPU) if self.batched else 1

    def embed(self, crops: UInt8, points: Float32 | None = None) -> Float32:
        """See :meth:`frontalbench.embed.base.Backbone.embed`."""
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (ARCFACE_SIZE, ARCFACE_SIZE, 3):
            raise BadInput(f"{self.name}: crops should be uint8 (N, {ARCFACE_SIZE}, {ARCFACE_SIZE}, 3), are {crops.dtype} {crops.shape}")
        result = np.empty((len(crops), self.dimension), np.float32)

        def piece(start: int) -> None:
            rows = crops[start : start + self._chunk]
            result[start : start + len(rows)] = self._run(self._prepare(rows))

        starts = range(0, len(crops), self._chunk)
        if self._threads == 1 or len(starts) < 2:
            for start in starts:
                piece(start)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(piece, starts))
        return result

    def _prepare(self, crops: UInt8) -> Float32:
        height, width = self._size
        if (height, width) != crops.shape[1:3]:
            if self._fit == "centre":
                top, left = (ARCFACE_SIZE - height) // 2, (ARCFACE_SIZE - width) // 2
                crops = crops[:, top : top + height, left : left + width]
            else:
                crops = np.stack([cv2.resize(crop, (width, height), interpolation=cv2.INTER_LINEAR) for crop in crops])
        if self._bgr:
            crops = crops[..., ::-1]
        if self._nhwc:
            scaled: Float32 = np.multiply(crops - self._mean, self._factor, dtype=np.float32, order="C")
            return scaled
        blob: Float32 = np.subtract(crops.transpose(0, 3, 1, 2), self._mean[:, None, None], dtype=np.float32, order="C")
        blob *= self._factor[:, None, None]
        return blob

    def _run(self, blob: Float32, options: Any = None) -> Float32:
        output: Float32 = runtime.run(self._session, [self._output], {self._input: blob}, options)[0]
        rows: Float32 = output.reshape(len(blob), -1)
        return rows

    def _check_input(self, model: str | os.PathLike[str]) -> str:
        inputs = self._session.get_inputs()
        height, width = self._size
        wanted = (height, width, 3) if self._nhwc else (3, height, width)
        found = inputs[0].shape if len(inputs) == 1 else []
        if len(found) != 4 or any(isinstance(have, int) and have != want for have, want in zip(found[1:], wanted, strict=True)):
            raise BadInput(
                f"{model}: the card says input (N, {', '.join(map(str, wanted))}), the file has {[i.shape for i in inputs]}; correct the card"
            )
        if self._fit == "centre" and (height > ARCFACE_SIZE or width > ARCFACE_SIZE):
            raise BadInput(
                f"{model}: fit 'centre' cannot give {height} x {width} from a {ARCFACE_SIZE} x {ARCFACE_SIZE} crop; use fit: resize"
            )
        return str(inputs[0].name)

    def _check_outputs(self, model: str | os.PathLike[str], count: int) -> bool:
        """Whether batches work, tried with ``count`` crops; raises :class:`BadInput` when the embedding is not as long as the card says."""
        noise = np.random.default_rng(0).integers(0, 256, (count, ARCFACE_SIZE, ARCFACE_SIZE, 3), np.uint8)
        blob = self._prepare(noise)
        several: Float32 | None = None
        failure = ""
        if self._session.get_inputs()[0].shape[0] != 1:
            try:
                several = self._run(blob, runtime.quiet_run())
            except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions share no base class but Exception
                failure = str(error).splitlines()[0]
        try:
            single = np.concatenate([self._run(blob[:1]), self._run(blob[1:2])])
        except Exception as error:  # as above
            raise BadInput(f"{model}: does not run on one crop ({str(error).splitlines()[0][:160]}); correct the card's params") from error
        if len(single) != 2:
            raise BadInput(
                f"{model}: gives no embedding when it is run by {self._session.get_providers()[0]}; leave the card's precision_cpu out"
            )
        if single.shape[1] != self.dimension:
            raise BadInput(f"{model}: the card says dimension {self.dimension}, the file gives {single.shape[1]}; correct the card")
        if failure:
            runtime.log.info("%s: declares a free batch but fails on one (%s); crops run one by one", model, failure[:120])
        if several is None or several.shape != (count, self.dimension):
            return False
        return bool(np.abs(several[:2] - single).max() <= _SAME * np.abs(single).max())


def _session(model: str | os.PathLike[str], *, fast_prelu: bool, precision: str, device: str, engine: str) -> Any:
    if engine != engines.NAMES[0] and runtime.provider(device) == "cpu":
        return engines.session(model, engine, device=device)
    kind, _ = runtime.parse_device(device)
    fast_prelu = fast_prelu and asked.word() == PRECISIONS[0]  # written for ONNX Runtime, which has no half precision on a CPU
    if fast_prelu and kind == "cpu" and Path(model).is_file() and Path(model).stat().st_size <= _LARGEST_REWRITTEN:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            rewritten = fast_graph(model)
        return runtime.onnx_session(rewritten, threads=1, device=device, name=os.fspath(model))
    return runtime.onnx_session(model, threads=1, device=device, precision=precision)

"""MobileStyleGAN (Belousov 2021, "MobileStyleGAN: A Lightweight Convolutional Neural Network for High-Fidelity Image Synthesis") through OpenVINO.

A noise vector of 512 normal values becomes a *style* of 512 values (mapping network), a style becomes an image of 1024 x 1024 (synthesis
network). Every layer of the synthesis network reads the style by itself, so the coarse layers (head, pose) can be given another one than the
fine layers (skin, light, colours).
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench.catalogue.cards import ModelCard, PackageSource, WeightFile
from frontalbench.enhance.base import to_bytes
from frontalbench.errors import BadInput, WeightsMissing
from frontalbench.images import RGB

Style = npt.NDArray[np.float32]
"""``float32 (512,)``."""

LATENT: Final = 512
COARSE_LAYERS: Final = 10
"""The first style inputs, those of the layers of 4 to 32 pixels: they place and turn the head."""

_FILES: Final = {
    "mapping_graph": ("MappingNetwork.xml", 59865, "73e2096cad6e696e4af47df2477e048ab4c42c0e0dec83c7c66604822689e55b"),
    "mapping_weights": ("MappingNetwork.bin", 8405040, "212dd716bdb556e18db603ea97300d4fa3c872b878c726b2402fea80820e7305"),
    "synthesis_graph": ("SynthesisNetwork.xml", 425183, "7918fce515243954d3e06628cb39a23902d6b1d5d02932cc0c2faee7a2aeeedd"),
    "synthesis_weights": ("SynthesisNetwork.bin", 32025440, "c7da15fa22d508c82e1c30dd6b4cdf67fe3ccdddaf85b310ee764dbf0c289645"),
}
PACKAGE: Final = "random-face==2021.7.21.1"


def _weight(key: str) -> WeightFile:
    file, size, sha256 = _FILES[key]
    package, _, version = PACKAGE.partition("==")
    return WeightFile(key, file, size, sha256, (PackageSource("python", package, version, "wheel", f"random_face/data/{file}"),))


CARD: Final = ModelCard(
    name="mobilestylegan",
    kind="generator",
    family="mobilestylegan",
    title="MobileStyleGAN, distilled from StyleGAN2 trained on FFHQ",
    path=Path(__file__),
    root=Path(__file__).parent,
    params=MappingProxyType({}),
    weights=MappingProxyType({key: _weight(key) for key in _FILES}),
    uses=(),
    trained_with=(),
    data=MappingProxyType({}),
)
"""The four files of the generator, for the weight store. Not in ``config/models``: no run of the grid uses it."""


class Generator:
    """The two networks. Same machine type, same threads: same pixels."""

    def __init__(self, *, threads: int = 1) -> None:
        """Fetches the weights if need be. Raises :class:`WeightsMissing`, and :class:`BadInput` when OpenVINO is not installed."""
        try:
            import openvino
        except ImportError:
            raise BadInput("making synthetic faces needs OpenVINO; install the extra: pip install -e '.[synth]'") from None
        from frontalbench.weights import store

        paths = store.fetch_card(CARD)
        # By default OpenVINO computes in bfloat16 where the CPU can: faster, but other pixels on other machines.
        options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY"}
        core = openvino.Core()
        mapping = core.read_model(str(paths["mapping_graph"]), str(paths["mapping_weights"]))
        synthesis = core.read_model(str(paths["synthesis_graph"]), str(paths["synthesis_weights"]))
        self._map = core.compile_model(mapping, "CPU", options)
        self._draw = core.compile_model(_with_two_styles(openvino, synthesis), "CPU", options)

    def style(self, noise: npt.NDArray[Any]) -> Style:
        """The style of a noise vector (512,)."""
        return np.array(self._map([np.asarray(noise, np.float32)[None]])[0][0], np.float32)

    def render(self, coarse: npt.NDArray[Any], fine: npt.NDArray[Any], size: int = 256) -> RGB:
        """The image (``size``, ``size``, 3) of a style for the coarse layers and one for the fine layers (the same twice: the plain network)."""
        output = self._draw([np.asarray(coarse, np.float32)[None], np.asarray(fine, np.float32)[None]])[0][0]
        pixels = (np.clip(output.transpose(1, 2, 0), -1.0, 1.0) + 1.0) * np.float32(127.5)
        return to_bytes(cv2.resize(pixels, (size, size), interpolation=cv2.INTER_AREA))


def _with_two_styles(openvino: Any, model: Any) -> Any:
    """The synthesis network with a second input, which the layers from :data:`COARSE_LAYERS` on read."""
    readers = [target for target in model.inputs[0].get_target_inputs() if target.get_node().get_type_name() == "MatMul"]
    # Named Gemm_<n>/..., n rising from the 4-pixel layer to the image.
    readers.sort(key=lambda target: int(target.get_node().get_friendly_name().split("_")[1].split("/")[0]))
    if len(readers) <= COARSE_LAYERS:
        raise WeightsMissing(
            f"the synthesis network has {len(readers)} style inputs, expected more than {COARSE_LAYERS}; fetch the weights again"
        )
    fine = openvino.op.Parameter(openvino.Type.f32, openvino.PartialShape([1, LATENT]))
    for target in readers[COARSE_LAYERS:]:
        target.replace_source_output(fine.output(0))
    return openvino.Model(model.get_results(), [model.get_parameters()[0], fine], "two_styles")

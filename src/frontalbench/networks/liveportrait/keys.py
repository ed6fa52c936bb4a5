"""Which tensors the official checkpoints hold, by network: the contract that :mod:`frontalbench.networks.liveportrait.files` enforces.

The lists are generated from the architecture (arXiv 2407.03168, figure 2 and the released configuration: 21 keypoints, ConvNeXt-V2-tiny motion
network, depth-16 dense motion, SPADE generator with spectral norm); nothing is read from a file.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from types import MappingProxyType

Shape = tuple[int, ...]

KEYPOINTS = 21
DEPTH = 16
VOLUME_CHANNELS = 32
MOTION_DEPTHS = (3, 3, 9, 3)
MOTION_WIDTHS = (96, 192, 384, 768)
MOTION_HEADS = {"kp": 3 * KEYPOINTS, "scale": 1, "pitch": 66, "yaw": 66, "roll": 66, "t": 3, "exp": 3 * KEYPOINTS}
ENCODER_WIDTHS = (110, 64, 128, 256, 512, 1024)
DECODER_WIDTHS = ((1024, 512), (1024, 256), (512, 128), (256, 64), (128, 32))
HOURGLASS_OUT = 142
FLOWS = KEYPOINTS + 1
SPADE_BLOCKS = {**{f"G_middle_{i}": (512, 512) for i in range(6)}, "up_0": (512, 256), "up_1": (256, 64)}
MLP_WIDTHS = {
    "stitching": (126, 128, 128, 64, 65),
    "lip": (65, 128, 128, 64, 63),
    "eye": (66, 256, 256, 128, 128, 64, 63),
}
"""Input, hidden and output widths of the stitching and retargeting perceptrons."""

FILES = {
    "appearance": "appearance_feature_extractor",
    "motion": "motion_extractor",
    "warping": "warping_module",
    "generator": "spade_generator",
    "stitching": "stitching_retargeting_module",
}
"""Name of a network here -> stem of its official checkpoint file."""
NETWORKS = ("appearance", "motion", "warping", "generator", "stitching", "lip", "eye")
"""The networks; the last three share one file."""
INTEGER_SUFFIX = "num_batches_tracked"


@functools.cache
def expected(network: str) -> Mapping[str, Shape]:
    """Key -> shape of one network of :data:`NETWORKS`, in the official names. Raises KeyError for another name."""
    generators = {"appearance": _appearance, "motion": _motion, "warping": _warping, "generator": _generator}
    if network in MLP_WIDTHS:
        return MappingProxyType(dict(_mlp(MLP_WIDTHS[network])))
    return MappingProxyType(dict(generators[network]()))


Keys = Iterator[tuple[str, Shape]]


def _conv(name: str, out: int, inside: int, *kernel: int) -> Keys:
    yield f"{name}.weight", (out, inside, *kernel)
    yield f"{name}.bias", (out,)


def _linear(name: str, out: int, inside: int) -> Keys:
    yield from _conv(name, out, inside)


def _affine(name: str, width: int) -> Keys:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def _batch_norm(name: str, width: int) -> Keys:
    yield from _affine(name, width)
    yield f"{name}.running_mean", (width,)
    yield f"{name}.running_var", (width,)
    yield f"{name}.{INTEGER_SUFFIX}", ()


def _appearance() -> Keys:
    widths = (64, 128, 256)
    yield from _conv("first.conv", 64, 3, 3, 3)
    yield from _batch_norm("first.norm", 64)
    for i in range(2):
        yield from _conv(f"down_blocks.{i}.conv", widths[i + 1], widths[i], 3, 3)
        yield from _batch_norm(f"down_blocks.{i}.norm", widths[i + 1])
    yield from _conv("second", VOLUME_CHANNELS * DEPTH, 256, 1, 1)
    for i in range(6):
        for j in (1, 2):
            yield from _conv(f"resblocks_3d.3dr{i}.conv{j}", VOLUME_CHANNELS, VOLUME_CHANNELS, 3, 3, 3)
            yield from _batch_norm(f"resblocks_3d.3dr{i}.norm{j}", VOLUME_CHANNELS)


def _motion() -> Keys:
    head = "detector"
    yield from _conv(f"{head}.downsample_layers.0.0", MOTION_WIDTHS[0], 3, 4, 4)
    yield from _affine(f"{head}.downsample_layers.0.1", MOTION_WIDTHS[0])
    for i in range(1, 4):
        yield from _affine(f"{head}.downsample_layers.{i}.0", MOTION_WIDTHS[i - 1])
        yield from _conv(f"{head}.downsample_layers.{i}.1", MOTION_WIDTHS[i], MOTION_WIDTHS[i - 1], 2, 2)
    for i, (depth, width) in enumerate(zip(MOTION_DEPTHS, MOTION_WIDTHS, strict=True)):
        for j in range(depth):
            block = f"{head}.stages.{i}.{j}"
            yield from _conv(f"{block}.dwconv", width, 1, 7, 7)
            yield from _affine(f"{block}.norm", width)
            yield from _linear(f"{block}.pwconv1", 4 * width, width)
            yield f"{block}.grn.gamma", (1, 1, 1, 4 * width)
            yield f"{block}.grn.beta", (1, 1, 1, 4 * width)
            yield from _linear(f"{block}.pwconv2", width, 4 * width)
    yield from _affine(f"{head}.norm", MOTION_WIDTHS[-1])
    for name, out in MOTION_HEADS.items():
        yield from _linear(f"{head}.fc_{name}", out, MOTION_WIDTHS[-1])


def _warping() -> Keys:
    dense = "dense_motion_network"
    for i in range(5):
        block = f"{dense}.hourglass.encoder.down_blocks.{i}"
        yield from _conv(f"{block}.conv", ENCODER_WIDTHS[i + 1], ENCODER_WIDTHS[i], 3, 3, 3)
        yield from _batch_norm(f"{block}.norm", ENCODER_WIDTHS[i + 1])
    for i, (inside, out) in enumerate(DECODER_WIDTHS):
        block = f"{dense}.hourglass.decoder.up_blocks.{i}"
        yield from _conv(f"{block}.conv", out, inside, 3, 3, 3)
        yield from _batch_norm(f"{block}.norm", out)
    yield from _conv(f"{dense}.hourglass.decoder.conv", HOURGLASS_OUT, HOURGLASS_OUT, 3, 3, 3)
    yield from _batch_norm(f"{dense}.hourglass.decoder.norm", HOURGLASS_OUT)
    yield from _conv(f"{dense}.mask", FLOWS, HOURGLASS_OUT, 7, 7, 7)
    yield from _conv(f"{dense}.compress", 4, VOLUME_CHANNELS, 1, 1, 1)
    yield from _batch_norm(f"{dense}.norm", 4)
    yield from _conv(f"{dense}.occlusion", 1, HOURGLASS_OUT * DEPTH, 7, 7)
    yield from _conv("third.conv", 256, VOLUME_CHANNELS * DEPTH, 3, 3)
    yield from _batch_norm("third.norm", 256)
    yield from _conv("fourth", 256, 256, 1, 1)


def _spectral(name: str, out: int, inside: int, kernel: int, *, bias: bool = True) -> Keys:
    if bias:
        yield f"{name}.bias", (out,)
    yield f"{name}.weight_orig", (out, inside, kernel, kernel)
    yield f"{name}.weight_u", (out,)
    yield f"{name}.weight_v", (inside * kernel * kernel,)


def _spade(name: str, width: int) -> Keys:
    yield from _conv(f"{name}.mlp_shared.0", 128, 256, 3, 3)
    yield from _conv(f"{name}.mlp_gamma", width, 128, 3, 3)
    yield from _conv(f"{name}.mlp_beta", width, 128, 3, 3)


def _generator() -> Keys:
    yield from _conv("fc", 512, 256, 3, 3)
    for block, (inside, out) in SPADE_BLOCKS.items():
        middle = min(inside, out)
        yield from _spectral(f"{block}.conv_0", middle, inside, 3)
        yield from _spectral(f"{block}.conv_1", out, middle, 3)
        if inside != out:
            yield from _spectral(f"{block}.conv_s", out, inside, 1, bias=False)
        yield from _spade(f"{block}.norm_0", inside)
        yield from _spade(f"{block}.norm_1", middle)
        if inside != out:
            yield from _spade(f"{block}.norm_s", inside)
    yield from _conv("conv_img.0", 12, 64, 3, 3)


def _mlp(widths: tuple[int, ...]) -> Keys:
    for i in range(len(widths) - 1):
        yield from _linear(f"mlp.{2 * i}", widths[i + 1], widths[i])

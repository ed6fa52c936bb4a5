"""The LivePortrait networks for inference, built from state dicts in the official names (see :mod:`frontalbench.networks.liveportrait.keys`).

The sums are those of the released networks; their order is not. What is constant at inference is folded at load (batch norm, spectral norm, the
``1 +`` of the SPADE scale), upsampling and the convolution after it are one step, the 22 keypoint flows (pure shifts of a regular grid) are
sampled axis by axis, and the final flow is one small matrix product. ``taps``, where given, collects named intermediate results for tests.

Images: float32 (N, 3, H, W), RGB in 0..1. Volume: (N, 32, 16, 64, 64), axes channel, depth (away from the camera), row, column.
Keypoints: float32 (N, 21, 3), x right, y down, z away, in -1..1 over the volume.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frontalbench.networks.layers import (
    AffineNorm,
    Conv,
    FourierConv,
    GatheredConv3d,
    State,
    UpConv2d,
    UpConv3d,
    channels_last,
    folded,
    spectral,
)
from frontalbench.networks.liveportrait import keys
from frontalbench.networks.minimal import MinimalConv2d, MinimalConv3d
from frontalbench.networks.warping import axis_coordinates, heat_maps, identity_grid

Taps = dict[str, Tensor]
Algorithm = Literal["direct", "minimal", "pieces"]

LAYER_NORM_EPS = 1e-6
INSTANCE_NORM_EPS = 1e-5
HEAT_VARIANCE = 0.01
LOW_PRECISION = (Conv, GatheredConv3d, UpConv2d)
"""Layers that may run in float16 or bfloat16 (UpConv3d through the Conv inside it); all sums over an image, coordinates and norms stay float32."""


def _tap(taps: Taps | None, name: str, value: Tensor) -> Tensor:
    if taps is not None:
        taps[name] = value.float().clone(memory_format=torch.contiguous_format)
    return value


class AppearanceExtractor(nn.Module):
    """Image (N, 3, 256, 256) -> feature volume (N, 32, 16, 64, 64)."""

    def __init__(self, state: State) -> None:
        super().__init__()
        self.first = Conv(*folded(state, "first.conv", "first.norm"), activation="relu")
        self.down = nn.ModuleList(
            Conv(*folded(state, f"down_blocks.{i}.conv", f"down_blocks.{i}.norm"), activation="relu") for i in range(2)
        )
        self.second = Conv(*folded(state, "second"))
        self.blocks = nn.ModuleList(_ResidualBlock3d(state, f"resblocks_3d.3dr{i}") for i in range(6))

    def forward(self, image: Tensor, taps: Taps | None = None) -> Tensor:
        x = _tap(taps, "first", self.first(image))
        for i, conv in enumerate(self.down):
            x = _tap(taps, f"down_blocks.{i}", F.avg_pool2d(conv(x), 2))
        x = _tap(taps, "second", self.second(x))
        volume = channels_last(x.reshape(x.shape[0], keys.VOLUME_CHANNELS, keys.DEPTH, *x.shape[2:]))
        for block in self.blocks:
            volume = block(volume)
        return _tap(taps, "out", volume)


class _ResidualBlock3d(nn.Module):
    """norm, ReLU, conv, norm, ReLU, conv, plus the input; the second norm is folded into the first convolution."""

    def __init__(self, state: State, name: str) -> None:
        super().__init__()
        self.norm = AffineNorm(state, f"{name}.norm1")
        self.conv1 = Conv(*folded(state, f"{name}.conv1", f"{name}.norm2"), activation="relu")
        self.conv2 = Conv(*folded(state, f"{name}.conv2"))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(F.relu_(self.norm(x))))
        return y.add_(x)


class MotionExtractor(nn.Module):
    """Image (N, 3, 256, 256) -> raw head outputs by name: kp (N, 63), scale (N, 1), t (N, 3), exp (N, 63), pitch, yaw, roll (N, 66) logits.

    ConvNeXt V2 (Woo et al. 2023), tiny. Always float32: its global response norm leaves float16's range.
    """

    def __init__(self, state: State) -> None:
        super().__init__()
        d = "detector"

        def get(name: str) -> nn.Buffer:
            return nn.Buffer(state[f"{d}.{name}"].float())

        self.stem_weight, self.stem_bias = get("downsample_layers.0.0.weight"), get("downsample_layers.0.0.bias")
        self.stem_norm = _LayerNorm(state, f"{d}.downsample_layers.0.1")
        self.down_norms = nn.ModuleList(_LayerNorm(state, f"{d}.downsample_layers.{i}.0") for i in range(1, 4))
        self.downs = nn.ModuleList(_Patches(state, f"{d}.downsample_layers.{i}.1") for i in range(1, 4))
        self.stages = nn.ModuleList(
            nn.ModuleList(_ConvNextBlock(state, f"{d}.stages.{i}.{j}") for j in range(depth)) for i, depth in enumerate(keys.MOTION_DEPTHS)
        )
        self.norm = _LayerNorm(state, f"{d}.norm")
        self.head_weight = nn.Buffer(torch.cat([state[f"{d}.fc_{name}.weight"] for name in keys.MOTION_HEADS]).float())
        self.head_bias = nn.Buffer(torch.cat([state[f"{d}.fc_{name}.bias"] for name in keys.MOTION_HEADS]).float())

    def forward(self, image: Tensor, taps: Taps | None = None) -> dict[str, Tensor]:
        x = F.conv2d(channels_last(image.float()), self.stem_weight, self.stem_bias, stride=4).permute(0, 2, 3, 1)
        x = self.stem_norm(x)
        for i, stage in enumerate(self.stages):
            if i:
                x = self.downs[i - 1](self.down_norms[i - 1](x))
            assert isinstance(stage, nn.ModuleList)
            for block in stage:
                x = block(x)
            _tap(taps, f"stage{i}", x.permute(0, 3, 1, 2))
        heads = F.linear(self.norm(x.mean((1, 2))), self.head_weight, self.head_bias)
        return dict(zip(keys.MOTION_HEADS, torch.split(heads, list(keys.MOTION_HEADS.values()), dim=1), strict=True))


class _LayerNorm(nn.Module):
    """Over the last axis."""

    def __init__(self, state: State, name: str) -> None:
        super().__init__()
        self.weight, self.bias = nn.Buffer(state[f"{name}.weight"].float()), nn.Buffer(state[f"{name}.bias"].float())

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, (x.shape[-1],), self.weight, self.bias, LAYER_NORM_EPS)


class _Patches(nn.Module):
    """2 x 2 convolution with stride 2 on (N, H, W, C), as one matrix product."""

    def __init__(self, state: State, name: str) -> None:
        super().__init__()
        weight = state[f"{name}.weight"].float()
        self.weight = nn.Buffer(weight.permute(0, 2, 3, 1).reshape(weight.shape[0], -1).contiguous())
        self.bias = nn.Buffer(state[f"{name}.bias"].float())

    def forward(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        patches = x.view(n, h // 2, 2, w // 2, 2, c).transpose(2, 3).reshape(n, h // 2, w // 2, 4 * c)
        return F.linear(patches, self.weight, self.bias)


class _ConvNextBlock(nn.Module):
    """Depthwise 7 x 7, layer norm, widen, GELU, global response norm, narrow, plus the input; on (N, H, W, C)."""

    def __init__(self, state: State, name: str) -> None:
        super().__init__()
        self.depth_weight = nn.Buffer(channels_last(state[f"{name}.dwconv.weight"].float()))
        self.depth_bias = nn.Buffer(state[f"{name}.dwconv.bias"].float())
        self.norm = _LayerNorm(state, f"{name}.norm")
        self.wide_weight, self.wide_bias = (
            nn.Buffer(state[f"{name}.pwconv1.weight"].float()),
            nn.Buffer(state[f"{name}.pwconv1.bias"].float()),
        )
        self.gamma, self.beta = nn.Buffer(state[f"{name}.grn.gamma"].float()), nn.Buffer(state[f"{name}.grn.beta"].float())
        self.narrow_weight = nn.Buffer(state[f"{name}.pwconv2.weight"].float())
        self.narrow_bias = nn.Buffer(state[f"{name}.pwconv2.bias"].float())

    def forward(self, x: Tensor) -> Tensor:
        width = x.shape[-1]
        y = F.conv2d(x.permute(0, 3, 1, 2), self.depth_weight, self.depth_bias, padding=3, groups=width).permute(0, 2, 3, 1)
        y = F.gelu(F.linear(self.norm(y), self.wide_weight, self.wide_bias))
        gain = channel_sums(y.square()).sqrt()
        gain = gain / (gain.mean(dim=-1, keepdim=True) + LAYER_NORM_EPS)
        y = torch.addcmul(self.beta, y, 1.0 + self.gamma * gain)
        return F.linear(y, self.narrow_weight, self.narrow_bias).add_(x)


class WarpingNetwork(nn.Module):
    """Volume (N, 32, 16, 64, 64), driving and source keypoints (N, 21, 3) -> warped features (N, 256, 64, 64).

    ``algorithm``: ``minimal`` computes the four costliest convolutions with fewer products (CPU, float32), the others by the library.
    """

    def __init__(self, state: State, algorithm: Algorithm = "direct") -> None:
        super().__init__()
        d, h = "dense_motion_network", "dense_motion_network.hourglass"
        self.compress = Conv(*folded(state, f"{d}.compress"))
        self.norm = AffineNorm(state, f"{d}.norm")
        downs = [folded(state, f"{h}.encoder.down_blocks.{i}.conv", f"{h}.encoder.down_blocks.{i}.norm") for i in range(5)]
        ups = [folded(state, f"{h}.decoder.up_blocks.{i}.conv", f"{h}.decoder.up_blocks.{i}.norm") for i in range(5)]
        # At the bottom the volumes are 4 and 2 pixels wide.
        wide = MinimalConv3d if algorithm == "minimal" else Conv
        self.encoder = nn.ModuleList(
            [wide(*downs[0], activation="relu"), *(Conv(*down, activation="relu") for down in downs[1:4]), GatheredConv3d(*downs[4])]
        )
        self.decoder = nn.ModuleList(UpConv3d(*up, gathered=i < 2) for i, up in enumerate(ups))
        last = folded(state, f"{h}.decoder.conv", f"{h}.decoder.norm")
        self.last: nn.Module = wide(*last, activation="relu")
        self.mask = _Mask(*folded(state, f"{d}.mask"), algorithm)
        occlusion = state[f"{d}.occlusion.weight"].float().view(keys.HOURGLASS_OUT, keys.DEPTH, 49)
        self.occlusion_weight = nn.Buffer(occlusion.flip(2).permute(1, 0, 2).contiguous())
        self.occlusion_bias = nn.Buffer(state[f"{d}.occlusion.bias"].float())
        weight, bias = folded(state, "third.conv", "third.norm")
        weight = weight.view(256, keys.VOLUME_CHANNELS, keys.DEPTH, 3, 3).transpose(1, 2).reshape(256, -1, 3, 3)
        self.third: nn.Module
        if algorithm == "minimal":
            self.third = MinimalConv2d(weight, bias, activation="leaky", slope=0.01, lasting=False)
        else:
            self.third = Conv(weight, bias, activation="leaky", slope=0.01)
        self.fourth = Conv(*folded(state, "fourth"))

    def forward(self, volume: Tensor, driving: Tensor, source: Tensor, taps: Taps | None = None) -> Tensor:
        deformation, occlusion = self._dense_motion(volume, driving.float(), source.float(), taps)
        moved = sample_volume(volume, deformation)
        n, depth, height, width, channels = moved.shape
        flat = moved.permute(0, 2, 3, 1, 4).reshape(n, height, width, depth * channels).permute(0, 3, 1, 2)
        x = _tap(taps, "third", self.third(flat))
        x = self.fourth(x)
        return _tap(taps, "out", x * occlusion.to(x.dtype))

    def _dense_motion(self, volume: Tensor, driving: Tensor, source: Tensor, taps: Taps | None) -> tuple[Tensor, Tensor]:
        n, _, depth, height, width = volume.shape
        compressed = _tap(taps, "dense.compress", self.compress(volume))
        feature = F.relu_(self.norm(compressed))
        x = channels_last(_flow_inputs(feature, driving, source).permute(0, 4, 1, 2, 3))
        skips = [x]
        for conv in self.encoder:
            x = halved(conv(x))
            skips.append(x)
        x = skips.pop()
        for up in self.decoder:
            x = up(x, skips.pop())
        x = _tap(taps, "dense.hourglass", self.last(x))

        logits = self.mask(x)
        _tap(taps, "dense.mask_logits", logits.permute(0, 4, 1, 2, 3))
        mask = torch.softmax(logits, dim=-1)
        # Every flow is the grid plus a constant shift (the background's is 0) and the mask sums to 1.
        shifts = (source - driving).view(n, 1, 1, keys.KEYPOINTS, 3)
        deformation = identity_grid(depth, height, width, device=volume.device) + torch.matmul(mask[..., 1:], shifts)
        _tap(taps, "deformation", deformation)

        # 7 x 7 to a single output: a product with the 49 taps per pixel, then the shifted sum of the 49.
        per_depth = x.permute(0, 2, 3, 4, 1).reshape(n, depth, height * width, -1)
        products = torch.matmul(per_depth, self.occlusion_weight.to(x.dtype)).sum(1, dtype=torch.float32)
        occlusion = F.fold(products.transpose(1, 2), (int(height), int(width)), kernel_size=7, padding=3)  # constants for ONNX
        return deformation, _tap(taps, "occlusion", torch.sigmoid(occlusion + self.occlusion_bias))


class _Mask(nn.Module):
    """7 x 7 x 7 convolution to the flows' logits: (N, C, D, H, W) -> float32 (N, D, H, W, 22).

    As a 1 x 7 x 7 convolution with an output for each depth tap, which are then added over shifted depths: 22 outputs leave much of oneDNN's
    registers empty, and in half precision it falls back to something ten times slower.
    """

    def __init__(self, weight: Tensor, bias: Tensor, algorithm: Algorithm = "direct") -> None:
        super().__init__()
        self.flows, self.taps = weight.shape[0], weight.shape[2]
        by_tap = weight.permute(2, 0, 1, 3, 4).flatten(0, 1).unsqueeze(2)
        fill = -len(by_tap) % 32  # whole vectors; what is added is zero and never read
        self.conv: nn.Module = FourierConv(by_tap) if algorithm == "minimal" else Conv(F.pad(by_tap, (0, 0) * 4 + (0, fill)), None)
        self.bias = nn.Buffer(bias)

    def forward(self, x: Tensor) -> Tensor:
        parts = self.conv(x).permute(0, 2, 3, 4, 1)
        depth, middle = parts.shape[1], self.taps // 2
        logits = self.bias.expand(*parts.shape[:-1], self.flows).contiguous()
        for tap in range(self.taps):
            first, last = max(0, middle - tap), min(depth, depth + middle - tap)
            shifted = parts[:, first + tap - middle : last + tap - middle, ..., tap * self.flows : (tap + 1) * self.flows]
            logits[:, first:last] += shifted
        return logits


def halved(x: Tensor) -> Tensor:
    """Average of each 2 x 2 block of rows and columns: (N, C, D, H, W) -> (N, C, D, H / 2, W / 2).

    PyTorch's own pooling of volumes knows no bfloat16 on a CPU and copies the volume twice.
    """
    y = x[..., ::2, ::2] + x[..., ::2, 1::2]
    return channels_last(y.add_(x[..., 1::2, ::2]).add_(x[..., 1::2, 1::2]).mul_(0.25))


def _interpolation(size: int, shift: Tensor) -> Tensor:
    """(..., size, size): linear interpolation along one axis at its grid moved by ``shift`` (...), zero outside.

    The grid counts -1..1 from the first to the last sample's centre, the sampler from the first's outer edge to the last's (the released networks
    were trained with that mismatch, so it is kept).
    """
    position = ((axis_coordinates(size, shift.device) + shift.unsqueeze(-1) + 1.0) * size - 1.0) / 2.0
    index = torch.arange(size, dtype=torch.float32, device=shift.device)
    return F.relu(1.0 - (position.unsqueeze(-1) - index).abs())


def _flow_inputs(feature: Tensor, driving: Tensor, source: Tensor) -> Tensor:
    """The hourglass input (N, D, H, W, 22 * 5), of ``feature``'s type: per flow a heat map difference and the 4 features moved by the flow."""
    n, channels, *sizes = feature.shape
    zero = source.new_zeros(n, 1, 3)
    shift = torch.cat([zero, source - driving], dim=1)  # (N, 22, 3), x y z
    az, ay, ax = (_interpolation(size, shift[..., axis]).to(feature.dtype) for size, axis in zip(sizes, (2, 1, 0), strict=True))
    depth, height, width = sizes
    volume = feature.permute(0, 2, 1, 3, 4).reshape(n, 1, depth, -1)
    moved = torch.matmul(az, volume).view(n, keys.FLOWS, depth * channels, height, width)
    moved = torch.matmul(ay.unsqueeze(2), moved).view(n, keys.FLOWS, -1, width)
    moved = torch.matmul(moved, ax.transpose(-1, -2)).view(n, keys.FLOWS, depth, channels, height, width)
    bumps = heat_maps(driving, sizes, HEAT_VARIANCE) - heat_maps(source, sizes, HEAT_VARIANCE)
    heat = F.pad(bumps.to(feature.dtype), (1, 0))  # the background has none
    return torch.cat([heat.unsqueeze(-1), moved.permute(0, 2, 4, 5, 1, 3)], dim=-1).flatten(-2)


def sample_volume(volume: Tensor, grid: Tensor) -> Tensor:
    """(N, C, D, H, W) at ``grid`` (N, D, H, W, 3) of x, y, z in -1..1 (edge to edge), trilinear, zero outside -> (N, D, H, W, C)."""
    if volume.device.type != "cpu" or torch.onnx.is_in_onnx_export():
        # float32 in every precision: float16's step at the grid's ends is a thirtieth of a voxel.
        moved = F.grid_sample(volume.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
        return moved.permute(0, 2, 3, 4, 1)
    # PyTorch's CPU sampler walks channel by channel in one thread; as weighted sums of the eight rows around each point it is an embedding bag.
    n, channels, *sizes = volume.shape
    rows = volume.permute(0, 2, 3, 4, 1).reshape(-1, channels).float()
    index = torch.zeros((*grid.shape[:-1], 1), dtype=torch.int64)
    weight = torch.ones((*grid.shape[:-1], 1), dtype=torch.float32)
    for axis, size in zip((2, 1, 0), sizes, strict=True):
        position = ((grid[..., axis] + 1.0) * size - 1.0) / 2.0
        low = position.floor()
        part = position - low
        pair = torch.stack([low, low + 1.0], dim=-1)
        share = torch.stack([1.0 - part, part], dim=-1) * ((pair >= 0) & (pair <= size - 1))
        index = (index.unsqueeze(-1) * size + pair.clamp_(0, size - 1).long().unsqueeze(-2)).flatten(-2)
        weight = (weight.unsqueeze(-1) * share.unsqueeze(-2)).flatten(-2)
    index = index + torch.arange(n).view(n, 1, 1, 1, 1) * (sizes[0] * sizes[1] * sizes[2])
    sums = F.embedding_bag(index.view(-1, 8), rows, per_sample_weights=weight.view(-1, 8), mode="sum")
    return sums.view(n, *grid.shape[1:-1], channels)


class Generator(nn.Module):
    """Warped features (N, 256, 64, 64) -> image (N, 3, 512, 512) in 0..1; SPADE (Park et al. 2019) decoder.

    ``algorithm``: ``minimal`` computes the wide 3 x 3 convolutions by minimal filtering (CPU, float32), ``direct`` by the library, ``pieces`` too,
    but the modulation's a part of the channels at a time (CPU, half precision).
    """

    def __init__(self, state: State, algorithm: Algorithm = "direct") -> None:
        super().__init__()
        self.first = Conv(*folded(state, "fc"))
        self.blocks = nn.ModuleDict({name: _SpadeBlock(state, name, factor, algorithm) for name, factor in _spade_factors().items()})
        self.image = Conv(*folded(state, "conv_img.0"))

    def forward(self, features: Tensor, taps: Taps | None = None) -> Tensor:
        features = channels_last(features.to(self.first.dtype))
        x = _tap(taps, "fc", self.first(features))
        for name, block in self.blocks.items():
            x = _tap(taps, name, block(x, features))
        x = self.image(F.leaky_relu_(x, 0.2))
        return _tap(taps, "out", torch.sigmoid(F.pixel_shuffle(x.float(), 2)))


def _spade_factors() -> dict[str, int]:
    """Block -> how much finer it is than the 64 x 64 features."""
    return {name: {"up_0": 2, "up_1": 4}.get(name, 1) for name in keys.SPADE_BLOCKS}


def _conv3x3(weight: Tensor, bias: Tensor | None, algorithm: Algorithm, *, lasting: bool = True) -> nn.Module:
    return MinimalConv2d(weight, bias, lasting=lasting) if algorithm == "minimal" else Conv(weight, bias)


class _SpadeBlock(nn.Module):
    """Residual block; in the two upsampling blocks the input is half as fine as the output, and its nearest upsampling is never written out."""

    def __init__(self, state: State, name: str, factor: int, algorithm: Algorithm) -> None:
        super().__init__()
        self.up = 1 if factor == 1 else 2
        self.norm_0 = _Spade(state, f"{name}.norm_0", factor, algorithm)
        self.norm_1 = _Spade(state, f"{name}.norm_1", factor, algorithm)
        self.conv_0 = _conv3x3(*spectral(state, f"{name}.conv_0"), algorithm)
        self.conv_1 = _conv3x3(*spectral(state, f"{name}.conv_1"), algorithm)
        inside, out = keys.SPADE_BLOCKS[name]
        self.norm_s = _Spade(state, f"{name}.norm_s", factor, algorithm) if inside != out else None
        self.conv_s = Conv(*spectral(state, f"{name}.conv_s")) if inside != out else None

    def forward(self, x: Tensor, features: Tensor) -> Tensor:
        normed = instance_norm(x)
        y: Tensor = self.conv_0(F.leaky_relu_(self.norm_0(normed, features, self.up), 0.2))
        y = self.conv_1(F.leaky_relu_(self.norm_1(instance_norm(y), features, 1), 0.2))
        if self.norm_s is None or self.conv_s is None:
            return y.add_(x)
        return y.add_(self.conv_s(self.norm_s(normed, features, self.up)))


def instance_norm(x: Tensor) -> Tensor:
    """(N, C, H, W) with mean 0 and variance 1 per image and channel; statistics in float32."""
    if x.device.type == "cpu" and not (torch.compiler.is_compiling() or torch.onnx.is_in_onnx_export()):
        # PyTorch's instance norm copies channels-last images; its batch norm of one image is the same and does not.
        one, zero = torch.ones(x.shape[1]), torch.zeros(x.shape[1])
        parts = [F.batch_norm(part, None, None, one, zero, training=True, eps=INSTANCE_NORM_EPS) for part in torch.split(x, 1)]
        return torch.cat(parts) if len(parts) > 1 else parts[0]
    pixels = x.permute(0, 2, 3, 1).float()
    centred = pixels - channel_sums(pixels) / (x.shape[2] * x.shape[3])
    variance = channel_sums(centred.square()) / (x.shape[2] * x.shape[3])
    return centred.mul_(torch.rsqrt(variance + INSTANCE_NORM_EPS)).to(x.dtype).permute(0, 3, 1, 2)


def channel_sums(x: Tensor) -> Tensor:
    """(N, H, W, C) -> (N, 1, 1, C). As a matrix product: PyTorch's own reductions over the outer axes walk memory many times slower."""
    flat = x.reshape(x.shape[0], -1, x.shape[3])
    return torch.matmul(flat.new_ones(1, flat.shape[1]), flat).unsqueeze(1)


class _Spade(nn.Module):
    """Scale and shift of a normalised image, each pixel's own, computed from the features."""

    def __init__(self, state: State, name: str, factor: int, algorithm: Algorithm) -> None:
        super().__init__()
        shared = folded(state, f"{name}.mlp_shared.0")
        self.shared: nn.Module
        if factor > 1:
            self.shared = UpConv2d(*shared, factor, activation="relu")
        elif algorithm == "minimal":
            self.shared = MinimalConv2d(*shared, activation="relu", lasting=False)
        else:
            self.shared = Conv(*shared, activation="relu")
        gamma, beta = folded(state, f"{name}.mlp_gamma"), folded(state, f"{name}.mlp_beta")
        # Lasting filters take 4 times the memory; where the image is small they would save little beside those made anew.
        chosen: Algorithm = algorithm if factor > 1 or algorithm == "minimal" else "direct"
        # Pieces: results of 17 MB (half precision) come from memory just freed, larger ones are fresh pages, which cost more than the products.
        step = 1024 // factor**2 if chosen == "pieces" else len(gamma[0])
        self.modulation = nn.ModuleList(
            _conv3x3(torch.cat([g_weight, b_weight]), torch.cat([g_bias + 1.0, b_bias]), chosen, lasting=factor > 1)
            for g_weight, g_bias, b_weight, b_bias in zip(*(torch.split(part, step) for part in (*gamma, *beta)), strict=True)
        )

    def forward(self, normed: Tensor, features: Tensor, up: int) -> Tensor:
        """``normed`` (N, C, h, w) -> (N, C, up * h, up * w)."""
        shared = self.shared(features)
        n, channels, height, width = normed.shape
        small = normed.permute(0, 2, 3, 1)[:, :, None, :, None]
        parts = []
        for modulation, part in zip(self.modulation, torch.split(small, channels // len(self.modulation), dim=-1), strict=True):
            both = modulation(shared).permute(0, 2, 3, 1).view(n, height, up, width, up, -1)
            scale, shift = both.chunk(2, dim=-1)
            parts.append(torch.addcmul(shift, part, scale))
        y = torch.cat(parts, dim=-1) if len(parts) > 1 else parts[0]
        return y.view(n, height * up, width * up, channels).permute(0, 3, 1, 2)


class Perceptron(nn.Module):
    """Stitching or retargeting: (N, in) -> (N, out), linear layers with ReLU between; float32."""

    def __init__(self, state: State) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for name in sorted(
            (key.removesuffix(".weight") for key in state if key.endswith(".weight")), key=lambda key: int(key.split(".")[1])
        ):
            weight = state[f"{name}.weight"]
            linear = nn.Linear(weight.shape[1], weight.shape[0])
            linear.weight = nn.Parameter(weight.float(), requires_grad=False)
            linear.bias = nn.Parameter(state[f"{name}.bias"].float(), requires_grad=False)
            layers += [linear, nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x.float())
        return y

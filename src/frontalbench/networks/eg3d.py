"""EG3D (Chan et al. 2022, CVPR): a StyleGAN2 draws three planes of features, a ray marcher looks at them from a camera, and two more layers of
StyleGAN2 make 512 pixels of what it sees.

Parameter names are those of ``G_ema`` in the official files. The third plane repeats the second with its axes swapped: a known slip of the release,
on which the published weights were trained. Random numbers of the marcher are arguments; left out, their means stand for them, so that an
image follows from its style and its camera alone.

World: x right, y up, z towards the viewer, the head about the origin and looking along +z; one unit is about 37 cm. A camera is a label of 25
numbers: camera-to-world (4, 4) row by row (camera axes x right, y down, z forward), then intrinsics (3, 3) row by row in image sides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks import plane_samples, precision
from frontalbench.networks.minimal import side_by_side
from frontalbench.networks.stylegan2 import GAIN, SLOPE, filtered, modulated_conv2d, styled

STYLE: Final = 512
LABEL: Final = 25
STYLES: Final = 14
SIDE: Final = 512
"""Of the images that come out."""
PLANES, FEATURES, PLANE_SIDE = 3, 32, 256
SAMPLES: Final = 48
"""Depths of a ray in the first pass, and again in the second."""
NEAR, FAR = 2.25, 3.3
BOX: Final = 1.0
"""Side of the cube that the planes cover."""
_CHANNELS: Final = {4: 512, 8: 512, 16: 512, 32: 512, 64: 512, 128: 256, 256: 128}
_DRAWN_FROM: Final = 128
"""What the last two blocks are given."""
_CLAMP: Final = 256.0
_RAYS_AT_ONCE: Final = 512
"""Without gradients: what the decoder makes of 512 rays of 48 depths, 6 MB, stays in the processor's cache."""


class FullyConnected(nn.Module):
    """A linear layer whose weight is scaled by ``rate`` / sqrt(inputs) and its bias by ``rate``."""

    def __init__(self, inputs: int, outputs: int, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        scale = self.rate * self.weight.shape[1] ** -0.5
        return functional.linear(x, self.weight * scale, self.bias * self.rate)


class Layer(nn.Module):
    """Modulated 3 x 3 convolution, noise, bias, activation; ``doubled``: it doubles the size, and a filter follows. ``clamped``: results are kept in
    -256..256, and there is no noise (superresolution)."""

    def __init__(self, inputs: int, outputs: int, side: int, *, doubled: bool = False, clamped: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("resample_filter", torch.zeros(4, 4))
        self.register_buffer("noise_const", torch.zeros(side, side))
        self.affine = FullyConnected(STYLE, inputs)
        self.doubled, self.clamped = doubled, clamped

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        blur = 4.0 * self.get_buffer("resample_filter") if self.doubled else None
        noise = None if self.clamped else self.get_buffer("noise_const") * self.noise_strength
        return styled(x, self.weight, self.affine(style), self.bias, noise, blur=blur, most=_CLAMP if self.clamped else math.inf)


class ToRgb(nn.Module):
    """Features to ``outputs`` channels of the image: 1 x 1, weighed by a style, not demodulated."""

    def __init__(self, inputs: int, outputs: int, *, clamped: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.affine = FullyConnected(STYLE, inputs)
        self.clamped = clamped

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        factors = self.affine(style) * self.weight.shape[1] ** -0.5
        y = modulated_conv2d(x, self.weight, factors, demodulate=False) + self.bias[:, None, None]
        return y.clamp(-_CLAMP, _CLAMP) if self.clamped else y


class Block(nn.Module):
    """One size: (features and image of the size below, its three styles (N, 3, 512)) -> the same of its own. The first has a constant in place of
    features."""

    def __init__(self, inputs: int, outputs: int, side: int, drawn: int, *, clamped: bool = False) -> None:
        super().__init__()
        if inputs == 0:
            self.const = nn.Parameter(torch.empty(outputs, side, side))
        self.register_buffer("resample_filter", torch.zeros(4, 4))
        self.conv0 = Layer(inputs, outputs, side, doubled=True, clamped=clamped) if inputs else None
        self.conv1 = Layer(outputs, outputs, side, clamped=clamped)
        self.torgb = ToRgb(outputs, drawn, clamped=clamped)

    def forward(self, x: Tensor | None, image: Tensor | None, styles: Tensor) -> tuple[Tensor, Tensor]:
        if self.conv0 is None:
            below: Tensor = self.const.expand(len(styles), -1, -1, -1)
        else:
            below = self.conv0(x, styles[:, 0])
        here: Tensor = self.conv1(below, styles[:, -2])
        drawn: Tensor = self.torgb(here, styles[:, -1])
        if image is not None:
            drawn = drawn + filtered(image, 4.0 * self.get_buffer("resample_filter"), up=2, padding=(2, 1))
        return here, drawn


class Mapping(nn.Module):
    """(z (N, 512), camera labels (N, 25)) -> styles (N, 512). ``w_avg`` (512,): their average over both."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("w_avg", torch.zeros(STYLE))
        self.embed = FullyConnected(LABEL, STYLE)
        self.fc0 = FullyConnected(2 * STYLE, STYLE, 0.01)
        self.fc1 = FullyConnected(STYLE, STYLE, 0.01)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        x = torch.cat([_of_length_one(z), _of_length_one(self.embed(labels))], dim=1)
        for layer in (self.fc0, self.fc1):
            x = functional.leaky_relu(layer(x), SLOPE) * GAIN
        return x


class Synthesis(nn.Module):
    """Styles (N, 14, 512) -> planes (N, 96, 256, 256)."""

    def __init__(self) -> None:
        super().__init__()
        before = 0
        for side, channels in _CHANNELS.items():
            self.add_module(f"b{side}", Block(before, channels, side, PLANES * FEATURES))
            before = channels

    def forward(self, styles: Tensor) -> Tensor:
        x: Tensor | None = None
        image: Tensor | None = None
        # The last style of a block is the first of the next; the first block has two.
        for number, block in enumerate(self.children()):
            first = max(0, 2 * number - 1)
            x, image = block(x, image, styles[:, first : first + (3 if number else 2)])
        assert image is not None
        return image


class Backbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.synthesis = Synthesis()
        self.mapping = Mapping()


class Superresolution(nn.Module):
    """(features (N, 32, n, n), colours (N, 3, n, n), one style (N, 512)) -> images (N, 3, 512, 512) RGB, about -1..1."""

    def __init__(self) -> None:
        super().__init__()
        self.block0 = Block(FEATURES, 256, 256, 3, clamped=True)
        self.block1 = Block(256, 128, 512, 3, clamped=True)

    def forward(self, features: Tensor, colours: Tensor, style: Tensor) -> Tensor:
        if features.shape[-1] != _DRAWN_FROM:
            size = (_DRAWN_FROM, _DRAWN_FROM)
            features, colours = (
                functional.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True) for x in (features, colours)
            )
        styles = style[:, None].expand(-1, 3, -1)
        x, image = self.block0(features, colours, styles)
        drawn: Tensor = self.block1(x, image, styles)[1]
        return drawn


class Decoder(nn.Module):
    """Features of points (..., 32) -> (features (..., 32) in about 0..1, density (..., 1), before softplus)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(FullyConnected(FEATURES, 64), nn.Softplus(), FullyConnected(64, 1 + FEATURES))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.net(x)
        return torch.sigmoid(y[..., 1:]) * 1.002 - 0.001, y[..., :1]


@dataclass(frozen=True)
class Seen:
    """``image`` (N, 3, 512, 512) RGB about -1..1; ``raw`` (N, 3, n, n): the colours before superresolution; ``depth`` (N, 1, n, n) along the
    ray."""

    image: Tensor
    raw: Tensor
    depth: Tensor


class Eg3d(nn.Module):
    """The generator; :meth:`look` gives an image. 30.7 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.superresolution = Superresolution()
        self.decoder = Decoder()

    def tuned(self) -> Iterator[nn.Parameter]:
        """All that draws: every parameter but those of the mapping."""
        for part in (self.backbone.synthesis, self.superresolution, self.decoder):
            yield from part.parameters()

    def planes(self, styles: Tensor) -> Tensor:
        """Styles (N, 14, 512) -> planes (N, 3, 32, 256, 256)."""
        drawn: Tensor = self.backbone.synthesis(styles)
        return drawn.view(-1, PLANES, FEATURES, PLANE_SIDE, PLANE_SIDE)

    def points(self, planes: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """What is at ``places`` (N, M, 3) in the world: features (N, M, 32), density (N, M, 1)."""
        places = places * (2.0 / BOX)
        if torch.is_grad_enabled() or planes.device.type != "cpu" or planes.dtype != torch.float32:
            x, y, z = places.unbind(-1)
            grid = torch.stack([torch.stack(pair, dim=-1) for pair in ((x, y), (x, z), (z, x))], dim=1)
            taken = functional.grid_sample(
                planes.flatten(0, 1), grid.flatten(0, 1)[:, None], mode="bilinear", padding_mode="zeros", align_corners=False
            )
            mean = taken.view(len(planes), PLANES, FEATURES, -1).mean(dim=1).transpose(1, 2)
        else:
            mean = _means(planes, places)
        found: tuple[Tensor, Tensor] = self.decoder(mean)
        return found

    def march(
        self, planes: Tensor, origins: Tensor, directions: Tensor, jitter: Tensor | None = None, quantiles: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Rays (N, M, 3) -> features (N, M, 32) in about -1..1 and depths (N, M, 1): 48 depths evenly, 48 more where something was seen.

        ``jitter`` (N, M, 48, 1), ``quantiles`` (N, M, 48): uniform numbers in 0..1, by default 0.5 and evenly spaced.
        """
        batch, rays = origins.shape[:2]
        steps = torch.linspace(NEAR, FAR, SAMPLES, device=origins.device).view(1, 1, -1, 1)
        coarse = steps + (0.5 if jitter is None else jitter) * ((FAR - NEAR) / (SAMPLES - 1))
        coarse = coarse.expand(batch, rays, -1, -1)
        features, density = self._along(planes, origins, directions, coarse)
        with torch.no_grad():
            fine = _finer(coarse, _stretches(density, coarse)[0], quantiles)
        more, denser = self._along(planes, origins, directions, fine)
        depths, order = torch.cat([coarse, fine], dim=2).sort(dim=2)
        weights, middle = _stretches(torch.cat([density, denser], dim=2).gather(2, order), depths)
        depth = (weights * middle).sum(2) / weights.sum(2)
        depth = torch.nan_to_num(depth, float("inf")).clamp(depths.min(), depths.max())
        # A stretch has the mean of the features at its ends: half of its weight goes to either of them, wherever that was sampled.
        halves = functional.pad(weights, (0, 0, 1, 1)) / 2.0
        shares = torch.zeros_like(depths).scatter(2, order, halves[:, :, 1:] + halves[:, :, :-1])
        first, second = (part.transpose(2, 3) for part in shares.chunk(2, dim=2))
        mixed = (first @ features + second @ more).squeeze(2)
        return 2.0 * mixed - 1.0, depth

    def _along(self, planes: Tensor, origins: Tensor, directions: Tensor, depths: Tensor) -> tuple[Tensor, Tensor]:
        places = origins[:, :, None] + depths * directions[:, :, None]
        features, density = self.points(planes, places.flatten(1, 2))
        return features.view(*depths.shape[:3], -1), density.view(*depths.shape[:3], 1)

    def look(
        self, styles: Tensor, labels: Tensor, side: int = 128, *, jitter: Tensor | None = None, quantiles: Tensor | None = None
    ) -> Seen:
        """The head of ``styles`` (N, 14, 512) from the cameras ``labels`` (N, 25). ``side``: rays per row, 64 or 128 as the weights were trained;
        ``jitter``, ``quantiles``: see :meth:`march`, for all side * side rays."""
        planes = self.planes(styles)
        origins, directions = rays(labels, side)
        at_once = side * side if torch.is_grad_enabled() else _RAYS_AT_ONCE
        parts = []
        for first in range(0, side * side, at_once):
            part = slice(first, first + at_once)
            drawn = (None if numbers is None else numbers[:, part] for numbers in (jitter, quantiles))
            parts.append(self.march(planes, origins[:, part], directions[:, part], *drawn))
        features, depth = (
            torch.cat(found, dim=1).transpose(1, 2).reshape(len(styles), -1, side, side) for found in zip(*parts, strict=True)
        )
        raw = features[:, :3]
        image: Tensor = self.superresolution(features, raw, styles[:, -1])
        return Seen(image, raw, depth)


def lowered(network: Eg3d) -> Eg3d:
    """``network``, whose planes and superresolution are in half precision where that is asked for. Rays, densities and what is mixed along them, and
    the style, are not. Gradients pass."""
    precision.lowered(network.backbone.synthesis)
    precision.lowered(network.superresolution)
    return network


def rays(labels: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Origins and directions of length 1, (N, side * side, 3) each, row by row through the middles of ``side`` x ``side`` pixels."""
    camera, inner = labels[:, :16].view(-1, 4, 4), labels[:, 16:].view(-1, 3, 3)
    line = (torch.arange(side, dtype=labels.dtype, device=labels.device) + 0.5) / side
    v, u = torch.meshgrid(line, line, indexing="ij")
    x = (u.reshape(1, -1) - inner[:, 0, 2:]) / inner[:, 0, :1]
    y = (v.reshape(1, -1) - inner[:, 1, 2:]) / inner[:, 1, 1:2]
    directions = functional.normalize(torch.stack([x, y, torch.ones_like(x)], dim=-1) @ camera[:, :3, :3].transpose(1, 2), dim=-1)
    return camera[:, None, :3, 3].expand_as(directions), directions


def _stretches(density: Tensor, depths: Tensor) -> tuple[Tensor, Tensor]:
    """Along the third axis: the weights of the S - 1 stretches between samples, and their middles."""
    length = depths[:, :, 1:] - depths[:, :, :-1]
    density, middle = ((x[:, :, 1:] + x[:, :, :-1]) / 2.0 for x in (density, depths))
    alpha = 1.0 - torch.exp(-functional.softplus(density - 1.0) * length)
    passed = torch.cumprod(torch.cat([torch.ones_like(alpha[:, :, :1]), 1.0 - alpha + 1e-10], dim=2), dim=2)[:, :, :-1]
    return alpha * passed, middle


def _means(planes: Tensor, places: Tensor) -> Tensor:
    """What :meth:`Eg3d.points` decodes: means (N, M, 32) of ``planes`` (N, 3, 32, H, W) at ``places`` (N, M, 3) in -1..1, by a compiled loop."""
    lines = planes.flatten(1, 2).permute(0, 2, 3, 1).contiguous().numpy()
    means, numbers = torch.empty(*places.shape[:2], FEATURES), places.contiguous().numpy()
    for image in range(len(lines)):

        def part(first: int, last: int, image: int = image) -> None:
            where, found = numbers[image, first:last], means[image].numpy()[first:last]
            plane_samples.mean_of_planes(lines[image], where, plane_samples.AXES, found)

        side_by_side(part, places.shape[1])
    return means


def _finer(depths: Tensor, weights: Tensor, quantiles: Tensor | None) -> Tensor:
    """Depths (N, M, 48, 1) at the quantiles of the ``weights`` (N, M, 47, 1) of the stretches between ``depths``."""
    batch, rays = depths.shape[:2]
    smooth = functional.avg_pool1d(functional.max_pool1d(weights.view(batch * rays, 1, -1), 2, 1, padding=1), 2, 1) + 0.01
    middle = ((depths[:, :, :-1] + depths[:, :, 1:]) / 2.0).view(batch * rays, -1)
    share = smooth[:, 0, 1:-1] + 1e-5
    reached = functional.pad((share / share.sum(dim=1, keepdim=True)).cumsum(dim=1), (1, 0))
    if quantiles is None:
        wanted = ((torch.arange(SAMPLES, device=depths.device) + 0.5) / SAMPLES).expand(batch * rays, -1).contiguous()
    else:
        wanted = quantiles.reshape(batch * rays, -1).contiguous()
    above = torch.searchsorted(reached, wanted, right=True)
    below = (above - 1).clamp_min(0)
    above = above.clamp_max(share.shape[1])
    low, high = reached.gather(1, below), reached.gather(1, above)
    start, end = middle.gather(1, below), middle.gather(1, above)
    width = high - low
    width = torch.where(width < 1e-5, torch.ones_like(width), width)
    return (start + (wanted - low) / width * (end - start)).view(batch, rays, SAMPLES, 1)


def _of_length_one(x: Tensor) -> Tensor:
    """``x`` (N, C) with mean square 1."""
    return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + 1e-8)

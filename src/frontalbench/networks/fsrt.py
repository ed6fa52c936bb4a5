"""FSRT (Rochow, Schwarz, Behnke 2024, "FSRT: Facial Scene Representation Transformer for Face Reenactment", CVPR), configuration vox256.

A transformer turns an image, its keypoints and a code of its expression into 1024 tokens; every pixel of the result asks them with the driving
keypoints and expression. The names of parameters are the official ones. Images: float32 (N, 3, 256, 256) RGB in 0..1. Tokens of several
images of one person may stand behind one another.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks import hourglass, precision
from frontalbench.networks.hourglass import KEYPOINTS, KeypointDetector, centres, pooled

SIDE = 256
EXPRESSION = 256
TOKEN = 768
HEADS, HEAD = 12, 64
FIRST_OCTAVE = -1
KEYPOINT_OCTAVES, PIXEL_OCTAVES = 4, 16
KEYPOINT_CODE, PIXEL_CODE = KEYPOINTS * 2 * KEYPOINT_OCTAVES * 2, 2 * PIXEL_OCTAVES * 2
QUERY = KEYPOINT_CODE + PIXEL_CODE + EXPRESSION
"""Numbers that say where a pixel is and what the face does: 480."""
PIXELS = 4096
"""Pixels that are drawn at a time: what a pixel asks takes 20 kB while it is answered."""


class Motion(NamedTuple):
    """``keypoints`` (N, 10, 2) in -1..1, ``expression`` (N, 256): what a face does in an image."""

    keypoints: Tensor
    expression: Tensor


def keypoint_detector() -> KeypointDetector:
    """The detector of FSRT: First-Order-Model's without Jacobians."""
    return KeypointDetector(jacobian=False)


class ExpressionEncoder(nn.Module):
    """What the keypoint detector saw -> a code of the expression (N, 256): 32 numbers per keypoint where its heat map is, then a perceptron."""

    def __init__(self) -> None:
        super().__init__()
        self.expression = nn.Conv2d(35, 32 * KEYPOINTS, 7)
        self.expression_mlp = _perceptron(32 * KEYPOINTS, 640, 1280, 640, EXPRESSION)

    def forward(self, features: Tensor, heat: Tensor) -> Tensor:
        code: Tensor = self.expression_mlp(pooled(self.expression(features), heat).flatten(1))
        return code


def observe(detector: KeypointDetector, encoder: ExpressionEncoder, images: Tensor) -> Motion:
    """Keypoints and expression of ``images``."""
    features, heat = detector.features(images)
    return Motion(centres(heat), encoder(features, heat))


def pixel_grid(side: int = SIDE, device: torch.device | None = None) -> Tensor:
    """(side, side, 2): x, y of the pixel centres, -1..1 from edge to edge."""
    line = (torch.arange(side, dtype=torch.float32, device=device) + 0.5 - side / 2) / (side / 2)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)


def octaves(values: Tensor, count: int) -> Tensor:
    """(..., D) -> (..., 2 * D * count): sines, then cosines, of ``values`` times pi / 2, pi, 2 pi, ... (as Mildenhall et al. 2020)."""
    factors = 2.0 ** torch.arange(FIRST_OCTAVE, FIRST_OCTAVE + count, dtype=torch.float32, device=values.device) * math.pi
    angles = (values.unsqueeze(-1) * factors).flatten(-2)
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)


def queries(motion: Motion, pixels: Tensor) -> Tensor:
    """(N, P, 480) for ``pixels`` (P, 2): the keypoints' code, the pixel's code, the expression."""
    n, p = len(motion.keypoints), len(pixels)
    keypoints = octaves(motion.keypoints.flatten(1), KEYPOINT_OCTAVES)[:, None].expand(n, p, -1)
    where = octaves(pixels, PIXEL_OCTAVES)[None].expand(n, p, -1)
    return torch.cat([keypoints, where, motion.expression[:, None].expand(n, p, -1)], dim=-1)


def _perceptron(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers[:-1])


class Attention(nn.Module):
    """Twelve heads. ``outside``: width of the tokens that are asked; None: each other."""

    def __init__(self, width: int, outside: int | None = None) -> None:
        super().__init__()
        inside = HEADS * HEAD
        if outside is None:
            self.to_qkv = nn.Linear(width, 3 * inside, bias=False)
        else:
            self.to_q = nn.Linear(width, inside, bias=False)
            self.to_kv = nn.Linear(outside, 2 * inside, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inside, width))

    def memory(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of ``tokens``, which many pixels ask."""
        key, value = (_split(part) for part in self.to_kv(tokens).chunk(2, dim=-1))
        return key, value

    def forward(self, x: Tensor, memory: tuple[Tensor, Tensor] | None = None) -> Tensor:
        if memory is None:
            query, *memory_parts = (_split(part) for part in self.to_qkv(x).chunk(3, dim=-1))
            key, value = memory_parts
        else:
            query, (key, value) = _split(self.to_q(x)), memory
        y = functional.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.to_out(y.transpose(1, 2).flatten(2))
        return out


def _split(x: Tensor) -> Tensor:
    """(N, T, 12 * 64) -> (N, 12, T, 64)."""
    return x.view(*x.shape[:2], HEADS, HEAD).transpose(1, 2)


class FeedForward(nn.Module):
    """Wider, GELU, back."""

    def __init__(self, width: int, inside: int = 1536) -> None:
        super().__init__()
        # The published list counts a dropout at 2, which does nothing here.
        self.net = nn.Sequential(nn.Linear(width, inside), nn.GELU(), nn.Identity(), nn.Linear(inside, width))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.net(x)
        return y


class Normed(nn.Module):
    """A layer norm before ``fn``."""

    def __init__(self, width: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm, self.fn = nn.LayerNorm(width), fn

    def forward(self, x: Tensor, *more: object) -> Tensor:
        y: Tensor = self.fn(self.norm(x), *more)
        return y


class Transformer(nn.Module):
    """``depth`` times attention and a perceptron, each added to what it saw."""

    def __init__(self, width: int, depth: int, outside: int | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList([Normed(width, Attention(width, outside)), Normed(width, FeedForward(width))]) for _ in range(depth)
        )

    def memories(self, tokens: Tensor) -> list[tuple[Tensor, Tensor]]:
        """What each layer's attention keeps of ``tokens``."""
        return [layer[0].fn.memory(tokens) for layer in self.layers]  # type: ignore[index]

    def forward(self, x: Tensor, memories: list[tuple[Tensor, Tensor]] | None = None) -> Tensor:
        x = x.float()  # what the layers add is summed in it, whatever they compute in
        for index, layer in enumerate(self.layers):
            assert isinstance(layer, nn.ModuleList)
            x = x + layer[0](x, None if memories is None else memories[index])
            x = x + layer[1](x)
        return x


class _Halving(nn.Module):
    def __init__(self, inputs: int, inside: int, outputs: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(inputs, inside, 3, 1, 1, bias=False),
            nn.ReLU(inplace=True),
            nn.Conv2d(inside, outputs, 3, 2, 1, bias=False),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return y


class Encoder(nn.Module):
    """Images (N, 3, 256, 256) and what their faces do -> tokens (N, 1024, 768). 30 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3 + QUERY, 192, 384, TOKEN)
        self.conv_blocks = nn.Sequential(*(_Halving(before, after // 2, after) for before, after in pairwise(widths)))
        self.per_patch_linear = nn.Conv2d(TOKEN, TOKEN, 1)
        self.transformer = Transformer(TOKEN, 5)

    def forward(self, images: Tensor, motion: Motion) -> Tensor:
        first = self.conv_blocks[0]
        assert isinstance(first, _Halving)
        x = first.layers[1:](self._first(first.layers[0].weight, images, motion))  # type: ignore[arg-type]
        x = self.per_patch_linear(self.conv_blocks[1:](x))
        tokens: Tensor = self.transformer(x.flatten(2).transpose(1, 2))
        return tokens

    @staticmethod
    def _first(weight: Tensor, images: Tensor, motion: Motion) -> Tensor:
        """The first convolution of [image, keypoints' code, pixels' code, expression]. What is the same at every pixel is convolved on 3 x 3
        pixels, which have all that a border of zeros makes different: 67 channels instead of 483 go over the image."""
        n, colours, height, width = images.shape
        of_image, of_keypoints, of_pixels, of_expression = torch.split(weight, [colours, KEYPOINT_CODE, PIXEL_CODE, EXPRESSION], dim=1)
        pixels = octaves(pixel_grid(width, images.device), PIXEL_OCTAVES).permute(2, 0, 1)[None].expand(n, -1, -1, -1)
        x = functional.conv2d(torch.cat([images, pixels], dim=1), torch.cat([of_image, of_pixels], dim=1), padding=1)
        same = torch.cat([octaves(motion.keypoints.flatten(1), KEYPOINT_OCTAVES), motion.expression], dim=1)
        nine = functional.conv2d(same[:, :, None, None].expand(-1, -1, 3, 3), torch.cat([of_keypoints, of_expression], dim=1), padding=1)
        rows, columns = (torch.ones(size, dtype=torch.long, device=x.device) for size in (height, width))
        rows[0] = columns[0] = 0
        rows[-1] = columns[-1] = 2
        return x.add_(nine[:, :, rows][:, :, :, columns])


class _Allocation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.input_mlp = _perceptron(QUERY, 720, QUERY)
        self.transformer = Transformer(QUERY, 2, TOKEN)


class Decoder(nn.Module):
    """Tokens (N, T, 768) and what the face should do -> images (N, 3, 256, 256), about 0..1 (not clipped). 15 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.allocation_transformer = _Allocation()
        self.render_mlp = _perceptron(QUERY, 1536, 1536, 1536, 1536, 3)

    def forward(self, tokens: Tensor, motion: Motion, side: int = SIDE) -> Tensor:
        grid = pixel_grid(side, tokens.device).flatten(0, 1)
        return self.at(tokens, motion, grid).transpose(1, 2).reshape(len(tokens), 3, side, side)

    def at(self, tokens: Tensor, motion: Motion, pixels: Tensor) -> Tensor:
        """The colours (N, P, 3) at ``pixels`` (P, 2), some at a time."""
        ask = self.allocation_transformer
        memories = ask.transformer.memories(tokens)
        parts = []
        for some in torch.split(pixels, PIXELS):
            x = ask.transformer(ask.input_mlp(queries(motion, some)), memories)
            parts.append(self.render_mlp(x))
        return torch.cat(parts, dim=1)


def ready(detector: KeypointDetector, expression_encoder: ExpressionEncoder, encoder: Encoder, decoder: Decoder) -> None:
    """The filled networks, changed in place, made ready for use only, and in half precision where that is asked for: all but what makes keypoints of
    heat maps, the codes of pixels and keypoints, and the last layer of the colours."""
    hourglass.ready(detector)
    precision.lowered(expression_encoder.expression)
    precision.lowered(encoder)
    last = decoder.render_mlp[-1]
    assert isinstance(last, nn.Module)
    precision.exact(last)
    precision.lowered(decoder)
    for network in (expression_encoder, encoder, decoder):
        network.eval().requires_grad_(False)

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

from frontalbench.networks import hourglass, linear, packed, precision
from frontalbench.networks.hourglass import KEYPOINTS, KeypointDetector, centres

SIDE = 256
EXPRESSION = 256
TOKEN = 768
HEADS, HEAD = 12, 64
FIRST_OCTAVE = -1
KEYPOINT_OCTAVES, PIXEL_OCTAVES = 4, 16
KEYPOINT_CODE, PIXEL_CODE = KEYPOINTS * 2 * KEYPOINT_OCTAVES * 2, 2 * PIXEL_OCTAVES * 2
QUERY = KEYPOINT_CODE + PIXEL_CODE + EXPRESSION
"""Numbers that say where a pixel is and what the face does: 480."""
PIXELS, PIXELS_CPU = 4096, 1024
"""Pixels that are drawn at a time: what a pixel asks takes 20 kB while it is answered, which on a CPU should stay in the cache."""
THIRDS = (slice(0, 1), slice(1, -1), slice(-1, None))
"""The first line of an image, those between, the last: what a border of zeros makes different."""


class Motion(NamedTuple):
    """``keypoints`` (N, 10, 2) in -1..1, ``expression`` (N, 256): what a face does in an image."""

    keypoints: Tensor
    expression: Tensor


def keypoint_detector() -> KeypointDetector:
    """The detector of FSRT: First-Order-Model's without Jacobians."""
    return KeypointDetector(jacobian=False)


class ExpressionEncoder(nn.Module):
    """What the keypoint detector saw -> a code of the expression (N, 256): 32 numbers per keypoint where its heat map is, then a perceptron.

    The numbers are the mean of a convolution's maps, weighed by the heat map. The same is the convolution of the weighed mean of all neighbourhoods:
    a thirtieth of the products, as there are ten heat maps for 320 maps.
    """

    def __init__(self) -> None:
        super().__init__()
        self.expression = nn.Conv2d(35, 32 * KEYPOINTS, 7)
        self.expression_mlp = _perceptron(32 * KEYPOINTS, 640, 1280, 640, EXPRESSION)

    def forward(self, features: Tensor, heat: Tensor) -> Tensor:
        weight, bias = self.expression.weight, self.expression.bias
        assert bias is not None
        kernel = weight.view(KEYPOINTS, -1, *weight.shape[1:])
        lines, columns = heat.shape[2:]
        # One line of the kernel after the other: all neighbourhoods at once would be 23 MB.
        seen = [
            torch.einsum("nkhw,nihbw->nkib", heat, features[:, :, line : line + lines].unfold(3, columns, 1))
            for line in range(kernel.shape[3])
        ]
        means = torch.einsum("kciab,nkiab->nkc", kernel, torch.stack(seen, dim=3)).flatten(1) + bias
        code: Tensor = self.expression_mlp(means)
        return code


def observe(detector: KeypointDetector, encoder: ExpressionEncoder, images: Tensor) -> Motion:
    """Keypoints and expression of ``images``."""
    features, heat = detector.features(images)
    return Motion(centres(heat), encoder(features, heat))


def pixel_line(side: int, device: torch.device | None = None) -> Tensor:
    """(side,): the pixel centres of a line, -1..1 from edge to edge."""
    return (torch.arange(side, dtype=torch.float32, device=device) + 0.5 - side / 2) / (side / 2)


def pixel_grid(side: int = SIDE, device: torch.device | None = None) -> Tensor:
    """(side, side, 2): x, y of the pixel centres, -1..1 from edge to edge."""
    line = pixel_line(side, device)
    return torch.stack(torch.meshgrid(line, line, indexing="xy"), dim=-1)


def octaves(values: Tensor, count: int) -> Tensor:
    """(..., D) -> (..., 2 * D * count): sines, then cosines, of ``values`` times pi / 2, pi, 2 pi, ... (as Mildenhall et al. 2020)."""
    factors = 2.0 ** torch.arange(FIRST_OCTAVE, FIRST_OCTAVE + count, dtype=torch.float32, device=values.device) * math.pi
    angles = (values.unsqueeze(-1) * factors).flatten(-2)
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=-1)


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

    def forward(self, x: Tensor, plus: Tensor, memory: tuple[Tensor, Tensor] | None = None) -> Tensor:
        """What ``x`` learns, and ``plus``."""
        if memory is None:
            query, *memory_parts = (_split(part) for part in self.to_qkv(x).chunk(3, dim=-1))
            key, value = memory_parts
        else:
            query, (key, value) = _split(self.to_q(x)), memory
        y = functional.scaled_dot_product_attention(query, key, value)
        return _added(self.to_out[0], y.transpose(1, 2).flatten(2), plus)


def _added(layer: nn.Module, x: Tensor, plus: Tensor) -> Tensor:
    y: Tensor = layer(x, plus) if isinstance(layer, linear.Linear) else plus + layer(x)
    return y


def _split(x: Tensor) -> Tensor:
    """(N, T, 12 * 64) -> (N, 12, T, 64)."""
    return x.view(*x.shape[:2], HEADS, HEAD).transpose(1, 2)


class FeedForward(nn.Module):
    """Wider, GELU, back; and ``plus``."""

    def __init__(self, width: int, inside: int = 1536) -> None:
        super().__init__()
        # The published list counts a dropout at 2, which does nothing here.
        self.net = nn.Sequential(nn.Linear(width, inside), nn.GELU(), nn.Identity(), nn.Linear(inside, width))

    def forward(self, x: Tensor, plus: Tensor) -> Tensor:
        return _added(self.net[3], self.net[:3](x), plus)


class Normed(nn.Module):
    """What ``fn`` makes of a layer norm of ``x``, added to ``x``."""

    def __init__(self, width: int, fn: nn.Module) -> None:
        super().__init__()
        self.norm, self.fn = nn.LayerNorm(width), fn

    def forward(self, x: Tensor, *more: object) -> Tensor:
        y: Tensor = self.fn(self.norm(x), x, *more)
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
            x = layer[0](x, None if memories is None else memories[index])
            x = layer[1](x)
        return x


class _Halving(nn.Module):
    """Two convolutions, of which the second halves the size."""

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

    def ready(self) -> None:
        first, second = self.layers[0], self.layers[2]
        assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)
        self.layers = nn.Sequential(packed.Fitting(first.weight, first.bias, activation="relu"), packed.of(second, activation="relu"))


class _First(_Halving):
    """The block that sees [image, keypoints' code, pixels' code, expression]: 483 channels, of which only the image's three go over all pixels.

    What is the same at every pixel is convolved on 3 x 3 pixels, which have all that a border of zeros makes different; what is the same in a column
    on three lines, and what is the same in a line on three columns.
    """

    def __init__(self, inside: int, outputs: int) -> None:
        super().__init__(3 + QUERY, inside, outputs)
        self.image: packed.Packed | None = None

    def seen(self, images: Tensor, motion: Motion) -> Tensor:
        codes = self._codes(images.shape[2], images.shape[3], motion)
        if self.image is not None:
            x = self.image(images, onto=codes)
        else:
            x = functional.relu(functional.conv2d(images, self._weight()[:, :3], padding=1) + codes)
        y: Tensor = self.layers[2:](x)
        return y

    def _codes(self, height: int, width: int, motion: Motion) -> Tensor:
        """What all but the image gives: (N, inside, height, width)."""
        of_keypoints, of_pixels, of_expression = torch.split(self._weight()[:, 3:], [KEYPOINT_CODE, PIXEL_CODE, EXPRESSION], dim=1)
        of_x, of_y = of_pixels.reshape(len(of_pixels), 2, 2, PIXEL_OCTAVES, 3, 3).unbind(2)  # sines, then cosines: of x, then of y
        device = motion.keypoints.device
        x, y = (octaves(pixel_line(size, device)[:, None], PIXEL_OCTAVES).t() for size in (width, height))
        same = torch.cat([octaves(motion.keypoints.flatten(1), KEYPOINT_OCTAVES), motion.expression], dim=1)
        all_over = functional.conv2d(
            same[:, :, None, None].expand(-1, -1, 3, 3), torch.cat([of_keypoints, of_expression], dim=1), padding=1
        )
        across = functional.conv2d(x[None, :, None].expand(-1, -1, 3, -1), of_x.flatten(1, 2), padding=1).permute(0, 2, 3, 1)
        down = functional.conv2d(y[None, :, :, None].expand(-1, -1, -1, 3), of_y.flatten(1, 2), padding=1).permute(0, 2, 3, 1)
        codes = across.new_empty(len(same), height, width, across.shape[3])
        for line, lines in enumerate(THIRDS):
            sides = down[:, lines] + all_over.permute(0, 2, 3, 1)[:, line : line + 1]
            for column, columns in enumerate(THIRDS):
                codes[:, lines, columns].copy_(across[:, line : line + 1, columns]).add_(sides[:, :, column : column + 1])
        return codes.permute(0, 3, 1, 2)

    def _weight(self) -> Tensor:
        first = self.layers[0]
        assert isinstance(first, nn.Conv2d)
        return first.weight

    def ready(self) -> None:
        first, second = self.layers[0], self.layers[2]
        assert isinstance(second, nn.Conv2d)
        self.image = packed.Packed(self._weight()[:, :3], activation="relu")
        self.layers = nn.Sequential(first, nn.Identity(), packed.of(second, activation="relu"))


def _each(motion: Motion) -> list[Motion]:
    """The motions of one image each."""
    return [Motion(*parts) for parts in zip(*(torch.split(part, 1) for part in motion), strict=True)]


def _one_by_one(x: Tensor) -> bool:
    """Whether images are better taken one after the other: on a CPU, where one fills all cores and its maps should stay in the cache."""
    return x.device.type == "cpu" and len(x) > 1


class Encoder(nn.Module):
    """Images (N, 3, 256, 256) and what their faces do -> tokens (N, 1024, 768). 30 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_blocks = nn.Sequential(_First(96, 192), _Halving(192, 192, 384), _Halving(384, 384, TOKEN))
        self.per_patch_linear = nn.Conv2d(TOKEN, TOKEN, 1)
        self.transformer = Transformer(TOKEN, 5)

    def forward(self, images: Tensor, motion: Motion) -> Tensor:
        if _one_by_one(images):
            return torch.cat([self._tokens(*one) for one in zip(torch.split(images, 1), _each(motion), strict=True)])
        return self._tokens(images, motion)

    def _tokens(self, images: Tensor, motion: Motion) -> Tensor:
        first = self.conv_blocks[0]
        assert isinstance(first, _First)
        x = self.conv_blocks[1:](first.seen(images, motion)).flatten(2).transpose(1, 2)
        patch: nn.Module = self.per_patch_linear
        x = functional.linear(x, patch.weight.flatten(1), patch.bias) if isinstance(patch, nn.Conv2d) else patch(x)
        tokens: Tensor = self.transformer(x)
        return tokens

    def ready(self) -> None:
        """See :func:`ready`."""
        for block in self.conv_blocks:
            assert isinstance(block, _Halving)
            block.ready()
        patch = self.per_patch_linear
        self.per_patch_linear = linear.Linear(patch.weight.flatten(1), patch.bias)  # type: ignore[assignment]
        _packed(self.transformer)


class _Allocation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.input_mlp = _perceptron(QUERY, 720, QUERY)
        self.transformer = Transformer(QUERY, 2, TOKEN)

    def common(self, motion: Motion) -> Tensor:
        """What the first layer makes of the keypoints' code and the expression, the same for all pixels: (N, 1, 720)."""
        first = self.input_mlp[0]
        assert isinstance(first, nn.Linear)
        of_keypoints, _, of_expression = torch.split(first.weight, [KEYPOINT_CODE, PIXEL_CODE, EXPRESSION], dim=1)
        codes = functional.linear(octaves(motion.keypoints.flatten(1), KEYPOINT_OCTAVES), of_keypoints, first.bias)
        return (codes + functional.linear(motion.expression, of_expression))[:, None]

    def forward(self, common: Tensor, pixels: Tensor, memories: list[tuple[Tensor, Tensor]]) -> Tensor:
        """What ``pixels`` (P, 2) are answered: (N, P, 480)."""
        first = self.input_mlp[0]
        assert isinstance(first, nn.Linear)
        of_pixels = first.weight[:, KEYPOINT_CODE : KEYPOINT_CODE + PIXEL_CODE]
        asked = functional.relu(functional.linear(octaves(pixels, PIXEL_OCTAVES), of_pixels) + common)
        x: Tensor = self.transformer(self.input_mlp[2](asked), memories)
        return x


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
        if _one_by_one(tokens):
            return torch.cat([self.at(*one, pixels) for one in zip(torch.split(tokens, 1), _each(motion), strict=True)])
        ask = self.allocation_transformer
        common, memories = ask.common(motion), ask.transformer.memories(tokens)
        at_once = PIXELS_CPU if tokens.device.type == "cpu" else PIXELS
        return torch.cat([self.render_mlp(ask(common, some, memories)) for some in torch.split(pixels, at_once)], dim=1)

    def ready(self) -> None:
        """See :func:`ready`."""
        last = self.render_mlp[-1]
        assert isinstance(last, nn.Module)
        precision.exact(last)
        # Of the first layer parts are asked for, and three outputs are not worth a layout.
        _packed(self, keep=(self.allocation_transformer.input_mlp[0], last))


def _packed(network: nn.Module, keep: tuple[object, ...] = ()) -> None:
    """Linear layers in ``network`` laid out for the processor, all but those in ``keep``, with the activation behind them inside."""
    names = {nn.ReLU: "relu", nn.GELU: "gelu"}
    children = [*network.named_children(), ("", nn.Identity())]
    for (name, child), (after, then) in pairwise(children):
        if isinstance(child, nn.Linear) and child not in keep:
            activation = names.get(type(then), "none") if isinstance(network, nn.Sequential) else "none"
            setattr(network, name, linear.of(child, activation=activation))
            if activation != "none":
                setattr(network, after, nn.Identity())
        else:
            _packed(child, keep)


def ready(detector: KeypointDetector, expression_encoder: ExpressionEncoder, encoder: Encoder, decoder: Decoder) -> None:
    """The filled networks, changed in place, made ready for use only, and in half precision where that is asked for: all but what makes keypoints of
    heat maps, the codes of pixels and keypoints, the expression, and the last layer of the colours.

    Their state dicts have other names then; run them without gradients, and move them to their device before they have run."""
    hourglass.ready(detector)
    for network in (encoder, decoder):
        network.ready()
        precision.lowered(network)
    for each in (expression_encoder, encoder, decoder):
        each.eval().requires_grad_(False)

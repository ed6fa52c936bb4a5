"""CVTHead's networks (Ma et al. 2024): a photograph to a descriptor for every vertex of a head, and drawn descriptors to an image.

Under the official parameter names; the face parser, the hair network and DECA, which the same checkpoint may hold, are not here. What belongs to the
mesh (coarse vertices, spirals, matrices between levels) is in no checkpoint and is given (:class:`Mesh`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from frontalbench.networks import precision
from frontalbench.networks.blocks import added_, enlarged
from frontalbench.networks.inference import by_strips, folded
from frontalbench.networks.moments import channel_moments
from frontalbench.networks.packed import Fitting, Packed

SIDE: Final = 256
WIDTH: Final = 128
"""Of a token."""
COARSE: Final = 314
"""Vertices that ask the photograph."""
SPIRAL: Final = 9
DESCRIPTOR: Final = 32
_STRIP: Final = 1 << 22
"""Numbers of a map that are normed at a time: 17 MB."""
PATCHES: Final = 16
"""On a side of the photograph."""


@dataclass(frozen=True)
class Mesh:
    """A head in three levels, 5023, 1256 and 314 vertices. ``fine_to_middle`` (1256,), ``middle_to_coarse`` (314,): which vertices stay;
    ``up_middle`` sparse (1256, 314), ``up_fine`` sparse (5023, 1256): the others from those that stay; ``spiral_middle`` (1256, 9),
    ``spiral_fine`` (5023, 9): vertices around each."""

    fine_to_middle: Tensor
    middle_to_coarse: Tensor
    up_middle: Tensor
    up_fine: Tensor
    spiral_middle: Tensor
    spiral_fine: Tensor

    def coarse(self, vertices: Tensor) -> Tensor:
        """The coarse ones of ``vertices`` (N, 5023, 3): (N, 314, 3)."""
        return vertices[:, self.fine_to_middle][:, self.middle_to_coarse]


class _StandardConv(nn.Conv2d):
    """A convolution whose weights have mean 0 and spread 1 per output, without bias."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, bias=False)

    def standard(self) -> Tensor:
        """The weights that are applied."""
        centred = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        return centred / (centred.flatten(1).std(dim=1)[:, None, None, None] + 1e-5)

    def plain(self) -> nn.Conv2d:
        """The same as an ordinary convolution."""
        conv = nn.Conv2d(self.in_channels, self.out_channels, self.kernel_size, padding=self.padding, bias=False)  # type: ignore[arg-type]
        conv.weight = nn.Parameter(self.standard(), requires_grad=False)
        return conv

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.standard(), padding=self.padding)


class _Bottleneck(nn.Module):
    """Norms before convolutions, nothing after the sum; numbered as in the official file."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()

        def ready(channels: int) -> list[nn.Module]:
            return [nn.GroupNorm(32, channels), nn.ReLU(inplace=True)]

        steps = [*ready(inputs), _StandardConv(inputs, width, 1), *ready(width), _StandardConv(width, width, 3)]
        steps += [*ready(width), _StandardConv(width, width, 3), *ready(width), nn.Conv2d(width, 4 * width, 1, bias=False)]
        self.main = nn.Sequential(*steps)
        self.skip = nn.Conv2d(inputs, 4 * width, 1, bias=False) if inputs != 4 * width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return added_(self.main(x), self.skip(x))


class _Rescaled(nn.Module):
    """The group norm as a gain and a bias for each channel of its map."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.groups, self.eps = norm.num_groups, norm.eps
        self.weight, self.bias = nn.Buffer(norm.weight), nn.Buffer(norm.bias)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) -> gain, bias (N, C, 1, 1)."""
        variance, mean = channel_moments(x)
        grouped = mean.view(len(x), self.groups, -1)
        centre = grouped.mean(2, keepdim=True)
        spread = variance.view_as(grouped).mean(2, keepdim=True) + (grouped - centre).square().mean(2, keepdim=True)
        gain = (torch.rsqrt(spread + self.eps).expand_as(grouped).reshape(len(x), -1) * self.weight)[:, :, None, None]
        return gain, torch.addcmul(self.bias[:, None, None], gain, centre.expand_as(grouped).reshape(gain.shape), value=-1.0)


class _Frugal(nn.Module):
    """A :class:`_Bottleneck` for use only, in float32: its sum takes the place of the map that it is given where that has the size, norms are applied
    in place, or to some rows at a time. (At 256 x 256 a map takes 64 MB; plain steps hold three.)"""

    def __init__(self, block: _Bottleneck) -> None:
        super().__init__()
        steps = [*block.main]
        self.norms = nn.ModuleList(_Rescaled(norm) for norm in steps[::3] if isinstance(norm, nn.GroupNorm))
        convs = [step.plain() if isinstance(step, _StandardConv) else step for step in steps[2::3]]
        self.narrow, self.first, self.second = (Fitting(conv.weight, None) for conv in convs[:3])
        self.wide = Packed(convs[3].weight, several=False)
        self.skip = block.skip if isinstance(block.skip, nn.Identity) else Packed(block.skip.weight, several=False)

    def forward(self, x: Tensor) -> Tensor:
        gain, bias = self.norms[0](x)
        height = x.shape[2]
        parts = max(1, min(height, x.numel() // _STRIP))

        def narrowed(first: int, last: int) -> Tensor:
            strip: Tensor = self.narrow(torch.addcmul(bias, x[:, :, first:last], gain).relu_())
            return strip

        y = by_strips(narrowed, [height * part // parts for part in range(parts + 1)])
        y = self.second(self._ready(self.norms[2], self.first(self._ready(self.norms[1], y))))
        out: Tensor = self.wide(self._ready(self.norms[3], y), onto=self.skip(x))
        return out

    @staticmethod
    def _ready(norm: nn.Module, y: Tensor) -> Tensor:
        gain, bias = norm(y)
        return torch.addcmul(bias, y, gain, out=None if torch.is_grad_enabled() else y).relu_()


class _Encoder(nn.Module):
    """Image and mask (N, 4, 256, 256) -> (N, 2048, 32, 32)."""

    def __init__(self) -> None:
        super().__init__()
        steps: list[nn.Module] = [nn.Conv2d(4, 256, 7, padding=3, bias=False)]
        inputs = 256
        for width in (64, 128, 256, 512):
            steps += [nn.MaxPool2d(2)] if width > 64 else []
            steps += [_Bottleneck(inputs, width), _Bottleneck(4 * width, width)]
            inputs = 4 * width
        self.net = nn.Sequential(*steps)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.net(x)
        return features


class _Attention(nn.Module):
    HEADS: Final = 4

    def __init__(self) -> None:
        super().__init__()
        self.to_qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.to_out = nn.Sequential(nn.Linear(WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        count, tokens, _ = x.shape
        q, k, v = self.to_qkv(x).reshape(count, tokens, 3, self.HEADS, WIDTH // self.HEADS).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.to_out(mixed.transpose(1, 2).reshape(count, tokens, WIDTH))
        return out


class _Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Identity(), nn.Linear(2 * WIDTH, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)
        return out


class _Normed(nn.Module):
    """``inner`` behind a norm."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.norm, self.fn = nn.LayerNorm(WIDTH), inner

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fn(self.norm(x))
        return out


class _Transformer(nn.Module):
    def __init__(self, layers: int = 6) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.ModuleList([_Normed(_Attention()), _Normed(_Perceptron())]) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for pair in self.layers:
            assert isinstance(pair, nn.ModuleList)
            attention, perceptron = pair
            x = attention(x) + x
            x = perceptron(x) + x
        return x


class _SpiralConv(nn.Module):
    """A linear map of what stands on the nine vertices of a spiral."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(SPIRAL * WIDTH, WIDTH)

    def forward(self, x: Tensor, spirals: Tensor) -> Tensor:
        around = x[:, spirals.reshape(-1)].reshape(len(x), len(spirals), SPIRAL * WIDTH)
        out: Tensor = self.layer(around)
        return out


class _Deblock(nn.Module):
    """To the next finer level of the mesh."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = _SpiralConv()

    def forward(self, x: Tensor, up: Tensor, spirals: Tensor) -> Tensor:
        finer = torch.stack([torch.sparse.mm(up, one) for one in x])
        return functional.elu(self.conv(finer, spirals))


class _Upsampler(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.de_layers = nn.ModuleList([_Deblock(), _Deblock(), _SpiralConv()])

    def forward(self, x: Tensor, mesh: Mesh) -> Tensor:
        middle = self.de_layers[0](x, mesh.up_middle, mesh.spiral_middle)
        fine = self.de_layers[1](middle, mesh.up_fine, mesh.spiral_fine)
        out: Tensor = self.de_layers[2](fine, mesh.spiral_fine)
        return out


class _Down(nn.Module):
    def __init__(self, inputs: int, outputs: int, *, pool: bool) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm0, self.norm1 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        self.pool = pool

    def pairs(self) -> list[tuple[str, str]]:
        """Names of convolutions and of the norms after them."""
        return [("conv1", "norm0"), ("conv2", "norm1")]

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(for the next level, for the way back)."""
        y = functional.relu_(self.norm0(self.conv1(x)))
        y = functional.relu_(self.norm1(self.conv2(y)))
        return (functional.max_pool2d(y, 2, ceil_mode=True) if self.pool else y), y


class _Up(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.upconv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.conv1, self.conv2 = nn.Conv2d(2 * outputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm0, self.norm1, self.norm2 = (nn.BatchNorm2d(outputs) for _ in range(3))

    def pairs(self) -> list[tuple[str, str]]:
        """Names of convolutions and of the norms after them."""
        return [("upconv", "norm0"), ("conv1", "norm1"), ("conv2", "norm2")]

    def forward(self, beside: Tensor, x: Tensor) -> Tensor:
        up = functional.relu_(self.norm0(self.upconv(enlarged(x, 2, corners=True))))
        y = functional.relu_(self.norm1(self.conv1(torch.cat([up, beside], dim=1))))
        return functional.relu_(self.norm2(self.conv2(y)))


class Drawer(nn.Module):
    """The U-Net: depth and descriptors (N, 33, H, W) -> (N, 4, H, W), before their activations."""

    def __init__(self, inputs: int = 1 + DESCRIPTOR, outputs: int = 4, start: int = 32, depth: int = 5) -> None:
        super().__init__()
        widths = [start * 2**level for level in range(depth)]
        befores = [inputs, *widths[:-1]]
        self.down_convs = nn.ModuleList(_Down(a, b, pool=b != widths[-1]) for a, b in zip(befores, widths, strict=True))
        self.up_convs = nn.ModuleList(_Up(a, a // 2) for a in reversed(widths[1:]))
        self.conv_final = nn.Conv2d(start, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        kept = []
        for down in self.down_convs:
            x, before = down(x)
            kept.append(before)
        for up, beside in zip(self.up_convs, reversed(kept[:-1]), strict=True):
            x = up(beside, x)
        drawn: Tensor = self.conv_final(x)
        return drawn


class CvtHead(nn.Module):
    """The whole: :meth:`describe` a photograph, :meth:`draw` its head in another pose."""

    frugal = True

    def __init__(self) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(patch_places(), requires_grad=False)
        self.vtx_query = nn.Parameter(torch.zeros(1, COARSE, WIDTH))
        self.autoencoder = _Encoder()
        self.ae_proj = nn.Conv2d(2048, 256, 1)
        self.patch_to_embedding = nn.Linear(4 * 256, WIDTH)
        self.vtx_upsampler = _Upsampler()
        self.transformer = _Transformer()
        self.vtx_descriptor_head = nn.Sequential(nn.Linear(WIDTH, DESCRIPTOR))
        self.unet_generator = Drawer()

    def describe(self, image: Tensor, mask: Tensor, vertices: Tensor, mesh: Mesh) -> Tensor:
        """Descriptors (N, 5023, 32) of a head that lies in ``image`` (N, 3, 256, 256; RGB in -1..1) at ``vertices`` (N, 5023, 3; -1..1, z away
        from the camera); ``mask`` (N, 1, 256, 256): where the head is, 0 or 1."""
        features = self.ae_proj(self.autoencoder(torch.cat([image, mask], dim=1)))
        count, channels = features.shape[:2]
        patches = (
            features.reshape(count, channels, PATCHES, 2, PATCHES, 2).permute(0, 2, 4, 3, 5, 1).reshape(count, PATCHES**2, 4 * channels)
        )
        tokens = self.patch_to_embedding(patches) + self.pos_embedding
        coarse = mesh.coarse(vertices)
        asking = self.vtx_query + places_in_image(coarse) + depths(coarse)
        answers = self.transformer(torch.cat([asking, tokens], dim=1))[:, :COARSE]
        described: Tensor = self.vtx_descriptor_head(self.vtx_upsampler(answers, mesh))
        return described

    def draw(self, descriptors: Tensor, vertices: Tensor) -> tuple[Tensor, Tensor]:
        """(image (N, 3, 256, 256) RGB in -1..1, mask (N, 1, 256, 256) in 0..1) of the head at ``vertices`` (N, 5023, 3)."""
        drawn = self.unet_generator(torch.cat(splatted(vertices, descriptors), dim=1))
        return drawn[:, :3].tanh(), drawn[:, 3:].sigmoid()

    def forward(self, image: Tensor, mask: Tensor, vertices: Tensor, wanted: Tensor, mesh: Mesh) -> tuple[Tensor, Tensor]:
        return self.draw(self.describe(image, mask, vertices, mesh), wanted)


def ready(network: CvtHead) -> CvtHead:
    """``network`` (changed in place) for use only: weights standardised and norms folded in once, the rest as
    :func:`~frontalbench.networks.inference.folded` does it."""
    network.eval().requires_grad_(False)
    encoder = network.autoencoder.net
    for place, block in enumerate(encoder):
        if isinstance(block, _Bottleneck) and precision.dtype() == torch.float32:
            encoder[place] = _Frugal(block)
        elif isinstance(block, _Bottleneck):
            for number, step in enumerate(block.main):
                if isinstance(step, _StandardConv):
                    block.main[number] = step.plain()
    for level in [*network.unet_generator.down_convs, *network.unet_generator.up_convs]:
        assert isinstance(level, _Down | _Up)
        for conv, norm in level.pairs():
            setattr(level, conv, fuse_conv_bn_eval(getattr(level, conv), getattr(level, norm)))
            setattr(level, norm, nn.Identity())
    return folded(network)


def _waves(values: Tensor, width: int) -> Tensor:
    """Sines and cosines (..., ``width``) of ``values`` (...) at falling frequencies, one after the other."""
    index = torch.arange(width, dtype=torch.float32, device=values.device)
    angles = values[..., None] / 10000 ** (2 * torch.div(index, 2, rounding_mode="floor") / width)
    return torch.stack([angles[..., 0::2].sin(), angles[..., 1::2].cos()], dim=-1).flatten(-2)


def patch_places() -> Tensor:
    """(1, 256, 128): where each patch lies; rows first, then columns."""
    steps = torch.arange(1, PATCHES + 1, dtype=torch.float32) / (PATCHES + 1e-6) * (2.0 * math.pi)
    row, column = (axis.reshape(-1) for axis in torch.meshgrid(steps, steps, indexing="ij"))
    return torch.cat([_waves(row, WIDTH // 2), _waves(column, WIDTH // 2)], dim=1)[None]


def places_in_image(vertices: Tensor) -> Tensor:
    """(N, V, 128): where ``vertices`` (N, V, 3; -1..1) lie in the image; rows first, then columns."""
    turns = (0.5 * vertices + 0.5) * (2.0 * math.pi)
    return torch.cat([_waves(turns[..., 1], WIDTH // 2), _waves(turns[..., 0], WIDTH // 2)], dim=-1)


def depths(vertices: Tensor) -> Tensor:
    """(N, V, 128): how near ``vertices`` are."""
    return _waves((0.5 * vertices[..., 2] + 0.5) * (2.0 * math.pi), WIDTH)


def splatted(vertices: Tensor, descriptors: Tensor) -> tuple[Tensor, Tensor]:
    """(depth (N, 1, 256, 256), -2 where no vertex falls, descriptors (N, 32, 256, 256), 0 there) of the nearest vertex in each pixel."""
    count = len(vertices)
    depth = vertices.new_full((count, SIDE * SIDE), -2.0)
    features = descriptors.new_zeros(count, descriptors.shape[2], SIDE * SIDE)
    for one, (points, described) in enumerate(zip(vertices, descriptors, strict=True)):
        pixel = nearest_vertex(points)
        seen = torch.nonzero(pixel >= 0)[:, 0]
        depth[one, seen] = points[pixel[seen], 2]
        features[one, :, seen] = described[pixel[seen]].T
    return depth.reshape(count, 1, SIDE, SIDE), features.reshape(count, -1, SIDE, SIDE)


def nearest_vertex(points: Tensor) -> Tensor:
    """(65536,): which of ``points`` (V, 3) is nearest (smallest z) in each pixel, -1 for none. Pixels by rounding half to even; of equal depths the
    later vertex."""
    order = torch.argsort(points[:, 2], descending=True, stable=True)
    column, row = (points[order, :2] * (SIDE / 2) + SIDE / 2).clamp(0, SIDE - 1).round().long().unbind(dim=1)
    place = row * SIDE + column
    # The last one written stays: the greatest rank of each pixel.
    rank = torch.full((SIDE * SIDE,), -1, dtype=torch.long, device=points.device)
    rank = rank.scatter_reduce(0, place, torch.arange(len(order), device=points.device), "amax")
    return torch.where(rank >= 0, order[rank.clamp(min=0)], rank)


# The mesh ---------------------------------------------------------------------------------------------------------------------------------


def spirals(triangles: Tensor, vertices: int, length: int = SPIRAL) -> Tensor:
    """(``vertices``, ``length``): each vertex, then those around it ring by ring, clockwise seen from outside.

    ``triangles`` (T, 3), wound counter-clockwise. Raises ValueError where a vertex has too few others around it.
    """
    following: dict[tuple[int, int], int] = {}
    last: dict[int, int] = {}
    for a, b, c in triangles.tolist():
        for first, second, third in ((a, b, c), (b, c, a), (c, a, b)):
            following[first, second] = third
            last[first] = second
    rings = neighbours(following, last, vertices)
    return torch.tensor([_spiral(vertex, rings, length) for vertex in range(vertices)])


def neighbours(following: Mapping[tuple[int, int], int], last: Mapping[int, int], vertices: int) -> list[list[int]]:
    """Of each vertex those that share an edge, clockwise. ``following``: directed edge -> third vertex of its triangle; ``last``: the vertex after
    it in the last triangle that names it."""
    into: dict[int, list[int]] = {}
    for first, second in following:
        into.setdefault(second, []).append(first)
    found = []
    for vertex in range(vertices):
        # At the border of the mesh the walk begins where nothing lies before.
        open_ends = [other for other in into.get(vertex, []) if (vertex, other) not in following]
        start = open_ends[0] if open_ends else last.get(vertex)
        ring: list[int] = []
        at = start
        while at is not None and at not in ring:
            ring.append(at)
            at = following.get((at, vertex))
        found.append(ring)
    return found


def _spiral(vertex: int, rings: list[list[int]], length: int) -> list[int]:
    spiral, ring = [vertex], rings[vertex]
    taken = {vertex, *ring}
    spiral += ring
    while len(spiral) < length:
        members, new = set(ring), []
        for at in ring:
            around = rings[at]
            first = next((place for place, other in enumerate(around) if other in members), None)
            if first is None:
                continue
            for other in around[first:] + around[:first]:
                if other not in taken:
                    taken.add(other)
                    new.append(other)
        if not new:
            raise ValueError(f"vertex {vertex} has {len(spiral) - 1} others around it, a spiral needs {length - 1}")
        spiral, ring = spiral + new, new
    return spiral[:length]

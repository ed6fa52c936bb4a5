"""CodeFormer (Zhou et al. 2022, "Towards Robust Blind Face Restoration with Codebook Lookup Transformer").

An encoder looks at the damaged face; a transformer guesses for each of 16 x 16 places which word of a codebook of undamaged faces belongs there; a
generator draws the face from the words. ``fidelity`` w lets the encoder's own maps back in, at four resolutions: 0 is the codebook alone (clean, and
somebody else where it guessed wrong), 1 stays nearest to what came in. Names of parameters are the official ones.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks.vqgan import Codebook, Larger, Residual, Smaller, attended, norm

SIDE: Final = 512
WORDS, LENGTH, WIDTH, HEADS, LAYERS = 1024, 256, 512, 8, 9
_WIDTHS: Final = (64, 128, 128, 256, 256, 512)
"""Channels at 512, 256, ... 16 pixels."""
_SKIP: Final = "conv_out"
_FUSED: Final = {32: 256, 64: 256, 128: 128, 256: 128}
"""Resolution -> channels where the encoder's maps come back in."""


class Attention(nn.Module):
    """Every place looks at every other, one head."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(x)
        mixed: Tensor = x + self.proj_out(attended(self.q(y), self.k(y), self.v(y), 1))
        return mixed


def _middle(channels: int) -> list[nn.Module]:
    return [Residual(channels, channels, _SKIP), Attention(channels), Residual(channels, channels, _SKIP)]


class Encoder(nn.Module):
    """Faces (N, 3, 512, 512) -> (N, 256, 16, 16), and the maps at the resolutions of ``_FUSED``."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [nn.Conv2d(3, _WIDTHS[0], 3, padding=1)]
        self._kept: dict[int, int] = {}
        inputs = _WIDTHS[0]
        for level, width in enumerate(_WIDTHS):
            for _ in range(2):
                blocks.append(Residual(inputs, width, _SKIP))
                inputs = width
                if level == len(_WIDTHS) - 1:
                    blocks.append(Attention(width))
            self._kept[len(blocks) - 1] = SIDE >> level
            if level < len(_WIDTHS) - 1:
                blocks.append(Smaller(width))
        self.blocks = nn.ModuleList([*blocks, *_middle(inputs), norm(inputs), nn.Conv2d(inputs, LENGTH, 3, padding=1)])

    def forward(self, x: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        maps = {}
        for place, block in enumerate(self.blocks):
            x = block(x)
            if self._kept.get(place) in _FUSED:
                maps[self._kept[place]] = x
        return x, maps


class Generator(nn.Module):
    """Words (N, 256, 16, 16) -> faces (N, 3, 512, 512)."""

    def __init__(self) -> None:
        super().__init__()
        inputs = _WIDTHS[-1]
        blocks: list[nn.Module] = [nn.Conv2d(LENGTH, inputs, 3, padding=1), *_middle(inputs)]
        self._open: dict[int, int] = {}
        for level, width in reversed(list(enumerate(_WIDTHS))):
            for number in range(2):
                blocks.append(Residual(inputs, width, _SKIP))
                inputs = width
                if number == 0:
                    self._open[len(blocks) - 1] = SIDE >> level
                if level == len(_WIDTHS) - 1:
                    blocks.append(Attention(width))
            if level:
                blocks.append(Larger(width))
        self.blocks = nn.ModuleList([*blocks, norm(inputs), nn.Conv2d(inputs, 3, 3, padding=1)])

    def forward(self, x: Tensor, fuse: nn.ModuleDict, maps: dict[int, Tensor], fidelity: float) -> Tensor:
        for place, block in enumerate(self.blocks):
            x = block(x)
            size = self._open.get(place)
            if fidelity > 0.0 and size in maps:
                x = fuse[str(size)](maps[size], x, fidelity)
        return x


class Fuse(nn.Module):
    """A map of the generator scaled and shifted by what the encoder's says, ``fidelity`` times."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.encode_enc = Residual(2 * channels, channels, _SKIP)
        self.scale, self.shift = (
            nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.LeakyReLU(0.2), nn.Conv2d(channels, channels, 3, padding=1))
            for _ in range(2)
        )

    def forward(self, own: Tensor, drawn: Tensor, fidelity: float) -> Tensor:
        both = self.encode_enc(torch.cat([own, drawn], dim=1))
        fused: Tensor = drawn + fidelity * (drawn * self.scale(both) + self.shift(both))
        return fused


class Layer(nn.Module):
    """A transformer layer; places are told apart by an embedding that queries and keys carry."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn = nn.MultiheadAttention(WIDTH, HEADS)
        self.linear1, self.linear2 = nn.Linear(WIDTH, 2 * WIDTH), nn.Linear(2 * WIDTH, WIDTH)
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, x: Tensor, places: Tensor) -> Tensor:
        y = self.norm1(x)
        x = x + self.self_attn(y + places, y + places, y, need_weights=False)[0]
        mixed: Tensor = x + self.linear2(functional.gelu(self.linear1(self.norm2(x))))
        return mixed


def recoloured(words: Tensor, like: Tensor) -> Tensor:
    """``words`` (N, C, H, W) with the mean and spread that ``like`` has in every channel (Huang and Belongie 2017)."""

    def moments(x: Tensor) -> tuple[Tensor, Tensor]:
        flat = x.flatten(2)
        return flat.mean(dim=2)[..., None, None], (flat.var(dim=2) + 1e-5).sqrt()[..., None, None]

    (mean, spread), (wanted_mean, wanted_spread) = moments(words), moments(like)
    return (words - mean) / spread * wanted_spread + wanted_mean


class CodeFormer(nn.Module):
    """Faces (N, 3, 512, 512) RGB in -1..1 -> restored ones, about in the same range."""

    frugal = True

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.generator, self.quantize = Encoder(), Generator(), Codebook(WORDS, LENGTH)
        self.position_emb = nn.Parameter(torch.zeros(256, WIDTH))
        self.feat_emb = nn.Linear(LENGTH, WIDTH)
        self.ft_layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.idx_pred_layer = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WORDS, bias=False))
        self.fuse_convs_dict = nn.ModuleDict({str(size): Fuse(channels) for size, channels in _FUSED.items()})

    def guess(self, features: Tensor) -> Tensor:
        """(N, 256, 16, 16) -> how likely each word is at each place: logits (N, 256, 1024)."""
        x = self.feat_emb(features.flatten(2).permute(2, 0, 1))
        for layer in self.ft_layers:
            x = layer(x, self.position_emb[:, None])
        logits: Tensor = self.idx_pred_layer(x).transpose(0, 1)
        return logits

    def forward(self, faces: Tensor, fidelity: float = 0.5) -> Tensor:
        """``fidelity`` 0..1: the official ``w``; the words get the encoder's mean and spread, as in the official program (``adain``)."""
        features, maps = self.encoder(faces)
        numbers = self.guess(features).argmax(dim=2).reshape(-1, *features.shape[2:])
        drawn: Tensor = self.generator(recoloured(self.quantize.read(numbers), features), self.fuse_convs_dict, maps, fidelity)
        return drawn

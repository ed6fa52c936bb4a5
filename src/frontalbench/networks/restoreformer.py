"""RestoreFormer (Wang et al. 2022, "RestoreFormer: High-Quality Blind Face Restoration from Undegraded Key-Value Pairs").

An encoder looks at the damaged face, its features are replaced by the nearest words of a dictionary of undamaged faces, and a decoder draws the
face from those; in the decoder, the damaged face's features ask (queries) and the dictionary's answer (keys and values). Names of parameters are
the official ones.
"""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks.vqgan import Codebook, Larger, Residual, Smaller, attended, norm

SIDE: Final = 512
WORDS, LENGTH, HEADS = 1024, 256, 8
_WIDTHS: Final = (64, 128, 128, 256, 256, 512)
"""Channels at 512, 256, ... 16 pixels."""
_SKIP: Final = "nin_shortcut"


class Attention(nn.Module):
    """Every place of ``x`` is looked at by every place of ``asking``, or of ``x`` itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = norm(channels), norm(channels)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(channels, channels, 1) for _ in range(4))

    def forward(self, x: Tensor, asking: Tensor | None = None) -> Tensor:
        y = self.norm1(x)
        queries = y if asking is None else self.norm2(asking)
        mixed: Tensor = x + self.proj_out(attended(self.q(queries), self.k(y), self.v(y), HEADS))
        return mixed


class Level(nn.Module):
    """Residual blocks of one resolution, attention after each where ``attends``, and the way to the next."""

    def __init__(self, inputs: int, width: int, count: int, *, attends: bool, way: tuple[str, nn.Module] | None) -> None:
        super().__init__()
        self.block = nn.ModuleList(Residual(inputs if i == 0 else width, width, _SKIP) for i in range(count))
        self.attn = nn.ModuleList(Attention(width) for _ in range(count if attends else 0))
        self._way = way[0] if way else ""
        if way:
            self.add_module(*way)

    def forward(self, x: Tensor, asking: Tensor | None = None) -> Tensor:
        for number, block in enumerate(self.block):
            x = block(x)
            if len(self.attn):
                x = self.attn[number](x, asking)
        return x

    def onwards(self, x: Tensor) -> Tensor:
        further: Tensor = self.get_submodule(self._way)(x) if self._way else x
        return further


class Middle(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1, self.attn_1, self.block_2 = (
            Residual(channels, channels, _SKIP),
            Attention(channels),
            Residual(channels, channels, _SKIP),
        )


class Encoder(nn.Module):
    """Faces (N, 3, 512, 512) -> (N, 256, 16, 16), and what asks in the decoder: the middle's maps before its
    attention (for the levels) and after its last block (for the middle)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(3, _WIDTHS[0], 3, padding=1)
        last = len(_WIDTHS) - 1
        self.down = nn.ModuleList(
            Level(_WIDTHS[max(0, i - 1)], width, 2, attends=i == last, way=("downsample", Smaller(width)) if i < last else None)
            for i, width in enumerate(_WIDTHS)
        )
        self.mid = Middle(_WIDTHS[-1])
        self.norm_out, self.conv_out = norm(_WIDTHS[-1]), nn.Conv2d(_WIDTHS[-1], LENGTH, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.conv_in(x)
        for level in self.down:
            x = level.onwards(level(x))  # type: ignore[operator]
        asks = self.mid.block_1(x)
        middle = self.mid.block_2(self.mid.attn_1(asks))
        return self.conv_out(functional.silu(self.norm_out(middle))), asks, middle


class Decoder(nn.Module):
    """Words (N, 256, 16, 16) and what asks -> faces (N, 3, 512, 512)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(LENGTH, _WIDTHS[-1], 3, padding=1)
        self.mid = Middle(_WIDTHS[-1])
        last = len(_WIDTHS) - 1
        self.up = nn.ModuleList(
            Level(_WIDTHS[min(last, i + 1)], width, 3, attends=i == last, way=("upsample", Larger(width)) if i else None)
            for i, width in enumerate(_WIDTHS)
        )
        self.norm_out, self.conv_out = norm(_WIDTHS[0]), nn.Conv2d(_WIDTHS[0], 3, 3, padding=1)

    def forward(self, words: Tensor, asks: Tensor, middle: Tensor) -> Tensor:
        x = self.conv_in(words)
        x = self.mid.block_2(self.mid.attn_1(self.mid.block_1(x), middle))
        for level in reversed(list(self.up)):
            x = level.onwards(level(x, asks))  # type: ignore[operator]
        drawn: Tensor = self.conv_out(functional.silu(self.norm_out(x)))
        return drawn


class RestoreFormer(nn.Module):
    """Faces (N, 3, 512, 512) RGB in -1..1 -> restored ones, about in the same range."""

    frugal = True

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder, self.quantize = Encoder(), Decoder(), Codebook(WORDS, LENGTH)
        self.quant_conv, self.post_quant_conv = nn.Conv2d(LENGTH, LENGTH, 1), nn.Conv2d(LENGTH, LENGTH, 1)

    def forward(self, faces: Tensor) -> Tensor:
        features, asks, middle = self.encoder(faces)
        drawn: Tensor = self.decoder(self.post_quant_conv(self.quantize(self.quant_conv(features))), asks, middle)
        return drawn

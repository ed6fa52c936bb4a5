"""DA-GAN's generator (Yin, Jiang, Robinson, Fu 2020): TP-GAN's encoder and decoder with self-attention at 32 and 64 pixels.

Under the official parameter names. Nobody published trained weights or outputs of it; the layers follow the official file and, where that names
layers of its own, the TP-GAN port that they come from (activation before the norm, no norm within residual blocks).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn

from frontalbench.networks.blocks import enlarged

SIDE: Final = 128
NOISE: Final = 64
"""Numbers in -1..1 that are drawn for each image."""
SLOPE: Final = 0.01
BOTH: Final = 6
"""Channels of an image beside its mirror image."""


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution, activation, norm."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2), nn.LeakyReLU(SLOPE), nn.BatchNorm2d(outputs))


def _deconv(inputs: int, outputs: int, kernel: int, stride: int, padding: int, more: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, kernel, stride, padding, more), nn.ReLU(), nn.BatchNorm2d(outputs))


class _Residual(nn.Module):
    """Two convolutions around which the input goes, an activation after the sum; even kernels see a row and a column more above and to the left."""

    def __init__(self, width: int, kernel: int = 3) -> None:
        super().__init__()

        def conv() -> list[nn.Module]:
            if kernel % 2:
                return [nn.Conv2d(width, width, kernel, padding=kernel // 2)]
            return [nn.ReflectionPad2d((1, 0, 1, 0)), nn.Conv2d(width, width, kernel)]

        self.layers = nn.Sequential(nn.Sequential(*conv(), nn.LeakyReLU(SLOPE)), nn.Sequential(*conv()))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.leaky_relu(self.layers(x) + x, SLOPE)


class _Attention(nn.Module):
    """Every place looks at every other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query_conv, self.key_conv = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width, width // 4, 1)
        self.value_conv = nn.Conv2d(width, width, 1)
        self.gamma = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = (conv(x).flatten(2) for conv in (self.query_conv, self.key_conv, self.value_conv))
        attention = torch.bmm(query.transpose(1, 2), key).softmax(dim=-1)
        looked = torch.bmm(value, attention.transpose(1, 2)).reshape(x.shape)
        y: Tensor = self.gamma * looked + x
        return y


class _Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv0 = nn.Sequential(_conv(BOTH, 64, 7), _Residual(64, 7))
        self.conv1 = nn.Sequential(_conv(64, 64, 5, 2), _Residual(64, 5))
        self.conv2 = nn.Sequential(_conv(64, 128, 3, 2), _Residual(128))
        self.conv3 = nn.Sequential(_conv(128, 256, 3, 2), _Residual(256))
        self.conv4 = nn.Sequential(_conv(256, 512, 3, 2), *(_Residual(512) for _ in range(4)))
        self.fc1 = nn.Linear(512 * 8 * 8, 512)

    def forward(self, x: Tensor) -> tuple[list[Tensor], Tensor]:
        """(maps at 128, 64, 32, 16 and 8, code (N, 256): of two neighbours the larger)."""
        maps = []
        for step in (self.conv0, self.conv1, self.conv2, self.conv3, self.conv4):
            x = step(x)
            maps.append(x)
        return maps, self.fc1(x.flatten(1)).reshape(len(x), -1, 2).amax(dim=2)


class _Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.initial_8 = _deconv(256 + NOISE, 64, 8, 1, 0, 0)
        self.initial_32 = _deconv(64, 32, 3, 4, 0, 1)
        self.initial_64 = _deconv(32, 16, 3, 2, 1, 1)
        self.initial_128 = _deconv(16, 8, 3, 2, 1, 1)
        self.before_select_8 = _Residual(576, 2)
        self.reconstruct_8 = nn.Sequential(_Residual(576, 2), _Residual(576, 2))
        self.reconstruct_deconv_16 = _deconv(576, 512, 3, 2, 1, 1)
        self.before_select_16 = _Residual(256)
        self.reconstruct_16 = nn.Sequential(_Residual(768), _Residual(768))
        self.reconstruct_deconv_32 = _deconv(768, 256, 3, 2, 1, 1)
        self.before_select_32 = _Residual(166)
        self.reconstruct_32 = nn.Sequential(_Residual(422), _Residual(422))
        self.decoded_img32 = nn.Sequential(nn.Conv2d(422, 3, 3, padding=1))
        self.reconstruct_deconv_64 = _deconv(422, 128, 3, 2, 1, 1)
        self.before_select_64 = _Residual(86, 5)
        self.reconstruct_64 = nn.Sequential(_Residual(217), _Residual(217))
        self.decoded_img64 = nn.Sequential(nn.Conv2d(217, 3, 3, padding=1))
        self.reconstruct_deconv_128 = _deconv(217, 64, 3, 2, 1, 1)
        self.before_select_128 = _Residual(78, 7)
        self.reconstruct_128 = nn.Sequential(_Residual(145, 5))
        self.conv5 = nn.Sequential(_conv(145, 64, 5), _Residual(64))
        self.conv6 = _conv(64, 32, 3)
        self.decoded_img128 = nn.Sequential(nn.Conv2d(32, 3, 3, padding=1))
        self.attn1, self.attn2 = _Attention(422), _Attention(217)

    def forward(self, maps: Sequence[Tensor], code: Tensor, images: Sequence[Tensor], noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        from_128, from_64, from_32, from_16, from_8 = maps
        start_8 = self.initial_8(torch.cat([code, noise], dim=1)[..., None, None])
        start_32 = self.initial_32(start_8)
        start_64 = self.initial_64(start_32)
        start_128 = self.initial_128(start_64)
        x = self.reconstruct_8(self.before_select_8(torch.cat([start_8, from_8], dim=1)))
        x = self.reconstruct_16(torch.cat([self.reconstruct_deconv_16(x), self.before_select_16(from_16)], dim=1))
        beside = self.before_select_32(torch.cat([start_32, from_32, images[2]], dim=1))
        x = self.attn1(self.reconstruct_32(torch.cat([self.reconstruct_deconv_32(x), beside], dim=1)))
        small = self.decoded_img32(x)
        beside = self.before_select_64(torch.cat([start_64, from_64, images[1]], dim=1))
        x = self.attn2(self.reconstruct_64(torch.cat([self.reconstruct_deconv_64(x), beside, enlarged(small, 2)], dim=1)))
        middle = self.decoded_img64(x)
        beside = self.before_select_128(torch.cat([start_128, from_128, images[0]], dim=1))
        x = self.reconstruct_128(torch.cat([self.reconstruct_deconv_128(x), beside, enlarged(middle, 2)], dim=1))
        return self.decoded_img128(self.conv6(self.conv5(x))), middle, small


class Generator(nn.Module):
    """Images at 128, 64 and 32 pixels (N, 3, ...), RGB in 0..1, and noise (N, 64) in -1..1 -> the front at the same sizes, RGB about 0..1."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = _Encoder(), _Decoder()

    def forward(self, images: Sequence[Tensor], noise: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        both = [torch.cat([image, image.flip(3)], dim=1) for image in images]
        maps, code = self.encoder(both[0])
        drawn: tuple[Tensor, Tensor, Tensor] = self.decoder(maps, code, both, noise)
        return drawn

"""What the restorers with a codebook share (Esser et al. 2021, "Taming Transformers for High-Resolution Image Synthesis")."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def norm(channels: int) -> nn.GroupNorm:
    """Normalisation over 32 groups of channels."""
    return nn.GroupNorm(32, channels, eps=1e-6)


class Residual(nn.Module):
    """Two times normalisation, SiLU and a 3 x 3 convolution, and a way around them: a 1 x 1 convolution called ``skip`` where channels change."""

    def __init__(self, inputs: int, outputs: int, skip: str) -> None:
        super().__init__()
        self.norm1, self.conv1 = norm(inputs), nn.Conv2d(inputs, outputs, 3, padding=1)
        self.norm2, self.conv2 = norm(outputs), nn.Conv2d(outputs, outputs, 3, padding=1)
        self._skip = skip if inputs != outputs else ""
        if self._skip:
            self.add_module(skip, nn.Conv2d(inputs, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv1(functional.silu(self.norm1(x)))
        y = self.conv2(functional.silu(self.norm2(y)))
        around: Tensor = self.get_submodule(self._skip)(x) if self._skip else x
        both: Tensor = around + y
        return both


class Smaller(nn.Module):
    """Half the size, by a convolution that sees a row and a column of zeros beyond the right and the lower edge."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        half: Tensor = self.conv(functional.pad(x, (0, 1, 0, 1)))
        return half


class Larger(nn.Module):
    """Every pixel four times, and a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        double: Tensor = self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        return double


class Codebook(nn.Module):
    """Words of a fixed length; a feature is replaced by the nearest."""

    def __init__(self, words: int, length: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, length)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return self.read(self.nearest(features))

    def nearest(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> numbers of words (N, H, W)."""
        flat = features.permute(0, 2, 3, 1).reshape(-1, features.shape[1])
        words = self.embedding.weight
        # |f - w|^2 without |f|^2, which is the same for every word.
        numbers = (words.square().sum(dim=1) - 2.0 * flat @ words.T).argmin(dim=1)
        return numbers.reshape(features.shape[0], *features.shape[2:])

    def read(self, numbers: Tensor) -> Tensor:
        """(N, H, W) numbers of words -> (N, C, H, W)."""
        found: Tensor = self.embedding(numbers).permute(0, 3, 1, 2)
        return found


def attended(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """Attention over all places of maps (N, C, H, W), ``heads`` of C / heads channels each; (N, C, H, W)."""
    n, c, h, w = q.shape
    queries, keys, values = (one.reshape(n, heads, c // heads, h * w).transpose(2, 3) for one in (q, k, v))
    mixed = torch.nn.functional.scaled_dot_product_attention(queries, keys, values)
    return mixed.transpose(2, 3).reshape(n, c, h, w)

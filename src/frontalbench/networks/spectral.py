"""Spectral normalisation as old checkpoints keep it (FFWM, headGAN, DA-GAN): the weight as it was learned, and two vectors to divide it by."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class SpectralConv(nn.Module):
    """A convolution whose weight is divided by its largest singular value, u^T W v with the stored u and v (Miyato et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, *, bias: bool = True) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.weight_orig = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.register_buffer("weight_u", torch.zeros(outputs))
        self.register_buffer("weight_v", torch.zeros(inputs * kernel * kernel))
        self.stride, self.padding = stride, padding

    @property
    def weight(self) -> Tensor:
        """The weight that is used (O, I, k, k)."""
        u, v = self.get_buffer("weight_u"), self.get_buffer("weight_v")
        return self.weight_orig / torch.dot(u, self.weight_orig.flatten(1) @ v)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weight, self.bias, self.stride, self.padding)

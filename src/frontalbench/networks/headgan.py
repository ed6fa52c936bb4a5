"""HeadGAN (Doukas et al. 2021, ICCV): a face is redrawn where an image of mean-face coordinates says that it should be.

Such an image (NMFC) shows the fitted head, each place coloured by where it lies in the mean face. A flow network moves the features of the photograph
after it; a rendering network draws the wanted head from the moved features, modulated by them (SPADE, Park et al. 2019) and by a vector of audio
(AdaIN). Parameter names are those of the published ``latest_net_G.pth``; options as released (three frames, 300 audio features).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks.blocks import added_
from frontalbench.networks.spectral import SpectralConv
from frontalbench.networks.warping import identity_grid

SIDE: Final = 256
AUDIO: Final = 300
NMFC: Final = 3
FRAMES: Final = 3
_WIDTHS: Final = (32, 128, 512)
"""Channels at 256, 128 and 64 pixels."""
_SHARED: Final = 256
_SLOPE: Final = 0.2


def _encoder(inputs: int) -> nn.ModuleList:
    def normed(before: int, after: int, kernel: int, stride: int, padding: int) -> nn.Sequential:
        conv = SpectralConv(before, after, kernel, stride, padding, bias=False)
        return nn.Sequential(conv, nn.InstanceNorm2d(after, affine=True), nn.ReLU())

    first = nn.Sequential(nn.ReflectionPad2d(3), normed(inputs, _WIDTHS[0], 7, 1, 0))
    return nn.ModuleList([first, *(nn.Sequential(normed(before, after, 3, 2, 1)) for before, after in pairwise(_WIDTHS))])


def _encoded(steps: nn.ModuleList, x: Tensor) -> list[Tensor]:
    found = []
    for step in steps:
        x = step(x)
        found.append(x)
    return found


def _last(outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.ReflectionPad2d(3), nn.Conv2d(_WIDTHS[0], outputs, 7))


class Spade(nn.Module):
    """Features without their own mean and spread, given those that a map (N, M, h, w) says for each place."""

    def __init__(self, channels: int, mapped: int) -> None:
        super().__init__()
        self.mlp_shared = nn.Sequential(nn.Conv2d(mapped, _SHARED, 3, padding=1), nn.ReLU())
        self.mlp_gamma = nn.Conv2d(_SHARED, channels, 3, padding=1)
        self.mlp_beta = nn.Conv2d(_SHARED, channels, 3, padding=1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        shared = self.mlp_shared(functional.interpolate(told, size=x.shape[2:], mode="nearest"))
        beta, gamma = self.mlp_beta(shared), self.mlp_gamma(shared)
        del shared  # eight times as large as what is made of it
        result: Tensor = torch.addcmul(beta, functional.instance_norm(x), 1.0 + gamma)
        return result


class SpadeBlock(nn.Module):
    """Two SPADE norms, each before an activation and a convolution, and the features around them."""

    def __init__(self, channels: int, mapped: int) -> None:
        super().__init__()
        self.conv_0 = SpectralConv(channels, channels, 3, padding=1)
        self.conv_1 = SpectralConv(channels, channels, 3, padding=1)
        self.norm_0 = Spade(channels, mapped)
        self.norm_1 = Spade(channels, mapped)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        y = self.conv_0(functional.leaky_relu_(self.norm_0(x, told), _SLOPE))
        y = self.conv_1(functional.leaky_relu_(self.norm_1(y, told), _SLOPE))
        return added_(y, x)


class AdaIn(nn.Module):
    """Mean and spread of each channel by a vector."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Linear(AUDIO, 2 * channels)

    def forward(self, x: Tensor, audio: Tensor) -> Tensor:
        gamma, beta = self.fc(audio)[:, :, None, None].chunk(2, dim=1)
        result: Tensor = torch.addcmul(beta, functional.instance_norm(x), 1.0 + gamma)
        return result


class AudioBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = SpectralConv(channels, channels, 3, padding=1)
        self.conv2 = SpectralConv(channels, channels, 3, padding=1)
        self.norm1 = AdaIn(channels)
        self.norm2 = AdaIn(channels)

    def forward(self, x: Tensor, audio: Tensor) -> Tensor:
        y = self.conv1(functional.leaky_relu_(self.norm1(x, audio), _SLOPE))
        result: Tensor = self.conv2(functional.leaky_relu_(self.norm2(y, audio), _SLOPE))
        return result


class FlowNetwork(nn.Module):
    """(driving NMFC (N, 9, 256, 256), reference (N, 6, 256, 256)) -> features of the reference, finest first; flow (N, 2, 256, 256) in pixels."""

    def __init__(self) -> None:
        super().__init__()
        driving = NMFC * FRAMES
        self.enc = _encoder(NMFC + 3)
        self.dec_res = nn.ModuleList(SpadeBlock(_WIDTHS[2], driving) for _ in range(2))
        self.dec_main = nn.ModuleList(SpadeBlock(width, driving) for width in (_WIDTHS[2], _WIDTHS[1]))
        self.dec_up = nn.ModuleList(nn.PixelShuffle(2) for _ in range(2))
        self.dec_flow = _last(2)
        self.dec_mask = _last(1)

    def forward(self, driving: Tensor, reference: Tensor) -> tuple[list[Tensor], Tensor]:
        features = _encoded(self.enc, reference)
        x = features[-1]
        for block in self.dec_res:
            x = block(x, driving)
        for block, up in zip(self.dec_main, self.dec_up, strict=True):
            x = up(block(x, driving))
        flow: Tensor = self.dec_flow(x) * ((torch.tanh(self.dec_mask(x)) + 1.0) / 2.0)
        return features, flow


class RenderingNetwork(nn.Module):
    """(driving NMFC, moved features finest first, moved photograph, audio (N, 300)) -> image (N, 3, 256, 256) in -1..1."""

    def __init__(self) -> None:
        super().__init__()
        self.cond_enc = _encoder(NMFC * FRAMES)
        fine, middle, coarse = _WIDTHS
        pairs = ((coarse, coarse), (middle, middle), (fine, fine), (fine, 3))
        self.cond_dec = nn.ModuleList(SpadeBlock(width, mapped) for width, mapped in pairs)
        self.cond_dec_audio = nn.ModuleList(AudioBlock(width) for width, _ in pairs[:-1])
        self.cond_dec_up = nn.ModuleList(nn.PixelShuffle(2) for _ in range(2))
        self.conv_img = _last(3)

    def forward(self, driving: Tensor, features: list[Tensor], photograph: Tensor, audio: Tensor) -> Tensor:
        x = _encoded(self.cond_enc, driving)[-1]
        for number, told in enumerate((*reversed(features), photograph)):
            x = self.cond_dec[number](x, told)
            if number < len(self.cond_dec_audio):
                x = self.cond_dec_audio[number](x, audio)
            if number < len(self.cond_dec_up):
                x = self.cond_dec_up[number](x)
        return torch.tanh(self.conv_img(functional.leaky_relu_(x, _SLOPE)))


@dataclass(frozen=True)
class Drawn:
    """``image``, ``moved`` (N, 3, 256, 256) RGB in -1..1: the result, and the photograph moved by ``flow`` (N, 2, 256, 256; pixels, x then y)."""

    image: Tensor
    moved: Tensor
    flow: Tensor


class HeadGan(nn.Module):
    """Driving NMFC of three frames (N, 9, 256, 256) in 0..1; the photograph's NMFC and the photograph, RGB in -1..1, as (N, 6, 256, 256); audio
    (N, 300), by default zeros -> :class:`Drawn`. 52 million parameters."""

    frugal = True

    def __init__(self) -> None:
        super().__init__()
        self.flow_network = FlowNetwork()
        self.rendering_network = RenderingNetwork()

    def forward(self, driving: Tensor, reference: Tensor, audio: Tensor | None = None) -> Drawn:
        features, flow = self.flow_network(driving, reference)
        moved = resampled(reference[:, NMFC:], flow)
        levels, here = [], flow
        for number, one in enumerate(features):
            if number:
                here = functional.avg_pool2d(here, 2) / 2.0
            levels.append(resampled(one, here))
        heard = driving.new_zeros(len(driving), AUDIO) if audio is None else audio
        return Drawn(self.rendering_network(driving, levels, moved, heard), moved, flow)


def resampled(x: Tensor, flow: Tensor) -> Tensor:
    """``x`` (N, C, H, W) taken at every pixel's place plus ``flow`` (N, 2, H, W), x then y in pixels; places outside take the border."""
    height, width = x.shape[2:]
    scale = torch.tensor([2.0 / (width - 1), 2.0 / (height - 1)], device=x.device)
    grid = identity_grid(height, width, device=x.device) + flow.permute(0, 2, 3, 1) * scale
    return functional.grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=True)

"""The network of ``frontalbench_rnr``: undoes the damage that a mesh does to a face it has turned.

A U-Net whose last layer starts at zero, so that an untrained network gives the mesh's image back. It says for every pixel a colour and how much
of it to take.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

PLANES = 11
"""Input planes: photograph, turned view, seen, four angles; see ``frontalbench.frontalize.refiner_inputs.planes``."""


class Block(nn.Module):
    """Two convolutions, the first one normalised, and a way around them."""

    def __init__(self, wide_in: int, wide_out: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(wide_in, wide_out, 3, padding=1), nn.Conv2d(wide_out, wide_out, 3, padding=1)
        self.norm = nn.GroupNorm(4, wide_out)
        self.around = nn.Conv2d(wide_in, wide_out, 1) if wide_in != wide_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = functional.silu(self.norm(self.first(x)))
        return functional.silu(self.second(y) + cast(Tensor, self.around(x)))


class Refiner(nn.Module):
    """``width``: channels of the finest level, a multiple of 4; ``levels``: how often that is halved; ``fold``: squares of ``fold`` x ``fold`` pixels
    enter and leave as channels of one place, so that the finest level is S / fold wide and two sizes of image share all but entry and exit. What
    leaves is evened over a square, so that no grid of squares can be seen.
    """

    def __init__(self, width: int = 16, levels: int = 4, fold: int = 1) -> None:
        super().__init__()
        wide = [width * factor for factor in (1, 2, 3, 4, 4, 4)[: levels + 1]]
        self.fold = fold
        self.entry = nn.Conv2d(PLANES * fold**2, width, 3, padding=1)
        self.down = nn.ModuleList([Block(wide[max(0, i - 1)], wide[i]) for i in range(levels + 1)])
        self.up = nn.ModuleList([Block(wide[i + 1] + wide[i], wide[i]) for i in reversed(range(levels))])
        self.exit = nn.Conv2d(width, 4 * fold**2, 3, padding=1)
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(cast(Tensor, self.exit.bias))

    def forward(self, planes: Tensor) -> Tensor:
        """Planes (N, 11, S, S) -> image (N, 3, S, S) in -1..1; S a multiple of fold * 2 ** levels."""
        x, kept = self.entry(functional.pixel_unshuffle(planes, self.fold)), []
        for level, block in enumerate(self.down):
            x = block(functional.avg_pool2d(x, 2) if level else x)
            kept.append(x)
        for block in self.up:
            kept.pop()
            x = block(torch.cat([functional.interpolate(x, scale_factor=2.0, mode="nearest"), kept[-1]], 1))
        drawn = evened(functional.pixel_shuffle(self.exit(x), self.fold).float(), self.fold)
        turned = planes[:, 3:6].float()
        # From the turned view, moved by a bounded change; the fourth channel opens it.
        return (turned + torch.tanh(drawn[:, :3]) * 2.0 * torch.sigmoid(drawn[:, 3:])).clamp(-1.0, 1.0)


def evened(maps: Tensor, fold: int) -> Tensor:
    """``maps`` (N, C, S, S) without anything that repeats every ``fold`` pixels: averaged over ``fold`` x ``fold`` pixels twice, which is the
    triangular filter [1 2 1] / 4 for 2. The places of a square come from different channels of one layer, and whatever these differ by everywhere
    would lie over the image as dots."""
    if fold == 1:
        return maps
    rise = torch.arange(1, fold + 1, dtype=maps.dtype, device=maps.device)
    kernel = torch.cat([rise, rise[:-1].flip(0)]) / fold**2
    channels, reach = maps.shape[1], fold - 1
    padded = functional.pad(maps, (reach,) * 4, mode="replicate")
    across = functional.conv2d(padded, kernel.reshape(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return functional.conv2d(across, kernel.reshape(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)

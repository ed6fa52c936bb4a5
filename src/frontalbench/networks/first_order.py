"""First-Order-Model's generator (Siarohin et al. 2019, "First Order Motion Model for Image Animation"), configuration vox-256.

An image, its keypoints and those of another: every keypoint is the centre of an affine motion, a network mixes the ten motions and a background
that stands still, and the image's features are moved along and painted out where nothing of them can be seen. The names of parameters are the
official ones. The keypoint detector: :mod:`.hourglass`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.networks import hourglass, layers, memory, packed, precision
from frontalbench.networks.hourglass import KEYPOINTS, SHRUNK, Conv, Hourglass, KeypointDetector, Keypoints, Shrink
from frontalbench.networks.warping import heat_maps, identity_grid

SIDE = 256
"""Side of the images in pixels, in and out."""
HEAT_VARIANCE = 0.01
_WIDTH = 64


def keypoint_detector() -> KeypointDetector:
    """The detector of First-Order-Model: keypoints with Jacobians."""
    return KeypointDetector(jacobian=True)


class DenseMotion(nn.Module):
    """Images (N, 3, H, W) and two sets of keypoints -> (where each pixel comes from (N, h, w, 2), how much of it is seen (N, 1, h, w), the shares
    of the motions (N, 11, h, w)); h = H / 4."""

    def __init__(self) -> None:
        super().__init__()
        self.hourglass = Hourglass((KEYPOINTS + 1) * 4, _WIDTH)
        self.mask = nn.Conv2d(self.hourglass.outputs, KEYPOINTS + 1, 7, padding=3)
        self.occlusion = nn.Conv2d(self.hourglass.outputs, 1, 7, padding=3)
        self.down = Shrink()

    def forward(self, images: Tensor, source: Keypoints, driving: Keypoints) -> tuple[Tensor, Tensor, Tensor]:
        small = self.down(images)
        n, channels, *sizes = small.shape
        motions = _motions(source, driving, sizes)
        flows = motions.shape[1]
        # The grids end in pixel centres, the sampler in pixel edges: the published weights were made so, see LivePortrait's network for the same.
        moved = functional.grid_sample(
            small.repeat_interleave(flows, dim=0), motions.flatten(0, 1), mode="bilinear", padding_mode="zeros", align_corners=False
        )
        bumps = heat_maps(driving.value, sizes, HEAT_VARIANCE) - heat_maps(source.value, sizes, HEAT_VARIANCE)
        heat = functional.pad(bumps, (1, 0)).permute(0, 3, 1, 2)  # the background has none
        seen = torch.cat([heat.unsqueeze(2), moved.view(n, flows, channels, *sizes)], dim=2)
        x = self.hourglass(seen.flatten(1, 2))
        mask = torch.softmax(self.mask(x), dim=1)
        return torch.einsum("nkhw,nkhwc->nhwc", mask, motions), torch.sigmoid(self.occlusion(x)), mask

    def ready(self) -> nn.Module:
        """See :func:`~frontalbench.networks.hourglass.ready`. Motions are coordinates, and stay float32."""
        self.hourglass.ready()
        return precision.exact(self)


def _motions(source: Keypoints, driving: Keypoints, sizes: list[int]) -> Tensor:
    """(N, 11, h, w, 2): where each driving pixel lies in the source by each motion; the first is the background's, which stands still."""
    grid = identity_grid(*sizes, device=source.value.device)
    away = grid - driving.value[:, :, None, None]
    if source.jacobian is not None and driving.jacobian is not None:
        turn = source.jacobian @ torch.linalg.inv(driving.jacobian)
        away = torch.einsum("nkij,nkhwj->nkhwi", turn, away)
    still = grid.expand(len(away), 1, *grid.shape)
    return torch.cat([still, away + source.value[:, :, None, None]], dim=1)


class Residual(nn.Module):
    """norm, ReLU, 3 x 3 convolution, twice, plus the input."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(functional.relu(self.norm1(x)))
        y = self.conv2(functional.relu(self.norm2(y)))
        out: Tensor = x + y
        return out

    def ready(self) -> nn.Module:
        """See :func:`~frontalbench.networks.hourglass.ready`."""
        return _ReadyResidual(self)


class _ReadyResidual(nn.Module):
    """:class:`Residual` with the second norm inside of the first convolution, and 3 x 3 convolutions by minimal filtering on a CPU."""

    def __init__(self, block: Residual) -> None:
        super().__init__()
        state = block.state_dict()
        self.norm = layers.AffineNorm(state, "norm1")
        self.first = packed.conv(*layers.folded(state, "conv1", "norm2"), activation="relu", lasting=True)
        self.second = packed.conv(*layers.folded(state, "conv2"))  # filters of both would take 80 MB more than the plain network has

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(self.first(functional.relu(self.norm(x))))
        return out


class Generator(nn.Module):
    """Images (N, 3, 256, 256), their keypoints and the driving ones -> images of the same kind. 46 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.dense_motion_network = DenseMotion()
        self.first = Conv(3, _WIDTH, 7)
        self.down_blocks = nn.ModuleList(Conv(_WIDTH * 2**i, _WIDTH * 2 ** (i + 1), down=True) for i in range(2))
        self.up_blocks = nn.ModuleList(Conv(_WIDTH * 2 ** (i + 1), _WIDTH * 2**i, up=True) for i in (1, 0))
        self.bottleneck = nn.Sequential()
        for i in range(6):
            self.bottleneck.add_module(f"r{i}", Residual(_WIDTH * SHRUNK))
        self.final = nn.Conv2d(_WIDTH, 3, 7, padding=3)

    def forward(self, images: Tensor, source: Keypoints, driving: Keypoints) -> Tensor:
        drawn, _, _ = self.explained(images, source, driving)
        return drawn

    def explained(self, images: Tensor, source: Keypoints, driving: Keypoints) -> tuple[Tensor, Tensor, Tensor]:
        """(images, how much of each place is seen (N, 1, 64, 64), shares of the motions (N, 11, 64, 64))."""
        x: Tensor = self.first(images)
        for block in self.down_blocks:
            x = block(x)
        deformation, occlusion, mask = self.dense_motion_network(images, source, driving)
        x = functional.grid_sample(x, deformation, mode="bilinear", padding_mode="zeros", align_corners=False) * occlusion
        x = self.bottleneck(x)
        for block in self.up_blocks:
            x = block(x)
        return torch.sigmoid(self.final(x)), occlusion, mask


def ready(generator: Generator) -> Generator:
    """:func:`.hourglass.ready` of a filled generator, in half precision where that is asked for: all but the motions and the last convolution."""
    memory.returned()
    precision.exact(generator.final)
    return precision.lowered(hourglass.ready(generator))

"""Training of ``scaleway_synth``: the published network and its published losses, L1 and L2 (and a discriminator of weight 0.001), on people who do
not exist instead of Multi-PIE."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.frontalize.refiner_inputs import SPAN
from frontalbench.frontalize.scaleway import DETAIL, SQUARE, enlarged, middle, to_network
from frontalbench.geometry.crop import square_matrix
from frontalbench.images import RGB
from frontalbench.networks.scaleway import Scaleway
from frontalbench.train import trainer
from frontalbench.train.trainer import Arrays, Draw, Schedule, face_crop
from frontalbench.types import Int

WEIGHTS = "scaleway_synth.safetensors"
SHIFT, ZOOM, GAIN = 0.04, 0.05, 0.15
"""Largest change of a step's input: share of the side, of the size, and of the brightness of each colour (this one of both images)."""


@dataclass(frozen=True)
class ScalewaySchedule(Schedule):
    """``squares``: the weight of L2."""

    squares: float = 1.0


TINY = ScalewaySchedule(batch=16, steps=6000, rate=1e-3)
"""Half an hour on a free core (0.27 s a step), without the discriminator."""
FULL = ScalewaySchedule(batch=64, steps=60000, rate=5e-4, adversarial=0.001)
"""Minutes on a GPU."""


class Trainer(trainer.Trainer[ScalewaySchedule]):
    """See the module. ``prepared`` pairs hold ``photograph`` and ``wanted`` as uint8 (n, 128, 128, 3)."""

    weights = WEIGHTS

    def build(self) -> nn.Module:
        return Scaleway()

    def prepared(self, data: Arrays) -> Arrays:
        seen = [square(image, *pose) for image, pose in zip(data["photograph"], data["pose"], strict=True)]
        wanted = [square(image, *pose) for image, pose in zip(data["wanted"], data["target"], strict=True)]
        return {**{name: data[name] for name in ("person", "kind", "similarity")}, "photograph": np.stack(seen), "wanted": np.stack(wanted)}

    def images(self, data: Arrays, rows: Int) -> tuple[Tensor, Tensor]:
        return to_network(data["photograph"][rows]).to(self.device), to_network(data["wanted"][rows]).to(self.device)

    def varied(self, seen: Tensor, wanted: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        count = len(seen)
        zoom, shift = 1.0 + random.uniform(-ZOOM, ZOOM, count), random.uniform(-2 * SHIFT, 2 * SHIFT, (count, 2))
        flip = random.random(count) < 0.5
        maps = np.zeros((count, 2, 3), np.float32)
        maps[:, 0, 0], maps[:, 1, 1], maps[:, :, 2] = np.where(flip, -zoom, zoom), zoom, shift
        grid = functional.affine_grid(torch.from_numpy(maps).to(self.device), list(seen.shape), align_corners=False)
        moved = functional.grid_sample(seen, grid, padding_mode="border", align_corners=False)
        goal = torch.where(torch.from_numpy(flip).to(self.device)[:, None, None, None], wanted.flip(3), wanted)
        gains = torch.from_numpy(random.uniform(1.0 - GAIN, 1.0 + GAIN, (count, 3, 1, 1)).astype(np.float32)).to(self.device)
        lit = [((one + 1.0) * gains - 1.0).clamp(-1.0, 1.0) for one in (moved, goal)]
        return lit[0], lit[1]

    def losses(self, drawn: Tensor, wanted: Tensor, trust: Tensor) -> dict[str, Tensor]:
        return {"pixels": functional.l1_loss(drawn, wanted), "squares": functional.mse_loss(drawn, wanted)}

    def faces(self, images: Tensor) -> Tensor:
        return face_crop(images, SQUARE, (0.0, float(middle(0.0, 0.0)[1])))

    def baselines(self, data: Arrays) -> dict[str, Draw]:
        mean = to_network(np.rint(data["wanted"].mean(0, dtype=np.float64)).astype(np.uint8)[None]).to(self.device)
        return {"mean face": lambda seen: mean.expand_as(seen), "photograph": lambda seen: seen}

    def kept(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}


def square(image: RGB, yaw: float, pitch: float) -> RGB:
    """The network's square out of a pair's frame; the pose, in degrees, is that of the head in it."""
    size = image.shape[0]
    centre = (size - 1) / 2.0 + middle(float(yaw), float(pitch)) * size / SPAN
    matrix = square_matrix(centre, SQUARE * size / SPAN, DETAIL)
    cutting = cv2.warpAffine(image, matrix, (DETAIL, DETAIL), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return enlarged(np.asarray(cutting, dtype=np.uint8))

"""Training of ``frontalbench_rnr``: losses are L1 in the frame's middle; feature maps and embedding of the *training* backbones, which the card
declares (``trained_with``). A pair turned in style space is not quite the same person, so what its embedding says counts by its measured similarity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.frontalize.rnr_inputs import SPAN
from frontalbench.frontalize.rnr_network import Rnr
from frontalbench.train import trainer
from frontalbench.train.trainer import Arrays, Draw, Schedule, face_crop

WEIGHTS = "frontalbench_rnr.safetensors"


@dataclass(frozen=True)
class Settings(Schedule):
    """The network's ``width`` and ``levels``; weights of the losses ``features`` and ``identity``."""

    width: int = 24
    levels: int = 4
    features: float = 0.5
    identity: float = 0.5


TINY = Settings(width=8, levels=3, batch=8, steps=300, rate=2e-3, features=0.3, identity=0.3)
"""Minutes on two cores, at 64 pixels."""
FULL = Settings(width=24, levels=4, batch=32, steps=60000, adversarial=0.02)
"""Hours on a GPU, at 128 pixels; one million parameters, a checkpoint of 13 MB."""


def planes_of(data: Arrays, rows: npt.NDArray[np.int64], device: torch.device) -> tuple[Tensor, Tensor]:
    """(network input (N, 11, S, S), wanted pictures (N, 3, S, S)) of some pairs."""
    colours = [torch.from_numpy(np.ascontiguousarray(data[name][rows])).to(device) for name in ("photograph", "turned", "wanted")]
    photograph, turned, wanted = (one.permute(0, 3, 1, 2).float() / 127.5 - 1.0 for one in colours)
    seen = torch.from_numpy(np.ascontiguousarray(data["seen"][rows])).to(device)[:, None].float() / 255.0
    angles = torch.from_numpy(np.concatenate([data["pose"][rows], data["target"][rows]], 1)).to(device) / 90.0
    return torch.cat([photograph, turned, seen, angles[:, :, None, None].expand(-1, -1, *seen.shape[2:])], 1), wanted


def middle_weight(size: int, device: torch.device) -> Tensor:
    """(1, 1, S, S): 1 on the face, falling to 0.2 at the border."""
    line = torch.linspace(-1, 1, size, device=device)
    distance = (line[None] ** 2 / 0.5 + line[:, None] ** 2 / 0.75).sqrt()
    return (0.2 + 0.8 * (1.0 - ((distance - 0.8) / 0.4).clamp(0, 1)))[None, None]


class Trainer(trainer.Trainer[Settings]):
    """See the module."""

    weights = WEIGHTS

    def build(self) -> nn.Module:
        return Rnr(self.settings.width, self.settings.levels)

    def pictures(self, data: Arrays, rows: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        return planes_of(data, rows, self.device)

    def varied(self, seen: Tensor, wanted: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        flip = torch.from_numpy(random.random(len(seen)) < 0.5).to(self.device)
        return mirrored(seen, flip), torch.where(flip[:, None, None, None], wanted.flip(3), wanted)

    def losses(self, drawn: Tensor, wanted: Tensor, trust: Tensor) -> dict[str, Tensor]:
        found = {"pixels": ((drawn - wanted).abs() * self.weight(drawn.shape[-1])).mean()}
        if self.judges and (self.settings.features or self.settings.identity):
            crops, goal = self.faces(drawn), self.faces(wanted)
            features, identity = [], []
            for judge in self.judges:
                mine, maps = judge(crops)
                with torch.no_grad():
                    theirs, goals = judge(goal)
                identity.append(((1.0 - (mine * theirs).sum(1)) * trust).mean())
                features += [functional.l1_loss(a, b) / b.abs().mean() for a, b in zip(maps, goals, strict=True)]
            found |= {"features": torch.stack(features).mean(), "identity": torch.stack(identity).mean()}
        return found

    def faces(self, pictures: Tensor) -> Tensor:
        return face_crop(pictures, SPAN)

    def baselines(self, data: Arrays) -> dict[str, Draw]:
        return {"mesh": copy_turned, "photograph": copy_photograph}

    def weight(self, size: int) -> Tensor:
        return middle_weight(size, self.device)


def mirrored(planes: Tensor, flip: Tensor) -> Tensor:
    """Planes with the rows of ``flip`` (N,) mirrored: the pictures, and the signs of both yaws."""
    other = planes.flip(3).clone()
    other[:, [7, 9]] *= -1.0
    return torch.where(flip[:, None, None, None], other, planes)


def copy_turned(planes: Tensor) -> Tensor:
    """The baseline: the mesh's picture as it is."""
    return planes[:, 3:6]


def copy_photograph(planes: Tensor) -> Tensor:
    """The other baseline: the angled photograph as it is."""
    return planes[:, :3]

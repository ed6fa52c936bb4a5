"""Training of ``frontalbench_rnr``: losses are L1 in the frame's middle; feature maps and embedding of the *training* backbones, which the card
declares (``trained_with``). A pair turned in style space is not quite the same person, so what its embedding says counts by its measured similarity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from frontalbench.frontalize.refiner_inputs import SPAN
from frontalbench.networks.refiner import Refiner
from frontalbench.train import trainer
from frontalbench.train.trainer import Arrays, Draw, Schedule, face_crop
from frontalbench.types import Int

WEIGHTS = "frontalbench_rnr.safetensors"


@dataclass(frozen=True)
class RefinerSchedule(Schedule):
    """The network's ``width``, ``levels`` and ``fold``; weights of the losses ``features`` and ``identity``."""

    width: int = 32
    levels: int = 3
    fold: int = 2
    features: float = 0.5
    identity: float = 0.5


TINY = RefinerSchedule(width=8, fold=1, batch=8, steps=300, rate=2e-3, features=0.3, identity=0.3)
"""Minutes on two cores, at 64 pixels."""
SHORT = RefinerSchedule(steps=4500, rate=1e-3, identity=1.0, adversarial=0.02, adversarial_from=1500)
"""What is shipped, at 128 pixels: an hour on two cores that multiply matrices in bfloat16. One million parameters, a checkpoint of 13 MB."""
POLISH = replace(SHORT, steps=1000, rate=6e-4, adversarial=0.0)
"""To end a run, begun with its weights: the rate falls to 0, no discriminator."""
SHORT_256 = replace(POLISH, fold=4)
"""The same at 256 pixels, to begin with the weights of the other: all but entry and exit are the same."""
FULL = replace(SHORT, batch=32, steps=60000, rate=5e-4, adversarial_from=5000)
"""For a GPU, at 128 pixels."""
FULL_256 = replace(FULL, fold=4, steps=20000, adversarial_from=0)
"""For a GPU, to begin with the weights of the other."""

MOVED = (0.03, 0.06, 0.05)
"""Largest move of a compared crop in training: share of half a side, of the size, and radians."""
FRONT = 15.0
"""A recognizer is asked about targets of at most this yaw, degrees: its crops are cut by the points of a frontal face."""


def planes_of(data: Arrays, rows: Int, device: torch.device) -> tuple[Tensor, Tensor]:
    """(network input (N, 11, S, S), wanted images (N, 3, S, S)) of some pairs."""
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


class Trainer(trainer.Trainer[RefinerSchedule]):
    """See the module."""

    weights = WEIGHTS

    def build(self) -> nn.Module:
        return Refiner(self.settings.width, self.settings.levels, self.settings.fold)

    def images(self, data: Arrays, rows: Int) -> tuple[Tensor, Tensor]:
        return planes_of(data, rows, self.device)

    def varied(self, seen: Tensor, wanted: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        flip = torch.from_numpy(random.random(len(seen)) < 0.5).to(self.device)
        return mirrored(seen, flip), torch.where(flip[:, None, None, None], wanted.flip(3), wanted)

    def trust(self, data: Arrays, rows: Int) -> Tensor:
        frontal = torch.from_numpy(np.abs(data["target"][rows, 0]) <= FRONT).to(self.device)
        return super().trust(data, rows) * frontal

    def losses(self, drawn: Tensor, wanted: Tensor, trust: Tensor) -> dict[str, Tensor]:
        found = {"pixels": ((drawn - wanted).abs() * self.weight(drawn.shape[-1])).mean()}
        if self.recognizers and (self.settings.features or self.settings.identity):
            asked = trust > 0
            moves = self._moves(len(drawn))
            crops, goal = face_crop(drawn, SPAN, moves=moves)[asked], face_crop(wanted, SPAN, moves=moves)[asked]
            features, identity = [], []
            for recognizer in self.recognizers:
                mine, maps = recognizer(crops)
                with torch.no_grad():
                    theirs, goals = recognizer(goal)
                identity.append((identity_loss(mine, theirs) * trust[asked]).sum() / len(drawn))
                features += [(a - b).abs().mean() / b.abs().mean() for a, b in zip(maps, goals, strict=True)]
            found |= {"features": torch.stack(features).mean(), "identity": torch.stack(identity).mean()}
        return found

    def _moves(self, count: int) -> Tensor:
        """(N, 2, 3): how the compared crops of this step are moved."""
        random = np.random.default_rng([self.settings.seed, self.step, 1])
        shift, zoom, turn = MOVED
        angle, size = random.uniform(-turn, turn, count), 1.0 + random.uniform(-zoom, zoom, count)
        maps = np.empty((count, 2, 3), np.float32)
        maps[:, 0, 0], maps[:, 0, 1], maps[:, 1, 0], maps[:, 1, 1] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
        maps[:, :, :2] *= size[:, None, None]
        maps[:, :, 2] = random.uniform(-shift, shift, (count, 2))
        return torch.from_numpy(maps).to(self.device)

    def faces(self, images: Tensor) -> Tensor:
        return face_crop(images, SPAN)

    def baselines(self, data: Arrays) -> dict[str, Draw]:
        return {"mesh": copy_turned, "photograph": copy_photograph}

    def weight(self, size: int) -> Tensor:
        return middle_weight(size, self.device)


def identity_loss(drawn: Tensor, wanted: Tensor) -> Tensor:
    """(N,) from unit-length embeddings (N, D) of what was drawn and of what was wanted: 1 - (cosine to the own person - mean cosine to the others
    of the batch). Drawing everybody more alike raises both cosines, so it gains nothing."""
    cosines = drawn @ wanted.T
    own = cosines.diagonal()
    others = (cosines.sum(1) - own) / max(1, len(cosines) - 1)
    return 1.0 - own + others


def mirrored(planes: Tensor, flip: Tensor) -> Tensor:
    """Planes with the rows of ``flip`` (N,) mirrored: the images, and the signs of both yaws."""
    other = planes.flip(3).clone()
    other[:, [7, 9]] *= -1.0
    return torch.where(flip[:, None, None, None], other, planes)


def copy_turned(planes: Tensor) -> Tensor:
    """The baseline: the mesh's image as it is."""
    return planes[:, 3:6]


def copy_photograph(planes: Tensor) -> Tensor:
    """The other baseline: the angled photograph as it is."""
    return planes[:, :3]

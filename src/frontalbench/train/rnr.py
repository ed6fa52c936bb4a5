"""Training of ``frontalbench_rnr`` in slices: every step is decided by (seed, step) alone, so a run that stops goes on as if it had not.

Losses: L1 in the frame's middle; feature maps and embedding of the *training* backbones, which the card declares (``trained_with``); and, when its
weight is above 0, a small patch discriminator (hinge). A pair turned in style space is not quite the same person, so what its embedding says counts
by its measured similarity.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional

from frontalbench import atomic
from frontalbench.errors import BadInput
from frontalbench.frontalize.rnr_inputs import SPAN
from frontalbench.frontalize.rnr_network import Rnr
from frontalbench.geometry.similarity import ARCFACE_SIZE, ARCFACE_TEMPLATE, estimate_similarity, invert
from frontalbench.synth.pairs import LATENT_SOURCE
from frontalbench.train.judge import Judge

Arrays = dict[str, npt.NDArray[Any]]

CHECKPOINT = "checkpoint.safetensors"
WEIGHTS = "frontalbench_rnr.safetensors"
POINTS_CM = np.array([[-3.4, -1.0], [3.4, -1.0], [0.0, 2.85], [-3.0, 5.55], [3.0, 5.55]])
"""The five points of a level frontal face in the frame, cm from its middle (x right, y down); mean of detections on synthetic frontal pictures."""
HELD_OUT = 10
"""Every tenth person is never trained on."""


@dataclass(frozen=True)
class Settings:
    """What a run is; a checkpoint made with other settings (but for ``steps``) is refused. Weights of losses: 0 leaves a loss out."""

    width: int = 24
    levels: int = 4
    batch: int = 16
    steps: int = 20000
    rate: float = 5e-4
    warmup: int = 50
    features: float = 0.5
    identity: float = 0.5
    adversarial: float = 0.0
    adversarial_from: int = 2000
    seed: int = 0


TINY = Settings(width=8, levels=3, batch=8, steps=300, rate=2e-3, features=0.3, identity=0.3)
"""Minutes on two cores, at 64 pixels."""
FULL = Settings(width=24, levels=4, batch=32, steps=60000, adversarial=0.02)
"""Hours on a GPU, at 128 pixels; one million parameters, a checkpoint of 13 MB."""


class Discriminator(nn.Module):
    """Judges patches: picture (N, 3, S, S) -> scores (N, 1, S/8, S/8)."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        wide = 3
        for factor in (1, 2, 4):
            layers += [nn.utils.parametrizations.spectral_norm(nn.Conv2d(wide, width * factor, 4, 2, 1)), nn.LeakyReLU(0.2)]
            wide = width * factor
        self.layers = nn.Sequential(*layers, nn.Conv2d(wide, 1, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.layers(x))


def split(data: Arrays) -> tuple[Arrays, Arrays]:
    """(training pairs, held-out pairs): by person. Raises :class:`BadInput` when one of them is empty."""
    held = data["person"] % HELD_OUT == 0
    if held.all() or not held.any():
        raise BadInput("pairs: every tenth person is held out, and here there are none or no others; make pairs of at least 20 people")
    return {name: rows[~held] for name, rows in data.items()}, {name: rows[held] for name, rows in data.items()}


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


def face_crop(pictures: Tensor) -> Tensor:
    """Pictures (N, 3, S, S) in -1..1 -> aligned crops (N, 3, 112, 112) in 0..255, by where the five points of a frontal face lie in the frame."""
    size = pictures.shape[-1]
    points = (size - 1) / 2.0 + POINTS_CM * size / SPAN
    back = invert(estimate_similarity(points, ARCFACE_TEMPLATE))
    y, x = np.mgrid[:ARCFACE_SIZE, :ARCFACE_SIZE]
    places = np.stack([x, y], -1).reshape(-1, 2) @ back[:, :2].T + back[:, 2]
    grid = torch.from_numpy(((places + 0.5) / size * 2.0 - 1.0).astype(np.float32)).to(pictures.device)
    grid = grid.reshape(1, ARCFACE_SIZE, ARCFACE_SIZE, 2).expand(len(pictures), -1, -1, -1)
    return (functional.grid_sample(pictures.float(), grid, padding_mode="border", align_corners=False) + 1.0) * 127.5


def losses(drawn: Tensor, wanted: Tensor, trust: Tensor, judges: Sequence[Judge], settings: Settings) -> dict[str, Tensor]:
    """Each loss by name, unweighted; ``trust`` (N,): how far a pair's two pictures are the same person."""
    weight = middle_weight(drawn.shape[-1], drawn.device)
    found = {"pixels": ((drawn - wanted).abs() * weight).mean()}
    if judges and (settings.features or settings.identity):
        crops, goal = face_crop(drawn), face_crop(wanted)
        features, identity = [], []
        for judge in judges:
            mine, maps = judge(crops)
            with torch.no_grad():
                theirs, goals = judge(goal)
            identity.append(((1.0 - (mine * theirs).sum(1)) * trust).mean())
            features += [functional.l1_loss(a, b) / b.abs().mean() for a, b in zip(maps, goals, strict=True)]
        found |= {"features": torch.stack(features).mean(), "identity": torch.stack(identity).mean()}
    return found


class Trainer:
    """One run: the network, its optimizer, and where it is."""

    def __init__(self, settings: Settings, judges: Sequence[Judge], *, device: str = "cpu", bfloat16: bool = False) -> None:
        self.settings, self.judges, self.bfloat16 = settings, judges, bfloat16
        self.device = torch.device(device)
        torch.manual_seed(settings.seed)
        self.network = Rnr(settings.width, settings.levels).to(self.device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), settings.rate, betas=(0.9, 0.99))
        self.rival = Discriminator().to(self.device) if settings.adversarial else None
        self.rival_optimizer = None if self.rival is None else torch.optim.Adam(self.rival.parameters(), settings.rate, betas=(0.5, 0.99))
        self.step = 0
        for judge in judges:
            judge.to(self.device)

    def run(
        self, data: Arrays, until: int, *, seconds: float = float("inf"), report: Callable[[int, dict[str, float]], None] | None = None
    ) -> None:
        """Train up to step ``until``, or until ``seconds`` have passed."""
        started = time.monotonic()
        while self.step < until and time.monotonic() - started < seconds:
            said = self.one_step(data)
            if report is not None:
                report(self.step, said)

    def one_step(self, data: Arrays) -> dict[str, float]:
        """Rows, mirroring and learning rate follow from (seed, step)."""
        settings, random = self.settings, np.random.default_rng([self.settings.seed, self.step])
        rows = random.integers(0, len(data["person"]), settings.batch)
        planes, wanted = planes_of(data, rows, self.device)
        flip = torch.from_numpy(random.random(settings.batch) < 0.5).to(self.device)
        planes, wanted = mirrored(planes, flip), torch.where(flip[:, None, None, None], wanted.flip(3), wanted)
        trust = np.where(data["kind"][rows] == LATENT_SOURCE, np.clip(data["similarity"][rows], 0.0, 1.0), 1.0)
        progress = self.step / max(1, settings.steps)
        rate = settings.rate * min(1.0, (self.step + 1) / settings.warmup) * 0.5 * (1.0 + np.cos(np.pi * min(1.0, progress)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            drawn = self.network(planes)
            found = losses(drawn, wanted, torch.from_numpy(trust.astype(np.float32)).to(self.device), self.judges, settings)
        total = found["pixels"] + sum(getattr(settings, name) * value for name, value in found.items() if name != "pixels")
        if self.rival is not None and self.step >= settings.adversarial_from:
            total = total - settings.adversarial * self.rival(drawn).mean()
        self.optimizer.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        if self.rival is not None and self.rival_optimizer is not None:
            self.rival_optimizer.zero_grad()
            hinge = functional.relu(1.0 - self.rival(wanted)).mean() + functional.relu(1.0 + self.rival(drawn.detach())).mean()
            hinge.backward()  # type: ignore[no-untyped-call]
            self.rival_optimizer.step()
        self.step += 1
        return {name: float(value.detach()) for name, value in found.items()} | {"total": float(total.detach())}

    # Checkpoints --------------------------------------------------------------------------------------------------------------------------

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Everything that going on needs, and the weights alone as a model is loaded; whole files or none."""
        metadata = {"settings": json.dumps(asdict(self.settings)), "step": str(self.step)}
        atomic.write_bytes(Path(folder) / CHECKPOINT, save(self._tensors(), metadata))
        weights = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        atomic.write_bytes(Path(folder) / WEIGHTS, save(weights, metadata))

    def _tensors(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for place, module, optimizer in (("network", self.network, self.optimizer), ("rival", self.rival, self.rival_optimizer)):
            if module is None or optimizer is None:
                continue
            found |= {f"{place}.{name}": value for name, value in module.state_dict().items()}
            for number, parameter in enumerate(module.parameters()):
                found |= {f"{place}.adam.{number}.{key}": value for key, value in optimizer.state.get(parameter, {}).items()}
        return {name: value.detach().cpu().contiguous() for name, value in found.items()}

    def resume(self, folder: str | os.PathLike[str]) -> bool:
        """Go on where the checkpoint in ``folder`` stopped; False when there is none. Raises :class:`BadInput` when it belongs to another run."""
        path = Path(folder) / CHECKPOINT
        if not path.is_file():
            return False
        metadata = read_metadata(path)
        theirs, mine = json.loads(metadata["settings"]), asdict(self.settings)
        other = sorted(name for name in mine if name != "steps" and theirs.get(name) != mine[name])
        if other:
            raise BadInput(f"{path}: made with another {', '.join(other)}; give the same settings, or another folder")
        tensors = load_file(path)
        for place, module, optimizer in (("network", self.network, self.optimizer), ("rival", self.rival, self.rival_optimizer)):
            if module is None or optimizer is None:
                continue
            module.load_state_dict({name: tensors[f"{place}.{name}"] for name in module.state_dict()})
            for number, parameter in enumerate(module.parameters()):
                prefix = f"{place}.adam.{number}."
                kept = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
                if kept:
                    optimizer.state[parameter] = {key: value if key == "step" else value.to(self.device) for key, value in kept.items()}
        self.step = int(metadata["step"])
        return True


def mirrored(planes: Tensor, flip: Tensor) -> Tensor:
    """Planes with the rows of ``flip`` (N,) mirrored: the pictures, and the signs of both yaws."""
    other = planes.flip(3).clone()
    other[:, [7, 9]] *= -1.0
    return torch.where(flip[:, None, None, None], other, planes)


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """What a file of this module says about itself. Raises :class:`BadInput`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as handle:
            return dict(handle.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise BadInput(f"{path}: not a safetensors file ({error})") from error


@dataclass(frozen=True)
class Score:
    """Over held-out pairs: mean L1 in the frame's middle (0..2) and mean cosine to the wanted picture per judge."""

    pixels: float
    identity: tuple[float, ...]


def evaluate(draw: Callable[[Tensor], Tensor], data: Arrays, judges: Sequence[Judge], *, device: str = "cpu", batch: int = 32) -> Score:
    """``draw``: planes -> pictures; ``copy_turned`` and ``copy_photograph`` are what it must beat."""
    place = torch.device(device)
    pixels, identity = [], []
    with torch.no_grad():
        for start in range(0, len(data["person"]), batch):
            planes, wanted = planes_of(data, np.arange(start, min(start + batch, len(data["person"]))), place)
            drawn = draw(planes)
            weight = middle_weight(drawn.shape[-1], place)
            pixels += ((drawn - wanted).abs() * weight).mean((1, 2, 3)).tolist()
            crops, goal = face_crop(drawn), face_crop(wanted)
            identity.append(torch.stack([(judge(crops)[0] * judge(goal)[0]).sum(1) for judge in judges], 1).cpu() if judges else None)
    means = torch.cat([one for one in identity if one is not None]).mean(0).tolist() if judges else []
    return Score(float(np.mean(pixels)), tuple(means))


def copy_turned(planes: Tensor) -> Tensor:
    """The baseline: the mesh's picture as it is."""
    return planes[:, 3:6]


def copy_photograph(planes: Tensor) -> Tensor:
    """The other baseline: the angled photograph as it is."""
    return planes[:, :3]

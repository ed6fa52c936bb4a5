"""A training run in slices: every step is decided by (seed, step) alone, so a run that stops goes on as if it had not.

What is trained (the network, what it sees of a pair, its losses) is said by the subclasses in :mod:`frontalbench.train.refiner` and
:mod:`frontalbench.train.scaleway`. A small patch discriminator (hinge) plays along when its weight is above 0.
"""

from __future__ import annotations

import json
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.errors import BadInput
from frontalbench.files import atomic
from frontalbench.geometry.similarity import ARCFACE_SIZE, ARCFACE_TEMPLATE, estimate_similarity, invert
from frontalbench.networks import checkpoints
from frontalbench.networks.discriminator import Discriminator
from frontalbench.networks.recognizer import Recognizer
from frontalbench.synth.pairs import RENDERED_SOURCE
from frontalbench.types import Int

Arrays = dict[str, npt.NDArray[Any]]
Draw = Callable[[Tensor], Tensor]
"""A network's input -> images (N, 3, S, S) in -1..1."""

CHECKPOINT = "checkpoint.safetensors"
POINTS_CM = np.array([[-3.4, -1.0], [3.4, -1.0], [0.0, 2.85], [-3.0, 5.55], [3.0, 5.55]])
"""The five points of a level frontal face, cm from the head's middle (x right, y down); mean of detections on synthetic frontal images."""
HELD_OUT = 10
"""Every tenth person is never trained on."""


@dataclass(frozen=True)
class Schedule:
    """What every run is; a checkpoint made with other settings (but for ``steps``) is refused. Subclasses add the weights of their losses, by
    their losses' names; 0 leaves a loss out."""

    batch: int = 16
    steps: int = 20000
    rate: float = 5e-4
    warmup: int = 50
    adversarial: float = 0.0
    adversarial_from: int = 2000
    seed: int = 0


S = TypeVar("S", bound=Schedule)


def split(data: Arrays) -> tuple[Arrays, Arrays]:
    """(training pairs, held-out pairs): by person. Raises :class:`BadInput` when one of them is empty."""
    held = data["person"] % HELD_OUT == 0
    if held.all() or not held.any():
        raise BadInput("pairs: every tenth person is held out, and here there are none or no others; make pairs of at least 20 people")
    return {name: rows[~held] for name, rows in data.items()}, {name: rows[held] for name, rows in data.items()}


def face_crop(images: Tensor, span: float, middle: tuple[float, float] = (0.0, 0.0), moves: Tensor | None = None) -> Tensor:
    """Images (N, 3, S, S) in -1..1 -> aligned crops (N, 3, 112, 112) in 0..255, by where the five points of a frontal face lie
    in a square of ``span`` cm of the head about ``middle`` (x, y) cm from its middle. ``moves`` (N, 2, 3): every crop is moved by such a map
    first (places -1..1), so that nothing can be drawn for one alignment only."""
    size = images.shape[-1]
    points = (size - 1) / 2.0 + (POINTS_CM - middle) * size / span
    back = invert(estimate_similarity(points, ARCFACE_TEMPLATE))
    y, x = np.mgrid[:ARCFACE_SIZE, :ARCFACE_SIZE]
    places = np.stack([x, y], -1).reshape(-1, 2) @ back[:, :2].T + back[:, 2]
    grid = torch.from_numpy(((places + 0.5) / size * 2.0 - 1.0).astype(np.float32)).to(images.device)
    grid = grid.reshape(1, ARCFACE_SIZE, ARCFACE_SIZE, 2).expand(len(images), -1, -1, -1)
    if moves is not None:
        grid = torch.einsum("nhwk,njk->nhwj", grid, moves[:, :, :2]) + moves[:, None, None, :, 2]
    return (functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False) + 1.0) * 127.5


@dataclass(frozen=True)
class Score:
    """Over held-out pairs: mean L1 (0..2), weighted as in training, and mean cosine to the wanted image per recognizer (pairs with trust only)."""

    pixels: float
    identity: tuple[float, ...]


class Trainer(ABC, Generic[S]):
    """One run: the network, its optimizer, and where it is."""

    weights: str
    """File name of the trained weights."""

    def __init__(self, settings: S, recognizers: Sequence[Recognizer], *, device: str = "cpu", bfloat16: bool = False) -> None:
        self.settings, self.recognizers, self.bfloat16 = settings, recognizers, bfloat16
        self.device = torch.device(device)
        torch.manual_seed(settings.seed)
        self.network = self.build().to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(self.network.parameters(), settings.rate, betas=(0.9, 0.99))
        self.rival = Discriminator().to(self.device) if settings.adversarial else None
        self.rival_optimizer = None if self.rival is None else torch.optim.Adam(self.rival.parameters(), settings.rate, betas=(0.5, 0.99))
        self.step = 0
        for recognizer in recognizers:
            recognizer.to(self.device)

    # What is trained ----------------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def build(self) -> nn.Module:
        """The network before its first step."""

    def prepared(self, data: Arrays) -> Arrays:
        """Pairs as :func:`frontalbench.synth.pairs.read_shards` gives them, as the other methods want them."""
        return data

    @abstractmethod
    def images(self, data: Arrays, rows: Int) -> tuple[Tensor, Tensor]:
        """(network input, wanted images (N, 3, S, S) in -1..1) of some pairs, on the device."""

    @abstractmethod
    def varied(self, seen: Tensor, wanted: Tensor, random: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Both as a step sees them: mirrored and so on."""

    @abstractmethod
    def losses(self, drawn: Tensor, wanted: Tensor, trust: Tensor) -> dict[str, Tensor]:
        """Each loss by name, unweighted; ``pixels`` counts once. ``trust`` (N,): see :meth:`trust`."""

    @abstractmethod
    def faces(self, images: Tensor) -> Tensor:
        """Aligned crops (N, 3, 112, 112) in 0..255 of wanted or drawn images."""

    @abstractmethod
    def baselines(self, data: Arrays) -> dict[str, Draw]:
        """What the network must beat, by name; ``data``: the training pairs."""

    def trust(self, data: Arrays, rows: Int) -> Tensor:
        """(N,): how far the embedding of a wanted image says who is to be drawn: 1 of a rendered one, else the images' measured similarity."""
        trust = np.where(data["kind"][rows] == RENDERED_SOURCE, 1.0, np.clip(data["similarity"][rows], 0.0, 1.0))
        return torch.from_numpy(trust.astype(np.float32)).to(self.device)

    def weight(self, size: int) -> Tensor:
        """(1, 1, S, S) or (1, 1, 1, 1): how much every pixel counts."""
        return torch.ones(1, 1, 1, 1, device=self.device)

    # Steps --------------------------------------------------------------------------------------------------------------------------------

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
        """Rows, variations and learning rate follow from (seed, step)."""
        settings, random = self.settings, np.random.default_rng([self.settings.seed, self.step])
        rows = random.integers(0, len(data["person"]), settings.batch)
        seen, wanted = self.varied(*self.images(data, rows), random)
        seen = seen.contiguous(memory_format=torch.channels_last)
        progress = self.step / max(1, settings.steps)
        rate = settings.rate * min(1.0, (self.step + 1) / settings.warmup) * 0.5 * (1.0 + np.cos(np.pi * min(1.0, progress)))
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            drawn = self.network(seen)
            found = self.losses(drawn, wanted, self.trust(data, rows))
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

    def evaluate(self, draw: Draw, data: Arrays, *, batch: int = 32) -> Score:
        """How ``draw`` does on held-out pairs: the network in ``eval`` mode, or a baseline."""
        pixels, identity = [], []
        with torch.no_grad():
            for start in range(0, len(data["person"]), batch):
                rows = np.arange(start, min(start + batch, len(data["person"])))
                seen, wanted = self.images(data, rows)
                drawn, known = draw(seen), self.trust(data, rows) > 0
                pixels += ((drawn - wanted).abs() * self.weight(drawn.shape[-1])).mean((1, 2, 3)).tolist()
                if self.recognizers and bool(known.any()):
                    mine, goal = self.faces(drawn[known]), self.faces(wanted[known])
                    identity.append(
                        torch.stack([(recognizer(mine)[0] * recognizer(goal)[0]).sum(1) for recognizer in self.recognizers], 1).cpu()
                    )
        return Score(float(np.mean(pixels)), tuple(torch.cat(identity).mean(0).tolist()) if identity else ())

    # Checkpoints --------------------------------------------------------------------------------------------------------------------------

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Everything that going on needs, and the weights alone as a model is loaded; whole files or none."""
        metadata = {"settings": json.dumps(asdict(self.settings)), "step": str(self.step)}
        atomic.write_bytes(Path(folder) / CHECKPOINT, save(self._tensors(), metadata))
        weights = {name: value.detach().cpu().contiguous() for name, value in self.network.state_dict().items()}
        atomic.write_bytes(Path(folder) / self.weights, save(self.kept(weights), metadata))

    def kept(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights as they are written to be used."""
        return weights

    def _tensors(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for place, module, optimizer in (("network", self.network, self.optimizer), ("rival", self.rival, self.rival_optimizer)):
            if module is None or optimizer is None:
                continue
            found |= {f"{place}.{name}": value for name, value in module.state_dict().items()}
            for number, parameter in enumerate(module.parameters()):
                found |= {f"{place}.adam.{number}.{key}": value for key, value in optimizer.state.get(parameter, {}).items()}
        return {name: value.detach().cpu().contiguous() for name, value in found.items()}

    def begin_with(self, path: str | os.PathLike[str]) -> list[str]:
        """Take over trained weights of the same names and shapes, from a network for another size of image say; the names that were not taken.
        Raises :class:`BadInput` when nothing fits."""
        theirs, mine = checkpoints.load(path), self.network.state_dict()
        fitting = {name: theirs[name] for name, value in mine.items() if name in theirs and theirs[name].shape == value.shape}
        if not fitting:
            raise BadInput(
                f"{path}: no tensor fits this network; give the weights that train_network.py wrote for the same width and levels"
            )
        self.network.load_state_dict(mine | fitting)
        return sorted(set(mine) - set(fitting))

    def resume(self, folder: str | os.PathLike[str]) -> bool:
        """Go on where the checkpoint in ``folder`` stopped; False when there is none. Raises :class:`BadInput` when it belongs to another run."""
        path = Path(folder) / CHECKPOINT
        if not path.is_file():
            return False
        metadata = checkpoints.metadata(path)
        theirs, mine = json.loads(metadata["settings"]), asdict(self.settings)
        other = sorted(name for name in mine if name != "steps" and theirs.get(name) != mine[name])
        if other:
            raise BadInput(f"{path}: made with another {', '.join(other)}; give the same settings, or another folder")
        tensors = checkpoints.load(path)
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

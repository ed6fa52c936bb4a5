"""Which style of a 3-D aware generator draws a given face: optimisation in its style space, then pivotal tuning of its weights (Roich et al. 2022).

One image at a time. First a style (one for all layers) and small corrections of the camera are sought, with noise on the style that fades, as in
StyleGAN2's projector (Karras et al. 2020); then the style stays and the generator's own weights move until the face is the one wanted; then the
camera goes to the front. Held by colours, by the feature maps of a recognition network, and by its embedding. Every random number follows from the
seed and the step, so an optimisation that was interrupted goes on as if it had not been.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.errors import BadInput
from frontalbench.files import arrays
from frontalbench.geometry.similarity import ARCFACE_SIZE, ARCFACE_TEMPLATE, estimate_similarity, invert
from frontalbench.images import RGB

SEEN: Final = 256
"""Side in pixels at which images are compared."""
_FIRST, _LAST = 0.05, 0.25
"""Of the steps: the rate rises over the first, falls over the last."""
_NOISY: Final = 0.75
_KEPT_EVERY: Final = 50
_BEYOND: Final = 1.0e3
"""A loss above it is no image any more."""


@dataclass(frozen=True)
class Recipe:
    """``steps`` and ``rate`` of the style's optimisation, ``camera_rate`` of the camera's; ``tuning_steps``, ``tuning_rate`` of the weights;
    ``noise``: of the style at the beginning, in its spreads; ``samples``: styles whose mean it starts from; ``rays``: per row, when an image is
    drawn; ``pixels``, ``features``, ``identity``: weights of the losses; ``still``: of the camera's corrections."""

    steps: int = 500
    rate: float = 0.01
    camera_rate: float = 0.001
    tuning_steps: int = 350
    tuning_rate: float = 3e-4
    noise: float = 0.05
    samples: int = 1000
    rays: int = 128
    pixels: float = 1.0
    features: float = 1.0
    identity: float = 0.5
    still: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Target:
    """``pixels`` uint8 (S, S, 3) RGB: the face in the generator's frame; ``known`` float32 (S, S): 1 where the photograph is shown; ``label`` (25,):
    its camera; ``points`` (5, 2): eyes, nose, mouth corners in it; ``wanted`` (25,): the camera of the result."""

    pixels: RGB
    known: npt.NDArray[np.float32]
    label: npt.NDArray[np.float32]
    points: npt.NDArray[np.float64]
    wanted: npt.NDArray[np.float32]


class Drawn(Protocol):
    @property
    def image(self) -> Tensor: ...


class Generator(Protocol):
    """A generator of heads: (z (N, 512), labels (N, 25)) -> styles (N, 512); styles (N, L, 512) and labels -> images (N, 3, S, S) in -1..1."""

    layers: int

    def style(self, z: Tensor, labels: Tensor) -> Tensor: ...

    def look(self, styles: Tensor, labels: Tensor, side: int) -> Drawn: ...

    def tuned(self) -> Iterator[nn.Parameter]: ...


class Recogniser(Protocol):
    """Crops (N, 3, 112, 112) in 0..255 -> unit-length embeddings, feature maps."""

    def __call__(self, crops: Tensor) -> tuple[Tensor, list[Tensor]]: ...


class Inverter:
    """See the module. ``keep``: folder for what is found, so that an interrupted job goes on (None: nothing is kept); ``about``: what else than
    target and recipe decides a result (the hashes of the weights)."""

    def __init__(
        self,
        generator: Generator,
        recogniser: Recogniser,
        recipe: Recipe,
        device: torch.device,
        *,
        keep: Path | None = None,
        about: str = "",
    ) -> None:
        self._generator, self._recogniser, self.recipe, self._device = generator, recogniser, recipe, device
        self._keep, self._about = keep, about

    def turned(self, target: Target) -> Tensor:
        """The head of ``target`` from the camera ``target.wanted``: float32 (3, S, S) in about -1..1, on the CPU.

        Raises ValueError where the optimisation leaves all measure, or five points allow no alignment.
        """
        # The frame around calls without gradients; what is made here needs them.
        with torch.inference_mode(False), torch.enable_grad():
            state = _State.begin(self, target)
            if state.drawn is None:
                self._find(target, state)
                state.drawn = self._tune_and_draw(target, state)
                state.write()
            return torch.from_numpy(np.array(state.drawn))

    def key(self, target: Target) -> str:
        """Decided by everything that decides the result."""
        digest = hashlib.sha256(repr((self._about, sorted(asdict(self.recipe).items()), target.pixels.shape)).encode())
        for part in (target.pixels, target.known, target.label, target.points, target.wanted):
            digest.update(np.ascontiguousarray(part).tobytes())
        return digest.hexdigest()

    def start(self, label: Tensor) -> tuple[Tensor, float]:
        """Mean (512,) and spread of the styles that the generator has for a camera."""
        z = torch.randn(self.recipe.samples, 512, generator=torch.Generator().manual_seed(self.recipe.seed)).to(self._device)
        with torch.no_grad():
            styles = self._generator.style(z, label[None].expand(len(z), -1))
        mean = styles.mean(dim=0)
        return mean, float((styles - mean).square().sum(dim=1).mean().sqrt())

    def _find(self, target: Target, state: _State) -> None:
        recipe, generator = self.recipe, self._generator
        losses = _Losses(target, self._recogniser, recipe, self._device)
        label = torch.from_numpy(target.label).to(self._device)
        mean, spread = self.start(label)
        style = nn.Parameter((mean if state.style is None else torch.from_numpy(state.style).to(self._device)).clone())
        moves = nn.Parameter(torch.from_numpy(state.moves).to(self._device).clone())
        groups = [{"params": [style], "lr": recipe.rate}, {"params": [moves], "lr": recipe.camera_rate}]
        optimizer = torch.optim.Adam(groups, betas=(0.9, 0.999))
        for parameter, name in ((style, "style"), (moves, "moves")):
            state.restore(optimizer, parameter, name)
        for step in range(state.step, recipe.steps):
            passed = step / recipe.steps
            for group, rate in zip(optimizer.param_groups, (recipe.rate, recipe.camera_rate), strict=True):
                group["lr"] = rate * _ramp(passed)
            strength = spread * recipe.noise * max(0.0, 1.0 - passed / _NOISY) ** 2
            noise = torch.randn(512, generator=torch.Generator().manual_seed(recipe.seed * 1_000_003 + step + 1)).to(self._device)
            noisy = (style + noise * strength).expand(1, generator.layers, -1)
            loss = losses(generator.look(noisy, moved(label, moves)[None], recipe.rays).image) + recipe.still * moves.square().sum()
            _sound(loss, f"step {step}")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            for parameter in (style, moves):
                if parameter.grad is not None:
                    torch.nan_to_num_(parameter.grad, 0.0, 0.0, 0.0)
            optimizer.step()
            if (step + 1) % _KEPT_EVERY == 0 or step + 1 == recipe.steps:
                state.take(step + 1, optimizer, style, moves)
                state.write()
        state.style, state.moves = (one.detach().cpu().numpy().copy() for one in (style, moves))

    def _tune_and_draw(self, target: Target, state: _State) -> npt.NDArray[np.float32]:
        recipe, generator = self.recipe, self._generator
        assert state.style is not None
        losses = _Losses(target, self._recogniser, recipe, self._device)
        label, wanted = (torch.from_numpy(one).to(self._device) for one in (target.label, target.wanted))
        styles = torch.from_numpy(state.style).to(self._device).expand(1, generator.layers, -1)
        camera = moved(label, torch.from_numpy(state.moves).to(self._device))[None].detach()
        weights = [*generator.tuned()]
        before = [weight.detach().clone() for weight in weights]
        try:
            for weight in weights:
                weight.requires_grad_(True)
            optimizer = torch.optim.Adam(weights, lr=recipe.tuning_rate)
            for step in range(recipe.tuning_steps):
                loss = losses(generator.look(styles, camera, recipe.rays).image)
                _sound(loss, f"tuning step {step}")
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            with torch.no_grad():
                drawn: npt.NDArray[np.float32] = generator.look(styles, wanted[None], recipe.rays).image[0].float().cpu().numpy()
            return drawn
        finally:
            with torch.no_grad():
                for weight, old in zip(weights, before, strict=True):
                    weight.requires_grad_(False)
                    weight.copy_(old)


class _Losses:
    """How far an image is from the target: colours where the photograph is known, feature maps and embedding of the aligned face."""

    def __init__(self, target: Target, recogniser: Recogniser, recipe: Recipe, device: torch.device) -> None:
        self._recogniser, self._recipe = recogniser, recipe
        side = target.pixels.shape[0]
        back = invert(estimate_similarity(target.points, ARCFACE_TEMPLATE))
        y, x = np.mgrid[:ARCFACE_SIZE, :ARCFACE_SIZE]
        places = np.stack([x, y], -1).reshape(-1, 2) @ back[:, :2].T + back[:, 2]
        grid = ((places + 0.5) / side * 2.0 - 1.0).astype(np.float32).reshape(1, ARCFACE_SIZE, ARCFACE_SIZE, 2)
        self._grid = torch.from_numpy(grid).to(device)
        image = torch.from_numpy(np.ascontiguousarray(target.pixels)).to(device).permute(2, 0, 1)[None].float() / 127.5 - 1.0
        self._known = functional.adaptive_avg_pool2d(torch.from_numpy(target.known).to(device)[None, None], SEEN)
        with torch.no_grad():
            self._image, self._embedding, self._maps = self._seen(image)

    def _seen(self, image: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        small = functional.adaptive_avg_pool2d(image, SEEN)
        crop = functional.grid_sample(small, self._grid, padding_mode="border", align_corners=False)
        embedding, maps = self._recogniser((crop + 1.0) * 127.5)
        return small, embedding, [functional.normalize(one, dim=1) for one in maps]

    def __call__(self, image: Tensor) -> Tensor:
        small, embedding, maps = self._seen(image)
        recipe = self._recipe
        pixels = ((small - self._image).square() * self._known).sum() / (3.0 * self._known.sum()).clamp_min(1.0)
        features = torch.stack([(a - b).square().sum(dim=1).mean() for a, b in zip(maps, self._maps, strict=True)]).sum()
        identity = 1.0 - (embedding * self._embedding).sum(dim=1).mean()
        return recipe.pixels * pixels + recipe.features * features + recipe.identity * identity


@dataclass
class _State:
    """What is kept of one image's optimisation."""

    path: Path | None
    step: int
    style: npt.NDArray[np.float32] | None
    moves: npt.NDArray[np.float32]
    moments: dict[str, npt.NDArray[np.float32]]
    drawn: npt.NDArray[np.float32] | None = None

    @staticmethod
    def begin(inverter: Inverter, target: Target) -> _State:
        """Where an earlier run stopped, or the beginning. Raises :class:`BadInput` for a file that is none of ours."""
        fresh = _State(None, 0, None, np.zeros(6, np.float32), {})
        if inverter._keep is None:
            return fresh
        path = inverter._keep / f"{inverter.key(target)}.safetensors"
        fresh.path = path
        if not path.is_file():
            return fresh
        try:
            found: dict[str, Any] = load_file(path)
            moments = {name: value for name, value in found.items() if name.startswith("moment.")}
            return _State(path, int(found["step"][0]), found["style"], found["moves"], moments, found.get("drawn"))
        except (OSError, SafetensorError, KeyError) as error:
            raise BadInput(f"{path}: not the state of an inversion ({error}); delete it, and it is made again") from error

    def take(self, step: int, optimizer: torch.optim.Optimizer, style: Tensor, moves: Tensor) -> None:
        self.step = step
        self.style, self.moves = (one.detach().cpu().numpy().copy() for one in (style, moves))
        for name, parameter in (("style", style), ("moves", moves)):
            for kind in ("exp_avg", "exp_avg_sq"):
                self.moments[f"moment.{name}.{kind}"] = optimizer.state[parameter][kind].detach().cpu().numpy().copy()

    def restore(self, optimizer: torch.optim.Optimizer, parameter: Tensor, name: str) -> None:
        if self.step == 0:
            return
        kinds = {kind: torch.from_numpy(self.moments[f"moment.{name}.{kind}"]).to(parameter.device) for kind in ("exp_avg", "exp_avg_sq")}
        optimizer.state[parameter] = {"step": torch.tensor(float(self.step)), **{kind: value.clone() for kind, value in kinds.items()}}

    def write(self) -> None:
        if self.path is None or self.style is None:
            return
        values: dict[str, npt.NDArray[Any]] = {"step": np.array([self.step]), "style": self.style, "moves": self.moves}
        # A finished image needs no way back into the optimisation.
        arrays.write(self.path, {**values, **(self.moments if self.drawn is None else {"drawn": self.drawn})})


def moved(label: Tensor, moves: Tensor) -> Tensor:
    """A camera label (25,) turned about the world's origin by ``moves[:3]`` (radians about x, y, z) and shifted by ``moves[3:]``."""
    zero = torch.zeros_like(moves[0])
    x, y, z = moves[0], moves[1], moves[2]
    turn = torch.linalg.matrix_exp(torch.stack([torch.stack([zero, -z, y]), torch.stack([z, zero, -x]), torch.stack([-y, x, zero])]))
    camera = label[:16].view(4, 4)
    top = turn @ camera[:3]
    top = torch.cat([top[:, :3], top[:, 3:] + moves[3:, None]], dim=1)
    return torch.cat([top.flatten(), label[12:]])


def _ramp(passed: float) -> float:
    falling = min(1.0, (1.0 - passed) / _LAST)
    return (0.5 - 0.5 * math.cos(falling * math.pi)) * min(1.0, (passed + 1e-3) / _FIRST)


def _sound(loss: Tensor, when: str) -> None:
    value = float(loss.detach())
    if not value < _BEYOND:
        raise ValueError(f"the inversion left all measure at {when} (loss {value:.3g})")

"""A frontal changed a little so that recognition networks see the person of its photograph in it: gradient descent on pixels (the study's
"ArcFace-guided refinement").

The aim is the embedding of the *input* photograph, never that of a reference. What is changed is the 112 x 112 crop that such networks see,
within the face and by at most ``radius`` grey levels a pixel; the change is then drawn into the image. The loss is::

    mean over the refining networks of (1 - cosine to the photograph)  +  smooth * total variation  +  alike * perceptual distance to the start

A gain under a refining network proves nothing: images can be moved anywhere in its space by a pattern that no other network, and no person,
sees. So a card declares its networks as ``trained_with``, they never judge what it made, and docs/enhancement.md shows the gain under others
beside.

Two things hold for every image: a step is taken only where the loss falls, and no pixel leaves its bound.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from frontalbench.catalogue.params import Params
from frontalbench.enhance import faces
from frontalbench.enhance.base import each_beside, to_bytes
from frontalbench.errors import BadConfig
from frontalbench.frontalize.base import Outcome
from frontalbench.geometry.masks import smoothstep
from frontalbench.geometry.oval import reach_map
from frontalbench.geometry.similarity import ARCFACE_SIZE, align, invert
from frontalbench.images import RGB
from frontalbench.runtime import sessions as runtime
from frontalbench.types import Float, Float32

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard
    from frontalbench.detect.base import Detector

_SHIFTS: Final = ((0, 0, False), (0, 0, True), (2, -1, False), (-2, 1, False))
"""Views of a crop: shifted by x and y pixels, mirrored or not; the first ``views`` of them are taken."""
_FEATHER: Final = (0.85, 1.1)
"""The change fades between these radii of the face's ellipse."""
_REDUCED: Final = 2
"""The perceptual distance sees the crop at half its size: a quarter of its time, which is most of a step's."""
_TINY: Final = 1e-3
"""Of the radius: steps below it are no steps."""


Distance = Callable[[Tensor], Callable[[Tensor], Tensor]]
"""A crop (1, 3, 112, 112) in 0..255 -> how far another is from it, 0 for the same."""


@dataclass(frozen=True)
class Recipe:
    """``steps`` at most; ``radius`` in grey levels; ``grid``: nodes a side that the change is interpolated between (112: every pixel is free);
    ``smooth``: weight of the total variation of the change, in units of the radius; ``alike``: of the perceptual distance; ``views`` 1 to 4: shifted
    and mirrored crops that a change must serve at once."""

    steps: int = 24
    radius: int = 8
    grid: int = 28
    smooth: float = 0.05
    alike: float = 1.0
    views: int = 1


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Refine:
    """The enhancement of a card of family ``identity_refine``; its ``uses`` names one detector, one ``st_lpips`` and the refining backbones.

    Params: ``steps`` 24 at most; ``radius`` 8: grey levels that a pixel may change by; ``grid`` 28: nodes a side of the change (112: every pixel);
    ``smooth`` 0.05, ``alike`` 1: weights of total variation and perceptual distance; ``views`` 1: shifted and mirrored crops, up to 4.

    Raises :class:`BadConfig` where a refining backbone is not declared under ``trained_with``: it would judge its own work.
    """
    from frontalbench.catalogue import families
    from frontalbench.embed.gradient import load_recognizer
    from frontalbench.quality import st_lpips

    params = Params(card)
    plain = Recipe()
    recipe = Recipe(
        steps=params.integer("steps", plain.steps, low=0),
        radius=params.integer("radius", plain.radius, low=0),
        grid=params.integer("grid", plain.grid, low=2),
        smooth=params.number("smooth", plain.smooth, low=0, high=100),
        alike=params.number("alike", plain.alike, low=0, high=100),
        views=params.integer("views", plain.views),
    )
    params.finish()
    if recipe.grid > ARCFACE_SIZE or recipe.views > len(_SHIFTS) or recipe.radius > 255:
        raise BadConfig(f"{card.path}: params.grid is at most {ARCFACE_SIZE}, views at most {len(_SHIFTS)}, radius at most 255")
    refiners = [used for used in card.used_cards() if used.kind == "backbone"]
    if not refiners:
        raise BadConfig(f"{card.path}: uses: names no backbone to refine with")
    for used in refiners:
        if used.name not in card.trained_with:
            raise BadConfig(f"{card.path}: trained_with should name '{used.name}': it refines these images, so it must never judge them")
    detector: Detector = families.load(card.the("detector"), threads=threads, device=device)
    torch.set_num_threads(max(1, threads))
    networks = {used.name: load_recognizer(used, device=device) for used in refiners}
    perceptual = (
        st_lpips.distance_to(card.the("quality", "st_lpips"), runtime.torch_device(device), reduced=_REDUCED) if recipe.alike else None
    )
    return Refine(card.name, detector, networks, perceptual, recipe, device=device)


class Refine:
    """See the module. The ``detail`` of a row says how similar image and photograph were to the refining networks before and after."""

    looks_at_photographs = True

    def __init__(
        self,
        name: str,
        detector: Detector,
        networks: Mapping[str, torch.nn.Module],
        perceptual: Distance | None,
        recipe: Recipe,
        *,
        device: str = "cpu",
    ) -> None:
        """``perceptual``: None where ``recipe.alike`` is 0."""
        self.name, self.recipe = name, recipe
        self._detector = detector
        self._device = runtime.torch_device(device)
        self._networks = {key: network.to(self._device) for key, network in networks.items()}
        self._perceptual = perceptual

    def enhance(self, images: Sequence[RGB]) -> list[Outcome]:
        return self.enhance_beside(images, [None] * len(images))

    def enhance_beside(self, images: Sequence[RGB], photographs: Sequence[RGB | None]) -> list[Outcome]:
        outcomes = []
        for image, photograph in zip(images, photographs, strict=True):
            said: list[str] = []

            def change(pixels: RGB, seen: RGB, said: list[str] = said) -> RGB:
                made, words = self._refine(pixels, seen)
                said.append(words)
                return made

            [outcome] = each_beside([image], [photograph], change)
            outcomes.append(dataclasses.replace(outcome, detail=said[0]) if said and outcome.image is not None else outcome)
        return outcomes

    def _refine(self, image: RGB, photograph: RGB) -> tuple[RGB, str]:
        upright, there = faces.in_photograph(self._detector, photograph)
        here = faces.found(self._detector, image)
        # The frame around batches may forbid gradients; what is made here needs them.
        with torch.inference_mode(False), torch.enable_grad():
            start = _tensor(align(image, here), self._device)
            with torch.no_grad():
                aims = {key: network(_tensor(align(upright, there), self._device))[0] for key, network in self._networks.items()}
            losses = Losses(self._networks, aims, start, self._perceptual, self.recipe)
            change = descend(losses, self.recipe, self._device).change
            made = drawn(image, change, faces.to_crop(here), self.recipe.radius)
            after = _tensor(align(made, here), self._device)
            # What is drawn is rounded and interpolated; where that eats the gain, the image stays.
            if not losses.number(after) < losses.number(start):
                made, after = image, start
            pairs = [f"{key} {losses.cosine(key, start):.3f} -> {losses.cosine(key, after):.3f}" for key in self._networks]
        return made, f"similarity to the photograph: {', '.join(pairs)}"


class Losses:
    """The loss of a crop, or of a change of the start; tensors (1, 3, 112, 112) on the scale 0..255."""

    def __init__(
        self,
        networks: Mapping[str, torch.nn.Module],
        aims: dict[str, Tensor],
        start: Tensor,
        perceptual: Distance | None,
        recipe: Recipe,
    ) -> None:
        self._networks, self._aims, self.start, self._recipe = networks, aims, start, recipe
        self._away = perceptual(start) if perceptual is not None and recipe.alike else None

    def of(self, crop: Tensor) -> Tensor:
        """The whole loss of a crop."""
        recipe = self._recipe
        views = torch.cat([_view(crop, *how) for how in _SHIFTS[: recipe.views]])
        apart = [1.0 - (network(views)[0] * self._aims[key]).sum(dim=1).mean() for key, network in self._networks.items()]
        loss = torch.stack(apart).mean()
        if recipe.smooth and recipe.radius:
            change = (crop - self.start) / recipe.radius
            loss = loss + recipe.smooth * variation(change)
        if self._away is not None:
            loss = loss + recipe.alike * self._away(crop)
        return loss

    def number(self, crop: Tensor) -> float:
        """The same without a gradient."""
        with torch.no_grad():
            return float(self.of(crop))

    def cosine(self, key: str, crop: Tensor) -> float:
        """The similarity of a crop and the photograph to one network."""
        with torch.no_grad():
            return float((self._networks[key](crop)[0] * self._aims[key]).sum())


def variation(change: Tensor) -> Tensor:
    """Total variation of (N, C, H, W): the mean absolute step between neighbours, rounded off near 0 so that it has a gradient there."""
    return sum(((step**2 + 1e-6).sqrt() - 1e-3).mean() for step in (change.diff(dim=2), change.diff(dim=3)))  # type: ignore[return-value]


def _view(crop: Tensor, right: int, down: int, mirrored: bool) -> Tensor:
    moved = crop
    if right or down:
        wide = functional.pad(crop, (2, 2, 2, 2), mode="replicate")
        moved = wide[:, :, 2 - down : 2 - down + crop.shape[2], 2 - right : 2 - right + crop.shape[3]]
    return moved.flip(3) if mirrored else moved


@dataclass(frozen=True)
class Descent:
    """``change`` float32 (112, 112, 3) in grey levels, within the bound and the face; ``losses``: of the start and after every step taken."""

    change: Float32
    losses: tuple[float, ...]


def descend(losses: Losses, recipe: Recipe, device: torch.device | None = None) -> Descent:
    """Find a change whose loss is lower than the start's: steps along a running mean of gradients, scaled by their running size (Kingma and Ba 2015),
    halved until the loss falls. The change is interpolated between nodes that are kept within the radius, so no pixel leaves it."""
    device = device or torch.device("cpu")
    side, radius = ARCFACE_SIZE, float(recipe.radius)
    mask = torch.from_numpy(smoothstep(reach_map(side), _FEATHER[1], _FEATHER[0]).astype(np.float32)).to(device)

    def spread(nodes: Tensor) -> Tensor:
        wide = nodes if nodes.shape[-1] == side else functional.interpolate(nodes, size=(side, side), mode="bilinear", align_corners=True)
        return wide * mask

    def look(nodes: Tensor) -> tuple[Tensor, Tensor]:
        nodes = nodes.detach().requires_grad_(True)
        return nodes, losses.of((losses.start + spread(nodes)).clamp(0.0, 255.0))

    nodes, loss = look(torch.zeros((1, 3, recipe.grid, recipe.grid), device=device))
    trace = [float(loss.detach())]
    first = second = None
    rate = radius / 4.0
    for _ in range(recipe.steps if radius else 0):
        [gradient] = torch.autograd.grad(loss, nodes)
        first = gradient if first is None else 0.8 * first + 0.2 * gradient
        second = gradient**2 if second is None else 0.95 * second + 0.05 * gradient**2
        direction = first / (second.sqrt() + 1e-12 + 1e-3 * second.sqrt().max())
        accepted = False
        while rate >= _TINY * radius:
            trial, value = look((nodes - rate * direction).clamp(-radius, radius))
            if float(value.detach()) < trace[-1]:
                accepted = True
                break
            rate /= 2.0
            direction, first = gradient / (second.sqrt() + 1e-12 + 1e-3 * second.sqrt().max()), gradient
        if not accepted:
            break
        nodes, loss = trial, value
        trace.append(float(value.detach()))
        rate *= 1.2
    with torch.no_grad():
        change: Float32 = spread(nodes)[0].permute(1, 2, 0).cpu().numpy()
    return Descent(change, tuple(trace))


def drawn(image: RGB, change: Float32, matrix: Float, radius: int) -> RGB:
    """``image`` with a ``change`` (112, 112, 3) of its crop drawn in; ``matrix`` (2, 3): image -> crop. No pixel changes by more than
    ``radius``."""
    height, width = image.shape[:2]
    wide = cv2.warpAffine(
        change, invert(matrix), (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0)
    )
    return to_bytes(image + np.clip(wide, -radius, radius))


def _tensor(crop: RGB, device: torch.device) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1)[None], np.float32)).to(device)

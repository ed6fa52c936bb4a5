"""People who do not exist, turned so that they stay who they are: the latent is moved by optimisation, image by image.

Moving along one direction of style space turns the head and changes the person (docs/synthetic.md). Here that is only where an image begins. Then
all 23 styles of it move, in the coordinates of the styles' own spread, until

* the 68 points of the 3DDFA_V2 fit lie where the *frontal* image's own face lies when it is turned (pose and form),
* the surface that both images show has the frontal image's colours there, fine and coarse (what no recogniser needs to be asked for),
* the embeddings of small variations of the aligned crop are the frontal image's, under networks that are named on the data card,
* what is not the face stays as it was, and no style becomes unusual.

The regressor of the fit is the half-width network of 3DDFA_V2; poses are measured with the full-width one. Both were trained on the same images.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from frontalbench.geometry.rotation import angles_from_matrix, matrix_from_angles
from frontalbench.geometry.similarity import ARCFACE_SIZE, ARCFACE_TEMPLATE, estimate_similarity, invert
from frontalbench.landmarks.tddfa import INPUT_SIDE, N_SHAPE, rotation_of
from frontalbench.networks.mobilestylegan import STYLES, Synthesis
from frontalbench.networks.recognizer import Recognizer
from frontalbench.networks.tddfa_mobilenet import Regressor
from frontalbench.types import Float

COARSE = 10
"""The style inputs that the turning directions are for: 4 to 32 pixels."""
FINE = 16
"""From this style input on (256 pixels and more) moves are small: skin and light."""
POINTS = 68
FIVE: tuple[tuple[int, ...], ...] = (tuple(range(36, 42)), tuple(range(42, 48)), (30,), (48,), (54,))
"""Which of the 68 points each of the five is the mean of."""
_AXES = (1.0, -1.0, -1.0)


@dataclass(frozen=True)
class TurningSettings:
    """How an image is turned; sides in pixels, weights of the losses by their names (0 leaves one out)."""

    steps: int = 80
    rate: float = 0.05
    size: int = 256
    points: float = 4.0
    surface: float = 4.0
    identity: float = 3.0
    around: float = 1.0
    usual: float = 0.02
    smooth: float = 0.5
    """How far the finest styles move, compared with the others."""
    search: int = 5
    """Steps of the search for the pose to begin with."""


@dataclass(frozen=True)
class Ways:
    """The styles' mean (512,), the columns of their spread (512, 512: principal directions times standard deviations), and the change of a style for
    one degree of yaw and of pitch (512,); ``level``: the pitch that a level face reads."""

    mean: Tensor
    spread: Tensor
    yaw: Tensor
    pitch: Tensor
    level: float

    def to(self, device: torch.device) -> Ways:
        mean, spread, yaw, pitch = (one.float().to(device) for one in (self.mean, self.spread, self.yaw, self.pitch))
        return Ways(mean, spread, yaw, pitch, self.level)


class Surface(nn.Module):
    """The face model at its 68 points and some thousand vertices more, and the network that fits it.

    Buffers: ``mean`` (V, 3), ``shape`` (V, 3, 40), ``expression`` (V, 3, 10) in camera axes; ``normals`` (V, 3), outwards; ``centre``,
    ``spread`` (62,). The first 68 vertices are the points.
    """

    mean: Tensor
    shape: Tensor
    expression: Tensor
    normals: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, regressor: Regressor, **buffers: Tensor) -> None:
        super().__init__()
        self.regressor = regressor.eval().requires_grad_(False)
        for name in ("mean", "shape", "expression", "normals", "centre", "spread"):
            self.register_buffer(name, buffers[name].float())

    def parameters_of(self, images: Tensor, roi: Tensor) -> Tensor:
        """The 62 parameters of the faces in squares ``roi`` (N, 3: left, top, side) of ``images`` (N, 3, S, S) in -1..1."""
        size = images.shape[-1]
        line = (torch.arange(INPUT_SIDE, device=images.device) + 0.5) / INPUT_SIDE
        x, y = (roi[:, k, None] + line[None] * roi[:, 2, None] for k in (0, 1))
        grid = torch.stack([x[:, None, :].expand(-1, INPUT_SIDE, -1), y[:, :, None].expand(-1, -1, INPUT_SIDE)], -1) / size * 2.0 - 1.0
        patch = functional.grid_sample(_blurred(images, 0.45 * size / 256.0), grid, padding_mode="border", align_corners=False)
        return cast(Tensor, self.regressor(patch.flip(1) * (127.5 / 128.0))) * self.spread + self.centre

    def model(self, parameters: Tensor) -> Tensor:
        """Faces without pose (N, V, 3)."""
        shape, expression = parameters[:, 12 : 12 + N_SHAPE], parameters[:, 12 + N_SHAPE :]
        return self.mean + torch.einsum("vck,nk->nvc", self.shape, shape) + torch.einsum("vck,nk->nvc", self.expression, expression)

    def posed(self, parameters: Tensor, roi: Tensor, rows: int | None = None) -> Tensor:
        """Where the vertices are in the image (N, V, 2), of all or of the first ``rows``."""
        matrix = parameters[:, :12].reshape(-1, 3, 4)
        model = self.model(parameters)[:, :rows] * parameters.new_tensor(_AXES)
        places = torch.einsum("nij,nvj->nvi", matrix[:, :, :3], model) + matrix[:, None, :, 3]
        scale = roi[:, None, 2] / INPUT_SIDE
        return torch.stack([(places[..., 0] - 1.0) * scale + roi[:, None, 0], (INPUT_SIDE - places[..., 1]) * scale + roi[:, None, 1]], -1)

    def fit(self, images: Tensor, roi: Tensor | None = None, passes: int = 3) -> tuple[Tensor, Tensor]:
        """Parameters (N, 62) and the squares (N, 3) they belong to; the squares are found by ``passes``, from the middle of the image on."""
        size = images.shape[-1]
        if roi is None:
            roi = images.new_tensor([0.14, 0.20, 0.72]).mul(size).expand(len(images), 3)
        for _ in range(passes - 1):
            roi = around(self.posed(self.parameters_of(images, roi), roi, POINTS))
        return self.parameters_of(images, roi), roi


def around(points: Tensor) -> Tensor:
    """The squares (N, 3: left, top, side) around points (N, 68, 2), as the official recipe has them."""
    low, high = points.amin(1), points.amax(1)
    side = (high - low).amax(1, keepdim=True) * 2.0**0.5
    return torch.cat([(low + high) / 2.0 - side / 2.0, side], 1).detach()


def angles(parameters: Tensor) -> Float:
    """(N, 3) yaw, pitch, roll in degrees."""
    rows = parameters.detach().double().cpu().numpy()
    return np.array([np.stack(angles_from_matrix(rotation_of(row))) for row in rows])


@dataclass(frozen=True)
class Turned:
    """What became of images (N): ``styles`` (N, 23, 512), ``images`` (N, 3, S, S) in -1..1, ``yaws`` (N,) as wanted, ``poses`` (N, 3) as the
    half-width network measures them, ``similarity`` (N, networks) to the frontal image at the plain crop, ``start`` the same where the image
    began, ``unusual`` (N,): root mean square of the move in standard deviations."""

    styles: Tensor
    images: Tensor
    yaws: Float
    poses: Float
    similarity: Tensor
    start: Tensor
    unusual: Tensor


class Turner:
    """Turns people. ``mixed``: the generator computes in bfloat16 while styles move."""

    def __init__(
        self,
        synthesis: Synthesis,
        surface: Surface,
        recognizers: Sequence[Recognizer],
        ways: Ways,
        settings: TurningSettings = TurningSettings(),
        *,
        device: str = "cpu",
        mixed: bool = False,
    ) -> None:
        self.device, self.settings, self.mixed = torch.device(device), settings, mixed
        self.synthesis, self.surface = synthesis.to(self.device).eval(), surface.to(self.device)
        self.recognizers = [one.to(self.device) for one in recognizers]
        self.ways = ways.to(self.device)

    def draw(self, styles: Tensor, size: int | None = None) -> Tensor:
        """Images (N, 3, S, S), about -1..1, of styles (N, 23, 512)."""
        return self.synthesis.drawn(styles.unbind(1), size=size or self.settings.size)

    def drawn(self, styles: Tensor, size: int | None = None, batch: int = 16) -> Tensor:
        """The same in float32, clamped, without a gradient, ``batch`` at a time."""
        with torch.no_grad():
            return torch.cat([self.draw(part, size).clamp(-1.0, 1.0) for part in torch.split(styles, batch)])

    def aimed(self, styles: Tensor, yaws: Tensor, batch: int = 16) -> Tensor:
        """``styles`` (N, 512) along the turning directions, so that the measured yaw is ``yaws`` (N,) and the pitch level: (N, 23, 512)."""
        turns, nods = yaws.clone(), torch.zeros_like(yaws)
        for _ in range(self.settings.search):
            poses = self.poses(self.drawn(self._along(styles, turns, nods), batch=batch))
            turns = turns + 0.8 * (yaws - poses[:, 0]).clamp(-15.0, 15.0)
            nods = (nods + 0.8 * (self.ways.level - poses[:, 1])).clamp(-25.0, 25.0)
        return self._along(styles, turns.clamp(-90.0, 90.0), nods)

    def poses(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            parameters, _ = self.surface.fit(images)
        return torch.from_numpy(angles(parameters).astype(np.float32)).to(self.device)

    def _along(self, styles: Tensor, turns: Tensor, nods: Tensor) -> Tensor:
        turned = styles + turns[:, None] * self.ways.yaw + nods[:, None] * self.ways.pitch
        return torch.cat([turned[:, None].expand(-1, COARSE, -1), styles[:, None].expand(-1, STYLES - COARSE, -1)], 1)

    def turn(
        self,
        styles: Tensor,
        yaws: Sequence[float],
        *,
        seed: int = 0,
        report: Callable[[int, dict[str, float]], None] | None = None,
        until: float = float("inf"),
    ) -> tuple[Tensor, Tensor, Turned]:
        """People of ``styles`` (P, 512) at every one of ``yaws`` (degrees).

        Gives the frontal styles (P, 23, 512), their images (P, 3, S, S), and the turned images, all angles of a person one after
        another. The same seed gives the same variations of crops. ``until`` (:func:`time.monotonic`): stop moving then.
        """
        count, settings = len(yaws), self.settings
        styles = styles.float().to(self.device)
        front_styles = self.aimed(styles, torch.zeros(len(styles), device=self.device))
        front = self.drawn(front_styles)
        with torch.no_grad():
            parameters, roi = self.surface.fit(front)
            at_front = self.surface.posed(parameters, roi)
            faces = self.surface.model(parameters)
        wanted = torch.tensor(list(yaws) * len(styles), dtype=torch.float32, device=self.device)
        start = self.aimed(styles.repeat_interleave(count, 0), wanted)
        begun = self.drawn(start)
        goal = self._goal(parameters, faces, begun, wanted, roi)

        def repeated(values: Tensor) -> Tensor:
            return values.repeat_interleave(count, 0)

        rotation = torch.from_numpy(angles_matrix(parameters)).float().to(self.device)
        weight = _both_seen(self.surface.normals, repeated(rotation), self._rotations(wanted))[:, POINTS:]
        blurs = self._blurs(front)
        colours = [repeated(_colours(blur, at_front[:, POINTS:])) for blur in blurs]
        maps = _alignments(goal[:, :POINTS])
        with torch.no_grad():
            embeddings = [repeated(one(_crops(front, _alignments(at_front[:, :POINTS])))[0]) for one in self.recognizers]
            before = self._similarity(begun, maps, embeddings)
        outside = _outside(goal[:, :POINTS], front.shape[-1] // 8)
        kept = functional.avg_pool2d(begun, 8)
        scale = front.new_ones(STYLES, 1)
        scale[FINE:] = settings.smooth
        move = torch.zeros(len(start), STYLES, self.ways.spread.shape[1], device=self.device, requires_grad=True)
        optimizer = torch.optim.Adam([move], settings.rate, betas=(0.9, 0.95))
        random = torch.Generator().manual_seed(seed)
        roi_now = around(goal[:, :POINTS])
        for step in range(settings.steps):
            if time.monotonic() > until:
                break
            for group in optimizer.param_groups:
                group["lr"] = settings.rate * min(1.0, (step + 1) / 5.0) * 0.5 * (1.0 + np.cos(np.pi * step / settings.steps))
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.mixed):
                images = self.draw(start + (move * scale) @ self.ways.spread.T)
            images = images.float()
            fitted = self.surface.parameters_of(images, roi_now)
            points = self.surface.posed(fitted, roi_now, POINTS)
            unit = roi_now[:, 2, None, None]
            losses = {
                "points": 20.0 * ((points - goal[:, :POINTS]) / unit).square().sum(-1).add(1e-6).sqrt().mean(1),
                "surface": sum(
                    (
                        share
                        * (weight[..., None] * (_colours(blur, goal[:, POINTS:]) - colour)).abs().sum((1, 2))
                        / weight.sum(1).clamp(min=1.0)
                    )
                    for share, blur, colour in zip((1.0, 0.5), self._blurs(images), colours, strict=True)
                ),
                "identity": sum(
                    (1.0 - (one(_crops(images, _moved(maps, random)))[0] * goal_embedding).sum(1))
                    for one, goal_embedding in zip(self.recognizers, embeddings, strict=True)
                )
                / len(self.recognizers),
                "around": ((functional.avg_pool2d(images, 8) - kept).abs().mean(1) * outside).mean((1, 2)),
                "usual": move.square().mean((1, 2)) * 10.0,
            }
            total = sum(getattr(settings, name) * value for name, value in losses.items())
            optimizer.zero_grad()
            total.sum().backward()
            optimizer.step()
            if report is not None:
                report(step, {name: float(value.detach().mean()) for name, value in losses.items()})
        with torch.no_grad():
            found = start + (move * scale) @ self.ways.spread.T
            images = self.drawn(found)
            similarity = self._similarity(images, maps, embeddings)
            poses = self.poses(images).double().cpu().numpy()
        unusual = move.detach().square().mean((1, 2)).sqrt()
        return front_styles, front, Turned(found, images, wanted.double().cpu().numpy(), poses, similarity, before, unusual)

    def _similarity(self, images: Tensor, maps: Tensor, embeddings: Sequence[Tensor]) -> Tensor:
        return torch.stack(
            [(one(_crops(images, maps))[0] * goal).sum(1) for one, goal in zip(self.recognizers, embeddings, strict=True)], 1
        )

    def _rotations(self, yaws: Tensor) -> Tensor:
        wanted = matrix_from_angles(yaws.double().cpu().numpy(), self.ways.level, 0.0)
        return torch.from_numpy(wanted).float().to(self.device)

    def _goal(self, parameters: Tensor, faces: Tensor, begun: Tensor, yaws: Tensor, roi: Tensor) -> Tensor:
        """Where the frontal image's own face lies in the turned image (N, V, 2): as large as it is from the front, and in the place of the
        face that the image begins with."""
        count = len(yaws) // len(faces)
        matrix = parameters[:, :12].reshape(-1, 3, 4)[:, :2, :3]
        scale = matrix.norm(dim=2).mean(1) * roi[:, 2] / INPUT_SIDE
        turned = torch.einsum("nij,nvj->nvi", self._rotations(yaws), faces.repeat_interleave(count, 0))
        flat = turned[..., :2] * scale.repeat_interleave(count)[:, None, None]
        with torch.no_grad():
            fitted, place = self.surface.fit(begun)
            there = self.surface.posed(fitted, place, POINTS)
        moved: Tensor = flat + (there.mean(1) - flat[:, :POINTS].mean(1))[:, None]
        return moved

    def _blurs(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """What is fine in images (without the light, that is), and what is coarse."""
        unit = images.shape[-1] / 256.0
        fine, coarse, light = (_blurred(images, sigma * unit) for sigma in (1.2, 3.0, 14.0))
        return 2.0 * (fine - coarse) + (coarse - light), coarse


def angles_matrix(parameters: Tensor) -> Float:
    """(N, 3, 3): the rotations of fits, head -> camera."""
    return np.stack([rotation_of(row) for row in parameters.detach().double().cpu().numpy()])


def _both_seen(normals: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """(N, V) in 0..1: how well both poses (N, 3, 3) show each vertex."""
    facing = torch.minimum(*(-torch.einsum("nj,vj->nv", pose[:, 2], normals) for pose in (first, second)))
    return ((facing - 0.25) / 0.4).clamp(0.0, 1.0)


def _blurred(images: Tensor, sigma: float) -> Tensor:
    reach = max(1, round(2.5 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, device=images.device) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(images.dtype)
    channels = images.shape[1]
    padded = functional.pad(images, (reach,) * 4, mode="replicate")
    across = functional.conv2d(padded, kernel.reshape(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
    return functional.conv2d(across, kernel.reshape(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)


def _colours(images: Tensor, places: Tensor) -> Tensor:
    """(N, V, 3): colours at places (N, V, 2) in pixels."""
    grid = ((places + 0.5) / images.shape[-1] * 2.0 - 1.0)[:, None]
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)[:, :, 0].transpose(1, 2)


def _alignments(points: Tensor) -> Tensor:
    """(N, 2, 3): from pixels of the aligned 112 x 112 crop to the image's, by the five points of 68 points (N, 68, 2)."""
    rows = points.detach().double().cpu().numpy()
    five = np.stack([np.stack([row[list(some)].mean(0) for some in FIVE]) for row in rows])
    maps = np.stack([invert(estimate_similarity(row, ARCFACE_TEMPLATE)) for row in five])
    return torch.from_numpy(maps.astype(np.float32)).to(points.device)


def _moved(maps: Tensor, random: torch.Generator) -> Tensor:
    """The same crops as another detector would have cut them: moved, turned and scaled a little."""
    count = len(maps)
    shift, lean, size = (torch.randn(count, n, generator=random).to(maps.device) for n in (2, 1, 1))
    middle = (ARCFACE_SIZE - 1) / 2.0
    angle, scale = (0.04 * lean)[:, 0], (1.0 + 0.03 * size)[:, 0]
    cosine, sine = scale * torch.cos(angle), scale * torch.sin(angle)
    turn = torch.stack([torch.stack([cosine, -sine], 1), torch.stack([sine, cosine], 1)], 1)
    offset = 1.2 * shift + middle - (turn @ maps.new_tensor([middle, middle]))
    left = maps[:, :, :2] @ turn
    return torch.cat([left, (maps[:, :, :2] @ offset[..., None]) + maps[:, :, 2:]], 2)


def _crops(images: Tensor, maps: Tensor) -> Tensor:
    """Aligned crops (N, 3, 112, 112) in 0..255."""
    size = images.shape[-1]
    y, x = torch.meshgrid(*(torch.arange(ARCFACE_SIZE, device=images.device, dtype=torch.float32),) * 2, indexing="ij")
    places = torch.einsum("hwk,njk->nhwj", torch.stack([x, y], -1), maps[:, :, :2]) + maps[:, None, None, :, 2]
    grid = (places + 0.5) / size * 2.0 - 1.0
    return (functional.grid_sample(images, grid, align_corners=False).clamp(-1.0, 1.0) + 1.0) * 127.5


def _outside(points: Tensor, side: int) -> Tensor:
    """(N, side, side) in 0..1: how far from the face a place is, by the box of the points (N, 68, 2) of images 8 times as large."""
    low, high = points.amin(1) / 8.0, points.amax(1) / 8.0
    middle, half = (low + high) / 2.0, (high - low) / 2.0
    middle, half = middle - half * middle.new_tensor([0.0, 0.25]), half * half.new_tensor([1.35, 1.6])
    line = torch.arange(side, device=points.device) + 0.5
    x, y = ((line[None] - middle[:, k, None]) / half[:, k, None] for k in (0, 1))
    radius = (x[:, None, :].square() + y[:, :, None].square()).sqrt()
    return ((radius - 1.0) / 0.3).clamp(0.0, 1.0)

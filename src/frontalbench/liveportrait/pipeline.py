"""From square crops to frontal (or otherwise posed) square images.

The order of steps: volume and motion of the crop; source keypoints; driving keypoints with the target rotation;
optional eye and lip retargeting, stitching and damping; warp and decode. :class:`Driving` holds every choice that changes the image.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from frontalbench.errors import BadConfig
from frontalbench.images import RGB
from frontalbench.liveportrait import motion as motions
from frontalbench.liveportrait.crop import SIDE, network_input
from frontalbench.liveportrait.motion import Motion
from frontalbench.networks import memory
from frontalbench.networks.liveportrait import files as official
from frontalbench.networks.liveportrait import keys, networks
from frontalbench.types import UInt8

Precision = Literal["float32", "float16", "bfloat16"]
Pose = tuple[float, float, float]

PRECISIONS: tuple[Precision, ...] = get_args(Precision)


@dataclass(frozen=True)
class Driving:
    """How the driving keypoints are made.

    ``stitching``: let the stitching network fit the head to the shoulders (LivePortrait's default; its authors advise it for small turns).
    ``keep_roll``: turn yaw and pitch only. ``expression``: ``keep`` the person's, ``neutral`` sets it to zero in the driving keypoints.
    ``multiplier``: 1 turns all the way, 0 not at all (x_s + m (x_d - x_s)). ``depth_shift``: add t's z (FacePoke).
    ``eyes``, ``lips``: target opening ratios for the retargeting networks, None leaves them.
    """

    stitching: bool = True
    keep_roll: bool = False
    expression: Literal["keep", "neutral"] = "keep"
    multiplier: float = 1.0
    depth_shift: bool = False
    eyes: float | None = None
    lips: float | None = None

    def __post_init__(self) -> None:
        if self.expression not in ("keep", "neutral"):
            raise BadConfig(f"expression '{self.expression}' is not known; known: keep, neutral")
        if not 0.0 <= self.multiplier <= 2.0:
            raise BadConfig(f"multiplier {self.multiplier} is outside 0..2")


@dataclass(frozen=True)
class Source:
    """What the networks know of N crops: ``volume`` (N, 32, 16, 64, 64) on the device, ``motion``, ``keypoints`` (N, 21, 3)."""

    volume: Tensor
    motion: Motion
    keypoints: Tensor


class LivePortrait:
    """The networks on a device, and the steps between them.

    ``states``: gives the state dict (official names) of one of :data:`keys.NETWORKS`; called once for each.
    ``precision``: number type of the heavy networks; motion network and perceptrons stay float32. A CPU without instructions for it
    (:func:`~frontalbench.networks.precision.in_hardware`) computes the same, slowly.
    ``algorithm``: see :class:`networks.Generator`; None takes the one that is fast on this device and in this precision.
    ``compiled``: run the heavy networks through torch.compile (minutes at the first image; worth it for thousands).
    """

    def __init__(
        self,
        states: Callable[[str], Mapping[str, Tensor]],
        *,
        device: str | torch.device = "cpu",
        precision: Precision = "float32",
        algorithm: networks.Algorithm | None = None,
        compiled: bool = False,
    ) -> None:
        if precision not in PRECISIONS:
            raise BadConfig(f"precision '{precision}' is not known; known: {', '.join(PRECISIONS)}")
        self.device = torch.device(device)
        if self.device.type == "cuda" and not torch.cuda.is_available():
            raise BadConfig(f"device '{device}' is not there: PyTorch sees no CUDA GPU; use device cpu")
        self.precision = precision
        dtype: torch.dtype = getattr(torch, precision)
        eager_cpu = self.device.type == "cpu" and not compiled
        fast: networks.Algorithm = "minimal" if precision == "float32" else "pieces"
        chosen = algorithm or (fast if eager_cpu else "direct")
        if chosen == "minimal" and not (eager_cpu and precision == "float32"):
            raise BadConfig("algorithm 'minimal' runs on the CPU in float32 only; use 'direct'")
        if eager_cpu:
            memory.kept()
        with torch.inference_mode():
            self.appearance = self._heavy(networks.AppearanceExtractor(states("appearance")), dtype, compiled)
            self.warping = self._heavy(networks.WarpingNetwork(states("warping"), chosen), dtype, compiled)
            self.generator = self._heavy(networks.Generator(states("generator"), chosen), dtype, compiled)
            self.motion_network = networks.MotionExtractor(states("motion")).eval().to(self.device)
            self.perceptrons = {name: networks.Perceptron(states(name)).eval() for name in keys.MLP_WIDTHS}

    @classmethod
    def from_files(cls, files: Mapping[str, str | Path], **options: object) -> LivePortrait:
        """From the official files: keys of :data:`keys.FILES`. Raises :class:`~frontalbench.errors.BadInput` for a bad one."""
        return cls(lambda name: official.load(name, files[name if name in files else "stitching"]), **options)  # type: ignore[arg-type]

    def _heavy(self, network: nn.Module, dtype: torch.dtype, compiled: bool) -> nn.Module:
        for module in network.modules():
            if isinstance(module, networks.LOW_PRECISION):
                module.to(dtype)
        network = network.eval().to(self.device)
        return torch.compile(network) if compiled else network  # type: ignore[return-value]

    @contextlib.contextmanager
    def _running(self):  # type: ignore[no-untyped-def]
        # TF32 rounds inputs to 10 bits: half precision is asked for by name here, never had by accident.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, benchmark=True, deterministic=False, allow_tf32=False):
            yield

    def observe(self, crops: Sequence[RGB]) -> Source:
        """Volume, motion and keypoints of crops (512 x 512 RGB; other sizes are brought to 256 x 256 all the same)."""
        batch = torch.from_numpy(np.stack([network_input(crop) for crop in crops])).permute(0, 3, 1, 2).to(self.device)
        with self._running():
            motion = motions.from_heads(self.motion_network(batch))
            return Source(self.appearance(batch), motion, motions.source_keypoints(motion))

    def drive(
        self,
        source: Source,
        target: Pose = (0.0, 0.0, 0.0),
        settings: Driving | None = None,
        *,
        eyes: Sequence[tuple[float, float]] | None = None,
        lips: Sequence[float] | None = None,
    ) -> Tensor:
        """Driving keypoints (N, 21, 3) for the ``target`` (yaw, pitch, roll) in degrees.

        ``eyes``, ``lips``: the opening ratios measured in each source, needed where ``settings`` asks for retargeting.
        """
        chosen = settings or Driving()
        m, x_s = source.motion, source.keypoints
        yaw, pitch, roll = (torch.full((len(m),), float(angle)) for angle in target)
        turn = motions.rotation(yaw, pitch, m.roll if chosen.keep_roll else roll)
        with torch.inference_mode():
            x_d = motions.keypoints(m, turn, expression=chosen.expression == "keep", depth_shift=chosen.depth_shift)
            flat = x_s.flatten(1)
            if chosen.eyes is not None:
                if eyes is None:
                    raise BadConfig("eye retargeting needs the eyes' ratios in the source (203 landmarks)")
                wanted = torch.tensor([[*ratio, chosen.eyes] for ratio in eyes], dtype=torch.float32)
                x_d = x_d + self.perceptrons["eye"](torch.cat([flat, wanted], dim=1)).view_as(x_d)
            if chosen.lips is not None:
                if lips is None:
                    raise BadConfig("lip retargeting needs the lips' ratio in the source (203 landmarks)")
                wanted = torch.tensor([[ratio, chosen.lips] for ratio in lips], dtype=torch.float32)
                x_d = x_d + self.perceptrons["lip"](torch.cat([flat, wanted], dim=1)).view_as(x_d)
            if chosen.stitching:
                x_d = motions.stitched(x_d, self.perceptrons["stitching"](torch.cat([flat, x_d.flatten(1)], dim=1)))
            return x_s + chosen.multiplier * (x_d - x_s)

    def render(self, source: Source, driving: Tensor) -> list[RGB | None]:
        """Images (512, 512, 3) RGB of the source moved to ``driving`` (N, 21, 3); None where a network gave a value that is no number."""
        moved, still = driving.to(self.device), source.keypoints.to(self.device)
        # One image keeps a CPU's cores busy, and the large intermediate results of several at once only cost time there.
        size = 1 if self.device.type == "cpu" else len(moved)
        with self._running():
            parts = [
                self.generator(self.warping(volume, x_d, x_s)).float()
                for volume, x_d, x_s in zip(*(torch.split(x, size) for x in (source.volume, moved, still)), strict=True)
            ]
            images = torch.cat(parts)
            finite = torch.isfinite(images).flatten(1).all(1).tolist()
            pixels: UInt8 = (images.clamp(0, 1) * 255.0).to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
        assert pixels.shape[1:] == (SIDE, SIDE, 3)
        return [image if good else None for image, good in zip(pixels, finite, strict=True)]

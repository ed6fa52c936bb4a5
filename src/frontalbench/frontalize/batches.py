"""The frame around every frontalizer that is a network: prepare each view, run in batches, finish each image.

A family is three small functions (:class:`Family`). What they all need stands here once: a bad image is a row and never the end of a shard, a batch
that does not fit into the device's memory is halved, numbers that are not finite are ``model_error``, and the seconds of an image are the
model's own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from frontalbench import status
from frontalbench.errors import NotEnoughMemory, one_line, raise_if_memory_ran_out
from frontalbench.frontalize.base import FRONTAL, NoFace, Outcome, Place, View, refuse_target_pose
from frontalbench.images import RGB

Pose = tuple[float, float, float]
T = TypeVar("T")
"""What a family prepares of one view: pixels for the network, and what it needs to put the result back."""

BATCH_GPU, BATCH_CPU = 8, 1
"""Views at a time. A CPU gains nothing from more, and one at a time gives the same bytes whatever stands beside it in the shard."""


class Family(Protocol[T]):
    """What differs between networks. ``prepare`` and ``finish`` see one view, ``run`` several."""

    def prepare(self, view: View, target_pose: Pose) -> T:
        """Cut and measure one view, which has a face. Raises :class:`NoFace` where the model sees none, ValueError for what cannot be turned."""
        ...

    def run(self, items: Sequence[T]) -> Tensor:
        """The network on ``items``: float (N, ...), the first axis theirs, in any range."""
        ...

    def finish(self, item: T, drawn: Tensor) -> tuple[RGB, Place | None]:
        """The image of one result (on the CPU, finite), and where it lies in its photograph (None: it is a whole photograph)."""
        ...


@dataclass(frozen=True)
class _Ready(Generic[T]):
    index: int
    item: T
    seconds: float


class Batched(Generic[T]):
    """A frontalizer made of a :class:`Family`; see :class:`~frontalbench.frontalize.base.Frontalizer`."""

    needs_face = True

    def __init__(self, name: str, family: Family[T], *, takes_target_pose: bool, batch: int) -> None:
        """``batch``: views at a time, at most. Raises ValueError below 1."""
        if batch < 1:
            raise ValueError(f"frontalizer '{name}': batch {batch} should be 1 or more")
        self.name, self.family, self.takes_target_pose, self._batch = name, family, takes_target_pose, batch

    def frontalize(self, views: Sequence[View], target_pose: Pose = FRONTAL) -> list[Outcome]:
        """One outcome per view, in order. Raises :class:`NotEnoughMemory` where a single image does not fit."""
        if not self.takes_target_pose:
            refuse_target_pose(self.name, target_pose)
        outcomes: dict[int, Outcome] = {}
        ready: list[_Ready[T]] = []
        for index, view in enumerate(views):
            if view.face is None:
                outcomes[index] = Outcome(None, status.NO_FACE, "no face was detected in the photograph")
                continue
            started = time.perf_counter()
            try:
                ready.append(_Ready(index, self.family.prepare(view, target_pose), time.perf_counter() - started))
            except Exception as error:  # noqa: BLE001 - one bad image must never end a batch; the sentence goes into its row
                outcomes[index] = _failed(error, time.perf_counter() - started)
        for first in range(0, len(ready), self._batch):
            outcomes |= self._turned(ready[first : first + self._batch])
        return [outcomes[index] for index in range(len(views))]

    def one(self, prepare: Callable[[], T]) -> Outcome:
        """What becomes of a single item that ``prepare`` makes, with the same care as any other."""
        started = time.perf_counter()
        try:
            ready = _Ready(0, prepare(), time.perf_counter() - started)
        except Exception as error:  # noqa: BLE001 - as in frontalize
            return _failed(error, time.perf_counter() - started)
        return self._turned([ready])[0]

    def _turned(self, part: list[_Ready[T]]) -> dict[int, Outcome]:
        """Outcomes of one batch by index: the whole of it at once, and where that fails its halves, down to single images."""
        started = time.perf_counter()
        try:
            with torch.inference_mode():
                drawn = self.family.run([one.item for one in part]).float().cpu()
            if len(drawn) != len(part):
                raise RuntimeError(f"the network gave {len(drawn)} results for {len(part)} images")
        except Exception as error:  # noqa: BLE001 - as above; what one image does to the network must not cost the others
            if len(part) == 1:
                return {part[0].index: _failed(error, part[0].seconds + time.perf_counter() - started)}
            del error
            _free()
            middle = len(part) // 2
            return self._turned(part[:middle]) | self._turned(part[middle:])
        each = (time.perf_counter() - started) / len(part)
        return {one.index: self._finished(one, result, one.seconds + each) for one, result in zip(part, drawn, strict=True)}

    def _finished(self, one: _Ready[T], drawn: Tensor, seconds: float) -> Outcome:
        started = time.perf_counter()
        try:
            if not bool(torch.isfinite(drawn).all()):
                raise ValueError("the network gave numbers that are not finite")
            image, place = self.family.finish(one.item, drawn)
        except Exception as error:  # noqa: BLE001 - as above
            return _failed(error, seconds + time.perf_counter() - started)
        return Outcome(image, status.OK, "", seconds + time.perf_counter() - started, place)


def _failed(error: Exception, seconds: float) -> Outcome:
    if isinstance(error, NotEnoughMemory):
        raise error
    raise_if_memory_ran_out(error)
    return Outcome(None, status.NO_FACE if isinstance(error, NoFace) else status.MODEL_ERROR, one_line(error), seconds)


def _free() -> None:
    """Give back what a failed batch left in the GPU's cache."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def batch_on(device: torch.device, batch: int = BATCH_GPU) -> int:
    """Views at a time on ``device``: ``batch`` on a GPU, one on a CPU."""
    return BATCH_CPU if device.type == "cpu" else batch


def to_tensor(images: Sequence[RGB], low: float, high: float, device: torch.device) -> Tensor:
    """uint8 (H, W, 3) RGB images of one size -> float32 (N, 3, H, W) in ``low`` .. ``high`` on ``device``."""
    stacked = torch.from_numpy(np.ascontiguousarray(np.stack(images))).to(device).permute(0, 3, 1, 2)
    return stacked.float() * ((high - low) / 255.0) + low


def to_image(drawn: Tensor, low: float, high: float) -> RGB:
    """float (3, H, W) RGB in ``low`` .. ``high``, clipped there -> uint8 (H, W, 3)."""
    scaled = (drawn.double() - low) * (255.0 / (high - low))
    return np.ascontiguousarray(scaled.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).numpy())

"""``liveportrait``: reenactment with implicit keypoints, the rotation replaced by the target's. FacePoke is the same networks with other settings.

Crops with LivePortrait's own geometry around the face that the detector found, renders 512 x 512, and gives that square or pastes it back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from frontalbench import status
from frontalbench.errors import BadConfig, BadInput, FrontalbenchError, one_line, raise_if_memory_ran_out
from frontalbench.frontalize.base import FRONTAL, Outcome, Place, View
from frontalbench.frontalize.check import Check
from frontalbench.geometry.crop import paste_back
from frontalbench.images import RGB
from frontalbench.liveportrait import crop as crops
from frontalbench.liveportrait.landmarks import Landmarks106, Landmarks203, eye_ratios, lip_ratio
from frontalbench.liveportrait.pipeline import PRECISIONS, Driving, LivePortrait, Precision
from frontalbench.liveportrait.selftest import looks_left, selftest
from frontalbench.networks.liveportrait import keys
from frontalbench.networks.precision import checked
from frontalbench.runtime.sessions import torch_device
from frontalbench.types import Float

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard


@dataclass(frozen=True)
class Params:
    """What a card may say.

    ``landmarks``: 106 (the released cropper) or 5 (the detector's own points, no further network).
    ``crop_scale``, ``crop_shift``, ``level``: see :func:`frontalbench.liveportrait.crop.crop_matrix`.
    ``output``: ``crop`` (the 512 square) or ``photograph`` (pasted back).
    ``precision``: float32, float16 or bfloat16 on a GPU; ``precision_cpu``: the same on a CPU that computes in it.
    ``batch``: images at a time on a GPU, ``batch_cpu`` elsewhere. ``compiled``: torch.compile. The rest: :class:`Driving`.
    """

    landmarks: int = 106
    crop_scale: float = crops.SCALE
    crop_shift: float = crops.SHIFT
    level: bool = True
    output: str = "crop"
    precision: Precision = "float16"
    precision_cpu: Precision = "float32"
    batch: int = 8
    batch_cpu: int = 1
    compiled: bool = False
    settings: Driving = field(default_factory=Driving)

    @classmethod
    def from_card(cls, params: Mapping[str, Any], name: str) -> Params:
        """Raises :class:`BadConfig` for what is not known or does not fit."""
        values = dict(params)
        own = {key: values.pop(key) for key in list(values) if key in cls.__dataclass_fields__ and key != "settings"}
        unknown = sorted(set(values) - set(Driving.__dataclass_fields__))
        if unknown:
            raise BadConfig(f"frontalizer card '{name}': params {unknown} are not known; see docs/liveportrait.md")
        try:
            chosen = cls(**own, settings=Driving(**values))
        except TypeError as error:
            raise BadConfig(f"frontalizer card '{name}': {error}") from error
        if chosen.landmarks not in (5, 106):
            raise BadConfig(f"frontalizer card '{name}': landmarks {chosen.landmarks} is not known; known: 5, 106")
        if chosen.output not in ("crop", "photograph"):
            raise BadConfig(f"frontalizer card '{name}': output '{chosen.output}' is not known; known: crop, photograph")
        for key, value in (("precision", chosen.precision), ("precision_cpu", chosen.precision_cpu)):
            if value not in PRECISIONS:
                raise BadConfig(f"frontalizer card '{name}': {key} '{value}' is not known; known: {', '.join(PRECISIONS)}")
        if chosen.batch < 1 or chosen.batch_cpu < 1:
            raise BadConfig(f"frontalizer card '{name}': batch and batch_cpu should be 1 or more")
        return chosen

    def precision_on(self, device: str) -> Precision:
        """The number type that the heavy networks compute in on ``device``."""
        return self.precision_cpu if torch_device(device).type == "cpu" else self.precision


@dataclass(frozen=True)
class _Prepared:
    """A view ready for the networks: the photograph, shrunk by ``factor``, its crop and the map (2, 3) between them."""

    photograph: RGB
    crop: RGB
    matrix: Float
    factor: float
    eyes: tuple[float, float]
    lips: float

    @property
    def from_original(self) -> Float:
        """The map (2, 3) from the pixels of the photograph as it came; pixel centres at integers: a point x goes to (x + 0.5) f - 0.5."""
        linear = self.matrix[:, :2] * self.factor
        return np.column_stack([linear, self.matrix[:, 2] + self.matrix[:, :2] @ np.full(2, (self.factor - 1.0) / 2.0)])


class LivePortraitFrontalizer:
    """See the module."""

    needs_face = True
    takes_target_pose = True

    def __init__(
        self,
        name: str,
        portrait: LivePortrait,
        params: Params | None = None,
        *,
        landmarks106: Landmarks106 | None = None,
        landmarks203: Landmarks203 | None = None,
    ) -> None:
        self.name = name
        self.portrait = portrait
        self.params = params or Params()
        self._landmarks106, self._landmarks203 = landmarks106, landmarks203
        if self.params.landmarks == 106 and landmarks106 is None:
            raise BadConfig(f"frontalizer '{name}': landmarks 106 need the 106-point network")
        self._retargets = self.params.settings.eyes is not None or self.params.settings.lips is not None
        if self._retargets and landmarks203 is None:
            raise BadConfig(f"frontalizer '{name}': eyes and lips need the 203-point network")

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        """See :class:`~frontalbench.frontalize.base.Frontalizer`. ``target_pose`` is meant in the levelled crop."""
        outcomes: dict[int, Outcome] = {}
        ready: list[tuple[int, _Prepared, float]] = []
        for index, view in enumerate(views):
            start = time.perf_counter()
            try:
                prepared = self._prepare(view)
            except (FrontalbenchError, ArithmeticError, ValueError) as error:
                outcomes[index] = Outcome(None, status.MODEL_ERROR, one_line(error), time.perf_counter() - start)
                continue
            if prepared is None:
                outcomes[index] = Outcome(None, status.NO_FACE, "the detector found no face")
            else:
                ready.append((index, prepared, time.perf_counter() - start))
        size = self.params.batch if self.portrait.device.type != "cpu" else self.params.batch_cpu
        for first in range(0, len(ready), size):
            part = ready[first : first + size]
            results = self._turn([prepared for _, prepared, _ in part], target_pose)
            for (index, _, before), outcome in zip(part, results, strict=True):
                outcomes[index] = replace(outcome, seconds=outcome.seconds + before)
        return [outcomes[index] for index in range(len(views))]

    def selftest(self, views: Sequence[View]) -> list[Check]:
        """The named checks of :func:`frontalbench.liveportrait.selftest.selftest` on the faces of ``views``; raises BadInput without any face."""
        pairs = [(view, prepared) for view in views if (prepared := self._prepare(view)) is not None]
        if not pairs:
            raise BadInput("the self-test needs at least one image in which a face is found")
        sides = [looks_left(view.face.points) if view.face is not None else None for view, _ in pairs]
        return selftest(self.portrait, [prepared.crop for _, prepared in pairs], sides)

    def _prepare(self, view: View) -> _Prepared | None:
        if view.face is None:
            return None
        p = self.params
        photograph, factor = crops.shrink(view.image)
        # Pixel centres at integers: a point x goes to (x + 0.5) f - 0.5.
        points = (np.asarray(view.face.points, dtype=np.float64) + 0.5) * factor - 0.5
        scale, shift = p.crop_scale * crops.FIVE_POINT_SCALE, p.crop_shift + crops.FIVE_POINT_SHIFT
        if p.landmarks == 106:
            assert self._landmarks106 is not None
            box = (np.asarray(view.face.box, dtype=np.float64) + 0.5) * factor - 0.5
            points = self._landmarks106(photograph, box)
            scale, shift = p.crop_scale, p.crop_shift
        matrix = crops.crop_matrix(points, scale=scale, shift=shift, level=p.level)
        eyes, lips = (0.0, 0.0), 0.0
        if self._retargets:
            assert self._landmarks203 is not None
            dense = self._landmarks203(photograph, points)
            eyes, lips = eye_ratios(dense), lip_ratio(dense)
        return _Prepared(photograph, crops.cut(photograph, matrix), matrix, factor, eyes, lips)

    def _turn(self, batch: Sequence[_Prepared], target: tuple[float, float, float]) -> list[Outcome]:
        start = time.perf_counter()
        try:
            source = self.portrait.observe([prepared.crop for prepared in batch])
            eyes, lips = [prepared.eyes for prepared in batch], [prepared.lips for prepared in batch]
            driving = self.portrait.drive(source, target, self.params.settings, eyes=eyes, lips=lips)
            images = self.portrait.render(source, driving)
        except (RuntimeError, ValueError) as error:
            if len(batch) > 1:  # one bad image, or too many for the memory: each by itself
                return [outcome for prepared in batch for outcome in self._turn([prepared], target)]
            raise_if_memory_ran_out(error)
            return [Outcome(None, status.MODEL_ERROR, one_line(error), time.perf_counter() - start)]
        seconds = (time.perf_counter() - start) / len(batch)
        return [self._outcome(prepared, image, seconds) for prepared, image in zip(batch, images, strict=True)]

    def _outcome(self, prepared: _Prepared, image: RGB | None, seconds: float) -> Outcome:
        if image is None:
            return Outcome(None, status.MODEL_ERROR, "the networks gave values that are no numbers", seconds)
        if self.params.output == "photograph":
            image = paste_back(prepared.photograph, image, prepared.matrix, crops.paste_mask())
            return Outcome(image, status.OK, "", seconds)
        return Outcome(image, status.OK, "", seconds, Place(prepared.from_original, crops.paste_mask()))


def precision_on(card: ModelCard, device: str) -> str:
    """See :func:`frontalbench.catalogue.families.precision`."""
    return Params.from_card(card.params, card.name).precision_on(device)


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> LivePortraitFrontalizer:
    """The frontalizer of a card of family ``liveportrait``. Raises :class:`BadConfig`, and WeightsMissing naming the first file that is not here.

    Params: ``landmarks`` 106 or 5; ``crop_scale``, ``crop_shift``, ``level``; ``output`` crop or photograph; ``precision``, ``precision_cpu``;
    ``batch`` 8, ``batch_cpu`` 1; ``compiled`` false; and the settings of [liveportrait.md](liveportrait.md).
    """
    import torch

    from frontalbench.weights import store

    params = Params.from_card(card.params, card.name)
    place, precision = torch_device(device), params.precision_on(device)
    if place.type == "cpu":
        checked(card.name, precision)
    files = {key: store.locate(card, key) for key in keys.FILES}
    with_203 = params.settings.eyes is not None or params.settings.lips is not None
    landmarks106 = Landmarks106(store.locate(card, "landmarks106"), threads=threads, device=device) if params.landmarks == 106 else None
    landmarks203 = Landmarks203(store.locate(card, "landmarks203"), threads=threads, device=device) if with_203 else None
    torch.set_num_threads(threads)
    portrait = LivePortrait.from_files(files, device=place, precision=precision, compiled=params.compiled)
    return LivePortraitFrontalizer(card.name, portrait, params, landmarks106=landmarks106, landmarks203=landmarks203)

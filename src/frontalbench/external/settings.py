"""What the ``params`` of a card of family ``external`` say: limits, what is asked of a result, what the adapter is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from frontalbench.catalogue.params import Params
from frontalbench.errors import BadConfig

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

ANY, PHOTOGRAPH = "any", "photograph"
PICKS = ("last", "middle", "first", "best_posed")
FACES = ("none", "cut")


@dataclass(frozen=True)
class Limits:
    """Seconds: ``start`` from the start of the process to the end of its first image beyond ``image``, ``image`` for each, ``batch`` for all
    starts together (None: what the other two allow). ``restarts``: how often it is started again after it died or hung in an image."""

    start: float = 600.0
    image: float = 120.0
    batch: float | None = None
    restarts: int = 3

    def whole(self, images: int) -> float:
        """Seconds that a batch of ``images`` may take."""
        return self.batch if self.batch is not None else (1 + self.restarts) * self.start + images * self.image


@dataclass(frozen=True)
class Wanted:
    """What is asked of a result. ``pick``: the frame of a clip; ``least_frames``: a clip with fewer is refused; ``cut``: the part of the frame (left,
    top, right, bottom in 0..1) that is the image; ``face``: ``cut`` finds the face again and cuts a square around it, ``margin`` times the face
    box's longer side; ``size``: (width, height) in pixels, ``photograph``, or ``any``."""

    pick: str = "last"
    least_frames: int = 1
    cut: tuple[float, float, float, float] | None = None
    face: str = "none"
    margin: float = 2.0
    size: str | tuple[int, int] = ANY

    @property
    def looks_for_faces(self) -> bool:
        return self.pick == "best_posed" or self.face == "cut"


@dataclass(frozen=True)
class SystemSettings:
    """``options``: what the adapter is told, as it stands in the card; ``frames``: length of the driver's clips (0: none)."""

    limits: Limits
    wanted: Wanted
    options: Mapping[str, Any]
    seed: int
    frames: int


def read(card: ModelCard) -> SystemSettings:
    """The params of a card of family ``external``. Raises :class:`BadConfig` naming the key that is wrong or unknown."""
    params = Params(card)
    seconds = params.number("seconds_per_batch", 0.0, low=0.0)
    limits = Limits(
        params.number("seconds_to_start", Limits.start, low=0.1),
        params.number("seconds_per_picture", Limits.image, low=0.1),
        seconds or None,
        params.integer("restarts", Limits.restarts, low=0),
    )
    wanted = Wanted(
        params.choice("pick", PICKS, Wanted.pick),
        params.integer("least_frames", Wanted.least_frames),
        _cut(params.numbers("cut", 4), card) if "cut" in card.params else None,
        params.choice("face", FACES, Wanted.face),
        params.number("margin", Wanted.margin, low=1.0, high=10.0),
        _size(card),
    )
    options = params.mapping("options") if "options" in card.params else {}
    settings = SystemSettings(limits, wanted, options, params.integer("seed", 0, low=0), params.integer("driver_frames", 0, low=0))
    params.elsewhere("size").finish()
    try:
        json.dumps(dict(options), allow_nan=False)
    except (TypeError, ValueError):
        raise BadConfig(f"{card.path}: params.options: should hold plain texts, numbers, lists and mappings") from None
    return settings


def _cut(values: tuple[float, ...], card: ModelCard) -> tuple[float, float, float, float]:
    left, top, right, bottom = values
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise BadConfig(f"{card.path}: params.cut should be left, top, right, bottom as parts of the frame (0 to 1), is {list(values)}")
    return left, top, right, bottom


def _size(card: ModelCard) -> str | tuple[int, int]:
    value = card.params.get("size", ANY)
    if value in (ANY, PHOTOGRAPH):
        return str(value)
    numbers = [value, value] if isinstance(value, int) else value
    if isinstance(numbers, list) and len(numbers) == 2 and all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in numbers):
        return int(numbers[0]), int(numbers[1])
    raise BadConfig(f"{card.path}: params.size should be {ANY}, {PHOTOGRAPH}, a side, or [width, height] in pixels, is {value!r}")

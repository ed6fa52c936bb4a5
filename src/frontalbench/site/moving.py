"""A sequence on a page: a strip of its frames over what was made of them, and a small clip of both side by side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from frontalbench.errors import BadInput
from frontalbench.figures import examples
from frontalbench.figures.inputs import Inputs
from frontalbench.images import RGB
from frontalbench.plan.variant import ORIGINAL
from frontalbench.sequences import video
from frontalbench.site import browser

STRIP = 10
"""Frames of a strip."""
MOST = 120
"""Frames of a clip; of longer sequences they are spread over the whole."""
SIDE = 224
"""Rows of a clip."""
RATE = 8.0
"""Frames a second of a clip: slow enough to look at each."""


@dataclass(frozen=True)
class Row:
    """What was made of a sequence: ``files``: an image per frame of the strip ("" where there is none); ``clip``: "" where there is none."""

    variant: str
    files: tuple[str, ...]
    clip: str = ""


@dataclass(frozen=True)
class Shown:
    """A sequence: the numbers of the strip's frames, the photographs and every variant below them; paths are relative to the site."""

    numbers: tuple[int, ...]
    rows: tuple[Row, ...]


def show(files: Inputs, frames: Sequence[str], variants: Sequence[str], out: Path, folder: str) -> Shown:
    """Strip and clips of a sequence whose images are ``frames`` (names in the order of time), written to ``out/folder``.

    ``variants``: those that are shown below the photographs. A frame without an image is black in the clip, as in that of ``frontalize``.
    """
    kept = spread(len(frames), MOST)
    strip = spread(len(kept), STRIP)
    names = [frames[place] for place in kept]
    photographs = examples.pixels_of(files.images.get(ORIGINAL, ()), names)

    def row(variant: str, images: dict[str, RGB | None], clip: str = "") -> Row:
        shown = []
        for place in strip:
            image = images.get(names[place])
            shown.append("" if image is None else browser.write(image, out, folder, f"{variant}/{names[place]}"))
        return Row(variant, tuple(shown), clip)

    rows = [row(ORIGINAL, photographs)]
    for variant in variants:
        made = examples.pixels_of(files.images.get(variant, ()), names)
        rows.append(
            row(variant, made, _clip([(photographs.get(name), made.get(name)) for name in names], out, folder, f"{variant}/{names[0]}"))
        )
    return Shown(tuple(kept[place] for place in strip), tuple(rows))


def spread(number: int, most: int) -> list[int]:
    """At most ``most`` of ``number`` places, evenly over all of them, the first and the last among them."""
    return list(range(number)) if number <= most else [int(place) for place in np.linspace(0, number - 1, most).round()]


def _clip(pairs: Sequence[tuple[RGB | None, RGB | None]], out: Path, folder: str, name: str) -> str:
    """Photograph and frontal side by side; "" where no frame has both, or the package that writes clips is not installed."""
    first = next(((one, two) for one, two in pairs if one is not None and two is not None), None)
    if first is None:
        return ""
    sizes = [_size(image) for image in first]
    path = f"{folder}/{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}.webm"
    (out / folder).mkdir(parents=True, exist_ok=True)
    try:
        with video.Writer(out / path, RATE) as writer:
            for k, pair in enumerate(pairs):
                parts = [_fitted(image, size) for image, size in zip(pair, sizes, strict=True)]
                writer.add(np.ascontiguousarray(np.concatenate(parts, axis=1)), k / RATE)
    except BadInput:  # the package av is optional for the site
        return ""
    return path


def _size(image: RGB) -> tuple[int, int]:
    return max(2, round(image.shape[1] * SIDE / image.shape[0])), SIDE


def _fitted(image: RGB | None, size: tuple[int, int]) -> RGB:
    if image is None:
        return np.zeros((size[1], size[0], 3), np.uint8)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

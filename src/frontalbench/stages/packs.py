"""What is done with packs of pairs: judged as they are, or unpacked into a folder."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from frontalbench import images
from frontalbench.embed.base import Backbone, normalise
from frontalbench.errors import Unreadable
from frontalbench.files import folderswap
from frontalbench.images import RGB
from frontalbench.protocols.packs import SIDE, Pack
from frontalbench.protocols.verification import Verification, scores_of, verify
from frontalbench.types import Float32

LIST = "pairs.txt"
_BATCH = 64


def crop_of(data: bytes) -> RGB:
    """The image as a crop uint8 (112, 112, 3) RGB; of another size it is scaled. Raises :class:`Unreadable`."""
    image = images.decode(data)
    if image.shape[:2] == (SIDE, SIDE):
        return image
    scaled: RGB = np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.uint8)
    return scaled


def embed(pack: Pack, backbone: Backbone, *, flip: bool = False, progress: Iterable[int] | None = None) -> tuple[Float32, list[str]]:
    """(unit embeddings float32 (2 N, D), zero where an image cannot be decoded; a line for each of those)."""
    vectors = np.zeros((len(pack.images), backbone.dimension), np.float32)
    broken: list[str] = []
    waiting: list[int] = []
    crops: list[RGB] = []

    def work() -> None:
        if waiting:
            stacked = np.stack(crops)
            found = backbone.embed(stacked)
            if flip:
                found = found + backbone.embed(np.ascontiguousarray(stacked[:, :, ::-1]))
            vectors[waiting] = normalise(found)[0]
            waiting.clear()
            crops.clear()

    for place in progress if progress is not None else range(len(pack.images)):
        try:
            crops.append(crop_of(pack.images[place]))
            waiting.append(place)
        except Unreadable as error:
            broken.append(f"image {place}: {error}")
        if len(waiting) == _BATCH:
            work()
    work()
    return vectors, broken


def accuracy(
    pack: Pack, backbone: Backbone, *, flip: bool = False, progress: Iterable[int] | None = None
) -> tuple[Verification, list[str]]:
    """Accuracy over the ten folds of a pack; pairs with an image that cannot be decoded are decided "not the same person"."""
    vectors, broken = embed(pack, backbone, flip=flip, progress=progress)
    pairs = pack.pairs()
    names = [pack.image_id(place) for place in range(len(pack.images))]
    return verify(scores_of(pairs, names, vectors), pack.same, [pair.fold for pair in pairs], missing="different"), broken


def unpack(pack: Pack, out: Path) -> None:
    """Write the images with their bytes as ``00000.jpg`` ... and :data:`LIST` (``image image label``); the folder appears whole.

    Raises :class:`BadInput` when ``out`` holds other files.
    """
    suffix = [".png" if data[:4] == b"\x89PNG" else ".jpg" for data in pack.images]
    with folderswap.replacing(out, LIST, _listed) as target:
        for place, data in enumerate(pack.images):
            (target / f"{place:05d}{suffix[place]}").write_bytes(data)
        lines = [f"{2 * i:05d}{suffix[2 * i]} {2 * i + 1:05d}{suffix[2 * i + 1]} {int(same)}" for i, same in enumerate(pack.same.tolist())]
        (target / LIST).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _listed(path: Path) -> set[str]:
    with path.open(encoding="utf-8", newline="") as handle:
        return {name for row in csv.reader(handle, delimiter=" ") for name in row[:2]}

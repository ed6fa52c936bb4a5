"""Small dataset trees made on the fly."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from frontalbench import datasets, images
from frontalbench.datasets.card import DatasetCard
from frontalbench.geometry.rotation import matrix_from_angles

RGB_CAL = """517.679 0 320
0 517.679 240.5
0 0 1

0 0 0 0

0.999947 0.00432361 0.00929419
-0.00446314 0.999877 0.0150443
-0.009228 -0.015085 0.999844

-24.0198 5.8896 -13.2308

640 480
"""


def card(name: str, root: Path, **options: Any) -> DatasetCard:
    """A card of the project with its folder moved to ``root``."""
    return datasets.find(name).with_options({"root": str(root), **options})


def image(value: int = 0, size: tuple[int, int] = (8, 6)) -> bytes:
    """PNG bytes that differ with ``value``; ``size`` is width, height."""
    return images.encode_png(np.full((size[1], size[0], 3), value % 256, np.uint8))


def jpeg(value: int = 0, size: tuple[int, int] = (16, 12)) -> bytes:
    """JPEG bytes that differ with ``value`` (in their last bytes, if not in the image)."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[:, ::2] = (value % 256, value // 256 % 256, 7)
    return images.encode_jpeg(pixels) + b"%d" % value


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def pose_text(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> bytes:
    rows = "\n".join(" ".join(f"{value:.8f}" for value in row) + " " for row in matrix_from_angles(yaw, pitch, roll))
    return f"{rows}\n\n50.0 40.0 900.0 \n".encode()


def biwi_tree(root: Path, sequences: int = 24, frames: int = 10, *, kaggle: bool = False, start: float = -60.0, step: float = 1.0) -> Path:
    """BIWI's layout: frame ``k`` (numbered from 3) of every sequence has yaw ``start + step * k`` plus a little per sequence; tiny images."""
    base = root / ("faces_0" if kaggle else "hpdb")
    small = image(1)
    for number in range(1, sequences + 1):
        folder = base / f"{number:02d}"
        folder.mkdir(parents=True)
        (folder / "rgb.cal").write_text(RGB_CAL)
        for frame in range(frames):
            (folder / f"frame_{frame + 3:05d}_rgb.png").write_bytes(small + bytes([number, frame % 256, frame // 256]))
            (folder / f"frame_{frame + 3:05d}_pose.txt").write_bytes(pose_text(start + step * frame + number / 100))
    return root


def real_biwi(shared: Path, root: Path) -> Path:
    """The one real frame, in BIWI's layout, as sequence 01."""
    shutil.copytree(shared / "testdata" / "biwi_one_frame", root / "hpdb" / "01")
    return root


_listeners: list[list[tuple[str, str]]] = []


def _hear(event: str, arguments: tuple[object, ...]) -> None:
    if _listeners and event in ("open", "os.scandir", "os.listdir"):
        for heard in _listeners:
            heard.append((event, os.fspath(arguments[0]) if isinstance(arguments[0], (str, os.PathLike)) else ""))


sys.addaudithook(_hear)  # for the whole process: Python knows no way to take one away


@contextlib.contextmanager
def file_access() -> Iterator[list[tuple[str, str]]]:
    """Everything that is opened or listed within the block: (audit event, path)."""
    heard: list[tuple[str, str]] = []
    _listeners.append(heard)
    try:
        yield heard
    finally:
        _listeners.remove(heard)

"""The media that drive foreign systems: stills of a ``driver`` card, and clips made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from frontalbench import images
from frontalbench.frontalize.driver import FRONT, Driver
from frontalbench.images import RGB

FRAMES_PER_SECOND = 16


def order(driver: Driver, side: str) -> list[int]:
    """Images of a driver from the one turned most to ``side`` ("left": towards the left edge of the image, yaw > 0; "right") to ``front``."""
    sign = 1 if side == "left" else -1
    turned = [i for i, key in enumerate(driver.keys) if key != FRONT and sign * driver.poses[i][0] > 0]
    return [*sorted(turned, key=lambda i: -abs(driver.poses[i][0])), driver.keys.index(FRONT)]


def turning(driver: Driver, side: str, frames: int) -> list[RGB]:
    """A clip of a head that turns from ``side`` to the front: in the first two thirds each image stands equally long, in the last third
    stands ``front``."""
    way = order(driver, side)
    moving = max(1, frames - max(1, frames // 3))
    places = np.minimum(np.arange(frames) * len(way) // moving, len(way) - 1)
    return [driver.images[way[place]] for place in places]


def write(folder: Path, driver: Driver, frames: int) -> dict[str, Any]:
    """Write the images of a driver and, where ``frames`` is not 0, three clips of that many frames: ``still`` (the front), ``left`` and ``right``
    (from that side to the front), each as mp4 (MPEG-4, 16 frames a second) and as a folder of frames.

    Returns what the manifest says of them; paths start at the job's folder, which holds ``folder``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    said: dict[str, Any] = {"name": driver.name, "pictures": {}, "clips": {}}
    for key, image, (yaw, pitch, roll) in zip(driver.keys, driver.images, driver.poses, strict=True):
        (folder / f"{key}.png").write_bytes(images.encode_png(image))
        said["pictures"][key] = {"file": f"{folder.name}/{key}.png", "yaw": yaw, "pitch": pitch, "roll": roll}
    if frames:
        front = driver.images[driver.keys.index(FRONT)]
        made = {"still": [front] * frames, **{side: turning(driver, side, frames) for side in ("left", "right")}}
        for name, clip in made.items():
            _clip(folder / f"{name}.mp4", clip)
            (folder / name).mkdir(exist_ok=True)
            for i, frame in enumerate(clip):
                (folder / name / f"{i:04d}.png").write_bytes(images.encode_png(frame))
            said["clips"][name] = {"file": f"{folder.name}/{name}.mp4", "folder": f"{folder.name}/{name}", "frames": frames}
    return said


def _clip(path: Path, clip: list[RGB]) -> None:
    height, width = clip[0].shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), FRAMES_PER_SECOND, (width, height))
    try:
        if not writer.isOpened():
            raise ValueError("this OpenCV cannot write MPEG-4 clips, which the adapter needs as drivers")
        for frame in clip:
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
    finally:
        writer.release()

"""An image set of turned people: who is taken, and the folder in the layout of ``demo/synthetic``.

While an image is moved, the networks that take part see crops cut by the regressor's own points. Here a *second look* decides: another detector,
another pose estimator, other crops, and their mirror images. An image that was alike only at the crops that it was moved by is found out by it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from frontalbench import images
from frontalbench.files import atomic
from frontalbench.images import RGB
from frontalbench.synth.check import read_index
from frontalbench.synth.image_set import PROBE, QUALITY, REFERENCE, Entry, index, read_recipe
from frontalbench.synth.people import Instruments, Measured, Rejected
from frontalbench.synth.turned_files import Row


@dataclass(frozen=True)
class Bands:
    """What a person must keep to. Degrees; similarities are means over the networks that took part."""

    yaw: float = 4.0
    """Largest distance of a view from its wanted yaw."""
    pitch: float = 10.0
    roll: float = 8.0
    genuine: float = 0.45
    """Smallest similarity of any view to the front."""
    agree: float = 0.12
    """By so much the second look may find a view less alike than the networks claimed while it was moved."""
    impostor: float = 0.5
    """Largest similarity of two people's fronts."""


def chosen(
    rows: Iterable[Row], instruments: Instruments, bands: Bands = Bands()
) -> Iterator[tuple[int, list[tuple[Row, RGB, Measured]] | Rejected]]:
    """Every person (the rows of one number stand together, the front first) with all images and what the second look measures, or why not."""
    fronts: list[Measured] = []
    for number, group in itertools.groupby(rows, lambda row: row.number):
        try:
            views = [_looked_at(row, instruments) for row in group]
            _check(views, instruments, fronts, bands)
        except Rejected as why:
            yield number, why
            continue
        fronts.append(views[0][2])
        yield number, views


def _looked_at(row: Row, instruments: Instruments) -> tuple[Row, RGB, Measured]:
    image = images.decode(row.jpeg)
    measured = instruments.measure(image)
    if measured is None or measured.face.n_faces > 1:
        raise Rejected(f"yaw {row.yaw:g}: {'no face' if measured is None else f'{measured.face.n_faces} faces'} found")
    return row, image, measured


def _check(views: list[tuple[Row, RGB, Measured]], instruments: Instruments, fronts: list[Measured], bands: Bands) -> None:
    front = views[0][2]
    for row, image, measured in views:
        yaw, pitch, roll = measured.pose
        off = (abs(yaw - row.yaw), abs(pitch - front.pose[1]), abs(roll))
        if any(far > band for far, band in zip(off, (bands.yaw, bands.pitch, bands.roll), strict=True)):
            raise Rejected(f"yaw {row.yaw:g}: measured yaw {yaw:.1f}, pitch {pitch - front.pose[1]:+.1f} from the front's, roll {roll:.1f}")
        flipped = instruments.measure(np.ascontiguousarray(image[:, ::-1]))
        if flipped is None:
            raise Rejected(f"yaw {row.yaw:g}: no face found in the mirror image")
        likeness = min(float(np.mean(one.similarity(front))) for one in (measured, flipped))
        claimed = float(np.mean(row.measured.get("similarity", [1.0])))
        if likeness < bands.genuine or likeness < claimed - bands.agree:
            raise Rejected(f"yaw {row.yaw:g}: similarity {likeness:.2f} to the front, {claimed:.2f} claimed while it was moved")
    closest = max((max(front.similarity(other)) for other in fronts), default=-1.0)
    if closest > bands.impostor:
        raise Rejected(f"similarity {closest:.2f} to a person who is in already")


def write(
    folder: Path,
    people: Iterable[list[tuple[Row, RGB, Measured]]],
    second: Mapping[int, tuple[bytes, tuple[float, float, float]]],
    *,
    size: int,
    made: Mapping[str, object],
) -> list[Entry]:
    """Images of ``size`` pixels, ``index.csv``, ``recipe.json`` (``made``: settings and seed). ``second``: number -> JPEG and pose of
    a second reference, for those who have one."""
    listed: list[Entry] = []
    numbers: dict[str, int] = {}
    for place, views in enumerate(people, 1):
        number, identity = views[0][0].number, f"kept_{place:02d}"
        numbers[identity] = number
        for row, image, measured in views:
            role = REFERENCE if row.yaw == 0 else PROBE
            step = round(row.yaw)
            label = "front" if step == 0 else f"{'l' if step > 0 else 'r'}{abs(step):02d}"
            path = f"{identity}/{'GT' if role == REFERENCE else 'Angle'}/{identity}_{label}.jpg"
            small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
            atomic.write_bytes(folder / path, images.encode_jpeg(np.asarray(small, np.uint8), quality=QUALITY))
            listed.append(Entry(path, identity, role, measured.pose, str(step), number, 0.0, 0.0, 0))
        if number in second:
            data, pose = second[number]
            path = f"{identity}/GT/{identity}_b.jpg"
            atomic.write_bytes(folder / path, data)
            listed.append(Entry(path, identity, REFERENCE, pose, "b", number, 0.0, 0.0, 0))
    listed.sort(key=lambda entry: entry.image)
    atomic.write_text(folder / "index.csv", index(listed))
    atomic.write_text(folder / "recipe.json", json.dumps({"synthetic": True, **made, "numbers": numbers}, indent=1) + "\n")
    return listed


def second_references(folder: Path) -> dict[int, tuple[bytes, tuple[float, float, float]]]:
    """Number -> JPEG and measured pose of the second reference (``b``) of every person of a set that ``make_synthetic.py`` drew.

    Raises :class:`BadInput`.
    """
    images = read_recipe(folder / "recipe.json")["pictures"]
    found = {}
    for row in read_index(folder):
        if row["nominal_step"] == "b":
            yaw, pitch, roll = (float(row[angle]) for angle in ("yaw", "pitch", "roll"))
            found[int(images[row["image"]]["number"])] = ((folder / row["image"]).read_bytes(), (yaw, pitch, roll))
    return found

"""Drivers: whose movement a reenactment network copies. A card of kind ``driver`` holds images of one head and the poses measured in them.

Networks without a pose of their own (First-Order-Model, FSRT) turn a face only by showing it another one. The image ``front`` is the end of the
movement; the other images are places where it may begin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from frontalbench import images
from frontalbench.errors import BadInput, Unreadable
from frontalbench.geometry.rotation import geodesic_degrees, matrix_from_angles
from frontalbench.images import RGB

if TYPE_CHECKING:
    from frontalbench.catalogue.cards import ModelCard

FRONT = "front"
Pose = tuple[float, float, float]


@dataclass(frozen=True)
class Driver:
    """``keys``: names of the images, ``front`` first; ``poses``: (yaw, pitch, roll) in degrees measured in each; ``images``: uint8 (S, S, 3) RGB,
    framed as :func:`~frontalbench.frontalize.framing.voxceleb` does, all of one size."""

    name: str
    keys: tuple[str, ...]
    poses: tuple[Pose, ...]
    images: tuple[RGB, ...]

    def nearest(self, pose: Pose) -> int:
        """Which image's pose differs least from ``pose``, by the angle of the rotation between them."""
        wanted = matrix_from_angles(*pose)
        return int(np.argmin([float(geodesic_degrees(wanted, matrix_from_angles(*own))) for own in self.poses]))


def load(card: ModelCard, *, threads: int = 1, device: str = "cpu") -> Driver:
    """The driver of a card of family ``pictures``; its poses were checked with the card. Raises :class:`BadInput` for a file that is no square
    image, or not of the others' size.

    Params: ``synthetic`` true or false; ``measured_with``: the pose card that measured; ``poses``: ``{front: [yaw, pitch, roll], ...}`` in
    degrees, one for every image under ``weights``, ``front`` within 1 degree of 0.
    """
    del threads, device  # images need neither
    from frontalbench.catalogue.params import Params
    from frontalbench.weights import store

    params = Params(card)
    params.flag("synthetic")
    params.choice("measured_with", ("tddfa_pose", "face_landmarker_pose", "fsanet"))
    poses = params.mapping("poses")
    params.finish()
    keys = (FRONT, *sorted(key for key in card.weights if key != FRONT))
    squares: list[RGB] = []
    for key in keys:
        path = store.fetch(card, key)
        try:
            image = images.decode(path.read_bytes())
        except Unreadable as error:
            raise BadInput(f"{path}: not an image ({error}); a driver card's files are images") from None
        if image.shape[0] != image.shape[1] or image.shape != (squares or [image])[0].shape:
            raise BadInput(f"{path}: {image.shape[1]} x {image.shape[0]} pixels; a driver's images are squares of one size")
        squares.append(image)
    listed = tuple((float(yaw), float(pitch), float(roll)) for yaw, pitch, roll in (poses[key] for key in keys))
    return Driver(card.name, keys, listed, tuple(squares))


def used(card: ModelCard) -> Driver:
    """The one driver that ``card`` names in ``uses``. Raises :class:`BadConfig` when it names none or several."""
    from frontalbench.catalogue import families

    driver = families.load(card.the("driver"))
    assert isinstance(driver, Driver)
    return driver

"""What the pose page does, without the page: open a photograph, turn its face, say how much like the original the new view is."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from frontalbench import images, status
from frontalbench.catalogue import cards
from frontalbench.detect import Detector, load_detector
from frontalbench.detect.select import Face
from frontalbench.detect.stream import FaceRow, detect_and_align
from frontalbench.detect.upright import upright
from frontalbench.detect.yaw_alignment import aligned_for
from frontalbench.embed import Backbone, load_backbone
from frontalbench.embed.base import normalise, points_in_crop
from frontalbench.errors import BadInput
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import FRONTAL, Frontalizer, View
from frontalbench.images import RGB
from frontalbench.types import Float32
from frontalbench.weights import store

Pose = tuple[float, float, float]


@dataclass(frozen=True)
class Photo:
    """An opened photograph: ``view``, and its face's embedding (unit length) under each backbone, by the card's name; ``seconds`` that finding the
    face took."""

    view: View
    embeddings: Mapping[str, Float32]
    seconds: float = 0.0


@dataclass(frozen=True)
class NewView:
    """A new view: ``image`` (RGB); ``similarity`` to the original by backbone, None (and a sentence in ``note``) where no face is found in the view;
    ``seconds`` that the frontalizer took, with the detector and the pose where it needs them."""

    image: RGB
    similarity: Mapping[str, float | None]
    note: str
    seconds: float


class Session:
    """The detector and every backbone whose weights are here, loaded once; frontalizers when they are first asked for."""

    def __init__(self, *, detector: str = "scrfd_500m", threads: int = 1, device: str = "cpu") -> None:
        self._threads, self._device = threads, device
        self._detector = load_detector(cards.find("detector", detector), device=device)
        self.backbones: dict[str, Backbone] = {}
        self.titles: dict[str, str] = {}
        for card in cards.all_cards("backbone"):
            if store.available(card):
                self.backbones[card.name] = load_backbone(card, threads=threads, device=device)
                self.titles[card.name] = card.title
        self._frontalizers: dict[str, Frontalizer] = {}
        self._aligners: dict[str, Detector] = {}

    def choices(self) -> list[tuple[str, str]]:
        """(label, card name) of the frontalizers, those that are ready first. The controls, which turn nothing, are left out."""
        models = [card for card in cards.all_cards("frontalizer") if card.weights or card.uses]
        ready = [(card.name, card.name) for card in models if store.available(card)]
        return ready + [(f"{card.name} (weights missing)", card.name) for card in models if not store.available(card)]

    def open(self, data: bytes) -> Photo:
        """A photograph from the bytes of a file. Raises :class:`BadInput` when it is no image or shows no face."""
        began = time.perf_counter()
        found = self._face(data)
        seconds = time.perf_counter() - began
        if found.status == status.UNREADABLE:
            raise BadInput(f"This file is not an image that can be read: {found.detail}.")
        if found.crop is None or found.box is None or found.points is None:
            raise BadInput("No face was found in this image; take one in which the face is larger or better lit.")
        face = Face(found.box, found.score or 0.0, found.points, found.n_faces)
        return Photo(View(*upright(images.decode(data), face)), self._embeddings(found), seconds)

    def turn(self, photo: Photo, name: str, pose: Pose = FRONTAL) -> NewView:
        """The new view of ``photo`` by the frontalizer card ``name`` at ``pose`` (yaw, pitch, roll in degrees).

        Raises :class:`BadInput` where it cannot be made, and WeightsMissing.
        """
        model = self._frontalizer(name)
        if pose != FRONTAL and not model.takes_target_pose:
            raise BadInput(f"{name} only turns faces to the front; set yaw, pitch and roll to 0.")
        outcome = model.frontalize([photo.view], pose)[0]
        if outcome.image is None:
            raise BadInput(f"{name} could not turn this face: {outcome.detail}.")
        seconds = outcome.seconds + (photo.seconds if model.needs_face else 0.0)
        aligner = self._aligner(name)
        data = images.encode_png(outcome.image)
        began = time.perf_counter()
        found = self._face(data, aligner)
        if aligner is not self._detector:  # then the way it is aligned is the method's, and so is the time
            seconds += time.perf_counter() - began
        if found.crop is None:
            return NewView(outcome.image, dict.fromkeys(self.backbones), f"The new view cannot be compared: {found.detail}.", seconds)
        new = self._embeddings(found)
        return NewView(outcome.image, {key: float(new[key] @ photo.embeddings[key]) for key in new}, "", seconds)

    def _aligner(self, name: str) -> Detector:
        """The detector for the images of a frontalizer, which moves the crop where its card asks for it (``mirror_ahead``)."""
        if name not in self._aligners:
            self._aligners[name] = aligned_for(cards.find("frontalizer", name), self._detector, device=self._device)
        return self._aligners[name]

    def _frontalizer(self, name: str) -> Frontalizer:
        if name not in self._frontalizers:
            card = cards.find("frontalizer", name)
            self._frontalizers[name] = load_frontalizer(card, threads=self._threads, device=self._device)
        return self._frontalizers[name]

    def _face(self, data: bytes, detector: Detector | None = None) -> FaceRow:
        return detect_and_align("image", data, detector or self._detector)

    def _embeddings(self, face: FaceRow) -> dict[str, Float32]:
        assert face.crop is not None
        points = None if face.points is None else points_in_crop(face.points)[None]
        return {name: normalise(backbone.embed(face.crop[None], points))[0][0] for name, backbone in self.backbones.items()}

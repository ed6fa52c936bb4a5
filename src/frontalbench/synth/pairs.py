"""Training pairs of people who do not exist: an angled image and the same person from the front, in the frame of ``frontalbench_rnr``.

Three sources. *Turned in style space*: real-looking angled images, but the person drifts with the angle. *Rotate and render*: the frontal image
as a textured mesh turned to an angle, which is the angled image then; the person is the very same, the image shows the damage of a mesh, and the
network learns to undo it. *Turned on*: an angled image of somebody who stays who they are, turned further as a mesh: a profile in the colours that
a side has, drawn from a fit to an angled image. Poses are measured, never taken for what was asked; a pair outside of its bands is not made.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from frontalbench import images
from frontalbench.detect.select import Face, choose
from frontalbench.embed.base import normalise
from frontalbench.errors import BadInput
from frontalbench.files import atomic
from frontalbench.frontalize.base import View
from frontalbench.frontalize.drawing import draw
from frontalbench.frontalize.head import Head
from frontalbench.frontalize.refiner_inputs import Sample, sample
from frontalbench.geometry.rotation import matrix_from_angles
from frontalbench.geometry.similarity import align
from frontalbench.images import RGB
from frontalbench.synth.check import read_index
from frontalbench.synth.directions import Directions
from frontalbench.synth.people import Draws, Instruments, noise
from frontalbench.types import Float

if TYPE_CHECKING:
    from frontalbench.detect.base import Detector
    from frontalbench.embed.base import Backbone
    from frontalbench.frontalize.tddfa import TddfaFrontalizer


LATENT_SOURCE, RENDERED_SOURCE, TURNED_ON_SOURCE = 0, 1, 2
"""Kinds of a pair: turned in style space; rotate and render; turned on to a profile."""
NOT_ANGLED = ("base", "front", "front2")
"""Names of a person's shots that are no angled images."""


MISFIT = (0.5, 0.05, 4.0)
"""How far off a fit is made for the network to see, where that is asked for: standard deviations in cm, share of the size, and degrees in the image
plane, times a number up to 1 drawn for each pair. A fit to a rendered head is all but perfect; one to a photographed profile lies half a centimetre
beside it, and the background comes out on the nose and the brow. What came of it: docs/gain.md."""
IMAGE = 512
"""Side of a person's images in pixels: enough for pairs of 256."""


@dataclass(frozen=True)
class Bands:
    """What a shot must keep to. Degrees; similarities are means over the backbones."""

    base: float = 40.0
    """Largest yaw of a person as drawn, before any turning."""
    front: float = 12.0
    """Largest yaw of the frontal image."""
    roll: float = 15.0
    genuine: float = 0.15
    """Smallest similarity of an image to the frontal one; two people of this generator: 0.15 on average."""
    alike: float = 0.4
    """Smallest similarity of an image that is wanted from the frontal one: nothing holds the person there but the image itself."""
    rendered: tuple[tuple[float, float], ...] = ((20.0, 50.0), (50.0, 85.0))
    """Ranges of angles of the second source; one image to each side of each."""
    kept: float = 0.6
    """Smallest similarity of an angled image that is turned on: whoever drifted that far is somebody else at the profile."""
    turned_on: tuple[float, float] = (65.0, 88.0)
    """Angles of the third source, to the side that the image shows; from images of at least :attr:`begins`."""
    begins: float = 20.0


@dataclass(frozen=True)
class Shot:
    """One image of a person: ``name`` says what it is (see :func:`shoot`), ``pose`` is measured (yaw, pitch, roll in degrees)."""

    name: str
    image: RGB = field(repr=False)
    face: Face = field(repr=False)
    pose: tuple[float, float, float]


@dataclass(frozen=True)
class Pair:
    """``sample``: what the network sees; ``wanted`` uint8 (S, S, 3): what it should draw; ``kind``: see :data:`LATENT_SOURCE`; ``similarity``: mean
    of the backbones between the angled and the frontal image (1 for the second source; for the third that of the image that was turned on)."""

    sample: Sample
    wanted: RGB = field(repr=False)
    kind: int
    person: int
    similarity: float


def shoot(
    generator: Draws, directions: Directions, instruments: Instruments, *, seed: int, number: int, bands: Bands = Bands()
) -> list[Shot]:
    """Person ``number`` of ``seed``: ``base`` as drawn, ``front``, ``front2`` (another light and mouth), ``left``, ``right`` (20 to 60 degrees) and
    ``far`` (45 to 75 degrees, another light).

    Every person has an own truncation and own angles. Images without exactly one face are left out; an empty list: no usable frontal image.
    """
    random = np.random.default_rng([seed, number, 99])
    truncation = random.uniform(0.6, 0.85)
    person, second, third = (
        directions.mean + truncation * (generator.style(noise(seed, number, k)).astype(np.float64) - directions.mean) for k in (0, 1, 2)
    )
    taken: list[Shot] = []

    def shot(name: str, a: float, b: float, coarse: Float, fine: Float) -> Shot | None:
        image = generator.render(coarse + a * directions.yaw + b * directions.pitch, fine, IMAGE)
        face = choose(instruments.detector.detect(image), (image.shape[1], image.shape[0]))
        if face is None or face.n_faces > 1:
            return None
        yaw, pitch, roll, _ = instruments.pose.estimate(image, face)
        taken.append(Shot(name, image, face, (float(yaw), float(pitch), float(roll))))
        return taken[-1]

    base = shot("base", 0.0, 0.0, person, person)
    if base is None or abs(base.pose[0]) > bands.base:
        return []
    offset, nod = base.pose[0], 0.8 * (directions.level - base.pose[1])
    front = shot("front", -offset, nod, person, person)
    if front is None or abs(front.pose[0]) > bands.front:
        return []
    offset += front.pose[0]
    share = random.uniform(0.25, 0.5)
    shot("front2", random.uniform(-6, 6) - offset, nod, person + 0.06 * (second - person), person + share * (second - person))
    shot("left", random.uniform(20, 60) - offset, nod, person, person)
    shot("right", -random.uniform(20, 60) - offset, nod, person, person)
    side = 1.0 if random.random() < 0.5 else -1.0
    share = random.uniform(0.2, 0.5)
    shot("far", side * random.uniform(45, 75) - offset, nod, person, person + share * (third - person))
    return taken


def save_shots(folder: str | os.PathLike[str], seed: int, number: int, shots: Sequence[Shot]) -> None:
    """``<seed>_<number>_<name>.jpg`` and, last, ``<seed>_<number>.json``: a person that is there is complete."""
    root, stem, rows = Path(folder), f"{seed}_{number:05d}", []
    for shot in shots:
        atomic.write_bytes(root / f"{stem}_{shot.name}.jpg", images.encode_jpeg(shot.image, quality=95))
        yaw, pitch, roll = (round(angle, 2) for angle in shot.pose)
        points, box = shot.face.points.round(2).tolist(), shot.face.box.round(2).tolist()
        score, faces = round(float(shot.face.score), 4), shot.face.n_faces
        rows.append({"name": shot.name, "yaw": yaw, "pitch": pitch, "roll": roll, "points": points, "box": box, "score": score, "n": faces})
    atomic.write_text(root / f"{stem}.json", json.dumps(rows) + "\n")


def load_shots(folder: str | os.PathLike[str]) -> Iterator[tuple[int, list[Shot]]]:
    """(number, shots) of every person with a frontal image, in order. Raises :class:`BadInput`."""
    paths = sorted(Path(folder).glob("*.json"))
    if not paths:
        raise BadInput(f"{folder}: no shots (*.json); make them with make_pairs.py --shots")
    for path in paths:
        try:
            rows = json.loads(path.read_text(encoding="utf-8"))
            shots = [_shot(path.with_name(f"{path.stem}_{row['name']}.jpg"), row) for row in rows if row["n"] == 1]
            number = int(path.stem.partition("_")[2])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(f"{path}: not a person's shots ({error}); delete it and make it again") from error
        if any(shot.name == "front" and abs(shot.pose[0]) <= Bands().front for shot in shots):
            yield number, shots


def shots_of_set(folder: str | os.PathLike[str], instruments: Instruments) -> Iterator[tuple[int, list[Shot]]]:
    """(number, shots) of every person of an image set in the layout of ``demo/synthetic``, numbered from 0 in the order of their names; detected and
    measured anew, an image without exactly one face is left out, and so is a person without a frontal one. Raises :class:`BadInput`."""
    names = {"0": "front", "b": "front2"}
    rows = sorted(read_index(folder), key=lambda row: (row["identity"], row["image"]))
    for number, (_, group) in enumerate(itertools.groupby(rows, lambda row: row["identity"])):
        shots = []
        for row in group:
            image = images.decode((Path(folder) / row["image"]).read_bytes())
            measured = instruments.measure(image)
            if measured is not None and measured.face.n_faces == 1:
                step = row["nominal_step"]
                shots.append(Shot(names.get(step, step), image, measured.face, measured.pose))
        if any(shot.name == "front" and abs(shot.pose[0]) <= Bands().front for shot in shots):
            yield number, shots


def _shot(image: Path, row: dict[str, Any]) -> Shot:
    face = Face(np.array(row["box"], np.float32), float(row["score"]), np.array(row["points"], np.float32), int(row["n"]))
    return Shot(row["name"], images.decode(image.read_bytes()), face, (float(row["yaw"]), float(row["pitch"]), float(row["roll"])))


def similarities(shots: Sequence[Shot], backbones: Sequence[Backbone]) -> list[float]:
    """Mean over the backbones of the similarity of every shot to the frontal one."""
    crops = np.stack([align(shot.image, shot.face.points) for shot in shots])
    front = next(place for place, shot in enumerate(shots) if shot.name == "front")
    found = [normalise(backbone.embed(crops))[0] for backbone in backbones]
    return [float(value) for value in np.mean([units @ units[front] for units in found], axis=0)]


def pairs(
    shots: Sequence[Shot],
    mesh: TddfaFrontalizer,
    detector: Detector,
    backbones: Sequence[Backbone],
    *,
    person: int,
    size: int,
    random: np.random.Generator,
    bands: Bands = Bands(),
    misfit: float = 0.0,
) -> Iterator[Pair]:
    """The pairs of one person, ``size`` pixels square; ``shots`` as :func:`shoot` gives them. A mesh that fails leaves its pair out.

    ``misfit``: how far off fits are made, in parts of :data:`MISFIT`.
    """
    front = next(shot for shot in shots if shot.name == "front")
    tone = tint(random)
    frontal = View(tone(front.image), front.face)
    ahead = _as_it_is(mesh, frontal, size)
    if ahead is None:
        return
    pair = functools.partial(_pair, mesh, person=person, random=random, misfit=misfit)
    for shot, similarity in zip(shots, similarities(shots, backbones), strict=True):
        if shot.name in NOT_ANGLED or similarity < bands.genuine or abs(shot.pose[2]) > bands.roll:
            continue
        view = View(weathered(tone(shot.image), random), shot.face)
        yield from pair(view, ahead, kind=LATENT_SOURCE, similarity=similarity)
        # The other way round, from the front to the pose of the angled image.
        away = _as_it_is(mesh, View(tone(shot.image), shot.face), size) if similarity >= bands.alike else None
        if away is not None:
            yield from pair(frontal, away, kind=LATENT_SOURCE, similarity=similarity)
        if similarity >= bands.kept and abs(shot.pose[0]) >= bands.begins:
            further = math.copysign(random.uniform(*bands.turned_on), shot.pose[0])
            profile = _turned(mesh, detector, View(tone(shot.image), shot.face), (further, ahead.pose[1], 0.0), random)
            if profile is not None:
                yield from pair(profile, ahead, kind=TURNED_ON_SOURCE, similarity=similarity)
    for sign, band in itertools.product((-1.0, 1.0), bands.rendered):
        yaw = sign * random.uniform(*band)
        rendered = _turned(mesh, detector, frontal, (yaw, ahead.pose[1], 0.0), random)
        if rendered is not None:
            yield from pair(rendered, ahead, kind=RENDERED_SOURCE, similarity=1.0)


def _turned(
    mesh: TddfaFrontalizer, detector: Detector, view: View, pose: tuple[float, float, float], random: np.random.Generator
) -> View | None:
    """``view`` as a textured mesh in ``pose``, detected anew; None when the mesh fails."""
    rendered = mesh.frontalize([view], pose)[0].image
    if rendered is None:
        return None
    return View(weathered(rendered, random), choose(detector.detect(rendered), (rendered.shape[1], rendered.shape[0])))


def _as_it_is(mesh: TddfaFrontalizer, view: View, size: int) -> Sample | None:
    """The photograph of ``view`` in the network's frame, and its pose; None when the mesh fails."""
    try:
        drawing, rotation = mesh.drawing(view)
    except ValueError:
        return None
    return sample(drawing, rotation, (0.0, 0.0), size)


def _pair(
    mesh: TddfaFrontalizer,
    view: View,
    goal: Sample,
    *,
    kind: int,
    person: int,
    similarity: float,
    random: np.random.Generator,
    misfit: float,
) -> Iterator[Pair]:
    """From ``view`` to the photograph and the pose of ``goal``."""
    try:
        head, placement = mesh.placed(view)
        drawing = draw(view.image, misfitted(head, random, misfit), placement, (*goal.pose, 0.0), mesh.filling)
    except ValueError:
        return
    seen = sample(drawing, placement.rotation, goal.pose, len(goal.photograph))
    yield Pair(seen, goal.photograph, kind, person, similarity)


def misfitted(head: Head, random: np.random.Generator, strength: float = 1.0) -> Head:
    """The head as a less lucky fit would have it: shifted, scaled and leaning by up to ``strength`` times :data:`MISFIT`; what does not turn with
    the head stays."""
    if strength == 0.0:
        return head
    shift, size, lean = (strength * random.uniform() * one for one in MISFIT)
    move = matrix_from_angles(0.0, 0.0, lean * random.standard_normal())[:2, :2] * (1.0 + size * random.standard_normal())
    wrong = head.source[:, :2] @ move.T + shift * random.standard_normal(2)
    source = head.source.copy()
    source[:, :2] += (1.0 - head.still)[:, None] * (wrong - source[:, :2])
    return replace(head, source=source)


def tint(random: np.random.Generator) -> Callable[[RGB], RGB]:
    """A light for all images of a person: gamma, gain and a tint."""
    gamma, gains = random.uniform(0.7, 1.4), random.uniform(0.75, 1.15) * random.uniform(0.9, 1.1, 3)
    table = np.clip(255.0 * gains * (np.arange(256)[:, None] / 255.0) ** gamma, 0, 255).astype(np.uint8)

    def apply(image: RGB) -> RGB:
        return np.stack([table[image[..., k], k] for k in range(3)], axis=-1)

    return apply


def weathered(image: RGB, random: np.random.Generator, *, always: bool = False) -> RGB:
    """The same image as the wild would have it: scaled down and up again, blurred, saved as JPEG; unless ``always``, every second one stays."""
    if random.random() < 0.5 and not always:
        return image
    height, width = image.shape[:2]
    share = random.uniform(0.3, 1.0)
    small = cv2.resize(image, (max(8, int(width * share)), max(8, int(height * share))), interpolation=cv2.INTER_AREA)
    image = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    blurred = cv2.GaussianBlur(image, (0, 0), random.uniform(0.3, 1.2))
    done, data = cv2.imencode(".jpg", blurred[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(35, 95))])
    assert done
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return np.ascontiguousarray(decoded[..., ::-1])


# Shards ---------------------------------------------------------------------------------------------------------------------------------------

ARRAYS = ("photograph", "turned", "seen", "wanted", "pose", "target", "kind", "person", "similarity")


def write_shard(path: str | os.PathLike[str], made: Sequence[Pair]) -> None:
    """One ``.npz`` of pairs. Raises :class:`BadInput` when there are none."""
    if not made:
        raise BadInput(f"{path}: no pairs to write; give more people")
    columns: dict[str, Any] = {name: np.stack([getattr(pair.sample, name) for pair in made]) for name in ("photograph", "turned", "seen")}
    columns |= {
        "wanted": np.stack([pair.wanted for pair in made]),
        "pose": np.array([pair.sample.pose for pair in made], np.float32),
        "target": np.array([pair.sample.target for pair in made], np.float32),
        "kind": np.array([pair.kind for pair in made], np.int8),
        "person": np.array([pair.person for pair in made], np.int64),
        "similarity": np.array([pair.similarity for pair in made], np.float32),
    }
    with atomic.replacing(path) as temporary, temporary.open("wb") as handle:
        np.savez_compressed(handle, **columns)


def read_shards(folder: str | os.PathLike[str]) -> dict[str, npt.NDArray[np.generic]]:
    """All pairs of a folder of shards, by name of :data:`ARRAYS`. Raises :class:`BadInput`."""
    paths = sorted(Path(folder).glob("*.npz"))
    if not paths:
        raise BadInput(f"{folder}: no shards (*.npz); make them with make_pairs.py")
    parts = []
    for path in paths:
        try:
            with np.load(path, allow_pickle=False) as data:
                parts.append({name: data[name] for name in ARRAYS})
        except (OSError, ValueError, KeyError) as error:
            raise BadInput(f"{path}: not a shard of pairs ({error}); make it again with make_pairs.py") from error
    return {name: np.concatenate([part[name] for part in parts]) for name in ARRAYS}

"""Driver cards: images of one head and the poses measured in them, and how they are made."""

from __future__ import annotations

import dataclasses
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
import yaml

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import FileSource, ModelCard, WeightFile
from frontalbench.errors import BadConfig, BadInput
from frontalbench.frontalize import driver
from frontalbench.synth import drivers, people

SHIPPED = sorted(path.stem for path in (cards.project_root() / "config" / "models" / "drivers").glob("*.yaml"))


def written(tmp_path: Path, **changes: object) -> Path:
    """A shipped card as a file of its own, with other ``params`` or ``weights``."""
    data = yaml.safe_load(cards.find("driver", SHIPPED[0]).path.read_text(encoding="utf-8"))
    for key, value in changes.items():
        data[key] = value(data[key]) if callable(value) else value
    path = tmp_path / "models" / "drivers" / f"{SHIPPED[0]}.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return path


def poses(**changed: object) -> Callable[[dict[str, object]], dict[str, object]]:
    def change(params: dict[str, object]) -> dict[str, object]:
        own = dict(params["poses"])  # type: ignore[call-overload]
        for key, value in changed.items():
            if value is None:
                own.pop(key)
            else:
                own[key] = value
        return {**params, "poses": own}

    return change


WRONG = [
    (poses(front=[1.2, 0.0, 0.0]), r"params\.poses\.front: \[1\.2, 0\.0, 0\.0\] does not look ahead; each angle should be within 1 degree"),
    (poses(front=[0.0, 0.0]), r"params\.poses\.front: should be three numbers, yaw, pitch and roll in degrees, is \[0\.0, 0\.0\]"),
    (poses(l26=["left", 0, 0]), r"params\.poses\.l26: should be three numbers"),
    (poses(l26=None), r"params\.poses\.l26: missing; write the yaw, pitch and roll measured in this image"),
    (poses(l99=[99, 0, 0]), r"params\.poses\.l99: there is no image weights\.l99"),
    ({}, r"params\.poses: missing; a driver card says yaw, pitch and roll"),
]


@pytest.mark.parametrize(("change", "line"), WRONG, ids=lambda value: value[:30] if isinstance(value, str) else "")
def test_a_driver_card_says_the_pose_of_every_image_and_its_front_looks_ahead(tmp_path: Path, change: object, line: str) -> None:
    with pytest.raises(BadConfig, match=rf"drivers/{SHIPPED[0]}\.yaml: {line}"):
        cards.load(written(tmp_path, params=change))


def test_a_driver_card_without_a_frontal_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"weights\.front: missing; a driver has an image that looks ahead"):
        cards.load(
            written(tmp_path, weights=lambda own: {key: value for key, value in own.items() if key != "front"}, params=poses(front=None))
        )


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_driver_is_labelled_synthetic_and_starts_near_any_yaw(name: str) -> None:
    card = cards.find("driver", name)
    assert card.params["synthetic"] is True and "ynthetic" in card.title and "synthetic" in card.data["licence"]["weights"]
    found = driver.load(card)
    assert found.keys[0] == "front" and all(image.shape == (256, 256, 3) for image in found.images)
    assert found.nearest((0.0, 0.0, 0.0)) == 0 and found.nearest((3.0, -4.0, 0.0)) == 0
    for yaw in (-90, -40, -13, 14, 27, 60):
        nearest = found.poses[found.nearest((float(yaw), 0.0, 0.0))]
        assert abs(nearest[0] - yaw) == min(abs(pose[0] - yaw) for pose in found.poses)


def with_file(tmp_path: Path, key: str, data: bytes) -> ModelCard:
    card = cards.find("driver", SHIPPED[0])
    path = tmp_path / f"{key}.jpg"
    path.write_bytes(data)
    other = WeightFile(key, path.name, len(data), hashlib.sha256(data).hexdigest(), (FileSource(path),))
    return dataclasses.replace(card, weights=MappingProxyType({**card.weights, key: other}))


def test_files_that_are_no_square_images_of_one_size_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"l13\.jpg: not an image \("):
        driver.load(with_file(tmp_path, "l13", b"\xff\xd8 cut off"))
    for shape in ((256, 200, 3), (128, 128, 3)):
        with pytest.raises(BadInput, match=rf"l13\.jpg: {shape[1]} x {shape[0]} pixels; a driver's images are squares of one size"):
            driver.load(with_file(tmp_path, "l13", images.encode_jpeg(np.zeros(shape, np.uint8))))


class World:
    """A generator whose yaw, pitch and tilt follow from the coefficients; ``stuck``: it cannot turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, stuck: bool = False) -> None:
        self.a = self.b = self.tilt = 0.0
        self.drawn, self.stuck = 0, stuck
        monkeypatch.setattr(people, "draw", self.draw)
        monkeypatch.setattr(drivers, "framed", self.framed)
        monkeypatch.setattr(drivers, "measured", self.measured)

    def draw(self, *_: object, a: float, b: float, **__: object) -> np.ndarray:
        self.a, self.b, self.drawn = a, b, self.drawn + 1
        return np.zeros((8, 8, 3), np.uint8)

    def framed(self, whole: np.ndarray, _detector: object, _fitter: object, tilt: float) -> np.ndarray:
        self.tilt = tilt
        return whole

    def measured(self, *_: object) -> tuple[float, float, float]:
        if self.stuck:
            return 5.0, 0.0, 0.0
        return 0.8 * self.a + 3.0, 1.1 * self.b + 7.0 + 0.05 * self.a, 4.0 - self.tilt


def test_a_driver_is_drawn_until_every_angle_is_what_was_wanted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    world = World(monkeypatch)
    made = drivers.make(None, None, None, None, seed=7, number=50)  # type: ignore[arg-type]
    assert [one.step for one in made] == list(people.STEPS)
    assert all(one.off < drivers.CLOSE for one in made) and world.drawn < len(made) * drivers.TRIES
    folder = tmp_path / "models" / "drivers"
    folder.mkdir(parents=True)
    (folder / "mine_3.yaml").write_text(drivers.card_text("mine_3", made, seed=7, number=50), encoding="utf-8")
    card = cards.load(folder / "mine_3.yaml")
    assert set(card.weights) == {drivers.label(step) for step in people.STEPS} and card.weights["l13"].bytes == len(made[5].data)


def test_a_head_that_cannot_be_turned_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    World(monkeypatch, stuck=True)
    with pytest.raises(people.Rejected, match=r"yaw 0: measured .*5\.0 degrees off"):
        drivers.make(None, None, None, None, seed=7, number=50, steps=(0,))  # type: ignore[arg-type]


def test_a_driver_of_ones_own_needs_a_card_and_images_alone(tmp_path: Path) -> None:
    """As docs/cards.md says: copy the card, replace the files, write what was measured."""
    path = written(
        tmp_path, weights=lambda own: {"front": own["front"]}, params=lambda own: {**own, "poses": {"front": own["poses"]["front"]}}
    )
    shutil.copytree(cards.project_root() / "config" / "models" / "drivers", tmp_path / "config" / "models" / "drivers")
    found = driver.load(
        dataclasses.replace(cards.load(path), weights=MappingProxyType({"front": cards.find("driver", SHIPPED[0]).weights["front"]}))
    )
    assert found.keys == ("front",) and found.nearest((-40.0, 0.0, 0.0)) == 0

"""Training on people who do not exist: the judge's gradient, pairs, resuming, and that a few seconds of training already beat the mesh.

With real weights or photographs.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from frontalbench import images
from frontalbench.catalogue import cards
from frontalbench.detect import choose, load_detector
from frontalbench.embed import load_backbone
from frontalbench.embed.base import normalise
from frontalbench.embed.gradient import load_recognizer
from frontalbench.errors import BadInput
from frontalbench.frontalize import load_frontalizer
from frontalbench.frontalize.base import View
from frontalbench.frontalize.batches import Batched
from frontalbench.frontalize.refiner_inputs import SPAN, cut, sample
from frontalbench.frontalize.scaleway import ScalewayFamily, to_network
from frontalbench.pose import load_pose
from frontalbench.synth import pairs, people, quality
from frontalbench.train import refiner, scaleway
from frontalbench.train.trainer import face_crop, split

Weight = Callable[..., Path]


SHIPPED = Path(__file__).resolve().parents[2] / "demo" / "synthetic"


SIZE = 48


PEOPLE = 20


def shots_of_the_demo_set() -> Iterator[tuple[int, list[pairs.Shot]]]:
    """The shipped people who do not exist, in place of freshly drawn ones: front, left and right."""
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    names = {"0": "front", "39": "left", "-39": "right"}
    with (SHIPPED / "index.csv").open(encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["nominal_step"] in names]
    for number, person in enumerate(sorted({row["identity"] for row in rows})[:PEOPLE]):
        shots = []
        for row in rows:
            if row["identity"] == person:
                image = images.decode((SHIPPED / row["image"]).read_bytes())
                face = choose(detector.detect(image), (image.shape[1], image.shape[0]))
                assert face is not None
                angles = (float(row["yaw"]), float(row["pitch"]), float(row["roll"]))
                shots.append(pairs.Shot(names[row["nominal_step"]], image, face, angles))
        yield number, shots


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory, weight: Weight) -> Path:
    """A folder of pairs of the demo set."""
    for kind, name in (("detector", "scrfd_500m"), ("landmarks", "tddfa_mb1"), ("landmarks", "face_landmarker"), ("backbone", "w600k_mbf")):
        for key in cards.find(kind, name).weights:
            weight(kind, name, key)
    folder = tmp_path_factory.mktemp("pairs")
    mesh, judge = load_frontalizer(cards.find("frontalizer", "tddfa")), load_backbone(cards.find("backbone", "w600k_mbf"))
    detector = load_detector(cards.find("detector", "scrfd_500m"))
    made: list[pairs.Pair] = []
    for number, shots in shots_of_the_demo_set():
        made += pairs.pairs(shots, mesh, detector, [judge], person=number, size=SIZE, random=np.random.default_rng(number))
    pairs.write_shard(folder / "demo.npz", made)
    return folder


@pytest.mark.weights
@pytest.mark.parametrize("name", ["w600k_mbf", "arcface_y1"])
def test_a_judge_equals_its_onnx_file_and_has_a_gradient(name: str, weight: Weight) -> None:
    weight("backbone", name)
    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), dtype=np.uint8)
    crops[1] = np.linspace(0, 255, 112, dtype=np.uint8)[:, None, None]
    wanted, _ = normalise(load_backbone(cards.find("backbone", name)).embed(crops))
    judge = load_recognizer(cards.find("backbone", name))
    pixels = torch.from_numpy(crops.transpose(0, 3, 1, 2).astype(np.float32)).requires_grad_()
    units, maps = judge(pixels)
    np.testing.assert_allclose(units.detach().numpy(), wanted, atol=1e-4)
    units[0, 0].backward()
    assert len(maps) == 3 and pixels.grad is not None and float(pixels.grad.abs().sum()) > 0.0


@pytest.mark.weights
def test_pairs_are_what_they_say(shards: Path) -> None:
    data = pairs.read_shards(shards)
    assert set(np.unique(data["kind"])) == {pairs.LATENT_SOURCE, pairs.RENDERED_SOURCE}
    latent = data["kind"] == pairs.LATENT_SOURCE
    assert (data["similarity"][latent] >= pairs.Bands().genuine).all() and (data["similarity"][~latent] == 1.0).all()
    front = np.abs(data["target"][:, 0]) < 15
    assert np.abs(np.abs(data["pose"][latent & front, 0]) - 39).max() < 12
    # The other way round, from the front to the angled image's own pose, and only where the person is surely the same.
    away = latent & ~front
    assert away.any() and np.abs(data["pose"][away]).max() < 15 and np.abs(np.abs(data["target"][away, 0]) - 39).max() < 12
    assert (data["similarity"][away] >= pairs.Bands().alike).all()
    rendered = np.abs(data["pose"][~latent, 0])
    assert rendered.min() < 50 < rendered.max() and front[~latent].all()
    # The frame puts the wanted face where the training crop expects it: the judge knows the person in it.
    judge = load_recognizer(cards.find("backbone", "w600k_mbf"))
    first = np.array([np.flatnonzero((data["person"] == person) & front)[0] for person in np.unique(data["person"])[:8]])
    wanted = torch.from_numpy(data["wanted"][first].transpose(0, 3, 1, 2).astype(np.float32)) / 127.5 - 1.0
    with torch.no_grad():
        frame, _ = judge(face_crop(wanted, SPAN))
    straight = []
    for number, shots in shots_of_the_demo_set():
        if number in data["person"][first]:
            crop = pairs.align(
                shots[[shot.name for shot in shots].index("front")].image, next(s.face.points for s in shots if s.name == "front")
            )
            straight.append(judge(torch.from_numpy(crop.transpose(2, 0, 1)[None].astype(np.float32)))[0][0].numpy())
    scores = frame.numpy() @ np.stack(straight).T
    assert (scores.argmax(1) == np.arange(len(first))).all() and np.diag(scores).mean() > 0.5
    text, sheet = quality.page(data)
    assert "who do not exist" in text and sheet.shape[1] == 8 * SIZE


@pytest.mark.weights
def test_somebody_who_stays_who_they_are_is_turned_on_to_a_profile(shards: Path) -> None:
    judge, detector = load_backbone(cards.find("backbone", "w600k_mbf")), load_detector(cards.find("detector", "scrfd_500m"))
    instruments = people.Instruments(detector, load_pose(cards.find("pose", "tddfa_pose")), ())
    mesh = load_frontalizer(cards.find("frontalizer", "tddfa"))
    _, shots = next(pairs.shots_of_set(Path(__file__).resolve().parents[2] / "demo" / "synthetic_kept", instruments))
    chosen = [shot for shot in shots if shot.name in ("front", "-52", "39")]
    made = list(pairs.pairs(chosen, mesh, detector, [judge], person=1, size=SIZE, random=np.random.default_rng(0)))
    found = [pair for pair in made if pair.kind == pairs.TURNED_ON_SOURCE]
    assert sorted(pair.sample.pose[0] > 0 for pair in found) == [False, True], "one for every angled image, to the side that it shows"
    for pair in found:
        assert 50 < abs(pair.sample.pose[0]) < 100 and abs(pair.sample.target[0]) < 15 and pair.similarity >= pairs.Bands().kept


@pytest.mark.weights
@pytest.mark.parametrize(
    ("training_of", "settings"),
    [
        (refiner, replace(refiner.TINY, width=4, levels=2, batch=2, steps=4, adversarial=0.02, adversarial_from=1)),
        (scaleway, replace(scaleway.TINY, batch=2, steps=4)),
    ],
    ids=["refiner", "scaleway"],
)
def test_a_run_that_stops_goes_on_as_if_it_had_not(training_of: Any, settings: Any, shards: Path, tmp_path: Path) -> None:
    whole = training_of.Trainer(settings, [])
    training, _ = split(whole.prepared(pairs.read_shards(shards)))
    whole.run(training, 4)
    first = training_of.Trainer(settings, [])
    first.run(training, 2)
    first.save(tmp_path)
    second = training_of.Trainer(settings, [])
    assert second.resume(tmp_path) and second.step == 2
    second.run(training, 4)
    for name, value in whole.network.state_dict().items():
        assert torch.equal(value, second.network.state_dict()[name]), name
    with pytest.raises(BadInput, match="another batch"):
        training_of.Trainer(replace(settings, batch=8), []).resume(tmp_path)
    assert not training_of.Trainer(settings, []).resume(tmp_path / "nothing")


@pytest.mark.weights
def test_some_seconds_of_training_beat_the_copy_on_people_never_seen(shards: Path) -> None:
    training, held_out = split(pairs.read_shards(shards))
    assert not set(training["person"]) & set(held_out["person"])
    trainer = refiner.Trainer(replace(refiner.TINY, steps=500, batch=6, warmup=10, features=0.0, identity=0.0), [])
    trainer.run(training, 500)
    trainer.network.eval()
    network, mesh, photograph = (
        trainer.evaluate(draw, held_out).pixels for draw in (trainer.network, *trainer.baselines(training).values())
    )
    assert network < 0.95 * min(mesh, photograph)


@pytest.mark.weights
def test_a_square_is_the_same_face_in_training_and_at_work(shards: Path, weight: Weight) -> None:
    """A frontal person's square out of the training frame, and the one that the frontalizer cuts out of the photograph."""
    seen: list[torch.Tensor] = []

    class Looks(scaleway.Scaleway):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images)
            return images

    _, shots = next(shots_of_the_demo_set())
    front = shots[[shot.name for shot in shots].index("front")]
    mesh: Any = load_frontalizer(cards.find("frontalizer", "tddfa"))
    frontalizer = Batched("s", ScalewayFamily(mesh, Looks(), torch.device("cpu")), takes_target_pose=False, batch=1)
    (outcome,) = frontalizer.frontalize([View(front.image, front.face)])
    assert outcome.image is not None and outcome.image.shape == (128, 128, 3), outcome.detail
    drawing, rotation = mesh.drawing(View(front.image, front.face))
    yaw, pitch = sample(drawing, rotation, (0.0, 0.0), 128).pose
    square = scaleway.square(cut(drawing.texture, drawing.frame, 128), yaw, pitch)
    apart = np.abs(to_network(square[None]).numpy() - seen[0].numpy()) * 128
    assert np.median(apart) < 4 and np.mean(apart) < 8, "of 256 grey values; the two ways differ in how they sample"

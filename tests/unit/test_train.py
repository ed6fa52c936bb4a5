"""Training on people who do not exist: the judge's gradient, pairs, resuming, and that a few seconds of training already beat the mesh."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from safetensors.torch import load_file, save_file  # noqa: E402

from frontalbench import images  # noqa: E402
from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.detect import choose, load_detector  # noqa: E402
from frontalbench.embed import load_backbone  # noqa: E402
from frontalbench.embed.base import normalise  # noqa: E402
from frontalbench.errors import BadInput  # noqa: E402
from frontalbench.frontalize import load_frontalizer  # noqa: E402
from frontalbench.frontalize.base import View  # noqa: E402
from frontalbench.frontalize.batches import Batched  # noqa: E402
from frontalbench.frontalize.head import Head  # noqa: E402
from frontalbench.frontalize.rnr_inputs import SPAN, cut, sample  # noqa: E402
from frontalbench.frontalize.scaleway import ScalewayFamily, to_network  # noqa: E402
from frontalbench.geometry.similarity import apply, estimate_similarity  # noqa: E402
from frontalbench.networks.recognizer import Prelu  # noqa: E402
from frontalbench.networks.rnr import Rnr  # noqa: E402
from frontalbench.synth import pairs, quality  # noqa: E402
from frontalbench.train import rnr, scaleway  # noqa: E402
from frontalbench.train.judge import load_judge  # noqa: E402
from frontalbench.train.trainer import CHECKPOINT, face_crop, split  # noqa: E402

torch.set_num_threads(1)  # small pictures: a second thread only waits
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
    judge = load_judge(cards.find("backbone", name))
    pixels = torch.from_numpy(crops.transpose(0, 3, 1, 2).astype(np.float32)).requires_grad_()
    units, maps = judge(pixels)
    np.testing.assert_allclose(units.detach().numpy(), wanted, atol=1e-4)
    units[0, 0].backward()
    assert len(maps) == 3 and pixels.grad is not None and float(pixels.grad.abs().sum()) > 0.0


def test_an_untrained_network_gives_the_mesh_back() -> None:
    planes = torch.rand(2, 11, 32, 32) * 2 - 1
    assert torch.equal(Rnr(8, 3)(planes), planes[:, 3:6])


@pytest.mark.parametrize("fold", [2, 4])
def test_a_folded_network_is_made_of_the_same_blocks_and_begins_with_the_mesh_too(fold: int) -> None:
    plain, folded = Rnr(8, 2), Rnr(8, 2, fold)
    planes = torch.rand(1, 11, 32, 64) * 2 - 1
    assert torch.equal(folded(planes), planes[:, 3:6])
    mine, theirs = plain.state_dict(), folded.state_dict()
    assert {name for name in mine if mine[name].shape != theirs[name].shape} == {"entry.weight", "exit.weight", "exit.bias"}


def test_a_run_begins_with_the_weights_of_another_size(tmp_path: Path) -> None:
    settings = replace(rnr.TINY, width=4, levels=2)
    small = rnr.Trainer(settings, [])
    small.save(tmp_path)
    large = rnr.Trainer(replace(settings, fold=2, seed=1), [])
    assert large.begin_with(tmp_path / rnr.WEIGHTS) == ["entry.weight", "exit.bias", "exit.weight"]
    assert torch.equal(large.network.state_dict()["down.0.first.weight"], small.network.state_dict()["down.0.first.weight"])
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(BadInput, match="no tensor fits"):
        large.begin_with(tmp_path / "other.safetensors")
    with pytest.raises(BadInput, match="no tensor fits"):
        rnr.Trainer(replace(settings, width=8, fold=2), []).begin_with(_without_norms(tmp_path / rnr.WEIGHTS))


def _without_norms(path: Path) -> Path:
    """Only the tensors whose shapes say the width."""
    other = path.with_name("convolutions.safetensors")
    save_file({name: value for name, value in load_file(path).items() if value.dim() == 4}, other)
    return other


def test_the_loss_of_identity_gains_nothing_from_drawing_everybody_alike() -> None:
    wanted = torch.nn.functional.normalize(torch.randn(8, 16, generator=torch.Generator().manual_seed(0)))
    mean = torch.nn.functional.normalize(wanted.mean(0, keepdim=True)).expand(8, -1)
    perfect, alike = rnr.identity_loss(wanted, wanted), rnr.identity_loss(mean, wanted)
    others = ((wanted @ wanted.T).sum(1) - 1.0) / 7
    torch.testing.assert_close(perfect, others)  # 1 - (1 - others)
    # The mean face resembles everybody, itself no more than the others: nothing is gained, while similarity alone would go up.
    assert float((mean * wanted).sum(1).mean()) > 0.2
    torch.testing.assert_close(alike.mean(), torch.tensor(1.0))


def test_moved_crops_show_the_same_face_elsewhere() -> None:
    pictures = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    still = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).expand(2, -1, -1)
    torch.testing.assert_close(face_crop(pictures, SPAN, moves=still), face_crop(pictures, SPAN))
    step = still.clone()
    step[:, 0, 2] = 2.0 / 64  # one pixel of the frame to the right
    moved, before = face_crop(pictures, SPAN, moves=step), face_crop(pictures.roll(-1, 3), SPAN)
    torch.testing.assert_close(moved[..., 8:-8, 8:-8], before[..., 8:-8, 8:-8], atol=1e-2, rtol=0)


def test_the_slopes_of_a_judge_have_the_gradient_of_the_librarys_prelu() -> None:
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    slopes, pull = torch.tensor([0.25, -0.5, 1.5]), torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    (Prelu.apply(mine, slopes.reshape(-1, 1, 1)) * pull).sum().backward()
    (torch.nn.functional.prelu(theirs, slopes) * pull).sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad)


def test_a_misfit_moves_what_turns_with_the_head_and_nothing_else() -> None:
    random = np.random.default_rng(3)
    source, still = random.normal(size=(50, 3)) * 6.0, np.repeat([0.0, 0.5, 1.0], [20, 10, 20])
    corners = np.arange(3).reshape(1, 3)
    head = Head(source.copy(), source, still, np.tile(np.arange(50)[:, None], 3), np.tile([1.0, 0.0, 0.0], (50, 1)), corners, corners)
    assert pairs.misfitted(head, np.random.default_rng(4), 0.0) is head
    moved = pairs.misfitted(head, np.random.default_rng(4))
    assert np.array_equal(moved.source, pairs.misfitted(head, np.random.default_rng(4)).source) and np.array_equal(head.source, source)
    assert np.array_equal(moved.source[:, 2], source[:, 2]) and np.array_equal(moved.source[still == 1.0], source[still == 1.0])
    assert np.array_equal(moved.shape, head.shape)
    turning = still == 0.0
    matrix = estimate_similarity(source[turning, :2], moved.source[turning, :2])
    np.testing.assert_allclose(apply(matrix, source[turning, :2]), moved.source[turning, :2], atol=1e-9)
    far = np.array([np.abs(pairs.misfitted(head, np.random.default_rng(k)).source - source).max() for k in range(100)])
    assert 0.2 < np.median(far) < 1.5 and far.max() < 6.0, "about half a centimetre"


@pytest.mark.weights
def test_pairs_are_what_they_say(shards: Path) -> None:
    data = pairs.read_shards(shards)
    assert set(np.unique(data["kind"])) == {pairs.LATENT_SOURCE, pairs.RENDERED_SOURCE}
    latent = data["kind"] == pairs.LATENT_SOURCE
    assert (data["similarity"][latent] >= pairs.Bands().genuine).all() and (data["similarity"][~latent] == 1.0).all()
    front = np.abs(data["target"][:, 0]) < 15
    assert np.abs(np.abs(data["pose"][latent & front, 0]) - 39).max() < 12
    # The other way round, from the front to the angled picture's own pose, and only where the person is surely the same.
    away = latent & ~front
    assert away.any() and np.abs(data["pose"][away]).max() < 15 and np.abs(np.abs(data["target"][away, 0]) - 39).max() < 12
    assert (data["similarity"][away] >= pairs.Bands().alike).all()
    rendered = np.abs(data["pose"][~latent, 0])
    assert rendered.min() < 50 < rendered.max() and front[~latent].all()
    # The frame puts the wanted face where the training crop expects it: the judge knows the person in it.
    judge = load_judge(cards.find("backbone", "w600k_mbf"))
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
@pytest.mark.parametrize(
    ("training_of", "settings"),
    [
        (rnr, replace(rnr.TINY, width=4, levels=2, batch=2, steps=4, adversarial=0.02, adversarial_from=1)),
        (scaleway, replace(scaleway.TINY, batch=2, steps=4)),
    ],
    ids=["rnr", "scaleway"],
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


def test_a_full_checkpoint_stays_below_16_mb(tmp_path: Path) -> None:
    trainer = rnr.Trainer(replace(rnr.FULL, batch=1, adversarial_from=0), [])
    blank = {name: np.zeros((1, 32, 32, 3), np.uint8) for name in ("photograph", "turned", "wanted")}
    angles = {name: np.zeros((1, 2), np.float32) for name in ("pose", "target")}
    one = {"seen": np.zeros((1, 32, 32), np.uint8), "kind": np.zeros(1), "person": np.ones(1), "similarity": np.ones(1)}
    trainer.run({**blank, **angles, **one}, 1)
    trainer.save(tmp_path)
    assert 1_000_000 < (tmp_path / CHECKPOINT).stat().st_size < 16_000_000


@pytest.mark.weights
def test_some_seconds_of_training_beat_the_copy_on_people_never_seen(shards: Path) -> None:
    training, held_out = split(pairs.read_shards(shards))
    assert not set(training["person"]) & set(held_out["person"])
    trainer = rnr.Trainer(replace(rnr.TINY, steps=300, batch=6, warmup=10, features=0.0, identity=0.0), [])
    trainer.run(training, 300)
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
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            seen.append(pictures)
            return pictures

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

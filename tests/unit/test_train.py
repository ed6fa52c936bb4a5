"""Training on people who do not exist: the judge's gradient, pairs, resuming, and that a few seconds of training already beat the mesh."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from safetensors.torch import load_file, save_file  # noqa: E402

from frontalbench import images  # noqa: E402
from frontalbench.detect.select import Face  # noqa: E402
from frontalbench.errors import BadInput  # noqa: E402
from frontalbench.frontalize.head import Head  # noqa: E402
from frontalbench.frontalize.refiner_inputs import SPAN  # noqa: E402
from frontalbench.geometry.similarity import apply, estimate_similarity  # noqa: E402
from frontalbench.networks.recognizer import Prelu  # noqa: E402
from frontalbench.networks.refiner import Refiner  # noqa: E402
from frontalbench.synth import pairs, people  # noqa: E402
from frontalbench.train import refiner  # noqa: E402
from frontalbench.train.trainer import CHECKPOINT, face_crop  # noqa: E402

torch.set_num_threads(1)  # small images: a second thread only waits


def test_an_untrained_network_gives_the_mesh_back() -> None:
    planes = torch.rand(2, 11, 32, 32) * 2 - 1
    assert torch.equal(Refiner(8, 3)(planes), planes[:, 3:6])


@pytest.mark.parametrize("fold", [2, 4])
def test_a_folded_network_is_made_of_the_same_blocks_and_begins_with_the_mesh_too(fold: int) -> None:
    plain, folded = Refiner(8, 2), Refiner(8, 2, fold)
    planes = torch.rand(1, 11, 32, 64) * 2 - 1
    assert torch.equal(folded(planes), planes[:, 3:6])
    mine, theirs = plain.state_dict(), folded.state_dict()
    assert {name for name in mine if mine[name].shape != theirs[name].shape} == {"entry.weight", "exit.weight", "exit.bias"}


@pytest.mark.parametrize("fold", [2, 4])
def test_no_grid_is_left_where_the_places_of_a_square_differ(fold: int) -> None:
    folded, planes = Refiner(8, 2, fold), torch.zeros(1, 11, 64, 64)
    with torch.no_grad():
        folded.exit.bias.copy_(torch.randn(folded.exit.bias.shape, generator=torch.Generator().manual_seed(fold)))
        drawn = folded(planes)
    inner = drawn[..., 8:-8, 8:-8]
    assert float(inner.abs().mean()) > 0.01, "something is drawn"
    assert float((inner.amax((2, 3)) - inner.amin((2, 3))).max()) < 1e-5, "and it is the same at every pixel"


def test_a_run_begins_with_the_weights_of_another_size(tmp_path: Path) -> None:
    settings = replace(refiner.TINY, width=4, levels=2)
    small = refiner.Trainer(settings, [])
    small.save(tmp_path)
    large = refiner.Trainer(replace(settings, fold=2, seed=1), [])
    assert large.begin_with(tmp_path / refiner.WEIGHTS) == ["entry.weight", "exit.bias", "exit.weight"]
    assert torch.equal(large.network.state_dict()["down.0.first.weight"], small.network.state_dict()["down.0.first.weight"])
    torch.save({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(BadInput, match="no tensor fits"):
        large.begin_with(tmp_path / "other.safetensors")
    with pytest.raises(BadInput, match="no tensor fits"):
        refiner.Trainer(replace(settings, width=8, fold=2), []).begin_with(_without_norms(tmp_path / refiner.WEIGHTS))


def _without_norms(path: Path) -> Path:
    """Only the tensors whose shapes say the width."""
    other = path.with_name("convolutions.safetensors")
    save_file({name: value for name, value in load_file(path).items() if value.dim() == 4}, other)
    return other


def test_the_loss_of_identity_gains_nothing_from_drawing_everybody_alike() -> None:
    wanted = torch.nn.functional.normalize(torch.randn(8, 16, generator=torch.Generator().manual_seed(0)))
    mean = torch.nn.functional.normalize(wanted.mean(0, keepdim=True)).expand(8, -1)
    perfect, alike = refiner.identity_loss(wanted, wanted), refiner.identity_loss(mean, wanted)
    others = ((wanted @ wanted.T).sum(1) - 1.0) / 7
    torch.testing.assert_close(perfect, others)  # 1 - (1 - others)
    # The mean face resembles everybody, itself no more than the others: nothing is gained, while similarity alone would go up.
    assert float((mean * wanted).sum(1).mean()) > 0.2
    torch.testing.assert_close(alike.mean(), torch.tensor(1.0))


def test_moved_crops_show_the_same_face_elsewhere() -> None:
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    still = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).expand(2, -1, -1)
    torch.testing.assert_close(face_crop(images, SPAN, moves=still), face_crop(images, SPAN))
    step = still.clone()
    step[:, 0, 2] = 2.0 / 64  # one pixel of the frame to the right
    moved, before = face_crop(images, SPAN, moves=step), face_crop(images.roll(-1, 3), SPAN)
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


class Looked:
    """Instruments that find a face in the middle of every image, but none in an all-black one."""

    def measure(self, image: images.RGB) -> people.Measured | None:
        side = float(image.shape[0])
        face = Face(np.array([0.2, 0.2, 0.8, 0.8], np.float32) * side, 0.9, np.full((5, 2), side / 2, np.float32), 1)
        return people.Measured(face, (1.0, 2.0, 3.0), ()) if image.any() else None


def test_an_image_set_gives_each_persons_shots(tmp_path: Path) -> None:
    lines = ["image,identity,role,yaw,pitch,roll,nominal_step"]
    for person, dark in (("b_person", ""), ("a_person", "front"), ("c_person", "-39")):
        for step in ("front", "b", "-39"):
            name = f"{person}_{step}.jpg"
            (tmp_path / name).write_bytes(images.encode_jpeg(np.full((16, 16, 3), 0 if step == dark else 90, np.uint8), quality=90))
            lines.append(f"{name},{person},{'probe' if step == '-39' else 'reference'},0,0,0,{'0' if step == 'front' else step}")
    (tmp_path / "index.csv").write_text("\n".join(lines) + "\n")
    found = [
        (number, sorted(shot.name for shot in shots)) for number, shots in pairs.shots_of_set(tmp_path, cast(people.Instruments, Looked()))
    ]
    assert found == [(1, ["-39", "front", "front2"]), (2, ["front", "front2"])], "a_person has no frontal image with a face"


def test_a_full_checkpoint_stays_below_16_mb(tmp_path: Path) -> None:
    trainer = refiner.Trainer(replace(refiner.FULL, batch=1, adversarial_from=0), [])
    blank = {name: np.zeros((1, 32, 32, 3), np.uint8) for name in ("photograph", "turned", "wanted")}
    angles = {name: np.zeros((1, 2), np.float32) for name in ("pose", "target")}
    one = {"seen": np.zeros((1, 32, 32), np.uint8), "kind": np.zeros(1), "person": np.ones(1), "similarity": np.ones(1)}
    trainer.run({**blank, **angles, **one}, 1)
    trainer.save(tmp_path)
    assert 1_000_000 < (tmp_path / CHECKPOINT).stat().st_size < 16_000_000

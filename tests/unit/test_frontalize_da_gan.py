"""DA-GAN with a checkpoint of one's own, and TP-GAN, of which there is none: what their cards say, and what is refused."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.catalogue.cards import FileSource, ModelCard, WeightFile  # noqa: E402
from frontalbench.detect.select import Face  # noqa: E402
from frontalbench.errors import BadInput, WeightsMissing  # noqa: E402
from frontalbench.frontalize import framing, load_frontalizer  # noqa: E402
from frontalbench.frontalize.base import View  # noqa: E402
from frontalbench.frontalize.batches import Batched  # noqa: E402
from frontalbench.frontalize.da_gan import DaGanFamily  # noqa: E402
from frontalbench.frontalize.unpublished import Unpublished  # noqa: E402
from frontalbench.geometry.similarity import apply  # noqa: E402
from frontalbench.landmarks.base import Landmarks  # noqa: E402
from frontalbench.networks.da_gan import Generator  # noqa: E402
from frontalbench.weights import store  # noqa: E402
from tests.golden import fills  # noqa: E402


def card_of(path: Path) -> ModelCard:
    """The shipped card with the hash of this file written into it."""
    data = path.read_bytes()
    weight = WeightFile("model", path.name, len(data), hashlib.sha256(data).hexdigest(), (FileSource(path),))
    return dataclasses.replace(cards.find("frontalizer", "da_gan"), weights=MappingProxyType({"model": weight}))


@pytest.fixture(scope="module")
def generator() -> Generator:
    """Filling fails where a name or a shape is another than in the official list, in either direction."""
    return fills.filled(Generator, "DA-GAN", "B")


@pytest.mark.slow
def test_the_generator_draws_three_sizes_and_every_part_of_it_has_a_say(generator: Generator) -> None:
    images = [fills.drawn(f"da_gan/{side}", (1, 3, side, side), 0, 1).requires_grad_() for side in (128, 64, 32)]
    noise = fills.drawn("da_gan/noise", (1, 64), -1, 1).requires_grad_()
    drawn = generator.requires_grad_(False)(images, noise)
    assert [tuple(one.shape[1:]) for one in drawn] == [(3, side, side) for side in (128, 64, 32)]
    assert all(bool(torch.isfinite(one).all()) for one in drawn)
    for slope in torch.autograd.grad(drawn[0].square().mean(), [*images, noise]):
        assert slope.abs().max() > 0 and bool(torch.isfinite(slope).all())


def test_attention_without_weight_leaves_maps_as_they_are_and_with_it_every_place_sees_all(generator: Generator) -> None:
    attention = generator.decoder.attn2
    x = fills.drawn("da_gan/map", (2, 217, 4, 4), -1, 1)
    with torch.inference_mode():
        gamma = attention.gamma.clone()
        attention.gamma.zero_()
        assert torch.equal(attention(x), x)
        attention.gamma.fill_(1.0)
        moved = x.clone()
        moved[:, :, 0, 0] += 1.0
        assert bool(((attention(moved) - attention(x)).abs().amax(dim=1) > 0).all())
        attention.gamma.copy_(gamma)


def test_eyes_and_mouth_lie_where_tp_gan_has_them() -> None:
    five = np.array([[200.0, 150.0], [260.0, 170.0], [222.0, 190.0], [195.0, 220.0], [235.0, 232.0]])
    matrix = framing.eyes_to_mouth(Landmarks(five, "five"), 128)
    eyes, mouth = apply(matrix, five[:2]).mean(axis=0), apply(matrix, five[3:]).mean(axis=0)
    assert eyes.tolist() == pytest.approx([63.5, 40.0], abs=1e-6) and mouth[1] == pytest.approx(88.0, abs=1e-6)


class Mixed(torch.nn.Module):
    """Stands for the generator: a bit of each size of the image, and of the noise."""

    def forward(self, images: Any, noise: Any) -> Any:
        assert [tuple(one.shape[2:]) for one in images] == [(128, 128), (64, 64), (32, 32)]
        enlarged = [torch.nn.functional.interpolate(one, (128, 128)) for one in images]
        return (sum(enlarged) / 3.0 + 0.1 * noise.mean(dim=1)[:, None, None, None],)


def test_a_face_becomes_a_square_and_batches_are_as_images_alone() -> None:
    five = np.array([[60.0, 60.0], [100.0, 60.0], [80.0, 80.0], [65.0, 105.0], [95.0, 105.0]])
    family = DaGanFamily(lambda _: Landmarks(five, "five"), Mixed(), seed=0, device=torch.device("cpu"))  # type: ignore[arg-type]
    model = Batched("da_gan", family, takes_target_pose=False, batch=2)
    image = np.random.default_rng(0).integers(0, 256, (160, 160, 3)).astype(np.uint8)
    face = Face(np.array([40, 40, 120, 130], np.float32), 0.9, five.astype(np.float32), 1)
    views = [View(image, face), View(image[::-1].copy(), face), View(image, None)]
    both = model.frontalize(views)
    assert [one.status for one in both] == ["ok", "ok", "no_face"]
    for one, each in zip(both[:2], views[:2], strict=True):
        alone = model.frontalize([each])[0]
        assert one.image is not None and alone.image is not None and one.image.shape == (128, 128, 3)
        assert np.abs(one.image.astype(int) - alone.image).max() <= 1
    with pytest.raises(ValueError, match="does not take a target pose"):
        model.frontalize(views, (10.0, 0.0, 0.0))


@pytest.mark.parametrize("damage", ["other", "cut", "code"])
def test_any_other_file_is_refused_in_one_line_and_not_run(damage: str, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "da_gan_generator.pth"
    one, none = torch.tensor(0.01), torch.tensor(0)
    torch.save({key: (one if entry.floats else none).expand(entry.shape) for key, entry in fills.state_keys("DA-GAN").items()}, path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        torch.save({"conv.weight": torch.zeros(1)} if damage == "other" else Harm(), path)
    with pytest.raises(BadInput) as caught:
        load_frontalizer(card_of(path))
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["da_gan", "tp_gan"])
def test_a_card_without_published_weights_says_so_wherever_it_is_asked_for(name: str) -> None:
    card = cards.find("frontalizer", name)
    assert card.data["verified"]["level"] == "none" and store.status(card).state == store.ABSENT
    with pytest.raises(WeightsMissing, match="no generator was ever published") as caught:
        load_frontalizer(card)
    assert "\n" not in str(caught.value)
    assert "no generator was ever published" in store.how_to_provide(store.requirements([card])[-1])


def test_what_stands_for_an_unpublished_system_draws_nothing() -> None:
    with pytest.raises(BadInput, match="cannot be run"):
        Unpublished("tp_gan").frontalize([])

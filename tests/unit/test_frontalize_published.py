"""FFWM, GAN inversion and scaleway's published weight by card: official files load, others are refused in one line, crops are those of the papers."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench import images, status  # noqa: E402
from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.catalogue.cards import FileSource, ModelCard, WeightFile  # noqa: E402
from frontalbench.detect import choose, load_detector  # noqa: E402
from frontalbench.errors import BadConfig, BadInput, WeightsMissing  # noqa: E402
from frontalbench.frontalize import load_frontalizer  # noqa: E402
from frontalbench.frontalize.base import FRONTAL, Frontalizer, Outcome, SelfTested, View  # noqa: E402
from frontalbench.frontalize.scaleway_published import git_blob  # noqa: E402
from frontalbench.frontalize.selftest import frontal_checks, landmark_pose  # noqa: E402
from frontalbench.geometry.similarity import apply  # noqa: E402
from frontalbench.networks.scaleway import Scaleway  # noqa: E402
from tests.golden import fills  # noqa: E402

Weight = Callable[..., Path]
PHOTOGRAPH = Path(__file__).resolve().parents[2] / "demo" / "synthetic" / "synth_01" / "Angle" / "synth_01_l39.jpg"
GAN = "gan_inversion_frontalizer"
SIDES = {"ffwm": 128, "gan_inversion": 256, "scaleway": 128}


def constant(listed: str, prefix: str = "") -> dict[str, Any]:
    """A state dict of one number: tensors of the right shapes in a file of a few kilobytes."""
    one, none = torch.tensor(0.01), torch.tensor(0)
    return {f"{prefix}{key}": (one if entry.floats else none).expand(entry.shape) for key, entry in fills.state_keys(listed).items()}


def files(name: str, folder: Path) -> dict[str, Path]:
    """Files as published, with numbers that mean nothing."""
    if name == "ffwm":
        paths = {"flow": folder / "latest_net_flowNetF.pth", "generator": folder / "latest_net_netG.pth"}
        torch.save(constant("FFWM_flowNetF"), paths["flow"])
        torch.save(constant("FFWM_netG"), paths["generator"])
        return paths
    if name == "gan_inversion":
        parts = {**constant(f"{GAN}_encoder", "encoder_firststage."), **constant(f"{GAN}_decoder", "decoder.")}
        whole = {"state_dict": parts, "latent_avg": torch.zeros(18, 512), "opts": {"input_nc": 3, "label_nc": 0, "learn_in_w": False}}
        torch.save(whole, folder / "single.pt")
        return {"model": folder / "single.pt"}
    module = types.ModuleType("network")
    module.G = type("G", (Scaleway,), {"__module__": "network"})  # type: ignore[attr-defined]
    sys.modules["network"] = module
    try:
        torch.manual_seed(0)
        torch.save(module.G(), folder / "generator_v0.pt", _use_new_zipfile_serialization=False)
    finally:
        del sys.modules["network"]
    return {"model": folder / "generator_v0.pt"}


class Again:
    """A frontalizer that gives the outcome it gave before: the larger networks take seconds."""

    needs_face, takes_target_pose = True, False

    def __init__(self, model: Frontalizer, outcome: Outcome) -> None:
        self.name, self._outcome = model.name, outcome

    def frontalize(self, views: Sequence[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        return [self._outcome] * len(views)


def card_of(name: str, paths: Mapping[str, Path]) -> ModelCard:
    """The shipped card with the hashes of these files written into it."""

    def pinned(key: str, path: Path) -> WeightFile:
        data = path.read_bytes()
        return WeightFile(key, path.name, len(data), hashlib.sha256(data).hexdigest(), (FileSource(path),))

    card = cards.find("frontalizer", name)
    params = {**card.params, **({"git_blob": git_blob(paths["model"])} if name == "scaleway" else {})}
    weights = MappingProxyType({key: pinned(key, path) for key, path in paths.items()})
    return dataclasses.replace(card, weights=weights, params=MappingProxyType(params))


@pytest.fixture(scope="module")
def view(weight: Weight) -> View:
    for kind, name in (("detector", "scrfd_500m"), ("landmarks", "tddfa_mb1"), ("landmarks", "face_landmarker")):
        for key in cards.find(kind, name).weights:
            weight(kind, name, key)
    image = images.decode(PHOTOGRAPH.read_bytes())
    face = choose(load_detector(cards.find("detector", "scrfd_500m")).detect(image), (image.shape[1], image.shape[0]))
    assert face is not None
    return View(image, face)


@pytest.mark.weights
@pytest.mark.parametrize("name", SIDES)
def test_a_file_as_published_loads_and_draws_a_square_of_the_published_size(name: str, view: View, tmp_path: Path) -> None:
    model = load_frontalizer(card_of(name, files(name, tmp_path)))
    outcome, without = model.frontalize([view, View(view.image, None)])
    assert outcome.status == status.OK and outcome.image is not None, outcome.detail
    assert outcome.image.shape == (SIDES[name], SIDES[name], 3) and without.status == status.NO_FACE
    assert outcome.place is not None and view.face is not None
    eyes = apply(outcome.place.matrix, view.face.points[:2]).mean(axis=0) / SIDES[name]
    mouth = apply(outcome.place.matrix, view.face.points[3:]).mean(axis=0) / SIDES[name]
    wanted = {"ffwm": (0.5, 0.8), "gan_inversion": (0.47, 0.7), "scaleway": (0.2, 0.66)}[name]
    assert eyes[1] == pytest.approx(wanted[0], abs=0.06) and mouth[1] == pytest.approx(wanted[1], abs=0.08)
    with pytest.raises(ValueError, match="does not take a target pose"):
        model.frontalize([view], (10.0, 0.0, 0.0))
    assert isinstance(model, SelfTested)
    checks = frontal_checks(Again(model, outcome), [view], landmark_pose())
    assert not all(check.passed for check in checks), "numbers that mean nothing fail the self-test"


@pytest.mark.parametrize("name", SIDES)
@pytest.mark.parametrize("damage", ["other", "cut", "code"])
def test_any_other_file_is_refused_in_one_line_and_not_run(name: str, damage: str, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    paths = files(name, tmp_path)
    path = list(paths.values())[-1]
    if damage == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        old = {"_use_new_zipfile_serialization": False} if name == "scaleway" else {}
        torch.save({"conv.weight": torch.zeros(1)} if damage == "other" else Harm(), path, **old)
    with pytest.raises(BadInput) as caught:
        load_frontalizer(card_of(name, paths))
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", SIDES)
def test_without_a_hash_that_its_user_wrote_down_nothing_is_loaded(name: str) -> None:
    with pytest.raises(WeightsMissing, match=r"has no known sha256.*fetch_weights\.py --from"):
        load_frontalizer(cards.find("frontalizer", name))


def test_a_file_that_is_not_the_published_one_is_refused_by_its_git_id(tmp_path: Path) -> None:
    card = card_of("scaleway", files("scaleway", tmp_path))
    published = dataclasses.replace(card, params=cards.find("frontalizer", "scaleway").params)
    with pytest.raises(BadInput, match=r"its Git blob id is [0-9a-f]{12}, the published file's 89d30031e27e"):
        load_frontalizer(published)
    with pytest.raises(BadConfig, match="40 hexadecimal digits"):
        load_frontalizer(dataclasses.replace(card, params=MappingProxyType({"git_blob": "89d3"})))


def test_the_git_id_is_the_one_that_git_gives(tmp_path: Path) -> None:
    (tmp_path / "hello").write_bytes(b"hello world\n")
    assert git_blob(tmp_path / "hello") == "3b18e512dba79e4c8300dd08aeb37f8e728b8dad"


def test_a_size_that_the_generator_does_not_give_is_refused(tmp_path: Path) -> None:
    card = card_of("gan_inversion", files("gan_inversion", tmp_path))
    with pytest.raises(BadConfig, match=r"params\.size should be one of 256, 512, 1024, is 300"):
        load_frontalizer(dataclasses.replace(card, params=MappingProxyType({"size": 300})))


@pytest.mark.weights
def test_values_beyond_the_range_are_clipped_and_grey_128_is_the_middle() -> None:
    from frontalbench.frontalize.framing import Framed
    from frontalbench.frontalize.scaleway_published import ScalewayPublishedFamily

    seen: list[Any] = []

    class Keeps(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            seen.append(x)
            return x * 3.0

    family = ScalewayPublishedFamily(lambda _: pytest.fail("not asked"), Keeps(), torch.device("cpu"))  # type: ignore[arg-type]
    pixels = np.zeros((128, 128, 3), np.uint8)
    pixels[0, :4, 0] = (0, 128, 160, 255)
    framed = Framed(pixels, np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]))
    drawn = family.run([framed])
    assert seen[0][0, 0, 0, :4].tolist() == [-1.0, 0.0, 0.25, 127 / 128]
    picture, _ = family.finish(framed, drawn[0])
    assert picture[0, :4, 0].tolist() == [0, 128, 224, 255]

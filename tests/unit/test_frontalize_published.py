"""FFWM, GAN inversion and scaleway's published weight by card: files that are not the official ones are refused in one line."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.catalogue.cards import FileSource, ModelCard, WeightFile  # noqa: E402
from frontalbench.detect.select import Face  # noqa: E402
from frontalbench.errors import BadConfig, BadInput, WeightsMissing  # noqa: E402
from frontalbench.frontalize import load_frontalizer  # noqa: E402
from frontalbench.frontalize.scaleway_published import git_blob  # noqa: E402
from frontalbench.networks.scaleway import Scaleway  # noqa: E402
from tests.golden import fills  # noqa: E402

Weight = Callable[..., Path]
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


def card_of(name: str, paths: Mapping[str, Path]) -> ModelCard:
    """The shipped card with the hashes of these files written into it."""

    def pinned(key: str, path: Path) -> WeightFile:
        data = path.read_bytes()
        return WeightFile(key, path.name, len(data), hashlib.sha256(data).hexdigest(), (FileSource(path),))

    card = cards.find("frontalizer", name)
    params = {**card.params, **({"git_blob": git_blob(paths["model"])} if name == "scaleway" else {})}
    weights = MappingProxyType({key: pinned(key, path) for key, path in paths.items()})
    return dataclasses.replace(card, weights=weights, params=MappingProxyType(params))


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


def test_a_sequence_is_drawn_from_its_frames_averaged_styles_and_lies_in_the_one_nearest_to_the_front() -> None:
    from frontalbench.frontalize.base import FRONTAL, View
    from frontalbench.frontalize.framing import Framed
    from frontalbench.frontalize.gan_inversion import GanInversionFamily, GanInversionFrontalizer
    from frontalbench.frontalize.multiview import AppearanceFrontalizer, Group

    class Reads(torch.nn.Module):
        """Its style is the mean of the image; it draws an image of the style."""

        def __init__(self) -> None:
            super().__init__()
            self.batches: list[int] = []

        def styles(self, images: Any) -> Any:
            self.batches.append(len(images))
            return images.mean(dim=(1, 2, 3))[:, None, None].expand(-1, 18, 512)

        def draw(self, styles: Any) -> Any:
            return styles[:, :1, :1, None].expand(-1, 3, 1024, 1024)

    network = Reads()
    family = GanInversionFamily(lambda _: pytest.fail("not asked"), network, side=256, device=torch.device("cpu"))  # type: ignore[arg-type]
    family.prepare = lambda view, target: Framed(view.image, np.array([[1.0, 0.0, float(view.image[0, 0, 0])], [0.0, 1.0, 0.0]]))  # type: ignore[method-assign, assignment]
    single = GanInversionFrontalizer("gan_inversion", family, takes_target_pose=False, batch=1)
    greys, yaws = (0, 50, 100, 150, 200, 250), (60.0, 40.0, 5.0, -30.0, -50.0, -80.0)
    face = Face(np.zeros(4, np.float32), 1.0, np.zeros((5, 2), np.float32), 1)
    views = [View(np.full((256, 256, 3), grey, np.uint8), face) for grey in greys]
    turned = dict(zip(greys, yaws, strict=True))
    model = AppearanceFrontalizer(
        "multiview_gan_inversion", single, lambda view: (turned[int(view.image[0, 0, 0])], 0.0, 0.0), None, Group()
    )
    made = model.together(views, FRONTAL)
    assert [one.status for one in made] == ["ok"] * 6 and made[0].image is not None and network.batches == [4, 2]
    shares = np.cos(np.radians(yaws))
    assert made[0].image.mean() == pytest.approx((shares / shares.sum()) @ np.array(greys), abs=1.0)
    assert [one.place is not None for one in made] == [False, False, True, False, False, False]
    assert made[2].place is not None and made[2].place.matrix[0, 2] == 100.0
    few = AppearanceFrontalizer("m", single, lambda view: (turned[int(view.image[0, 0, 0])], 0.0, 0.0), None, Group(most=3))
    assert few.together(views)[0].detail.startswith("mixed of 3 of 6 photographs")


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
    image, _ = family.finish(framed, drawn[0])
    assert image[0, :4, 0].tolist() == [0, 128, 224, 255]

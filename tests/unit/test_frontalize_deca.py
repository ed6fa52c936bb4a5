"""DECA by card: its five files, each refused in one line where it is another, and the drawing of a head whose codes are given."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.catalogue.cards import FileSource, ModelCard, WeightFile  # noqa: E402
from frontalbench.detect.select import Face  # noqa: E402
from frontalbench.errors import BadConfig, BadInput, WeightsMissing  # noqa: E402
from frontalbench.frontalize import load_frontalizer  # noqa: E402
from frontalbench.frontalize.base import View  # noqa: E402
from frontalbench.frontalize.deca import DecaFamily, DecaFrontalizer, Surface, axis_angle, read_raised  # noqa: E402
from frontalbench.geometry.crop import warp  # noqa: E402
from frontalbench.geometry.rotation import FLIP_YZ, matrix_from_angles  # noqa: E402
from frontalbench.images import RGB  # noqa: E402
from frontalbench.landmarks.base import Landmarks  # noqa: E402
from frontalbench.morphable.texture import GREY  # noqa: E402
from frontalbench.types import Float  # noqa: E402
from tests.golden import faces, fills  # noqa: E402
from tests.unit.facekit import write_flame, write_obj  # noqa: E402
from tests.unit.weightkit import without_networks  # noqa: E402

CPU = torch.device("cpu")
SCALE = 206
"""Where the camera's scale stands among the codes."""


# Files ------------------------------------------------------------------------------------------------------------------------------------


def constant(listed: str) -> dict[str, Any]:
    """A state dict of one number: tensors of the right shapes in a file of a few kilobytes."""
    one, none = torch.tensor(0.001), torch.tensor(0)
    return {key: (one if entry.floats else none).expand(entry.shape) for key, entry in fills.state_keys(listed).items()}


def files(folder: Path, *, fine: bool = False) -> dict[str, Path]:
    """Files as their makers write them, with numbers that mean nothing but a head in the middle of the crop."""
    paths = {
        key: folder / weight.file for key, weight in cards.find("frontalizer", "deca_fine").weights.items() if fine or key != "displacement"
    }
    coarse = constant("DECA_E_flame")
    coarse["layers.2.weight"] = torch.zeros(1).expand(236, 1024)
    coarse["layers.2.bias"] = torch.zeros(236).index_fill_(0, torch.tensor([SCALE]), 8.0)
    torch.save({"E_flame": coarse, "E_detail": constant("DECA_E_detail"), "D_detail": constant("DECA_D_detail"), "opt": {}}, paths["model"])
    arrays = faces.flame_arrays()
    write_flame(paths["flame"], {**arrays, "shapedirs": arrays["shapedirs"].astype(np.float32)}, "python 3")
    write_obj(paths["template"], faces.flame_unrolled(), arrays["v_template"])
    cv2.imwrite(str(paths["mask"]), np.repeat(np.repeat(np.round(255 * faces.eye_mask()).astype(np.uint8), 2, axis=0), 2, axis=1))
    if fine:
        np.save(paths["displacement"], faces.fixed_displacement())
    return paths


def card_of(paths: Mapping[str, Path], name: str = "deca", **params: Any) -> ModelCard:
    """The shipped card with the hashes of these files written into it."""

    def pinned(key: str, path: Path) -> WeightFile:
        data = path.read_bytes()
        return WeightFile(key, path.name, len(data), hashlib.sha256(data).hexdigest(), (FileSource(path),))

    card = cards.find("frontalizer", name)
    weights = MappingProxyType({key: pinned(key, path) for key, path in paths.items()})
    return dataclasses.replace(card, weights=weights, params=MappingProxyType({**card.params, **params}))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return files(tmp_path_factory.mktemp("deca"), fine=True)


class _Harm:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


def damaged(path: Path, target: Path, damage: str) -> None:
    """``path`` copied to ``target`` with a fault."""
    if damage == "cut":
        target.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage == "code":
        torch.save(_Harm(target.parent / "ran"), target)
    elif damage == "other":
        torch.save({"conv.weight": torch.zeros(1)}, target)
    else:
        target.write_bytes(b"<html>404</html>")


DAMAGED = [("model", "other"), ("model", "code"), ("mask", "text"), ("displacement", "code")]
DAMAGED += [(key, "cut") for key in ("model", "flame", "template", "displacement")] + [("flame", "code"), ("template", "text")]


@pytest.mark.slow
@pytest.mark.parametrize(("key", "damage"), DAMAGED)
def test_any_other_file_is_refused_in_one_line_and_not_run(
    key: str, damage: str, whole: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / whole[key].name
    damaged(whole[key], path, damage)
    if key != "model":
        without_networks(monkeypatch)
    with pytest.raises(BadInput) as caught:
        load_frontalizer(card_of({**whole, key: path}, "deca_fine"))
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_a_mesh_of_another_head_is_refused(whole: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "head_template.obj").write_text("v 0 0 0\nvt 0 0\nf 1/1 1/1 1/1\n")
    with pytest.raises(BadInput, match=r"head_template\.obj: its mesh is not that of generic_model\.pkl"):
        load_frontalizer(card_of({**whole, "template": tmp_path / "head_template.obj"}, "deca_fine"))


def test_the_fixed_displacement_must_be_a_square_of_finite_numbers(tmp_path: Path) -> None:
    for values in (np.zeros((4, 4)), np.full((256, 256), np.inf), np.zeros((256, 256), int), np.array([{}])):
        np.save(tmp_path / "d.npy", values)
        with pytest.raises(BadInput, match=r"d\.npy: "):
            read_raised(tmp_path / "d.npy")


@pytest.mark.parametrize(
    ("params", "said"),
    [({"surface": "rough"}, "surface"), ({"hidden": "guess"}, "hidden"), ({"surface": "fine"}, "weights should be displacement")],
)
def test_params_that_make_no_sense_are_named(params: dict[str, Any], said: str, whole: dict[str, Path]) -> None:
    coarse = {key: path for key, path in whole.items() if key != "displacement"}
    with pytest.raises(BadConfig, match=said):
        load_frontalizer(card_of(coarse, **params))


@pytest.mark.parametrize("name", ["deca", "deca_fine"])
def test_without_files_of_one_s_own_the_line_says_where_they_are_and_what_to_accept(name: str) -> None:
    card = cards.find("frontalizer", name)
    assert all(weight.terms for weight in card.weights.values())
    with pytest.raises(WeightsMissing, match=r"has no known sha256.*licence.*fetch_weights\.py --from"):
        load_frontalizer(card)


# Drawing ----------------------------------------------------------------------------------------------------------------------------------


class Given(torch.nn.Module):
    """Gives the same codes for every image."""

    def __init__(self, codes: Any) -> None:
        super().__init__()
        self.codes = codes

    def forward(self, images: Any) -> Any:
        return self.codes[None].expand(len(images), -1)


@pytest.fixture(scope="module")
def surface() -> Surface:
    mask = np.ones((256, 256), np.float32)
    return Surface(faces.flame(), faces.flame_unrolled(), mask, faces.fixed_displacement().astype(np.float32))


def codes(pose: tuple[float, float, float] = (0.0, 0.0, 0.0), scale: float = 8.0, shift: tuple[float, float] = (0.0, 0.0)) -> Any:
    """A head turned to ``pose``, as DECA would say it of a crop."""
    values = torch.zeros(236)
    values[200:203] = torch.tensor(axis_angle(FLIP_YZ @ matrix_from_angles(*pose) @ FLIP_YZ))
    values[SCALE : SCALE + 3] = torch.tensor([scale, *shift])
    return values


def model(surface: Surface, given: Any, *, mirrored: bool = True, fine: bool = False) -> DecaFrontalizer:
    def locate(_: View) -> Landmarks:
        return Landmarks(SQUARE, "ibug68")

    raised = (Given(torch.zeros(128)), Raised()) if fine else None
    return DecaFrontalizer(
        "deca", DecaFamily(locate, surface, Given(given), raised, mirrored=mirrored, device=CPU), takes_target_pose=True, batch=2
    )  # type: ignore[arg-type]


class Raised(torch.nn.Module):
    def forward(self, code: Any) -> Any:
        assert code.shape[1] == 181
        return torch.zeros(len(code), 1, 256, 256)


SQUARE: Float = np.random.default_rng(0).uniform([88.0, 88.0], [248.0, 248.0], (68, 2))
SQUARE[:2] = [(88.0, 88.0), (248.0, 248.0)]
"""68 points whose crop of 224 pixels is about as large as the photograph's middle."""


def photograph() -> RGB:
    y, x = np.mgrid[:336, :336].astype(np.float32)
    return np.stack([96 + 64 * np.sin(x / 24), 96 + 64 * np.cos(y / 20), 128 + 40 * np.sin((x + y) / 40)], axis=2).astype(np.uint8)


def view() -> View:
    return View(photograph(), Face(np.array([88, 88, 248, 248], np.float32), 0.9, np.full((5, 2), 168, np.float32), 1))


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize("pose", [(0.0, 0.0, 0.0), (30.0, 0.0, 0.0), (0.0, 15.0, 0.0), (-20.0, 5.0, 12.0)])
def test_a_head_drawn_in_the_pose_it_has_is_the_photograph(pose: tuple[float, float, float], fine: bool, surface: Surface) -> None:
    found = model(surface, codes(pose), mirrored=False, fine=fine).frontalize([view()], pose)[0]
    assert found.image is not None and found.place is not None, found.detail
    shown = warp(photograph(), found.place.matrix, 224).astype(int)
    middle = (slice(80, 144), slice(80, 144))
    assert np.abs(found.image.astype(int) - shown)[middle].mean() < (6.0 if fine else 3.0)


def test_a_head_turned_to_the_front_shows_what_was_at_its_side(surface: Surface) -> None:
    """The nose of a head turned to the left edge of the image lies left of its middle; from the front it stands in the middle."""
    found = model(surface, codes((30.0, 0.0, 0.0)), mirrored=False).frontalize([view()])[0]
    assert found.image is not None and found.place is not None
    crop = warp(photograph(), found.place.matrix, 224).astype(int)
    nose = 111.5 - 8.0 * 112 * 0.09 * np.sin(np.radians(30.0))
    there = cv2.getRectSubPix(crop.astype(np.float32), (3, 3), (float(nose), 111.5)).mean(axis=(0, 1))
    assert np.abs(found.image[110:113, 110:113].mean(axis=(0, 1)) - there).max() < 8.0


def test_the_hidden_side_comes_from_the_other_one(surface: Surface) -> None:
    turned = codes((50.0, 0.0, 0.0))
    kept, filled = (model(surface, turned, mirrored=mirrored).frontalize([view()])[0].image for mirrored in (False, True))
    assert kept is not None and filled is not None
    flip = filled[:, ::-1].astype(int)
    inner = (slice(60, 160), slice(70, 154))
    assert np.abs(filled.astype(int) - flip)[inner].mean() < 0.5 * np.abs(kept.astype(int) - kept[:, ::-1])[inner].mean()


def test_beyond_the_face_mask_is_one_grey_and_only_the_face_is_pasted_back(surface: Surface) -> None:
    narrow = Surface(surface.flame, faces.flame_unrolled(), faces.eye_mask().astype(np.float32))
    found = model(narrow, codes()).frontalize([view()])[0]
    assert found.image is not None and found.place is not None
    grey = round(255 * float(GREY))
    assert np.abs(found.image[:8].astype(int) - grey).max() <= 1 and np.abs(found.image[100:124, :8].astype(int) - grey).max() <= 1
    assert found.place.mask.max() > 0.9 and found.place.mask[:8].max() == 0.0
    outside = found.place.mask > 0.5
    assert not (np.abs(found.image[outside].astype(int) - grey).max(axis=1) <= 1).any(), "no grey goes into the photograph"


@pytest.mark.parametrize(
    "given", [codes(scale=-8.0), codes(scale=0.05), codes(scale=8.0, shift=(2.0, 0.0)), torch.zeros(236), torch.full((236,), 1e6)]
)
def test_a_head_that_lies_elsewhere_is_a_row_and_never_an_image(given: Any, surface: Surface) -> None:
    found = model(surface, given).frontalize([view(), View(photograph(), None)])
    assert [one.status for one in found] == ["model_error", "no_face"] and "does not lie where the face is" in found[0].detail


def test_images_of_a_batch_are_what_they_are_alone(surface: Surface) -> None:
    views: Sequence[View] = [view(), View(photograph()[:, ::-1].copy(), view().face), view()]
    whole_batch = model(surface, codes((20.0, 0.0, 0.0))).frontalize(views)
    for one, each in zip(whole_batch, views, strict=True):
        alone = model(surface, codes((20.0, 0.0, 0.0))).frontalize([each])[0]
        assert one.image is not None and alone.image is not None and np.array_equal(one.image, alone.image)

"""HRN by card: its four files, each refused in one line where it is another, and the drawing of a face whose coefficients are given."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from scipy.io import savemat  # noqa: E402

from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.catalogue.cards import FileSource, ModelCard, WeightFile  # noqa: E402
from frontalbench.detect.select import Face  # noqa: E402
from frontalbench.errors import BadConfig, BadInput, WeightsMissing  # noqa: E402
from frontalbench.frontalize import hrn, load_frontalizer  # noqa: E402
from frontalbench.frontalize.base import View  # noqa: E402
from frontalbench.geometry.crop import warp  # noqa: E402
from frontalbench.geometry.rotation import matrix_from_angles  # noqa: E402
from frontalbench.images import RGB  # noqa: E402
from frontalbench.landmarks.base import Landmarks  # noqa: E402
from frontalbench.morphable import basel as model  # noqa: E402
from frontalbench.morphable.texture import GREY  # noqa: E402
from frontalbench.morphable.uv import Unrolled  # noqa: E402
from frontalbench.types import Float  # noqa: E402
from tests.golden import fills  # noqa: E402
from tests.unit.facekit import small_basel, write_basel  # noqa: E402
from tests.unit.weightkit import without_networks  # noqa: E402

CPU = torch.device("cpu")
STANDARD: Float = np.array([[-0.31, 0.29, 0.13], [0.31, 0.29, 0.13], [0.0, 0.0, 0.40], [-0.26, -0.32, 0.17], [0.26, -0.32, 0.17]])
"""Five points of a face in decimetres, about where a face has them."""


# Files ------------------------------------------------------------------------------------------------------------------------------------


def constant(listed: str) -> dict[str, Any]:
    """A state dict of one number: tensors of the right shapes in a file of a few kilobytes."""
    one, none = torch.tensor(0.001), torch.tensor(0)
    return {key: (one if entry.floats else none).expand(entry.shape) for key, entry in fills.state_keys(listed).items()}


def files(folder: Path) -> dict[str, Path]:
    """Files as their makers write them, with numbers that mean nothing but a face that looks ahead in the middle of the crop."""
    paths = {key: folder / weight.file for key, weight in cards.find("frontalizer", "hrn").weights.items()}
    coarse = constant("HRN_net_recon")
    for number, width in enumerate((80, 64, 80, 3, 27, 2, 1)):
        coarse[f"final_layers.{number}.weight"] = torch.zeros(1).expand(width, 2048, 1, 1)
        coarse[f"final_layers.{number}.bias"] = torch.zeros(1).expand(width)
    whole = {"net_recon": coarse, "mid_net": constant("HRN_mid_net"), "high_net": constant("HRN_high_net")}
    torch.save({**whole, "alpha": torch.tensor([0.01]), "beta": torch.tensor([0.01]), "sched_00": {"last_epoch": 10}}, paths["model"])
    arrays = small_basel()
    write_basel(paths["basel"], arrays)
    np.save(paths["places"], arrays["places"])
    points = np.zeros((68, 3))
    for part, place in zip(((36, 39), (42, 45), (30,), (48,), (54,)), STANDARD, strict=True):
        points[list(part)] = place
    savemat(paths["standard"], {"lm": points})
    return paths


def card_of(paths: Mapping[str, Path], name: str = "hrn", **params: Any) -> ModelCard:
    """The shipped card with the hashes of these files written into it."""

    def pinned(key: str, path: Path) -> WeightFile:
        data = path.read_bytes()
        return WeightFile(key, path.name, len(data), hashlib.sha256(data).hexdigest(), (FileSource(path),))

    card = cards.find("frontalizer", name)
    weights = MappingProxyType({key: pinned(key, path) for key, path in paths.items()})
    return dataclasses.replace(card, weights=weights, params=MappingProxyType({**card.params, **params}))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return files(tmp_path_factory.mktemp("hrn"))


class _Harm:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.folder),)


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["cut", "code", "text"])
@pytest.mark.parametrize("key", ["model", "basel", "standard", "places"])
def test_any_other_file_is_refused_in_one_line_and_not_run(
    key: str, damage: str, whole: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / whole[key].name
    if damage == "cut":
        path.write_bytes(whole[key].read_bytes()[: whole[key].stat().st_size // 2])
    elif damage == "code":
        torch.save(_Harm(tmp_path / "ran"), path)
    else:
        path.write_text("<html>404</html>")
    if key != "model":
        without_networks(monkeypatch)
    with pytest.raises(BadInput) as caught:
        load_frontalizer(card_of({**whole, key: path}, stage="high" if key == "model" else "coarse"))
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"alpha": None}, "'alpha'"),
        ({"alpha": torch.tensor([float("nan")])}, "'alpha' should be one finite number"),
        ({"beta": torch.zeros(2)}, "'beta' should be one finite number"),
        ({"high_net": None}, "'high_net'"),
        ({"net_recon": {"conv.weight": torch.zeros(1)}}, "keys missing"),
    ],
)
def test_a_checkpoint_without_a_part_or_its_number_is_refused(
    change: dict[str, Any], said: str, whole: dict[str, Path], tmp_path: Path
) -> None:
    content = torch.load(whole["model"], weights_only=True) | change
    path = tmp_path / whole["model"].name
    torch.save({key: value for key, value in content.items() if value is not None}, path)
    with pytest.raises(BadInput) as caught:
        load_frontalizer(card_of({**whole, "model": path}))
    assert said in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("idBase", np.zeros((3, 80)), "'idBase' should be"),
        ("point_buf", np.full((1681, 8), 10**6), "'point_buf' names what is not there"),
        ("tri", np.zeros((4, 3), int), "'tri' names what is not there"),
        ("meanshape", np.full((1, 5043), np.nan), "'meanshape' should be a table of finite numbers"),
    ],
)
def test_a_face_model_whose_tables_do_not_fit_is_refused(key: str, value: Any, said: str, tmp_path: Path) -> None:
    path = write_basel(tmp_path / "BFM_model_front.mat", {**small_basel(), key: value})
    with pytest.raises(BadInput) as caught:
        model.read(path)
    assert str(caught.value).startswith(f"{path}: ") and said in str(caught.value)


def test_the_face_model_is_what_was_written(tmp_path: Path) -> None:
    arrays = small_basel()
    arrays["idBase"] = np.random.default_rng(0).normal(size=arrays["idBase"].shape).astype(np.float32)
    basel = model.read(write_basel(tmp_path / "BFM_model_front.mat", arrays))
    mean = arrays["meanshape"].reshape(-1, 3)
    np.testing.assert_allclose(basel.mean, mean - mean.mean(axis=0))
    one = np.eye(80)[3]
    np.testing.assert_allclose((basel.shape(one, np.zeros(64)) - basel.mean).ravel(), arrays["idBase"][:, 3], atol=1e-6)
    assert basel.skin(np.zeros(80))[0].tolist() == pytest.approx([200 / 255, 150 / 255, 120 / 255], abs=1e-6)
    nose = int(np.argmax(basel.mean[:, 2]))
    assert basel.normals(basel.mean)[nose, 2] > 0.9, "normals look out of the face"


@pytest.mark.parametrize(("params", "said"), [({"stage": "fine"}, "stage"), ({"hidden": "guess"}, "hidden")])
def test_params_that_make_no_sense_are_named(params: dict[str, Any], said: str, whole: dict[str, Path]) -> None:
    with pytest.raises(BadConfig, match=said):
        load_frontalizer(card_of(whole, **params))


@pytest.mark.parametrize("name", ["hrn", "hrn_mirror"])
def test_without_files_of_one_s_own_the_line_says_where_they_are_and_what_to_accept(name: str) -> None:
    card = cards.find("frontalizer", name)
    assert all(weight.terms for weight in card.weights.values())
    with pytest.raises(WeightsMissing, match=r"has no known sha256.*fetch_weights\.py --from"):
        load_frontalizer(card)


# Drawing ----------------------------------------------------------------------------------------------------------------------------------


class Given(torch.nn.Module):
    """Gives the same coefficients for every image."""

    def __init__(self, coefficients: Any) -> None:
        super().__init__()
        self.coefficients = coefficients

    def forward(self, images: Any) -> Any:
        return self.coefficients[None].expand(len(images), -1)


class Everywhere(torch.nn.Module):
    """Gives ``value`` in every channel and place, and keeps what it saw."""

    def __init__(self, value: float, outputs: int) -> None:
        super().__init__()
        self.value, self.outputs = value, outputs

    def forward(self, maps: Any) -> Any:
        self.saw = maps
        return torch.full((len(maps), self.outputs, *maps.shape[2:]), self.value)


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> hrn.Surface:
    arrays = small_basel()
    basel = model.read(write_basel(tmp_path_factory.mktemp("basel") / "BFM_model_front.mat", arrays))
    return hrn.Surface(basel, Unrolled(arrays["places"].astype(np.float64), basel.triangles, basel.triangles))


def coefficients(pose: tuple[float, float, float] = (0.0, 0.0, 0.0), shift: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Any:
    """A face turned to ``pose``, as HRN would say it of a crop."""
    turn = model.pose_matrix(matrix_from_angles(*pose))
    y = np.arcsin(-turn[2, 0])
    angles = (np.arctan2(turn[2, 1], turn[2, 2]), y, np.arctan2(turn[1, 0], turn[0, 0]))
    np.testing.assert_allclose(model.rotation(angles), turn, atol=1e-9)
    values = torch.zeros(257)
    values[224:227], values[254:] = torch.tensor(angles), torch.tensor(shift)
    return values


def points() -> Float:
    """68 points whose five aligned ones are those of the standard face, 1 dm = 100 pixels, its middle at (200, 200)."""
    placed = STANDARD[:, :2] * [100.0, -100.0] + 200.0
    found = np.tile(placed.mean(axis=0), (68, 1))
    for part, place in zip(((36, 39), (42, 45), (30,), (48,), (54,)), placed, strict=True):
        found[list(part)] = place
    return found


def photograph() -> RGB:
    y, x = np.mgrid[:400, :400].astype(np.float32)
    return np.stack([96 + 64 * np.sin(x / 24), 96 + 64 * np.cos(y / 20), 128 + 40 * np.sin((x + y) / 40)], axis=2).astype(np.uint8)


def view() -> View:
    return View(photograph(), Face(np.array([100, 100, 300, 300], np.float32), 0.9, np.full((5, 2), 200, np.float32), 1))


def made(
    surface: hrn.Surface, given: Any, *, hidden: str = "keep", refining: hrn.Refining | None = None, person: float = 1.0
) -> hrn.HrnFrontalizer:
    family = hrn.HrnFamily(
        lambda _: Landmarks(points(), "ibug68"),
        lambda image: np.full(image.shape[:2], person, np.float32),
        surface,
        STANDARD,
        Given(given),  # type: ignore[arg-type]
        refining,
        hidden=hidden,
        device=CPU,
    )
    return hrn.HrnFrontalizer("hrn", family, takes_target_pose=True, batch=2)


@pytest.mark.parametrize("pose", [(0.0, 0.0, 0.0), (25.0, 0.0, 0.0), (0.0, 12.0, 0.0), (-20.0, 5.0, 12.0)])
def test_a_face_drawn_in_the_pose_it_has_is_the_photograph(pose: tuple[float, float, float], surface: hrn.Surface) -> None:
    found = made(surface, coefficients(pose)).frontalize([view()], pose)[0]
    assert found.image is not None and found.place is not None, found.detail
    assert found.image.shape == (512, 512, 3)
    shown = warp(photograph(), found.place.matrix, 512).astype(int)
    middle = (slice(190, 322), slice(190, 322))
    assert np.abs(found.image.astype(int) - shown)[middle].mean() < 4.0


def test_beyond_the_face_is_one_grey_and_only_the_face_is_pasted_back(surface: hrn.Surface) -> None:
    found = made(surface, coefficients()).frontalize([view()])[0]
    assert found.image is not None and found.place is not None
    grey = round(255 * float(GREY))
    assert np.abs(found.image[:40, :40].astype(int) - grey).max() <= 1
    assert found.place.mask[:40, :40].max() == 0.0 and found.place.mask[256, 256] > 0.9


def test_the_hidden_side_comes_from_the_other_one_or_from_the_model(surface: hrn.Surface) -> None:
    kept, mirrored, modelled = (
        made(surface, coefficients((65.0, 0.0, 0.0)), hidden=hidden).frontalize([view()])[0].image for hidden in ("keep", "mirror", "model")
    )
    assert kept is not None and mirrored is not None and modelled is not None
    inner = (slice(180, 330), slice(120, 392))

    def uneven(image: RGB) -> float:
        return float(np.abs(image.astype(int) - image[:, ::-1])[inner].mean())

    assert uneven(mirrored) < 0.5 * uneven(kept)
    seen, hidden = (slice(200, 300), slice(340, 390)), (slice(200, 300), slice(125, 155))
    assert np.abs(modelled.astype(int) - kept)[seen].mean() < 3.0, "what is seen stays the photograph's"
    assert np.abs(modelled.astype(int) - kept)[hidden].mean() > 10.0


def test_what_is_no_person_is_not_taken_for_the_face(surface: hrn.Surface) -> None:
    model_alone, both = (
        made(surface, coefficients(), hidden="model", person=person).frontalize([view()])[0].image for person in (0.0, 1.0)
    )
    assert model_alone is not None and both is not None
    flat = model_alone[200:300, 220:292].reshape(-1, 3).astype(float)
    assert flat.std(axis=0).max() < 12.0, "skin of one colour"
    assert both[200:300, 220:292].reshape(-1, 3).astype(float).std(axis=0).max() > 15.0


def test_the_finer_networks_see_the_face_s_square_and_change_it(surface: hrn.Surface) -> None:
    mid, high = Everywhere(0.5, 3), Everywhere(1.0, 1)
    refining = hrn.Refining(mid, 2.0, high, 0.5)  # type: ignore[arg-type]
    family = made(surface, coefficients(), refining=refining).family
    item = family.prepare(view(), (0.0, 0.0, 0.0))
    with torch.inference_mode():
        drawn = family.run([item, item])
    assert drawn.shape == (2, 257 + 3 * 64 * 64 + 256 * 256)
    assert mid.saw.shape == (2, 6, 64, 64) and high.saw.shape == (2, 9, 256, 256)
    assert float(mid.saw[0, :3].abs().max()) == pytest.approx(1.0, abs=0.15), "positions in decimetres"
    moved, raised = drawn[0, 257 : 257 + 3 * 64 * 64], drawn[0, 257 + 3 * 64 * 64 :]
    assert float(moved.max()) == pytest.approx(0.1 * 2.0 * 0.5, rel=1e-3) and float(raised.max()) == pytest.approx(0.1 * 0.5, rel=1e-3)
    outcome = made(surface, coefficients(), hidden="model", refining=refining).frontalize([view()])[0]
    assert outcome.status == "ok", outcome.detail


def test_a_surface_that_is_not_raised_keeps_its_normals_and_a_ridge_turns_them_outwards(surface: hrn.Surface) -> None:
    basel = surface.basel
    normals = basel.normals(basel.mean)
    coarse = surface.map.over(normals)
    flat = surface.raised_normals(basel.mean, normals, np.zeros((256, 256), np.float32))
    np.testing.assert_allclose(flat, coarse, atol=1e-5)
    ridge = np.zeros((256, 256), np.float32)
    ridge[:, 118:138] = 0.02 * (1 - np.abs(np.linspace(-1, 1, 20)))
    turned = surface.raised_normals(basel.mean, normals, ridge) - flat
    assert turned[128, 122, 0] < -0.2 and turned[128, 133, 0] > 0.2, "left of the ridge skin looks to the left"
    assert np.abs(turned[128, 40:100]).max() < 1e-5


@pytest.mark.parametrize(
    "given",
    [
        coefficients(shift=(5.0, 0.0, 0.0)),
        coefficients(shift=(0.0, 0.0, 9.5)),
        coefficients(shift=(0.0, 0.0, 30.0)),
        torch.full((257,), 1e6),
    ],
)
def test_a_face_that_lies_elsewhere_is_a_row_and_never_an_image(given: Any, surface: hrn.Surface) -> None:
    refining = hrn.Refining(Everywhere(0.5, 3), 1.0, Everywhere(0.5, 1), 1.0)  # type: ignore[arg-type]
    for model_of in (None, refining):
        found = made(surface, given, refining=model_of).frontalize([view(), View(photograph(), None)])
        assert [one.status for one in found] == ["model_error", "no_face"] and "does not lie where the face is" in found[0].detail


@pytest.mark.slow
def test_images_of_a_batch_are_what_they_are_alone(surface: hrn.Surface) -> None:
    views: Sequence[View] = [view(), View(photograph()[:, ::-1].copy(), view().face)]
    whole_batch = made(surface, coefficients((20.0, 0.0, 0.0)), hidden="mirror").frontalize(views)
    for one, each in zip(whole_batch, views, strict=True):
        alone = made(surface, coefficients((20.0, 0.0, 0.0)), hidden="mirror").frontalize([each])[0]
        assert one.image is not None and alone.image is not None and np.array_equal(one.image, alone.image)

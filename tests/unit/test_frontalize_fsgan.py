"""``fsgan``: own landmarks turned to the front, views mixed, and files as published."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch")

from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.catalogue.cards import FileSource, ModelCard, WeightFile  # noqa: E402
from frontalbench.errors import BadConfig, BadInput  # noqa: E402
from frontalbench.frontalize import framing, load_frontalizer  # noqa: E402
from frontalbench.frontalize.fsgan import Landmarks98  # noqa: E402
from frontalbench.fsgan import heatmaps, lifting, views  # noqa: E402
from frontalbench.geometry.rotation import geodesic_degrees, matrix_from_angles  # noqa: E402
from frontalbench.landmarks.base import Landmarks  # noqa: E402
from frontalbench.landmarks.tddfa import DenseFit  # noqa: E402
from tests.golden import fills  # noqa: E402

Weight = Callable[..., Path]
Float = npt.NDArray[np.float64]
CPU = torch.device("cpu")


# Landmarks --------------------------------------------------------------------------------------------------------------------------------


def test_the_98_places_are_those_of_the_68_points_and_their_mirror_images() -> None:
    rng = np.random.default_rng(0)
    usual = rng.normal(size=(68, 2))
    assert np.allclose(lifting.PLACES.sum(axis=1), 1.0)
    assert np.allclose(Landmarks(lifting.PLACES @ usual, "wflw98").to("ibug68").points, usual), "as our schemes have it"
    swap = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1), 45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    swap += [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
    mirrored = np.column_stack([1.0 - usual[:, 0], usual[:, 1]])[swap]
    assert np.allclose(lifting.PLACES @ mirrored, heatmaps.mirrored(lifting.PLACES @ usual)), "both orders of the mirror image agree"


def made_up_fit(rotation: Float, *, scale: float = 0.001) -> tuple[DenseFit, npt.NDArray[np.int64]]:
    rng = np.random.default_rng(1)
    model = rng.normal(size=(68, 3)) * [40_000.0, 50_000.0, 20_000.0] - [0.0, 0.0, 80_000.0]
    return DenseFit(scale * model @ rotation.T + [300.0, 200.0, 0.0], model, rotation, scale), np.arange(68)


@pytest.mark.parametrize("pose", [(0.0, 0.0, 0.0), (40.0, -10.0, 15.0), (-85.0, 5.0, 0.0)])
def test_points_turned_to_the_pose_they_have_lie_where_they_were_seen(pose: tuple[float, float, float]) -> None:
    rotation = matrix_from_angles(*pose)
    fit, keypoints = made_up_fit(rotation)
    seen = lifting.PLACES @ fit.vertices[:, :2] + np.random.default_rng(2).normal(scale=3.0, size=(98, 2))
    head = lifting.lift(fit, keypoints, seen)
    tilted = matrix_from_angles(0.0, 0.0, head.tilt)
    back = head.middle + head.turned(tilted @ head.rotation)
    share = lifting.facing(lifting.PLACES @ fit.model, rotation)
    full = share == 1.0
    assert full.sum() >= 40 and np.allclose(back[full], seen[full])
    placed = lifting.PLACES @ fit.vertices[:, :2]
    assert np.allclose(back, placed + share[:, None] * (seen - placed))
    assert np.allclose(lifting.lift(fit, keypoints).turned(np.eye(3)), (lifting.PLACES @ (fit.model - lifting.PIVOT))[:, :2] * fit.scale), (
        "the fit alone: its own face from the front"
    )


def test_a_landmark_network_that_looks_elsewhere_is_told_apart_from_a_face() -> None:
    fit, keypoints = made_up_fit(np.eye(3))
    with pytest.raises(ValueError, match=r"points lie \d+ pixels from the fitted face"):
        lifting.lift(fit, keypoints, np.full((98, 2), 128.0))
    with pytest.raises(ValueError, match="no size"):
        lifting.lift(dataclasses.replace(fit, scale=0.0), keypoints)


@pytest.mark.parametrize(("degrees", "count"), [(0.0, 1), (15.0, 4), (60.0, 1), (100.0, 1)])
def test_no_step_is_larger_than_asked_and_the_last_is_the_wanted_pose(degrees: float, count: int) -> None:
    start = matrix_from_angles(60.0)
    way = lifting.steps(start, np.eye(3), degrees)
    assert len(way) == count and np.array_equal(way[-1], np.eye(3))
    turns = [float(geodesic_degrees(a, b)) for a, b in zip([start, *way[:-1]], way, strict=True)]
    assert max(turns) <= (degrees or 60.0) + 1e-6 and sum(turns) == pytest.approx(60.0)
    assert len(lifting.steps(np.eye(3), np.eye(3), 15.0)) == 1, "a frontal face is drawn once"


# Views ------------------------------------------------------------------------------------------------------------------------------------


def test_a_face_and_its_mirror_image_share_the_view_between_them() -> None:
    found = views.mixture(np.array([[40.0, 7.0], [-40.0, 7.0]]), np.array([[0.0, 7.0], [40.0, 7.0], [20.0, 7.0]]))
    np.testing.assert_allclose(found.weights, [[0.5, 0.5], [1.0, 0.0], [0.75, 0.25]], atol=1e-9)


@pytest.mark.parametrize("pose", [(200.0, 0.0), (-75.0, -75.0), (80.0, 90.0), (0.0, 0.0)])
def test_every_wanted_pose_gets_views_also_outside_of_the_square(pose: tuple[float, float]) -> None:
    for seen in ([[10.0, 5.0]], [[89.0, 0.0], [-89.0, 0.0]], [[75.0, 75.0], [75.0, -75.0]]):
        weights = views.mixture(np.array(seen), np.array([pose])).weights
        assert np.isfinite(weights).all() and weights.sum() == pytest.approx(1.0) and (weights >= 0).all()
    with pytest.raises(ValueError, match="finite"):
        views.mixture(np.array([[np.nan, 0.0]]), np.array([pose]))


# Crops ------------------------------------------------------------------------------------------------------------------------------------


def test_the_crop_is_that_of_the_official_code_up_to_its_rounding() -> None:
    boxes = [(100, 80, 120, 160), (10, 20, 33, 31), (5.5, 7.5, 81, 80)]
    for (left, top, width, height), (x, y, w, h) in zip(boxes, fills.golden("FSGAN").arrays["B.scale_bbox"], strict=True):
        matrix = framing.detection([left, top, left + width, top + height], 256)
        size, edges = 256 / matrix[0, 0], (-0.5 - matrix[:, 2]) / matrix[0, 0]
        assert w == h and abs(size - w) <= 0.5
        # There a box begins at the edge of its first pixel, here at its centre: half a pixel, and half a pixel for each rounding.
        assert np.abs(edges - [x - 0.5, y - 0.5]).max() <= 0.5 + 0.5 + 0.25


# Weights ----------------------------------------------------------------------------------------------------------------------------------


def constant(listed: str) -> dict[str, Any]:
    """A state dict of one number: tensors of the right shapes in a file of a few kilobytes."""
    one, none = torch.tensor(0.01), torch.tensor(0)
    return {key: (one if entry.floats else none).expand(entry.shape) for key, entry in fills.state_keys(listed).items()}


def files(folder: Path) -> dict[str, Path]:
    """Files as published: the text of a call beside the state dict, with numbers that mean nothing."""
    paths = {key: folder / weight.file for key, weight in cards.find("frontalizer", "fsgan").weights.items()}
    for key, listed, text in (("generator", "FSGAN_Gr", "res_unet.MultiScaleResUNet(in_nc=101,out_nc=3,flat_layers=(2,2,2,2),ngf=128)"),):
        torch.save({"epoch": 40, "arch": text, "state_dict": constant(listed)}, paths[key])
    torch.save({"arch": "hrnet_wflw(pretrained=False)", "state_dict": constant("FSGAN_L")}, paths["landmarks"])
    return paths


def card_of(paths: Mapping[str, Path], name: str = "fsgan", **params: Any) -> ModelCard:
    """The shipped card with the hashes of these files written into it."""

    def pinned(key: str, path: Path) -> WeightFile:
        data = path.read_bytes()
        return WeightFile(key, path.name, len(data), hashlib.sha256(data).hexdigest(), (FileSource(path),))

    card = cards.find("frontalizer", name)
    weights = MappingProxyType({key: pinned(key, path) for key, path in paths.items()})
    return dataclasses.replace(card, weights=weights, params=MappingProxyType({**card.params, **params}))


@pytest.mark.parametrize("damage", ["other", "cut", "code"])
def test_any_other_file_is_refused_in_one_line_and_not_run(damage: str, tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    paths = files(tmp_path)
    path = paths["landmarks"]
    if damage == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        torch.save({"conv.weight": torch.zeros(1)} if damage == "other" else Harm(), path)
    with pytest.raises(BadInput) as caught:
        load_frontalizer(card_of(paths))
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"recipe": "spun"}, "recipe"),
        ({"landmarks": "mine"}, "landmarks"),
        ({"step": -1}, "step"),
        ({"recipe": "interpolated", "step": 5}, "step"),
    ],
)
def test_params_that_make_no_sense_are_named(params: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=message):
        load_frontalizer(card_of(files(tmp_path), **params))


def test_the_landmark_network_sees_the_crop_normalised_and_answers_in_its_pixels() -> None:
    class Peaks(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            self.shown = images
            wanted = torch.full((1, 98, 2), 0.25)
            wanted[..., 1] = 0.75
            return 500.0 * heatmaps.drawn(wanted, 64)

    network = Peaks()
    points = Landmarks98(network, CPU)(np.full((256, 256, 3), 255, np.uint8))  # type: ignore[arg-type]
    assert np.allclose(points, [0.25 * 256 - 0.5, 0.75 * 256 - 0.5], atol=0.05)
    assert network.shown[0, :, 0, 0].tolist() == pytest.approx([(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], rel=1e-5)

"""``hassner``: the reference face read as data, its pose as the original finds it, hidden sides filled from the other, borders without a say."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from scipy.io import savemat

from frontalbench import status
from frontalbench.catalogue import cards
from frontalbench.catalogue.cards import FileSource, ModelCard, WeightFile
from frontalbench.errors import BadConfig, BadInput
from frontalbench.frontalize import hassner, load_frontalizer
from frontalbench.frontalize.base import View
from frontalbench.geometry.raster import interpolate, rasterize
from frontalbench.geometry.rotation import geodesic_degrees
from frontalbench.images import RGB
from frontalbench.landmarks.base import Landmarks

Weight = Callable[..., Path]
Float = npt.NDArray[np.float64]
SIDE = hassner.SIDE
CAMERA = np.array([[492.3077, 0.0, 159.5], [0.0, 492.3077, 160.0], [0.0, 0.0, 1.0]])


def face_like() -> tuple[Float, Float, Float]:
    """(surface, keypoints, their pixels) of half an egg on a wall, 600 from the camera; the model's vertical axis is z, as in the real file."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float64)
    ray = np.stack([(x - 159.5) / CAMERA[0, 0], (y - 160.0) / CAMERA[1, 1], np.ones_like(x)], axis=2)
    # Nearest crossing of the ray with an ellipsoid about (0, 0, 600), else with the wall through its middle.
    radii, centre = np.array([75.0, 105.0, 110.0]), np.array([0.0, 0.0, 600.0])
    a, b = ((ray / radii) ** 2).sum(axis=2), -2.0 * (ray * centre / radii**2).sum(axis=2)
    inside = b**2 - 4.0 * a * (((centre / radii) ** 2).sum() - 1.0)
    depth = np.where(inside > 0.0, (-b - np.sqrt(np.maximum(inside, 0.0))) / (2.0 * a), 600.0)
    seen = ray * depth[..., None]
    # camera (x, y down, z away) -> model (x, y away, z up)
    surface = np.stack([seen[..., 0], seen[..., 2] - 600.0, -seen[..., 1]], axis=2)
    rng = np.random.default_rng(0)
    half = np.column_stack([rng.uniform(105, 155, 34), rng.uniform(85, 235, 34)]).round().astype(int)
    pixels = np.concatenate([half, np.column_stack([319 - half[:, 0], half[:, 1]])])
    return surface, surface[pixels[:, 1], pixels[:, 0]], pixels.astype(np.float64)


def write(folder: Path, **changed: Any) -> tuple[Path, Path]:
    surface, keypoints, pixels = face_like()
    fields = {
        "refU": surface,
        "outA": CAMERA,
        "threedee": keypoints,
        "ref_XY": pixels.astype(np.float32),
        "sizeU": np.array([[320, 320]]),
        **changed,
    }
    savemat(folder / "model3Ddlib.mat", {"model_dlib": {key: value for key, value in fields.items() if value is not None}})
    savemat(folder / "eyemask.mat", {"eyemask": np.zeros((SIDE, SIDE, 3), np.uint8)})
    return folder / "model3Ddlib.mat", folder / "eyemask.mat"


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> hassner.Reference:
    return hassner.read_reference(*write(tmp_path_factory.mktemp("reference")))


def colours(surface: Float) -> Float:
    """A pattern that is its own mirror image, 40 to 215."""
    x, y, z = np.abs(surface[..., 0]), surface[..., 1], surface[..., 2]
    return 127.5 + 80.0 * np.stack([np.sin(x / 15.0), np.sin(z / 20.0 + y / 60.0), np.cos(x / 25.0 + z / 30.0)], axis=-1)


def photographed(reference: hassner.Reference, degrees: float, *, scale: float = 1.0) -> tuple[RGB, Float]:
    """(photograph, 68 points in it) of the reference turned about its vertical axis."""
    turn = cv2.Rodrigues(np.array([0.0, 0.0, np.radians(degrees)]))[0]
    rotation = reference.rotation @ turn
    points = reference.surface.reshape(-1, 3)
    flat = hassner.projected(points, reference.camera, rotation, reference.translation)
    depth = points @ rotation.T[:, 2] + reference.translation[2]
    triangles = hassner._grid(SIDE, SIDE)
    drawn = rasterize(np.column_stack([flat, depth]), triangles, (SIDE, SIDE), perspective=True)
    image = np.clip(np.rint(interpolate(drawn, triangles, colours(points))), 0, 255).astype(np.uint8)
    where = hassner.projected(reference.keypoints, reference.camera, rotation, reference.translation)
    if scale != 1.0:
        image = np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
        where = (where + 0.5) * scale - 0.5
    return image, where


def turned_back(reference: hassner.Reference, photograph: RGB, points: Float, **options: Any) -> Any:
    model = hassner.HassnerFrontalizer("hassner", reference, lambda _: Landmarks(points, "ibug68"), **options)
    face = dataclasses.make_dataclass("Box", ["box"])(None)
    return model.frontalize([View(photograph, face)])[0]  # type: ignore[arg-type]


def off(image: RGB, wanted: Float, where: npt.NDArray[np.bool_]) -> float:
    return float(np.median(np.abs(image.astype(float) - wanted)[where]))


def egg(reference: hassner.Reference) -> npt.NDArray[np.bool_]:
    return np.asarray(cv2.erode((reference.surface[..., 1] < -10.0).astype(np.uint8), np.ones((9, 9), np.uint8)) > 0)


# The pose ---------------------------------------------------------------------------------------------------------------------------------


def test_points_that_fall_together_determine_no_pose(reference: hassner.Reference) -> None:
    outcome = turned_back(reference, np.zeros((64, 64, 3), np.uint8), np.full((68, 2), 5.0))
    assert outcome.status == status.MODEL_ERROR and "too small" in outcome.detail
    flat = turned_back(reference, np.zeros((400, 400, 3), np.uint8), np.column_stack([np.full(68, 200.0), np.linspace(100, 300, 68)]))
    assert flat.status in (status.MODEL_ERROR, status.OK)


# The image ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("hidden", ["counts", "depth", "keep"])
def test_the_reference_view_gives_itself_back_whatever_its_size(reference: hassner.Reference, scale: float, hidden: str) -> None:
    photograph, points = photographed(reference, 0.0, scale=scale)
    outcome = turned_back(reference, photograph, points, hidden=hidden)
    assert outcome.image is not None, outcome.detail
    assert off(outcome.image, colours(reference.surface), egg(reference)) <= (2.0 if scale >= 1.0 else 6.0)
    assert outcome.place is not None
    there = points @ outcome.place.matrix[:, :2].T + outcome.place.matrix[:, 2]
    assert np.abs(there - reference.flat).max() < 1.0, "its place in the photograph is that of the points"


@pytest.mark.parametrize("degrees", [-40.0, 40.0])
def test_a_turned_face_shows_its_seen_side_and_depth_fills_the_hidden_one(reference: hassner.Reference, degrees: float) -> None:
    photograph, points = photographed(reference, degrees)
    wanted, inside = colours(reference.surface), egg(reference)
    kept, counted, filled = (turned_back(reference, photograph, points, hidden=hidden) for hidden in ("keep", "counts", "depth"))
    for outcome in (kept, counted, filled):
        assert outcome.image is not None, outcome.detail
    halves = [np.tile(np.arange(SIDE) < 160, (SIDE, 1)), np.tile(np.arange(SIDE) >= 160, (SIDE, 1))]
    errors = [off(kept.image, wanted, inside & half) for half in halves]
    seen, hidden_half = (halves[0], halves[1]) if errors[0] < errors[1] else (halves[1], halves[0])
    assert min(errors) < 3.0 and max(errors) > 2.0 * min(errors)
    assert off(filled.image, wanted, inside & seen) < 3.0
    assert off(filled.image, wanted, inside & hidden_half) < 0.6 * off(kept.image, wanted, inside & hidden_half) + 1.0
    assert off(counted.image, wanted, inside & seen) < 3.0


def test_beside_a_turned_face_there_is_no_second_one_by_depth(reference: hassner.Reference) -> None:
    photograph, points = photographed(reference, 40.0)
    red = np.full_like(photograph, 200)
    points3, triangles = reference.surface.reshape(-1, 3), hassner._grid(SIDE, SIDE)
    rotation = reference.rotation @ cv2.Rodrigues(np.array([0.0, 0.0, np.radians(40.0)]))[0]
    flat = hassner.projected(points3, reference.camera, rotation, reference.translation)
    depth = points3 @ rotation.T[:, 2] + reference.translation[2]
    drawn = rasterize(np.column_stack([flat, depth]), triangles, (SIDE, SIDE), perspective=True)
    owner = triangles[np.maximum(drawn.triangle, 0), 0]
    face = (points3[owner, 1] < -2.0) & (drawn.triangle >= 0)
    red[face] = (200, 0, 0)
    beside = cv2.dilate((reference.surface[..., 1] < -1.0).astype(np.uint8), np.ones((31, 31), np.uint8)) == 0

    def ghost(hidden: str) -> float:
        image = turned_back(reference, red, points, hidden=hidden).image
        return float((image[beside][:, 1] < 150).mean() - (image[beside].sum(axis=1) < 30).mean())

    assert ghost("keep") > 0.05 and ghost("depth") < 0.25 * ghost("keep")


@pytest.mark.parametrize("hidden", ["counts", "depth"])
def test_what_lies_out_of_frame_decides_nothing_and_comes_from_the_other_side(reference: hassner.Reference, hidden: str) -> None:
    photograph, points = photographed(reference, 0.0)
    wanted, inside = colours(reference.surface), egg(reference)
    cut = np.ascontiguousarray(photograph[:, :190])
    outcome = turned_back(reference, cut, points, hidden=hidden)
    assert outcome.image is not None
    missing = np.tile(np.arange(SIDE) > 200, (SIDE, 1)) & inside
    assert off(outcome.image, wanted, inside & ~missing) <= 2.0, "what is there stays"
    assert off(outcome.image, wanted, missing) <= 3.0, "what is not there is the mirror image"
    narrow = turned_back(reference, np.ascontiguousarray(photograph[:, 130:190]), points - [130.0, 0.0], hidden=hidden)
    assert narrow.image is not None and (narrow.image[160, :100] == 0).all() and (narrow.image[160, 220:] == 0).all(), (
        "on neither side: black"
    )


def test_crowding_counts_pixels_that_fall_together_and_no_other() -> None:
    rng = np.random.default_rng(3)
    pixels = rng.uniform(0, 40, (SIDE, SIDE, 2))
    usable = rng.random((SIDE, SIDE)) < 0.5
    keys = [tuple(np.rint(p).astype(int)) for p in pixels.reshape(-1, 2)]
    counts: dict[tuple[int, ...], int] = {}
    for key, good in zip(keys, usable.ravel(), strict=True):
        counts[key] = counts.get(key, 0) + int(good)
    plain = np.array([counts[key] if good else 0 for key, good in zip(keys, usable.ravel(), strict=True)], np.float32).reshape(SIDE, SIDE)
    wanted = cv2.GaussianBlur(plain, (15, 15), 30.0, borderType=cv2.BORDER_REPLICATE)
    assert np.allclose(hassner.crowding(pixels, usable), wanted, rtol=1e-5)


@pytest.mark.parametrize("left", [True, False])
def test_soft_symmetry_is_the_published_formula_where_all_is_in_frame(left: bool) -> None:
    rng = np.random.default_rng(4)
    raw = rng.uniform(0, 255, (SIDE, SIDE, 3)).astype(np.float32)
    crowd = cv2.GaussianBlur(rng.uniform(0, 3, (SIDE, SIDE)).astype(np.float32), (15, 15), 30.0)
    crowd[:, :160] += 5.0 if left else 0.0
    crowd[:, 160:] += 0.0 if left else 5.0
    eyes = np.zeros((SIDE, SIDE), np.float32)
    eyes[100:120, 90:230] = 1.0
    w = np.zeros((SIDE, SIDE))
    w[:, 160:] = 1.0
    w = cv2.GaussianBlur(w if left else w[:, ::-1].copy(), (33, 33), 60.5, borderType=cv2.BORDER_REPLICATE)
    f, o = w[:, ::-1], np.exp(-(0.5 + crowd / crowd.max()))
    wanted = (raw * (w + o * f)[..., None] + raw[:, ::-1] * ((1 - o) * f)[..., None]) / (w + f)[..., None]
    wanted[eyes > 0] = raw[eyes > 0]
    assert np.abs(hassner.soft_symmetry(raw, crowd, np.ones((SIDE, SIDE), bool), eyes) - wanted).max() < 0.01
    even = np.ones((SIDE, SIDE), np.float32)
    assert np.allclose(hassner.soft_symmetry(raw, even, np.ones((SIDE, SIDE), bool), eyes), raw, atol=1e-3), "even halves stay as they are"


def test_a_face_turned_beyond_the_limit_is_refused_in_one_line(reference: hassner.Reference) -> None:
    photograph, points = photographed(reference, 60.0)
    assert turned_back(reference, photograph, points, limit=70.0).status == status.OK
    refused = turned_back(reference, photograph, points, limit=50.0)
    # Moved to the middle of the camera's image a face is seen from a few degrees further round.
    assert refused.status == status.MODEL_ERROR and re.search(r"turned by 6\d degrees, more than 50", refused.detail)
    rotation, _ = hassner.pose_of(points, reference.keypoints, reference.camera)
    assert float(geodesic_degrees(rotation, reference.rotation)) == pytest.approx(60.0, abs=0.5)


# Files and cards --------------------------------------------------------------------------------------------------------------------------


def card_of(model: Path, eyes: Path, name: str = "hassner", **params: Any) -> ModelCard:
    def pinned(key: str, path: Path) -> WeightFile:
        data = path.read_bytes()
        return WeightFile(key, path.name, len(data), hashlib.sha256(data).hexdigest(), (FileSource(path),))

    card = cards.find("frontalizer", name)
    weights = MappingProxyType({"model": pinned("model", model), "eyes": pinned("eyes", eyes)})
    return dataclasses.replace(card, weights=weights, params=MappingProxyType({**card.params, **params}))


@pytest.mark.parametrize(
    "changed",
    [
        {"refU": None},
        {"refU": np.zeros((10, 10, 3))},
        {"outA": np.full((3, 3), np.nan)},
        {"threedee": "text"},
        {"ref_XY": np.zeros((5, 2))},
    ],
)
def test_a_file_without_the_face_is_refused_in_one_line(changed: dict[str, Any], tmp_path: Path) -> None:
    model, eyes = write(tmp_path, **changed)
    with pytest.raises(BadInput) as caught:
        load_frontalizer(card_of(model, eyes))
    assert str(caught.value).startswith(f"{model}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["cut", "text", "other", "empty"])
def test_a_damaged_file_is_refused_in_one_line(damage: str, tmp_path: Path) -> None:
    model, eyes = write(tmp_path)
    if damage == "cut":
        model.write_bytes(model.read_bytes()[:5000])
    elif damage == "other":
        savemat(model, {"something": np.zeros(3)})
    else:
        model.write_bytes(b"no MATLAB file" if damage == "text" else b"")
    with pytest.raises(BadInput) as caught:
        load_frontalizer(card_of(model, eyes))
    assert str(caught.value).startswith(f"{model}: ") and "\n" not in str(caught.value)


def test_params_that_make_no_sense_are_named(tmp_path: Path) -> None:
    model, eyes = write(tmp_path)
    for params in ({"hidden": "guess"}, {"limit": 0}):
        with pytest.raises(BadConfig, match=next(iter(params))):
            load_frontalizer(card_of(model, eyes, **params))

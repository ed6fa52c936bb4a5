"""``eg3d`` without its weights: cameras and squares, the guard against judging by what the inversion went by, files that are none."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from frontalbench.catalogue import cards  # noqa: E402
from frontalbench.catalogue.cards import FileSource, ModelCard, WeightFile  # noqa: E402
from frontalbench.errors import BadConfig, BadInput, WeightsMissing  # noqa: E402
from frontalbench.frontalize import load_frontalizer  # noqa: E402
from frontalbench.frontalize.eg3d import FOCAL, FRONTAL_FOCAL, camera, framed, projected, to_world  # noqa: E402
from frontalbench.geometry.rotation import FLIP_YZ, matrix_from_angles  # noqa: E402
from frontalbench.geometry.similarity import apply  # noqa: E402
from frontalbench.landmarks.tddfa import DenseFit  # noqa: E402
from tests.golden import fills  # noqa: E402

SEEN = np.random.default_rng(0).integers(0, 255, (400, 300, 3)).astype(np.uint8)


def pinned(path: Path, **params: Any) -> ModelCard:
    """The shipped card with this file's hash written into it."""
    card = cards.find("frontalizer", "eg3d")
    data = path.read_bytes()
    weight = WeightFile("model", path.name, len(data), hashlib.sha256(data).hexdigest(), (FileSource(path),))
    merged = MappingProxyType({**card.params, **params})
    return dataclasses.replace(card, weights=MappingProxyType({"model": weight}), params=merged)


def fit(yaw: float, pitch: float = 0.0, roll: float = 0.0) -> DenseFit:
    """A made-up face: 68 points about where the face model has its own."""
    model = np.random.default_rng(1).normal(size=(68, 3)) * [30_000.0, 40_000.0, 15_000.0] - [0.0, 0.0, 80_000.0]
    rotation, scale = matrix_from_angles(yaw, pitch, roll), 1e-3
    return DenseFit(scale * model @ rotation.T + [150.0, 200.0, 0.0], model, rotation, scale)


def test_a_camera_stands_where_the_official_helper_puts_it() -> None:
    golden = fills.golden("EG3D").arrays
    for name in ("frontal_label", "yaw04_pitchm02_label"):
        wanted = golden[name][0]
        rotation = (FLIP_YZ @ wanted[:16].reshape(4, 4)[:3, :3]).T
        np.testing.assert_allclose(camera(rotation, FRONTAL_FOCAL), wanted, atol=2e-6)
    np.testing.assert_allclose(camera(np.eye(3), FRONTAL_FOCAL), golden["frontal_label"][0], atol=2e-6)


def test_a_camera_shows_the_world_where_its_rays_go() -> None:
    from frontalbench.networks.eg3d import rays

    label = camera(matrix_from_angles(35.0, -10.0), FOCAL)
    origins, directions = (one[0].double().numpy() for one in rays(torch.from_numpy(label)[None], 32))
    y, x = np.mgrid[:32, :32]
    np.testing.assert_allclose(projected(origins + 2.5 * directions, label, 32), np.stack([x, y], -1).reshape(-1, 2), atol=1e-4)


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(0, 0, 0), (40, 5, 20), (-85, 0, -10), (20, -15, 170)])
def test_the_square_shows_the_points_where_the_camera_would_and_upright(yaw: float, pitch: float, roll: float) -> None:
    made = fit(yaw, pitch, roll)
    cutting, target = framed(SEEN, made, np.arange(68), (0.0, 0.0, 0.0))
    wanted = projected(to_world(made.model), target.label.astype(np.float64), 512)
    found = apply(cutting.matrix, made.vertices[:, :2])
    # The photograph was taken from far away, the camera stands near: that is all the difference.
    assert float(np.abs(found - wanted).max()) < 20.0
    assert target.pixels.shape == (512, 512, 3) and set(np.unique(target.known)) <= {0.0, 1.0} and 0.0 < target.known.mean() <= 1.0
    np.testing.assert_allclose(target.wanted, camera(np.eye(3), FRONTAL_FOCAL), atol=1e-6)


def test_a_target_pose_is_another_camera_and_a_head_from_behind_is_refused() -> None:
    _, target = framed(SEEN, fit(10.0), np.arange(68), (20.0, 5.0, 3.0))
    np.testing.assert_allclose(target.wanted, camera(matrix_from_angles(20.0, 5.0, 3.0), FRONTAL_FOCAL), atol=1e-6)
    with pytest.raises(ValueError, match="from behind"):
        framed(SEEN, fit(120.0), np.arange(68), (0.0, 0.0, 0.0))


def test_whom_the_inversion_pleases_stands_on_the_card_and_takes_no_part_in_the_study() -> None:
    card = cards.find("frontalizer", "eg3d")
    assert set(card.trained_with) == {card.the("backbone").name}
    judges = [path.read_text(encoding="utf-8") for path in (cards.project_root() / "config").glob("*.yaml")]
    assert not any(card.the("backbone").name in text for text in judges)
    with pytest.raises(BadConfig, match="trained_with should name 'arcface_y1'"):
        load_frontalizer(dataclasses.replace(card, trained_with=()))


@pytest.mark.parametrize("suffix", [".pkl", ".pt"])
@pytest.mark.parametrize("damage", ["other", "cut", "code"])
def test_any_other_file_is_refused_in_one_line_and_not_run(suffix: str, damage: str, tmp_path: Path) -> None:
    import os
    import pickle

    class Harm:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / f"g{suffix}"
    whole = {"G_ema" if suffix == ".pkl" else "conv.weight": Harm() if damage == "code" else torch.zeros(3)}
    if suffix == ".pkl":
        path.write_bytes(pickle.dumps(whole))
    else:
        torch.save(whole, path)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(BadInput) as caught:
        load_frontalizer(pinned(path))
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_without_a_hash_that_its_user_wrote_down_nothing_is_loaded() -> None:
    with pytest.raises(WeightsMissing, match=r"has no known sha256.*fetch_weights\.py --from"):
        load_frontalizer(cards.find("frontalizer", "eg3d"))


def test_params_that_make_no_sense_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "g.pt"
    torch.save({}, path)
    for params, words in (({"rays": 0}, r"params\.rays"), ({"stepps": 3}, "stepps"), ({"rate": -1.0}, "rate")):
        with pytest.raises(BadConfig, match=words):
            load_frontalizer(pinned(path, **params))

"""Stages keep a row per image whatever the model does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from frontalbench import images, status, tables
from frontalbench.catalogue import cards
from frontalbench.errors import BadInput, WeightsMissing
from frontalbench.frontalize.base import FRONTAL, Outcome, View
from frontalbench.stages.detect import detect_shard
from frontalbench.stages.embed import embed_shard
from frontalbench.stages.frontalize import frontalize_shard


def _crops(path: Path, words: list[str]) -> Path:
    rows = []
    for i, word in enumerate(words):
        row: dict[str, Any] = {"image_id": f"{i}", "identity": "p", "role": "probe", "status": word, "detail": ""}
        if word == status.OK:
            row |= {
                "score": 0.9,
                "n_faces": 1,
                "box": [0.0, 0.0, 8.0, 8.0],
                "points": [1.0] * 10,
                "image": images.encode_png(np.full((112, 112, 3), i, np.uint8)),
            }
        rows.append(row)
    with tables.Writer(path, tables.CROPS, {}) as writer:
        writer.add(rows)
    return path


class OneBadCrop:
    """A backbone that refuses every batch that holds crop 1."""

    name = "one_bad_crop"
    dimension = 512

    takes_points = False

    def embed(self, crops: npt.NDArray[np.uint8], points: object = None) -> npt.NDArray[np.float32]:
        if (crops[:, 0, 0, 0] == 1).any():
            raise RuntimeError("no such luck")
        return np.repeat(crops[:, :1, 0, 0].astype(np.float32) + 1, 512, axis=1)


def test_one_bad_crop_costs_one_row(tmp_path: Path) -> None:
    crops = _crops(tmp_path / "crops.parquet", [status.OK, status.OK, status.NO_FACE, status.OK])
    counts = embed_shard(crops, tmp_path / "e.parquet", cards.find("backbone", "w600k_mbf"), OneBadCrop)
    assert counts == {status.OK: 2, status.MODEL_ERROR: 1, status.NO_FACE: 1}
    rows = tables.read(tmp_path / "e.parquet").to_pylist()
    assert "no such luck" in rows[1]["detail"]
    assert np.allclose(np.linalg.norm(rows[0]["embedding"]), 1)


def test_missing_weights_become_the_status_of_every_usable_row(tmp_path: Path) -> None:
    def make() -> OneBadCrop:
        raise WeightsMissing("w.onnx: fetch it from there")

    crops = _crops(tmp_path / "crops.parquet", [status.OK, status.NO_FACE])
    counts = embed_shard(crops, tmp_path / "e.parquet", cards.find("backbone", "w600k_mbf"), make)
    assert counts == {status.WEIGHTS_MISSING: 1, status.NO_FACE: 1}
    assert tables.read(tmp_path / "e.parquet").to_pylist()[0]["detail"] == "w.onnx: fetch it from there"


class Refuses:
    """A frontalizer that takes the first image of a batch and fails on the others."""

    name = "refuses"
    needs_face = True
    takes_target_pose = False

    def frontalize(self, views: list[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        return [Outcome(view.image, status.OK) if i == 0 else Outcome(None, status.MODEL_ERROR, "too odd") for i, view in enumerate(views)]


def test_frontalize_keeps_every_row_and_asks_for_tables_of_the_same_shard(tmp_path: Path) -> None:
    images = _crops(tmp_path / "whole.parquet", [status.OK, status.OK, status.OK, status.UNREADABLE])
    faces = _crops(tmp_path / "faces.parquet", [status.OK, status.NO_FACE, status.OK, status.UNREADABLE])
    card = cards.find("frontalizer", "identity")
    counts = frontalize_shard(images, faces, tmp_path / "f.parquet", card, Refuses)  # type: ignore[arg-type]
    assert counts == {status.OK: 1, status.NO_FACE: 1, status.MODEL_ERROR: 1, status.UNREADABLE: 1}
    assert tables.provenance(tmp_path / "f.parquet")["precision"] == "float32"
    others = _crops(tmp_path / "others.parquet", [status.OK])
    with pytest.raises(BadInput, match="another version of this shard"):
        frontalize_shard(images, others, tmp_path / "g.parquet", card, Refuses)  # type: ignore[arg-type]
    assert not (tmp_path / "g.parquet").exists()


class Darker:
    """Every image, a little darker."""

    name, needs_face = "darker", True

    def frontalize(self, views: list[View], target_pose: tuple[float, float, float] = FRONTAL) -> list[Outcome]:
        return [Outcome(view.image // 2, status.OK) for view in views]


def test_images_packed_beside_a_gpu_are_the_same_rows_in_the_same_order(tmp_path: Path) -> None:
    states = ([status.OK] * 3 + [status.UNREADABLE, status.NO_FACE]) * 2
    images = _crops(tmp_path / "whole.parquet", states)
    card = cards.find("frontalizer", "identity")
    made = []
    for device in ("cpu", "cuda"):
        out = tmp_path / f"{device}.parquet"
        counts = frontalize_shard(images, images, out, card, Darker, device=device)  # type: ignore[arg-type]
        assert counts == {status.OK: 6, status.UNREADABLE: 2, status.NO_FACE: 2}
        made.append([{name: row[name] for name in ("image_id", "status", "detail", "image")} for row in tables.read(out).to_pylist()])
    assert made[0] == made[1]


class Raises:
    name = "raises"

    def detect(self, image: images.RGB) -> Any:
        raise RuntimeError("broken network")

    def glance(self, image: images.RGB, longest: int) -> Any:
        raise AssertionError(longest)


def test_a_detector_that_raises_costs_the_row_not_the_shard(tmp_path: Path) -> None:
    images = _crops(tmp_path / "whole.parquet", [status.OK, status.NOT_USED, status.OK])
    counts = detect_shard(images, tmp_path / "c.parquet", cards.find("detector", "scrfd_500m"), Raises, threads=2)
    assert counts == {status.MODEL_ERROR: 2, status.NOT_USED: 1}
